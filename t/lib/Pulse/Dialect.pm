package Pulse::Dialect;

# What clients of each dialect ask and what they understand of an answer,
# each in the words of expected.json: text, calls, finish reason, usage.

use v5.30;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Pulse::Client qw(http sse_events);

our @EXPORT_OK = qw(ask group_of played question understood wanted);

my $json = JSON::PP->new->canonical->utf8->allow_nonref;

my %groups = (
    'openai-chat'      => 'openai',
    'openai-compat'    => 'openai',
    'openai-responses' => 'responses',
    anthropic          => 'anthropic',
    gemini             => 'gemini',
);

my %finish = (
    openai    => { stop => 'stop', length => 'length',
                   tool_calls => 'tool_calls',
                   content_filter => 'content_filter' },
    anthropic => { end_turn => 'stop', stop_sequence => 'stop',
                   pause_turn => 'stop', max_tokens => 'length',
                   model_context_window_exceeded => 'length',
                   tool_use => 'tool_calls', refusal => 'content_filter' },
    gemini    => { STOP => 'stop', MAX_TOKENS => 'length',
                   map { $_ => 'content_filter' }
                   qw(SAFETY RECITATION LANGUAGE BLOCKLIST SPII
                      PROHIBITED_CONTENT IMAGE_SAFETY) },
);

my %readers = (
    openai    => [\&openai_stream, \&openai_whole],
    anthropic => [\&anthropic_stream, \&anthropic_whole],
    gemini    => [\&gemini_stream, \&gemini_whole],
    responses => [\&responses_stream, \&responses_whole],
);


# The dialect of a recording.

sub group_of {
    my ($file) = @_;

    return $groups{ $file =~ m{^([^/]+)/} ? $1 : '' };
}


# A recording to be played; of some the content type was not kept.

sub played {
    my ($file, %o) = @_;

    return { file => $file, %o, $file =~ /\.sse$/
             ? (headers => { 'content-type' => 'text/event-stream' }) : () };
}


# question(dialect, stream => 1, text => ..., more => {}, ...): path, body

sub question {
    my ($dialect, %o) = @_;

    my ($text, $max) = ($o{text} // 'hi', $o{max} // 100_000);
    my $model = $o{model} // 'm-1';
    my @stream = $o{stream} ? (stream => \1) : ();
    my ($path, $body);

    if ($dialect eq 'openai') {
        $path = '/v1/chat/completions';
        $body = { model => $model, max_completion_tokens => $max, @stream,
                  $o{stream} ? (stream_options => { include_usage => \1 })
                             : (),
                  messages => [{ role => 'user', content => $text }] };

    } elsif ($dialect eq 'anthropic') {
        $path = '/v1/messages';
        $body = { model => $model, max_tokens => $max, @stream,
                  messages => [{ role => 'user', content => $text }] };

    } elsif ($dialect eq 'responses') {
        $path = '/v1/responses';
        $body = { model => $model, max_output_tokens => $max, @stream,
                  input => $text };

    } else {
        $path = "/v1beta/models/$model:"
                . ($o{stream} ? 'streamGenerateContent?alt=sse'
                              : 'generateContent');
        $body = { contents => [{ role => 'user',
                                 parts => [{ text => $text }] }],
                  generationConfig => { maxOutputTokens => $max } };
    }

    return ($o{path} // $path, { %$body, %{ $o{more} // {} } });
}


# ask(dialect, port, key, of question(), headers => {}, by => \&http2)

sub ask {
    my ($dialect, $port, $key, %o) = @_;

    my ($path, $body) = question($dialect, %o);

    return ($o{by} // \&http)->(POST => $path, port => $port,
                                bearer => $key, json => $body, limit => 30,
                                headers => $o{headers} // {});
}


# What a client makes of a reply; undef if it is not whole.

sub understood {
    my ($dialect, $reply, $stream) = @_;

    return undef if $reply->{status} != 200 || !$reply->{complete};

    my $got = eval { $readers{$dialect}[$stream ? 0 : 1]->($reply) };

    return $got;
}


# The same of a recording.

sub wanted {
    my ($expected) = @_;

    my $usage = $expected->{usage};

    return {
        text   => $expected->{text} // '',
        calls  => [map { { name => $_->{name},
                           arguments => arguments($_->{arguments_raw}) } }
                   @{ $expected->{tool_calls} // [] }],
        finish => $expected->{finish_reason},
        usage  => [map { $usage->{$_} // 0 } qw(input_tokens output_tokens)],
    };
}


sub arguments {
    my ($text) = @_;

    return {} if !defined $text || $text eq '';

    return ref $text ? $text : eval { $json->decode($text) }
                               // eval { $json->decode(encode($text)) }
                               // $text;
}

sub encode {
    my ($text) = @_;

    utf8::encode($text);

    return $text;
}


# --- OpenAI

sub openai_stream {
    my ($reply) = @_;

    my %got = (text => '', calls => [], done => 0);

    for my $event (sse_events($reply->{body})) {
        if ($event->{data} eq '[DONE]') {
            $got{done} = 1;
            next;
        }

        my $chunk = $event->{json};

        die "no chunk\n" if !$chunk || $chunk->{error};

        $got{usage} = openai_usage($chunk->{usage}) if $chunk->{usage};

        my $choice = $chunk->{choices}[0] // next;
        my $delta = $choice->{delta};

        $got{text} .= $delta->{content} // '';
        $got{finish} = $choice->{finish_reason} // $got{finish};

        for my $part (@{ $delta->{tool_calls} // [] }) {
            my $call = $got{calls}[$part->{index}] //= { arguments => '' };

            $call->{name} .= $part->{function}{name} // '';
            $call->{arguments} .= $part->{function}{arguments} // '';
        }
    }

    die "no [DONE]\n" if !delete $got{done};

    $_->{arguments} = arguments($_->{arguments}) for @{ $got{calls} };
    $got{finish} = $finish{openai}{ $got{finish} // '' };

    return \%got;
}


sub openai_whole {
    my ($reply) = @_;

    my $choice = $reply->{json}{choices}[0];

    return {
        text   => $choice->{message}{content} // '',
        calls  => [map { { name => $_->{function}{name},
                           arguments => arguments($_->{function}{arguments}) } }
                   @{ $choice->{message}{tool_calls} // [] }],
        finish => $finish{openai}{ $choice->{finish_reason} },
        usage  => openai_usage($reply->{json}{usage}),
    };
}


sub openai_usage {
    my ($usage) = @_;

    return [@$usage{qw(prompt_tokens completion_tokens)}];
}


# --- Anthropic

sub anthropic_stream {
    my ($reply) = @_;

    my %got = (text => '', calls => []);
    my ($open, $usage, $done, $call);

    for my $event (sse_events($reply->{body})) {
        my $data = $event->{json} // die "no JSON\n";

        die "$event->{event} is $data->{type}\n"
            if ($event->{event} // '') ne $data->{type};

        if ($data->{type} eq 'message_start') {
            $usage = $data->{message}{usage};

        } elsif ($data->{type} eq 'content_block_start') {
            die "a block in a block\n" if defined $open;
            $open = $data->{index};
            $call = undef;

            if ($data->{content_block}{type} eq 'tool_use') {
                $call = { name => $data->{content_block}{name},
                          arguments => '' };
                push @{ $got{calls} }, $call;
            }

            $got{text} .= $data->{content_block}{text} // '';

        } elsif ($data->{type} eq 'content_block_delta') {
            die "a delta of nothing\n" if ($open // -1) != $data->{index};

            $got{text} .= $data->{delta}{text} // '';
            $call->{arguments} .= $data->{delta}{partial_json} // ''
                if $call;

        } elsif ($data->{type} eq 'content_block_stop') {
            die "an end of nothing\n" if ($open // -1) != $data->{index};
            $open = undef;

        } elsif ($data->{type} eq 'message_delta') {
            $got{finish} = $data->{delta}{stop_reason};
            $usage->{$_} = $data->{usage}{$_} // $usage->{$_}
                for keys %{ $data->{usage} };

        } elsif ($data->{type} eq 'message_stop') {
            $done = 1;

        } elsif ($data->{type} ne 'ping') {
            die "an event of type $data->{type}\n";
        }
    }

    die "no end\n" if !$done || defined $open;

    $_->{arguments} = arguments($_->{arguments}) for @{ $got{calls} };
    $got{finish} = $finish{anthropic}{ $got{finish} // '' };
    $got{usage} = anthropic_usage($usage);

    return \%got;
}


sub anthropic_whole {
    my ($reply) = @_;

    my $message = $reply->{json};

    return {
        text   => join('', map { $_->{text} }
                           grep { $_->{type} eq 'text' }
                           @{ $message->{content} }),
        calls  => [map { { name => $_->{name}, arguments => $_->{input} } }
                   grep { $_->{type} eq 'tool_use' }
                   @{ $message->{content} }],
        finish => $finish{anthropic}{ $message->{stop_reason} },
        usage  => anthropic_usage($message->{usage}),
    };
}


sub anthropic_usage {
    my ($usage) = @_;

    my $input = 0;

    $input += $usage->{$_} // 0 for qw(input_tokens cache_read_input_tokens
                                       cache_creation_input_tokens);

    return [$input, $usage->{output_tokens}];
}


# --- Gemini

sub gemini_stream {
    my ($reply) = @_;

    my @chunks = ($reply->{headers}{'content-type'} // '') =~ /json/
        ? @{ $reply->{json} }
        : map { $_->{json} // die "no JSON\n" } sse_events($reply->{body});

    return gemini_chunks(@chunks);
}

sub gemini_whole { gemini_chunks($_[0]{json}) }


sub gemini_chunks {
    my %got = (text => '', calls => []);

    for my $chunk (@_) {
        die "an error\n" if $chunk->{error};

        my $usage = $chunk->{usageMetadata};
        my $candidate = $chunk->{candidates}[0];

        $got{usage} = [($usage->{promptTokenCount} // 0)
                       + ($usage->{toolUsePromptTokenCount} // 0),
                       ($usage->{candidatesTokenCount} // 0)
                       + ($usage->{thoughtsTokenCount} // 0)] if $usage;
        $got{finish} = $candidate->{finishReason} // $got{finish};

        for my $part (@{ $candidate->{content}{parts} // [] }) {
            $got{text} .= $part->{text} // '' if !$part->{thought};
            push @{ $got{calls} }, {
                name => $part->{functionCall}{name},
                arguments => $part->{functionCall}{args} // {},
            } if $part->{functionCall};
        }
    }

    $got{finish} = $finish{gemini}{ $got{finish} // '' };
    $got{finish} = 'tool_calls' if @{ $got{calls} }
                                   && ($got{finish} // '') eq 'stop';

    return \%got;
}


# --- Responses

sub responses_stream {
    my ($reply) = @_;

    my @events = sse_events($reply->{body});
    my ($text, $number) = ('', -1);

    for my $event (@events) {
        my $data = $event->{json} // die "no JSON\n";

        die "an error\n" if $data->{type} =~ /^error$|failed$/;
        die "out of order\n" if $data->{sequence_number} <= $number;

        $number = $data->{sequence_number};
        $text .= $data->{delta} if $data->{type}
                                   eq 'response.output_text.delta';
    }

    my $last = $events[-1]{json};

    die "no end\n" if $last->{type} !~ /^response\.(completed|incomplete)$/;

    my $got = responses_whole({ json => $last->{response} });

    die "two texts\n" if $got->{text} ne $text;

    return $got;
}


sub responses_whole {
    my ($reply) = @_;

    my $response = $reply->{json};
    my @items = @{ $response->{output} };
    my @calls = map { { name => $_->{name},
                        arguments => arguments($_->{arguments}) } }
                grep { $_->{type} eq 'function_call' } @items;
    my $reason = $response->{incomplete_details}{reason} // '';

    return {
        text   => join('', map { $_->{text} }
                           grep { $_->{type} eq 'output_text' }
                           map { @{ $_->{content} } }
                           grep { $_->{type} eq 'message' } @items),
        calls  => \@calls,
        finish => $reason eq 'max_output_tokens' ? 'length'
                  : $reason eq 'content_filter' ? 'content_filter'
                  : @calls ? 'tool_calls' : 'stop',
        usage  => [@{ $response->{usage} }{qw(input_tokens output_tokens)}],
    };
}


1;
