package Pulse::Dialect;

# What clients of each dialect ask and what they understand of an answer,
# each in the words of expected.json: text, calls, finish reason, usage.

use v5.30;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Pulse::Client qw(http sse_events);

our @EXPORT_OK = qw(ask group_of played question told understood wanted);

my $codec = eval { require JSON::XS; 'JSON::XS' } // 'JSON::PP';
my $json = $codec->new->canonical->utf8->allow_nonref;

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
    studio    => [\&openai_stream, \&studio_whole],
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
    my @usage = $o{stream} ? (stream_options => { include_usage => \1 })
                           : ();
    my ($path, $body);

    if ($dialect eq 'studio') {
        $path = '/v1/chat/complete';
        $body = { model => $model, max_tokens => $max, @stream, @usage,
                  messages => [{ role => 'user', content => $text }] };

    } elsif ($dialect eq 'openai') {
        $path = '/v1/chat/completions';
        $body = { model => $model, max_completion_tokens => $max, @stream,
                  @usage, messages => [{ role => 'user', content => $text }] };

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

    my $got = whole($dialect, $reply, $stream) // return undef;

    return { map { $_ => $got->{$_} } qw(text calls finish usage) };
}


# The rest of it: thinking, and the parts of usage, in the words of
# expected.json.

sub told {
    my ($dialect, $reply, $stream) = @_;

    my $got = whole($dialect, $reply, $stream) // return undef;

    return { thinking => $got->{thinking} // '', %{ $got->{parts} // {} } };
}


sub whole {
    my ($dialect, $reply, $stream) = @_;

    return undef if $reply->{status} != 200 || !$reply->{complete};

    return eval { $readers{$dialect}[$stream ? 0 : 1]->($reply) };
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

        my $usage = $chunk->{usage} // $chunk->{x_groq}{usage};

        @got{qw(usage parts)} = openai_usage($usage) if $usage;

        my $choice = $chunk->{choices}[0] // next;
        my $delta = $choice->{delta};

        $got{text} .= $delta->{content} // '';
        $got{thinking} .= $delta->{reasoning_content}
                          // $delta->{reasoning} // '';
        $got{finish} = $choice->{finish_reason} // $got{finish};

        for my $part (@{ $delta->{tool_calls} // [] }) {
            my $call = $got{calls}[$part->{index}] //= { arguments => '' };

            # Kimi's names come twice

            $call->{name} //= $part->{function}{name}
                              // $part->{custom}{name};
            $call->{arguments} .= $part->{function}{arguments}
                                  // $part->{custom}{input} // '';
        }
    }

    die "no [DONE]\n" if !delete $got{done};

    $_->{arguments} = arguments($_->{arguments}) for @{ $got{calls} };
    $got{finish} = $finish{openai}{ $got{finish} // '' };

    return \%got;
}


sub openai_whole { openai_completion($_[0]{json}) }
sub studio_whole { openai_completion($_[0]{json}{data}) }


sub openai_completion {
    my ($completion) = @_;

    my $choice = $completion->{choices}[0];
    my ($usage, $parts) = openai_usage($completion->{usage});

    return {
        thinking => $choice->{message}{reasoning_content}
                    // $choice->{message}{reasoning},
        parts  => $parts,
        text   => $choice->{message}{content} // '',
        calls  => [map { { name => $_->{function}{name}
                                   // $_->{custom}{name},
                           arguments => arguments($_->{function}{arguments}
                                                  // $_->{custom}{input}) } }
                   @{ $choice->{message}{tool_calls} // [] }],
        finish => $finish{openai}{ $choice->{finish_reason} },
        usage  => $usage,
    };
}


sub openai_usage {
    my ($usage) = @_;

    my ($input, $output) = @$usage{qw(prompt_tokens_details
                                      completion_tokens_details)};

    return ([@$usage{qw(prompt_tokens completion_tokens)}],
            { cached_input_tokens => $input->{cached_tokens} // 0,
              cache_write_tokens => $input->{cache_write_tokens} // 0,
              reasoning_tokens => $output->{reasoning_tokens} // 0 });
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
            $got{thinking} .= $data->{delta}{thinking} // '';
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
    @got{qw(usage parts)} = anthropic_usage($usage);

    return \%got;
}


sub anthropic_whole {
    my ($reply) = @_;

    my $message = $reply->{json};
    my ($usage, $parts) = anthropic_usage($message->{usage});

    return {
        thinking => join('', map { $_->{thinking} // '' }
                             @{ $message->{content} }),
        parts  => $parts,
        text   => join('', map { $_->{text} }
                           grep { $_->{type} eq 'text' }
                           @{ $message->{content} }),
        calls  => [map { { name => $_->{name}, arguments => $_->{input} } }
                   grep { $_->{type} eq 'tool_use' }
                   @{ $message->{content} }],
        finish => $finish{anthropic}{ $message->{stop_reason} },
        usage  => $usage,
    };
}


sub anthropic_usage {
    my ($usage) = @_;

    my $input = 0;

    $input += $usage->{$_} // 0 for qw(input_tokens cache_read_input_tokens
                                       cache_creation_input_tokens);

    return ([$input, $usage->{output_tokens}],
            { cached_input_tokens => $usage->{cache_read_input_tokens} // 0,
              cache_write_tokens => $usage->{cache_creation_input_tokens}
                                    // 0,
              reasoning_tokens => $usage->{output_tokens_details}
                                  {thinking_tokens} // 0 });
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
        $got{parts} = {
            cached_input_tokens => $usage->{cachedContentTokenCount} // 0,
            reasoning_tokens => $usage->{thoughtsTokenCount} // 0,
        } if $usage;
        $got{finish} = $candidate->{finishReason} // $got{finish};

        for my $part (@{ $candidate->{content}{parts} // [] }) {
            $got{ $part->{thought} ? 'thinking' : 'text' }
                .= $part->{text} // '';
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

    # OpenRouter ends as chat completions do

    pop @events if @events && $events[-1]{data} eq '[DONE]';

    for my $event (@events) {
        my $data = $event->{json} // die "no JSON\n";

        die "an error\n" if $data->{type} =~ /^error$|failed$/;

        # which the first streams of it had not

        if (defined $data->{sequence_number}) {
            die "out of order\n" if $data->{sequence_number} <= $number;
            $number = $data->{sequence_number};
        }

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
    my $usage = $response->{usage};
    my @items = @{ $response->{output} };
    my @calls = map { { name => $_->{name},
                        arguments => arguments($_->{arguments}
                                               // $_->{input}) } }
                grep { $_->{type} =~ /^(?:function|custom_tool)_call$/ }
                @items;
    my $reason = $response->{incomplete_details}{reason} // '';

    return {
        thinking => join('', map { $_->{text} }
                             map { @{ $_->{summary} // [] },
                                   @{ $_->{content} // [] } }
                             grep { $_->{type} eq 'reasoning' } @items),
        parts  => {
            cached_input_tokens => $usage->{input_tokens_details}
                                   {cached_tokens} // 0,
            cache_write_tokens => $usage->{input_tokens_details}
                                  {cache_write_tokens} // 0,
            reasoning_tokens => $usage->{output_tokens_details}
                                {reasoning_tokens} // 0,
        },
        text   => join('', map { $_->{text} }
                           grep { $_->{type} eq 'output_text' }
                           map { @{ $_->{content} } }
                           grep { $_->{type} eq 'message' } @items),
        calls  => \@calls,
        finish => $reason eq 'max_output_tokens' ? 'length'
                  : $reason eq 'content_filter' ? 'content_filter'
                  : @calls ? 'tool_calls' : 'stop',
        usage  => [@$usage{qw(input_tokens output_tokens)}],
    };
}


1;
