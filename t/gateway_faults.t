# What a provider can do wrong, and a client: each ends in a right answer and
# a right row of the ledger.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

$ENV{PULSE_TEST_KEY} = 'sk-test-0123456789';

my $replay = Pulse::Replay->start;
my $second = Pulse::Replay->start(as => 'SECOND');
my $nobody = 'http://127.0.0.1:' . free_port();

# for what is to be given up; all else may take its time

my $hasty = 'first_byte_timeout 1s; read_timeout 1s;';

my $nginx = gateway_nginx(
    env_names => ['PULSE_TEST_KEY'],
    http => provider('one', $replay->url . '/v1',
                     'key env:PULSE_TEST_KEY; models m* w*;')
            . provider('hasty', $replay->url . '/v1',
                       "key env:PULSE_TEST_KEY; models h*; $hasty")
            . provider('two', $second->url . '/', 'models n*;')
            . provider('gone', $nobody, 'models g*;')
            . provider('keyless', 'https://nowhere.invalid/v1',
                       'key env:PULSE_TEST_NO_SUCH_KEY; models k*;')
            . 'pulse_route_default keyless:k two:n;',
    location => 'pulse_answer_max 100k; client_max_body_size 4m;',
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;


sub ask {
    my ($more, %o) = @_;

    return http(POST => $o{path} // '/v1/chat/completions',
                port => $nginx->port, bearer => $o{key} // $key,
                limit => 10, %o,
                json => { model => 'm', max_tokens => 50,
                          messages => [{ role => 'user',
                                         content => 'say something' }],
                          %$more });
}


sub answer {
    my ($text, %o) = @_;

    return { json => {
        id => 'chatcmpl-1', object => 'chat.completion', created => 7,
        model => 'm-1',
        choices => [{ index => 0, finish_reason => 'stop',
                      message => { role => 'assistant', content => $text } }],
        usage => { prompt_tokens => 9, completion_tokens => 4,
                   total_tokens => 13 },
    }, %o };
}


sub chunk {
    my ($json) = @_;

    return 'data: ' . JSON::PP->new->canonical->encode({
        id => 'chatcmpl-1', object => 'chat.completion.chunk', created => 7,
        model => 'm-1', %$json }) . "\n\n";
}

sub delta {
    my ($text) = @_;

    return chunk({ choices => [{ index => 0, delta => { content => $text },
                                 finish_reason => undef }], usage => undef });
}

my $finish = chunk({ choices => [{ index => 0, delta => {},
                                   finish_reason => 'stop' }],
                     usage => undef });
my $figures = chunk({ choices => [], usage => { prompt_tokens => 9,
                      completion_tokens => 2, total_tokens => 11 } });

sub stream {
    my ($body, %o) = @_;

    return { body => $body, framing => 'chunked',
             headers => { 'content-type' => 'text/event-stream' }, %o };
}


# An error, and that it cost nothing.

sub refused {
    my ($reply, $status, $code, $name) = @_;

    is($reply->{status}, $status, "$name: status");
    is($reply->{json}{error}{code}, $code, "$name: code");
    ok($reply->{complete}, "$name: complete");
}


sub row {
    my ($name, $n) = @_;

    my @rows = ledger($user, $rows += $n // 1);

    is(scalar @rows, $rows, "$name: no row more, none less");

    return $rows[-1];
}


# --- before the first byte

refused(ask({ model => 'gone:g' }), 503, 'PROVIDER_UNAVAILABLE', 'nobody');
ok(ask({ model => 'gone:g' })->{headers}{'retry-after'}, 'nobody: when again');

$replay->play({ hang => 1 });
refused(ask({ model => 'h' }), 504, 'GATEWAY_TIMEOUT', 'silence');

$replay->play(answer('x', cut => 40, hang => 1));
refused(ask({ model => 'h' }), 504, 'GATEWAY_TIMEOUT', 'silence within JSON');

$replay->play(answer('x', cut => 40));
refused(ask({}), 503, 'PROVIDER_UNAVAILABLE', 'JSON that is cut');

$replay->play({ raw => "SMTP 220 hello\r\n\r\n" });
refused(ask({}), 502, 'PROVIDER_ERROR', 'another protocol');

$replay->play({ raw => "HTTP/1.1 200 OK\r\nX: " . 'x' x 60000 . "\r\n\r\n" });
refused(ask({}), 503, 'PROVIDER_UNAVAILABLE', 'a header without end');

$replay->play({ raw => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                       . "Content-Length: 3\r\n\r\n{}" });
refused(ask({}), 502, 'PROVIDER_ERROR', 'two lengths');

$replay->play({ raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" });
refused(ask({}), 502, 'PROVIDER_ERROR', 'another transfer coding');

$replay->play({ raw => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       . "zz\r\n" });
refused(ask({}), 502, 'PROVIDER_ERROR', 'an invalid chunk');

$replay->play({ body => "\x1f\x8b\x08", headers => {
    'content-type' => 'application/json', 'content-encoding' => 'gzip' } });
refused(ask({}), 502, 'PROVIDER_ERROR', 'gzip that nobody asked for');

$replay->play({ body => '<html>', headers => { 'content-type' => 'text/html' }
              });
refused(ask({}), 502, 'PROVIDER_ERROR', 'a page');

$replay->play({ json => { hello => 1 } });
refused(ask({}), 502, 'PROVIDER_ERROR', 'JSON that is no answer');

$replay->play(answer('x' x 200_000));
refused(ask({}), 502, 'PROVIDER_ERROR', 'an answer without end');

$replay->play(answer('x'));
refused(ask({ stream => \1 }), 502, 'PROVIDER_ERROR', 'JSON for a stream');

$replay->play(stream(delta('x') . "data: [DONE]\n\n"));
refused(ask({}), 502, 'PROVIDER_ERROR', 'a stream for JSON');

$replay->play({ status => 302, headers => { location => 'http://x/' } });
refused(ask({}), 502, 'PROVIDER_ERROR', 'a redirect');

for my $status (500, 502, 503, 504, 529, 408) {
    $replay->play({ status => $status, json => { error => 'x' } });
    refused(ask({}), 503, 'PROVIDER_UNAVAILABLE', "status $status");
}

$replay->play({ status => 429, headers => { 'retry-after' => 17 },
                json => { error => { message => 'slow', type => 'requests',
                                     code => 'rate_limit_exceeded' } } });
my $reply = ask({ model => 'm-busy' });
refused($reply, 503, 'PROVIDER_UNAVAILABLE', 'too many');
is($reply->{headers}{'retry-after'}, 17, 'too many: when again');

for my $status (401, 402, 403) {
    $replay->play({ status => $status, json => { error => {
        message => "Incorrect API key: $ENV{PULSE_TEST_KEY}" } } });

    $reply = ask({ fallbacks => ['two:n'] });
    refused($reply, 503, 'PROVIDER_UNAVAILABLE', "status $status");
    unlike($reply->{body}, qr/sk-test/, "status $status: no key");
}


# --- the provider finds fault with the request

my $fault = { error => { message => 'max_tokens is silly', code => 'c',
                         type => 'invalid_request_error', param => 'p' } };

$replay->play({ status => 400, json => $fault });
$reply = ask({});
is($reply->{status}, 400, 'fault: status');
is_deeply($reply->{json}, $fault, 'fault: its own words');
is($reply->{headers}{'x-should-retry'}, 'false', 'fault: never again');

$reply = ask({}, path => '/v1/chat/complete');
refused($reply, 400, 'INVALID_REQUEST', 'fault, studio');
is($reply->{json}{error}{details}{reason}, 'max_tokens is silly',
   'fault, studio: its words');

$replay->play({ status => 400, json => $fault, framing => 'close' });
is_deeply(ask({})->{json}, $fault, 'fault, ended by the connection');

$replay->play({ status => 404, json => { error => { message => 'no m' } } });
is(ask({})->{status}, 404, 'unknown to the provider');

$replay->play({ status => 400, body => 'what' });
refused(ask({}), 400, 'INVALID_REQUEST', 'a fault without words');


# --- ours

$reply = ask({ model => 'nothing' });
refused($reply, 404, 'MODEL_NOT_FOUND', 'no such model');
refused(ask({ model => 'keyless:k' }), 503, 'PROVIDER_UNAVAILABLE', 'no key');
refused(ask({ messages => [] }), 400, 'INVALID_REQUEST', 'no messages');
is(ask({ n => 'x' })->{json}{error}{param}, 'n', 'the parameter is named');

is(http(GET => '/v1/chat/completions', port => $nginx->port,
        bearer => $key)->{headers}{allow}, 'POST', 'POST only');
is(http(POST => '/v1/chat/completions', port => $nginx->port, bearer => $key,
        body => 'a=b', headers => { 'Content-Type' => 'text/plain' }
       )->{status}, 415, 'JSON only');

is(scalar ledger($user, 0), 0, 'none of these cost anything');


# --- the next candidate

for my $failure ({ status => 500 }, { status => 429, json => {} },
                 { status => 529 }, { hang => 1 }, { raw => "x\r\n\r\n" },
                 answer('x', cut => 20))
{
    my $name = 'fallback after ' . join ' ', map { "$_ $failure->{$_}" }
                                   grep { $_ ne 'json' } sort keys %$failure;

    $replay->play($failure);
    $second->play(answer('from the second'));

    my $model = $failure->{hang} ? 'h' : 'm';

    $reply = ask({ model => $model, fallbacks => ['two:n-9'] },
                 path => '/v1/chat/complete');

    is($reply->{json}{data}{choices}[0]{message}{content},
       'from the second', $name);
    is($reply->{headers}{'x-pulse-provider'}, 'two', "$name: who");
    is($reply->{headers}{'x-pulse-model'}, 'n-9', "$name: what");
    is($reply->{headers}{'x-pulse-attempts'}, 2, "$name: attempts");

    my ($first) = $replay->requests(1);
    my ($then) = $second->requests(1);

    is($first->{json}{model}, $model, "$name: its model");
    is($then->{json}{model}, 'n-9', "$name: the other's");
    ok(!exists $then->{json}{fallbacks}, "$name: ours is not sent");
    is($first->{headers}{authorization}, "Bearer $ENV{PULSE_TEST_KEY}",
       "$name: the key");
    ok(!exists $then->{headers}{authorization}, "$name: not to the other");

    my $row = row($name);
    is("$row->{amount} $row->{provider} $row->{estimated}", '13 two f',
       "$name: row");
}

$second->play(answer('x'));
$reply = ask({ model => 'gone:g', fallbacks => ['n'] },
             path => '/v1/chat/complete');
is($reply->{headers}{'x-pulse-provider'}, 'two', 'fallback: refused');
row('fallback: refused');

$replay->play({ status => 429, json => { error => {
    message => 'pay', type => 'insufficient_quota' } } });
refused(ask({ fallbacks => ['one:w'] }, path => '/v1/chat/complete'), 503,
        'PROVIDER_UNAVAILABLE', 'no second try when money is missing');
is(scalar $replay->requests(1), 1, 'not with another model either');

$second->play(answer('default'));
$reply = ask({ model => 'auto' });
is($reply->{headers}{'x-pulse-provider'}, 'two', 'default without the keyless');
row('default');


# --- what goes to the provider

$replay->play(answer('x'));
$reply = ask({}, headers => { Cookie => 'a=b', 'X-Secret' => 1,
                              'OpenAI-Organization' => 'o',
                              'X-Request-ID' => 'trace-1' });
my ($sent) = $replay->requests(1);
row('headers');
is_deeply([sort keys %{ $sent->{headers} }],
          [qw(accept accept-encoding authorization content-length
              content-type host user-agent x-request-id)],
          'headers are ours');
is($sent->{headers}{'x-request-id'}, 'trace-1', 'the trace goes on');
is($sent->{path}, '/v1/chat/completions', 'the path');

$replay->play(answer('x', headers => {
    'content-type' => 'application/json', 'set-cookie' => 'a=b',
    'x-accel-redirect' => '/metrics', 'x-accel-buffering' => 'yes',
    'x-ratelimit-remaining-requests' => 5, 'openai-organization' => 'ours' }));
$reply = ask({});
row('answer headers');
is($reply->{status}, 200, 'X-Accel-Redirect is inert');
ok(!grep({ /set-cookie|accel|x-ratelimit-remaining-req|organization/ }
         keys %{ $reply->{headers} }), 'headers are not passed on');
like($reply->{headers}{'x-usage-tokens'}, qr{^\d+/\d+$}, 'usage header');

for my $type ('text/html', 'image/svg+xml; charset=utf-8', 'application/js') {
    $replay->play(answer('<b>x</b>', headers => { 'content-type' => $type }));
    $reply = ask({});
    row("JSON as $type");
    is($reply->{headers}{'content-type'}, 'application/json; charset=utf-8',
       "JSON as $type is what it is");
}


# --- connections

$replay->play(answer('x'));
ask({});
ask({ stream => \0 });
my @two = $replay->requests(2);
is($two[0]{connection}, $two[1]{connection}, 'a connection is kept');
row('kept', 2);

$replay->play(stream(delta('x') . $finish . $figures . "data: [DONE]\n\n"));
ask({ stream => \1 });
ask({ stream => \1 });
@two = $replay->requests(2);
is($two[0]{connection}, $two[1]{connection}, 'after a stream too');
row('kept, streamed', 2);

$replay->play(answer('x'), answer('x', cut => 20), answer('x'));
ask({});
is(ask({})->{status}, 503, 'cut on a connection that was kept');
is(scalar $replay->requests(2), 2, 'it is not asked again');
row('cut on a kept one');

my $text = JSON::PP::encode_json(answer('x')->{json});
$replay->play({ raw => "HTTP/1.1 200 OK\r\nContent-Length: "
                       . length($text) . "\r\n\r\n${text}and more" },
              answer('x'));
is(ask({})->{status}, 200, 'more than was announced');
ask({});
@two = $replay->requests(2);
isnt($two[0]{connection}, $two[1]{connection}, 'such a connection is not');
row('more', 2);

$replay->play(answer('x', close => 1), answer('x'));
is(ask({})->{status}, 200, 'closed after the answer');
$reply = ask({});
is($reply->{status}, 200, 'the next one connects anew');
is($reply->{headers}{'x-pulse-attempts'}, 1, 'and says nothing of it');
row('closed', 2);


# --- within a stream

my $text_of = sub {
    join '', map { $_->{json}{choices}[0]{delta}{content} // '' }
             grep { ref $_->{json} eq 'HASH' } @_;
};

sub broken_stream {
    my ($play, $code, $name, %o) = @_;

    $replay->play($play);

    my $reply = ask({ model => $o{model} // 'm', stream => \1 }, %o);
    my @events = sse_events($reply->{body});

    is($reply->{status}, 200, "$name: began");
    ok($reply->{complete}, "$name: a clean end");
    is($text_of->(@events), 'hello there', "$name: what came");
    is($events[-1]{json}{error}{code}, $code, "$name: an error event");

    my $row = row($name);
    is($row->{estimated}, 't', "$name: estimated");
    cmp_ok($row->{output}, '>', 0, "$name: what came is charged");
    cmp_ok($row->{output}, '<', 10, "$name: and not more");
}

my $row;
my $begin = delta('hello') . delta(' there');

broken_stream(stream($begin . delta('never'), cut => length($begin) + 40,
                     framing => 'close'), 'PROVIDER_ERROR', 'cut');
broken_stream(stream($begin . delta('never'), cut => length($begin) + 20),
              'PROVIDER_ERROR', 'cut within a chunk');
broken_stream(stream($begin, cut => length($begin), reset => 1,
                     framing => 'length'), 'PROVIDER_ERROR', 'reset');
broken_stream(stream($begin, hang => 1, cut => length($begin) + 6),
              'GATEWAY_TIMEOUT', 'hang', model => 'h');
broken_stream(stream($begin . "data: {oops\n\n" . delta('never')),
              'PROVIDER_ERROR', 'an event that is no JSON');
broken_stream(stream($begin), 'PROVIDER_ERROR', 'no end');
broken_stream(stream($begin), 'PROVIDER_ERROR', 'no end, studio',
              path => '/v1/chat/complete');

# nothing of it was sent yet: so it is as an answer that never began

for my $nothing (stream(delta('never'), cut => 30), stream(": ping\n\n"),
                 stream("data: {oops\n\n"),
                 stream('data: ' . JSON::PP::encode_json({ error => {
                     message => 'no', code => 'insufficient_quota' } })
                     . "\n\n"))
{
    my $name = 'before the first token: ' . substr $nothing->{body}, 0, 40;

    $name =~ s/\n//g;
    $replay->play($nothing);
    $second->play(stream($begin . $finish . $figures . "data: [DONE]\n\n"));

    $reply = ask({ stream => \1, fallbacks => ['n'] },
                 path => '/v1/chat/complete');
    is($text_of->(sse_events($reply->{body})), 'hello there', $name);
    is($reply->{headers}{'x-pulse-attempts'}, 2, "$name: attempts");
    is(row($name)->{amount}, 11, "$name: row");

    $reply = ask({ stream => \1 });
    like($reply->{status}, qr/^50[23]$/, "$name: nobody else");
    like($reply->{json}{error}{code}, qr/^PROVIDER_/, "$name: code");
}

$replay->play({ json => { id => 'c', model => 'm', choices => [{ index => 0,
    finish_reason => 'stop', message => { content => 'eight letters' } }] } });
is(ask({})->{status}, 200, 'an answer without figures');
$row = row('without figures, and nothing for what was cut');
is("$row->{output} $row->{estimated}", '4 t', 'without figures: estimated');

$replay->play(stream($begin . "data: " . JSON::PP::encode_json(
    { error => { message => 'busy', code => 'server_error' } }) . "\n\n"));
$reply = ask({ stream => \1 });
my @events = sse_events($reply->{body});
is($events[-1]{json}{error}{message}, 'busy', 'the provider\'s own error');
is(scalar @events, 3, 'and no other');
ok($reply->{complete}, 'and a clean end');
is(row('error event')->{estimated}, 't', 'error event: estimated');

$replay->play(stream($begin . $finish . $figures));
$reply = ask({ stream => \1 });
is((sse_events($reply->{body}))[-1]{data}, '[DONE]', 'a forgotten [DONE]');
$row = row('[DONE]');
is("$row->{amount} $row->{estimated}", '11 f', '[DONE]: exact');

$replay->play(stream($begin . $finish . 'data: [DONE]'));
$reply = ask({ stream => \1 });
is((sse_events($reply->{body}))[-1]{data}, '[DONE]', 'no blank line');
is(row('blank line')->{estimated}, 't', 'no figures: estimated');

$replay->play(stream($begin . $finish . $figures . "data: [DONE]\n\n",
                     cut => 100000, hang => 1,
                     framing => 'close'));
$reply = ask({ stream => \1 });
ok($reply->{complete}, '[DONE] ends it, whatever the connection does');
is(row('after [DONE]')->{amount}, 11, 'after [DONE]: exact');


# --- figures that cannot be

for my $usage ([2 ** 40, 4], [9, 2 ** 40], ['18446744073709551615',
                                            '18446744073709551615'])
{
    my $body = JSON::PP::encode_json(answer('eight letters')->{json});

    $body =~ s/"prompt_tokens":\d+/"prompt_tokens":$usage->[0]/;
    $body =~ s/"completion_tokens":\d+/"completion_tokens":$usage->[1]/;
    $replay->play({ body => $body,
                    headers => { 'content-type' => 'application/json' } });

    is(ask({})->{status}, 200, "absurd @$usage: served");
    $row = row("absurd @$usage");
    is("$row->{output} $row->{estimated}", '4 t', "absurd @$usage: estimated");
    cmp_ok($row->{amount}, '<', 100, "absurd @$usage: not charged");
}


# --- the grant

$replay->play(stream(join('', map { delta("w$_ ") } 1 .. 50) . $finish
                     . $figures . "data: [DONE]\n\n"));
$reply = ask({ stream => \1, max_tokens => 5,
               stream_options => { include_usage => \1 } });
@events = sse_events($reply->{body});
is($text_of->(@events), 'w1 w2 w3 w4 w5 ', 'cut at max tokens');
is($events[-3]{json}{choices}[0]{finish_reason}, 'length', 'finish reason');
is($events[-1]{data}, '[DONE]', 'terminator');
$row = row('grant');
is($events[-2]{json}{usage}{total_tokens}, $row->{amount},
   'the usage that is said is charged');

my $poor = make_user(plan => 'starter', tokens => 60);
my $poor_key = make_key($poor);

$replay->play(answer('x'));
$reply = ask({ max_tokens => 1000 }, key => $poor_key);
($sent) = $replay->requests(1);
is($reply->{status}, 200, 'granted what is left');
is($reply->{headers}{'x-usage-clamped'}, $sent->{json}{max_completion_tokens},
   'and says so');
cmp_ok($sent->{json}{max_completion_tokens}, '<', 60, 'and told the provider');

is((ledger($poor, 1))[0]{amount}, 13, 'the provider\'s figures');

$reply = ask({ messages => [{ role => 'user', content => 'word ' x 500 }] },
             key => $poor_key);
refused($reply, 402, 'QUOTA_EXCEEDED', 'nothing left');
is($reply->{headers}{'x-should-retry'}, 'false', 'nothing left: no retry');


# --- the client leaves

$replay->play(stream($begin . delta('x'), cut => length($begin) + 12,
                     hang => 1));
my $client = Pulse::Client->connect(port => $nginx->port);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => { model => 'm', stream => \1, messages =>
                           [{ role => 'user', content => 'go on' }] });
ok($client->read_until(qr/there/), 'a stream has begun');
$client->leave;
ok(wait_until(sub { grep { $_->{event} eq 'aborted' } $replay->events }),
   'the provider is left too');
$row = row('client gone');
is($row->{estimated}, 't', 'client gone: estimated');
cmp_ok($row->{output}, '>', 0, 'client gone: what came is charged');

$replay->play({ hang => 1 });
$client = Pulse::Client->connect(port => $nginx->port);
$client->request(POST => '/v1/chat/completions', bearer => $key,
                 json => { model => 'm', messages =>
                           [{ role => 'user', content => 'go on' }] });
$replay->requests(1);
$client->reset;
ok(wait_until(sub { grep { $_->{event} eq 'aborted' } $replay->events }),
   'left before the answer');
$row = row('gone early');
is($row->{output}, 0, 'gone early: the prompt only');


# --- metrics and the log

my $metrics = http(GET => '/metrics', port => $nginx->port)->{body};
like($metrics, qr/\{provider="one",outcome="client_gone"\} 2$/m,
     'outcomes are counted');
like($metrics, qr/^pulse_gateway_tokens_total\{part="output"\} [1-9]/m,
     'tokens are');

is($nginx->stop, undef, 'nginx ends');
ok(!grep({ /sk-test|say something/ } @{ $nginx->error_log }),
   'no key and no prompt in the log');

$nginx->excuse('refuses us');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
