# What payments do to subscriptions, by a clock that is set: upgrades with
# credit, renewals, grace, cancellation, refunds, and the record of it all.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Till;
use Test::More;


subtest 'an upgrade is credited' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');
    is(running($user, '2027-01-02T00:00Z'),
       'starter|active|01-01 00:00|02-01 00:00');

    # 15.5 of 31 days: half of 3.000

    my ($id, $said) = begin($user, '2027-01-16T12:00Z', plan => 'pro');

    is($said, 'upgrade|3500|1500');

    # what cannot be expressed is rounded in the favor of who pays

    my (undef, $odd) = begin($user, '2027-01-16T12:01Z', plan => 'pro');

    is($odd, 'upgrade|3500|1499');

    is(say_paid($id, '2027-01-16T12:00Z', 'paid'), 'paid');
    is(running($user, '2027-01-16T12:00Z'),
       'pro|active|01-16 12:00|02-16 12:00', 'at once, a period of its own');

    # the next one is credited what the plan is worth, not what was paid

    (undef, $said) = begin($user, '2027-02-01T00:00Z', plan => 'creator');
    is($said, 'upgrade|4500|2500');

    # no credit in another currency

    sql("UPDATE billing SET prices = '{\"plans\":{\"creator\":
         {\"USD\":1000}}}'");
    (undef, $said) = begin($user, '2027-02-01T00:00Z', plan => 'creator',
                           currency => 'USD');
    is($said, 'upgrade|1000|0');
    sql("UPDATE billing SET prices = '{}'");

    is(record($user), 'start:starter:hyperpay expire:starter:hyperpay'
                      . ' start:pro:hyperpay');
};


subtest 'a credit is spent once' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');

    my @id = map { (begin($user, '2027-01-10T00:00Z', plan => $_))[0] }
             qw(pro creator);

    is(say_paid($id[0], '2027-01-10T00:10Z', 'paid'), 'paid');
    is(say_paid($id[1], '2027-01-10T00:11Z', 'paid'),
       'paid, not granted: credit is gone');
    is(running($user, '2027-01-11T00:00Z'),
       'pro|active|01-10 00:10|02-10 00:10');
    is(scalar(sql("SELECT status || ' ' || reason FROM payments
                   WHERE id = '$id[1]'")), 'review credit is gone');
};


subtest 'the next period' => sub {
    my $user = make_user();

    buy($user, '2027-01-31T10:00Z', plan => 'starter');

    like((begin($user, '2027-02-20T00:00Z', plan => 'starter'))[1],
         qr/^400.*last 7 days/, 'not weeks before');

    buy($user, '2027-02-25T00:00Z', plan => 'starter');

    like((begin($user, '2027-02-26T00:00Z', plan => 'starter'))[1],
         qr/paid for already/, 'nor twice');
    is(running($user, '2027-02-28T09:59Z'),
       'starter|active|01-31 10:00|02-28 10:00');

    follow('2027-02-28T10:00Z');
    is(running($user, '2027-02-28T10:00Z'),
       'starter|active|02-28 10:00|03-31 10:00', 'begins when the last ends');
    follow('2027-02-28T10:01Z');
    is(record($user), 'start:starter:hyperpay prepay:starter:hyperpay'
                      . ' renew:starter:studio');
    is(scalar(sql("SELECT count(*) FROM accounts WHERE user_id = '$user'
                   AND kind = 0")), 2);
};


subtest 'down, and away' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'pro');

    my $act = sub { return act($user, @_) };

    is($act->('2027-01-02T00:00Z', 'change', 'creator'),
       '400|INVALID_REQUEST', 'up is paid for');
    is($act->('2027-01-02T00:00Z', 'change', 'trial'),
       '400|INVALID_REQUEST');
    is($act->('2027-01-02T00:00Z', 'change', 'starter'), '200|');
    is(running($user, '2027-01-20T00:00Z'),
       'pro|active|01-01 00:00|02-01 00:00', 'not before the end');

    my (undef, $said) = begin($user, '2027-01-28T00:00Z', plan => 'starter');

    is($said, 'renewal|3000|0', 'the next period costs what its plan does');

    is($act->('2027-01-28T00:00Z', 'cancel'), '200|');
    is($act->('2027-01-28T00:00Z', 'cancel'), '200|', 'twice is once');
    is($act->('2027-01-29T00:00Z', 'resume'), '200|');
    is($act->('2027-01-30T00:00Z', 'cancel'), '200|');
    is(running($user, '2027-01-31T23:59Z'),
       'pro|cancelled|01-01 00:00|02-01 00:00', 'what was paid for runs on');
    is(running($user, '2027-02-01T00:00Z'), undef, 'and ends, without grace');
    follow('2027-02-01T00:00Z');
    is($act->('2027-02-01T00:01Z', 'resume'), '402|NO_SUBSCRIPTION');

    is(record($user), 'start:pro:hyperpay plan_change:starter:user'
       . ' cancel:starter:user resume:starter:user cancel:starter:user'
       . ' expire:starter:studio');
};


subtest 'grace' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');

    at('2027-01-29T12:00Z', 'SELECT subscriptions_follow()');
    is(scalar(sql("SELECT count(*) FROM outbox o JOIN users u
                   ON u.email = o.recipient WHERE u.id = '$user'
                   AND o.kind = 'renewal'")), 1, 'told three days before');
    at('2027-01-30T12:00Z', 'SELECT subscriptions_follow()');
    is(scalar(sql("SELECT count(*) FROM outbox o JOIN users u
                   ON u.email = o.recipient WHERE u.id = '$user'
                   AND o.kind = 'renewal'")), 1, 'once');

    follow('2027-02-01T00:00Z');
    is(running($user, '2027-02-03T23:59Z'),
       'starter|active|01-01 00:00|02-01 00:00', 'it stays for three days');
    like((at('2027-02-02T00:00Z', "SELECT data FROM
              subscription_get('$user')"))[-1], qr/"past_due"/);
    is((at('2027-02-02T00:00Z', "SELECT status, taken FROM lease_acquire(
            '@{[uuid()]}', 'n', '@{[uuid()]}', '$user', 0, 100, 100)"))[-1],
       'ok|100', 'and what is left may be used');

    my $other = make_user();

    buy($other, '2027-01-01T00:00Z', plan => 'starter');
    buy($other, '2027-02-02T00:00Z', plan => 'starter');
    is(running($other, '2027-02-02T00:00Z'),
       'starter|active|02-01 00:00|03-01 00:00',
       'who pays late loses nothing');

    follow('2027-02-04T00:00Z');
    is(running($user, '2027-02-04T00:00Z'), undef, 'then it is over');
    is(record($user), 'start:starter:hyperpay overdue:starter:studio'
                      . ' expire:starter:studio');

    sql("SELECT lease_close(ARRAY(SELECT id FROM leases
                                   WHERE closed_at IS NULL))");
};


subtest 'what was canceled and is paid for' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');
    buy($user, '2027-01-30T00:00Z', plan => 'starter');
    at('2027-01-31T00:00Z',
       "SELECT subscription_act('$user', 'cancel', NULL)");
    follow('2027-02-01T00:00Z');
    is(running($user, '2027-02-02T00:00Z'),
       'starter|cancelled|02-01 00:00|03-01 00:00', 'is given, and no more');
    follow('2027-03-01T00:00Z');
    is(running($user, '2027-03-01T00:00Z'), undef);
};


subtest 'refunds' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');

    my $addon = buy($user, '2027-01-02T00:00Z', addon => 'tokens',
                    quantity => 2);
    my $next = buy($user, '2027-01-30T00:00Z', plan => 'starter');
    my $limit = sub {
        return scalar(sql("SELECT limit_amount FROM accounts
                           WHERE user_id = '$user' AND kind = 0
                           ORDER BY period_start LIMIT 1"));
    };

    is($limit->(), 550_000);
    sql("UPDATE accounts SET used = 200000 WHERE user_id = '$user'
         AND kind = 0");
    is(say_paid($addon, '2027-01-31T00:00Z', 'refunded'), 'refunded');
    is($limit->(), 200_000, 'an add-on, but not what was used of it');
    sql("UPDATE accounts SET used = 0 WHERE user_id = '$user'
         AND kind = 0");

    is(say_paid($next, '2027-01-31T00:00Z', 'refunded'), 'refunded');
    is(running($user, '2027-01-31T12:00Z'),
       'starter|active|01-01 00:00|02-01 00:00',
       'the next period leaves this one');
    follow('2027-02-05T00:00Z');
    is(running($user, '2027-02-05T00:00Z'), undef, 'and is none');
    is(say_paid($next, '2027-02-06T00:00Z', 'refunded'),
       'another refund than was paid', 'more than all cannot go back');
    is(record($user), 'start:starter:hyperpay prepay:starter:hyperpay'
       . ' unprepay:starter:hyperpay expire:starter:studio');
};


subtest 'the refund of an upgrade' => sub {
    my $user = make_user();

    buy($user, '2027-01-01T00:00Z', plan => 'starter');
    sql("UPDATE accounts SET used = 70000 WHERE user_id = '$user'
         AND kind = 0");

    my $up = buy($user, '2027-01-16T12:00Z', plan => 'pro');

    is(running($user, '2027-01-17T00:00Z'),
       'pro|active|01-16 12:00|02-16 12:00');
    is(say_paid($up, '2027-01-18T00:00Z', 'refunded', amount => 500),
       'refunded');
    is(running($user, '2027-01-18T00:00Z'),
       'pro|active|01-16 12:00|02-16 12:00', 'a part leaves it');
    is(say_paid($up, '2027-01-18T00:00Z', 'refunded', amount => 3000),
       'refunded');
    is(running($user, '2027-01-18T00:00Z'),
       'starter|active|01-01 00:00|02-01 00:00',
       'the whole brings back what was credited');
    is(sql("SELECT used FROM accounts WHERE user_id = '$user' AND kind = 0
            ORDER BY period_start LIMIT 1"), 70_000, 'as it was left');
    sql("UPDATE accounts SET used = 0 WHERE user_id = '$user'
         AND kind = 0");
    is(record($user), 'start:starter:hyperpay expire:starter:hyperpay'
       . ' start:pro:hyperpay expire:pro:hyperpay restore:starter:hyperpay');

    # it was canceled before, and its next period was paid for

    my $other = make_user();

    buy($other, '2027-01-01T00:00Z', plan => 'starter');
    buy($other, '2027-01-30T00:00Z', plan => 'starter');
    at('2027-01-30T00:00Z',
       "SELECT subscription_act('$other', 'cancel', NULL)");
    $up = buy($other, '2027-01-31T00:00Z', plan => 'creator');
    is(say_paid($up, '2027-02-03T00:00Z', 'charged_back'), 'charged_back');
    is(running($other, '2027-02-03T00:00Z'),
       'starter|cancelled|02-01 00:00|03-01 00:00',
       'the next period too, and no more than was wanted');

    # nothing is left of it

    my $late = make_user();

    buy($late, '2027-01-01T00:00Z', plan => 'starter');
    $up = buy($late, '2027-01-30T00:00Z', plan => 'pro');
    is(say_paid($up, '2027-02-10T00:00Z', 'refunded'), 'refunded');
    is(running($late, '2027-02-10T00:00Z'), undef, 'what is over stays so');

    # what it was credited for was given back itself

    my $both = make_user();
    my $start = buy($both, '2027-01-01T00:00Z', plan => 'starter');

    $up = buy($both, '2027-01-10T00:00Z', plan => 'pro');
    say_paid($start, '2027-01-11T00:00Z', 'refunded');
    say_paid($up, '2027-01-11T00:00Z', 'refunded');
    is(running($both, '2027-01-11T00:00Z'), undef, 'nothing was paid for');
};


subtest 'modes and strangers' => sub {
    my $user = make_user();
    my ($id) = begin($user, '2027-01-01T00:00Z', plan => 'pro');
    my $live = sub {
        return (at('2027-01-01T00:00Z', "SELECT payment_apply(
            payment_receive('$_[0]', $_[1], '$_[2]', 'webhook', 'paid', '$id',
            '', 'p', '', 'c', 5000, 'JOD', '{}'))"))[-1];
    };

    is($live->('hyperpay', 'true', 'l1'), 'other mode',
       'live money is not this one\'s');
    is($live->('paytabs', 'false', 'l2'), 'unknown payment',
       'nor is another provider\'s');
    is(running($user, '2027-01-01T00:00Z'), undef);
};


is_deeply([sql('SELECT * FROM usage_audit()')], [], 'the audit agrees');

done_testing();
