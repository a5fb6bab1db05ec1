# What an upgrade was credited for is given back: in every order of payments
# and refunds, by webhooks and by questions, once however often it is said.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Till;
use Test::More;

my $before = '2027-01-01T00:00Z';
my $half = '2027-01-16T12:00Z';                 # of 31 days
my $later = '2027-01-24T06:00Z';                # a quarter of the next 31
my $after = '2027-01-25T00:00Z';


# Somebody with Starter who goes up to Pro: the user and both payments.  Of
# 3.000 JOD 1.500 are credited, so that 3.500 of 5.000 are paid.

sub upgraded {
    my $user = make_user();
    my $start = buy($user, $before, plan => 'starter');
    my $up = buy($user, $half, plan => 'pro');

    return ($user, $start, $up);
}

# and then to Creator, of whose 7.000 Pro's 3.750 are credited

sub upgraded_twice {
    my ($user, @paid) = upgraded();

    return ($user, @paid, buy($user, $later, plan => 'creator'));
}

sub refund { say_paid($_[0], $_[1], 'refunded', @_[2 .. $#_]) }

sub audited { is_deeply([sql('SELECT * FROM payments_audit()')], [], $_[0]) }

sub status {
    return scalar sql("SELECT concat_ws(' ', status, reason) FROM payments
                       WHERE id = '$_[0]'");
}

sub lost {
    return scalar sql("SELECT credit_lost FROM payments WHERE id = '$_[0]'");
}

sub limits {
    return join ' ', sql("SELECT limit_amount FROM accounts
                          WHERE user_id = '$_[0]' AND kind = 0
                          ORDER BY period_start");
}


subtest 'an upgrade runs for what was paid' => sub {
    my ($user, $start, $up) = upgraded();

    is(refund($start, '2027-01-18T00:00Z', amount => 1000), 'refunded');
    is(running($user, '2027-01-18T00:00Z'),
       'pro|active|01-16 12:00|02-16 12:00', 'a part leaves it');

    is(refund($start, '2027-01-18T00:00Z', amount => 2000), 'refunded');

    # 70 % of 31 days

    is(running($user, '2027-01-18T00:00Z'),
       'pro|active|01-16 12:00|02-07 04:48', 'the whole shortens it');
    is(lost($up), 1500);
    is(sql("SELECT DISTINCT to_char(period_end AT TIME ZONE 'UTC',
                                    'MM-DD HH24:MI:SS.US')
            FROM accounts WHERE user_id = '$user' AND limit_amount = 400000"),
       '02-07 04:48:00.000000', 'to the microsecond, and with its accounts');
    is(record($user), 'start:starter:hyperpay expire:starter:hyperpay'
                      . ' start:pro:hyperpay shorten:pro:hyperpay');
    is(sql("SELECT reason FROM subscription_transitions t
            JOIN subscriptions s ON s.id = t.subscription_id
            WHERE s.user_id = '$user' AND transition = 'shorten'")
       =~ s/ \d+$//r, 'webhook', 'and it says why');
    audited('the sums are right');

    my (undef, $said) = begin($user, '2027-02-01T00:00Z', plan => 'creator');

    is($said, 'upgrade|6000|1000', 'days cost what they did');

    follow('2027-02-07T04:48Z');
    is(running($user, '2027-02-08T00:00Z'),
       'pro|active|01-16 12:00|02-07 04:48', 'it has its grace');
    follow('2027-02-10T04:48Z');
    is(running($user, '2027-02-10T04:48Z'), undef, 'and ends');
};


subtest 'once, whoever tells' => sub {
    my ($user, $start, $up) = upgraded();
    my @of = (payment => 'back-of-it');

    is(refund($start, $after, @of, key => 'said'), 'refunded');

    my $ran = running($user, $after);

    is(refund($start, $after, @of, key => 'said') // '', '', 'a replay');
    is(refund($start, $after, @of), 'known', 'in other words');
    is(refund($start, $after, @of, source => 'query'), 'known', 'an answer');
    is(say_paid($start, $after, 'paid'), 'known');
    is(say_paid($up, $after, 'paid'), 'known');
    is(refund($start, $after), 'another refund than was paid');
    is(running($user, $after), $ran);
    is(lost($up), 1500);

    ($user, $start, $up) = upgraded();
    is(refund($start, $after, source => 'query'), 'refunded');
    is(running($user, $after), $ran, 'by a question alone');

    ($user, $start, $up) = upgraded();
    is(say_paid($start, $after, 'charged_back', amount => 1000),
       'charged_back');
    is(running($user, $after), $ran, 'a chargeback is of the whole');
    audited('the sums are right');
};


subtest 'before the upgrade' => sub {
    my $user = make_user();
    my $start = buy($user, $before, plan => 'starter');

    refund($start, $half);
    is((begin($user, $half, plan => 'pro'))[1], 'start|5000|0',
       'there is nothing to credit');

    # between its checkout and its payment

    $user = make_user();
    $start = buy($user, $before, plan => 'starter');

    my ($up) = begin($user, $half, plan => 'pro');
    my ($other) = begin($user, $half, plan => 'creator');

    is(refund($start, '2027-01-16T12:05Z'), 'refunded');
    is(running($user, '2027-01-16T12:05Z'), undef);
    is(say_paid($up, '2027-01-16T12:10Z', 'paid'), 'paid');
    is(running($user, $after), 'pro|active|01-16 12:10|02-07 04:58',
       'what was paid is given');
    is(lost($up), 1500);
    is(say_paid($other, '2027-01-16T12:15Z', 'paid'),
       'paid, not granted: credit is gone', 'another one is not');
    audited('the sums are right');

    # the next period, in between

    $user = make_user();
    buy($user, $before, plan => 'starter');

    my $next = buy($user, '2027-01-30T00:00Z', plan => 'starter');

    ($up) = begin($user, '2027-01-31T00:00Z', plan => 'creator');
    refund($next, '2027-01-31T00:05Z');
    is(say_paid($up, '2027-01-31T00:10Z', 'paid'), 'paid');
    is(running($user, '2027-01-31T00:10Z'),
       'creator|active|01-31 00:10|02-16 00:10');
    is(lost($up), 3000);
};


subtest 'a next period is credited once' => sub {
    my $user = make_user();
    my $start = buy($user, $before, plan => 'starter');

    buy($user, '2027-01-30T00:00Z', plan => 'starter');

    my ($up, $other) = map {
        (begin($user, '2027-01-31T00:00Z', plan => $_))[0]
    } qw(pro creator);

    is(say_paid($up, '2027-01-31T00:05Z', 'paid'), 'paid');
    refund($start, '2027-02-01T00:00Z');
    follow('2027-03-10T00:00Z');
    is(running($user, '2027-03-10T00:00Z'), undef, 'what had it is over');
    is(say_paid($other, '2027-03-10T00:00Z', 'paid'),
       'paid, not granted: credit is gone', 'and so is it');
    audited('the sums are right');
};


subtest 'an upgrade of an upgrade' => sub {
    my %ends = (start => '02-17 14:34', up => '02-10 23:08',
                both => '02-07 15:25');
    my ($user, $start, $up, $top) = upgraded_twice();

    refund($start, $after);
    is(running($user, $after), "creator|active|01-24 06:00|$ends{start}",
       'what was credited twice is lost twice');
    is(lost($up) . ' ' . lost($top), '1500 1500');
    refund($up, $after);
    is(running($user, $after), "creator|active|01-24 06:00|$ends{both}");
    is(lost($top), 3750, 'all of it');
    refund($top, $after);
    is(running($user, $after), undef);

    # as if the one in the middle had never been

    ($user, $start, $up, $top) = upgraded_twice();
    refund($up, $after);
    is(running($user, $after), "creator|active|01-24 06:00|$ends{up}",
       'what was left of the first is credited');
    is(lost($top), 3000);
    refund($start, $after);
    is(running($user, $after), "creator|active|01-24 06:00|$ends{both}",
       'the order makes no difference');
    audited('the sums are right');

    # the last one too

    ($user, $start, $up, $top) = upgraded_twice();
    refund($start, $after);
    refund($top, $after);
    is(running($user, $after), 'pro|active|01-16 12:00|02-07 04:48',
       'what it stood on is as short as it was paid');

    ($user, $start, $up, $top) = upgraded_twice();
    refund($top, $after);
    refund($start, $after);
    is(running($user, $after), 'pro|active|01-16 12:00|02-07 04:48',
       'also in the other order');

    for my $order ([0, 1], [1, 0]) {
        ($user, $start, $up, $top) = upgraded_twice();
        refund(($up, $top)[$_], $after) for @$order;
        is(running($user, $after), 'starter|active|01-01 00:00|02-01 00:00',
           'the first one runs again');
    }

    for my $order ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1],
                   [2, 1, 0])
    {
        my ($nobody, @paid) = upgraded_twice();

        refund($paid[$_], $after) for @$order;
        is(running($nobody, $after), undef, "nothing is left: @$order");
    }

    # its checkout is open when what it stands on is given back

    ($user, $start, $up) = upgraded();
    ($top) = begin($user, $later, plan => 'creator');
    refund($up, '2027-01-24T06:05Z');
    is(running($user, '2027-01-24T06:05Z'),
       'starter|active|01-01 00:00|02-01 00:00');
    is(say_paid($top, '2027-01-24T06:10Z', 'paid'), 'paid');
    is(running($user, $after), 'creator|active|01-24 06:10|02-10 23:18');
    refund($top, $after);
    is(running($user, $after), 'starter|active|01-01 00:00|02-01 00:00');

    ($user, $start, $up) = upgraded();
    ($top) = begin($user, $later, plan => 'creator');
    refund($start, '2027-01-24T06:05Z');
    is(say_paid($top, '2027-01-24T06:10Z', 'paid'), 'paid');
    is(running($user, $after), 'creator|active|01-24 06:10|02-17 14:44',
       'or shortened');
    audited('the sums are right');
};


subtest 'next periods' => sub {
    my $standing = sub {
        my $user = make_user();
        my $start = buy($user, $before, plan => 'starter');
        my $next = buy($user, '2027-01-30T00:00Z', plan => 'starter');

        return ($user, $start, $next,
                buy($user, '2027-01-31T00:00Z', plan => 'creator'));
    };

    # 96 and 3000 of 7000 are credited, for 28 days

    my ($user, $start, $next, $up) = $standing->();
    my $noon = '2027-01-31T12:00Z';

    refund($next, $noon);
    is(running($user, $noon), 'creator|active|01-31 00:00|02-16 00:00',
       'one that was credited');
    refund($up, $noon);
    is(running($user, $noon), 'starter|active|01-01 00:00|02-01 00:00');
    follow('2027-02-05T00:00Z');
    is(running($user, '2027-02-05T00:00Z'), undef, 'is not given after all');

    ($user, $start, $next, $up) = $standing->();
    refund($start, $noon);
    is(running($user, $noon), 'creator|active|01-31 00:00|02-27 14:47');
    refund($up, $noon);
    is(running($user, $noon), 'starter|active|01-31 12:00|02-28 12:00',
       'one that is kept begins at once');
    audited('the sums are right');

    # without an upgrade

    $user = make_user();
    $start = buy($user, $before, plan => 'starter');
    $next = buy($user, '2027-01-30T00:00Z', plan => 'starter');
    refund($start, $noon);
    is(running($user, $noon), 'starter|active|01-31 12:00|02-28 12:00',
       'what was paid for is not lost');
    is(limits($user), '150000 150000');
    is(record($user), 'start:starter:hyperpay prepay:starter:hyperpay'
                      . ' shorten:starter:hyperpay renew:starter:hyperpay');

    # the upgrade's own, which follows the shorter period for a whole month

    my $month = 'pro|active|02-07 04:48|03-07 04:48';

    ($user, $start, $up) = upgraded();
    buy($user, '2027-02-10T00:00Z', plan => 'pro');
    refund($start, '2027-02-11T00:00Z');
    is(running($user, '2027-02-11T00:00Z'), $month);

    ($user, $start, $up) = upgraded();
    refund($start, '2027-01-20T00:00Z');
    buy($user, '2027-02-05T00:00Z', plan => 'pro');
    follow('2027-02-07T04:48Z');
    is(running($user, '2027-02-07T04:48Z'), $month);
    follow('2027-03-07T04:48Z');

    ($user, $start, $up) = upgraded();
    buy($user, '2027-02-10T00:00Z', plan => 'pro');
    refund($up, '2027-02-11T00:00Z');
    is(running($user, '2027-02-11T00:00Z'),
       'pro|active|02-11 00:00|03-11 00:00', 'it is not lost with it');

    # two of them

    $user = make_user();
    buy($user, $before, plan => 'starter');
    buy($user, '2027-01-30T00:00Z', plan => 'starter');
    $up = buy($user, '2027-01-31T00:00Z', plan => 'pro');
    $next = buy($user, '2027-02-25T00:00Z', plan => 'pro');
    refund($up, '2027-02-26T00:00Z');
    is(running($user, '2027-02-26T00:00Z'),
       'starter|active|02-01 00:00|03-01 00:00');
    is(status($next), 'review the next period is paid for',
       'are for a person');

    # under another upgrade

    ($user, $start, $up) = upgraded();
    $next = buy($user, '2027-02-10T00:00Z', plan => 'pro');

    my $top = buy($user, '2027-02-10T00:00Z', plan => 'creator');

    is(sql("SELECT amount, credit FROM payments WHERE id = '$top'"),
       '950|6048');
    refund($up, '2027-02-11T00:00Z');
    is(running($user, '2027-02-11T00:00Z'),
       'creator|active|02-10 00:00|03-05 19:23');
    is(lost($top), 1048, 'it stays credited');
    refund($top, '2027-02-12T00:00Z');
    is(running($user, '2027-02-12T00:00Z'),
       'pro|active|02-01 00:00|03-01 00:00', 'until it is given');
    audited('the sums are right');
};


subtest 'a credit of more than the price' => sub {
    my $user = make_user();

    sql(q(UPDATE billing SET prices = '{"plans":{"creator":{"JOD":6000}}}'));

    my $start = buy($user, $before, plan => 'pro');
    my $next = buy($user, '2027-01-25T00:00Z', plan => 'pro');
    my $up = buy($user, '2027-01-25T00:00Z', plan => 'creator');

    sql("UPDATE billing SET prices = '{}'");

    is(sql("SELECT amount, credit FROM payments WHERE id = '$up'"),
       '10|6129');
    refund($start, '2027-01-26T00:00Z');

    my $value = "SELECT value FROM subscriptions WHERE payment_id = '$up'";

    is(sql($value), 5010, 'pays as far as it goes');
    refund($next, '2027-01-26T00:00Z');
    is(sql($value), 10, 'and then there is what was paid');
    audited('the sums are right');
};


subtest 'told long after' => sub {
    my ($user, $start, $up) = upgraded();

    refund($start, '2027-02-08T00:00Z');
    is(running($user, '2027-02-08T00:00Z'),
       'pro|active|01-16 12:00|02-07 04:48', 'what is over is overdue');

    ($user, $start, $up) = upgraded();
    refund($start, '2027-02-12T00:00Z');
    is(running($user, '2027-02-12T00:00Z'), undef, 'and then it ends');

    ($user, $start, $up) = upgraded();
    buy($user, '2027-02-10T00:00Z', plan => 'pro');
    follow('2027-02-16T12:00Z');
    refund($start, '2027-02-20T00:00Z');
    is(running($user, '2027-02-20T00:00Z'),
       'pro|active|02-16 12:00|03-16 12:00',
       'a period that nothing was credited for is whole');
    audited('the sums are right');
};


subtest 'add-ons' => sub {
    my $user = make_user();
    my $start = buy($user, $before, plan => 'starter');
    my $first = buy($user, '2027-01-05T00:00Z', addon => 'tokens');
    my $up = buy($user, $half, plan => 'pro');
    my $second = buy($user, '2027-01-20T00:00Z', addon => 'tokens');

    is(limits($user), '350000 600000');
    refund($start, '2027-01-21T00:00Z');
    is(running($user, '2027-01-21T00:00Z'),
       'pro|active|01-16 12:00|02-07 04:48');
    is(limits($user), '350000 600000', 'are there as before');
    refund($second, '2027-01-22T00:00Z');
    refund($first, '2027-01-22T00:00Z');
    is(limits($user), '150000 400000', 'and go back each to its period');

    $user = make_user();
    buy($user, $before, plan => 'starter');
    $first = buy($user, '2027-01-05T00:00Z', addon => 'tokens');
    $up = buy($user, $half, plan => 'pro');
    refund($first, '2027-01-20T00:00Z');
    refund($up, '2027-01-20T00:00Z');
    is(running($user, '2027-01-20T00:00Z'),
       'starter|active|01-01 00:00|02-01 00:00');
    is(limits($user), '150000 400000', 'one given back does not come again');

    # in the days of grace

    $user = make_user();
    buy($user, $before, plan => 'starter');
    follow('2027-02-01T00:00Z');
    $first = buy($user, '2027-02-02T00:00Z', addon => 'tokens');
    is(limits($user), '350000');
    refund($first, '2027-02-02T12:00Z');
    is(limits($user), '150000');
};


subtest 'a plan that another one ended without a credit' => sub {
    my $user = make_user();
    my @id = map { (begin($user, $before, plan => $_))[0] } qw(starter pro);

    say_paid($id[0], $before, 'paid');
    is(say_paid($id[1], '2027-01-02T00:00Z', 'paid'), 'paid');
    is(running($user, '2027-01-02T00:00Z'),
       'pro|active|01-02 00:00|02-02 00:00');
    refund($id[1], '2027-01-03T00:00Z');
    is(running($user, '2027-01-03T00:00Z'),
       'starter|active|01-01 00:00|02-01 00:00', 'runs again');
};


subtest 'play money' => sub {
    my $user = make_user();
    my $start = buy($user, $before, plan => 'starter');

    is((begin($user, $half, plan => 'pro'))[1], 'upgrade|3500|1500');

    my ($live, $said) = begin($user, $half, plan => 'pro', live => 1);

    is($said, 'upgrade|5000|0', 'is no credit for what is real');
    is(say_paid($live, $half, 'paid'), 'paid');
    refund($start, $after);
    is(running($user, $after), 'pro|active|01-16 12:00|02-16 12:00',
       'nor is its refund');
};


subtest 'the tax of what is given back' => sub {
    my $user = make_user();
    my $vat = sub {
        sql("UPDATE billing SET invoices = '{\"vat_rate\":$_[0]}'");
    };

    $vat->(1600);

    my $id = buy($user, $before, plan => 'pro');

    $vat->(1000);
    refund($id, $after, amount => 1990);
    refund($id, $after, amount => 1005);
    refund($id, $after, amount => 2005);
    $vat->(0);

    is(join(' ', sql("SELECT vat_rate, sum(amount), sum(vat), sum(net)
                      FROM invoices WHERE payment_id = '$id'
                      GROUP BY kind, vat_rate ORDER BY kind")),
       '1600|5000|689|4311 1600|5000|689|4311',
       'is that of the invoice, at its rate');
};


done_testing();
