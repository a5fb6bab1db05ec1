# Receipts: each metered answer names its event, and the event says what it
# consisted of, what it cost, and what of it nothing covered.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Gateway qw(gateway_nginx ledger);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;

my $nginx = gateway_nginx(
    http => <<"HTTP", config => <<'CONFIG')->run;
    pulse_provider openai {
        base_url $url/v1; dialect openai; models gpt-* ft:*;
    }
    pulse_provider anthropic {
        base_url $url; dialect anthropic; models claude*;
    }
HTTP
        location /v1/usage/ { pulse_auth on; pulse_api; }
CONFIG

my $user = make_user(plan => 'creator', tokens => 2_000_000);
my $key = make_key($user);
my $other = make_key(make_user(plan => 'pro'));
my $service = make_key(undef, internal => 1);


sub ask {
    my ($path, $model, %more) = @_;

    return http(POST => $path, port => $nginx->port, bearer => $key,
                limit => 20,
                json => { model => $model, max_tokens => 2000,
                          messages => [{ role => 'user',
                                         content => 'say something' }],
                          %more });
}


sub receipt {
    my ($id, $by) = @_;

    return http(GET => "/v1/usage/events/$id", port => $nginx->port,
                bearer => $by // $key, limit => 20);
}


# One that has ended: its answer may be there before it is in the ledger.

sub settled {
    my ($id, $by) = @_;

    my $got;

    wait_until {
        $got = receipt($id, $by);
        ($got->{json}{data}{status} // '') eq 'settled';
    };

    return $got;
}


sub openai {
    my ($usage, %o) = @_;

    return { json => {
        id => 'chatcmpl-1', object => 'chat.completion', created => 7,
        model => 'm',
        choices => [{ index => 0, finish_reason => 'stop',
                      message => { role => 'assistant', content => 'hi' } }],
        usage => $usage }, %o };
}


subtest 'an answer and its parts' => sub {
    $replay->play({ json => {
        id => 'msg_1', type => 'message', role => 'assistant', model => 'm',
        content => [{ type => 'text', text => 'hi' }],
        stop_reason => 'end_turn', stop_sequence => undef,
        usage => { input_tokens => 100, cache_read_input_tokens => 600,
                   cache_creation_input_tokens => 300,
                   cache_creation => { ephemeral_5m_input_tokens => 200,
                                       ephemeral_1h_input_tokens => 100 },
                   output_tokens => 7 } } });

    my $reply = ask('/v1/messages', 'claude-opus-5');
    my $id = $reply->{headers}{'x-usage-event'};

    is($reply->{status}, 200);
    like($id, qr/^[0-9a-f-]{36}$/, 'it names its event');

    my $got = settled($id);

    is($got->{status}, 200);

    my $event = $got->{json}{data};

    is($event->{status}, 'settled');
    is_deeply([@$event{qw(amount input_tokens cached_tokens
                          cache_write_tokens output_tokens debt model
                          provider resource)}],
              [1007, 1000, 600, 300, 7, 0, 'claude-opus-5', 'anthropic',
               'tokens']);
    ok(!$event->{estimated}, 'in the words of the provider');
    is_deeply($event->{price},
              { amount => 100 * 5000 + 600 * 500 + 200 * 6250 + 100 * 10000
                          + 7 * 25000, unit => 'nano-USD' }, 'its price');

    is(receipt($id, $other)->{status}, 404, 'of another it is none');
    is(receipt(uuid())->{status}, 404, 'what is no event');
    is(receipt('x')->{status}, 404, 'what is no id');
};


subtest 'a long prompt has rates of its own' => sub {
    my %usage = (completion_tokens => 10, total_tokens => 1);

    $replay->play(openai({ %usage, prompt_tokens => 272000 }),
                  openai({ %usage, prompt_tokens => 272001 }));

    my @prices = map {
        my $reply = ask('/v1/chat/completions', 'gpt-5.5');
        settled($reply->{headers}{'x-usage-event'})->{json}{data}
            {price}{amount};
    } 1 .. 2;

    is_deeply(\@prices, [272000 * 5000 + 10 * 30000,
                         272001 * 10000 + 10 * 45000]);
};


subtest 'what has no price' => sub {
    $replay->play(openai({ prompt_tokens => 9, completion_tokens => 4,
                           total_tokens => 13 }));

    for (1 .. 3) {
        my $reply = ask('/v1/chat/completions', 'gpt-5.5-tuned');
        my $event = settled($reply->{headers}{'x-usage-event'});

        ok(exists $event->{json}{data}{price});
        is($event->{json}{data}{price}, undef, 'is null, not zero');
    }

    is(scalar(grep { /"gpt-5.5-tuned" of "openai" has no price/ }
              @{ $nginx->error_log }), 1, 'and said once');

    $replay->play(openai({ prompt_tokens => 9, completion_tokens => 4,
                           total_tokens => 13 }));

    my $reply = ask('/v1/chat/completions', 'gpt-5.5-2026-02-03');

    is(settled($reply->{headers}{'x-usage-event'})->{json}{data}
           {price}{amount}, 9 * 5000 + 4 * 30000, 'a dated version has it');
};


subtest 'an answer that has not ended' => sub {
    my $text = 'data: ' . JSON::PP->new->encode({
        id => 'c', object => 'chat.completion.chunk', created => 7,
        model => 'm', choices => [{ index => 0, finish_reason => undef,
                                    delta => { content => 'hello' } }] })
        . "\n\n";

    $replay->play({ body => $text x 2, cut => length $text, hang => 1,
                    framing => 'close',
                    headers => { 'content-type' => 'text/event-stream' } });

    my $client = Pulse::Client->connect(port => $nginx->port);

    $client->request(POST => '/v1/chat/completions', bearer => $key,
                     json => { model => 'gpt-4o', stream => \1,
                               messages => [{ role => 'user',
                                              content => 'hi' }] });
    $client->read_until(qr/hello/, 10);

    my ($id) = $client->{buffer} =~ /x-usage-event: (\S+)/i;

    my $got = receipt($id);

    is($got->{status}, 200, 'has a receipt');
    is($got->{json}{data}{status}, 'pending');
    is($got->{json}{data}{price}, undef);
    cmp_ok($got->{json}{data}{amount}, '>', 0, 'what was counted so far');
    cmp_ok($got->{json}{data}{reserved}, '>=', $got->{json}{data}{amount});
    is(receipt($id, $other)->{status}, 404, 'not for others');

    $client->leave;

    $got = settled($id);

    is($got->{json}{data}{status}, 'settled', 'and is settled at its end');
    ok($got->{json}{data}{estimated}, 'with our own figures');
};


subtest 'what the reservation did not cover' => sub {
    my $poor = make_user(plan => 'pro', tokens => 200);
    my $mine = make_key($poor);

    $replay->play(openai({ prompt_tokens => 150, completion_tokens => 350,
                           total_tokens => 500 }));

    my $reply = http(POST => '/v1/chat/completions', port => $nginx->port,
                     bearer => $mine, json => {
                         model => 'gpt-4o', max_tokens => 20,
                         messages => [{ role => 'user', content => 'hi' }] });

    is($reply->{status}, 200, 'a provider that charges more');

    my $event = settled($reply->{headers}{'x-usage-event'}, $mine)
                ->{json}{data};

    is($event->{amount}, 500, 'is recorded as it charged');
    is($event->{debt}, 500 - $event->{reserved},
       'the receipt tells what came beyond the reservation');
    cmp_ok($event->{debt}, '>', 300);

    my $me = sub {
        http(GET => '/v1/usage/me', port => $nginx->port, bearer => $mine)
            ->{json}{data}{usage}{tokens};
    };

    wait_until { sql("SELECT leased FROM accounts WHERE kind = 0
                      AND user_id = '$poor'") == 0 } 20;

    is($me->()->{debt}, 300, 'and so does the account');
    is($me->()->{used}, 500);
    is($me->()->{remaining}, 0);

    $reply = http(GET => '/v1/usage/audit', port => $nginx->port,
                  bearer => $service);

    is($reply->{status}, 200, 'the audit');
    is_deeply($reply->{json}{data}{differences}, [], 'has no difference');
    is_deeply([map { [@$_{qw(user_id resource debt)}] }
               @{ $reply->{json}{data}{debtors} }],
              [[$poor, 'tokens', 300]], 'and knows who owes');
    is($reply->{json}{data}{debt}, 300);

    my ($tokens) = @{ $reply->{json}{data}{totals} };

    is($tokens->{resource}, 'tokens', 'and what it looked at');
    is($tokens->{debt}, 300);
    is($tokens->{used} + $tokens->{debt} + $tokens->{carried_out},
       $tokens->{amount} + $tokens->{carried_in});
    is($tokens->{leased}, $tokens->{in_leases});
    is_deeply($reply->{json}{data}{reservations},
              { node => 'test', open => 0, reserved => 0 },
              'and what the node that is asked has reserved');

    is(http(GET => '/v1/usage/audit', port => $nginx->port,
            bearer => $mine)->{status}, 404, 'it is not for people');

    # what is granted pays it first

    is(sql("SELECT usage_grant('$poor', 0, 350)"), 550);
    is_deeply([@{ $me->() }{qw(debt used remaining)}], [0, 500, 50]);
};


subtest 'prices in the catalogue' => sub {
    my $reply = http(GET => '/v1/chat/models', port => $nginx->port,
                     bearer => $key);
    my %models = map { $_->{id} => $_ } @{ $reply->{json}{data}{models} };

    is_deeply([@{ $models{'claude-opus-5'} }{
                   qw(input_price cached_price cache_write_price
                      cache_hour_price output_price reasoning_price)}],
              [5000, 500, 6250, 10000, 25000, undef]);
    is($models{'gemini-2.5-pro'}{input_price}, undef, 'unknown is null');
    is_deeply([@{ $models{'gpt-5.5'}{prices}[0] }{
                   qw(from above input cached output)}],
              [undef, 272000, 10000, 1000, 45000]);
    is($models{'gemini-3.8-flash'}{prices}[0]{from}, '2027-01-01');
};


is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
