# 80 % and 100 % of an account: said once each in a period, whoever crosses.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Env 'stores', 'no_audit';
use Test::More;


sub spend {
    my ($user, $amount) = @_;

    return "UPDATE accounts SET used = used + $amount"
           . " WHERE user_id = '$user' AND kind = 0";
}


sub mails {
    my ($user) = @_;

    return join ' ', sql("SELECT o.kind FROM outbox o"
                         . " JOIN users u ON u.email = o.recipient"
                         . " WHERE u.id = '$user' ORDER BY o.id");
}


subtest 'each when it is reached' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);

    sql(spend($user, 799));
    is(mails($user), '');
    sql(spend($user, 1));
    is(mails($user), 'usage_warning', '80 %');
    sql(spend($user, 199));
    is(mails($user), 'usage_warning');
    sql(spend($user, 1));
    is(mails($user), 'usage_warning usage_exhausted', '100 %');

    is(sql("SELECT payload - 'reset_at' FROM outbox o"
           . " JOIN users u ON u.email = o.recipient"
           . " WHERE u.id = '$user' AND kind = 'usage_exhausted'"),
       '{"used": 1000, "limit": 1000, "resource": "tokens"}');
    is(sql("SELECT count(*) FROM jobs j JOIN outbox o ON o.id::text = j.key"
           . " JOIN users u ON u.email = o.recipient"
           . " WHERE u.id = '$user' AND j.kind = 'mail'"), 2,
       'and there are jobs to send them');

    sql("SELECT usage_grant('$user', 0, 1000); " . spend($user, 1000));
    is(mails($user), 'usage_warning usage_exhausted',
       'what is added to the period says neither again');
};


subtest 'both at once' => sub {
    my $user = make_user(plan => 'pro', tokens => 10);

    sql(spend($user, 10));
    is(mails($user), 'usage_warning usage_exhausted');
};


subtest 'a debt counts' => sub {
    my $user = make_user(plan => 'pro', tokens => 10);

    sql("UPDATE accounts SET used = 9, debt = 5 WHERE user_id = '$user'"
        . ' AND kind = 0');
    is(mails($user), 'usage_warning usage_exhausted');
};


subtest 'however many cross it' => sub {
    my $user = make_user(plan => 'pro', tokens => 200);

    my @children = map {
        my $pid = fork() // die;

        if ($pid == 0) {
            sql(join ';', (spend($user, 1)) x 50);
            POSIX::_exit(0);
        }

        $pid;
    } 1 .. 4;

    waitpid $_, 0 for @children;

    is(mails($user), 'usage_warning usage_exhausted');
};


subtest 'what is rolled back was never said' => sub {
    my $user = make_user(plan => 'pro', tokens => 10);

    sql('BEGIN; ' . spend($user, 10) . '; ROLLBACK');
    is(mails($user), '');
    is(sql("SELECT count(*) FROM accounts WHERE user_id = '$user'"
           . ' AND (warned_at IS NOT NULL OR exhausted_at IS NOT NULL)'), 0);
};


subtest 'a new period says them anew' => sub {
    my $user = make_user(plan => 'pro');

    sql("UPDATE accounts SET used = limit_amount WHERE user_id = '$user'"
        . ' AND kind = 0');

    my ($id, $end) = split /\|/, sql("SELECT id, period_end"
                                     . " FROM subscriptions"
                                     . " WHERE user_id = '$user'");

    sql("SET pulse.now = '$end'; SELECT subscription_renew('$id', '$end')");
    sql("UPDATE accounts SET used = limit_amount WHERE user_id = '$user'"
        . " AND kind = 0 AND period_start = '$end'");
    is(mails($user), 'usage_warning usage_exhausted'
       . ' usage_warning usage_exhausted');
};


done_testing();
