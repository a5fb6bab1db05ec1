# Random schedules of faults, by seed.  Each ends with every finished request
# in the ledger once and an audit without a difference.
#
# SEED=n SCHEDULES=n t/lib/run t/chaos.t, or make chaos; the seed of one that
# fails is in its name.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'own';
use Pulse::Chaos;
use Test::More;

my $seed = $ENV{SEED} || 20261123;
my $schedules = $ENV{SCHEDULES} || 8;
my $chaos = Pulse::Chaos->new;

SKIP: {
    skip 'no libfaketime: no clock is set', 1 if !Pulse::Chaos::sets_clocks();
    pass('clocks can be set');
}

for my $n ($seed .. $seed + $schedules - 1) {
    my ($done, @problems) = $chaos->schedule($n);

    ok(!@problems, "seed $n: " . join ', ', @$done)
        or diag(join "\n", @problems);
    last if $chaos->{broken};

    diag("schedule $n done") if $ENV{SCHEDULES} && ($n - $seed) % 20 == 19;
}

cmp_ok($chaos->{finished}, '>', 0, 'requests were served meanwhile');

diag(sprintf "%d schedules from seed %d: %d requests, %d finished,"
             . " %d refused, %d finished ones of journals that were cut;"
             . " %s", $schedules, $seed,
             @$chaos{qw(requests finished refused excused_ends)},
     join ', ', map { "$_ $chaos->{count}{$_}" } sort keys
                %{ $chaos->{count} })
    if $ENV{SCHEDULES};

for my $node (@{ $chaos->{nodes} }) {
    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

done_testing();
