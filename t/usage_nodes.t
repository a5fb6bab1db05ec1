# Three nodes of two workers race for one account with requests of all sizes,
# each of which holds what it got: what is admitted together is never more
# than the limit, and what is left after it is had on any node, by one request
# that asks once: it waits until what others hold idle has come back.
#
# RACES=n t/lib/run t/usage_nodes.t runs more of them.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'own';
use Pulse::Spend;
use Test::More;
use Time::HiRes qw(time);

my $races = $ENV{RACES} || 3;
my $seed = $ENV{SEED} || 20261123;
my @nodes = map { node(name => $_) } qw(a b c);
my ($requests, $slowest) = (0, 0);

srand $seed;

for my $n (1 .. $races) {
    my $limit = 300 + int rand 4000;
    my $user = make_user(plan => 'pro', tokens => $limit);
    my $key = make_key($user);
    my $part = (1, 10, 100)[$n % 3];

    # a client's sizes are its own, whatever the order

    my %count = race(9, 8, sub {
        my ($client, $i) = @_;

        srand $seed + 10000 * $n + 100 * $client + $i;

        my $want = 1 + int rand $limit / (1 + int rand $part);
        my $min = rand() < 0.5 ? $want : 1 + int rand $want;
        my $hold = int rand 150;

        return ($nodes[($client + $i) % 3], $key,
                "want=$want&min=$min&hold=$hold");
    });

    my $left = $limit - $count{granted};

    $requests += 72;

    cmp_ok($count{granted}, '<=', $limit,
           "race $n: no more than $limit is admitted");
    is($count{200} + ($count{402} // 0), 72, 'the rest is refused');

    if ($left) {
        is(had($nodes[$n % 3], $key, $left), $left,
           "the $left that are left are had at once");
    }

    is(spend($nodes[($n + 1) % 3], $key, 'want=1')->[0], 402,
       'then nothing is');

    wait_until { account($user) eq "$limit|0|0" } 10;
    is(account($user), "$limit|0|0", 'all of it is used');
}

# what two nodes hold idle, the third asks for

for my $n (1 .. $races) {
    my $limit = 1000 + int rand 1000;
    my $user = make_user(plan => 'pro', tokens => $limit);
    my $key = make_key($user);
    my $held = int $limit * (0.3 + rand 0.15);

    is(spend($nodes[($n + $_) % 3], $key, "want=$held&amount=0")->[0], 200,
       "idle $n: a node has $held") for 1, 2;

    is(had($nodes[$n % 3], $key, $limit), $limit,
       "another is granted all the $limit");
}

# two that need all of it, while the third has most: one of them gets it

for my $n (1 .. $races) {
    my $limit = 1000 + int rand 1000;
    my $user = make_user(plan => 'pro', tokens => $limit);
    my $key = make_key($user);
    my $held = int $limit * (0.5 + rand 0.4);

    is(spend($nodes[$n % 3], $key, "want=$held&amount=0")->[0], 200,
       "rivals $n: a node has $held");

    my %count = race(2, 1, sub {
        return ($nodes[($n + $_[0]) % 3], $key,
                "want=$limit&min=$limit&hold=100");
    });

    is($count{granted}, $limit, 'one of the others is granted all');
    is_deeply([@count{200, 402}], [1, 1], 'the other is refused');
}

# One request, which is not asked again.

sub had {
    my ($node, $key, $amount) = @_;

    my $from = time;
    my $reply = spend($node, $key, "want=$amount&min=$amount");

    $slowest = time - $from if time - $from > $slowest;

    return $reply->[1];
}

diag(sprintf "%d races from seed %d: %d requests; %d of idle leases; the "
             . "slowest that was left came in %.1f s", $races, $seed,
             $requests, $races, $slowest) if $ENV{RACES};

is_deeply(audit(), [], 'the audit finds no difference');

for my $node (@nodes) {
    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

is(sql('SELECT sum(leased) FROM accounts'), 0, 'nothing is left leased');

done_testing();
