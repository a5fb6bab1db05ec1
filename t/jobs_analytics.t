# Daily and monthly sums: against the ledger, late events, months' ends.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Ctl qw(ctl_json);
use Pulse::Env 'stores', 'no_audit';
use Pulse::Sidecar;
use Test::More;

my $layla = make_user(plan => 'pro', tokens => 100000);
my $omar = make_user(plan => 'starter', tokens => 100000);


sub event {
    my ($user, $at, %o) = @_;

    my $price = $o{price} // 'NULL';

    sql("INSERT INTO usage_events (id, user_id, kind, period_start, amount,"
        . " input, output, estimated, model, provider, price, created_at,"
        . " recorded_at)"
        . " SELECT gen_random_uuid(), user_id, kind, period_start,"
        . " @{[ $o{amount} // 10 ]}, 6, 4, @{[ $o{estimated} // 'false' ]},"
        . " '@{[ $o{model} // 'swift-1' ]}', 'openai', $price, '$at',"
        . " '@{[ $o{recorded} // $at ]}'"
        . " FROM accounts WHERE user_id = '$user'"
        . " AND kind = @{[ $o{kind} // 0 ]}");
}


sub daily { sql("SELECT analytics_daily('$_[0]')") }
sub monthly { sql("SELECT analytics_monthly('$_[0]')") }


sub usage {
    my ($span, $start) = @_;

    return [sql("SELECT kind, plan_id, model, users, requests, estimated,"
                . " amount, price, unpriced FROM analytics_usage"
                . " WHERE span = '$span' AND start = '$start'"
                . " ORDER BY kind, plan_id, model")];
}


sub people {
    my ($span, $start) = @_;

    return sql("SELECT active, sign_ups, sign_ins FROM analytics_people"
               . " WHERE span = '$span' AND start = '$start'");
}


subtest 'a day' => sub {
    event($layla, '2027-01-30T23:59:59.999Z');
    event($layla, '2027-01-31T00:00:00Z', price => 3);
    event($layla, '2027-01-31T12:00:00Z', price => 4, amount => 20);
    event($omar, '2027-01-31T12:00:00Z', estimated => 'true');
    event($omar, '2027-01-31T12:00:00Z', model => 'other');
    event($omar, '2027-01-31T12:00:00Z', kind => 1, amount => 1);
    event($layla, '2027-02-01T00:00:00Z');

    sql("UPDATE users SET created_at = '2027-01-31T10:00Z'"
        . " WHERE id = '$omar';"
        . " INSERT INTO sessions (id, user_id, created_at, expires_at)"
        . " SELECT gen_random_uuid(), '$omar', '2027-01-31T10:00Z', now()"
        . ' FROM generate_series(1, 3)');

    daily('2027-02-01T00:15Z');

    my @day = ('0|pro|swift-1|1|2|0|30|7|0', '0|starter|other|1|1|0|10|0|1',
               '0|starter|swift-1|1|1|1|10|0|1',
               '1|starter|swift-1|1|1|0|1|0|1');

    is_deeply(usage(day => '2027-01-31'), \@day);
    is(people(day => '2027-01-31'), '2|1|3');
    is_deeply(usage(day => '2027-02-01'), [], 'which has ended alone');

    daily('2027-02-01T00:15Z');
    is_deeply(usage(day => '2027-01-31'), \@day, 'twice is the same');

    sql('DELETE FROM sessions');
    daily('2027-02-01T00:15Z');
    is(people(day => '2027-01-31'), '2|1|3', 'what is forgotten was counted');
};


subtest 'a month' => sub {
    monthly('2027-02-01T00:45Z');
    is_deeply(usage(month => '2027-01-01'),
              ['0|pro|swift-1|1|3|0|40|7|1', '0|starter|other|1|1|0|10|0|1',
               '0|starter|swift-1|1|1|1|10|0|1',
               '1|starter|swift-1|1|1|0|1|0|1']);
    is(people(month => '2027-01-01'), '2|1|0');
};


subtest 'what a journal brings late' => sub {
    daily('2027-02-02T00:15Z');
    event($layla, '2027-01-15T12:00Z', recorded => '2027-02-02T03:00Z');
    daily('2027-02-03T00:15Z');

    is_deeply(usage(day => '2027-01-15'), ['0|pro|swift-1|1|1|0|10|0|1'],
              'is in its day');
    is((split /\|/, usage(month => '2027-01-01')->[0])[4], 4,
       'and its month');
    is_deeply(usage(day => '2027-02-02'), [], 'and in no other');
    is_deeply(usage(month => '2027-02-01'), [], 'a month that runs waits');

    is(sql("SELECT sum(amount) FROM analytics_usage WHERE span = 'day'"),
       sql("SELECT sum(amount) FROM usage_events"
           . " WHERE (created_at AT TIME ZONE 'UTC')::date IN (SELECT start"
           . " FROM analytics_people WHERE span = 'day')"),
       'the sums are the ledger\'s');
};


subtest 'the sidecar computes what was missed' => sub {
    sql("UPDATE job_schedules SET next_at = 'infinity'"
        . " WHERE kind NOT LIKE 'analytics%';"
        . " UPDATE job_schedules SET next_at = CASE kind"
        . " WHEN 'analytics_daily' THEN date_trunc('day', now())"
        . " - interval '3 days' + interval '15 minutes'"
        . " ELSE next_at END");

    my $first = Pulse::Sidecar->start;
    my $second = Pulse::Sidecar->start(name => 'second');
    my $missed = sql("SELECT 3 + (now() > date_trunc('day', now())"
                     . " + interval '15 minutes')::integer");
    my $done = wait_until {
        return sql("SELECT count(*) FROM jobs WHERE kind = 'analytics_daily'"
                   . " AND state = 'done'") == $missed;
    } 20;

    ok($done, 'each day');
    is(sql("SELECT count(*), sum(attempt) FROM jobs"
           . " WHERE kind = 'analytics_daily'"), "$missed|$missed", 'once');

    my $job = ctl_json('jobs', 'run', 'analytics_monthly')->{id};

    $done = wait_until {
        return sql("SELECT 1 FROM jobs WHERE id = $job AND state = 'done'");
    } 20;

    ok($done);

    my $days = ctl_json('analytics', '--limit', 50);
    my ($day) = grep { $_->{start} eq '2027-01-31' } @$days;

    is($day->{requests}, 5);
    is($day->{tokens}, 50);
    is($day->{images}, 1);
    is(ctl_json('analytics', '--monthly')->[0]{start}, '2027-01-01');

    $_->stop for $first, $second;
};


done_testing();
