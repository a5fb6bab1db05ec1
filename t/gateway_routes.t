# Named routes: the turns of their members, backups, and the servers of an
# upstream{} within one provider.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Answers ();
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Nginx;
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my %replay = map { $_ => Pulse::Replay->start(as => uc $_) } qw(a b c);
my $nobody = free_port();

my $nginx = gateway_nginx(
    http => join('', map { provider($_, $replay{$_}->url . '/v1',
                                    "models $_*;") } sort keys %replay)
            . provider('keyless', 'https://nowhere.invalid/v1',
                       'key env:PULSE_TEST_NO_SUCH_KEY; models k*;')
            . "upstream pool { server 127.0.0.1:$nobody fail_timeout=60s;"
            . " server 127.0.0.1:" . $replay{a}->port . ';'
            . " server 127.0.0.1:" . $replay{b}->port . '; keepalive 4; }'
            . provider('pooled', 'http://pool/v1', 'upstream pool; models p*;')
            . 'log_format hops \'$pulse_attempts: $pulse_hops\';'
            . 'access_log logs/hops.log hops;'
            . 'pulse_route turns a:a1 weight=5 b:b1 c:c1;'
            . 'pulse_route spare keyless:k a:a2 backup b:b2 weight=2;'
            . 'pulse_route gpt-4o c:c3;'
            . provider('openai', $replay{a}->url . '/v1')
            . 'pulse_route chats gpt-4o-mini; pulse_route embeds'
            . ' text-embedding-3-small text-embedding-3-large;'
            . 'pulse_route_default turns;',
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;


sub ask {
    my ($model, @fallbacks) = @_;

    return http(POST => '/v1/chat/complete', port => $nginx->port,
                bearer => $key, limit => 10,
                json => { model => $model, max_tokens => 50,
                          fallbacks => \@fallbacks,
                          messages => [{ role => 'user',
                                         content => 'say something' }] });
}


sub who {
    my $reply = ask(@_);

    $rows++;

    return join ' ', @{ $reply->{headers} }{qw(x-pulse-model
                                               x-pulse-attempts)};
}


sub answer {
    return { json => {
        id => 'chatcmpl-1', object => 'chat.completion', created => 7,
        model => 'm-1',
        choices => [{ index => 0, finish_reason => 'stop',
                      message => { role => 'assistant', content => 'x' } }],
        usage => { prompt_tokens => 9, completion_tokens => 4,
                   total_tokens => 13 },
    } };
}

$_->play(answer()) for values %replay;


# --- turns

my @round = ('a1 1', 'a1 1', 'b1 1', 'a1 1', 'c1 1', 'a1 1', 'a1 1');

is_deeply([map { who('turns') } 1 .. 14], [@round, @round],
          'by weight, and smoothly');

$replay{a}->play({ status => 500 });
is_deeply([map { who('auto') } 1 .. 7],
          ['b1 2', 'b1 2', 'b1 1', 'c1 2', 'c1 1', 'b1 2', 'b1 2'],
          'the others follow by what they are owed');
$replay{a}->play(answer());

is(who('spare'), 'b2 1', 'without the keyless, before the backup');
$replay{b}->play({ status => 500 });
is(who('spare'), 'a2 2', 'the backup');
is(who('b:b4', 'spare'), 'a2 3', 'as a fallback');
$replay{b}->play(answer());

is(who('gpt-4o'), 'c3 1', 'before a model of its name');


# --- the servers of one provider

$_->play(answer()) for @replay{qw(a b)};
is(who('pooled:p'), 'p 1', 'a server that is down is no attempt') for 1 .. 8;
is(scalar $replay{a}->requests(4), 4, 'half to one');
is(scalar $replay{b}->requests(4), 4, 'half to the other');

my %connections = map { $_->{connection} => 1 } $replay{a}->requests(4);
is(scalar keys %connections, 1, 'on a connection that is kept');

is($nginx->stop, undef, 'nginx ends');
is(scalar(grep { /connect\(\) failed/ } @{ $nginx->error_log }), 1,
   'max_fails: it was tried once');
is_deeply([$nginx->problems], [], 'and its log is clean');

ledger($user, $rows);

open my $in, '<', "$nginx->{prefix}/logs/hops.log" or die "hops.log: $!\n";
my @hops = <$in>;

is(scalar(grep { /^1: c 200 served \d+$/ } @hops), 4, 'hops in the log');
is(scalar(grep { /^3: b 500 failed \d+, b 500 failed \d+, a 200 served \d+$/ }
          @hops), 1, 'all of them');
is(scalar(grep { /^1: pooled 200 served \d+$/ } @hops), 8,
   'an address that is down is none');


# --- each candidate is asked for no more than its model writes

my $catalogue = suite_file('models.json', JSON::PP::encode_json({
    models => [map {
        { id => $_->[0], provider => $_->[1], kind => 'chat',
          max_output_tokens => $_->[2] }
    } ['long', 'a', 5000], ['short', 'b', 100], ['other', 'c', 200]],
}));

my $limits = gateway_nginx(models => $catalogue, http => join('', map {
    provider($_, $replay{$_}->url, 'dialect '
             . ($_ eq 'c' ? 'anthropic;' : 'openai;'))
} sort keys %replay))->run;


# What the last that was asked got as its limit, and what is said of it.

sub limited {
    my ($max, %o) = @_;

    my $reply = http(POST => $o{path} // '/v1/chat/complete',
        port => $limits->port, bearer => $o{key} // $key, limit => 10,
        json => { model => $o{model} // 'long', max_tokens => $max,
                  $o{fallbacks} ? (fallbacks => $o{fallbacks}) : (),
                  messages => [{ role => 'user', content => 'go' }] });

    is($reply->{status}, 200, "at most $max: an answer");

    my $provider = $replay{ $reply->{headers}{'x-pulse-provider'} };
    my $sent = ($provider->requests(1))[-1];

    return join ' ', $sent->{json}{max_completion_tokens}
                     // $sent->{json}{max_tokens},
                     $reply->{headers}{'x-pulse-warning'} // 'nothing';
}

$replay{$_}->play(answer()) for qw(a b);
$replay{c}->play(Pulse::Answers::answer('anthropic', { text => 'x' }));

is(limited(5000), '5000 nothing', 'as much as it writes');
is(limited(5001), '5000 left out: max_tokens', 'more is named');
is(limited(5001, path => '/v1/chat/completions'),
   '5000 left out: max_tokens', 'where bytes pass');
is(limited(300, model => 'other', path => '/v1/messages'),
   '200 left out: max_tokens', 'of any dialect');
is(limited(300, model => 'other', path => '/v1/chat/completions'),
   '200 left out: max_tokens', 'to any dialect');

$replay{a}->play({ status => 500 });
is(limited(4000, fallbacks => ['short']), '100 left out: max_tokens',
   'one behind the first');
is(limited(90, fallbacks => ['short']), '90 nothing', 'which takes that');
$replay{b}->play({ status => 500 });
is(limited(4000, fallbacks => ['short', 'other']),
   '200 left out: max_tokens', 'and one behind that, in its dialect');

$replay{a}->play(answer());

my $poor = make_key(make_user(plan => 'starter', tokens => 300));

like(limited(4000, key => $poor), qr/^2\d\d nothing$/,
     'what a grant leaves is told elsewhere');

is($limits->stop, undef, 'nginx ends');
is_deeply([$limits->problems], [], 'and its log is clean');


# --- what is refused

for my $case (
    ['r', 'invalid number of arguments'],
    ['r weight=2', 'takes weight='],
    ['r a:x weight=0', 'takes weight='],
    ['r a:x weight=x', 'takes weight='],
    ['r nothing', 'model "nothing" of "pulse_route r"'],
    ['r a:x; pulse_route r a:x', 'is duplicate'],
    ['r ' . join(' ', ('a:x') x 17), 'too many members'],
)
{
    my ($line, $pattern) = @$case;

    my $bad = Pulse::Nginx->new(http =>
        provider('a', 'http://127.0.0.1:9/', 'models a*;')
        . "pulse_route $line;");

    $bad->stop if ok(!$bad->start, "$line: refused") == 0;

    like(join('', @{ $bad->error_log }), qr/\[emerg\].*\Q$pattern/,
         "$line: says why");
}

done_testing();
