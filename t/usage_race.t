# Exactness: whatever races, what is granted is the limit and not one more.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Spend qw(:DEFAULT events);
use Test::More;

my $one = node(name => 'a');
my $two = node(name => 'b');

subtest 'two nodes, four workers, one account at its limit' => sub {
    my $user = make_user(plan => 'pro', tokens => 5000);
    my $key = make_key($user);

    my %count = race(8, 50, sub {
        my ($client, $i) = @_;
        my $want = 1 + ($client * 7 + $i * 13) % 50;
        return (($client + $i) % 2 ? $one : $two, $key, "want=$want");
    });

    is($count{granted}, 5000, 'all of it is granted and no more');
    is($count{200} + $count{402}, 400, 'the rest is refused');
    is(events($user, $count{200}), $count{200}, 'each is in the ledger once');
    is(account($user), '5000|0|0', 'and used');
    is(sql("SELECT count(*) FROM outbox JOIN users ON email = recipient
            WHERE users.id = '$user' AND kind = 'usage_warning'"),
       1, '80 % were noticed once');
    is_deeply(audit(), [], 'the audit finds no difference');
};

subtest 'what is settled below its reservation is granted again' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);

    my %count = race(4, 40, sub { ($one, $key, 'want=60&min=60&amount=10') });

    # 95 of 10 leave 50: too little for 60 at once

    cmp_ok($count{200}, '<=', 95, 'never more than can be reserved');
    is(events($user, $count{200}), $count{200}, 'each once');
    is(sql("SELECT used FROM accounts WHERE user_id = '$user' AND kind = 0"),
       $count{200} * 10, 'at its own amount');
    is_deeply(audit(), [], 'no difference');
};

subtest 'images lease what is asked' => sub {
    my $user = make_user(plan => 'pro', images => 7);
    my $key = make_key($user);

    my %count = race(4, 5, sub {
        (($_[0] + $_[1]) % 2 ? $one : $two, $key, 'kind=1&want=1')
    });

    is($count{200}, 7, 'seven');
    is(events($user, 7), 7, 'each once');
    is(account($user, 1), '7|0|0', 'nothing is leased beyond');
};

subtest 'the last tokens are not stranded on the other node' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);

    is(spend($one, $key, 'want=800&amount=0')->[0], 200, 'one node has 800');
    like(account($user), qr/^0\|[89]/, 'they are leased');

    my $reply = spend($two, $key, 'want=900&min=900');
    is($reply->[0], 200, 'the other asks for 900 and they come back');
    is($reply->[1], 900, 'all of them');
};

subtest 'what is left is granted where it is enough' => sub {
    my $user = make_user(plan => 'pro', tokens => 100);
    my $key = make_key($user);

    is(spend($one, $key, 'want=90')->[1], 90, 'as asked');
    is(spend($one, $key, 'want=50&min=1')->[1], 10, 'then 10 of 50');

    my $reply = spend($one, $key, 'want=1')->[2];
    is($reply->{status}, 402, 'then nothing');
    is($reply->{json}{error}{code}, 'QUOTA_EXCEEDED', 'with its code');
    is($reply->{json}{error}{details}{used}, 100, 'what is used');
    is($reply->{json}{error}{details}{limit}, 100, 'of what');
    is($reply->{json}{error}{details}{resource}, 'tokens', 'and of which');
    like($reply->{json}{error}{details}{reset_at}, qr/^20\d\d-.*Z$/, 'until');

    sql("SELECT usage_grant('$user', 0, 50)");
    wait_until { spend($one, $key, 'want=50&min=50')->[0] == 200 } 5;
    is(events($user, 3), 3, 'what is bought is there at once');
    is(account($user), '150|0|0', 'to the last');
};

subtest 'beyond a reservation is debt, paid from what becomes free' => sub {
    my $user = make_user(plan => 'pro', tokens => 100);
    my $key = make_key($user);

    is(spend($one, $key, 'want=100&amount=130')->[0], 200, 'it cost more');
    is(events($user, 1), 1, 'recorded');
    is(account($user), '100|0|30', 'the rest is debt');

    sql("SELECT usage_grant('$user', 0, 50)");
    is(account($user), '130|0|0', 'and paid first');
    is(spend($one, $key, 'want=50&min=1')->[1], 20, 'before it is spent');
    is_deeply(audit(), [], 'no difference');
};

subtest 'a cancelled one leaves no trace, one that was left its progress' =>
sub {
    my $user = make_user(plan => 'pro', tokens => 100);
    my $key = make_key($user);

    is(spend($one, $key, 'want=100&end=cancel')->[0], 200, 'cancelled');
    is(spend($one, $key, 'want=100&end=leave')->[0], 200, 'left at nothing');
    is(spend($one, $key, 'want=100&end=leave&progress=7')->[0], 200, 'left');
    is(events($user, 1), 1, 'one row');
    is(sql("SELECT amount, estimated FROM usage_events
            WHERE user_id = '$user'"), '7|t', 'of what was counted');
};

subtest 'clients that leave' => sub {
    my $user = make_user(plan => 'pro', tokens => 10000);
    my $key = make_key($user);

    for my $i (1 .. 10) {
        my $client = Pulse::Client->connect(port => $one->port);
        $client->request(GET => "/spend?want=100&hold=30000&progress=$i",
                         bearer => $key);
        wait_until { sql("SELECT count(*) FROM leases
                          WHERE user_id = '$user'") } 5;
        $client->leave;
    }

    # one that left before it was admitted never was

    my $n = events($user, 1);
    cmp_ok($n, '<=', 10, 'no more than came');
    is_deeply(audit(), [], 'no difference');
};

subtest 'who may not' => sub {
    my $none = make_user();
    my $reply = spend($one, make_key($none), 'want=1')->[2];
    is($reply->{status}, 402, 'without a plan');
    is($reply->{json}{error}{code}, 'NO_SUBSCRIPTION', 'its code');

    my $user = make_user(plan => 'pro');
    my $key = make_key($user);
    sql("UPDATE subscriptions SET period_end = now() - interval '1 second',
                period_start = now() - interval '1 month'
         WHERE user_id = '$user'");
    is(spend($one, $key, 'want=1')->[2]{json}{error}{code}, 'NO_SUBSCRIPTION',
       'after its end');
};

for my $node ($one, $two) {
    is($node->stop, undef, 'it ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

is(sql('SELECT coalesce(sum(leased), 0) FROM accounts'), 0,
   'a node that ends gives everything back');

done_testing();
