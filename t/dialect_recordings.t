# Every recording of every dialect to clients of all of them: text, calls,
# finish reason and usage are those of the recording, and so is the ledger.
# What was seen of each feature is a table of docs/dialects.md.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64);
use Pulse::Answers qw(answer answered);
use Pulse::Dialect qw(ask group_of played told understood wanted);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Matrix;
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai anthropic gemini responses);

my $nginx = gateway_nginx(
    http => join '', map({
        provider($_, "$url/$_", "dialect $_; models $_-*;")
    } @dialects), map({
        provider("vendor_$_", "$url/vendor", "dialect $_; models vendor-$_-*;")
    } qw(openai responses)),
)->run;

my $user = make_user(plan => 'creator', tokens => 4_000_000_000);
my $key = make_key($user);
my %billed;                                     # by trace id
my (%left_out, $played);

my $matrix = Pulse::Matrix->new('answers', [
    text       => 'text',
    calls      => 'tool calls, arguments',
    parallel   => 'parallel calls',
    thinking   => 'thinking',
    signatures => 'signatures of thinking and calls',
    stop       => 'finish reason: stop',
    length     => 'length',
    tool_calls => 'tool calls',
    content_filter => 'content filter',
    usage      => 'usage: input, output',
    cached_input_tokens => 'read from a cache',
    cache_write_tokens  => 'written to a cache',
    reasoning_tokens    => 'reasoning',
    sources    => 'sources of what is said',
    own        => "what the provider's own tools did",
]);


# Why a recording is not played: what no chat client is meant to see, or no
# gateway.  Errors have a suite of their own.

sub left_out {
    my ($expected) = @_;

    return !$expected ? 'nothing expected'
        : $expected->{error} ? 'error'
        : $expected->{images} ? 'picture'
        : $expected->{concatenated} ? 'several answers in one file'
        : !$expected->{usage} ? 'no usage'
        : (grep { $_->{streamed_args} } @{ $expected->{tool_calls} // [] })
            ? 'arguments in pieces, by Vertex only' : undef;
}


# Several passes are billed all, and reasoning that only the total has.

sub billed {
    my ($expected) = @_;

    my $usage = { %{ $expected->{usage} } };
    my $native = $expected->{usage_native};
    my $rest = $usage->{total_tokens} - $usage->{input_tokens};

    $usage->{output_tokens} = $rest if $rest > $usage->{output_tokens};

    return $usage if ref $native ne 'HASH' || !$native->{iterations};

    @$usage{qw(input_tokens cached_input_tokens cache_write_tokens
               output_tokens)} = (0) x 4;

    for my $pass (@{ $native->{iterations} }) {
        my ($read, $written) = map { $pass->{"cache_${_}_input_tokens"} // 0 }
                               qw(read creation);

        $usage->{input_tokens} += $pass->{input_tokens} + $read + $written;
        $usage->{cached_input_tokens} += $read;
        $usage->{cache_write_tokens} += $written;
        $usage->{output_tokens} += $pass->{output_tokens};
    }

    return $usage;
}


# What an answer has of the features.

sub features {
    my ($want) = @_;

    my $calls = @{ $want->{calls} };

    return (
        length $want->{text} ? 'text' : (),
        $calls ? 'calls' : (),
        $calls > 1 ? 'parallel' : (),
        length $want->{thinking} ? 'thinking' : (),
        @{ $want->{signatures} } ? 'signatures' : (),
        $want->{finish} // (), 'usage',
        @{ $want->{sources} // [] } ? 'sources' : (),
        @{ $want->{own} // [] } ? 'own' : (),
        grep { $want->{parts}{$_} } qw(cached_input_tokens cache_write_tokens
                                       reasoning_tokens));
}


# URLs that the answer cites; and the names of what only its own dialect has,
# of which clients of others must be told.

sub cited {
    my ($text) = @_;

    my %urls = map { $_ => 1 } grep { m{^https?://} } (
        $text =~ /"type":\s*"web_search_result_location".{0,4000}?
                  "url":\s*"([^"]+)"/gsx,
        $text =~ /"url_citation":\s*\{[^{}]*?"url":\s*"([^"]+)"/gs,
        $text =~ /"type":\s*"url_citation",[^{}]*?"url":\s*"([^"]+)"/gs,
        $text =~ /"url":\s*"([^"]+)"[^{}]*?"type":\s*"url_citation"/gs,
        $text =~ /"web":\s*\{\s*"uri":\s*"([^"]+)"/gs);

    return [sort keys %urls];
}

sub own {
    my ($text) = @_;

    return [
        $text =~ /"type":\s*"(server_tool_use)",\s*"id"/
            || $text =~ /"id":[^{}]*"type":\s*"(server_tool_use)"/
            ? 'server_tool_use' : (),
        map({ $text =~ /"type":\s*"$_"/ ? $_ : () }
            qw(web_search_tool_result web_fetch_tool_result char_location
               bash_code_execution_tool_result mcp_tool_result page_location
               web_search_call file_search_call code_interpreter_call mcp_call
               file_citation container_file_citation)),
        map({ $text =~ /"$_":\s*[\[{]\s*["{]/ ? $_ : () }
            qw(executableCode codeExecutionResult searchEntryPoint
               urlContextMetadata toolCall)),
    ];
}


# What a recording is to be for any client.

sub recorded {
    my ($file) = @_;

    my $expected = $manifest->{$file}{expected};
    my $usage = billed($expected);
    my $text = Pulse::Replay::recording($file);
    my $own = $file =~ /responses/ ? 'encrypted_content'
              : $file =~ /gemini/ ? 'thoughtSignature' : 'signature';

    # each event of an item of Responses has another: the last one counts

    my $last = $file !~ /responses.*sse$/ ? $text
        : join '', $text =~ /^data: .*"response\.output_item\.done".*/mg;
    my %signatures = map { $_ => 1 } grep { length }
                     $last =~ /"$own":\s*"([^"]*)"/g;

    # those of tools that the provider runs itself go with them

    %signatures = () if $text =~ /executableCode|"toolCall"/
        || grep { $_ eq 'server-tool' } @{ $expected->{features} };

    my $want = wanted({ %$expected, usage => $usage });

    my $finish = $want->{finish};

    $want->{finish} //= @{ $want->{calls} } ? 'tool_calls' : 'stop';

    return {
        %$want, native_finish => $finish, parts => $usage,
        thinking => $expected->{reasoning} // '',
        signatures => [sort keys %signatures],
        sources => cited($text), own => own($text),
        native => $expected->{usage},
    };
}


# What a client's dialect has no word for: an answer cannot warn.

my %no_word = (gemini => { cache_write_tokens => 1 });


# Several summaries are one thought elsewhere, with empty lines between.

sub spaceless { $_[0] =~ s/\s+//gr }


# To clients of the provider's own dialect the bytes go on as they are, with
# what the provider itself calls usage.

sub passes {
    my ($to, $spoken) = @_;

    return $to eq $spoken || $to eq 'studio' && $spoken eq 'openai';
}

sub native {
    my ($want) = @_;

    my $usage = $want->{native};

    return { %$want, parts => $usage, finish => $want->{native_finish},
             usage => [@$usage{qw(input_tokens output_tokens)}] };
}


# A signature of another vendor is wrapped for clients of Gemini, who take
# base64 only.

sub bears {
    my ($body, $signature) = @_;

    return index($body, $signature) >= 0
        || index($body, encode_base64("pulse:$signature", '')) >= 0
        || index($body, encode_base64("pulse!$signature", '')) >= 0;
}


# What was left out is said in a header, of a stream in a comment at its end.

sub named {
    my ($reply, @names) = @_;

    my $said = join ' ', $reply->{headers}{'x-pulse-warning'} // '',
                         $reply->{body} =~ /^: X-Pulse-Warning: (.*)$/mg;
    my %said = map { $_ => 1 } $said =~ /([^ ,]+)/g;

    return !grep { !$said{$_} } @names;
}


# One answer to one client: what it makes of it is what was said.

sub compare {
    my ($name, $to, $from, $reply, $stream, $want, %o) = @_;

    my $got = understood($to, $reply, $stream);
    my $more = told($to, $reply, $stream) // {};

    is_deeply($got, { map { $_ => $want->{$_} }
                      qw(text calls finish usage) }, $name)
        or diag substr $reply->{body}, 0, 600;

    my %ok = (
        thinking   => spaceless($more->{thinking} // '')
                      eq spaceless($want->{thinking}),
        signatures => !grep({ !bears($reply->{body}, $_) }
                            @{ $want->{signatures} }),
        map { $_ => ($more->{$_} // 0) == ($want->{parts}{$_} // 0) }
            qw(cached_input_tokens cache_write_tokens reasoning_tokens),
        sources    => !grep({ index($reply->{body}, $_) < 0 }
                            @{ $want->{sources} // [] }),
        own        => $o{passes} || named($reply, @{ $want->{own} // [] }),
    );

    for my $feature (features($want)) {
        my $has = $ok{$feature} // defined $got;
        my $none = $no_word{$to}{$feature};

        $matrix->seen($to, $from, $feature,
                      $none ? 'no word'
                      : $feature eq 'own' && !$o{passes} ? 'warned' : 'pass',
                      %o);

        if (exists $ok{$feature}) {
            ok($none ? !$has || $to eq $from : $has, "$name: $feature")
                or diag substr $reply->{body}, 0, 600;
        }
    }
}


# A stream of Gemini that came as an array is played as events.

sub answer_of {
    my ($file) = @_;

    return played($file) if $file !~ /\.jsonarray$/;

    my $json = JSON::PP->new->canonical;

    return { framing => 'chunked', body => join('', map {
        'data: ' . $json->encode($_) . "\r\n\r\n"
    } @{ decode_json(Pulse::Replay::recording($file)) }),
        headers => { 'content-type' => 'text/event-stream' } };
}


for my $file (sort grep { group_of($_) } keys %$manifest) {
    my $expected = $manifest->{$file}{expected};

    if (defined(my $why = left_out($expected))) {
        $left_out{$why}++;
        next;
    }

    $played++;

    my $spoken = $expected->{api} eq 'openai.responses' ? 'responses'
                                                        : group_of($file);
    my $vendor = $file =~ /^openai-compat/;
    my $model = $vendor ? "vendor-$spoken-1" : "$spoken-1";
    my $stream = scalar($file !~ /\.json$/);
    my $want = recorded($file);

    $replay->play(answer_of($file));

    for my $to (Pulse::Matrix::clients()) {

        # no tool of theirs takes text, so that they cannot have asked

        next if $file =~ /custom-tool/ && $to =~ /anthropic|gemini/;

        my $reply = ask($to, $nginx->port, $key, stream => $stream,
                        model => $model);

        compare("$file to $to", $to, $vendor ? 'vendor' : $spoken, $reply,
                $stream, passes($to, $spoken) ? native($want) : $want,
                recorded => 1, passes => passes($to, $spoken));
        $billed{ $reply->{headers}{'x-trace-id'} } = ["$file to $to",
                                                      $want->{parts}];
    }
}


# Answers of our own: writing from right to left, letters of several parts,
# pictures of several letters, and escapes; by bytes, so that each is cut
# everywhere; and whatever no recording of a provider has.

my $mixed = "\x{645}\x{631}\x{62d}\x{628}\x{64b}\x{627} \x{2067}abc\x{2069}"
            . " e\x{301}o\x{323}\x{302} \x{1f469}\x{1f3fd}\x{200d}\x{1f680} "
            . "\"\\/\b\t\n\x{2028}\x{fffd}\x{10ffff} \x{200f}\x{5e9}\x{5c1}.";

my @ours = (
    { text => $mixed, thinking => "$mixed?", signature => 'c2lnbmVk',
      usage => { input_tokens => 90, cached_input_tokens => 30,
                 cache_write_tokens => 20, output_tokens => 40,
                 reasoning_tokens => 10 } },
    { text => '', signature => 'c2lnbmVkIHRvbw==', thinking => $mixed,
      calls => [{ name => 'weather', arguments => { city => $mixed } },
                { name => 'weather',
                  arguments => { $mixed => [1, { a => undef }] } }] },
    { text => $mixed, finish => 'length' },
    { text => $mixed, finish => 'content_filter' },
);

my %not_said = (
    openai => ['signatures'], vendor => ['signatures'],
    gemini => ['cache_write_tokens'],
);

for my $from (Pulse::Matrix::providers()) {
    my $spoken = $from eq 'vendor' ? 'openai' : $from;
    my $model = $from eq 'vendor' ? 'vendor-openai-1' : "$from-1";

    for my $to (Pulse::Matrix::clients()) {
        our_answers($to, $from, $spoken, $model);

        $matrix->seen($to, $from, $_, 'no word')
            for 'sources', 'own', @{ $not_said{$from} // [] };
    }
}


sub our_answers {
    my ($to, $from, $spoken, $model) = @_;

    for my $said (@ours) {
        my $a = answered($said);
        my %none = map { $_ => 1 } @{ $not_said{$from} // [] };

        my %want = (
            text => $a->{text}, finish => $a->{finish},
            calls => $a->{calls}, thinking => $a->{thinking} // '',
            signatures => [$none{signatures} ? ()
                                             : $a->{signature} // ()],
            parts => { %{ $a->{usage} },
                       $none{cache_write_tokens}
                           ? (cache_write_tokens => 0) : () },
            usage => [@{ $a->{usage} }{qw(input_tokens output_tokens)}],
        );

        my %by_bytes = @{ $a->{calls} } ? (step => 1) : ();

        for my $how ({}, { ascii => 1 }, { stream => 1, %by_bytes },
                     { stream => 1, ascii => 1 })
        {
            my $name = join ' ', "ours from $from to $to:", sort keys %$how;

            $replay->play(answer($spoken, $said, %$how));

            my $reply = ask($to, $nginx->port, $key, model => $model,
                            stream => $how->{stream}, text => $mixed);

            compare($name, $to, $from, $reply, $how->{stream}, \%want);
            $billed{ $reply->{headers}{'x-trace-id'} } = [$name,
                                                          $want{parts}];
        }
    }
}


# An array has no place for a comment: there it is an element.

$replay->play(played('anthropic/pydantic-anthropic_model_web_search_tool_'
                     . 'stream.sse'));

my $array = ask(gemini => $nginx->port, $key,
                path => '/v1beta/models/anthropic-1:streamGenerateContent');
my @told = map { $_->{pulseWarning} // () } @{ decode_json($array->{body}) };

is_deeply(\@told, ['left out: server_tool_use, web_search_tool_result, '
                   . 'citations.cited_text'],
          'an array names what was left out');


# The ledger has the figures of each, once they are all there.

my %rows;

wait_until {
    %rows = map { my ($trace, @figures) = split /\|/;
                  ($trace => "@figures") } sql(<<"SQL");
        SELECT trace_id, input, cached, output, reasoning, estimated
        FROM usage_events WHERE user_id = '$user'
SQL
    keys %rows >= keys %billed;
} 20;

for my $trace (sort { $billed{$a}[0] cmp $billed{$b}[0] } keys %billed) {
    my ($name, $usage) = @{ $billed{$trace} };

    is($rows{$trace}, join(' ', (map { $usage->{$_} // 0 }
        qw(input_tokens cached_input_tokens output_tokens
           reasoning_tokens)), 'f'), "$name: figures");
}

$matrix->{note} = "$played recordings were played to each client; left out: "
    . join(', ', map { "$left_out{$_} ($_)" } sort keys %left_out) . '.';
$matrix->check;

is($nginx->stop, undef, 'nginx ends');

done_testing();
