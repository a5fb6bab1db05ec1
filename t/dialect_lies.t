# Providers that say what cannot be: numbers of parts, calls and answers that
# are past all sense, parts that end before they begin, figures that are none.
# Each ends in an answer or in an error of the client's dialect, whoever the
# client is; nothing grows with a number, and nothing stays reserved.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(ask);
use Pulse::Gateway qw(gateway_nginx provider reserved);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);
my $json = JSON::PP->new->canonical->utf8;

my $nginx = gateway_nginx(workers => 1, http => join '', map {
    provider($_, "$url/$_", "dialect $_; models $_-*;")
} @dialects)->run;

my $port = $nginx->port;
my $key = make_key(make_user(plan => 'creator', tokens => 4_000_000_000));

my $huge = 9_007_199_254_740_991;
my $end = 9_223_372_036_854_775_807;


sub openai {
    my (@choices) = @_;

    return map {
        $json->encode({ id => 'c', object => 'chat.completion.chunk',
                        model => 'm', created => 1, choices => [$_] })
    } @choices;
}


sub call { { delta => { tool_calls => [{ @_ }] } } }


# A source in the second part of a text, from somewhere to somewhere.

sub cited {
    my ($start, $end) = @_;

    my $source = { type => 'url_citation', url => 'https://a.example',
                   title => 'A', start_index => $start, end_index => $end };
    my @texts = map { { type => 'output_text', text => $_,
                        annotations => [] } } 'Hello', 'x';

    $texts[1]{annotations} = [$source];

    my %answer = (id => 'r', object => 'response', status => 'completed',
                  model => 'm', usage => { input_tokens => 1,
                                           output_tokens => 2 },
                  output => [{ type => 'message', id => 'a', content => \@texts,
                               role => 'assistant', status => 'completed' }]);

    return map { $json->encode($_) }
        { type => 'response.output_item.added', output_index => 0,
          item => { %{ $answer{output}[0] }, content => [] } },
        (map { my $n = $_;
               ({ type => 'response.content_part.added', output_index => 0,
                  content_index => $n, part => { type => 'output_text',
                                                 text => '',
                                                 annotations => [] } },
                { type => 'response.output_text.delta', output_index => 0,
                  content_index => $n, delta => $texts[$n]{text} }) } 0, 1),
        { type => 'response.output_text.annotation.added', output_index => 0,
          content_index => 1, annotation_index => 0, annotation => $source },

        # whole, and what a stream ends with

        { %answer, type => 'response.completed', response => \%answer };
}


# What each says, an event a line; [DONE] and the like are left out on purpose.

my %lies = (
    openai => {
        'the number of a call' => [openai(
            call(index => $huge, id => 'a', function => { name => 'f',
                                                          arguments => '{' }),
            call(index => -1, id => 'b', function => { name => 'g' }),
            call(index => 2**31, function => { arguments => '}' }))],
        'the number of an answer' => [openai(
            map { { index => $_, delta => { content => 'x' } } }
                $huge, -1, 2**32, 0)],
        'arguments without a call' => [openai(
            call(index => 0, function => { arguments => '{"a":' }),
            { index => 0, delta => {}, finish_reason => 'tool_calls' })],
        'choices that are none' => [
            '{"choices":{"0":1}}', '{"choices":[[],3,"x",null]}',
            '{"choices":[{"delta":[]}]}', '{"choices":[{"delta":7}]}'],
        'figures that are none' => [openai({ index => 0,
                delta => { content => 'x' }, finish_reason => 'stop' }),
            '{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":'
            . '"many","total_tokens":1e99}}',
            '{"choices":[],"usage":[1,2]}'],
        'two ends' => [openai(
            map { { index => 0, delta => { content => 'x' },
                    finish_reason => $_ } } 'stop', 'length', 'stop')],
    },

    anthropic => {
        'parts that end before they begin' => [
            '{"type":"content_block_stop","index":3}',
            '{"type":"content_block_delta","index":7,"delta":{"type":'
            . '"text_delta","text":"x"}}',
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}'],
        'the number of a part' => [
            map { qq({"type":"content_block_start","index":$_,)
                  . '"content_block":{"type":"text","text":"x"}}' }
                $huge, -1, 2**31],
        'a part twice' => [
            ('{"type":"content_block_start","index":0,"content_block":{'
             . '"type":"tool_use","id":"t","name":"f","input":{}}}') x 2,
            '{"type":"content_block_delta","index":0,"delta":{"type":'
            . '"input_json_delta","partial_json":"{\\"a\\":"}}',
            '{"type":"message_stop"}'],
        'figures that are none' => [
            '{"type":"message_start","message":{"usage":{"input_tokens":-1,'
            . '"output_tokens":"x","cache_read_input_tokens":1e400}}}',
            '{"type":"message_delta","delta":{"stop_reason":5},"usage":[]}'],
        'types that are none' => [
            '{"type":7}', '{"type":["message_start"]}', '{"message":{}}',
            '{"type":"message_start","message":[]}'],
    },

    gemini => {
        'the number of an answer' => [
            map { qq({"candidates":[{"index":$_,"content":{"parts":[)
                  . '{"text":"x"}]}}]}' } $huge, -1, 2**31],
        'parts that are none' => [
            '{"candidates":{"0":{}}}', '{"candidates":[{"content":[]}]}',
            '{"candidates":[{"content":{"parts":{"text":"x"}}}]}',
            '{"candidates":[{"content":{"parts":[1,"x",[],null]}}]}',
            '{"candidates":[{"content":{"parts":[{"functionCall":"f"},'
            . '{"inlineData":{"data":7}}]}}]}'],
        'sources that are none' => [
            '{"candidates":[{"content":{"parts":[{"text":"x"}]},'
            . '"groundingMetadata":{"groundingChunks":[{"web":{"uri":"'
            . 'https://a.example/' . 'a' x 20_000 . '"}}],'
            . '"groundingSupports":[{"segment":{"startIndex":0,"endIndex":1},'
            . '"groundingChunkIndices":[' . join(',', (0) x 30_000) . ',-1,'
            . "$huge]}]}}]}"],
        'figures that are none' => [
            '{"candidates":[{"content":{"parts":[{"text":"x"}]},'
            . '"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":'
            . '-4,"candidatesTokenCount":"x","totalTokenCount":1e77}}'],
    },

    responses => {
        'the number of an item' => [
            map { qq({"type":"response.output_item.added","output_index":$_,)
                  . '"item":{"type":"message","id":"a","role":"assistant",'
                  . '"content":[]}}' } $huge, -1, 2**31],
        'text of no item' => [
            '{"type":"response.output_text.delta","output_index":9,'
            . '"content_index":9,"item_id":"x","delta":"x"}',
            '{"type":"response.output_text.done","output_index":1}',
            '{"type":"response.output_item.done","output_index":4}'],
        'arguments of no call' => [
            '{"type":"response.function_call_arguments.delta",'
            . '"output_index":0,"item_id":"x","delta":"{\\"a\\":"}',
            '{"type":"response.function_call_arguments.done",'
            . '"output_index":0,"item_id":"x","arguments":"{}"}'],
        'places past the end' => [cited($end - 1, $end)],
        'places from behind' => [cited($end, 2)],
        'an end that is none' => [
            '{"type":"response.completed"}',
            '{"type":"response.completed","response":[]}',
            '{"type":"response.completed","response":{"output":{},"usage":'
            . '{"input_tokens":-3,"output_tokens":"x"}}}'],
    },
);


sub resident {
    my ($pid) = $nginx->workers;

    open my $in, '<', "/proc/$pid/status" or return 0;

    return (grep { /^VmRSS:/ } <$in>)[0] =~ /(\d+)/ ? $1 : 0;
}

my ($worker) = $nginx->workers;
my $before = resident();

for my $from (@dialects) {
    for my $lie (sort keys %{ $lies{$from} }) {
        my @events = @{ $lies{$from}{$lie} };

        for my $to (@dialects, 'studio') {
            for my $stream (1, 0) {
                my $name = "$from to $to" . ($stream ? '' : ', whole')
                           . ": $lie";

                $replay->play($stream
                    ? { body => join('', map { "data: $_\n\n" } @events),
                        framing => 'chunked',
                        headers => { 'content-type' => 'text/event-stream' } }
                    : { body => $events[-1], headers => {
                            'content-type' => 'application/json' } });

                my $reply = ask($to, $port, $key, model => "$from-1",
                                stream => $stream);

                like($reply->{status}, qr/^(?:200|502|503)$/, $name)
                    or diag substr $reply->{body} // '', 0, 400;
                ok($reply->{complete}, "$name: a clean end");
            }
        }
    }
}

is(($nginx->workers)[0], $worker, 'the worker lives');
is(reserved($nginx), 0, 'nothing stays reserved');

# a sanitizer keeps what was freed

cmp_ok(resident() - $before, '<',
       $ENV{PULSE_TEST_PRELOAD} ? 1_048_576 : 65_536, 'nor in memory');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
