# Models that take tools at one of OpenAI's two endpoints only: the choice is
# made for each request, and the client never hears of it.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Dialect qw(ask understood);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;

my $nginx = gateway_nginx(http => join('',
    provider('openai', "$url/o/v1", 'dialect openai responses; models x-*;')),
)->run;

my $user = make_user(plan => 'creator', tokens => 100_000_000);
my $key = make_key($user);
my $rows = 0;

my $schema = { type => 'object', properties => { a => { type => 'integer' } },
               required => ['a'] };

my %tools = (
    openai => { tools => [{ type => 'function', function => {
        name => 'double', parameters => $schema } }] },
    anthropic => { tools => [{ name => 'double', input_schema => $schema }] },
    gemini => { tools => [{ functionDeclarations => [{
        name => 'double', parametersJsonSchema => $schema }] }] },
    responses => { tools => [{ type => 'function', name => 'double',
                               parameters => $schema }] },
);

my $calls = {
    id => 'resp_1', object => 'response', created_at => 1, model => 'm',
    status => 'completed', error => undef, incomplete_details => undef,
    output => [{ type => 'function_call', id => 'fc_1', status => 'completed',
                 call_id => 'call_1', name => 'double',
                 arguments => '{"a":21}' }],
    usage => { input_tokens => 9, output_tokens => 4, total_tokens => 13,
               input_tokens_details => { cached_tokens => 2 },
               output_tokens_details => { reasoning_tokens => 1 } },
};

my $chats = {
    id => 'c', object => 'chat.completion', created => 1, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 3, completion_tokens => 1,
               total_tokens => 4 },
};

my @stream = (
    { type => 'response.created',
      response => { %$calls, status => 'in_progress', output => [],
                    usage => undef } },
    { type => 'response.output_item.added', output_index => 0,
      item => { %{ $calls->{output}[0] }, arguments => '',
                status => 'in_progress' } },
    map({ { type => 'response.function_call_arguments.delta',
            output_index => 0, item_id => 'fc_1', delta => $_ } }
        '{"a"', ':21}'),
    { type => 'response.function_call_arguments.done', output_index => 0,
      item_id => 'fc_1', arguments => '{"a":21}' },
    { type => 'response.output_item.done', output_index => 0,
      item => $calls->{output}[0] },
    { type => 'response.completed', response => $calls },
);

my $number = 0;
my $json = JSON::PP->new->canonical->utf8;
my $events = join '', map {
    "event: $_->{type}\ndata: "
    . $json->encode({ %$_, sequence_number => $number++ }) . "\n\n"
} @stream;


# Where a request went, and what the client made of what it got.

sub asked {
    my ($dialect, $model, $responses, %o) = @_;

    $replay->play(!$responses ? { json => $chats }
                  : $o{stream} ? { body => $events, headers => {
                        'content-type' => 'text/event-stream' } }
                  : { json => $calls });

    my $reply = ask($dialect, $nginx->port, $key, model => $model, %o);
    my ($request) = $replay->requests(1);

    diag substr $reply->{body} // '', 0, 500 if $reply->{status} != 200;

    return ($request->{path}, understood($dialect, $reply, $o{stream}),
            $request->{json});
}

my $call = { text => '', finish => 'tool_calls', usage => [9, 4],
             calls => [{ name => 'double', arguments => { a => 21 } }] };
my $text = { text => 'x', finish => 'stop', usage => [3, 1], calls => [] };

sub by_responses {
    my ($name, $dialect, $model, %o) = @_;

    my ($path, $got, $sent) = asked($dialect, $model, 1, %o);

    is($path, '/o/v1/responses', "$name: its endpoint");
    is($sent->{tools}[0]{name}, 'double', "$name: the tool in its words");
    is_deeply($got, $call, "$name: the call in the client's");

    my @rows = ledger($user, ++$rows);
    is("@{ $rows[-1] }{qw(input cached output reasoning estimated)}",
       '9 2 4 1 f', "$name: the figures");
}

sub by_chat {
    my ($name, $dialect, $model, %o) = @_;

    my ($path, $got, $sent) = asked($dialect, $model, 0, %o);

    is($path, '/o/v1/chat/completions', "$name: its endpoint");
    ok($sent->{messages}, "$name: messages");
    is_deeply($got, $text, "$name: the answer");

    my @rows = ledger($user, ++$rows);
    is("@{ $rows[-1] }{qw(input output estimated)}", '3 1 f',
       "$name: the figures");
}


# with tools there, without them here, whole and streamed

for my $dialect (sort keys %tools) {
    for my $stream (0, 1) {
        by_responses("$dialect, tools" . ($stream ? ', streamed' : ''),
                     $dialect, 'gpt-6-astra', stream => $stream,
                     more => $tools{$dialect});
    }

    next if $dialect eq 'responses';

    by_chat("$dialect, no tools", $dialect, 'gpt-6-astra');
    by_chat("$dialect, a model that takes them anywhere", $dialect, 'gpt-4o',
            more => $tools{$dialect});
    by_chat("$dialect, one that nobody knows", $dialect, 'x-1',
            more => $tools{$dialect});
}


# where the effort decides

for my $effort ('none', 'low', undef) {
    my @effort = defined $effort ? (reasoning_effort => $effort) : ();
    my %with = (more => { %{ $tools{openai} }, @effort });
    my $name = 'effort ' . ($effort // 'unsaid');

    if (defined $effort && $effort eq 'none') {
        by_chat($name, 'openai', 'gpt-6-luna', %with);

    } else {
        by_responses($name, 'openai', 'gpt-6-luna', %with);
    }

    by_chat("$name, no tools", 'openai', 'gpt-6-luna',
            more => { @effort });
}


# tools that are an empty list are none

by_chat('no tool in the list', 'openai', 'gpt-6-astra',
        more => { tools => [] });


# clients of Responses stay at their own endpoint

my ($path) = asked('responses', 'gpt-6-astra', 1);
is($path, '/o/v1/responses', 'a client of Responses without tools');
ledger($user, ++$rows);

is(reserved($nginx), 0, 'nothing stays reserved');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
