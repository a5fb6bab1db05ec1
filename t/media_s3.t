# Pictures and videos that are made are kept in a bucket, of a real server.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Env 'stores';
use Pulse::Painter qw(account painted png);
use Pulse::Replay;
use Pulse::Rgw;
use Pulse::Video;
use Test::More;

if (my $why = Pulse::Rgw::missing()) {
    plan skip_all => $why;
}

my $s3 = Pulse::Rgw->start->bucket('studio');
my $openai = Pulse::Replay->start;

%ENV = (%ENV, PULSE_S3_ACCESS_KEY => $Pulse::Rgw::access,
        PULSE_S3_SECRET_KEY => $Pulse::Rgw::secret,
        OPENAI_API_KEY => 'key-of-openai',
        OPENAI_BASE_URL => $openai->url . '/v1');

my $video = Pulse::Video->start(bucket => $s3->url('studio'));
my $user = make_user(plan => 'creator', locale => 'en', images => 5,
                     videos => 5);
my $key = make_key($user);


# By a link that says who signed it, and nothing of us.

sub plain {
    my ($url) = @_;

    open my $in, '-|:raw', 'curl', '-s', $url or die "curl: $!\n";
    local $/;

    return scalar(<$in>) // '';
}


subtest 'a picture' => sub {
    my $made = png(64, 32);

    $openai->play(painted($made));

    my $reply = $video->api($key, POST => '/v1/images/generate',
        json => { model => 'gpt-image-2', prompt => 'a cat' });
    my $image = $reply->{json}{data}{images}[0];

    is($reply->{status}, 200, 'made') or diag $reply->{body};
    ok(plain($image->{url}) eq $made, 'kept byte by byte');
    is(substr(plain($image->{thumbnail_url}), 0, 2), "\xff\xd8",
       'with a thumbnail');
    is(scalar(my @objects = $s3->objects('studio')), 2, 'and nothing else');
    is(account($user), '1 0 5', 'charged');

    $openai->play(painted($made));
    $reply = $video->api($key, POST => '/v1/images/generations',
        json => { model => 'gpt-image-2', prompt => 'a cat' });

    require MIME::Base64;
    ok(MIME::Base64::decode_base64($reply->{json}{data}[0]{b64_json} // '')
       eq $made, 'and read back for an answer with bytes');

    is($video->api($key, DELETE => "/v1/files/$image->{id}")->{status}, 200,
       'deleted');
    ok(!grep({ index($_, $image->{id}) >= 0 } $s3->objects('studio')),
       'is gone');
};


subtest 'a video' => sub {
    my $id = $video->begin($key, model => 'veo3');

    $video->asked(1);
    $video->twin->tell(set => { state => 'done' });
    is($video->ended($id), 'completed', 'made');

    my $made = $video->api($key, GET => "/v1/jobs/$id")->{json}{data}{video};

    ok(plain($made->{url}) eq $video->clip, 'kept byte by byte');
    is(substr(plain($made->{thumbnail_url}), 0, 2), "\xff\xd8",
       'with a thumbnail');
    is($video->account($user), '1+0', 'charged');
};


subtest 'no bucket is there' => sub {
    my $before = account($user);

    $s3->stop_serving;
    $openai->play(painted(png(2, 2)));

    my $reply = $video->api($key, POST => '/v1/images/generate',
        json => { model => 'gpt-image-2', prompt => 'a cat' });

    is($reply->{status}, 503, 'said');
    is(account($user), $before, 'what cannot be kept is not charged');

    my $id = $video->begin($key, model => 'veo3');

    $video->asked(2);
    $video->twin->tell(set => { state => 'done' });

    ok((wait_until {
        return sql("SELECT 1 FROM videos WHERE task_id = '$id'"
                   . ' AND faults > 0');
    } 60), 'a video waits');

    $s3->serve;
    is($video->ended($id), 'completed', 'until it is back');
    is($video->account($user), '2+0', 'and is charged once');
};

done_testing();
