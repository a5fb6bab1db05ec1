# Videos by Google: Veo on Vertex AI behind a token that a service account
# signs for, and the Interactions API.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Video;
use Test::More;

my $video = Pulse::Video->start;
my $twin = $video->twin;
my $user = make_user(plan => 'creator', locale => 'en', videos => 20);
my $key = make_key($user);
my $asked = 0;


sub made {
    my (%o) = @_;

    my $id = $video->begin($key, %o);
    my $jobs = $video->asked(++$asked);

    return ($id, $jobs->[-1]);
}


sub shown {
    my ($id) = @_;

    return $video->api($key, GET => "/v1/jobs/$id")->{json}{data};
}


# What came is the clip, byte by byte.

sub completed {
    my ($id, $what) = @_;

    is($video->ended($id), 'completed', $what);

    my $path = shown($id)->{video}{url} =~ s{^http://[^/]+}{}r;
    my $got = http(GET => $path, port => $video->port);

    ok($got->{body} eq $video->clip, 'the whole of it');
}


subtest 'Veo, in the answer itself' => sub {
    my ($id, $job) = made(model => 'veo3', duration_s => 8, seed => 1,
                          aspect_ratio => '16:9', resolution => '1080p',
                          negative_prompt => 'rain');

    is($job->{model}, 'veo-3.1-generate-001');
    is_deeply($job->{input}, { prompt => 'a kite over the sea' });
    is_deeply($job->{parameters}, { sampleCount => 1, durationSeconds => 8,
        aspectRatio => '16:9', resolution => '1080p', seed => 1,
        negativePrompt => 'rain' });

    $twin->tell(set => { state => 'done' });
    completed($id, 'done');
    is(scalar sql("SELECT price, provider FROM usage_events WHERE id = '$id'"),
       '800000000|google-vertex', 'two seconds at 0.4 dollars');

    ($id) = made(model => 'veo3-fast');
    $twin->tell(set => { state => 'done' });
    completed($id, 'with the same token');

    is(scalar(grep { $_->{path} eq '/token' } $twin->requests), 1,
       'which is asked for once');
};


subtest 'Veo, into a bucket' => sub {
    my ($id) = made(model => 'veo3');

    $twin->tell(set => { state => 'stored' });
    completed($id, 'fetched with the token');

    my ($asked) = grep { $_->{path} =~ m{^/storage/} } $twin->requests;

    like($asked->{path}, qr{/b/maker-1/o/made%20of%20it%2Fa\.mp4(?:\?|$)},
         'by its name in the bucket');
};


sub asked_for {
    my ($pattern) = @_;

    return scalar grep { $_->{path} =~ $pattern } $twin->requests;
}


subtest 'Veo, with a token that ends before its time' => sub {
    my $tokens = asked_for(qr{^/token$});

    $twin->tell('revoke');

    my ($id) = made(model => 'veo3');

    is(asked_for(qr{^/token$}), $tokens + 1, 'it is begun with another');

    $twin->tell('revoke');
    $twin->tell(set => { state => 'stored', revokes => 1 });
    completed($id, 'polled and fetched with others');
    is(asked_for(qr{^/token$}), $tokens + 3, 'one each');

    my $before = $video->account($user);
    my $submitted = asked_for(qr{:predictLongRunning$});

    $twin->tell(revoke => { always => 1 });
    $id = $video->begin($key, model => 'veo3');
    is($video->ended($id), 'failed', 'where none is any good');
    is(asked_for(qr{:predictLongRunning$}), $submitted + 2, 'it is asked'
       . ' twice');
    is($video->account($user), $before, 'for nothing');
    $twin->tell('revoke');
};


subtest 'Veo, from a picture' => sub {
    my $picture = Pulse::Video::slurp("$Pulse::Env::root/t/docs/logo.png")
        if -e "$Pulse::Env::root/t/docs/logo.png";
    my $file = uuid();
    my $files = $video->sidecar->files;

    $picture //= "\x89PNG\r\n\x1a\n";

    my $shard = substr $file, -2;

    mkdir "$files/$shard";
    open my $out, '>:raw', "$files/$shard/$file" or die "$file: $!\n";
    print $out $picture;
    close $out;

    sql("INSERT INTO files (id, user_id, kind, status, filename,"
        . " content_type, size_bytes, expires_at) VALUES ('$file', '$user',"
        . " 'upload', 'ready', 'a.png', 'image/png', 8, now() + '1 day')");

    my ($id, $job) = made(model => 'veo3', image => $file);

    require MIME::Base64;
    is_deeply($job->{input}{image}, { mimeType => 'image/png',
        bytesBase64Encoded => MIME::Base64::encode_base64($picture, '') });
    is($video->ask(make_key(make_user(plan => 'pro')), model => 'veo3',
                   image => $file)->{status}, 404, 'nobody else has it');

    $twin->tell(set => { state => 'failed' });
    is($video->ended($id), 'failed');

    # deleted before the provider was asked

    $id = uuid();
    sql("SELECT status FROM video_begin('$id', '$user', 'google-vertex',"
        . " 'veo-3.1-generate-001', '{\"prompt\": \"x\", \"image\": \""
        . uuid() . "\", \"image_type\": \"image/png\"}', '1 hour', 9, 't')");
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'INVALID_REQUEST', 'its picture is gone');
};


subtest 'Veo, refused' => sub {
    my ($id) = made(model => 'veo3');

    $twin->tell(set => { state => 'filtered' });
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'CONTENT_FLAGGED', 'all was filtered');

    $twin->tell(refuse => { message => 'The prompt could not be submitted: it'
                            . ' violates the Responsible AI practices.' });
    $id = $video->begin($key, model => 'veo3');
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'CONTENT_FLAGGED', 'the prompt is');

    $twin->tell(refuse => { message => 'durationSeconds is out of range' });
    $id = $video->begin($key, model => 'veo3');
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'INVALID_REQUEST');
    $twin->tell('refuse');
    like($video->account($user), qr/^4\+0$/);
};


subtest 'Veo cannot be canceled there' => sub {
    my ($id) = made(model => 'veo3');

    is($video->api($key, DELETE => "/v1/jobs/$id")->{json}{data}{status},
       'cancelled');
    is($video->account($user), '4+0');

    my $ended = wait_until {
        return sql("SELECT 1 FROM videos WHERE task_id = '$id'"
                   . " AND step = 'ended'");
    } 30;

    ok($ended, 'it is let go');
};


subtest 'interactions' => sub {
    my ($id, $job) = made(model => 'gemini-omni-1.2-flash', duration_s => 5,
                          aspect_ratio => '9:16', resolution => '720p');

    is($job->{model}, 'gemini-omni-1.2-flash');
    ok($job->{background});
    is_deeply($job->{parameters}, { type => 'video', delivery => 'uri',
        duration => '5s', aspect_ratio => '9:16', resolution => '720p' });
    is_deeply($job->{input}, [{ type => 'text',
                                text => 'a kite over the sea' }]);

    $twin->tell(set => { state => 'done' });
    completed($id, 'from where the key leads');

    ($id) = made(model => 'gemini-omni-1.2-flash');
    $twin->tell(set => { state => 'inline' });
    completed($id, 'in the answer');

    ($id) = made(model => 'gemini-omni-1.2-flash');
    $twin->tell(set => { state => 'filtered' });
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'CONTENT_FLAGGED');

    ($id) = made(model => 'gemini-omni-1.2-flash');
    $video->api($key, DELETE => "/v1/jobs/$id");

    my $told = wait_until {
        return $twin->tell('jobs')->[-1]{canceled};
    } 30;

    ok($told, 'and it can be canceled');
    is($video->account($user), '6+0');
};


subtest 'the provider is away for a while' => sub {
    my ($id) = made(model => 'gemini-omni-1.2-flash');

    $twin->tell(fault => { times => 2, status => 503, data => '' });

    my $seen = wait_until {
        return sql("SELECT 1 FROM videos WHERE task_id = '$id'"
                   . ' AND faults > 0');
    } 30;

    ok($seen, 'it is noticed');
    $twin->tell(set => { state => 'done' });
    completed($id, 'and waited for');
};


subtest 'its time is over' => sub {
    my ($id) = made(model => 'gemini-omni-1.2-flash');

    sql("UPDATE tasks SET deadline = now() WHERE id = '$id'");
    is($video->ended($id), 'failed');
    is(shown($id)->{error}{code}, 'GATEWAY_TIMEOUT');

    my $told = wait_until { return $twin->tell('jobs')->[-1]{canceled} } 30;

    ok($told, 'the provider is told');
    is($video->account($user), '7+0');
};

done_testing();
