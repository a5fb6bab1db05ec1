# Streams over HTTP/1.1 and HTTP/2, to slow clients and from slow providers:
# each event goes on when it comes, and memory stays where it is.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http http2 sse_events);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my ($port, $h2) = (free_port(), free_port());

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    http => provider('one', $replay->url . '/v1', 'models *;'),
    location => 'gzip on; gzip_min_length 1;'
                . 'gzip_types text/event-stream application/json;',
)->run;

my $user = make_user(plan => 'creator', tokens => 100_000_000);
my $key = make_key($user);
my $request = { model => 'm', stream => \1, max_tokens => 1_000_000,
                messages => [{ role => 'user', content => 'hi' }] };


sub delta {
    my ($text) = @_;

    return 'data: ' . JSON::PP->new->canonical->encode({
        id => 'c', created => 7, model => 'm-1',
        choices => [{ index => 0, delta => { content => $text } }] }) . "\n\n";
}

sub stream {
    my ($body, %o) = @_;

    return { framing => 'chunked', %o,
             body => $body . 'data: {"choices":[],"usage":{"prompt_tokens":1,'
                     . '"completion_tokens":2,"total_tokens":3}}' . "\n\n"
                     . "data: [DONE]\n\n",
             headers => { 'content-type' =>
                          'text/event-stream; charset=utf-8' } };
}


# an event goes on when it comes: the provider says one, and then no more

my $body = join '', map { delta("e$_") } 1 .. 3;
my $chunk = length delta('e1');

$replay->play(stream($body, chunk => $chunk, cut => 6 + $chunk, hang => 1));

my $client = Pulse::Client->connect(port => $port);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => $request);

ok($client->read_until(qr/e1/), 'the first event, while there is no other');
like($client->{buffer}, qr{^content-type: text/event-stream; charset=utf-8}mi,
     'its content type');
$client->leave;
ok(wait_until { grep { $_->{event} eq 'aborted' } $replay->events },
   'the provider is left when the client leaves');

$replay->play(stream($body, chunk => $chunk, step => 6 + $chunk,
                     delay => 0.05));

my $reply = http(POST => '/v1/chat/completions', port => $port,
                 bearer => $key, json => $request);

is($reply->{body}, "${body}data: [DONE]\n\n", 'all of it');
ok($reply->{complete}, 'and its end');


# compressed, and still each by itself

$replay->play(stream($body, chunk => $chunk, step => 6 + $chunk,
                     delay => 0.05));
$client = Pulse::Client->connect(port => $port);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => $request, headers => { 'Accept-Encoding' => 'gzip' });
$reply = $client->response;
is($reply->{headers}{'content-encoding'}, 'gzip', 'compressed');
ok($reply->{complete}, 'compressed: its end');

$replay->play({ json => { id => 'c', choices => [], x => 'y' x 5000 } });
$reply = http(POST => '/v1/chat/completions', port => $port, bearer => $key,
              json => { %$request, stream => \0 },
              headers => { 'Accept-Encoding' => 'gzip' });
is($reply->{headers}{'content-encoding'}, 'gzip', 'compressed JSON');
ok($reply->{complete}, 'compressed JSON: one end');


# HTTP/2

$replay->play(stream($body));
$reply = http2(POST => '/v1/chat/completions', port => $h2, bearer => $key,
               json => $request);
is($reply->{body}, "${body}data: [DONE]\n\n", 'a stream over HTTP/2');

$replay->play({ %{ stream($body) }, cut => $chunk + 60 });
$reply = http2(POST => '/v1/chat/completions', port => $h2, bearer => $key,
               json => $request);
like($reply->{body}, qr/"error".*\n\n\z/s, 'an error event over HTTP/2');

$replay->play({ status => 500 });
$reply = http2(POST => '/v1/chat/completions', port => $h2, bearer => $key,
               json => $request);
is($reply->{status}, 503, 'an error over HTTP/2');


# a slow client of a quick provider

sub resident {
    my ($pid) = $nginx->workers;

    open my $in, '<', "/proc/$pid/status" or return 0;

    return (grep { /^VmRSS:/ } <$in>)[0] =~ /(\d+)/ ? $1 : 0;
}

# as much text would be past any limit: what pads an event is no text

my $padding = 'x' x 1000;
my $large = (delta('y') =~ s/"choices"/"obfuscation":"$padding","choices"/r)
            x 20_000;

$replay->play(stream($large));
$client = Pulse::Client->connect(port => $port, receive => 4096);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => $request);
$client->read_until(qr/xxx/);

my $before = resident();
my $stuck = 0;

wait_until {
    my $sent = grep { $_->{event} eq 'done' } $replay->events;
    return $sent || ++$stuck > 20;
} 5;

# a sanitizer keeps what was freed

my $most = $ENV{PULSE_TEST_PRELOAD} ? 262_144 : 8192;

cmp_ok(resident() - $before, '<', $most, 'a slow client holds no memory');
ok(!(grep { $_->{event} eq 'done' } $replay->events),
   'the provider waits for the client');

$reply = $client->response(60);
is(length $reply->{body}, length($large) + length "data: [DONE]\n\n",
   'nothing is lost');
cmp_ok(resident() - $before, '<', $most, 'nor afterwards');


# a request larger than its buffer, and an event of a megabyte

my $long = "\x{645}\x{631}\x{62d}\x{628}\x{627} " x 200_000;

$replay->play(stream(delta('y' x 1_000_000)));
$reply = http(POST => '/v1/chat/completions', port => $port, bearer => $key,
              limit => 20, json => { %$request, messages => [{
                  role => 'user', content => $long }] });
my ($sent) = $replay->requests(1);

is($reply->{status}, 200, 'a large request');
is($sent->{json}{messages}[0]{content}, $long, 'arrives as it is');
is((sse_events($reply->{body}))[0]{json}{choices}[0]{delta}{content},
   'y' x 1_000_000, 'a large event');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
