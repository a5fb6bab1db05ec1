# Where the meter could go wrong between two of its parts: each case here did.

use v5.30;
use warnings;

use lib 't/lib';

use IPC::Open2 qw(open2);
use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Spend qw(:DEFAULT ends);
use Test::More;

sub open_reservations {
    my ($node) = @_;

    my $text = http(GET => '/metrics', port => $node->port)->{body};

    return $text =~ /^pulse_reservations_open (\d+)$/m ? $1 : undef;
}

subtest 'connections take all descriptors' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'descriptors', workers => 1,
                    main => 'worker_rlimit_nofile 40;');

    my $client = Pulse::Client->connect(port => $node->port);
    $client->request(GET => '/spend?want=1000&progress=5&amount=77&hold=4000',
                     bearer => $key);
    wait_until { open_reservations($node) == 1 } 10;

    my @others = map { Pulse::Client->connect(port => $node->port) } 1 .. 40;

    is($client->response->{status}, 200, 'what runs goes on');
    $_->leave for @others;

    wait_until { sql("SELECT count(*) FROM usage_events
                      WHERE user_id = '$user'") == 1 } 15;
    is(sql("SELECT amount, estimated FROM usage_events
            WHERE user_id = '$user'"), '77|f', 'and is charged as it ended');

    # nginx takes connections again after half a second; told to end before,
    # it leaves that timer behind, and accepts on a socket that it closed

    wait_until { defined eval { open_reservations($node) } } 15;
    is(open_reservations($node), 0, 'others are let in again');
    ends($node, 'Too many open files');
};

subtest 'a request reserves again' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'again');

    is(spend($node, $key, 'want=100&amount=60&again=40')->[0], 200, 'served');
    wait_until { sql("SELECT count(*) FROM usage_events
                      WHERE user_id = '$user'") == 2 } 10;
    is(join(' ', sql("SELECT amount FROM usage_events
                      WHERE user_id = '$user' ORDER BY amount")), '40 60',
       'each is in the ledger');
    ends($node);
};

subtest 'the sweep and a sign of life meet' => sub {
    my $node = uuid();

    sql("SELECT node_seen('$node', 'late')");

    # the sweep has taken the leases, but not committed

    my $sweep = session();
    print { $sweep->{in} } "BEGIN;\nSELECT lease_sweep('0 s');\n",
                           "SELECT 'swept';\n";
    like(scalar(readline $sweep->{out}), qr/^\d+$/, 'leases are swept');
    is(scalar(readline $sweep->{out}), "swept\n", 'by now');

    my $seen = session();
    print { $seen->{in} } "SELECT state FROM node_seen('$node', 'late');\n";
    wait_until { sql("SELECT count(*) FROM pg_locks WHERE NOT granted") } 10;

    print { $sweep->{in} } "COMMIT;\n";
    is(readline($seen->{out}), "reopened\n", 'the node is told');
};

sub session {
    open2(my $out, my $in, 'psql', '-qAtX', $ENV{TEST_NGINX_PULSE_PG});

    return { in => $in, out => $out };
}

subtest 'a plan has no end' => sub {
    my $most = '9223372036854775807';
    my $user = make_user(plan => 'pro', tokens => $most);
    my $key = make_key($user);
    my $node = node(name => 'endless');
    my $reply = spend($node, $key, 'want=100&amount=60');

    is($reply->[0], 200, 'served');
    is($reply->[2]{headers}{'x-usage-warning'}, undef, 'without a warning');
    wait_until { account($user) =~ /^60\|/ } 10;
    like(account($user), qr/^60\|/, 'and recorded');
    ends($node);
};

subtest "the node's clock is ahead of the store's" => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);

    # a store to which the period is still running

    my $body = join "\n", sql("SELECT prosrc FROM pg_proc
                               WHERE proname = 'subscription_running'");
    my $late = $body =~ s/now\(\)/now() - interval '1 hour'/r;

    sql("UPDATE subscriptions SET period_end = now() - interval '1 second',
             period_start = now() - interval '1 day'
         WHERE user_id = '$user'");
    sql("CREATE OR REPLACE FUNCTION subscription_running(p_user uuid)
         RETURNS subscriptions LANGUAGE sql STABLE AS \$\$$late\$\$");

    my $node = node(name => 'ahead');

    is(spend($node, $key, 'want=10')->[0], 200, 'the store decides');
    is(sql("SELECT count(*) FROM leases WHERE user_id = '$user'"), 1,
       'and is asked once');

    sql("CREATE OR REPLACE FUNCTION subscription_running(p_user uuid)
         RETURNS subscriptions LANGUAGE sql STABLE AS \$\$$body\$\$");

    wait_until { spend($node, $key, 'want=10')->[0] == 402 } 10;
    is(spend($node, $key, 'want=10')->[0], 402, 'again when it is over');
    ends($node);
};

subtest 'a reload names another journal' => sub {
    my $key = make_key(make_user(plan => 'pro', tokens => 1000));
    my $node = node(name => 'place');

    is(spend($node, $key, 'want=10')->[0], 200, 'served');

    $node->{http} =~ s/journal-place/journal-elsewhere/;
    $node->write_configuration;
    $node->signal('HUP');
    wait_until { join('', @{ $node->error_log }) =~ /restart only/ } 10;
    like(join('', @{ $node->error_log }), qr/restart only/, 'it is refused');
    is(spend($node, $key, 'want=10')->[0], 200, 'and the old one goes on');

    ends($node, 'pulse_journal');
};

done_testing();
