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

for my $n ($seed .. $seed + $schedules - 1) {
    my ($done, @problems) = $chaos->schedule($n);

    is_deeply(\@problems, [], "seed $n: " . join ', ', @$done);

    diag("schedule $n done") if $ENV{SCHEDULES} && ($n - $seed) % 20 == 19;
}

cmp_ok($chaos->{finished}, '>', 0, 'requests were served meanwhile');

diag(sprintf "%d schedules from seed %d: %d requests, %d finished,"
             . " %d refused; %s", $schedules, $seed, @$chaos{qw(requests
                 finished refused)},
     join ', ', map { "$_ $chaos->{count}{$_}" } sort keys
                %{ $chaos->{count} })
    if $ENV{SCHEDULES};

for my $node (@{ $chaos->{nodes} }) {
    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

done_testing();
