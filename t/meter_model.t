# The lease protocol in SPIN, every order of events: the promises hold, and
# each rule that is left out is missed.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env;
use Test::More;

plan skip_all => 'no spin' if system('command -v spin > /dev/null') != 0;

my $dir = suite_dir();
my $model = "$Pulse::Env::root/t/model/lease.pml";

sub verify {
    my ($broken) = @_;

    my $cc = $ENV{CC} // 'cc';
    my $command = join ' && ', "cd '$dir'", 'rm -f pan*',
        "spin -DBROKEN=$broken -a '$model'",
        "$cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=1500 -o pan pan.c",
        './pan -m300000 -E';

    my $said = qx{($command) 2>&1};

    my ($errors) = $said =~ /errors: (\d+)/;
    my ($states) = $said =~ /(\d+) states, stored/;

    diag($said) if !defined $errors || $said =~ /search not completed/
                   && !$broken;

    return ($errors // 'none', $states // 0, $said);
}

my ($errors, $states, $said) = verify(0);

is($errors, 0, 'no order of events breaks a promise');
unlike($said, qr/not completed|reached -DMEMLIM/, 'all of them were tried');
cmp_ok($states, '>', 100000, 'which are many');

for my $rule ('an older total is no news', 'what is reserved is kept',
              'an event counts once', 'a node given up stops',
              'a closed lease holds nothing')
{
    state $broken = 0;

    ($errors) = verify(++$broken);
    is($errors, 1, "without the rule \"$rule\" there is a counterexample");
}

done_testing();
