# The whole journey: signed up by mail, on trial, buys Pro, chats, is warned at
# 80 %, stopped at 100 %, buys an add-on, goes on, cancels, and expires; on two
# nodes all the time.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Nginx;
use Pulse::Shop;
use Test::More;
use Time::HiRes qw(time);

my $email = 'layla.haddad@studio.test';
my $shop = Pulse::Shop->start;
my @nodes = map { chat_node($_) } qw(a b);


sub chat_node {
    my ($name) = @_;

    return Pulse::Nginx->new(
        http => Pulse::Shop::http_block() . <<"HTTP",
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS};
    pulse_node $name;
    pulse_usage_zone 4m;
    pulse_journal $ENV{TEST_NGINX_PULSE_DIR}/journal-$name sync=10ms;
    pulse_models $ENV{TEST_NGINX_PULSE_ROOT}/conf/models.json;
    pulse_provider demo {
        base_url sidecar:/demo/v1;
        dialect openai;
        models demo;
    }
    pulse_route_default demo:demo;
HTTP
        config => <<'CONFIG')->run;
    error_page 403 404 405 413 500 502 503 504 @pulse_error;
    location @pulse_error { pulse_error; }
    location = /v1/chat/complete { pulse_auth on; pulse_gateway; }
    location /v1/auth/magic-link { pulse_auth off; pulse_api; }
    location /v1/ { pulse_auth on; pulse_api; }
CONFIG
}


my $session;

sub chat {
    my ($node) = @_;

    return http(POST => '/v1/chat/complete', port => $node->port,
                bearer => $session,
                json => { messages => [{ role => 'user',
                                         content => 'hello there' }] });
}

sub limit_at {
    my ($node) = @_;

    return (chat($node)->{headers}{'x-usage-tokens'} // '')
           =~ m{/(\d+)} ? $1 : 0;
}

# What other services used, so that a suite need not chat for hours.

sub uses {
    my ($user, $amount) = @_;

    sql("SELECT usage_log('$user', 'tokens', $amount, 'm', '@{[uuid()]}',
                          '{}')");
}

sub state_of {
    my ($user) = @_;

    return sql("SELECT used, leased, limit_amount FROM accounts
                WHERE user_id = '$user' AND kind = 0
                ORDER BY period_start DESC LIMIT 1");
}

# Nothing is out on a node, nor on its way to the ledger.

sub settled {
    my ($user) = @_;

    wait_until { (split /\|/, state_of($user))[1] == 0 } 15;

    return split /\|/, state_of($user);
}

sub mails {
    my ($kind) = @_;

    return scalar sql("SELECT count(*) FROM outbox WHERE kind = '$kind'
                       AND recipient = '$email'");
}


subtest 'signs up by mail' => sub {
    my $port = $nodes[0]->port;

    is(http(POST => '/v1/auth/magic-link', port => $port,
            json => { email => $email, locale => 'en' })->{status}, 200);

    my $token = $shop->sidecar->link_token($email);
    my $reply = http(POST => '/v1/auth/magic-link/verify', port => $port,
                     json => { token => $token });

    is($reply->{status}, 200);
    is($reply->{json}{data}{subscription}{plan}, 'trial');
    ($session) = $reply->{headers}{'set-cookie'} =~ /session=([^;]+)/;
    ok($session);
};

my ($user) = sql("SELECT id FROM users WHERE email = '$email'");


subtest 'buys Pro' => sub {
    is(limit_at($_), 20_000, 'the trial') for @nodes;

    my $reply = $shop->checkout($session, plan_id => 'pro');

    is($reply->{status}, 201) or diag $reply->{body};
    is($reply->{json}{data}{purpose}, 'start');

    my $told = $shop->pay($reply);

    is($shop->deliver($told->{webhook})->{status}, 200);

    my $start = time;

    for my $node (@nodes) {
        ok(wait_until { limit_at($node) == 400_000 } 10);
        note sprintf 'a node knows after %.2f s', time - $start;
    }

    is(mails('receipt'), 1);
};


subtest 'is warned at 80 %' => sub {
    my ($used) = settled($user);

    uses($user, 320_000 - 40 - $used);
    is(mails('usage_warning'), 0, 'not before');

    wait_until {
        chat($_) for @nodes;
        mails('usage_warning') == 1;
    } 15;

    is(mails('usage_warning'), 1, 'by a mail');

    my $warning = wait_until {
        chat($nodes[1])->{headers}{'x-usage-warning'}
    };

    like($warning // '', qr/tokens/, 'and by a header');
};


subtest 'is stopped at 100 %' => sub {
    my ($used) = settled($user);

    uses($user, 400_000 - 60 - $used);

    my %said;

    for (1 .. 20) {
        $said{ chat($nodes[$_ % 2])->{status} }++;
    }

    ok($said{402}, 'no more');
    is(join(' ', grep { $_ != 200 && $_ != 402 } keys %said), '');

    my ($now, $leased, $limit) = settled($user);

    cmp_ok($now, '<=', $limit);
    is($limit, 400_000, 'to the token');

    my $reply = chat($nodes[0]);

    is($reply->{json}{error}{code}, 'QUOTA_EXCEEDED');
};


subtest 'buys an add-on and goes on' => sub {
    my $reply = $shop->checkout($session, addon => { type => 'tokens' });

    is($reply->{json}{data}{amount}, 1000) or diag $reply->{body};
    is($shop->deliver($shop->pay($reply)->{webhook})->{status}, 200);

    my $start = time;

    for my $node (@nodes) {
        ok(wait_until { chat($node)->{status} == 200 } 10);
        note sprintf 'a node goes on after %.2f s', time - $start;
        is(limit_at($node), 600_000);
    }
};


subtest 'cancels, and expires' => sub {
    my $reply = $shop->call(POST => '/subscription/cancel', $session,
                            json => {});

    is($reply->{status}, 200) or diag $reply->{body};
    is($reply->{json}{data}{subscription}{status}, 'cancelled');
    is(chat($nodes[0])->{status}, 200, 'what was paid for runs on');

    # the month is over: its clock is set for this statement alone

    my ($end) = sql("SELECT period_end FROM subscription_running('$user')");

    sql("SET pulse.now = '$end'; SELECT subscriptions_follow()");
    is($shop->plan_of($user), 'none');

    for my $node (@nodes) {
        ok(wait_until { chat($node)->{status} == 402 } 15);
        is(chat($node)->{json}{error}{code}, 'NO_SUBSCRIPTION');
    }

    my @record = sql("SELECT transition || ':' || new_plan || ':' || actor
                      FROM subscription_transitions t
                      JOIN subscriptions s ON s.id = t.subscription_id
                      WHERE s.user_id = '$user' ORDER BY t.id");

    like("@record", qr/^start:trial:\w+\ expire:trial:hyperpay
                       \ start:pro:hyperpay\ cancel:pro:user
                       \ expire:pro:studio$/x);
};


ok(wait_until { sql("SELECT count(*) FROM outbox
                     WHERE state <> 'sent'") == 0 } 15);

# the last tokens may be too few for a prompt: then nothing is exhausted

like(join(' ', sql('SELECT DISTINCT kind FROM outbox ORDER BY kind')),
     qr/^magic_link receipt (usage_exhausted )?usage_warning$/,
     'all mail was sent');

for my $node (@nodes, $shop->nginx) {
    is($node->stop, undef, 'nginx ends');
    is_deeply([$node->problems], [], 'and its log is clean');
}

is_deeply([sql('SELECT * FROM usage_audit()')], [], 'the audit agrees');

done_testing();
