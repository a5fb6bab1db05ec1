# Clients that leave at each step, over HTTP/1.1 and HTTP/2, and providers that
# say more than they announced: nothing stays reserved, and every row is right.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my ($port, $h2) = (free_port(), free_port());

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    http => provider('one', $replay->url . '/v1', 'models m*;'),
)->run;

my $rows = 0;
my $user = make_user(plan => 'creator');
my $key = make_key($user);

my %body = (model => 'm', max_tokens => 50,
            messages => [{ role => 'user', content => 'say something' }]);


sub text {
    my ($delta, %more) = @_;

    return 'data: ' . JSON::PP->new->canonical->encode({
        id => 'c', object => 'chat.completion.chunk', created => 7,
        model => 'm', choices => [{ index => 0, finish_reason => undef,
                                    delta => { content => $delta } }],
        %more }) . "\n\n";
}


# asks over both protocols, and leaves when "until" has seen enough

sub leave {
    my ($by, $until, %more) = @_;

    my $json = JSON::PP->new->canonical->encode({ %body, %more });
    my $client = Pulse::Client->connect(port => $port);

    $client->request(POST => '/v1/chat/completions', bearer => $by,
                     json => { %body, %more });

    my $pid = open my $out, '-|', 'curl', '-sN', '--http2-prior-knowledge',
                   '-H', "Authorization: Bearer $by",
                   '-H', 'Content-Type: application/json', '-d', $json,
                   "http://127.0.0.1:$h2/v1/chat/completions";

    $until->($client, $out);

    $client->reset;
    kill TERM => $pid;
    close $out;
}


sub row {
    my ($name, $n) = @_;

    is(reserved($nginx), 0, "$name: nothing stays reserved");

    my @rows = ledger($user, $rows += $n);

    is(scalar @rows, $rows, "$name: rows");

    return @rows[$rows - $n .. $rows - 1];
}


# --- clients

my $stranger = make_user(plan => 'creator');
my $strange = make_key($stranger);

http(GET => '/v1/models', port => $port, bearer => $strange);
postgres->pause;
leave($strange, sub { select undef, undef, undef, 0.3 });
postgres->resume;
row('while it waits for a lease', 0);
is(sql("SELECT count(*) FROM usage_events WHERE user_id = '$stranger'"), 0,
   'while it waits for a lease: free');
is(http(POST => '/v1/chat/completions', port => $port, bearer => $key,
        json => { %body, model => 'nothing' })->{status}, 404, 'it lives');

$replay->play(({ hang => 1 }) x 2);
leave($key, sub { $replay->requests(2) });
is(join(' ', map { "$_->{output}$_->{estimated}" } row('in silence', 2)),
   '0t 0t', 'in silence: the prompt');

$replay->play(({ raw => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        . "Content-Length: 900\r\n\r\n{\"choices\":",
                 hang => 1 }) x 2);
leave($key, sub { $replay->requests(2);
                  select undef, undef, undef, 0.3 });
row('while the header is held', 2);

$replay->play(({ body => text('one two three'), framing => 'chunked',
                 cut => length(text('one two three')) + 6, hang => 1,
                 headers => { 'content-type' => 'text/event-stream' } }) x 2);
leave($key, sub {
    my ($client, $out) = @_;

    $client->read_until(qr/one/, 10);
    like(scalar(readline $out), qr/one/, 'within a stream: it came');
}, stream => \1);
cmp_ok($_->{output}, '>', 0, 'within a stream: what came')
    for row('within a stream', 2);


# --- providers

my $answer = '{"id":"c","object":"chat.completion","created":7,"model":"m",'
    . '"choices":[{"index":0,"finish_reason":"stop",'
    . '"message":{"role":"assistant","content":"x"}}],'
    . '"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}';

sub ask {
    return http(POST => '/v1/chat/completions', port => $port,
                bearer => $key, limit => 10, json => { %body, @_ });
}

for my $name ("m\r\nX-Evil: 1", "m\nX-Evil: 1", "m n", "m\x{7f}") {
    my $reply = ask(model => $name);

    is($reply->{status}, 404, 'a name that no header may have');
    ok(!exists $reply->{headers}{'x-evil'}, 'and none has it');
}

for my $size (qw(7fffffffffffffff 8000000000000000 ffffffffffffffff
                 fffffffffffffffe 10000000000000010))
{
    $replay->play({ raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                           . "Content-Type: application/json\r\n\r\n"
                           . "$size\r\n$answer" });
    cmp_ok(ask()->{status}, '>=', 502, "a chunk of $size");
    row("a chunk of $size", 0);
}

$replay->play({ raw => "HTTP/1.1 100 Continue\r\n\r\n"
                       . "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
                       . "HTTP/1.1 200 OK\r\nContent-Type: application/json"
                       . "\r\nContent-Length: " . length($answer)
                       . "\r\n\r\n$answer" . 'HTTP/1.1 200 OK' });
is(ask()->{status}, 200, 'more than was announced');
is((row('more than was announced', 1))[0]{amount}, 13, 'its figures');

$replay->play({ json => JSON::PP::decode_json($answer) });
is(ask()->{status}, 200, 'and what was left over is in no other answer');
row('the next', 1);

my $figures = text('', choices => [], usage => {
    prompt_tokens => 9, completion_tokens => 2, total_tokens => 11 });

$replay->play({ body => text('a') . $figures . "data: [DONE]\n\n"
                        . text('b') . text('', choices => [], usage => {
                              prompt_tokens => 900, completion_tokens => 200,
                              total_tokens => 1100 }),
                framing => 'chunked',
                headers => { 'content-type' => 'text/event-stream' } });
my $reply = ask(stream => \1);
ok($reply->{complete}, 'after the end: complete');
unlike($reply->{body}, qr/"b"/, 'after the end: nothing');
is((row('after the end', 1))[0]{amount}, 11, 'after the end: figures');

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');
is_deeply([sql('SELECT * FROM usage_audit()')], [], 'and the audit too');

done_testing();
