# How clients write a request and read its answer: in pieces, in chunks, one
# behind the other, not to the end, slowly, or not at all.

use lib 't/lib';
use v5.30;
use warnings;
use utf8;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Http2;
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my ($port, $h2) = (free_port(), free_port());

# what is to be given up has places of its own: all else may take its time

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    http => provider('one', $replay->url . '/v1', 'models m*;'),
    location => 'client_max_body_size 4m;',
    config => <<'CONF',
        location = /stalls {
            client_body_timeout 1s;
            pulse_dialect openai;
            pulse_auth on;
            pulse_gateway;
        }

        location = /deaf {
            send_timeout 1s;
            pulse_dialect openai;
            pulse_auth on;
            pulse_gateway;
        }
CONF
)->run;

my $user = make_user(plan => 'creator', tokens => 100_000_000);
my $key = make_key($user);
my $json = JSON::PP->new->canonical->utf8;
my $rows = 0;

my $path = '/v1/chat/completions';
my @head = (bearer => $key,
            headers => { 'Content-Type' => 'application/json' });

my %answer = (json => {
    id => 'c', object => 'chat.completion', created => 7, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 9, completion_tokens => 4,
               total_tokens => 13 },
});


sub body {
    my ($content, %more) = @_;

    return $json->encode({ model => 'm', max_tokens => 50, %more,
                           messages => [{ role => 'user',
                                          content => $content }] });
}


sub request {
    my ($body, %headers) = @_;

    return Pulse::Client::request_text(POST => $path, @head, body => $body,
        headers => { %{ $head[-1] }, %headers });
}


sub in_chunks {
    my ($body, $size, $trailer) = @_;

    return Pulse::Client::request_text(POST => $path, bearer => $key,
        headers => { %{ $head[-1] }, 'Transfer-Encoding' => 'chunked' })
        . join('', map { sprintf "%x;a=b\r\n%s\r\n", length, $_ }
                       unpack "(a$size)*", $body)
        . "0\r\n" . ($trailer // '') . "\r\n";
}


# An answer, and that the provider was asked just what the client wrote.

sub served {
    my ($client, $name, @contents) = @_;

    for (@contents) {
        my $reply = $client->response;

        is($reply->{status}, 200, "$name: an answer")
            or diag substr $reply->{body}, 0, 300;
    }

    my @asked = map { $_->{json}{messages}[0]{content} }
                    $replay->requests(scalar @contents);

    ok("@asked" eq "@contents", "$name: to what was asked");

    $rows += @contents;
}


# Nobody was asked, nothing is held or charged, and others are served.

sub untouched {
    my ($name) = @_;

    is(scalar $replay->requests(0), 0, "$name: nobody is asked");
    is(reserved($nginx), 0, "$name: nothing is held");
    is(scalar ledger($user, $rows), $rows, "$name: nothing is charged");
}


sub client {
    $replay->play(\%answer);

    return Pulse::Client->connect(port => $port);
}


my $small = 'مرحبا 👋🏽';
my $large = "$small " x 12_000;
my $client = client();

$client->send(request(body($small)), step => 1);
served($client, 'a byte at a time', $small);

$client = client();
$client->send(request(body($large)), step => 4099);
served($client, 'a large one in pieces', $large);

# a connection that is kept is read from where it was

$replay->play(\%answer);
$client->send(request(body($small)));
served($client, 'the next on that connection', $small);

for my $size (1, 7, 65536) {
    my $content = $size == 1 ? $small : $large;

    $client = client();
    $client->send(in_chunks(body($content), $size), step => 5000);
    served($client, "chunks of $size", $content);
}

$client = client();
$client->send(in_chunks(body($small), 10, "X-Trailer: 1\r\n"), step => 3);
served($client, 'chunks and a trailer', $small);

$client = client();
$client->send(request(body('one')) . request(body($large))
              . in_chunks(body('three'), 4) . request(body('four')));
served($client, 'four at once', 'one', $large, 'three', 'four');

$client = client();
$client->send(request(body($small), Expect => '100-continue')
              =~ s/\r\n\r\n.*/\r\n\r\n/sr);
ok($client->read_until(qr{^HTTP/1\.1 100 }), 'who waits is told to go on');
$client->send(body($small));
served($client, 'after that', $small);

# of old clients, who know no chunks

$client = client();
$replay->play({ body => 'data: ' . $json->encode({ id => 'c', choices => [
                    { index => 0, delta => { content => 'x' },
                      finish_reason => 'stop' }] }) . "\n\ndata: [DONE]\n\n",
                headers => { 'content-type' => 'text/event-stream' } });
$client->send(request(body($small, stream => \1))
              =~ s{ HTTP/1\.1}{ HTTP/1.0}r);

my $reply = $client->response;

like($reply->{body}, qr/data: \[DONE\]\n\n\z/, 'HTTP/1.0: a stream');
is($reply->{headers}{'transfer-encoding'}, undef, 'HTTP/1.0: as it knows it');
$rows++;
is(scalar ledger($user, $rows), $rows, 'each is in the ledger once');


# --- frames of HTTP/2

for my $step (1, 4099) {
    my $content = $step == 1 ? $small : "$small " x 1500;
    my $frames = Pulse::Http2->connect(port => $h2);

    $replay->play(\%answer);

    my $stream = $frames->post($path, body($content), $key, step => $step);

    is($frames->wait_for($stream, sub { $_[0]{ended} })->{status}, 200,
       "frames of $step: an answer");
    ok(($replay->requests(1))[0]{json}{messages}[0]{content} eq $content,
       "frames of $step: to what was asked");
    $rows++;
    is(scalar ledger($user, $rows), $rows, "frames of $step: in the ledger");

    # the connection goes on after a stream that does not

    $replay->play(\%answer);
    $frames->reset($frames->post($path, substr(body($content), 0, -1), $key,
                                 step => $step, open => 1));

    $stream = $frames->post($path, substr(body($content), 0, -1), $key);

    is($frames->wait_for($stream, sub { $_[0]{ended} })->{status}, 400,
       "frames of $step: cut");
    $frames->post($path, body($content), $key, open => 1);
    $frames->leave;
    untouched("frames of $step, left");
}


# --- not to its end

$client = client();
$client->send(substr request(body($large)), 0, -1);
$client->heard;
$client->reset;
untouched('a client leaves in its last byte');

$client = client();
$client->send(in_chunks(body($large), 4096) =~ s/0\r\n\r\n\z//r);
$client->heard;
$client->reset;
untouched('a client leaves in its last chunk');

for my $rest ('', '{"model"', body($large)) {
    my $name = 'silence after ' . length($rest) . ' bytes';

    $client = client();
    $client->send((request(body($large . 'more')) =~ s/\r\n\r\n.*/\r\n\r\n/sr
                   . $rest) =~ s{/v1/chat/completions}{/stalls}r);
    $reply = $client->response;
    ok(!$reply->{timeout}, "$name: is ended");
    like($reply->{status}, qr/^(?:408)?$/, "$name: without an answer");
    untouched($name);
}


# --- not as it says

my $text = body($small);

$client = client();
$client->send(request($text, 'Content-Length' => length($text) - 1));
$reply = $client->response;
is($reply->{status}, 400, 'longer than it says');
is($reply->{json}{error}{code}, 'INVALID_REQUEST', 'longer: its shape');
untouched('longer than it says');

for my $headers (
    { 'Content-Length' => '-1' }, { 'Content-Length' => '0x10' },
    { 'Content-Length' => '1' . '0' x 30 },
    { 'Content-Length' => [length $text, length $text] },
    { 'Content-Length' => length $text, 'Transfer-Encoding' => 'chunked' },
    { 'Transfer-Encoding' => 'gzip, chunked' },
) {
    my $name = join ' ', map { "$_: " . (ref $headers->{$_} ? 'twice'
                                         : $headers->{$_}) }
                             sort keys %$headers;

    $client = client();
    $client->send(request($text, %$headers));
    like($client->response->{status}, qr/^(?:4\d\d|501)$/, $name);
    untouched($name);
}

for my $chunk ('zz', '-1', 'ffffffffffffffff', '7fffffffffffffff', '5') {
    $client = client();
    $client->send(in_chunks($text, 4) =~ s/\r\n\r\n.*/\r\n\r\n/sr
                  . "$chunk\r\n$text\r\n0\r\n\r\n");
    like($client->response->{status}, qr/^4\d\d$/, "a chunk of $chunk");
    untouched("a chunk of $chunk");
}

is(http(POST => $path, port => $port, @head, body => $text)->{status}, 200,
   'all others are served');
$rows++;


# --- a client that does not read: it is left as if it had gone

my $event = 'data: ' . $json->encode({ id => 'c', choices => [{ index => 0,
    delta => { content => 'word ' }, finish_reason => undef }],
    obfuscation => 'x' x 4000 }) . "\n\n";

$replay->play({ body => $event x 20_000, framing => 'chunked',
                headers => { 'content-type' => 'text/event-stream' } });
$client = Pulse::Client->connect(port => $port, receive => 4096);
$client->send(request(body($small, stream => \1, max_tokens => 100_000))
              =~ s{/v1/chat/completions}{/deaf}r);

ok((wait_until { grep { $_->{event} eq 'aborted' } $replay->events } 30),
   'deaf: the provider is left');

my $row = (ledger($user, ++$rows))[-1];

is($row->{estimated}, 't', 'deaf: estimated');
cmp_ok($row->{output}, '>', 0, 'deaf: what came is charged');
is(reserved($nginx), 0, 'deaf: nothing is held');
$client->leave;

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
