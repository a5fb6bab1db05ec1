# The demo provider of the sidecar: OpenAI's wire shape, without a key.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(decode_utf8);
use JSON::PP ();
use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Sidecar;
use Test::More;

my $sidecar = Pulse::Sidecar->start;
my $path = '/demo/v1/chat/completions';


sub post {
    my ($body) = @_;

    return http(POST => $path, socket => $sidecar->socket_path, json => $body);
}


sub ask {
    my ($text, %more) = @_;

    return post({ model => 'demo', %more,
                  messages => [{ role => 'user', content => $text }] });
}


# the chunks of a stream, without its end

sub chunks {
    my ($reply) = @_;

    my @events = sse_events($reply->{body});

    is((pop @events)->{data}, '[DONE]', 'the stream has its terminator');

    return map { $_->{json} } @events;
}


subtest 'health and models' => sub {
    my $reply = http(GET => '/health', socket => $sidecar->socket_path);

    is($reply->{status}, 200);
    is_deeply($reply->{json}, { status => 'ok' });

    $reply = http(GET => '/demo/v1/models', socket => $sidecar->socket_path);

    is($reply->{json}{object}, 'list');
    is($reply->{json}{data}[0]{id}, 'demo');
};


subtest 'embeddings' => sub {
    my $embed = sub {
        return http(POST => '/demo/v1/embeddings',
                    socket => $sidecar->socket_path,
                    json => { model => 'demo-embedding', @_ });
    };
    my $product = sub {
        my ($a, $b) = map { $_->{embedding} } @_;
        my $sum = 0;

        $sum += $a->[$_] * $b->[$_] for 0 .. $#$a;

        return $sum;
    };

    my $reply = $embed->(input => ['the red cat', 'the red dog',
                                   "\x{633}\x{644}\x{627}\x{645}"]);
    my @data = @{ $reply->{json}{data} };

    is($reply->{status}, 200);
    is_deeply([map { $_->{index} } @data], [0, 1, 2], 'one for each');
    is(scalar @{ $_->{embedding} }, 256, 'of one size') for @data;
    ok(abs($product->($_, $_) - 1) < 1e-4, 'and length') for @data;
    cmp_ok($product->(@data[0, 1]), '>', $product->(@data[0, 2]),
           'what shares words is nearer');
    is($reply->{json}{usage}{prompt_tokens}, 7, 'a token a word');

    my $again = $embed->(input => 'the red cat', dimensions => 256);

    is_deeply($again->{json}{data}[0], $data[0], 'always the same');
    is(scalar @{ $again->{json}{data} }, 1, 'of one text');

    for my $case ([input => []], [input => 5], [input => ['a', 5]], [],
                  [input => 'x', dimensions => 2000],
                  [input => 'x', model => undef])
    {
        $reply = $embed->(@$case);
        is($reply->{status}, 400, 'refused');
        is($reply->{json}{error}{type}, 'invalid_request_error');
    }
};


subtest 'a whole answer' => sub {
    my $reply = ask('two words');
    my $json = $reply->{json};

    is($reply->{status}, 200);
    is($json->{object}, 'chat.completion');
    is($json->{model}, 'demo');
    like($json->{id}, qr/^chatcmpl-/);

    my $choice = $json->{choices}[0];
    my @words = split ' ', $choice->{message}{content};

    is($choice->{finish_reason}, 'stop');
    is($choice->{message}{role}, 'assistant');
    like($choice->{message}{content}, qr/demo provider/);
    like($choice->{message}{content}, qr/OPENAI_API_KEY=\S+ make run/);

    is($json->{usage}{prompt_tokens}, 2 + 3, 'words, and three a message');
    is($json->{usage}{completion_tokens}, scalar @words);
    is($json->{usage}{total_tokens}, 5 + @words);
};


subtest 'it answers in the language of the last message' => sub {
    like(ask('مرحبا')->{json}{choices}[0]{message}{content}, qr/التجريبي/);
    like(ask('Grüße, 你好')->{json}{choices}[0]{message}{content},
         qr/demo provider/);

    my $reply = post({ model => 'demo', messages => [
        { role => 'user', content => 'مرحبا' },
        { role => 'assistant', content => 'مرحبا' },
        { role => 'user', content => [{ type => 'text', text => 'Hello' },
            { type => 'image_url', image_url => { url => 'data:,' } }] },
    ] });

    like($reply->{json}{choices}[0]{message}{content}, qr/demo provider/);
};


subtest 'a stream says the same' => sub {
    my $whole = ask('hello')->{json};
    my $reply = ask('hello', stream => JSON::PP::true);
    my @chunks = chunks($reply);

    like($reply->{headers}{'content-type'}, qr{^text/event-stream});
    is($chunks[0]{choices}[0]{delta}{role}, 'assistant', 'role comes first');
    is(join('', map { $_->{choices}[0]{delta}{content} // '' } @chunks),
       $whole->{choices}[0]{message}{content}, 'the same text');
    is($chunks[-1]{choices}[0]{finish_reason}, 'stop');
    is(scalar(grep { exists $_->{usage} } @chunks), 0, 'no usage unasked');
    is(scalar(grep { $_->{object} ne 'chat.completion.chunk' } @chunks), 0);
    is(scalar(keys %{{ map { $_->{id} => 1 } @chunks }}), 1, 'one id');
};


subtest 'a stream with usage' => sub {
    my @chunks = chunks(ask('hello', stream => JSON::PP::true,
                            stream_options => {
                                include_usage => JSON::PP::true }));
    my $last = pop @chunks;

    is_deeply($last->{choices}, []);
    is($last->{usage}{completion_tokens}, @chunks - 2,
       'a token for each piece of text');
    is(scalar(grep { !exists $_->{usage} || defined $_->{usage} } @chunks), 0,
       'null in the others');
};


subtest 'limits are kept' => sub {
    for my $name ('max_tokens', 'max_completion_tokens') {
        my $json = ask('hello', $name => 4)->{json};

        is($json->{choices}[0]{finish_reason}, 'length', $name);
        is($json->{usage}{completion_tokens}, 4);
        is($json->{choices}[0]{message}{content}, 'This is the demo');
    }

    my @chunks = chunks(ask('hello', max_tokens => 1,
                            stream => JSON::PP::true));

    is($chunks[-1]{choices}[0]{finish_reason}, 'length');
    is(join('', map { $_->{choices}[0]{delta}{content} // '' } @chunks),
       'This');
};


my @tools = map { { type => 'function', function => {
    name => $_, parameters => {
        type => 'object', required => ['city', 'days', 'unit'],
        properties => {
            city => { type => 'string' }, days => { type => 'integer' },
            unit => { type => 'string', enum => ['celsius', 'kelvin'] },
            note => { type => 'string' } } } } } } qw(forecast weather);


subtest 'a tool is called where the request insists' => sub {
    my $json = ask('in "Amman"', tools => \@tools, tool_choice => {
        type => 'function', function => { name => 'weather' } })->{json};
    my $message = $json->{choices}[0]{message};
    my $call = $message->{tool_calls}[0];

    is($json->{choices}[0]{finish_reason}, 'tool_calls');
    is($message->{content}, undef);
    is($call->{type}, 'function');
    is($call->{function}{name}, 'weather');
    is_deeply(JSON::PP::decode_json($call->{function}{arguments}),
              { city => 'in "Amman"', days => 1, unit => 'celsius' });

    my @chunks = chunks(ask('in Amman', tools => \@tools,
                            tool_choice => 'required',
                            stream => JSON::PP::true));
    my @calls = map { @{ $_->{choices}[0]{delta}{tool_calls} // [] } } @chunks;

    is($calls[0]{function}{name}, 'forecast');
    like($calls[0]{id}, qr/^call_/);
    is(scalar(grep { $_->{index} != 0 } @calls), 0);
    is_deeply(JSON::PP::decode_json(join '', map {
                  $_->{function}{arguments} } @calls),
              { city => 'in Amman', days => 1, unit => 'celsius' });
    is($chunks[-1]{choices}[0]{finish_reason}, 'tool_calls');

    like(ask('hello', tools => \@tools)->{json}{choices}[0]{message}{content},
         qr/demo provider/, 'and only there');
};


subtest 'what is refused' => sub {
    my @cases = (
        ['{"model": "demo", ', undef, 'bad JSON'],
        ['[' x 100, undef, 'too deep'],
        ['', undef, 'nothing'],
        ['{"messages": []}', 'model', 'no model'],
        ['{"model": "demo"}', 'messages', 'no messages'],
        ['{"model": "demo", "messages": []}', 'messages', 'empty messages'],
        ['{"model": "demo", "messages": "x"}', 'messages', 'a string'],
        ['{"model": "demo", "messages": [1], "max_tokens": 0}', 'max_tokens',
         'no room'],
        ['{"model": "demo", "messages": [1], "n": 2}', 'n',
         'two answers'],
        ['{"model": "demo", "messages": [1], "max_tokens": 1.5}',
         'max_tokens', 'half a token'],
        ['{"model": "demo", "messages": [1], "tool_choice": "required"}',
         'tool_choice', 'no tools'],
    );

    for my $case (@cases) {
        my ($body, $param, $name) = @$case;
        my $reply = http(POST => $path, socket => $sidecar->socket_path,
                         body => $body,
                         headers => { 'Content-Type' => 'application/json' });

        is($reply->{status}, 400, $name);
        is($reply->{json}{error}{type}, 'invalid_request_error');
        is($reply->{json}{error}{param}, $param);
        ok(length $reply->{json}{error}{message});
    }

    is(http(POST => $path, socket => $sidecar->socket_path,
            body => 'x' x 4_500_000, limit => 20)->{status}, 413,
       'too large');
    is(http(PUT => $path, socket => $sidecar->socket_path)->{status}, 405);
    is(http(GET => '/nothing', socket => $sidecar->socket_path)->{status},
       404);
};


subtest 'streams do not wait for each other' => sub {
    my @clients = map {
        my $client = Pulse::Client->connect(socket => $sidecar->socket_path);

        $client->request(POST => $path, json => {
            model => 'demo', stream => JSON::PP::true,
            messages => [{ role => 'user', content => 'hello' }] });
        $client;
    } 1 .. 100;

    # more streams than threads, and none of them is read yet

    is(http(GET => '/health', socket => $sidecar->socket_path)->{status},
       200);

    is(scalar(grep { $_->read_until(qr/\[DONE\]/, 20) } @clients), 100,
       'and all of them end');

    $_->leave for @clients;
};


subtest 'a client that leaves takes nothing along' => sub {
    for (1 .. 20) {
        my $client = Pulse::Client->connect(socket => $sidecar->socket_path);

        $client->request(POST => $path, json => {
            model => 'demo', stream => JSON::PP::true,
            messages => [{ role => 'user', content => 'hello' }] });
        $client->read_until(qr/data: /, 5);
        $client->leave;
    }

    is(ask('still there?')->{status}, 200);
};


my $client = Pulse::Client->connect(socket => $sidecar->socket_path);

$client->request(POST => $path, json => {
    model => 'demo', stream => JSON::PP::true,
    messages => [{ role => 'user', content => 'hello' }] });
$client->read_until(qr/data: /, 5);

is($sidecar->stop, 0, 'it stops in the midst of a stream');
ok(!-e $sidecar->socket_path, 'and leaves no socket');
unlike($sidecar->log_text, qr/hello|Amman/, 'no prompt is in its log');


# --- a name that is somebody's file

my $file = suite_dir() . '/notes.txt';
my $program = ($ENV{PULSE_BUILD} // "$Pulse::Env::root/build")
              . '/pulse-sidecar';

open my $out, '>', $file or die;
close $out;

open my $in, '-|', "timeout 30 '$program' --listen '$file' --database x 2>&1"
    or die;
like(join('', <$in>), qr/cannot listen on/, 'is refused as a socket');
close $in;
ok(-f $file, 'and left alone');

done_testing();
