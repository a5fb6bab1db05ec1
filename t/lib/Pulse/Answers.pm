package Pulse::Answers;

# Answers of our own, as providers of each dialect write them: for what no
# recording has.
#
#     $replay->play(answer('anthropic', { text => ..., calls => [...] },
#                          stream => 1, ascii => 1, step => 1));
#
# What is answered: text, thinking, signature, calls: [{name, arguments}],
# finish, and usage of expected.json; all may be left out.  "ascii" escapes
# whatever is not.

use v5.30;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(answer answered);

my $wide = JSON::PP->new->canonical;        # the replay encodes it
my $ascii = JSON::PP->new->canonical->ascii;

my %whole = (
    openai    => \&openai_whole,
    responses => \&responses_whole,
    anthropic => \&anthropic_whole,
    gemini    => \&gemini_whole,
);

my %events = (
    openai    => \&openai_events,
    responses => \&responses_events,
    anthropic => \&anthropic_events,
    gemini    => \&gemini_events,
);

my %finish = (
    openai    => { map { $_ => $_ } qw(stop length tool_calls
                                       content_filter) },
    anthropic => { stop => 'end_turn', length => 'max_tokens',
                   tool_calls => 'tool_use', content_filter => 'refusal' },
    gemini    => { stop => 'STOP', length => 'MAX_TOKENS',
                   tool_calls => 'STOP', content_filter => 'SAFETY' },
);


sub answer {
    my ($dialect, $said, %o) = @_;

    my $a = answered($said);
    my $json = delete $o{ascii} ? $ascii : $wide;

    return { body => $json->encode($whole{$dialect}->($a)), %o }
        if !delete $o{stream};

    my $body = join '', map {
        my ($name, $data) = ref $_ eq 'ARRAY' ? @$_ : (undef, $_);

        (defined $name ? "event: $name\n" : '')
            . 'data: ' . (ref $data ? $json->encode($data) : $data) . "\n\n";
    } $events{$dialect}->($a);

    return { body => $body, framing => 'chunked', %o,
             headers => { 'content-type' => 'text/event-stream' } };
}


# With what was left out.

sub answered {
    my ($said) = @_;

    my %usage = (input_tokens => 50, output_tokens => 20,
                 cached_input_tokens => 0, cache_write_tokens => 0,
                 reasoning_tokens => 0, %{ $said->{usage} // {} });

    return {
        text => '', calls => [],
        finish => @{ $said->{calls} // [] } ? 'tool_calls' : 'stop',
        %$said, usage => \%usage,
    };
}


# In pieces that part a letter from its marks.

sub pieces { map { { piece => $_ } } $_[0] =~ /./gs }

sub halves {
    my ($text) = @_;

    my $middle = int(length($text) / 2);

    return (substr($text, 0, $middle), substr $text, $middle);
}


# --- OpenAI

sub openai_usage {
    my ($usage) = @_;

    return {
        prompt_tokens => $usage->{input_tokens},
        completion_tokens => $usage->{output_tokens},
        total_tokens => $usage->{input_tokens} + $usage->{output_tokens},
        prompt_tokens_details => {
            cached_tokens => $usage->{cached_input_tokens},
            cache_write_tokens => $usage->{cache_write_tokens},
        },
        completion_tokens_details => {
            reasoning_tokens => $usage->{reasoning_tokens},
        },
    };
}


sub openai_calls {
    my ($a) = @_;

    my $n = 0;

    return map {
        { id => 'call_' . $n++, type => 'function',
          function => { name => $_->{name},
                        arguments => decoded($_->{arguments}) } }
    } @{ $a->{calls} };
}


# Arguments are JSON in a string, which is encoded again.

sub decoded { JSON::PP->new->canonical->encode($_[0]) }


sub openai_whole {
    my ($a) = @_;

    my @calls = openai_calls($a);

    return {
        id => 'chatcmpl-1', object => 'chat.completion', created => 1,
        model => 'm', usage => openai_usage($a->{usage}),
        choices => [{
            index => 0, finish_reason => $finish{openai}{ $a->{finish} },
            message => {
                role => 'assistant', content => $a->{text},
                defined $a->{thinking}
                    ? (reasoning_content => $a->{thinking}) : (),
                @calls ? (tool_calls => \@calls) : (),
            },
        }],
    };
}


sub openai_events {
    my ($a) = @_;

    my @deltas = ({ role => 'assistant', content => '' });
    my $index = 0;

    push @deltas, { reasoning_content => $_->{piece} }
        for pieces($a->{thinking} // '');
    push @deltas, { content => $_->{piece} } for pieces($a->{text});

    for my $call (openai_calls($a)) {
        my $text = $call->{function}{arguments};

        $call->{function}{arguments} = '';
        $call->{index} = $index;

        push @deltas, { tool_calls => [$call] }, map {
            { tool_calls => [{ index => $index,
                               function => { arguments => $_ } }] }
        } halves($text);

        $index++;
    }

    my @choices = map { { index => 0, delta => $_, finish_reason => undef } }
                  @deltas;

    push @choices, { index => 0, delta => {},
                     finish_reason => $finish{openai}{ $a->{finish} } };

    my @chunk = (id => 'chatcmpl-1', object => 'chat.completion.chunk',
                 created => 1, model => 'm');

    return ((map { { @chunk, choices => [$_] } } @choices),
            { @chunk, choices => [], usage => openai_usage($a->{usage}) },
            '[DONE]');
}


# --- Anthropic

sub anthropic_usage {
    my ($usage) = @_;

    return {
        input_tokens => $usage->{input_tokens}
                        - $usage->{cached_input_tokens}
                        - $usage->{cache_write_tokens},
        cache_read_input_tokens => $usage->{cached_input_tokens},
        cache_creation_input_tokens => $usage->{cache_write_tokens},
        output_tokens => $usage->{output_tokens},
        output_tokens_details => {
            thinking_tokens => $usage->{reasoning_tokens},
        },
    };
}


sub anthropic_whole {
    my ($a) = @_;

    my $n = 0;

    return {
        id => 'msg_1', type => 'message', role => 'assistant', model => 'm',
        stop_reason => $finish{anthropic}{ $a->{finish} },
        stop_sequence => undef, usage => anthropic_usage($a->{usage}),
        content => [
            defined $a->{thinking} ? { type => 'thinking',
                thinking => $a->{thinking},
                signature => $a->{signature} // '' } : (),
            length $a->{text} ? { type => 'text', text => $a->{text} } : (),
            map { { type => 'tool_use', id => 'toolu_' . $n++,
                    name => $_->{name}, input => $_->{arguments} } }
                @{ $a->{calls} },
        ],
    };
}


sub anthropic_events {
    my ($a) = @_;

    my $message = anthropic_whole($a);
    my $content = delete $message->{content};
    my $index = 0;
    my @events;

    for my $block (@$content) {
        push @events, anthropic_block($block, $index++);
    }

    return map { [$_->{type}, $_] } (
        { type => 'message_start', message => {
            %$message, content => [], stop_reason => undef,
            usage => { %{ $message->{usage} }, output_tokens => 1 } } },
        @events,
        { type => 'message_delta', usage => $message->{usage},
          delta => { stop_reason => $message->{stop_reason},
                     stop_sequence => undef } },
        { type => 'message_stop' });
}


sub anthropic_block {
    my ($block, $index) = @_;

    my @index = (index => $index);
    my (%open, @deltas) = (%$block);

    if ($block->{type} eq 'text') {
        $open{text} = '';
        @deltas = map { { type => 'text_delta', text => $_->{piece} } }
                  pieces($block->{text});

    } elsif ($block->{type} eq 'thinking') {
        @open{qw(thinking signature)} = ('', '');
        @deltas = map { { type => 'thinking_delta',
                          thinking => $_->{piece} } }
                  pieces($block->{thinking});
        push @deltas, { type => 'signature_delta',
                        signature => $block->{signature} };

    } else {
        $open{input} = {};
        @deltas = map { { type => 'input_json_delta', partial_json => $_ } }
                  halves(decoded($block->{input}));
    }

    return ({ type => 'content_block_start', @index,
              content_block => \%open },
            (map { { type => 'content_block_delta', @index,
                     delta => $_ } } @deltas),
            { type => 'content_block_stop', @index });
}


# --- Gemini

sub gemini_usage {
    my ($usage) = @_;

    return {
        promptTokenCount => $usage->{input_tokens},
        cachedContentTokenCount => $usage->{cached_input_tokens},
        candidatesTokenCount => $usage->{output_tokens}
                                - $usage->{reasoning_tokens},
        thoughtsTokenCount => $usage->{reasoning_tokens},
        totalTokenCount => $usage->{input_tokens} + $usage->{output_tokens},
    };
}


sub gemini_parts {
    my ($a) = @_;

    my @signature = defined $a->{signature}
        ? (thoughtSignature => $a->{signature}) : ();

    my @calls = map { { functionCall => { name => $_->{name},
                                          args => $_->{arguments} } } }
                @{ $a->{calls} };

    if (@calls) {
        $calls[0] = { %{ $calls[0] }, @signature };
        @signature = ();
    }

    return (
        defined $a->{thinking} ? { thought => \1, text => $a->{thinking} }
                               : (),
        length $a->{text} ? { text => $a->{text}, @signature } : (),
        @calls);
}


sub gemini_chunk {
    my ($a, %o) = @_;

    return {
        modelVersion => 'm', responseId => 'r-1',
        usageMetadata => gemini_usage($a->{usage}),
        candidates => [{
            index => 0, content => { role => 'model', parts => $o{parts} },
            $o{last} ? (finishReason => $finish{gemini}{ $a->{finish} }) : (),
        }],
    };
}


sub gemini_whole { gemini_chunk($_[0], parts => [gemini_parts($_[0])],
                                last => 1) }


sub gemini_events {
    my ($a) = @_;

    my @parts = map {
        my $part = $_;

        if (defined $part->{text} && !$part->{thoughtSignature}) {
            map { { %$part, text => $_->{piece} } } pieces($part->{text});

        } else {
            $part;
        }
    } gemini_parts($a);

    return ((map { gemini_chunk($a, parts => [$_]) } @parts),
            gemini_chunk($a, parts => [{ text => '' }], last => 1));
}


# --- Responses

sub responses_usage {
    my ($usage) = @_;

    return {
        input_tokens => $usage->{input_tokens},
        output_tokens => $usage->{output_tokens},
        total_tokens => $usage->{input_tokens} + $usage->{output_tokens},
        input_tokens_details => {
            cached_tokens => $usage->{cached_input_tokens},
            cache_write_tokens => $usage->{cache_write_tokens},
        },
        output_tokens_details => {
            reasoning_tokens => $usage->{reasoning_tokens},
        },
    };
}


sub responses_items {
    my ($a) = @_;

    my $n = 0;

    return (
        defined $a->{thinking} ? { type => 'reasoning', id => 'rs_1',
            summary => [{ type => 'summary_text',
                          text => $a->{thinking} }],
            defined $a->{signature}
                ? (encrypted_content => $a->{signature}) : () } : (),
        length $a->{text} ? { type => 'message', id => 'msg_1',
            role => 'assistant', status => 'completed',
            content => [{ type => 'output_text', text => $a->{text},
                          annotations => [] }] } : (),
        map { my $id = $n++;
              { type => 'function_call', id => "fc_$id",
                call_id => "call_$id", name => $_->{name},
                status => 'completed',
                arguments => decoded($_->{arguments}) } }
            @{ $a->{calls} });
}


sub responses_whole {
    my ($a) = @_;

    my %why = (length => 'max_output_tokens',
               content_filter => 'content_filter');
    my $why = $why{ $a->{finish} };

    return {
        id => 'resp_1', object => 'response', created_at => 1, model => 'm',
        status => $why ? 'incomplete' : 'completed', error => undef,
        incomplete_details => $why ? { reason => $why } : undef,
        output => [responses_items($a)],
        usage => responses_usage($a->{usage}),
    };
}


sub responses_events {
    my ($a) = @_;

    my $whole = responses_whole($a);
    my %begun = (%$whole, status => 'in_progress', output => [],
                 usage => undef, incomplete_details => undef);
    my ($index, $number) = (0, 0);

    my @events = map { { type => "response.$_", response => \%begun } }
                 qw(created in_progress);

    push @events, responses_item($_, $index++) for @{ $whole->{output} };
    push @events, { type => "response.$whole->{status}",
                    response => $whole };

    $_->{sequence_number} = $number++ for @events;

    return map { [$_->{type}, $_] } @events;
}


sub responses_item {
    my ($item, $index) = @_;

    my @at = (output_index => $index, item_id => $item->{id});
    my (%open, @events) = (%$item);

    if ($item->{type} eq 'message') {
        my $part = $item->{content}[0];

        $open{content} = [];
        push @at, content_index => 0;
        @events = (
            { type => 'response.content_part.added', @at,
              part => { %$part, text => '' } },
            (map { { type => 'response.output_text.delta', @at,
                     delta => $_->{piece} } } pieces($part->{text})),
            { type => 'response.output_text.done', @at,
              text => $part->{text} },
            { type => 'response.content_part.done', @at, part => $part });

    } elsif ($item->{type} eq 'reasoning') {
        my $part = $item->{summary}[0];

        $open{summary} = [];
        delete $open{encrypted_content};
        push @at, summary_index => 0;
        @events = (
            { type => 'response.reasoning_summary_part.added', @at,
              part => { %$part, text => '' } },
            (map { { type => 'response.reasoning_summary_text.delta', @at,
                     delta => $_->{piece} } } pieces($part->{text})),
            { type => 'response.reasoning_summary_text.done', @at,
              text => $part->{text} },
            { type => 'response.reasoning_summary_part.done', @at,
              part => $part });

    } else {
        $open{arguments} = '';
        @events = (
            (map { { type => 'response.function_call_arguments.delta', @at,
                     delta => $_ } } halves($item->{arguments})),
            { type => 'response.function_call_arguments.done', @at,
              arguments => $item->{arguments} });
    }

    return ({ type => 'response.output_item.added', output_index => $index,
              item => { %open, status => 'in_progress' } },
            @events,
            { type => 'response.output_item.done', output_index => $index,
              item => $item });
}


1;
