# What answers teach about the estimates of prompts, through the gateway: a
# model whose prompts cost more than they were bounded at is reserved more for
# the next time, and no other model is.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my $nginx = gateway_nginx(http => <<"HTTP")->run;
    pulse_provider one { base_url $url/v1; dialect openai; models one-*; }
    pulse_provider two { base_url $url/v1; dialect openai; models two-*; }
HTTP

my $user = make_user(plan => 'creator', tokens => 100_000_000);
my $key = make_key($user);
my $rows = 0;


# row(model, what the provider says of the prompt, or undef where it says
# nothing): the row of the ledger

sub row {
    my ($model, $prompt) = @_;

    my $usage = { prompt_tokens => $prompt, completion_tokens => 2,
                  total_tokens => ($prompt // 0) + 2 };

    $replay->play({ json => {
        id => 'chatcmpl-1', object => 'chat.completion', created => 7,
        model => $model,
        choices => [{ index => 0, finish_reason => 'stop',
                      message => { role => 'assistant',
                                   content => 'yes indeed' } }],
        defined $prompt ? (usage => $usage) : () } });

    my $reply = http(POST => '/v1/chat/completions', port => $nginx->port,
                     bearer => $key, limit => 20,
                     json => { model => $model, max_tokens => 100,
                               messages => [{ role => 'user', content =>
                                   join ' ', ('word') x 300 }] });

    is($reply->{status}, 200, "$model answers") if $reply->{status} != 200;

    my $id = $reply->{headers}{'x-usage-event'};

    wait_until {
        sql("SELECT count(*) FROM usage_events WHERE id = '$id'")
    } 10;

    my %row;

    @row{qw(reserved amount estimated)} = split /\|/,
        sql("SELECT reserved, amount, estimated FROM usage_events
             WHERE id = '$id'");

    return \%row;
}


# 100 of each is for the answer

sub bound { row(@_)->{reserved} - 100 }


my $known = 300;
my $bound = bound('one-m', $known);

cmp_ok($bound, '>=', 300, 'a prompt has a bound');
is(bound('one-m', $known), $bound, 'which holds while it is not passed');
is(bound('two-m', $known), $bound, 'for every model');

my $guess = row('two-m', undef);

is($guess->{estimated}, 't', 'where a provider says nothing it is estimated');

my @dear = map { bound('one-m', 3 * $bound) } 1 .. 12;

cmp_ok($dear[1], '>', $bound, 'one that costs more teaches it at once');
is_deeply([sort { $a <=> $b } @dear], \@dear, 'more each time');
cmp_ok($dear[-1], '>', 1.8 * $bound, 'up to what it costs');
cmp_ok($dear[-1], '<=', 2 * $bound, 'or to twice, and not beyond');

is(bound('two-m', $known), $bound, 'the other model pays nothing for it');
is(bound('one-n', $known), $bound, 'nor does another of the provider');

my @cheap = map { bound('one-m', $known) } 1 .. 40;

cmp_ok($cheap[-1], '<', $dear[-1], 'what is cheap again wears it off');
cmp_ok($cheap[-1], '>=', $bound, 'not below what was measured');
cmp_ok($cheap[1], '>', 0.9 * $dear[-1], 'and slowly');

row('two-m', 3 * $bound) for 1 .. 40;
cmp_ok(row('two-m', undef)->{amount}, '>', $guess->{amount},
       'what is charged without a word is learned too');

is($nginx->stop, undef, 'nginx ends');
ok($nginx->start, 'and starts');
is(bound('one-m', $known), $bound, 'which forgets it all');

is_deeply([sql('SELECT * FROM usage_audit()')], [], 'the audit is clean');
is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
