# Named routes: the turns of their members, backups, and the servers of an
# upstream{} within one provider.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
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
