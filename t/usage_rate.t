# Rate windows: of a node, of all nodes together, and without Redis.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Spend;
use Test::More;

my $one = node(name => 'a', rate => 'pulse_rate 5r/d 1000r/h;');
my $two = node(name => 'b', rate => 'pulse_rate 5r/d 1000r/h;');

subtest 'a window' => sub {
    my $key = make_key(make_user(plan => 'pro'));

    for my $left (4, 3, 2, 1, 0) {
        my $reply = spend($one, $key, 'want=1')->[2];
        is($reply->{status}, 200, 'served');
        is($reply->{headers}{'x-ratelimit-limit'}, 5, 'the limit');
        is($reply->{headers}{'x-ratelimit-remaining'}, $left, 'what is left');
    }

    my $reply = spend($one, $key, 'want=1')->[2];
    my $details = $reply->{json}{error}{details};

    is($reply->{status}, 429, 'then no more');
    is($reply->{json}{error}{code}, 'RATE_LIMIT_EXCEEDED', 'its code');
    is($details->{limit}, 5, 'its limit');
    is($details->{window_seconds}, 86400, 'its window');
    like($details->{reset_at}, qr/T00:00:00\.000Z$/, 'and when it ends');
    like($reply->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'Retry-After');
    is($reply->{headers}{'x-ratelimit-remaining'}, 0, 'nothing is left');

    my $other = make_key(make_user(plan => 'pro'));
    is(spend($one, $other, 'want=1')->[0], 200, 'others are served');
};

subtest 'exact however many race' => sub {
    my $key = make_key(make_user(plan => 'pro'));
    my %count = race(5, 6, sub { ($one, $key, 'want=1') });

    is($count{200}, 5, 'five');
    is($count{429}, 25, 'of thirty');
};

subtest 'nodes share them' => sub {
    my $key = make_key(make_user(plan => 'pro'));

    is(spend($one, $key, 'want=1')->[0], 200, 'here') for 1 .. 3;

    wait_until { redis->command('KEYS', 'pulse:rate:*') } 5;

    # the first request tells a node what the others have

    is(spend($two, $key, 'want=1')->[0], 200, 'and there');

    my $seen = wait_until {
        my $left = spend($two, $key, 'want=1')->[2];
        $left->{status} == 429;
    } 10;

    ok($seen, 'until all of them together are at the limit');
};

subtest 'Redis keeps no window for ever' => sub {
    my $node = node(name => 'c', rate => 'pulse_rate 1000r/d;');
    my $user = make_user(plan => 'pro');
    my $key = make_key($user);

    # what was counted in the window of the person, and whether it ends

    my $window = sub {
        my ($name) = @{ redis->command('KEYS', "pulse:rate:$user:*") };

        return '' if !defined $name;

        return redis->command('GET', $name)
               . (redis->command('TTL', $name) > 0 ? ' ends' : ' stays');
    };

    my $spend = sub {
        my ($expected, $name) = @_;

        is(spend($node, $key, 'want=1')->[0], 200);
        wait_until { $window->() eq $expected } 30;
        is($window->(), $expected, $name);
    };

    $spend->('1 ends', 'it is told how long');

    my $told = expires();

    $spend->('2 ends', 'and keeps it as long');
    is(expires(), $told, 'without being told again');

    redis->command('FLUSHALL');
    $spend->('1 ends', 'unless it has forgotten');

    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
};


sub expires {
    my ($calls) = redis->command('INFO', 'commandstats')
                  =~ /cmdstat_expire:calls=(\d+)/;

    return $calls // 0;
}


for my $node ($one, $two) {
    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

done_testing();
