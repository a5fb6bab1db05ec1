# Vendors that speak as OpenAI does, as conf/providers.conf has them: what
# each refuses or calls otherwise is left out or renamed for it, by what
# conf/models.json says and nothing else, and the client is told.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(ask played understood wanted);
use Pulse::Gateway qw(gateway_nginx ledger);
use Pulse::Replay;
use Test::More;

my @vendors = qw(xai deepseek mistral groq openrouter llamacpp vllm);

my $replay = Pulse::Replay->start;

for (@vendors) {
    $ENV{"\U$_\E_BASE_URL"} = $replay->url . "/$_/v1";
    $ENV{"\U$_\E_API_KEY"} = "key-of-$_";
}

delete $ENV{$_} for qw(OPENAI_API_KEY ANTHROPIC_API_KEY GOOGLE_API_KEY);

my $nginx = gateway_nginx(http => <<"HTTP")->run;
    pulse_sidecar unix:$ENV{TEST_NGINX_PULSE_DIR}/none.sock;
    include $ENV{TEST_NGINX_PULSE_ROOT}/conf/providers.conf;
HTTP

my $user = make_user(plan => 'creator', tokens => 4_000_000_000);
my $key = make_key($user);
my $rows = 0;

my %chat = (
    id => 'c', object => 'chat.completion', created => 1, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 3, completion_tokens => 1,
               total_tokens => 4 },
);

my $tool = { type => 'function', function => { name => 'a',
             parameters => { type => 'object', properties => {} } } };
my $other = { type => 'function', function => { name => 'b' } };
my $named = { type => 'function', function => { name => 'a' } };


# What a vendor got of a request, and the warning of the answer.

sub sent {
    my ($dialect, $model, %o) = @_;

    $replay->play({ json => \%chat });

    my $reply = ask($dialect, $nginx->port, $key, model => $model, %o);

    is($reply->{status}, 200, "$model: an answer")
        or diag substr $reply->{body}, 0, 500;
    ledger($user, ++$rows);

    my ($request) = $replay->requests(1);

    return ($request->{json}, $reply->{headers}{'x-pulse-warning'} // '',
            $request);
}


# --- who is asked, and with what key

my %models = (
    xai => 'grok-4', deepseek => 'deepseek-v4-pro',
    mistral => 'mistral-small-latest', groq => 'openai/gpt-oss-120b',
    openrouter => 'z-ai/glm-5', llamacpp => 'llamacpp:a.gguf',
    vllm => 'vllm:org/model',
);

for my $vendor (@vendors) {
    my ($json, $warning, $request) = sent('openai', $models{$vendor});

    is($request->{path}, "/$vendor/v1/chat/completions", "$vendor is asked");
    is($request->{headers}{authorization}, "Bearer key-of-$vendor",
       'with its key');
    is($json->{model}, $models{$vendor} =~ s/^(llamacpp|vllm)://r,
       'for the model');
    is($warning, '', 'of an ordinary request nothing is left out');
}

is(ask('openai', $nginx->port, $key, model => 'a.gguf')->{status}, 404,
   "a server of one's own is not asked for a bare name");


# --- members that are refused, or have another name

my %all = (seed => 7, logprobs => \1, top_logprobs => 2, user => 'u',
           logit_bias => { 1 => 1 }, stop => ['a'], presence_penalty => 1,
           frequency_penalty => 1, reasoning_effort => 'high',
           temperature => 0.5);

my %refused = (
    'grok-4'      => [qw(stop presence_penalty frequency_penalty
                         reasoning_effort)],
    'grok-4.3'    => [qw(stop presence_penalty frequency_penalty)],
    'grok-3'      => [qw(reasoning_effort)],
    'grok-4-1-fast-non-reasoning' => [qw(reasoning_effort)],
    'deepseek-v4-pro'             => [],
    'mistral-small-latest'        => [qw(logit_bias logprobs top_logprobs
                                         user)],
    'groq:openai/gpt-oss-120b'    => [qw(logit_bias logprobs top_logprobs)],
    'groq:llama-3.3-70b-versatile' => [qw(reasoning_effort logit_bias
                                          logprobs top_logprobs)],
    'openrouter:z-ai/glm-5' => [],
    'llamacpp:a.gguf'       => [],
    'vllm:org/model'        => [],
);

for my $model (sort keys %refused) {
    my ($json, $warning) = sent('openai', $model, more => \%all);
    my %kept = %all;

    delete @kept{ @{ $refused{$model} } };
    delete $kept{seed} if $model =~ /^mistral/;

    is_deeply([sort grep { exists $all{$_} } keys %$json], [sort keys %kept],
              "$model: what it takes");
    is_deeply([sort $warning =~ /(\w+)(?=,|$)/g],
              [sort @{ $refused{$model} }], "$model: what was left out");
}

my ($json) = sent('openai', 'mistral-small-latest',
                  more => { seed => 7, stream_options => undef });

is($json->{random_seed}, 7, 'another name');
ok(!exists $json->{stream_options}, 'what would be refused as null too');


# --- the limit of tokens

for my $model ('mistral-small-latest', 'deepseek-v4-pro', 'llamacpp:a') {
    for my $dialect (qw(openai anthropic responses gemini)) {
        ($json) = sent($dialect, $model, max => 50);

        is($json->{max_tokens}, 50, "$model, $dialect: max_tokens");
        ok(!exists $json->{max_completion_tokens}, 'and no other');
    }
}

($json) = sent('openai', 'groq:openai/gpt-oss-120b', max => 50);
is($json->{max_completion_tokens}, 50, 'Groq: the newer name');


# --- clients of the other dialects; efforts that a model has

for (['low', 'high'], ['high', 'high'], ['max', 'max']) {
    my ($asked, $got) = @$_;
    my $warning;

    ($json, $warning) = sent('anthropic', 'deepseek-v4-pro',
                             more => { output_config =>
                                           { effort => $asked } });

    is($json->{reasoning_effort}, $got, "the effort $asked is $got");
    is($warning =~ /reasoning_effort/ ? 1 : 0, $asked eq $got ? 0 : 1,
       'which is said');
}

for my $dialect (qw(openai anthropic)) {
    ($json) = sent($dialect, 'deepseek-v4-pro', more =>
                   $dialect eq 'openai' ? { reasoning_effort => 'none' }
                   : { thinking => { type => 'disabled' } });
    is_deeply($json->{thinking}, { type => 'disabled' },
              "$dialect, DeepSeek: no thinking has a switch");
    ok(!exists $json->{reasoning_effort}, 'and no effort');
}

($json, my $warning) = sent('anthropic', 'grok-4',
                            more => { stop_sequences => ['a'] });
ok(!exists $json->{stop}, 'stop sequences of Anthropic');
like($warning, qr/\bstop\b/, 'are left out aloud');

($json, $warning) = sent('gemini', 'mistral-small-latest', more => {
    generationConfig => { seed => 5, maxOutputTokens => 9 } });
is($json->{random_seed}, 5, 'the seed of a client of Gemini');
is($warning, '', 'is not lost');


# --- tool choice

for my $dialect (qw(openai anthropic)) {
    my %more = $dialect eq 'openai'
        ? (tools => [$tool], tool_choice => $named)
        : (tools => [{ name => 'a', input_schema => { type => 'object' } }],
           tool_choice => { type => 'tool', name => 'a' });

    ($json, $warning) = sent($dialect, 'llamacpp:a', more => \%more);
    is($json->{tool_choice}, 'required', "llama.cpp, $dialect: the only tool");
    is($warning, '', 'which is the same');

    ($json) = sent($dialect, 'vllm:a', more => \%more);
    is_deeply($json->{tool_choice}, $named, "vLLM, $dialect: by name");
}

($json, $warning) = sent('openai', 'llamacpp:a', more => {
    tools => [$tool, $other], tool_choice => $named });
is($json->{tool_choice}, 'required', 'a tool of two');
is($warning, 'left out: tool_choice', 'cannot be named');


# --- roles, and what comes back of thinking

my $history = { messages => [
    { role => 'developer', content => 'be short' },
    { role => 'user', content => 'hi' },
    { role => 'assistant', content => 'hm', reasoning_content => 'thought',
      tool_calls => [{ id => 'c1', type => 'function', function =>
                       { name => 'a', arguments => '{}' },
                       extra_content => { google => {
                           thought_signature => 'Ciw' } } }] },
    { role => 'tool', tool_call_id => 'c1', content => '1' },
] };

for (['mistral-small-latest', 'system', undef, 0],
     ['deepseek-v4-pro', 'system', 'thought', 0],
     ['llamacpp:a', 'system', 'thought', 0],
     ['openrouter:google/gemini-3.8-flash', 'developer', 'thought', 1],
     ['openrouter:z-ai/glm-5', 'developer', 'thought', 0],
     ['groq:openai/gpt-oss-120b', 'developer', 'thought', 0])
{
    my ($model, $role, $thought, $extra) = @$_;

    ($json, $warning) = sent('openai', $model, more => $history);

    is($json->{messages}[0]{role}, $role, "$model: who gives instructions");
    is($json->{messages}[2]{reasoning_content}, $thought,
       "$model: its thinking");
    is(exists $json->{messages}[2]{tool_calls}[0]{extra_content} ? 1 : 0,
       $extra, "$model: signatures of Gemini's");
    is($warning, $thought && $extra ? '' : 'left out: thinking',
       "$model: what is said of that");
}


# --- errors in their shapes, to clients of two dialects

my @errors = (
    [mistral => 422, { object => 'error', type => 'invalid_request_error',
        param => undef, code => undef, message => { detail => [{
            type => 'extra_forbidden', loc => ['body', 'abc'],
            msg => 'Extra inputs are not permitted', input => 1 }] } },
     qr/Extra inputs are not permitted/],
    [mistral => 400, { object => 'error', message => 'bad roles',
                       type => 'invalid_request_error', code => '3230' },
     qr/bad roles/],
    [vllm => 400, { object => 'error', message => 'too long',
                    type => 'BadRequestError', code => 400 }, qr/too long/],
    [xai => 400, { code => 'invalid-argument', error => 'no such tool' },
     qr/no such tool/],
    [llamacpp => 400, { error => { code => 400, message => 'no grammar',
                                   type => 'invalid_request_error' } },
     qr/no grammar/],
);

for (@errors) {
    my ($vendor, $status, $body, $text) = @$_;

    for my $dialect (qw(openai anthropic)) {
        $replay->play({ status => $status, json => $body });

        my $reply = ask($dialect, $nginx->port, $key,
                        model => $models{$vendor});

        is($reply->{status}, $dialect eq 'openai' ? $status : 400,
           "$vendor, $dialect: the status of an error");
        like($reply->{body}, $text, "$vendor, $dialect: and its words");
        $replay->requests(1);
    }
}

# --- answers: a reason to finish that is empty, usage in the last chunk

my %calls = (%chat, choices => [{ index => 0, finish_reason => '',
    message => { role => 'assistant', content => '', tool_calls => [{
        id => 'c1', type => 'function',
        function => { name => 'a', arguments => '{}' } }] } }]);

$replay->play({ json => \%calls });
my $reply = ask('anthropic', $nginx->port, $key, model => 'grok-4',
                more => { tools => [{ name => 'a', input_schema =>
                                      { type => 'object' } }] });
is(understood('anthropic', $reply)->{finish}, 'tool_calls',
   'xAI: calls without a reason');
ledger($user, ++$rows);
$replay->requests(1);

my $nested = '"choices":[{"index":0,"delta":{"content":"x"},'
    . '"finish_reason":"stop"}]';
my $figures = '"usage":{"prompt_tokens":3,"completion_tokens":1,'
    . '"total_tokens":4}';

for (['mistral-small-latest', "{$nested,$figures}"],
     ['groq:openai/gpt-oss-120b', "{$nested,\"x_groq\":{$figures}}"],
     ['openrouter:z-ai/glm-5', "{$nested,$figures}"])
{
    my ($model, $chunk) = @$_;

    for my $dialect (qw(openai anthropic gemini responses)) {
        $replay->play({ body => ": PROCESSING\n\ndata: $chunk\n\n"
                                . "data: [DONE]\n\n",
                        headers => {
                            'content-type' => 'text/event-stream' } });

        $reply = ask($dialect, $nginx->port, $key, model => $model,
                     stream => 1);
        is_deeply(understood($dialect, $reply, 1),
                  { text => 'x', calls => [], finish => 'stop',
                    usage => [3, 1] },
                  "$model, $dialect: usage beside the last text")
            or diag "$reply->{status} ", substr $reply->{body}, 0, 900;

        my @ledger = ledger($user, ++$rows);
        is("@{ $ledger[-1] }{qw(input output estimated)}", '3 1 f',
           'is what is billed');

        my ($request) = $replay->requests(1);
        is(exists $request->{json}{stream_options} ? 1 : 0,
           $model =~ /^mistral/ ? 0 : 1, 'and was asked for where it can be');
    }
}


# --- money that we owe; the last, for none of them is asked for a while then

for (['deepseek', 402, { error => { message => 'Insufficient Balance',
                                    type => 'unknown_error', code =>
                                    'invalid_request_error' } }],
     ['openrouter', 402, { error => { message => 'Insufficient credits',
                                      code => 402 } }])
{
    my ($vendor, $status, $body) = @$_;

    $replay->play({ status => $status, json => $body });

    my $reply = ask('openai', $nginx->port, $key, model => $models{$vendor});

    is($reply->{status}, 503, "$vendor: that we owe is no client's matter");
    unlike($reply->{body}, qr/Insufficient/, 'nor told');
    $replay->requests(1);
}

$nginx->excuse('refuses us: 402');


is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
