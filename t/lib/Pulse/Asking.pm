package Pulse::Asking;

# Requests as clients of each dialect write them, and what a request in any
# of them says: one reader for what a client sent and what a provider got.
#
#     my $body = asking('anthropic', { turns => [...], tools => [...] });
#     my $said = asked('gemini', $sent->{json});
#
# A conversation is a hash: system, turns, tools, choice (auto, none, any or
# a name), alone, format ("json" or a schema), stop, seed, effort,
# temperature, cache.  A turn is [role, parts], a part one of {text},
# {image_url}, {image}, {document}, {thinking, signature}, {call, id, args},
# {result, id, name, error}.  asking() has no body where its dialect has no
# word.

use v5.30;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(asked asking);

my $json = JSON::PP->new->canonical->allow_nonref;

my %writers = (
    openai    => \&openai_body,
    studio    => \&studio_body,
    responses => \&responses_body,
    anthropic => \&anthropic_body,
    gemini    => \&gemini_body,
);

my %readers = (
    openai    => \&openai_said,
    studio    => \&openai_said,
    responses => \&responses_said,
    anthropic => \&anthropic_said,
    gemini    => \&gemini_said,
);

# what a dialect has no word for

my %no_word = (
    openai    => [qw(errors)],
    studio    => [qw(errors)],
    responses => [qw(errors stop seed)],
    anthropic => [qw(format seed)],
    gemini    => [qw(alone cache)],
);


sub word {
    my ($dialect, $feature) = @_;

    return !grep { $_ eq $feature } @{ $no_word{$dialect} };
}


sub asking {
    my ($dialect, $c) = @_;

    my %has = (%$c, map { $_->{error} ? (errors => 1) : () }
                    map { my (undef, @parts) = @$_; @parts }
                    @{ $c->{turns} });

    delete $has{format} if ref $has{format};

    return undef if grep { $has{$_} } @{ $no_word{$dialect} };

    return $writers{$dialect}->($c);
}


sub asked {
    my ($dialect, $body) = @_;

    my %said = (text => [], calls => [], results => [], thinking => [],
                signatures => [], image_url => [], image => [],
                document => []);

    # a copy: looking into what is not there makes it

    $readers{$dialect}->($json->decode($json->encode($body)), \%said);

    # texts of one speaker may be parted anywhere

    my @texts;

    for my $turn (grep { length $_->[1] } @{ $said{text} }) {
        my ($role, $text) = @$turn;

        if (@texts && $texts[-1][0] eq $role) {
            $texts[-1][1] .= $text;

        } else {
            push @texts, [$role, $text];
        }
    }

    $said{text} = [map { [$_->[0], $_->[1] =~ s/\s+//gr] } @texts];
    $said{system} =~ s/\s+//g if defined $said{system};
    delete $said{system} if !length($said{system} // '');

    $said{parallel} = @{ $said{calls} } > 1 ? $said{calls} : [];
    $said{errors} = [grep { $_->[2] } @{ $said{results} }];
    $_ = [@$_[0, 1]] for @{ $said{results} };

    return { map { $_ => $json->encode($said{$_}) }
             grep { my $v = $said{$_};
                    defined $v && (!ref $v || ref $v eq 'HASH' || @$v) }
             keys %said };
}


sub function_of {
    my ($tool) = @_;

    return { map { $_ => $tool->{$_} }
             grep { length($tool->{$_} // '') }
             qw(name description parameters) };
}


sub decoded {
    my ($text) = @_;

    return eval { JSON::PP->new->allow_nonref->decode($text) } // $text;
}


sub url_said {
    my ($said, $url, $kind) = @_;

    if ($url =~ m{^data:([^;]+);base64,(.*)}s) {
        push @{ $said->{ $1 eq 'application/pdf' ? 'document' : 'image' } },
             [$1, $2 =~ tr{-_}{+/}r =~ s/=+\z//r];     # of Gemini, either

    } else {
        push @{ $said->{image_url} }, $url;
    }
}


# --- OpenAI chat completions

sub studio_body {
    my ($c) = @_;

    my $body = openai_body($c);

    $body->{max_tokens} = delete $body->{max_completion_tokens};

    return $body;
}


sub openai_body {
    my ($c) = @_;

    my @messages = map { openai_messages(@$_) } @{ $c->{turns} };

    if (defined $c->{system}) {
        my $content = $c->{cache}
            ? [{ type => 'text', text => $c->{system},
                 prompt_cache_breakpoint => { mode => 'explicit' } }]
            : $c->{system};

        unshift @messages, { role => 'system', content => $content };
    }

    return {
        messages => \@messages, max_completion_tokens => 1000,
        $c->{tools} ? (tools => [map { { type => 'function',
                                         function => $_ } }
                                 @{ $c->{tools} }]) : (),
        defined $c->{choice} ? (tool_choice => openai_choice($c, 1)) : (),
        $c->{alone} ? (parallel_tool_calls => \0) : (),
        $c->{format} ? (response_format => ref $c->{format}
            ? { type => 'json_schema', json_schema => {
                name => 'answer', schema => $c->{format} } }
            : { type => 'json_object' }) : (),
        $c->{stop} ? (stop => $c->{stop}) : (),
        defined $c->{seed} ? (seed => $c->{seed}) : (),
        defined $c->{temperature} ? (temperature => $c->{temperature}) : (),
        $c->{effort} ? (reasoning_effort => $c->{effort}) : (),
    };
}


sub openai_choice {
    my ($c, $nested) = @_;

    my $choice = $c->{choice};

    return $choice eq 'any' ? 'required' : $choice
        if $choice =~ /^(?:auto|none|any)$/;

    return $nested ? { type => 'function', function => { name => $choice } }
                   : { type => 'function', name => $choice };
}


sub openai_messages {
    my ($role, @parts) = @_;

    return map { { role => 'tool', tool_call_id => $_->{id},
                   content => $_->{result} } } @parts
        if $role eq 'results';

    my @calls = map { { id => $_->{id}, type => 'function',
        function => { name => $_->{call},
                      arguments => $json->encode($_->{args}) } } }
        grep { $_->{call} } @parts;
    my ($thought) = grep { $_->{thinking} } @parts;

    my @content = map {
        defined $_->{text} ? { type => 'text', text => $_->{text} }
        : $_->{image_url} ? { type => 'image_url',
                              image_url => { url => $_->{image_url} } }
        : $_->{image} ? { type => 'image_url', image_url => {
                          url => "data:image/png;base64,$_->{image}" } }
        : $_->{document} ? { type => 'file', file => {
              filename => 'a.pdf',
              file_data => "data:application/pdf;base64,$_->{document}" } }
        : ()
    } @parts;

    return {
        role => $role, content => @content ? \@content : undef,
        @calls ? (tool_calls => \@calls) : (),
        $thought ? (reasoning_content => $thought->{thinking},
                    reasoning_details => [{ type => 'thinking',
                        thinking => $thought->{thinking},
                        signature => $thought->{signature} }]) : (),
    };
}


sub openai_said {
    my ($body, $said) = @_;

    my %name;

    for my $message (@{ $body->{messages} }) {
        my $role = $message->{role};
        my $content = $message->{content};
        my @parts = ref $content ? @$content
                    : defined $content ? { type => 'text', text => $content }
                    : ();

        $said->{cache} = 1 if grep { $_->{prompt_cache_breakpoint}
                                     || $_->{cache_control} } @parts;

        if ($role eq 'tool') {
            push @{ $said->{results} },
                 [$name{ $message->{tool_call_id} } // '?',
                  join '', map { $_->{text} } @parts];
            next;
        }

        for my $part (@parts) {
            if ($part->{type} eq 'image_url') {
                url_said($said, $part->{image_url}{url});

            } elsif ($part->{type} eq 'file') {
                url_said($said, $part->{file}{file_data} // '');

            } elsif ($role =~ /^(?:system|developer)$/) {
                $said->{system} .= $part->{text};

            } else {
                push @{ $said->{text} }, [$role, $part->{text} // ''];
            }
        }

        for my $call (@{ $message->{tool_calls} // [] }) {
            $name{ $call->{id} } = $call->{function}{name};
            push @{ $said->{calls} },
                 [$call->{function}{name},
                  decoded($call->{function}{arguments})];
        }

        push @{ $said->{thinking} }, $message->{reasoning_content}
            if length($message->{reasoning_content} // '');
        push @{ $said->{signatures} }, map { $_->{signature} // () }
            @{ $message->{reasoning_details} // [] };
    }

    openai_settings($body, $said);
}


sub openai_settings {
    my ($body, $said) = @_;

    my $format = $body->{response_format} // {};
    my $stop = $body->{stop};

    $said->{tools} = [map { function_of($_->{function}) } @{ $body->{tools} }]
        if $body->{tools};
    $said->{choice} = choice_said($body->{tool_choice});
    $said->{alone} = 1 if defined $body->{parallel_tool_calls}
                          && !$body->{parallel_tool_calls};
    $said->{format} = 'json'
        if ($format->{type} // '') eq 'json_object';
    $said->{schema} = $format->{json_schema}{schema};
    $said->{stop} = ref $stop ? $stop : [$stop] if defined $stop;
    $said->{seed} = $body->{seed};
    $said->{temperature} = $body->{temperature};
    $said->{effort} = $body->{reasoning_effort};
}


sub choice_said {
    my ($choice) = @_;

    return undef if !defined $choice;

    $choice = $choice->{name} // $choice->{function}{name} if ref $choice;

    return $choice eq 'required' ? 'any' : $choice;
}


# --- Responses

sub responses_body {
    my ($c) = @_;

    my @items = map { responses_items(@$_) } @{ $c->{turns} };
    my @system;

    if (defined $c->{system} && $c->{cache}) {
        unshift @items, { role => 'developer', content => [{
            type => 'input_text', text => $c->{system},
            prompt_cache_breakpoint => { mode => 'explicit' } }] };

    } elsif (defined $c->{system}) {
        @system = (instructions => $c->{system});
    }

    return {
        input => \@items, max_output_tokens => 1000, @system,
        $c->{tools} ? (tools => [map { { type => 'function', %$_ } }
                                 @{ $c->{tools} }]) : (),
        defined $c->{choice} ? (tool_choice => openai_choice($c)) : (),
        $c->{alone} ? (parallel_tool_calls => \0) : (),
        $c->{format} ? (text => { format => ref $c->{format}
            ? { type => 'json_schema', name => 'answer',
                schema => $c->{format} }
            : { type => 'json_object' } }) : (),
        defined $c->{temperature} ? (temperature => $c->{temperature}) : (),
        $c->{effort} ? (reasoning => { effort => $c->{effort} }) : (),
    };
}


sub responses_items {
    my ($role, @parts) = @_;

    return map { { type => 'function_call_output', call_id => $_->{id},
                   output => $_->{result} } } @parts
        if $role eq 'results';

    my (@items, @content);
    my $text = $role eq 'user' ? 'input_text' : 'output_text';

    for my $part (@parts) {
        if ($part->{thinking}) {
            push @items, { type => 'reasoning', id => 'rs_1',
                summary => [{ type => 'summary_text',
                              text => $part->{thinking} }],
                encrypted_content => $part->{signature} };

        } elsif ($part->{call}) {
            push @items, { type => 'function_call', call_id => $part->{id},
                           name => $part->{call},
                           arguments => $json->encode($part->{args}) };

        } else {
            push @content, defined $part->{text}
                ? { type => $text, text => $part->{text} }
                : $part->{document} ? { type => 'input_file',
                    filename => 'a.pdf', file_data =>
                        "data:application/pdf;base64,$part->{document}" }
                : { type => 'input_image', image_url => $part->{image_url}
                    // "data:image/png;base64,$part->{image}" };
        }
    }

    my @calls = grep { $_->{type} eq 'function_call' } @items;
    my @thoughts = grep { $_->{type} eq 'reasoning' } @items;

    return (@thoughts,
            @content ? { type => 'message', role => $role,
                         content => \@content } : (),
            @calls);
}


sub responses_said {
    my ($body, $said) = @_;

    my (%name, $format);
    my $input = $body->{input};

    $said->{system} = $body->{instructions};

    for my $item (ref $input ? @$input : { role => 'user',
                                           content => $input })
    {
        my $type = $item->{type} // 'message';

        if ($type eq 'function_call') {
            $name{ $item->{call_id} } = $item->{name};
            push @{ $said->{calls} },
                 [$item->{name}, decoded($item->{arguments})];

        } elsif ($type eq 'function_call_output') {
            my $output = $item->{output};

            push @{ $said->{results} },
                 [$name{ $item->{call_id} } // '?', ref $output
                  ? join('', map { $_->{text} // '' } @$output) : $output];

        } elsif ($type eq 'reasoning') {
            push @{ $said->{thinking} }, map { $_->{text} }
                @{ $item->{summary} // [] };
            push @{ $said->{signatures} }, $item->{encrypted_content} // ();

        } elsif ($type eq 'message') {
            responses_message($item, $said);
        }
    }

    $format = $body->{text}{format} // {};

    $said->{tools} = [map { function_of($_) } @{ $body->{tools} }]
        if $body->{tools};
    $said->{choice} = choice_said($body->{tool_choice});
    $said->{alone} = 1 if defined $body->{parallel_tool_calls}
                          && !$body->{parallel_tool_calls};
    $said->{format} = 'json' if ($format->{type} // '') eq 'json_object';
    $said->{schema} = $format->{schema};
    $said->{temperature} = $body->{temperature};
    $said->{effort} = $body->{reasoning}{effort};
}


sub responses_message {
    my ($item, $said) = @_;

    my $content = $item->{content};
    my $role = $item->{role};

    for my $part (ref $content ? @$content : { type => 'input_text',
                                               text => $content })
    {
        $said->{cache} = 1 if $part->{prompt_cache_breakpoint};

        if ($part->{type} eq 'input_image') {
            url_said($said, $part->{image_url} // '');

        } elsif ($part->{type} eq 'input_file') {
            url_said($said, $part->{file_data} // '');

        } elsif ($role =~ /^(?:system|developer)$/) {
            $said->{system} .= $part->{text};

        } else {
            push @{ $said->{text} }, [$role, $part->{text} // ''];
        }
    }
}


# --- Anthropic

sub anthropic_body {
    my ($c) = @_;

    my %choice = $c->{alone} ? (disable_parallel_tool_use => \1) : ();

    if (defined $c->{choice} || %choice) {
        my $choice = $c->{choice} // 'auto';

        %choice = (%choice, $choice =~ /^(?:auto|none|any)$/
                            ? (type => $choice)
                            : (type => 'tool', name => $choice));
    }

    my %config = (
        ref $c->{format} ? (format => { type => 'json_schema',
                                        schema => $c->{format} }) : (),
        $c->{effort} ? (effort => $c->{effort}) : (),
    );

    return {
        max_tokens => 1000,
        messages => [map { anthropic_message(@$_) } @{ $c->{turns} }],
        defined $c->{system} ? (system => [{ type => 'text',
            text => $c->{system}, $c->{cache}
                ? (cache_control => { type => 'ephemeral' }) : () }]) : (),
        $c->{tools} ? (tools => [map {
            my %tool = %$_;
            $tool{input_schema} = delete $tool{parameters};
            \%tool;
        } @{ $c->{tools} }]) : (),
        %choice ? (tool_choice => \%choice) : (),
        %config ? (output_config => \%config) : (),
        $c->{stop} ? (stop_sequences => $c->{stop}) : (),
        defined $c->{temperature} ? (temperature => $c->{temperature}) : (),
    };
}


sub anthropic_message {
    my ($role, @parts) = @_;

    return {
        role => $role eq 'results' ? 'user' : $role,
        content => [map { anthropic_part($_) } @parts],
    };
}


sub anthropic_part {
    my ($part) = @_;

    return defined $part->{text} ? { type => 'text', text => $part->{text} }
        : $part->{thinking} ? { type => 'thinking', %$part }
        : $part->{call} ? { type => 'tool_use', id => $part->{id},
                            name => $part->{call}, input => $part->{args} }
        : defined $part->{result} ? { type => 'tool_result',
              tool_use_id => $part->{id}, content => $part->{result},
              $part->{error} ? (is_error => \1) : () }
        : $part->{image_url} ? { type => 'image', source => {
              type => 'url', url => $part->{image_url} } }
        : $part->{document} ? { type => 'document', source => {
              type => 'base64', media_type => 'application/pdf',
              data => $part->{document} } }
        : { type => 'image', source => { type => 'base64',
              media_type => 'image/png', data => $part->{image} } };
}


sub anthropic_said {
    my ($body, $said) = @_;

    my %name;
    my $system = $body->{system};

    for my $part (ref $system ? @$system
                  : defined $system ? { text => $system } : ())
    {
        $said->{system} .= $part->{text};
        $said->{cache} = 1 if $part->{cache_control};
    }

    $said->{cache} = 1 if $body->{cache_control};

    for my $message (@{ $body->{messages} }) {
        my $content = $message->{content};

        for my $part (ref $content ? @$content : { type => 'text',
                                                   text => $content })
        {
            $said->{cache} = 1 if $part->{cache_control};
            anthropic_part_said($message->{role}, $part, $said, \%name);
        }
    }

    my $choice = $body->{tool_choice} // {};

    $said->{tools} = [map {
        function_of({ %$_, parameters => $_->{input_schema} })
    } @{ $body->{tools} }] if $body->{tools};
    $said->{choice} = $choice->{name} // $choice->{type};
    $said->{alone} = 1 if $choice->{disable_parallel_tool_use};
    $said->{schema} = $body->{output_config}{format}{schema};
    $said->{effort} = $body->{output_config}{effort};
    $said->{stop} = $body->{stop_sequences};
    $said->{temperature} = $body->{temperature};
}


sub anthropic_part_said {
    my ($role, $part, $said, $name) = @_;

    my $type = $part->{type};

    if ($type eq 'text') {
        push @{ $said->{text} }, [$role, $part->{text}];

    } elsif ($type eq 'tool_use') {
        $name->{ $part->{id} } = $part->{name};
        push @{ $said->{calls} }, [$part->{name}, $part->{input}];

    } elsif ($type eq 'tool_result') {
        my $content = $part->{content};

        push @{ $said->{results} },
             [$name->{ $part->{tool_use_id} } // '?',
              ref $content ? join('', map { $_->{text} // '' } @$content)
                           : $content // '', $part->{is_error} ? 1 : ()];

    } elsif ($type eq 'thinking') {
        push @{ $said->{thinking} }, $part->{thinking}
            if length $part->{thinking};
        push @{ $said->{signatures} }, $part->{signature}
            if length($part->{signature} // '');

    } elsif ($type =~ /^(?:image|document)$/) {
        my $source = $part->{source};

        url_said($said, $source->{url}
                 // "data:$source->{media_type};base64,$source->{data}");
    }
}


# --- Gemini

sub gemini_body {
    my ($c) = @_;

    my $choice = $c->{choice};
    my %config = (maxOutputTokens => 1000);

    $config{responseMimeType} = 'application/json' if $c->{format};
    $config{responseJsonSchema} = $c->{format} if ref $c->{format};
    $config{stopSequences} = $c->{stop} if $c->{stop};
    $config{seed} = $c->{seed} if defined $c->{seed};
    $config{temperature} = $c->{temperature} if defined $c->{temperature};
    $config{thinkingConfig} = { thinkingLevel => uc $c->{effort} }
        if $c->{effort};

    return {
        contents => [map { gemini_content(@$_) } @{ $c->{turns} }],
        generationConfig => \%config,
        defined $c->{system} ? (systemInstruction => {
            parts => [{ text => $c->{system} }] }) : (),
        $c->{tools} ? (tools => [{ functionDeclarations => [map {
            my %tool = %$_;
            $tool{parametersJsonSchema} = delete $tool{parameters};
            \%tool;
        } @{ $c->{tools} }] }]) : (),
        defined $choice ? (toolConfig => { functionCallingConfig =>
            $choice =~ /^(?:auto|none|any)$/ ? { mode => uc $choice }
            : { mode => 'ANY', allowedFunctionNames => [$choice] } }) : (),
    };
}


sub gemini_content {
    my ($role, @parts) = @_;

    return {
        role => $role eq 'assistant' ? 'model' : 'user',
        parts => [map { gemini_part($_) } @parts],
    };
}


sub gemini_part {
    my ($part) = @_;

    return defined $part->{text} ? { text => $part->{text} }
        : $part->{thinking} ? { thought => \1, text => $part->{thinking},
                                thoughtSignature => $part->{signature} }
        : $part->{call} ? { functionCall => { name => $part->{call},
                                              args => $part->{args} } }
        : defined $part->{result} ? { functionResponse => {
              name => $part->{name}, response => {
                  $part->{error} ? 'error' : 'result', $part->{result} } } }
        : $part->{image_url} ? { fileData => {
              fileUri => $part->{image_url}, mimeType => 'image/png' } }
        : { inlineData => $part->{document}
            ? { mimeType => 'application/pdf', data => $part->{document} }
            : { mimeType => 'image/png', data => $part->{image} } };
}


sub gemini_said {
    my ($body, $said) = @_;

    my $config = $body->{generationConfig} // {};
    my $calling = $body->{toolConfig}{functionCallingConfig} // {};
    my $system = $body->{systemInstruction} // $body->{system_instruction};

    $said->{system} .= $_->{text} for @{ $system->{parts} // [] };

    for my $content (@{ $body->{contents} }) {
        my $role = ($content->{role} // 'user') eq 'model' ? 'assistant'
                                                           : 'user';

        gemini_part_said($role, $_, $said) for @{ $content->{parts} };
    }

    my @functions = map { @{ $_->{functionDeclarations} // [] } }
                    @{ $body->{tools} // [] };

    $said->{tools} = [map {
        function_of({ %$_, parameters => $_->{parametersJsonSchema}
                      // $_->{parameters_json_schema}
                      // lower($_->{parameters}) })
    } @functions] if @functions;
    my $names = $calling->{allowedFunctionNames} // [];

    $said->{choice} = @$names == 1 ? $names->[0] : lc $calling->{mode}
        if $calling->{mode};
    $said->{schema} = $config->{responseJsonSchema}
                      // $config->{responseSchema};
    $said->{format} = 'json' if $config->{responseMimeType}
        && $config->{responseMimeType} eq 'application/json'
        && !$said->{schema};
    $said->{stop} = $config->{stopSequences};
    $said->{seed} = $config->{seed};
    $said->{temperature} = $config->{temperature};
    $said->{effort} = lc $config->{thinkingConfig}{thinkingLevel}
        if $config->{thinkingConfig}{thinkingLevel};
}


# Its own schemas say types in capitals.

sub lower {
    my ($schema) = @_;

    return [map { lower($_) } @$schema] if ref $schema eq 'ARRAY';
    return $schema if ref $schema ne 'HASH';

    return { map {
        my $value = $schema->{$_};

        ($_ => $_ eq 'type' && !ref $value ? lc $value : lower($value));
    } keys %$schema };
}


sub gemini_part_said {
    my ($role, $part, $said) = @_;

    # Google's own word for a call that came without

    push @{ $said->{signatures} }, $part->{thoughtSignature}
        if ($part->{thoughtSignature} // '') !~ /^(?:skip_thought.*)?$/;

    if (defined $part->{text}) {
        if ($part->{thought}) {
            push @{ $said->{thinking} }, $part->{text};

        } else {
            push @{ $said->{text} }, [$role, $part->{text}];
        }

    } elsif (my $call = $part->{functionCall}) {
        push @{ $said->{calls} }, [$call->{name}, $call->{args} // {}];

    } elsif (my $result = $part->{functionResponse}) {
        my ($key, @more) = keys %{ $result->{response} };
        my $value = @more || ($key // '') !~ /^(?:result|output|error)$/
                    ? $result->{response} : $result->{response}{$key};

        push @{ $said->{results} },
             [$result->{name}, ref $value ? $json->encode($value) : $value,
              ($key // '') eq 'error' ? 1 : ()];

    } elsif (my $data = $part->{inlineData} // $part->{inline_data}) {
        url_said($said, 'data:' . ($data->{mimeType} // $data->{mime_type})
                        . ";base64,$data->{data}");

    } elsif (my $file = $part->{fileData}) {
        url_said($said, $file->{fileUri});
    }
}


1;
