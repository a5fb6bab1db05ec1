# Grants whose answers are lost come back, and a node that was cut off from the
# store past its time counts once what it served.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Sidecar;
use Pulse::Spend qw(:DEFAULT ends events);
use Test::More;
use Time::HiRes qw(time);

sub leased {
    my ($user) = @_;

    return sql("SELECT coalesce(sum(leased), 0) FROM accounts
                WHERE user_id = '$user'");
}

# A store that is at a grant of this person until the transaction that this
# returns has ended, and does not read meanwhile.

sub slow {
    my ($user) = @_;

    sql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
         AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END';
         CREATE TRIGGER slow BEFORE INSERT ON leases FOR EACH ROW
             WHEN (NEW.user_id = '$user') EXECUTE FUNCTION slow()");

    return transaction('SELECT pg_advisory_xact_lock(1)');
}

# Who has asked for a grant, which the store is at.

sub at_grant {
    my ($node, $key) = @_;

    my $client = Pulse::Client->connect(port => $node->port);

    $client->request(GET => '/spend?want=100', bearer => $key);
    wait_until {
        sql("SELECT count(*) FROM pg_locks
             WHERE locktype = 'advisory' AND NOT granted");
    } 10;

    return $client;
}

# It grants, and answers when the connection is gone.

sub lose {
    my ($node, $user, $key) = @_;

    my $slow = slow($user);
    my $client = at_grant($node, $key);

    # as where the network goes: the worker's end breaks, not Postgres'

    kill KILL => $node->workers;
    $client->leave;
    $slow->end('COMMIT');

    wait_until { leased($user) > 0 } 10;
    sql('DROP TRIGGER slow ON leases');
}

subtest 'the answer is lost and the node ends' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $node = node(name => 'lost');

    lose($node, $user, make_key($user));
    cmp_ok(leased($user), '>', 0, 'the store has granted');
    wait_until { 2 == (() = $node->workers) } 10;
    ends($node, 'exited on signal 9');
    is(leased($user), 0, 'it is given back');
};

subtest 'the grant is made when its node has ended' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'ended');
    my $slow = slow($user);
    my $client = at_grant($node, $key);

    is($node->stop('TERM'), undef, 'the node ends without the answer');
    $client->leave;
    is(leased($user), 0, 'when it had nothing to give back');

    $slow->end('COMMIT');
    wait_until { leased($user) > 0 } 10;
    sql('DROP TRIGGER slow ON leases');
    cmp_ok(leased($user), '>', 0, 'the store grants to nobody');

    # as to the sidecar, when the node was not seen for long enough

    sql("UPDATE nodes SET seen_at = seen_at - interval '1 hour'
         WHERE name = 'ended'");
    wait_until { sql("SELECT lease_sweep('1 second')") > 0 } 10;
    is(leased($user), 0, 'the sweep takes it back');

    my $next = node(name => 'ended');

    is(spend($next, $key, 'want=1000&min=1000')->[0], 200,
       'and all of it can be spent');
    events($user, 1);
    is(account($user), '1000|0|0', 'once');
    is_deeply([$node->problems], [], 'the log of the first is clean');
    ends($next);
};

subtest 'the answer is lost and the node goes on' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'found', directives => 'pulse_lease_idle 1s;');

    lose($node, $user, $key);
    cmp_ok(leased($user), '>', 0, 'the store has granted');

    # compared each 30 s with what is older than 20 s there

    my $from = time;
    wait_until { leased($user) == 0 } 70;
    is(leased($user), 0, 'it comes back, though nobody asks again');
    note(sprintf 'after %.1f s', time - $from);

    wait_until { spend($node, $key, 'want=1000&min=1000')->[0] == 200 } 10;
    events($user, 1);
    is(account($user), '1000|0|0', 'and all of it can be spent');
    ends($node, 'exited on signal 9');
};

subtest 'a grant comes after the time of the question' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'slow', timeout => '3s');

    is(spend($node, make_key(make_user(plan => 'pro')), 'want=1')->[0], 200,
       'it is up');

    my $slow = slow($user);

    is(spend($node, $key, 'want=100')->[2]{json}{error}{code},
       'STORE_UNAVAILABLE', 'it is not waited for');
    $slow->end('COMMIT');

    wait_until { leased($user) > 0 } 10;
    sql('DROP TRIGGER slow ON leases');
    is(spend($node, $key, 'want=1000&min=1000')->[0], 200,
       'what came late is not missing');
    events($user, 1);
    is(account($user), '1000|0|0', 'nor is anything granted twice');
    ends($node);
};

subtest 'what the store refuses does not stay leased' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'refused');

    sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
         AS 'BEGIN RAISE check_violation; END';
         CREATE TRIGGER refuse BEFORE INSERT ON usage_events FOR EACH ROW
             WHEN (NEW.amount = 13) EXECUTE FUNCTION refuse()");

    is(spend($node, $key, "want=100&amount=$_")->[0], 200, "$_ are served")
        for 13, 14;

    is(events($user, 1), 1, 'the others are recorded');
    wait_until { () = glob journal('refused') . '/*.rejected' } 10;
    is(scalar(() = glob journal('refused') . '/*.rejected'), 1,
       'it is set aside');

    sql('DROP TRIGGER refuse ON usage_events');
    ends($node, 'an event was set aside');
    is(account($user), '14|0|0', 'and its amount comes back with the end');
};

subtest 'a node is cut off past its time' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my ($dir, $reach) = path_to_postgres();
    my $conninfo = $ENV{TEST_NGINX_PULSE_PG};

    local $ENV{TEST_NGINX_PULSE_PG}
        = $conninfo =~ s/host=\S+/host=$dir/r;

    my $node = node(name => 'alone', directives => 'pulse_lease_ttl 3s;');

    is(spend($node, $key, 'want=200&amount=1')->[0], 200, 'it has a lease');
    events($user, 1);

    my $sidecar = Pulse::Sidecar->start(options => ['--database', $conninfo,
                                             '--lease-ttl', '5 seconds']);
    my $client = Pulse::Client->connect(port => $node->port);
    $client->request(GET => '/spend?want=50&amount=40&hold=12000',
                     bearer => $key);
    wait_until {
        http(GET => '/metrics', port => $node->port)->{body}
            =~ /^pulse_reservations_open 1$/m;
    } 10;

    $reach->(0);
    is(scalar(grep { spend($node, $key, 'want=1')->[0] == 200 } 1 .. 5), 5,
       'it goes on for a while');

    wait_until { spend($node, $key, 'want=1&amount=0')->[0] == 503 } 10;
    is(spend($node, $key, 'want=1')->[2]{json}{error}{code},
       'STORE_UNAVAILABLE', 'and stops by itself');

    wait_until { leased($user) == 0 } 30;
    is(leased($user), 0, 'then the sweep gives its leases back');

    my $other = do {
        local $ENV{TEST_NGINX_PULSE_PG} = $conninfo;
        node(name => 'other');
    };

    is(spend($other, $key, 'want=900&min=900')->[0], 200,
       'and others have them');

    is($client->response(20)->{status}, 200, 'what ran is served to its end');

    $reach->(1);
    wait_until { spend($node, $key, 'want=1&amount=1')->[0] == 200 } 15;

    my $n = sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'
                 AND amount = 40");
    wait_until {
        $n = sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'
                  AND amount = 40");
    } 15;
    is($n, 1, 'what it spent alone is counted once');
    is(sql("SELECT sum(used + debt) FROM accounts WHERE user_id = '$user'"),
       sql("SELECT sum(amount) FROM usage_events WHERE user_id = '$user'"),
       'and used');

    ends($other);
    ends($node);
    $sidecar->stop;
};

# A node's own way to Postgres, and what opens and cuts it.

sub path_to_postgres {
    my $dir = suite_dir() . '/path';
    my $socket = '.s.PGSQL.5432';

    mkdir $dir;

    my $reach = sub {
        my ($open) = @_;

        if ($open) {
            symlink postgres->dir . "/$socket", "$dir/$socket" or die "$!\n";
            return;
        }

        unlink "$dir/$socket";
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'pulse'");
    };

    $reach->(1);

    return ($dir, $reach);
}

done_testing();
