# Idempotency-Key: whoever asks again gets the first answer, and however many
# ask, on however many nodes, whatever dies, nothing is spent twice.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'own';
use Pulse::Answers qw(answer);
use Pulse::Client qw(http);
use Pulse::Dialect qw(question understood);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Process qw(file_limit);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @spoken = qw(openai anthropic gemini responses);

my @nodes = map { node($_) } qw(a b);
my ($node, $other) = @nodes;

my $user = make_user(plan => 'creator', tokens => 1_000_000_000);
my $key = make_key($user);
my ($rows, $keys) = (0, 0);


sub node {
    my ($name) = @_;

    local $ENV{TEST_NGINX_PULSE_JOURNAL} = suite_dir() . "/journal-$name";

    return gateway_nginx(
        workers => 2,
        http => join('', map {
            provider($_, "$url/$_", "dialect $_; models $_-*;")
        } @spoken)
            . provider('drained', "$url/openai",
                       'dialect openai; models drained-*;
                        client_gone drain;'),
    )->run;
}


sub fresh { 'key-' . ++$keys }


# ask(dialect, key, of question(), node => n, bearer => text)

sub ask {
    my ($dialect, $idempotency, %o) = @_;

    my ($path, $body) = question($dialect, max => 500, model => "openai-1",
                                 %o);

    return http(POST => $path, port => ($o{node} // $node)->port,
                bearer => $o{bearer} // $key, json => $body, limit => 30,
                headers => { 'Idempotency-Key' => $idempotency });
}


# several at once, each on a connection of its own

sub start {
    my ($dialect, $idempotency, %o) = @_;

    my $client = Pulse::Client->connect(port => ($o{node} // $node)->port);
    my ($path, $body) = question($dialect, max => 500, model => "openai-1",
                                 %o);

    $client->request(POST => $path, bearer => $o{bearer} // $key,
                     json => $body, close => 1,
                     headers => { 'Idempotency-Key' => $idempotency });

    return $client;
}


# so many rows more than before, and so many requests to the provider

sub spent {
    my ($n, $requests, $name) = @_;

    $rows += $n;
    is(scalar ledger($user, $rows), $rows, "$name: $n in the ledger");
    is(scalar $replay->requests($requests), $requests,
       "$name: $requests at the provider");
}


sub state_of {
    my ($idempotency) = @_;

    return sql("SELECT CASE WHEN status IS NOT NULL THEN 'kept'
                            WHEN ended_at IS NOT NULL THEN 'ended'
                            ELSE 'running' END
                FROM idempotency WHERE key = '$idempotency'") // 'none';
}


sub kept {
    my ($idempotency) = @_;

    wait_until { state_of($idempotency) eq 'kept' } 10;
    is(state_of($idempotency), 'kept', 'the answer is kept');
}


# the code of an error in the shape of the dialect, and what it says

sub refused {
    my ($reply, $status, $reason, $name) = @_;

    is($reply->{status}, $status, $name);
    like($reply->{body}, qr/$reason/, "$name: says why");
}


sub again_is {
    my ($reply, $again, $name) = @_;

    is($again->{status}, $reply->{status}, "$name: the status");
    is($again->{body}, $reply->{body}, "$name: the bytes");
    is($again->{headers}{'idempotent-replayed'}, 'true', "$name: says so");
    is($reply->{headers}{'idempotent-replayed'}, undef,
       "$name: the first does not");

    for my $header (qw(content-type x-usage-event x-pulse-provider
                       x-pulse-model x-usage-clamped)) {
        is($again->{headers}{$header}, $reply->{headers}{$header},
           "$name: $header");
    }
}


subtest 'every dialect, plain and as a stream, by every provider' => sub {
    for my $dialect (qw(openai studio anthropic gemini responses)) {
        for my $stream (0, 1) {
            for my $speaks ($dialect eq 'studio' ? 'openai' : $dialect,
                            $dialect eq 'anthropic' ? 'gemini'
                                                    : 'anthropic') {
                my $name = "$dialect by $speaks" . ($stream ? ', stream' : '');
                my $id = fresh();
                my @what = (stream => $stream, model => "$speaks-1");

                $replay->play(answer($speaks, { text => "for $name" },
                                     stream => $stream));

                my $reply = ask($dialect, $id, @what);

                is($reply->{status}, 200, $name);
                is(understood($dialect, $reply, $stream)->{text},
                   "for $name", "$name: is understood");
                kept($id);

                again_is($reply, ask($dialect, $id, @what, node => $_), $name)
                    for @nodes;
                spent(1, 1, $name);
            }
        }
    }
};


subtest 'embeddings' => sub {
    my $id = fresh();
    my $embed = sub {
        http(POST => '/v1/embeddings', port => $_[0]->port, bearer => $key,
             json => { model => 'openai-1', input => $_[1] },
             headers => { 'Idempotency-Key' => $id });
    };

    $replay->play({ json => { object => 'list', model => 'm',
        data => [{ object => 'embedding', index => 0, embedding => [1, 2] }],
        usage => { prompt_tokens => 3, total_tokens => 3 } } });

    my $reply = $embed->($node, 'hi');

    is($reply->{status}, 200);
    kept($id);
    again_is($reply, $embed->($other, 'hi'), 'embeddings');
    refused($embed->($other, 'ho'), 409, 'another request', 'of another');
    spent(1, 1, 'embeddings');
};


subtest 'another request with the key' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }));

    my $reply = ask('openai', $id);
    kept($id);

    my $wrong = ask('openai', $id, text => 'ho');

    refused($wrong, 409, 'another request', 'another body');
    is($wrong->{json}{error}{code}, 'IDEMPOTENCY_MISMATCH');
    is($wrong->{headers}{'x-should-retry'}, 'false', 'SDKs give up');

    refused(ask('anthropic', $id), 409, 'another request', 'another path');

    $wrong = ask('studio', $id)->{json}{error};
    is($wrong->{code}, 'IDEMPOTENCY_MISMATCH', 'in the shape of the studio');

    my $second = make_user(plan => 'pro');

    is(ask('openai', $id, bearer => make_key($second))->{headers}
           {'idempotent-replayed'}, undef, 'of another person it is another');
    is(scalar ledger($second, 1), 1, 'who pays for it');
    spent(1, 2, 'mismatch');
};


subtest 'what is no key' => sub {
    $replay->play(answer('openai', { text => 'x' }));

    refused(ask('openai', $_), 400, 'Idempotency-Key is not', 'no key')
        for '', 'a b', "caf\x{e9}", 'x' x 256;

    is(ask('openai', '~' x 255)->{status}, 200, 'the longest there is');
    spent(1, 1, 'no key');
};


subtest 'twenty at once on two nodes of two workers' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'once' }, first => 1));

    my @clients = map { start('openai', $id, node => $nodes[$_ % 2]) }
                  1 .. 20;
    my @replies = map { $_->response(30) } @clients;

    is(scalar(grep { $_->{status} == 200 } @replies), 20, 'all are answered');
    is(scalar(grep { $_->{body} eq $replies[0]{body} } @replies), 20,
       'with the same');
    is(scalar(grep { !$_->{headers}{'idempotent-replayed'} } @replies), 1,
       'one of them first');
    spent(1, 1, 'twenty');
};


subtest 'the first has all there is left' => sub {
    my $poor = make_user(plan => 'pro', tokens => 1000);
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }, first => 1));

    my @clients = map {
        my $client = Pulse::Client->connect(port => $node->port);
        my ($path, $body) = question('openai', max => 5000,
                                     model => 'openai-1');
        $client->request(POST => $path, bearer => make_key($poor),
                         json => $body, close => 1,
                         headers => { 'Idempotency-Key' => $id });
        $client;
    } 1 .. 2;

    is_deeply([map { $_->response(30)->{status} } @clients], [200, 200],
              'the second is not refused');
    is(scalar ledger($poor, 1), 1, 'one is charged');
};


# It has reserved all, and nobody sees yet that the key is its own.

subtest 'the first has all there is left, and its claim waits' => sub {
    my $bearer = make_key(make_user(plan => 'pro', tokens => 1000));
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }));

    my @all = (bearer => $bearer, max => 5000);
    my ($first, $lock) = claim_waits($id, @all);
    my $second = start('openai', $id, @all);

    $second->heard;
    $lock->end('ROLLBACK');

    is_deeply([map { $_->response(30)->{status} } $first, $second],
              [200, 200], 'the second is not refused');
};


subtest 'the first takes too long' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }, held => 1));

    my $first = start('openai', $id);
    $replay->requests(1);

    my $reply = ask('openai', $id, node => $other);

    refused($reply, 409, 'still running', 'not waited for any longer');
    is($reply->{headers}{'retry-after'}, 1, 'when to come again');
    is($reply->{headers}{'x-should-retry'}, undef, 'SDKs do');

    $replay->release;
    $reply = $first->response(30);

    is($reply->{status}, 200, 'the first is answered');
    kept($id);
    again_is($reply, ask('openai', $id, node => $other), 'later');
    spent(1, 1, 'too long');
};


subtest 'an error that cost nothing frees the key' => sub {
    my $id = fresh();

    $replay->play({ status => 400, json => { error => {
                        message => 'no', type => 'invalid_request_error' } } },
                  { status => 500, json => { error => { message => 'x' } } },
                  answer('openai', { text => 'x' }));

    is(ask('openai', $id)->{status}, 400, 'refused by the provider');
    is(ask('openai', $id)->{status}, 503, 'failed');
    is(ask('openai', $id)->{status}, 200, 'the key is free');
    spent(1, 3, 'errors');
};


subtest 'a client that leaves' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }, held => 1));

    my $client = start('openai', $id);
    $replay->requests(1);
    $client->reset;
    $replay->release;

    my $reply = ask('openai', $id, node => $other);

    is($reply->{status}, 200, 'asks again');
    is($reply->{headers}{'idempotent-replayed'}, 'true',
       'and gets what was made meanwhile');
    is(understood('openai', $reply, 0)->{text}, 'x', 'whole');
    spent(1, 1, 'plain');
    is(scalar(grep { $_->{event} eq 'aborted' } $replay->events), 0,
       'the provider was read to its end');

    $id = fresh();
    $replay->play(answer('openai', { text => 'one two three' }, stream => 1,
                         cut => 400, hang => 1));

    $client = start('openai', $id, stream => 1);
    $client->read_until(qr/chat.completion.chunk/);
    $client->reset;

    wait_until { state_of($id) eq 'ended' } 10;

    my $event = sql("SELECT event_id FROM idempotency WHERE key = '$id'");

    $reply = ask('openai', $id, stream => 1);
    refused($reply, 409, 'the answer was not kept', 'a stream was ended');
    is($reply->{headers}{'x-usage-event'}, $event, 'its receipt');
    is($reply->{headers}{'x-should-retry'}, 'false', 'SDKs give up');
    is(ask('studio', $id)->{status}, 409, 'another body is another');
    spent(1, 1, 'stream');
};


subtest 'an answer that is too long to keep' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' x 1_100_000 }));

    is(ask('openai', $id)->{status}, 200, 'is given');
    wait_until { state_of($id) eq 'ended' } 10;
    refused(ask('openai', $id), 409, 'the answer was not kept', 'once');
    spent(1, 1, 'too long');
};


subtest 'workers are killed in mid-answer' => sub {
    for my $stream (0, 1) {
        my $id = fresh();

        $replay->play(answer('openai', { text => 'one two' },
                             stream => $stream, hang => 1,
                             $stream ? (cut => 400) : ()));

        my $client = start('openai', $id, stream => $stream);
        $replay->requests(1);
        $client->read_until(qr/chat.completion.chunk/) if $stream;

        kill KILL => $node->workers;

        my $reply = ask('openai', $id, stream => $stream, node => $other);

        refused($reply, 409, 'the answer was not kept', "stream $stream");
        spent(1, 1, "killed, stream $stream");
        $client->leave;
        wait_until { 2 == (() = $node->workers) } 10;
    }

    $node->excuse('exited on signal 9');
};


subtest 'a node is killed in mid-answer' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }, hang => 1));

    my $client = start('openai', $id);
    $replay->requests(1);

    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');

    my $reply = ask('openai', $id, node => $other);

    refused($reply, 409, 'still running', 'while nobody knows');
    ok($node->start, 'it comes back');
    wait_until { state_of($id) eq 'ended' } 15;
    refused(ask('openai', $id, node => $other), 409,
            'the answer was not kept', 'it was spent');
    spent(1, 1, 'node');
    $client->leave;
};


subtest 'a node never returns' => sub {
    my $id = fresh();
    my $journal = suite_dir() . '/journal-a';

    $replay->play(answer('openai', { text => 'x' }, hang => 1),
                  answer('openai', { text => 'anew' }));

    my $client = start('openai', $id);
    $replay->requests(1);

    my $event = sql("SELECT event_id FROM idempotency WHERE key = '$id'");

    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');
    rename $journal, "$journal.away" or die "$journal: $!\n";
    $client->leave;

    # as the sidecar does, when the node was not seen for long enough

    sql("UPDATE nodes SET seen_at = seen_at - interval '1 hour'
         WHERE name = 'test' AND incarnation = (SELECT incarnation
             FROM idempotency WHERE key = '$id')");
    sql("SELECT lease_sweep('1 second')");

    my $reply = ask('openai', $id, node => $other);

    is($reply->{status}, 200, 'the key is taken over');
    is($reply->{headers}{'idempotent-replayed'}, undef, 'and answered anew');
    isnt($reply->{headers}{'x-usage-event'}, $event, 'as another event');
    spent(1, 2, 'taken over');

    # what is found at last charges nobody

    rename "$journal.away", $journal or die "$journal: $!\n";
    ok($node->start, 'it comes back');
    wait_until { 1 == (() = glob "$journal/*.journal") } 15;
    is(scalar(() = glob "$journal/*.journal"), 1, 'its journal is replayed');
    is(sql("SELECT count(*) FROM usage_events WHERE id = '$event'"), 0,
       'the first is not charged');
    again_is($reply, ask('openai', $id), 'asked again on it');
    spent(0, 2, 'never twice');
};


# The claim waits in the store, and who made it is gone or has given it up.

sub claim_waits {
    my ($id, %o) = @_;

    my $lock = transaction('LOCK TABLE idempotency IN SHARE MODE');
    my $client = start('openai', $id, %o);

    wait_until {
        sql("SELECT count(*) FROM pg_stat_activity
             WHERE query LIKE '%idempotency_claim(%'
             AND wait_event_type = 'Lock'")
    } 10;

    return ($client, $lock);
}


for my $what ('a worker is killed', 'a node is killed', 'the answer is lost') {
    subtest "$what between reservation and claim" => sub {
        my $id = fresh();
        my ($client, $lock) = claim_waits($id);

        $replay->play(answer('openai', { text => 'x' }));

        if ($what =~ /worker/) {
            kill KILL => $node->workers;

        } elsif ($what =~ /node/) {
            kill KILL => $node->pid, $node->workers;
            $node->stop('KILL');
            ok($node->start, 'it comes back');

        } else {
            is($client->response(20)->{status}, 503, 'it is not waited for');
        }

        $lock->end('ROLLBACK');
        $client->leave;

        my $reply = ask('openai', $id, node => $other);

        is($reply->{status}, 200, 'the key is free: nobody was asked');
        is($reply->{headers}{'idempotent-replayed'}, undef,
           'the answer is the first');
        spent(1, 1, $what);
        kept($id);
        again_is($reply, ask('openai', $id, node => $other), 'then');
        $node->excuse('exited on signal 9');
    };
}


# The claim is in the store, and that a provider is asked cannot be noted: so
# nobody is, and the cancel waits for room.

subtest 'the disk is full between claim and asking' => sub {
    my $id = fresh();
    my ($client, $lock) = claim_waits($id);
    my @workers = $node->workers;

    $replay->play(answer('openai', { text => 'x' }));
    file_limit(1, @workers) or die "prlimit failed\n";
    $lock->end('ROLLBACK');

    my $reply = $client->response(20);

    is($reply->{status}, 503, 'it is not admitted');
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE', 'with its code');
    ok($reply->{headers}{'retry-after'}, 'when to come again');
    is(scalar $replay->requests(0), 0, 'nobody was asked');
    is(state_of($id), 'running', 'the key is held for as long');

    file_limit('unlimited', @workers);
    wait_until { state_of($id) eq 'none' } 15;
    is(state_of($id), 'none', 'and free when there is room');

    $reply = ask('openai', $id, node => $other);

    is($reply->{status}, 200, 'for whoever asks again');
    is($reply->{headers}{'idempotent-replayed'}, undef,
       'the answer is the first');
    spent(1, 1, 'a full disk');
    $node->excuse('write failed, nothing is admitted');
};


subtest 'a client leaves the stream of a provider that is drained' => sub {
    my $id = fresh();
    my @what = (stream => 1, model => 'drained-1');

    $replay->play(answer('openai', { text => 'one two three' }, stream => 1,
                         step => 200, delay => 0.2));

    my $client = start('openai', $id, @what);
    $client->read_until(qr/chat.completion.chunk/);
    $client->reset;

    my $reply = ask('openai', $id, @what, node => $other);

    is($reply->{status}, 200, 'asks again');
    is($reply->{headers}{'idempotent-replayed'}, 'true', 'for the first');
    is(understood('openai', $reply, 1)->{text}, 'one two three', 'all of it');
    spent(1, 1, 'drained');
};


subtest 'the store goes as the answer is kept' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }, held => 1));

    my $client = start('openai', $id);
    $replay->requests(1);
    postgres->stop('QUIT');
    $replay->release;

    is($client->response(20)->{status}, 200, 'the client has it');
    postgres->start;
    wait_until { eval { state_of($id) } eq 'ended' } 20;

    # the other node may not have found it again yet

    my $reply;

    wait_until {
        ($reply = ask('openai', $id, node => $other))->{status} != 503;
    } 20;

    refused($reply, 409, 'the answer was not kept', 'the store has not');
    spent(1, 1, 'not kept');
};


subtest 'Redis is gone' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }));
    redis->command('FLUSHALL');

    my $reply = ask('openai', $id);
    kept($id);

    redis->command('FLUSHALL');
    again_is($reply, ask('openai', $id, node => $other), 'flushed');

    redis->stop;
    again_is($reply, ask('openai', $id, node => $other), 'down');

    $id = fresh();
    is(ask('openai', $id)->{status}, 200, 'a new one without it');
    kept($id);
    is(ask('openai', $id)->{headers}{'idempotent-replayed'}, 'true');
    spent(2, 2, 'Redis');
    redis->start;
};


subtest 'Postgres is gone' => sub {
    my $id = fresh();

    $replay->play(answer('openai', { text => 'x' }));
    is(ask('openai', fresh())->{status}, 200, 'there is a lease');

    postgres->stop;

    my $reply = ask('openai', $id);

    is($reply->{status}, 503, 'nothing is spent without it');
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE');
    ok($reply->{headers}{'retry-after'}, 'when to come again');
    is(scalar $replay->requests(1), 1, 'the provider was not asked');

    postgres->start;
    wait_until { ask('openai', $id)->{status} == 200 } 20;
    spent(2, 2, 'Postgres');
};


subtest 'a claim that comes after its cancel is none' => sub {
    my ($id, $event) = (fresh(), uuid());

    sql(qq{SELECT * FROM usage_record('$event',
           '[{"id": "$event", "user_id": "$user", "kind": 0, "period": 0,
              "claimed": true, "canceled": true}]')});
    is(sql("SELECT state FROM idempotency_claim('$user', '$id', 'x',
                                                '$event')"), 'claimed');

    $replay->play(answer('openai', { text => 'x' }));
    is(ask('openai', $id)->{status}, 200, 'the key is free');
    kept($id);
    spent(1, 1, 'late');
};


subtest 'a day later' => sub {
    my $id = fresh();
    my $find = sub {
        (sql("SET pulse.now = '$_[0]';
              SELECT coalesce(f.state, 'free') FROM idempotency i,
                  idempotency_find(user_id, key, hash) f
              WHERE key = '$id'"))[-1];
    };

    $replay->play(answer('openai', { text => 'x' }));

    ask('openai', $id);
    kept($id);

    sql("UPDATE idempotency SET created_at = '2027-03-27T23:30Z'
         WHERE key = '$id'");

    is($find->('2027-03-28T23:29:59Z'), 'kept', 'to the second');
    is($find->('2027-03-28T23:30Z'), 'free');

    sql("SET pulse.now = '2027-03-28T23:29:59Z'; SELECT idempotency_sweep()");
    is(state_of($id), 'kept', 'the sidecar keeps it so long');

    sql("UPDATE idempotency SET created_at = now() - interval '24 hours'
         WHERE key = '$id'");
    is(ask('openai', $id, text => 'ho')->{headers}{'idempotent-replayed'},
       undef, 'then the key is another');
    kept($id);
    sql("UPDATE idempotency SET created_at = now() - interval '24 hours'
         WHERE key = '$id'; SELECT idempotency_sweep()");
    is(state_of($id), 'none', 'and is forgotten');
    spent(2, 2, 'day');
};


is(sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'"), $rows,
   'nothing was spent twice');
is_deeply([sql('SELECT * FROM usage_audit()')], [], 'the audit is clean');

for my $nginx (@nodes) {
    like(http(GET => '/metrics', port => $nginx->port)->{body},
         qr/^pulse_idempotency_total\{outcome="replayed"\} [1-9]/m, 'counted');
    is($nginx->stop, undef, 'it ends');
    is_deeply([$nginx->problems], [], 'its log is clean');
}

done_testing;
