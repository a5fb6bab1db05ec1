# Periods, by a clock that is set: where months end, in which time zone, what
# a change of plan does, and that what ends late ends where it was admitted.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Test::More;

# a moment of the billing's clock, for one statement

sub at {
    my ($time, $statement) = @_;

    return sql("SET pulse.now = '$time'; SET timezone = 'UTC'; $statement");
}


# the running period, as the clock of the plan's zone shows it

sub period {
    my ($user, $time) = @_;

    return (at($time, "SELECT to_char(period_start AT TIME ZONE zone,
                                      'YYYY-MM-DD HH24:MI'),
                              to_char(period_end AT TIME ZONE zone,
                                      'YYYY-MM-DD HH24:MI'), plan_id
                       FROM subscription_running('$user')
                       WHERE id IS NOT NULL"))[-1];
}


sub start {
    my ($time, $plan) = @_;

    my $user = make_user();
    at($time, "SELECT subscription_start('$user', '$plan')");

    return $user;
}


# the end of the period that was paid, at that time

sub renew {
    my ($user, $time) = @_;

    return (at($time, "SELECT to_char(subscription_renew(id, period_end)
                                      AT TIME ZONE zone,
                                      'YYYY-MM-DD HH24:MI')
                       FROM subscriptions WHERE user_id = '$user'
                       AND status = 'active'"))[-1];
}


sub account {
    my ($user) = @_;

    return [sql("SELECT plan_id, limit_amount, used, debt, carried_in,
                        carried_out
                 FROM accounts WHERE user_id = '$user' AND kind = 0
                 ORDER BY period_start")];
}


subtest 'the 31st' => sub {
    my $user = start('2027-01-31T10:30Z', 'starter');

    is(period($user, '2027-01-31T10:30Z'),
       '2027-01-31 10:30|2027-02-28 10:30|starter');
    is(period($user, '2027-02-28T10:29Z'),
       '2027-01-31 10:30|2027-02-28 10:30|starter', 'to the minute');
    is(period($user, '2027-02-28T10:30Z'), undef, 'an end is exclusive');

    is(renew($user, '2027-02-28T10:29Z'), '', 'not before it ended');
    is(renew($user, '2027-02-28T10:30Z'), '2027-03-31 10:30',
       'and back to the 31st');
    is(renew($user, '2027-03-31T12:00Z'), '2027-04-30 10:30');
    is(renew($user, '2027-04-30T12:00Z'), '2027-05-31 10:30');
    is(period($user, '2027-05-01T00:00Z'),
       '2027-04-30 10:30|2027-05-31 10:30|starter',
       'it begins where the last one ended, not when it was paid');
};


subtest 'a leap year' => sub {
    my $user = start('2028-01-30T00:00Z', 'starter');

    is(period($user, '2028-02-01T00:00Z'),
       '2028-01-30 00:00|2028-02-29 00:00|starter');
    is(renew($user, '2028-02-29T00:00Z'), '2028-03-30 00:00');
};


subtest 'paid once' => sub {
    my $user = start('2027-01-10T00:00Z', 'starter');
    my ($id) = sql("SELECT id FROM subscriptions WHERE user_id = '$user'");
    my $renew = "SELECT subscription_renew('$id', '2027-02-10T00:00Z')";

    is((at('2027-02-10T01:00Z', $renew))[-1], '2027-03-10 00:00:00+00');
    is((at('2027-02-10T01:00Z', $renew))[-1], '', 'twice is once');
    is((at('2027-04-10T01:00Z', $renew))[-1], '', 'also later');

    sql("UPDATE subscriptions SET status = 'cancelled' WHERE id = '$id'");
    is(period($user, '2027-03-09T00:00Z'),
       '2027-02-10 00:00|2027-03-10 00:00|starter',
       'what was canceled runs to its end');
    is((at('2027-03-10T01:00Z',
           "SELECT subscription_renew('$id', '2027-03-10T00:00Z')"))[-1], '',
       'and no further');
};


subtest 'paid late' => sub {
    my $user = start('2027-01-31T10:30Z', 'starter');

    is(renew($user, '2027-06-15T08:00Z'), '2027-07-15 08:00',
       'days that are gone are not sold');
    is(period($user, '2027-06-20T00:00Z'),
       '2027-06-15 08:00|2027-07-15 08:00|starter');
};


subtest 'time zones' => sub {
    sql("UPDATE plans SET zone = 'Asia/Riyadh' WHERE id = 'starter'");
    sql("UPDATE plans SET zone = 'Europe/Berlin' WHERE id = 'pro'");

    # 22:00 UTC on the 30th is the 31st in Riyadh already

    my $user = start('2027-01-30T22:00Z', 'starter');

    is(period($user, '2027-02-01T00:00Z'),
       '2027-01-31 01:00|2027-02-28 01:00|starter');
    is((at('2027-02-01T00:00Z', "SELECT period_end AT TIME ZONE 'UTC'
                                 FROM subscription_running('$user')"))[-1],
       '2027-02-27 22:00:00');

    # a plan that moves does not move those who have it

    sql("UPDATE plans SET zone = 'UTC' WHERE id = 'starter'");
    is(renew($user, '2027-02-28T00:00Z'), '2027-03-31 01:00');

    # clocks change on 28 March: the day stays as it is on the wall

    $user = start('2027-03-20T08:00Z', 'pro');
    is(period($user, '2027-03-20T08:00Z'),
       '2027-03-20 09:00|2027-04-20 09:00|pro');

    my $early = uuid();

    at('2027-03-21T00:00Z',
       "SELECT usage_log('$user', 'tokens', 5, 'm', '$early', '{}');
        UPDATE usage_events SET created_at = '2027-03-20T23:30Z'
        WHERE id = '$early'");

    like((at('2027-03-22T00:00Z',
             "SELECT data FROM usage_history('$user', '2027-03-20',
                                             '2027-03-23', 'day')"))[-1],
         qr/"key":"2027-03-21"/, 'a day of the history is one there');

    sql("UPDATE plans SET zone = 'UTC'");
    ok(!eval { sql("UPDATE plans SET zone = 'Mars/Base' WHERE id = 'pro'");
               1 }, 'a zone must be one');
};


subtest 'a change of plan' => sub {
    my $user = start('2027-01-15T00:00Z', 'starter');

    is((at('2027-01-20T12:00Z',
           "SELECT subscription_change('$user', 'creator')"))[-1], 'now',
       'up at once');
    is(period($user, '2027-01-20T12:00Z'),
       '2027-01-20 12:00|2027-02-20 12:00|creator', 'in a period of its own');

    is((at('2027-01-25T00:00Z',
           "SELECT subscription_change('$user', 'starter')"))[-1], 'later',
       'down at the end');
    is(period($user, '2027-02-20T11:59Z'),
       '2027-01-20 12:00|2027-02-20 12:00|creator', 'not before');
    is(renew($user, '2027-02-20T12:00Z'), '2027-03-20 12:00');
    is(period($user, '2027-02-20T12:00Z'),
       '2027-02-20 12:00|2027-03-20 12:00|starter');
    is(account($user)->[-1], 'starter|150000|0|0|0|0', 'with its limits');

    is((at('2027-03-01T00:00Z',
           "SELECT subscription_change('$user', 'trial')"))[-1], 'later');
    is((at('2027-03-01T00:00Z',
           "SELECT subscription_change('$user', 'starter')"))[-1], 'now',
       'thought better of');
    is(renew($user, '2027-03-20T12:00Z'), '2027-04-20 12:00');
    is(period($user, '2027-03-20T12:00Z'),
       '2027-03-20 12:00|2027-04-20 12:00|starter');
    is((at('2027-03-21T00:00Z',
           "SELECT subscription_change('$user', 'gold')"))[-1], '',
       'no such plan');
};


subtest 'add-ons and expiry' => sub {
    my $user = start('2027-01-15T00:00Z', 'starter');
    my ($addon) = sql('SELECT id FROM addons WHERE kind = 0');

    is((at('2027-02-14T23:59Z', "SELECT addon_grant('$user', '$addon', 1)"))
           [-1], 350000, 'adds to the running period');
    is((at('2027-02-15T00:00Z', "SELECT addon_grant('$user', '$addon', 1)"))
           [-1], '', 'to none when it is over');

    renew($user, '2027-02-15T00:00Z');
    is(account($user)->[-1], 'starter|150000|0|0|0|0',
       'and ends with it');

    is((at('2027-03-15T00:00Z',
           "SELECT status FROM lease_acquire('@{[uuid()]}', 'n',
            '@{[uuid()]}', '$user', 0, 1, 1)"))[-1], 'no_subscription');
};


subtest 'what ends late' => sub {
    my $user = start('2027-01-15T00:00Z', 'starter');
    my ($node, $lease, $event) = (uuid(), uuid(), uuid());

    my ($reply) = (at('2027-02-14T23:59:59Z',
                      "SELECT taken, period_start FROM lease_acquire('$node',
                       'n', '$lease', '$user', 0, 500, 500)"))[-1];
    my ($taken, $period) = split /\|/, $reply;

    is($taken, 500);
    renew($user, '2027-02-15T00:00Z');

    is((at('2027-02-15T00:00:01Z',
           "SELECT status FROM lease_acquire('$node', 'n', '$lease', '$user',
                                             0, 500, 500)"))[-1], 'retired',
       'a lease of the old period gives no more');

    my $record = sub {
        my ($id, $amount, $settled) = @_;

        at('2027-02-15T00:01Z', "SELECT usage_record('$node', '" .
           qq([{"id": "$id", "lease_id": "$lease", "user_id": "$user",
               "kind": 0, "period": $period, "created": 1801000000000,
               "reserved": 500, "settled": $settled, "amount": $amount,
               "input": 1, "cached": 0, "output": 1, "reasoning": 0,
               "estimated": false}]) . "')");
    };

    $record->($event, 420, 420);

    is_deeply(account($user), ['starter|150000|420|0|0|0',
                               'starter|150000|0|0|0|0'],
              'settles where it was admitted');

    # what the old period cannot pay the new one does, and both tell

    sql("SELECT lease_close(ARRAY['$lease']::uuid[])");
    $record->(uuid(), 149_590, 0);
    at('2027-02-15T00:02Z', "SELECT lease_acquire('$node', 'n',
                             '@{[uuid()]}', '$user', 0, 1, 1)");

    is_deeply(account($user), ['starter|150000|150000|0|0|10',
                               'starter|150000|10|0|10|0'],
              'debt moves on');

    like((at('2027-02-15T00:03Z',
             "SELECT data FROM usage_me('$user', 'en', '[]')"))[-1],
         qr/"used" : 10,.*?"debt" : 0, "carried" : 10/, 'and is shown');

    # the next plan takes it over too

    $record->(uuid(), 30, 0);
    at('2027-02-16T00:00Z', "SELECT subscription_change('$user', 'pro')");

    is_deeply(account($user)->[-1], 'pro|400000|30|0|30|0',
              'also to another plan');
    is_deeply([sql('SELECT * FROM usage_audit()')], [], 'the audit agrees');

    sql("UPDATE accounts SET carried_out = carried_out + 1
         WHERE user_id = '$user' AND kind = 0 AND plan_id = 'pro'");
    is(scalar(sql('SELECT count(*) FROM usage_audit()')), 2,
       'and would not, if it were forgiven');
    sql("UPDATE accounts SET carried_out = carried_out - 1
         WHERE user_id = '$user' AND kind = 0 AND plan_id = 'pro'");

    sql("SELECT node_close('$node')");
};


done_testing();
