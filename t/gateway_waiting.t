# While a token is awaited: signs of life in each dialect, what fails after
# the first of them, and the ends of patience.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Http2;
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my ($port, $h2) = (free_port(), free_port());
my $slow = Pulse::Replay->start(as => 'SLOW');
my $other = Pulse::Replay->start(as => 'OTHER');
my $calm = Pulse::Replay->start(as => 'CALM');

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    http => provider('slow', $slow->url . '/v1', 'models s*;')
            . provider('hasty', $slow->url . '/v1',
                       'models h*; first_byte_timeout 1s; read_timeout 1s;')
            . provider('other', $other->url . '/v1', 'models o*;')
            . provider('brief', $slow->url . '/v1',
                       'models b*; total_timeout 700ms;')
            . provider('early', $slow->url . '/v1',
                       'models f*; first_token_timeout 1s;')
            . provider('calm', $calm->url . '/v1',
                       'models c*; first_token_timeout 10s;')
            . provider('endless', $slow->url . '/v1',
                       'models e*; total_timeout 3s;')
            . 'pulse_route both hasty:h other:o backup;'
            . 'pulse_route soon early:f other:o backup;',
    location => 'pulse_keepalive_comment 100ms;',
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;

my %asked = (
    openai => ['/v1/chat/completions', {
        stream => \1, messages => [{ role => 'user', content => 'hi' }] }],
    studio => ['/v1/chat/complete', {
        stream => \1, messages => [{ role => 'user', content => 'hi' }] }],
    anthropic => ['/v1/messages', {
        stream => \1, max_tokens => 50,
        messages => [{ role => 'user', content => 'hi' }] }],
    responses => ['/v1/responses', {
        stream => \1, store => \0, input => 'hi' }],
    gemini => [undef, {
        contents => [{ role => 'user', parts => [{ text => 'hi' }] }] }],
);

my %ping = map { $_ => qr/\A: keep-alive\n\n/ } keys %asked;
$ping{anthropic} = qr/\Aevent: ping\ndata: \{"type": "ping"\}\n\n/;


sub ask {
    my ($dialect, $model) = @_;

    my ($path, $json) = @{ $asked{$dialect} };

    $path //= "/v1beta/models/$model:streamGenerateContent?alt=sse";

    return $slow->patiently->(
        POST => $path, port => $port, bearer => $key,
        json => { $dialect eq 'gemini' ? () : (model => $model), %$json });
}


sub chunk {
    my ($choice, %more) = @_;

    return 'data: ' . JSON::PP->new->canonical->encode({
        id => 'c', object => 'chat.completion.chunk', created => 7,
        model => 'm', choices => [$choice ? { index => 0,
            finish_reason => undef, delta => {}, %$choice } : ()],
        %more }) . "\n\n";
}

my $first = chunk({ delta => { content => 'token' } });

my $body = $first . chunk({ finish_reason => 'stop' })
           . chunk(undef, usage => { prompt_tokens => 9, total_tokens => 11,
                                     completion_tokens => 2 })
           . "data: [DONE]\n\n";

sub stream {
    my ($text, %o) = @_;

    return { body => $text, framing => 'chunked',
             headers => { 'content-type' => 'text/event-stream' }, %o };
}


sub row {
    my ($name) = @_;

    my @all = ledger($user, ++$rows);

    is(scalar @all, $rows, "$name: one row");

    return $all[-1];
}


# Its first token comes soon, its end does not: it is read when all else is
# done.

my $long = chunk({ delta => { content => 'long ' x 200 } });

$calm->play(stream($long . $body, chunk => length $long,
                   step => 300 + length $long, delay => 12));

my $reader = make_user(plan => 'creator');
my $patient = Pulse::Client->connect(port => $port);

$patient->request(POST => '/v1/chat/completions', bearer => make_key($reader),
                  json => { model => 'c', max_tokens => 5000,
                            %{ $asked{openai}[1] } });
ok($patient->read_until(qr/long/), 'a first token in its time');


# --- signs of life, and an answer after them

# an array of JSON may begin with space, and with nothing else

for my $fails (0, 1) {
    $slow->play($fails ? { status => 500, json => {}, held => 1 }
                : stream($body, held => 1));

    my $reply = $slow->patiently->(
        POST => '/v1beta/models/s:streamGenerateContent', port => $port,
        bearer => $key, json => $asked{gemini}[1]);

    is($reply->{status}, 200, 'an array: status');
    like($reply->{headers}{'content-type'}, qr{^application/json},
         'an array: type');
    like($reply->{body}, qr/\A\n+\[\{/, 'an array: a sign of life');
    ok($reply->{complete}, 'an array: an end');

    my $array = $reply->{json} // [];

    if ($fails) {
        is($array->[0]{error}{status}, 'UNAVAILABLE', 'an array: an error');

    } else {
        is($array->[0]{candidates}[0]{content}{parts}[0]{text}, 'token',
           'an array: the answer');
        is(row('an array')->{amount}, 11, 'an array: its figures');
    }
}


for my $dialect (sort keys %asked) {
    $slow->play(stream($body, held => 1));

    my $reply = ask($dialect, 's');

    is($reply->{status}, 200, "$dialect: status");
    like($reply->{headers}{'content-type'}, qr{^text/event-stream},
         "$dialect: type");
    like($reply->{body}, $ping{$dialect}, "$dialect: a sign of life");
    like($reply->{body}, qr/^: X-Pulse-Provider: slow$/m,
         "$dialect: who it is, when it is known");
    like($reply->{body}, qr/token/, "$dialect: the answer");
    ok($reply->{complete}, "$dialect: an end");
    is(row($dialect)->{amount}, 11, "$dialect: its figures");
}

my @question = ('/v1/chat/completions',
                { model => 's', %{ $asked{openai}[1] } }, $key);
my $wide = Pulse::Http2->connect(port => $h2);

$slow->play(stream($body, held => 1));
my $stream = $wide->post(@question);
$wide->wait_for($stream, sub { length $_[0]{body} });
$slow->release;
my $state = $wide->whole($stream);
like($state->{body}, $ping{openai}, 'over HTTP/2');
like($state->{body}, qr/token.*\[DONE\]/s, 'over HTTP/2: the answer');
$wide->leave;
row('over HTTP/2');

# a client that could not take one sign of life gets others all the same

my $narrow = Pulse::Http2->connect(port => $h2, window => 5);
$slow->play({ hang => 1 });
$stream = $narrow->post(@question);
$narrow->wait_for($stream, sub { length $_[0]{body} == 5 });
$narrow->grant($stream, 1_000_000);
ok($narrow->wait_for($stream, sub { $_[0]{body} =~ /keep-alive.*keep-alive/s }),
   'again when there is room');
$narrow->leave;
row('narrow');

# 100 ms are not always enough for one that is

my $reply;

$slow->play(stream($body));
wait_until {
    $reply = ask('openai', 's');
    row('quick');
    $reply->{body} !~ /^:/m;
};
unlike($reply->{body}, qr/^:/m, 'none if it is quick');
is($reply->{headers}{'x-pulse-provider'}, 'slow', 'and headers as always');


# --- the next candidate, after the header

for my $failure ({ hang => 1 }, { status => 500, held => 1 },
                 stream(": thinking\n\n", cut => 13, framing => 'close',
                        held => 1),
                 stream(chunk({ delta => { role => 'assistant' } }),
                        held => 1, cut => 400, hang => 1))
{
    my $name = 'another: ' . join ' ', map { "$_ $failure->{$_}" }
                             grep { !ref $failure->{$_} && $_ ne 'body' }
                             sort keys %$failure;

    $slow->play($failure);
    $other->play(stream($body));

    $reply = ask('openai', 'both');
    like($reply->{body}, qr/\A: keep-alive\n\n/, $name);
    like($reply->{body}, qr/^: X-Pulse-Provider: other\n/m, "$name: who");
    like($reply->{body}, qr/^: X-Pulse-Attempts: 2\n/m, "$name: attempts");
    is(scalar(() = $reply->{body} =~ /token/g), 1, "$name: once");
    unlike($reply->{body}, qr/"role":"assistant"/, "$name: only of it");
    is(row($name)->{amount}, 11, "$name: its figures");
}


# --- no token, though something comes all the time

my $comments = stream(": thinking\n\n" x 2000, step => 19, chunk => 13,
                      delay => 0.05);

$slow->play($comments);
$other->play(stream($body));
$reply = ask('openai', 'soon');
like($reply->{body}, qr/^: X-Pulse-Provider: other\n/m, 'comments: another');
is(row('comments')->{amount}, 11, 'comments: its figures');

$slow->play($comments);
$reply = ask('openai', 'f');
is((sse_events($reply->{body}))[-1]{json}{error}{code}, 'GATEWAY_TIMEOUT',
   'comments, and nobody else');
ok($reply->{complete}, 'comments: a clean end');


# --- nobody, after the header

for my $dialect (sort keys %asked) {
    for my $failure ({ hang => 1 }, { status => 500, held => 1 },
                     { status => 400, held => 1,
                       json => { error => { message => 'bad' } } })
    {
        my $name = "$dialect: " . ($failure->{status} // 'silence');

        $slow->play($failure);
        $reply = ask($dialect, $failure->{hang} ? 'h' : 's');

        my @events = grep { ($_->{event} // '') ne 'ping' }
                     sse_events($reply->{body});

        is($reply->{status}, 200, "$name: status");

        # Responses has a beginning even of what fails

        is(scalar @events, $dialect eq 'responses' ? 4 : 1,
           "$name: no event more");
        like($reply->{body}, qr/"error"|"response.failed"/,
             "$name: of an error");
        ok($reply->{complete}, "$name: a clean end");

        like($reply->{body}, qr/\bbad\b/, "$name: in the provider's words")
            if ($failure->{status} // 0) == 400;
    }
}

is(scalar ledger($user, $rows), $rows, 'these cost nothing');


# --- a client that leaves between two signs of life

$slow->play({ hang => 1 });
my $client = Pulse::Client->connect(port => $port);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => { model => 's', %{ $asked{openai}[1] } });
ok($client->read_until(qr/keep-alive.*keep-alive/s), 'again and again');
$client->reset;
is(row('gone')->{output}, 0, 'gone: the prompt only');


# --- all patience

$slow->play({ hang => 1 });
$reply = http(POST => '/v1/chat/completions', port => $port, bearer => $key,
              limit => 10, json => { model => 'b', messages =>
                  [{ role => 'user', content => 'hi' }] });
is($reply->{status}, 504, 'before the answer');

$slow->play(stream($first x 200, step => length($first) + 6,
                   chunk => length $first, delay => 0.05));
$reply = ask('openai', 'e');
is((sse_events($reply->{body}))[-1]{json}{error}{code}, 'GATEWAY_TIMEOUT',
   'within a stream that never ends');
ok($reply->{complete}, 'a clean end');

my $row = row('within a stream');
is($row->{estimated}, 't', 'within a stream: estimated');
cmp_ok($row->{output}, '>', 0, 'within a stream: what came');

$reply = $patient->response;
like($reply->{body}, qr/token.*\[DONE\]\n\n\z/s,
     'who has begun may take its time');
is((ledger($reader, 1))[0]{estimated}, 'f', 'and its figures count');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
