# What comes later: how a task begins, is watched, and ends once.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Pulse::Client qw(http sse_events);
use Pulse::Env 'stores';
use Pulse::Files qw(files_nginx);
use Pulse::Sidecar;
use Test::More;

# who is late is swept here alone

sql("UPDATE job_schedules SET next_at = 'infinity' WHERE kind = 'tasks'");

my $sidecar = Pulse::Sidecar->start;

my $nginx = files_nginx($sidecar);

my $port = $nginx->port;


# A task of a kind that nobody works on: what happens to it is told here.

sub begin {
    my ($user, %o) = @_;

    my $id = uuid();
    my $most = $o{most} // 100;
    my $lasts = $o{lasts} // '1 hour';
    my $take = $o{videos} ? "SELECT media_take('$id', '$user', 2, $o{videos},"
                            . " '2 hours', 'm', 'p', 't');" : '';

    my ($status) = (sql("$take SELECT status FROM task_begin('$id', '$user',"
                        . " 'nothing', '{\"a\": 1, \"b\": null}', '$lasts',"
                        . " $most, 3, 't')"))[-1];

    return $status == 202 ? $id : $status;
}


sub load {
    my ($id) = @_;

    return scalar sql("SELECT status FROM task_load('{\"task\": \"$id\"}')");
}


sub complete {
    my ($id, $amount, $thing, @files) = @_;

    my $list = join ',', @files;

    return scalar sql("SELECT task_complete('$id', '{\"video\": $thing}',"
                      . " '[$list]', '1 day', $amount)");
}


sub api {
    my ($key, $method, $path) = @_;

    return http($method, "/v1/jobs$path", port => $port, bearer => $key,
                limit => 30);
}


sub videos {
    my ($user) = @_;

    return scalar sql("SELECT used || '+' || leased FROM accounts"
                      . " WHERE user_id = '$user' AND kind = 2");
}


my $user = make_user(plan => 'creator', locale => 'en');
my $key = make_key($user);
my $other = make_key(make_user(plan => 'pro'));


# Opened first, as it takes a while until it has something to hear.

my @quiet = (begin($user));

push @quiet, watch($quiet[0]);


subtest 'from the queue to its files' => sub {
    my $id = begin($user, videos => 1);

    is(scalar sql("SELECT kind, key, payload FROM jobs WHERE key = '$id'"),
       "nothing|$id|{\"task\": \"$id\"}");

    my $shown = api($key, GET => "/$id");

    is($shown->{status}, 200);
    is_deeply([@{ $shown->{json}{data} }{qw(job_id kind status progress error
                                            ended_at)}],
              [$id, 'nothing', 'queued', 0, undef, undef]);
    is(api($other, GET => "/$id")->{status}, 404, 'nobody else sees it');
    is(api($other, DELETE => "/$id")->{status}, 404);

    is(load($id), 'processing');
    is(sql("SELECT task_progress('$id', 40)"), 't');
    is(sql("SELECT task_progress('$id', 30)"), 't');
    is(api($key, GET => "/$id")->{json}{data}{progress}, 40,
       'it does not go back');

    my ($file, $poster) = (uuid(), uuid());

    is(complete($id, 1, qq({"file_id": "$file", "thumbnail_id": "$poster",)
                        . ' "duration_s": 8}',
                qq({"id": "$file", "kind": "video", "filename": "a.mp4",)
                . ' "content_type": "video/mp4", "size_bytes": 100,'
                . ' "width": 16, "height": 9}',
                qq({"id": "$poster", "kind": "thumbnail", "filename":)
                . ' "a.jpg", "content_type": "image/jpeg",'
                . ' "size_bytes": 5}'), 't');

    my $data = api($key, GET => "/$id")->{json}{data};

    is_deeply([@$data{qw(status progress)}], ['completed', 100]);
    is($data->{video}{duration_s}, 8);
    is($data->{video}{file_id}, $file);
    ok(!exists $data->{video}{thumbnail_id});
    like($data->{video}{url}, qr{^http://studio\.example/files/$file/a\.mp4\?});
    like($data->{video}{thumbnail_url}, qr{/files/$poster/a\.jpg\?});
    is(videos($user), '1+0');

    is(complete($id, 1, '{}'), 'f', 'once');
    is(sql("SELECT task_fail('$id', 'PROVIDER_ERROR')"), 'f');
    is(sql("SELECT task_progress('$id', 50)"), 'f');
    is(api($key, DELETE => "/$id")->{json}{data}{status}, 'completed',
       'too late to cancel');

    sql("DELETE FROM files WHERE id = '$file'");
    is(api($key, GET => "/$id")->{json}{data}{video}{url}, undef,
       'a file that is gone has no link');
};


subtest 'canceled, failed' => sub {
    my $id = begin($user, videos => 1);

    is(videos($user), '1+1');
    sql("UPDATE jobs SET due_at = now() + interval '1 day'"
        . " WHERE key = '$id'");

    my $data = api($key, DELETE => "/$id")->{json}{data};

    is($data->{status}, 'cancelled');
    is($data->{error}, undef);
    is(videos($user), '1+0', 'what was held is back');
    is(sql("SELECT due_at <= now() FROM jobs WHERE key = '$id'"), 't',
       'its job is woken, to tell the provider');
    is(load($id), 'cancelled');
    is(complete($id, 1, '{}'), 'f', 'what comes then is nobody\'s');

    $id = begin($user, videos => 2);
    load($id);
    is(sql("SELECT task_fail('$id', 'CONTENT_FLAGGED')"), 't');
    is(videos($user), '1+0');
    $data = api($key, GET => "/$id")->{json}{data};
    is_deeply([@$data{qw(status progress)}, $data->{error}{code}],
              ['failed', 0, 'CONTENT_FLAGGED']);
    like($data->{error}{message}, qr/rules/);
};


subtest 'who is late' => sub {
    my $late = begin($user, videos => 1, lasts => '-1 second');
    my $lost = begin($user, videos => 1);
    my $good = begin($user);

    sql("UPDATE jobs SET state = 'dead' WHERE key = '$lost'");
    is(sql('SELECT task_sweep()'), 2);
    is_deeply([map { scalar sql("SELECT status, error FROM tasks"
                                . " WHERE id = '$_'") } $late, $lost, $good],
              ['failed|GATEWAY_TIMEOUT', 'failed|INTERNAL_ERROR',
               'queued|']);
    is(videos($user), '1+0');

    # the hold was ended behind its back

    my $id = begin($user, videos => 1);

    load($id);
    sql("SELECT media_release('$id')");
    is(complete($id, 1, '{}'), 'f', 'nothing is handed out for nothing');
    is(scalar sql("SELECT status, error FROM tasks WHERE id = '$id'"),
       'failed|GATEWAY_TIMEOUT');

    sql("UPDATE tasks SET ended_at = now() - interval '31 days'"
        . " WHERE id = '$late'; SELECT task_sweep()");
    is(api($key, GET => "/$late")->{status}, 404, 'forgotten');
};


subtest 'limits and lists' => sub {
    my $busy = make_user(plan => 'pro');
    my $theirs = make_key($busy);
    my @ids = map { begin($busy, most => 2) } 1 .. 2;

    is(begin($busy, most => 2), 429);
    sql("SELECT task_fail('$ids[0]', 'INTERNAL_ERROR')");
    begin($busy, most => 2);

    my $list = api($theirs, GET => '')->{json}{data};

    is(@{ $list->{jobs} }, 3);
    is($list->{next_cursor}, undef);

    my ($first, @more) = map { $_->{job_id} } @{ $list->{jobs} };

    $list = api($theirs, GET => "?cursor=$first")->{json}{data};
    is_deeply([map { $_->{job_id} } @{ $list->{jobs} }], \@more);
    is(api($theirs, GET => '?cursor=x')->{status}, 400);
};


sub watch {
    my ($id, $by) = @_;

    my $client = Pulse::Client->connect(port => $port);

    $client->request(GET => "/v1/jobs/$id", bearer => $by // $key,
                     headers => { Accept => 'text/event-stream' });

    return $client;
}


subtest 'as a stream' => sub {
    my $id = begin($user);
    my $client = watch($id);

    like($client->read_until(qr/"queued".*\n\n/s, 20),
         qr{^HTTP/1\.1 200.*text/event-stream}s);

    load($id);
    sql("SELECT task_progress('$id', 25)");
    ok($client->read_until(qr/"status":"processing","progress":25\}\r?\n/, 20));

    complete($id, 0, '{"duration_s": 3}');

    my $response = $client->response(20);

    is($response->{complete}, 1, 'it ends with the task');
    like($response->{body}, qr/^event: progress\ndata: \{"job_id"/m);
    like($response->{body}, qr/^event: completed\ndata: .*"duration_s": ?3/m);
    $client->leave;

    $client = watch($id);
    like($client->response(20)->{body}, qr/\Aevent: completed\ndata: /,
         'one that has ended');
    $client->leave;

    $client = watch(uuid());
    is($client->response(20)->{status}, 404);
    $client->leave;

    $id = begin($user);
    $client = watch($id);
    $client->read_until(qr/"queued".*\n\n/s, 20);
    sql("DELETE FROM tasks WHERE id = '$id'");
    is($client->response(20)->{complete}, 1, 'one that is no more');
};


subtest 'a stream where nothing happens' => sub {
    my ($id, $client) = @quiet;

    # after 15 looks, of one a second

    ok($client->read_until(qr/^: it goes on\r?\n/m, 60),
       'a comment says that it goes on');

    load($id);
    complete($id, 0, '{"duration_s": 3}');

    my $response = $client->response(20);

    is($response->{complete}, 1, 'it ends as others do');
    like($response->{body}, qr/^event: completed\ndata: /m);
    is(scalar(() = $response->{body} =~ /^: it goes on\n\n/mg), 1,
       'after one comment');
};


subtest 'many listeners' => sub {
    my $mine = make_user(plan => 'pro');
    my $bearer = make_key($mine);
    my $id = begin($mine);
    my @clients = map { watch($id, $bearer) } 1 .. 8;

    ok($_->read_until(qr/queued/, 20)) for @clients;

    is(watch($id, $bearer)->response(20)->{status}, 429);
    is(api($bearer, GET => "/$id")->{status}, 200, 'no thread is held');

    # who leaves is found out, and makes room

    $_->leave for splice @clients, 0, 4;
    load($id);

    ok(wait_until {
        my $client = watch($id, $bearer);
        my $status = $client->read_until(qr{^HTTP/1\.1 (\d+)}, 20);

        push @clients, $client;
        $status =~ /200/;
    } 30);

    is($sidecar->stop, 0, 'the streams end with the sidecar');
    unlike($_->response(20)->{body}, qr/completed/) for @clients[0 .. 3];
};


sql("SELECT media_release(id) FROM media_holds");
done_testing();
