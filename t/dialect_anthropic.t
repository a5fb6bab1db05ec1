# Clients of Anthropic: to its own recordings, whose bytes go on as they are,
# and what the same client sees of errors and limits.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Dialect qw(ask group_of played understood);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my @files = sort grep {
    (group_of($_) // '') eq 'anthropic' && $manifest->{$_}{expected}
        && !$manifest->{$_}{expected}{concatenated} && !/spliced/
} keys %$manifest;

$ENV{PULSE_TEST_KEY} = 'sk-of-ours';

my $replay = Pulse::Replay->start;

my $nginx = gateway_nginx(
    http => provider('anthropic', $replay->url,
                     'dialect anthropic; models *; key env:PULSE_TEST_KEY;'),
)->run;

my $user = make_user(plan => 'creator', tokens => 1_000_000_000);
my $key = make_key($user);
my $rows = 0;


# the sum of several passes is billed, not the last

sub passes { ref($_[0]{usage_native}) && $_[0]{usage_native}{iterations} }


for my $file (@files) {
    my $expected = $manifest->{$file}{expected};

    $replay->play(played($file));

    my $reply = ask('anthropic', $nginx->port, $key,
                    stream => scalar($file =~ /\.sse$/));

    ok($reply->{body} eq Pulse::Replay::recording($file), "$file: bytes")
        or diag substr $reply->{body}, 0, 300;

    if ($expected->{http_status} >= 400) {
        is($reply->{status}, $expected->{http_status}, "$file: status");
        next;
    }

    my @rows = ledger($user, ++$rows);
    my $row = $rows[-1];
    my $usage = $expected->{usage};

    is("@$row{qw(input cached output amount estimated)}",
       join(' ', map({ $usage->{$_} } qw(input_tokens cached_input_tokens
                                         output_tokens)),
            $usage->{input_tokens} + $usage->{output_tokens}, 'f'),
       "$file: figures") if !passes($expected);
}


# what the provider is sent: the client's bytes, less two members

my $text = "\x{645}\x{631}\x{62d}\x{628}\x{627} \x{1f44b}";

$replay->play({ file => (grep { /\.json$/ } @files)[0] });

my $body = '{ "max_tokens" : 7 ,"zz": [1.50, "\u00e9"], "model":"m-1",'
           . '"messages":[{"role":"user","content":"hi"}] }';
my $reply = http(POST => '/v1/messages', port => $nginx->port, body => $body,
                 headers => { 'x-api-key' => $key, 'anthropic-beta' => 'a-1',
                              'Content-Type' => 'application/json' });
my ($sent) = $replay->requests(1);

is($reply->{status}, 200, 'x-api-key is a way in') or diag $reply->{body};
is($sent->{body}, $body, 'the body is sent as it was written');
is($sent->{path}, '/v1/messages', 'to its path');
is($sent->{headers}{'x-api-key'}, 'sk-of-ours', 'with our key');
is($sent->{headers}{'anthropic-version'}, '2023-06-01', 'and a version');
is($sent->{headers}{'anthropic-beta'}, 'a-1', 'and the betas it needs');
is($sent->{headers}{authorization}, undef, 'and nothing else of ours');
ok($reply->{headers}{'request-id'}, 'a request-id comes back');
ledger($user, ++$rows);


# counting

$reply = http(POST => '/v1/messages/count_tokens', port => $nginx->port,
              bearer => $key, json => { model => 'm-1', messages => [
                  { role => 'user', content => 'hello there' }] });
is($reply->{status}, 200, 'tokens are counted') or diag $reply->{body};
cmp_ok($reply->{json}{input_tokens}, '>', 2, 'about as many as there are');
cmp_ok($reply->{json}{input_tokens}, '<', 40, 'not many more');

$reply = http(POST => '/v1/messages/count_tokens', port => $nginx->port,
              bearer => $key, json => { model => 'm-1' });
is($reply->{json}{error}{type}, 'invalid_request_error', 'nothing to count');


# errors of ours

$reply = ask('anthropic', $nginx->port, $key, more => { max_tokens => 'x' });
is($reply->{status}, 400, 'a wrong type');
is($reply->{json}{type}, 'error', 'its shape');
is($reply->{json}{error}{type}, 'invalid_request_error', 'its type');

my $poor = make_key(make_user(plan => 'pro', tokens => 0));
$reply = ask('anthropic', $nginx->port, $poor);
is($reply->{status}, 402, 'without quota');
is($reply->{json}{error}{type}, 'billing_error', 'its type');
is($reply->{headers}{'x-should-retry'}, 'false', 'not to be tried again');


# past the grant: an end of ours in place of the provider's

my ($long) = sort { $manifest->{$b}{bytes} <=> $manifest->{$a}{bytes} } grep {
    $manifest->{$_}{expected}{stream}
        && length($manifest->{$_}{expected}{text} // '') > 200
} @files;

$replay->play(played($long));
$reply = ask('anthropic', $nginx->port, $key, stream => 1, max => 3);

my $got = understood('anthropic', $reply, 1);

is($got && $got->{finish}, 'length', "$long: ends at the grant")
    or diag substr $reply->{body}, -1500;
ledger($user, ++$rows);


# a stream that is cut, within an event and between two

my $recorded = Pulse::Replay::recording($long);

for my $cut (length($recorded) / 2, index($recorded, "\n\n", 2000) + 2) {
    $replay->play(played($long, cut => int $cut, framing => 'close'));
    $reply = ask('anthropic', $nginx->port, $key, stream => 1);

    my @events = sse_events($reply->{body});

    ok($reply->{complete}, 'a cut stream has an end');
    is($events[-1]{event}, 'error', 'which is an error event');
    is($events[-1]{json}{error}{type}, 'api_error', 'of its type');
    ledger($user, ++$rows);
}


is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean')
    if 0 == grep { /makes no sense/ } $nginx->problems;

done_testing();
