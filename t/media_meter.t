# The meter of images and videos, which the sidecar holds and settles in the
# store itself: exactly, once, and in the period in which it was asked.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Test::More;

my $lasts = "'5 minutes'";


sub take {
    my ($user, $amount, %o) = @_;

    my $id = $o{id} // uuid();
    my $kind = $o{kind} // 1;
    my $for = $o{lasts} // $lasts;

    my ($status, $code) = split /\|/, sql(
        "SELECT status, code FROM media_take('$id', '$user', $kind, $amount,"
        . " $for, 'painter-1', 'twin', 'trace')");

    return $status == 200 ? $id : "$status $code";
}


sub settle {
    my ($id, $amount, $details) = @_;

    $details //= '{}';

    return scalar sql("SELECT state, amount, used, limit_amount"
                      . " FROM media_settle('$id', $amount, '$details')");
}


sub account {
    my ($user, $kind) = @_;

    $kind //= 1;

    return join ' ', sql("SELECT used || '+' || leased || '/' || limit_amount"
                         . " FROM accounts WHERE user_id = '$user'"
                         . " AND kind = $kind ORDER BY period_start");
}


sub events {
    my ($user) = @_;

    return [sql("SELECT kind, amount, estimated, model, provider, source"
                . " FROM usage_events WHERE user_id = '$user' ORDER BY id")];
}


# All at the same time: one session for each statement.

sub race {
    my (@statements) = @_;

    my $conninfo = $ENV{TEST_NGINX_PULSE_PG};

    my @out = map {
        open my $out, '-|', 'psql', '-XAtq', '-d', $conninfo, '-c', $_
            or die "psql: $!\n";
        $out;
    } @statements;

    return map { my $text = do { local $/; <$_> }; chomp $text; $text } @out;
}


subtest 'held, settled, given back' => sub {
    my $user = make_user(plan => 'pro', images => 10);
    my $hold = take($user, 4);

    is(account($user), '0+4/10');
    is(settle($hold, 3, '{"price": 120, "output": 1120}'), 'settled|3|3|10');
    is(account($user), '3+0/10', 'and the rest came back');
    is_deeply(events($user), ['1|3|f|painter-1|twin|media']);
    is(scalar sql("SELECT price, output, reserved, trace_id FROM usage_events"
                  . " WHERE id = '$hold'"), '120|1120|4|trace',
       'the event is the hold');

    is(settle($hold, 3), 'settled|3|3|10', 'twice is once');
    is(settle($hold, 4), 'settled|3|3|10', 'whatever is said then');
    is(settle($hold, 0), 'settled|3|3|10', 'it cannot be given back');
    is(account($user), '3+0/10');

    my $second = take($user, 2);

    is(settle($second, 0), 'released|0|3|10');
    is(settle($second, 2), 'released|0|3|10', 'nor charged afterwards');

    my $third = take($user, 1);

    is(settle($third, 5), 'settled|1|4|10', 'never more than was held');
    is(scalar(@{ events($user) }), 2);
    is(sql('SELECT count(*) FROM media_holds'), 0);

    is(take($user, 6, id => $third), $third, 'the answer that was lost');
    is(account($user), '4+0/10');
};


subtest 'all or nothing' => sub {
    my $user = make_user(plan => 'pro', images => 5);
    my $hold = take($user, 3);

    is(take($user, 3), '402 QUOTA_EXCEEDED', 'no part of it');
    is(account($user), '0+3/5');

    my ($details) = sql("SELECT data::json ->> 'resource', data::json ->>"
                        . " 'used', data::json ->> 'reserved', data::json ->>"
                        . " 'limit', data::json ->> 'reset_at' IS NOT NULL"
                        . " FROM media_take('${\ uuid()}', '$user', 1, 3,"
                        . " $lasts, NULL, NULL, NULL)");

    is($details, 'images|0|3|5|t');

    settle($hold, 0);
    isnt(take($user, 5), '402 QUOTA_EXCEEDED', 'all of it');
    is(take($user, 1), '402 QUOTA_EXCEEDED');

    sql("SELECT media_release(id) FROM leases WHERE user_id = '$user'");

    for my $amount (0, -1) {
        ok(!eval { take($user, $amount); 1 }, "a hold of $amount");
    }

    is(take(make_user(), 1), '402 NO_SUBSCRIPTION');
    is(take(make_user(plan => 'trial', videos => 0), 1, kind => 2),
       '402 QUOTA_EXCEEDED');

    my $gone = make_user(plan => 'pro');

    sql("UPDATE users SET status = 'inactive' WHERE id = '$gone'");
    is(take($gone, 1), '403 FORBIDDEN');

    my $debtor = make_user(plan => 'pro', images => 2);

    sql("SELECT * FROM usage_log('$debtor', 'images', 3, 'x',"
        . " '${\ uuid()}', NULL)");
    is(take($debtor, 1), '402 QUOTA_EXCEEDED', 'who owes has nothing free');
};


subtest 'a race for the last' => sub {
    my $user = make_user(plan => 'pro', videos => 5);

    my @status = race(map {
        "SELECT status FROM media_take('${\ uuid()}', '$user', 2, 2,"
        . " $lasts, NULL, NULL, NULL)"
    } 1 .. 12);

    is(scalar(grep { $_ == 200 } @status), 2);
    is(account($user, 2), '0+4/5');

    my @holds = sql("SELECT id FROM leases WHERE user_id = '$user'");

    # each settled, given back and swept at the same time

    sql("UPDATE media_holds SET deadline = now() WHERE id = '$holds[0]'");

    race(map { my $id = $_; ("SELECT media_settle('$id', 2)",
                             "SELECT media_release('$id')",
                             'SELECT media_sweep()') } @holds, @holds);

    my ($charged, $open) = sql("SELECT coalesce(sum(amount), 0) FROM"
                               . " usage_events WHERE user_id = '$user'"
                               . ' UNION ALL SELECT count(*) FROM leases'
                               . " WHERE user_id = '$user'"
                               . ' AND closed_at IS NULL');

    is(account($user, 2), "$charged+0/5", 'each ended once');
    is($open, 0);
};


subtest 'whoever dies' => sub {
    my $user = make_user(plan => 'pro', images => 10);
    my $hold = take($user, 4, lasts => "'-1 second'");
    my $nothing = take($user, 3, lasts => "'-1 second'");
    my $alive = take($user, 1);

    is(sql("SELECT media_came('$hold', 2, '-1 second')"), 't');
    is(sql("SELECT media_came('$hold', 1, '-1 second')"), 't');
    is(sql('SELECT media_sweep()'), 2);

    is(account($user), '2+1/10', 'what its owner has is charged, once');
    is_deeply(events($user), ['1|2|t|painter-1|twin|media']);
    is(settle($hold, 4), 'settled|2|2|10', 'by whoever comes late too');
    is(settle($nothing, 3), 'released|0|2|10', 'and it hands out nothing');
    is(sql("SELECT media_came('$nothing', 1, '1 minute')"), 'f');
    is(sql('SELECT media_sweep()'), 0);

    is(settle($alive, 1), 'settled|1|3|10');
    is(sql("SELECT count(*) FROM lease_sweep('0 seconds')"), 1);
};


subtest 'nodes and holds' => sub {
    my $user = make_user(plan => 'pro', images => 10);
    my $hold = take($user, 4);

    sql("UPDATE nodes SET seen_at = now() - interval '1 hour'"
        . " WHERE seen_at <> 'infinity'; SELECT lease_sweep('0 seconds')");
    is(account($user), '0+4/10', 'the sweep of nodes leaves it alone');

    # somebody closed the lease behind our back

    sql("SELECT lease_close(ARRAY['$hold'::uuid])");
    is(settle($hold, 4), 'released|0|0|10');
    is(sql('SELECT count(*) FROM media_holds'), 0);
    is_deeply(events($user), []);
};


subtest 'warnings' => sub {
    my $user = make_user(plan => 'pro', images => 10);

    sub warning {
        my ($hold, $amount) = @_;

        return scalar sql("SELECT warning FROM"
                          . " media_settle('$hold', $amount)");
    }

    sub mails {
        my ($user) = @_;

        return join ' ', sql("SELECT kind FROM outbox o JOIN users u"
                             . " ON u.email = o.recipient"
                             . " WHERE u.id = '$user' ORDER BY o.id");
    }

    my $hold = take($user, 10);

    is(mails($user), '', 'what is held is not used');
    is(warning($hold, 7), '');
    is(warning(take($user, 1), 1), 'images');
    is(mails($user), 'usage_warning');
    is(warning(take($user, 2), 2), 'images');
    is(mails($user), 'usage_warning usage_exhausted');

    sql("SELECT * FROM usage_log('$user', 'tokens', 400000, 'x',"
        . " '${\ uuid()}', NULL)");
    is(scalar sql("SELECT warning FROM media_take('${\ uuid()}', '$user', 2,"
                  . " 9, $lasts, NULL, NULL, NULL)"), 'tokens, images');
};


subtest 'a period ends meanwhile' => sub {
    my $user = make_user();

    sub at {
        my ($time, $statement) = @_;

        return (sql("SET pulse.now = '$time'; $statement"))[-1];
    }

    at('2027-01-31T10:00Z', "SELECT subscription_start('$user', 'starter')");

    my $hold = uuid();

    at('2027-01-31T11:00Z', "SELECT status FROM media_take('$hold', '$user',"
       . " 2, 1, $lasts, NULL, NULL, NULL)");
    at('2027-03-01T00:00Z', 'SELECT subscription_renew(id, period_end) FROM'
       . " subscriptions WHERE user_id = '$user'");
    is(account($user, 2), '0+1/2 0+0/2');

    is(at('2027-03-01T01:00Z', "SELECT state FROM media_settle('$hold', 1)"),
       'settled');
    is(account($user, 2), '1+0/2 0+0/2', 'it is of the period that it was'
       . ' asked in');

    my $back = uuid();

    at('2027-03-01T02:00Z', "SELECT status FROM media_take('$back', '$user',"
       . " 2, 2, $lasts, NULL, NULL, NULL)");
    at('2027-03-01T03:00Z', "SELECT subscription_start('$user', 'pro')");
    at('2027-03-01T04:00Z', "SELECT state FROM media_settle('$back', 0)");
    is(account($user, 2), '1+0/2 0+0/2 0+0/5', 'also what comes back');
};


subtest 'what people see' => sub {
    my $user = make_user(plan => 'pro', images => 10);
    my $hold = take($user, 2);
    my $usage = "SELECT data::json #>> '{usage,images}' FROM"
                . " usage_me('$user', 'en', '[]')";

    like(sql($usage), qr/"used" : 0, "reserved" : 2, "remaining" : 10/);
    settle($hold, 2);
    like(sql($usage), qr/"used" : 2, "reserved" : 0, "remaining" : 8/);

    like(sql("SELECT data FROM usage_events_page('$user', NULL)"),
         qr/"resource" : "images", "amount" : 2/);
    like(sql("SELECT data FROM usage_history('$user', NULL, NULL, 'model')"),
         qr/"key":"painter-1","requests":1,"tokens":0,"images":2/);

    sql("SELECT analytics_refresh('day', (now() AT TIME ZONE 'UTC')::date)");
    is(sql("SELECT sum(amount) FROM analytics_usage WHERE kind = 1"
           . " AND model = 'painter-1'") > 0, 1, 'and analytics');
};


sql('SELECT media_release(id) FROM media_holds');

done_testing();
