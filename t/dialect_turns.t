# Conversations whose model changes between turns: what one vendor signed
# travels with its client, comes back to that vendor, and no other is sent it.

use lib 't/lib';
use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Env 'stores';
use Pulse::Client 'http';
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Replay;
use Test::More;

my %answers = (
    claude => { content => [
        { type => 'thinking', thinking => 'hm', signature => 'EpADown' },
        { type => 'redacted_thinking', data => 'EqADhidden' },
        { type => 'tool_use', id => 'toolu_1', name => 'f',
          input => { a => 1 } }],
        id => 'msg_1', type => 'message', role => 'assistant', model => 'c',
        stop_reason => 'tool_use',
        usage => { input_tokens => 3, output_tokens => 2 } },
    gemini => { candidates => [{ content => { role => 'model', parts => [
        { text => 'so', thoughtSignature => 'CiwBtext' },
        { functionCall => { name => 'f', args => { b => 2 } },
          thoughtSignature => 'CiwBcall' }] }, finishReason => 'STOP',
        groundingMetadata => { groundingChunks => [{ web => {
            uri => 'https://sea.example', title => 'Sea' } }] } }],
        usageMetadata => { promptTokenCount => 3, candidatesTokenCount => 2,
                           totalTokenCount => 5 } },
);

$answers{chat} = { id => 'c', object => 'chat.completion', created => 7,
    model => 'm', choices => [{ index => 0, finish_reason => 'stop',
        message => { role => 'assistant', content => 'y' } }],
    usage => { prompt_tokens => 3, completion_tokens => 2,
               total_tokens => 5 } };
$answers{responses} = { id => 'resp_1', object => 'response', created_at => 7,
    model => 'm', status => 'completed', output => [{ type => 'message',
        id => 'msg_1', role => 'assistant', status => 'completed',
        content => [{ type => 'output_text', text => 'y',
                      annotations => [] }] }],
    usage => { input_tokens => 3, output_tokens => 2, total_tokens => 5 } };

my $replay = Pulse::Replay->start(answers => {
    map { $_ => { json => $answers{$_} } } keys %answers });
my $url = $replay->url;

my $nginx = gateway_nginx(http =>
    provider('google', "$url/\@gemini", 'dialect gemini; models gemini-*;')
    . provider('anthropic', "$url/\@claude",
               'dialect anthropic; models claude-*;')
    . provider('chat', "$url/\@chat", 'dialect openai; models chat-*;')
    . provider('responses', "$url/\@responses",
               'dialect responses; models items-*;'))->run;

my $key = make_key(make_user(plan => 'creator', tokens => 100_000_000));
my $asked = 0;


# asks a model and gives what it answered, what it was asked, the warning

sub turn {
    my ($path, $body) = @_;

    my $reply = http(POST => $path, port => $nginx->port, bearer => $key,
                     json => $body);

    is($reply->{status}, 200, 'answered') or diag $reply->{body};

    my @requests = $replay->requests(++$asked);

    return ($reply->{json}, $requests[-1],
            $reply->{headers}{'x-pulse-warning'} // '');
}

# --- a client of Anthropic: Gemini, then Claude, then Gemini again

sub messages {
    my ($model, @messages) = @_;

    return turn('/v1/messages', { model => $model, max_tokens => 4096,
        messages => \@messages, context_management => { edits => [] },
        tools => [{ name => 'f', input_schema => { type => 'object' } }] });
}

my @history = ({ role => 'user', content => 'x' });
my ($got, $request, $warning) = messages('gemini-3.8-flash', @history);

push @history, { role => 'assistant', content => $got->{content} };
my ($call) = grep { $_->{type} eq 'tool_use' } @{ $got->{content} };
is_deeply($call->{input}, { b => 2 }, 'a call of Gemini');
is(scalar(grep { $_->{type} eq 'thinking' } @{ $got->{content} }), 2,
   'its signatures beside it');
is($got->{content}[0]{citations}[0]{url}, 'https://sea.example',
   'and the source of its text');

push @history, { role => 'user', content => [{ type => 'tool_result',
    tool_use_id => $call->{id}, content => 'r' }] };

($got, $request, $warning) = messages('claude-opus-5-5', @history);

unlike($request->{body}, qr/pulse\.|CiwB/, 'Claude is not sent them');
is_deeply([map { $_->{type} } @{ $request->{json}{messages}[1]{content} }],
          [qw(text tool_use)], 'but all else');
is_deeply($request->{json}{context_management}, { edits => [] },
          'as the client wrote it');
like($warning, qr/\bcitations, thinking\b/, 'which is said');

push @history, { role => 'assistant', content => $got->{content} },
    { role => 'user', content => [{ type => 'tool_result',
      tool_use_id => 'toolu_1', content => 's' }] };

($got, $request) = messages('gemini-3.8-flash', @history);

my @parts = map { @{ $_->{parts} } } @{ $request->{json}{contents} };
my @calls = grep { $_->{functionCall} } @parts;

is($calls[0]{thoughtSignature}, 'CiwBcall', 'Gemini has its signature again');
is($calls[1]{thoughtSignature}, 'skip_thought_signature_validator',
   'and a call of Claude says that it has none');
is(scalar(grep { ($_->{thoughtSignature} // '') eq 'CiwBtext' } @parts), 1,
   'that of a text');
unlike($request->{body}, qr/EpADown|EqADhidden|pulse\./, 'nothing of Claude');

($got, $request, $warning) = messages('claude-opus-5-5', @history);

my $content = $request->{json}{messages}[3]{content};
is($content->[0]{signature}, 'EpADown', 'Claude has its own');
is($content->[1]{data}, 'EqADhidden', 'of all kinds');

# --- a client of Gemini: Claude, then Gemini, then Claude again

sub contents {
    my ($model, @contents) = @_;

    return turn("/v1beta/models/$model:generateContent",
        { contents => \@contents, safetySettings => [],
          tools => [{ functionDeclarations => [{ name => 'f' }] }] });
}

@history = ({ role => 'user', parts => [{ text => 'x' }] });
($got) = contents('claude-opus-5-5', @history);

push @history, $got->{candidates}[0]{content};
is(scalar(grep { ($_->{thoughtSignature} // '') =~ /^cHVsc2U/ }
          @{ $history[-1]{parts} }), 2, 'signatures of Claude, wrapped');

push @history, { role => 'user', parts => [{ functionResponse => {
    id => 'toolu_1', name => 'f', response => { result => 'r' } } }] };

($got, $request, $warning) = contents('gemini-3.8-flash', @history);

unlike($request->{body}, qr/cHVsc2U/, 'Gemini is not sent them');
is_deeply([map { join ',', sort keys %$_ }
           @{ $request->{json}{contents}[1]{parts} }],
          ['functionCall,thoughtSignature'], 'only the call');
is($request->{json}{contents}[1]{parts}[0]{thoughtSignature},
   'skip_thought_signature_validator', 'which says that it has none');
is_deeply($request->{json}{safetySettings}, [], 'as the client wrote it');
like($warning, qr/\bthinking\b/, 'which is said');

push @history, $got->{candidates}[0]{content},
    { role => 'user', parts => [{ functionResponse => { name => 'f',
      response => { result => 's' } } }] };

($got, $request) = contents('claude-opus-5-5', @history);

$content = $request->{json}{messages}[1]{content};
is($content->[0]{signature}, 'EpADown', 'Claude has its signature again');
is($content->[0]{thinking}, 'hm', 'with its thinking');
is($content->[1]{data}, 'EqADhidden', 'and what it hid');
unlike($request->{body}, qr/CiwB/, 'nothing of Gemini');

# --- clients of OpenAI, of both its endpoints: Claude, then OpenAI

@history = ({ role => 'user', content => 'x' });
($got) = turn('/v1/chat/completions', { model => 'claude-opus-5-5',
    messages => \@history });

push @history, $got->{choices}[0]{message},
    { role => 'tool', tool_call_id => 'toolu_1', content => 'r' };
ok($history[1]{reasoning_details}, 'what Claude signed, in chat');

($got, $request, $warning) = turn('/v1/chat/completions',
    { model => 'chat-1', messages => \@history });

unlike($request->{body}, qr/EpADown|EqADhidden|reasoning_/,
       'OpenAI is not sent it');
is($request->{json}{messages}[1]{tool_calls}[0]{id}, 'toolu_1',
   'but the call');
like($warning, qr/\bthinking\b/, 'which is said');

@history = ({ role => 'user', content => 'x' });
($got) = turn('/v1/responses', { model => 'claude-opus-5-5', store => \0,
    input => \@history });

push @history, @{ $got->{output} }, { type => 'function_call_output',
    call_id => 'toolu_1', output => 'r' };
is(scalar(grep { ($_->{type} // '') eq 'reasoning' }
          @history), 2,
   'the same in Responses');

($got, $request, $warning) = turn('/v1/responses',
    { model => 'items-1', store => \0, input => \@history });

unlike($request->{body}, qr/EpADown|EqADhidden|pulse\./,
       'OpenAI is not sent it');
is_deeply([map { $_->{type} // 'message' } @{ $request->{json}{input} }],
          [qw(message function_call function_call_output)], 'but all else');
like($warning, qr/\bthinking\b/, 'which is said');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
