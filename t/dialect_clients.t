# What the clients of Gemini, Responses and Anthropic see besides answers:
# lists, counts, streams as arrays, what is left out, what is refused.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(ask played understood);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start(answers => { chat => { json => {
    id => 'c', model => 'm', choices => [{ index => 0, finish_reason => 'stop',
        message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 3, completion_tokens => 1,
               total_tokens => 4 } } }, wrong => {
    status => 400, json => { error => { message => 'no such thing',
                                        type => 'invalid_request_error' } }
} });
my $url = $replay->url;

my $nginx = gateway_nginx(http =>
    provider('openai', "$url/\@chat/v1", 'models gpt-*;')
    . provider('wrong', "$url/\@wrong/v1", 'models w-*;')
    . provider('google', "$url/\@g", 'dialect gemini; models gemini-*;')
    . provider('anthropic', "$url/\@a", 'dialect anthropic; models c-*;')
)->run;

my $key = make_key(make_user(plan => 'creator', tokens => 10_000_000));


sub get {
    my ($path, %headers) = @_;

    return http(GET => $path, port => $nginx->port, bearer => $key,
                headers => \%headers)->{json};
}

my $list = get('/v1/models', 'anthropic-version' => '2023-06-01');
is($list->{data}[0]{type}, 'model', 'models as Anthropic lists them');
is($list->{first_id}, $list->{data}[0]{id}, 'the first of them');

$list = get('/v1beta/models');
like($list->{models}[0]{name}, qr{^models/}, 'models as Gemini lists them');

my $reply = http(POST => '/v1beta/models/gpt-4o:countTokens',
    port => $nginx->port, bearer => $key,
    json => { contents => [{ role => 'user', parts => [{ text => 'hi' }] }] });
cmp_ok($reply->{json}{totalTokens}, '>', 0, 'tokens counted for Gemini');

for my $dialect (qw(openai anthropic gemini responses)) {
    $reply = ask($dialect, $nginx->port, $key, model => 'gpt-4o');
    my $got = understood($dialect, $reply, 0);
    is($got && $got->{text}, 'x', "$dialect: an answer of OpenAI");
    is_deeply($got && $got->{usage}, [3, 1], "$dialect: its usage");
}

$reply = ask('anthropic', $nginx->port, $key, model => 'gpt-4o',
             more => { top_k => 5, zzz => 1 });
is($reply->{status}, 200, 'what OpenAI has no word for is left out');
like($reply->{headers}{'x-pulse-warning'}, qr/^left out:.*\btop_k\b/,
     'and named');
like($reply->{headers}{'x-pulse-warning'}, qr/\bzzz\b/, 'all of it');
unlike($reply->{headers}{'x-pulse-warning'}, qr/anthropic-beta/,
       'but nothing that was not said');

my %beta = ('anthropic-beta' => 'interleaved-thinking-2025-05-14');

$reply = ask('anthropic', $nginx->port, $key, model => 'gpt-4o',
             headers => \%beta);
is($reply->{headers}{'x-pulse-warning'}, 'left out: anthropic-beta',
   'betas of another vendor are named, too');

$reply = ask('anthropic', $nginx->port, $key, model => 'w-1');
is($reply->{status}, 400, 'a refusal of the provider');
is($reply->{json}{type}, 'error', 'in the words of the client');
like($reply->{json}{error}{message}, qr/no such thing/, 'with its reason');

$reply = ask('openai', $nginx->port, $key, model => 'c-1', more => { n => 2 });
is($reply->{status}, 400, 'two choices of a dialect that gives one')
    or diag $reply->{body};
like($reply->{json}{error}{message}, qr/one answer at a time/, 'and why');
is(scalar(grep { $_->{path} =~ m{^/\@a} } $replay->requests(1)), 0,
   'nobody is asked');

my $data = '{"candidates":[{"content":{"role":"model","parts":[{"text":'
           . '"y"}]},"finishReason":"STOP"}],"usageMetadata":{'
           . '"promptTokenCount":2,"candidatesTokenCount":1,'
           . '"totalTokenCount":3}}';
$replay->answer(g => { body => "data: $data\r\n\r\n", framing => 'chunked',
                       headers => { 'content-type' => 'text/event-stream' } });

$reply = ask('gemini', $nginx->port, $key, model => 'gemini-x', stream => 1);
is($reply->{body}, "data: $data\r\n\r\n", 'events as they came');

$reply = ask('gemini', $nginx->port, $key, stream => 1,
             path => '/v1beta/models/gemini-x:streamGenerateContent');
is($reply->{body}, "[$data]", 'or an array, which is the default');
like($reply->{headers}{'content-type'}, qr{^application/json}, 'its type');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
