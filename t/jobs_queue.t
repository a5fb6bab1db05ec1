# The queue of jobs: order, leases, attempts, keys, schedules, pulsectl.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Ctl qw(ctl ctl_json);
use Pulse::Env 'own', 'no_audit';
use Pulse::Sidecar;
use Test::More;


sub add {
    my ($kind, %o) = @_;

    my $key = defined $o{key} ? "'$o{key}'" : 'NULL';

    return sql("SELECT job_add('$kind', '{}', $key, @{[ $o{priority} // 0 ]},"
               . " now() + interval '@{[ $o{after} // 0 ]} s',"
               . " @{[ $o{attempts} // 10 ]})");
}


# id, token, attempt

sub take {
    my ($kinds, $lease) = @_;

    my $row = sql("SELECT id, token, attempt"
                  . " FROM job_take('{$kinds}', '@{[ $lease // '1 hour' ]}')");

    return defined $row ? split /\|/, $row : ();
}


sub refusal {
    my ($statement) = @_;

    return sql("DO \$\$ BEGIN PERFORM $statement; EXCEPTION WHEN OTHERS THEN"
               . " PERFORM set_config('test.said', sqlerrm, false); END \$\$;"
               . " SELECT current_setting('test.said', true)");
}


subtest 'what is urgent and due goes first' => sub {
    my $late = add('a', after => 3600, priority => 9);
    my $low = add('a', priority => -1);
    my $first = add('a');
    my $other = add('b', priority => 5);
    my $second = add('a');
    my $high = add('a', priority => 1);

    my @order = map { (take('a'))[0] } 1 .. 4;

    is_deeply(\@order, [$high, $first, $second, $low]);
    is_deeply([take('a')], [], 'what is not due waits');
    is_deeply([take('c')], [], 'and so does what nobody does');

    my ($wait) = sql("SELECT jobs_wait('{a}') BETWEEN 3500000 AND 3600000,"
                     . " jobs_wait('{b}'), jobs_wait('{c}')");

    is($wait, 't|0|86400000', 'it is known how long');
    is((take('a,b'))[0], $other, 'several kinds are one queue');

    sql('DELETE FROM jobs');
};


subtest 'a key is one job, also when that has ended' => sub {
    my $id = add('a', key => 'k');

    is(add('a', key => 'k'), '', 'twice is once');
    isnt(add('b', key => 'k'), '', 'of another kind it is another');

    my (undef, $token) = take('a');

    sql("SELECT job_done($id, '$token')");
    is(add('a', key => 'k'), '', 'what was done is not done again');

    sql("UPDATE jobs SET ended_at = now() - interval '31 days'"
        . " WHERE id = $id; SELECT jobs_sweep()");
    isnt(add('a', key => 'k'), '', 'for as long as it is remembered');

    sql('DELETE FROM jobs');
};


subtest 'a lease' => sub {
    my $id = add('a', attempts => 2);
    my (undef, $first, $attempt) = take('a');

    is($attempt, 1);
    is_deeply([take('a')], [], 'keeps others away');

    sql("UPDATE jobs SET due_at = now() WHERE id = $id");

    (undef, my $second, $attempt) = take('a');

    is($attempt, 2, 'and when it has run out another one begins');
    like(refusal("job_done($id, '$first')"), qr/lease of job $id is gone/,
         'whose end is not the first one\'s');
    like(refusal("job_retry($id, '$first', 'x')"), qr/lease of job/);
    sql("SELECT job_release($id, '$first')");
    is(sql("SELECT state, token FROM jobs WHERE id = $id"),
       "running|$second");

    sql("UPDATE jobs SET due_at = now() WHERE id = $id");
    is_deeply([take('a')], [], 'the last one that does not end');
    is(sql("SELECT state, error FROM jobs WHERE id = $id"),
       'dead|its last attempt did not end', 'leaves it dead');

    sql('DELETE FROM jobs');
};


subtest 'what fails comes later and later' => sub {
    my $id = add('a', attempts => 15);
    my $due = "extract(epoch FROM due_at - now())";

    for my $attempt (1 .. 14) {
        my (undef, $token) = take('a');
        my $least = 2 ** $attempt;

        $least = 3600 if $least > 3600;

        # by one clock

        my ($state, $when) = sql(
            "BEGIN; SELECT job_retry($id, '$token', 'why');"
            . " SELECT $due BETWEEN $least - 1 AND 2 * $least, error"
            . " FROM jobs WHERE id = $id; COMMIT");

        is($state, 'waiting');
        is($when, 't|why', "attempt $attempt");
        sql("UPDATE jobs SET due_at = now() WHERE id = $id");
    }

    my (undef, $token) = take('a');

    is(sql("SELECT job_retry($id, '$token', 'enough')"), 'dead');
    is(sql("SELECT state, error, ended_at IS NOT NULL FROM jobs"
           . " WHERE id = $id"), 'dead|enough|t');

    $id = add('b');
    (undef, $token) = take('b');

    sql("SELECT job_retry($id, '$token', 'busy', '7 minutes')");
    is(sql("SELECT $due BETWEEN 410 AND 420 FROM jobs WHERE id = $id"), 't',
       'or when it was told to');

    my @ids = map { add('c') } 1 .. 20;

    for (@ids) {
        my ($one, $token) = take('c');
        sql("SELECT job_retry($one, '$token', 'x')");
    }

    cmp_ok(sql("SELECT count(DISTINCT due_at) FROM jobs WHERE kind = 'c'"),
           '>', 15, 'what failed together does not come back together');

    sql('DELETE FROM jobs');
};


subtest 'two that did the same work have one effect' => sub {
    sql('CREATE TABLE effects (n integer)');

    my $id = add('a');
    my (undef, $first) = take('a');

    sql("UPDATE jobs SET due_at = now()");

    my (undef, $second) = take('a');

    for my $token ($second, $first) {
        sql("DO \$\$ BEGIN INSERT INTO effects VALUES (1);"
            . " PERFORM job_done($id, '$token'); EXCEPTION WHEN OTHERS THEN"
            . " NULL; END \$\$");
    }

    is(sql('SELECT count(*) FROM effects'), 1);

    sql('DELETE FROM jobs');
};


subtest 'many workers take each job once' => sub {
    my $jobs = 400;

    sql("SELECT job_add('a', '{}') FROM generate_series(1, $jobs)");
    sql('CREATE TABLE taken (id bigint)');

    my @workers = map {
        my $pid = fork() // die;

        if ($pid == 0) {
            my $work = "WITH j AS (SELECT id, token"
                . " FROM job_take('{a}', '1 hour')), d AS (SELECT"
                . " job_done(id, token) FROM j) INSERT INTO taken SELECT id"
                . " FROM j, d";

            sql(join ';', ($work) x ($jobs / 2));
            POSIX::_exit(0);
        }

        $pid;
    } 1 .. 4;

    waitpid $_, 0 for @workers;

    is(sql('SELECT count(*), count(DISTINCT id) FROM taken'), "$jobs|$jobs");
    is(sql("SELECT count(*) FROM jobs WHERE state = 'done' AND attempt = 1"),
       $jobs);

    sql('DELETE FROM jobs');
};


subtest 'a time that comes has one job, however many look' => sub {
    sql("UPDATE job_schedules SET next_at = 'infinity';"
        . " INSERT INTO job_schedules (kind, every, next_at, catch_up) VALUES"
        . " ('each', '1 day', '2027-01-30T00:10Z', true),"
        . " ('month', '1 month', '2027-01-01T00:20Z', true),"
        . " ('latest', '1 hour', '2027-01-30T00:00Z', false)");

    my @watches = map {
        my $pid = fork() // die;

        if ($pid == 0) {
            sql("SET pulse.now = '2027-02-02T00:10Z';"
                . ' SELECT jobs_schedule();' x 20);
            POSIX::_exit(0);
        }

        $pid;
    } 1 .. 4;

    waitpid $_, 0 for @watches;

    is_deeply([sql("SELECT kind, payload ->> 'at' FROM jobs"
                   . " ORDER BY kind, id")],
              ['each|2027-01-30T00:10:00.000Z', 'each|2027-01-31T00:10:00.000Z',
               'each|2027-02-01T00:10:00.000Z', 'each|2027-02-02T00:10:00.000Z',
               'latest|2027-02-02T00:00:00.000Z',
               'month|2027-01-01T00:20:00.000Z',
               'month|2027-02-01T00:20:00.000Z']);
    is_deeply([sql("SELECT kind, rfc3339(next_at) FROM job_schedules"
                   . " WHERE next_at < 'infinity' ORDER BY kind")],
              ['each|2027-02-03T00:10:00.000Z',
               'latest|2027-02-02T01:00:00.000Z',
               'month|2027-03-01T00:20:00.000Z']);

    sql("SET pulse.now = '2027-02-02T05:10Z'; SELECT jobs_schedule()");
    is(sql("SELECT count(*) FROM jobs WHERE kind = 'latest'"), 1,
       'one that still waits is enough');

    sql('DELETE FROM jobs; DELETE FROM job_schedules'
        . " WHERE kind NOT IN ('retention', 'files')");
};


subtest 'pulsectl' => sub {
    my $dead = add('a', key => 'x', attempts => 1);
    my (undef, $token) = take('a');

    sql("SELECT job_fail($dead, '$token', 'no such thing')");

    my $waits = add('b', after => 3600);
    my $runs = add('c');

    take('c');

    is_deeply([map { "$_->{id} $_->{state}" } @{ ctl_json('jobs', 'list') }],
              ["$runs running", "$waits waiting", "$dead dead"]);

    my $list = ctl_json('jobs', 'list', '--state', 'dead', '--kind', 'a');

    is(scalar @$list, 1);
    is($list->[0]{error}, 'no such thing');
    is($list->[0]{key}, 'x');
    is(scalar @{ ctl_json('jobs', 'list', '--limit', 2) }, 2);

    is(ctl_json('jobs', 'show', $dead)->{payload}, '{}');
    is(ctl_json('jobs', 'retry', $dead)->{retried}, 1);
    is(sql("SELECT state, attempt, ended_at IS NULL FROM jobs"
           . " WHERE id = $dead"), 'waiting|0|t');

    sql("UPDATE jobs SET state = 'dead' WHERE id IN ($dead, $waits)");

    is(ctl_json('jobs', 'retry', '--dead', '--kind', 'b')->{retried}, 1);
    is(ctl_json('jobs', 'retry', '--dead')->{retried}, 1);
    is(ctl_json('jobs', 'drop', $dead)->{dropped}, $dead);
    is(sql("SELECT count(*) FROM jobs WHERE id = $dead"), 0);

    my @refused = (
        [['jobs', 'show', 999999], 1, qr/there is no job 999999/],
        [['jobs', 'retry', 999999], 1, qr/there is no job/],
        [['jobs', 'retry', $runs], 1, qr/job $runs is running/],
        [['jobs', 'drop', $runs], 1, qr/job $runs is running/],
        [['jobs', 'drop', 'x'], 1, qr/invalid input syntax/],
        [['jobs', 'list', '--state', 'odd'], 1, qr/not "odd"/],
        [['jobs', 'run', 'nothing'], 1, qr/nothing is scheduled as/],
        [['jobs', 'retry'], 2, qr/usage/],
        [['jobs', 'retry', '--kind', 'b'], 2, qr/--kind goes with --dead/],
        [['jobs', 'show'], 2, qr/usage/],
    );

    for (@refused) {
        my ($words, $status, $said) = @$_;
        my ($got, undef, $err) = ctl(@$words);

        is($got, $status, "@$words");
        like($err, $said);
    }

    sql('DELETE FROM jobs');
};


my $sidecar = Pulse::Sidecar->start;


# The statement of a kind, as this suite wants it to be.

sub retention {
    my ($body) = @_;

    sql("CREATE OR REPLACE FUNCTION retention_sweep() RETURNS void"
        . " LANGUAGE plpgsql AS \$\$ BEGIN $body END \$\$");
}


sub ended {
    my ($id) = @_;

    return wait_until {
        sql("SELECT state FROM jobs WHERE id = $id AND ended_at IS NOT NULL")
    } 10;
}


subtest 'the sidecar does it' => sub {
    retention('INSERT INTO effects VALUES (2);');

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    is(ended($id), 'done');
    is(sql('SELECT count(*) FROM effects WHERE n = 2'), 1);
    is(sql("SELECT attempt, token IS NULL, error IS NULL FROM jobs"
           . " WHERE id = $id"), '1|t|t');
};


subtest 'and again, if a statement fails' => sub {
    sql('CREATE TABLE ready ()');
    retention("INSERT INTO effects VALUES (3);"
              . " IF NOT EXISTS (SELECT FROM ready)"
              . " THEN RAISE EXCEPTION 'not yet'; END IF;");

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    ok(wait_until {
        sql("SELECT 1 FROM jobs WHERE id = $id AND error = 'not yet'"
            . " AND state = 'waiting'")
    } 10);

    is(sql('SELECT count(*) FROM effects WHERE n = 3'), 0,
       'of which nothing is left');
    sql('INSERT INTO ready DEFAULT VALUES');
    is(ended($id), 'done', 'without being told');
    is(sql('SELECT count(*) FROM effects WHERE n = 3'), 1);
    like($sidecar->log_text, qr/retention $id comes again: not yet/);
};


# 'خ' is two bytes, and what is kept of a cause ends between them

subtest 'whatever the cause is' => sub {
    retention("RAISE EXCEPTION '%', repeat(chr(1582), 400);");

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    ok(wait_until {
        sql("SELECT 1 FROM jobs WHERE id = $id AND state = 'waiting'"
            . " AND error = repeat(chr(1582), 255)")
    } 30);

    retention('NULL;');
    is(ended($id), 'done');
};


subtest 'until it is dead, and then for an operator' => sub {
    retention("RAISE EXCEPTION 'broken';");

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    ok(wait_until {
        sql("UPDATE jobs SET due_at = now() WHERE id = $id"
            . " AND state = 'waiting' AND attempt > 0 AND due_at > now();"
            . ' NOTIFY jobs');
        sql("SELECT 1 FROM jobs WHERE id = $id AND state = 'dead'")
    } 60);

    is(sql("SELECT attempt, error FROM jobs WHERE id = $id"), '10|broken');
    ok(wait_until { $sidecar->log_text
                    =~ /retention $id is dead after 10 attempts: broken/ });

    retention('NULL;');
    ctl_json('jobs', 'retry', $id);
    is(ended($id), 'done');
};


subtest 'Postgres goes and comes back' => sub {
    retention('INSERT INTO effects VALUES (4);');

    postgres->stop('INT');
    ok(wait_until { $sidecar->log_text =~ /no work is done/ } 10);
    postgres->start;

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    is(ended($id), 'done');
    is(scalar(() = $sidecar->log_text =~ /no work is done/g), 1,
       'the outage has one line at each end');
    ok(wait_until { $sidecar->log_text =~ /work goes on/ } 10);
};


subtest 'an end waits for what runs' => sub {
    retention('INSERT INTO effects VALUES (5); PERFORM pg_sleep(1);');

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    ok(wait_until {
        sql("SELECT 1 FROM jobs WHERE id = $id AND state = 'running'")
    } 10);
    is($sidecar->stop, 0);
    is(sql("SELECT state FROM jobs WHERE id = $id"), 'done');
};


subtest 'but not for long' => sub {
    retention('INSERT INTO effects VALUES (6); PERFORM pg_sleep(300);');
    $sidecar = Pulse::Sidecar->start;

    my $id = ctl_json('jobs', 'run', 'retention')->{id};

    ok(wait_until {
        sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    });
    is($sidecar->stop, 0, 'it ends well');
    is(sql('SELECT count(*) FROM effects WHERE n = 6'), 0,
       'nothing is half done');
    is(sql("SELECT state, attempt, error IS NULL FROM jobs WHERE id = $id"),
       'waiting|0|t', 'and it is no attempt that failed');

    retention('INSERT INTO effects VALUES (6);');
    $sidecar = Pulse::Sidecar->start;
    is(ended($id), 'done', 'the next one does it');
};


done_testing();
