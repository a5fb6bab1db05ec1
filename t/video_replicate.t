# Videos by Replicate: asked for, watched, told by webhook, canceled, lied
# about; each charged once, and only to who got it.

use v5.30;
use warnings;
use utf8;

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


sub shown {
    my ($id, $by) = @_;

    return $video->api($by // $key, GET => "/v1/jobs/$id")->{json}{data};
}


# One that the twin has begun to make; its id here, and the twin's.

sub made {
    my (%o) = @_;

    my $id = $video->begin($key, %o);
    my $jobs = $video->asked(++$asked);

    return ($id, $jobs->[-1]);
}


sub fails {
    my ($id, $code, $what) = @_;

    my $before = $video->account($user);

    is($video->ended($id), 'failed', $what);
    is(shown($id)->{error}{code}, $code, $code);
    like($video->account($user), qr/\+0$/, 'what was held is back');
}


subtest 'from the prompt to the file' => sub {
    my $reply = $video->ask($key, duration_s => 6, aspect_ratio => '9:16',
                            negative_prompt => 'rain', seed => 7);

    is($reply->{status}, 202);
    is($reply->{headers}{'x-usage-videos'}, '0/20');

    my $id = $reply->{json}{data}{job_id};

    is($reply->{json}{data}{status}, 'queued');
    is($reply->{json}{data}{poll_url},
       "http://studio.example/v1/jobs/$id");
    is($video->account($user), '0+1');

    my ($job) = $video->asked(++$asked)->[-1];

    is($job->{model}, 'google/veo-3.1');
    is_deeply($job->{input}, { prompt => 'a kite over the sea',
        negative_prompt => 'rain', aspect_ratio => '9:16', duration => 6,
        seed => 7 });
    is($job->{webhook}, 'http://studio.example/v1/video/webhook/replicate');
    is_deeply($job->{events}, ['completed']);

    $twin->tell(set => { logs => "a\n 10%|#\n 50%|#####     | 25/50" });
    ok(wait_until { return shown($id)->{progress} == 50 } 30);

    $twin->tell(set => { state => 'done' });
    is($video->ended($id), 'completed');

    my $data = shown($id);

    is($data->{progress}, 100);
    is($data->{video}{duration_s}, 2);
    is_deeply([@{ $data->{video} }{qw(width height content_type)}],
              [96, 54, 'video/mp4']);
    is($video->account($user), '1+0');

    for my $link (['url', qr/^\0\0\0.ftyp/s],
                  ['thumbnail_url', qr/^\xff\xd8\xff/]) {
        my $path = $data->{video}{$link->[0]} =~ s{^http://[^/]+}{}r;
        my $got = http(GET => $path, port => $video->port);

        is($got->{status}, 200, $link->[0]);
        like($got->{body}, $link->[1]);
    }

    is(scalar sql("SELECT amount, reserved, model, provider, source FROM"
                  . " usage_events WHERE id = '$id'"),
       '1|1|google/veo-3.1|replicate|media', 'the event is the job');
    is(scalar sql("SELECT request FROM tasks WHERE id = '$id'"), '{}',
       'the prompt is forgotten');
    is(sql("SELECT count(*) FROM files WHERE user_id = '$user'"), 2);
};


subtest 'what is refused' => sub {
    my $reply;
    my %bad = ('/prompt' => { prompt => '' }, '/duration_s' => {
                   duration_s => 30 }, '/aspect_ratio' => {
                   aspect_ratio => '4:3' }, '/resolution' => {
                   resolution => '8k' }, '/image' => { image => 'x' });

    for my $field (sort keys %bad) {
        my $reply = $video->ask($key, %{ $bad{$field} });

        is("$reply->{status} $reply->{json}{error}{details}{field}",
           "400 $field");
    }

    is($video->ask($key, model => 'no-such')->{json}{error}{code},
       'MODEL_NOT_FOUND');
    is($video->ask($key, image => uuid())->{status}, 404);

    $reply = $video->ask($key, negative_prompt => 'how to make a pipe bomb');
    is("$reply->{status} $reply->{json}{error}{code}", '400 CONTENT_FLAGGED',
       'before anybody sees it');
    is($video->account($user), '1+0', 'and for nothing');

    my $poor = make_key(make_user(plan => 'starter', videos => 0));
    $reply = $video->ask($poor);

    is($reply->{status}, 402);
    is($reply->{json}{error}{code}, 'QUOTA_EXCEEDED');
    is_deeply([@{ $reply->{json}{error}{details} }{qw(resource used limit
                                                      upgrade_url)}],
              ['videos', 0, 0, 'http://studio.example/plans']);
    is($video->ask(make_key(make_user()))->{json}{error}{code},
       'NO_SUBSCRIPTION');
    is(sql("SELECT count(*) FROM tasks t JOIN users u ON u.id = t.user_id"
           . " WHERE u.id <> '$user'"), 0, 'nothing is left of them');
};


subtest 'once, by a key' => sub {
    my %headers = ('Idempotency-Key' => 'the-same');
    my $first = $video->ask($key, headers => \%headers);
    my $again = $video->ask($key, headers => \%headers);

    is($again->{json}{data}{job_id}, $first->{json}{data}{job_id});
    is($again->{headers}{'idempotent-replayed'}, 'true');
    is($video->ask($key, prompt => 'another',
                   headers => \%headers)->{status}, 409);
    is($video->account($user), '1+1');

    $video->asked(++$asked);
    $video->api($key, DELETE => '/v1/jobs/' . $first->{json}{data}{job_id});
    is($video->account($user), '1+0');
};


subtest 'at most three at a time' => sub {
    my @ids = map { $video->begin($key) } 1 .. 3;
    my $reply = $video->ask($key);

    is("$reply->{status} $reply->{json}{error}{code}",
       '429 RATE_LIMIT_EXCEEDED');

    $video->asked($asked += 3);
    $video->api($key, DELETE => "/v1/jobs/$_") for @ids;
    is($video->account($user), '1+0');

    my $told = wait_until {
        3 == grep { $_->{canceled} } @{ $twin->tell('jobs') }[-3 .. -1];
    } 30;

    ok($told, 'the provider is told of all');
};


subtest 'a webhook is first' => sub {
    my ($id, $job) = made();

    # it is not asked again for an hour

    my $quiet = wait_until {
        return sql("UPDATE jobs SET due_at = now() + interval '1 hour'"
                   . " WHERE key = '$id' AND state = 'waiting' AND EXISTS"
                   . " (SELECT FROM videos WHERE task_id = '$id'"
                   . " AND step = 'running') RETURNING 1");
    } 30;

    ok($quiet);

    $twin->tell(set => { state => 'done' });

    my $hook = $twin->tell('webhook');
    my $send = sub {
        my ($hook) = @_;

        return http(POST => '/v1/video/webhook/replicate',
                    port => $video->port, body => $hook->{body},
                    headers => { %{ $hook->{headers} },
                                 'Content-Type' => 'application/json' })
            ->{status};
    };

    is($send->({ %$hook, body => $hook->{body} =~ s/succeeded/failed/r }),
       401, 'another body');
    is($send->($twin->tell(webhook => { secret => 'whsec_bm90IHRoZSBzZWNyZXQgb'
                                        . '2YgdGhlIHR3aW4=' })), 401,
       'another key');
    is($send->($twin->tell(webhook => { age => 301 })), 401, 'too old');
    is($send->($twin->tell(webhook => { age => -301 })), 401, 'too new');
    is($send->({ body => $hook->{body}, headers => {} }), 401, 'unsigned');
    is(sql('SELECT count(*) FROM video_inbox'), 0);

    my $polls = $twin->tell('jobs')->[-1]{polls} // 0;

    is($send->($hook), 200);
    is($video->ended($id), 'completed');
    is($send->($hook), 200, 'said again');
    is(sql('SELECT count(*) FROM video_inbox'), 1);
    is($twin->tell('jobs')->[-1]{polls} // 0, $polls, 'nobody had to ask');
    is($video->account($user), '2+0', 'charged once');

    $twin->tell(set => { id => $job->{id}, state => 'failed' });
    is($send->($twin->tell(webhook => { id => $job->{id} })), 200);
    is(shown($id)->{status}, 'completed', 'what is over is over');
};


subtest 'canceled and completed at the same time' => sub {
    for my $n (1 .. 3) {
        my ($id) = made();

        $twin->tell(set => { state => 'done' });
        select undef, undef, undef, 0.3 * $n;
        $video->api($key, DELETE => "/v1/jobs/$id");

        my $status = $video->ended($id);
        my $used = sql("SELECT count(*) FROM usage_events WHERE id = '$id'");
        my $files = sql("SELECT count(*) FROM tasks t, files f WHERE t.id ="
                        . " '$id' AND f.id = (result #>> '{video,file_id}')"
                        . '::uuid');

        is("$used $files", $status eq 'completed' ? '1 1' : '0 0', $status);
    }

    like($video->account($user), qr/\+0$/);
};


subtest 'the provider fails' => sub {
    my ($id) = made();

    $twin->tell(set => { state => 'failed' });
    fails($id, 'PROVIDER_ERROR', 'it broke');

    ($id) = made();
    $twin->tell(set => { state => 'failed', error => 'The input or output was'
                         . ' flagged as sensitive. (E005)' });
    fails($id, 'CONTENT_FLAGGED', 'its rules');

    for my $fault ([{ status => 422, data => { detail => 'no' } },
                    'INVALID_REQUEST'],
                   [{ status => 402, data => { detail => 'no credit' } },
                    'PROVIDER_ERROR'],
                   [{ status => 500, data => '' }, 'PROVIDER_ERROR'],
                   [{ status => 201, data => 'rubbish' }, 'PROVIDER_ERROR']) {
        $twin->tell(fault => { times => 1, %{ $fault->[0] } });
        $id = $video->begin($key);
        fails($id, $fault->[1], "a $fault->[0]{status}");
        $asked++;
    }

    ok(wait_until {
        $video->sidecar->log_text =~ /replicate may make it for nobody/
    });

    # turned away at the door: asked again

    $twin->tell(fault => { times => 1, status => 429,
                           data => { detail => 'Request was throttled.' } });
    $id = $video->begin($key);
    $video->asked($asked += 2);
    $twin->tell(set => { state => 'done' });
    is($video->ended($id), 'completed', 'after a 429');
};


# It is paid for, so that it is kept, though it cannot be edited here.

subtest 'larger than clips may be' => sub {
    my $file = suite_dir() . '/large.mp4';

    system("ffmpeg -v error -f lavfi -i color=size=3840x2160:rate=5:duration=1"
           . " -c:v libx264 -preset ultrafast -pix_fmt yuv420p -y '$file'")
        == 0 or die "ffmpeg made no clip\n";

    my ($id) = made();

    $twin->tell(set => { state => 'done',
                         output => $twin->url . '/files/large.mp4' });
    is($video->ended($id), 'completed');

    my $made = shown($id)->{video};

    is("$made->{width}x$made->{height}", '3840x2160');
    ok($made->{thumbnail_url}, 'it has a thumbnail');
};


subtest 'the provider lies' => sub {
    my $url = $twin->url;

    for my $lie (["$url/files/page.mp4", 'no video'],
                 ["$url/files/cut.mp4", 'a part of one'],
                 ["$url/files/huge.mp4", 'too large'],
                 ["$url/files/around.mp4", 'redirects without an end'],
                 ["$url/files/elsewhere.mp4", 'redirects to another host'],
                 ['http://localhost:1/a.mp4', 'another host'],
                 ['http://169.254.169.254/latest', 'a private address'],
                 ['https://replicate.delivery/a.mp4', 'from elsewhere'],
                 ['file:///etc/passwd', 'a file of ours'])
    {
        my ($id) = made();

        $twin->tell(set => { state => 'done', output => $lie->[0] });
        fails($id, 'PROVIDER_ERROR', $lie->[1]);
    }

    unlike($video->sidecar->log_text, qr/kite|the-key-of-the-twin/,
           'no prompt and no key in the log');
};


is_deeply([sql("SELECT count(*) FROM media_holds")], [0]);
$video->sidecar->stop;
is_deeply([glob $video->sidecar->files . '/*/*.draft'], [], 'no draft left');

done_testing();
