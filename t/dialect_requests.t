# What clients ask for, sent to providers of every dialect: each feature is in
# the request that the provider gets, or named in X-Pulse-Warning, or refused
# with a pointer.  What was seen is a table of docs/dialects.md.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use JSON::PP ();
use Pulse::Answers qw(answer);
use Pulse::Asking qw(asked asking);
use Pulse::Client qw(http);
use Pulse::Dialect qw(group_of question);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Matrix;
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);
my $json = JSON::PP->new->canonical->utf8;


# models that take all there is, so that the dialects alone set limits

my $models = suite_file('models.json', $json->encode({ models => [map { {
    id => "$_-1", provider => $_, kind => 'chat', name => $_,
    context_window => 1_000_000, max_output_tokens => 100_000,
    capabilities => {
        streaming => \1, tools => \1, vision => \1, reasoning => \1,
        sampling => \1, forced_tool_choice => \1, prefill => \1,
        efforts => [qw(none minimal low medium high)],
    },
} } @dialects] }));

my $nginx = gateway_nginx(
    models => $models,
    http => join('', map {
        provider($_, "$url/\@$_", "dialect $_; models $_-*;")
    } @dialects),
)->run;

$replay->answer($_, answer($_, { text => 'yes' })) for @dialects;

my $key = make_key(make_user(plan => 'creator', tokens => 1_000_000_000));

my $matrix = Pulse::Matrix->new('requests', [
    text       => 'text of both sides',
    system     => 'system prompt',
    image_url  => 'image by URL',
    image      => 'image in base64',
    document   => 'PDF document',
    tools      => 'tools',
    choice     => 'tool choice',
    alone      => 'no parallel calls',
    calls      => 'calls of before',
    parallel   => 'parallel calls of before',
    results    => 'results of tools',
    errors     => 'result of a tool that failed',
    format     => 'JSON',
    schema     => 'JSON by a schema',
    stop       => 'stop sequences',
    seed       => 'seed',
    temperature => 'temperature',
    effort     => 'reasoning effort',
    thinking   => 'thinking of before',
    signatures => 'its signatures',
    cache      => 'cache markers',
], providers => \@dialects, partial => !Pulse::Replay::recordings());


# what a warning calls it

my %warned = (
    system => 'role', image_url => 'image|url', choice => 'tool_choice',
    alone => 'parallel', errors => 'is_error', format => 'response_format',
    schema => 'response_format|schema', stop => 'stop', seed => 'seed',
    temperature => 'temperature', effort => 'effort|thinking',
    thinking => 'thinking|reasoning|thought',
    signatures => 'thinking|signature|reasoning|thought|encrypted',
    cache => 'cache', document => 'document', image => 'document',
);


# --- the cases

my $mixed = "\x{645}\x{631}\x{62d}\x{628}\x{64b}\x{627} \x{2067}abc\x{2069}"
            . " e\x{301}o\x{323}\x{302} \x{1f469}\x{1f3fd}\x{200d}\x{1f680}"
            . " \"\\/\t\n\x{2028} \x{200f}\x{5e9}\x{5c1}.";

my $asks = [user => { text => $mixed }];
my $schema = {
    type => 'object', additionalProperties => \0, required => ['city'],
    properties => { city => { type => 'string', description => $mixed } },
};
my $tool = { name => 'weather', description => $mixed,
             parameters => $schema };
my $other = { name => 'clock', description => 'The time.',
              parameters => { type => 'object', properties => {} } };

sub call {
    my ($id, $name, %o) = @_;

    return { call => $name, id => $id, args => { city => $mixed }, %o };
}

sub result { { id => $_[0], name => $_[1], result => $_[2] } }

my @cases = map { { turns => [$asks], %$_ } } (
    {},
    { turns => [$asks, [assistant => { text => "$mixed!" }],
                [user => { text => 'b' }]] },
    { system => $mixed },
    { turns => [[user => { text => $mixed },
                 { image_url => 'https://images.example/a.png' }]] },
    { turns => [[user => { text => $mixed }, { image => 'iVBORw0KGgo=' }]] },
    { turns => [[user => { text => $mixed }, { document => 'JVBERi0=' }]] },
    { tools => [$tool, $other] },
    map({ { tools => [$tool, $other], choice => $_ } }
        qw(auto none any weather)),
    { tools => [$tool], alone => 1 },
    { tools => [$tool], turns => [$asks,
        [assistant => call('c1', 'weather')],
        [results => result('c1', 'weather', $mixed)]] },
    { tools => [$tool, $other], turns => [$asks,
        [assistant => { text => 'x' }, call('c1', 'weather'),
                      call('c2', 'clock')],
        [results => result('c1', 'weather', '{"t":[1]}'),
                    result('c2', 'clock', $mixed)]] },
    { tools => [$tool], turns => [$asks,
        [assistant => call('c1', 'weather')],
        [results => { %{ result('c1', 'weather', $mixed) },
                      error => 1 }]] },
    { format => 'json' },
    { format => $schema },
    { stop => ['END', $mixed] },
    { seed => 42 },
    { temperature => 0.5 },
    map({ { effort => $_ } } qw(low high)),
    { tools => [$tool], turns => [$asks,
        [assistant => { thinking => $mixed, signature => 'c2lnbmVk' },
                      call('c1', 'weather')],
        [results => result('c1', 'weather', $mixed)]] },
    { system => $mixed x 50, cache => 1 },
    { effort => 'xhigh' },
);


# --- what comes of one

sub send_to {
    my ($client, $provider, $body, $name, %o) = @_;

    my ($path) = question($client, model => "$provider-1");

    $body = { %$body, model => "$provider-1" } if $client ne 'gemini';
    delete $body->{model} if $client eq 'gemini';

    $replay->play;

    my $reply = http(POST => $path, port => $nginx->port, bearer => $key,
                     json => $body, limit => 30);
    my ($sent) = $replay->requests(0);
    my $said = asked($client, $body);

    if ($reply->{status} == 400) {
        is($sent, undef, "$name: nobody is asked");
        return refused($client, $provider, $reply, $name, %o);
    }

    is($reply->{status}, 200, "$name: answered")
        or diag substr($reply->{body}, 0, 400), $json->encode($body);

    return if $reply->{status} != 200;

    my $got = asked($provider, $sent->{json});

    for my $feature (grep { $matrix->has($_) } sort keys %$said) {
        my $outcome = outcome($feature, $said, $got, $reply);

        ok($outcome, "$name: $feature")
            or diag "said $said->{$feature}\ngot  ",
                    $got->{$feature} // 'nothing', "\nwarning ",
                    $reply->{headers}{'x-pulse-warning'} // 'none';
        $matrix->seen($client, $provider, $feature, $outcome, %o)
            if $outcome;
    }
}


sub outcome {
    my ($feature, $said, $got, $reply) = @_;

    return 'pass' if ($got->{$feature} // '') eq $said->{$feature};

    my $warning = $reply->{headers}{'x-pulse-warning'} // '';

    return $warned{$feature} && $warning =~ /$warned{$feature}/ ? 'warned'
                                                                : undef;
}


# A refusal says where, in the shape of the client's dialect.

sub refused {
    my ($client, $provider, $reply, $name, %o) = @_;

    like($reply->{json}{error}{message} // '', qr/\(.+\)/, "$name: says why");
    ok(defined $o{feature}, "$name: for its feature") or diag $reply->{body};

    $matrix->seen($client, $provider, $o{feature}, 'refused', %o)
        if defined $o{feature};
}


# --- the recorded ones: what clients of these vendors sent

# Tools and parts that only one vendor has, and what is kept at it.

sub vendors {
    my ($body) = @_;

    my $text = $json->encode($body);

    return $text =~ /"type":"(?:\w+_20\d{6}|(?!function)\w+_call(?!_output)
                     |(?!function|custom)\w+_call_output|server_tool_use
                     |\w+_tool_result|web_search\w*|file_search|mcp|shell
                     |code_interpreter|image_generation|tool_search
                     |local_shell|apply_patch|compaction|item_reference)"/x
        || $text =~ /"(?:googleSearch|codeExecution|urlContext|fileSearch
                     |google_search|code_execution|url_context|mcp_servers
                     |previous_response_id|conversation|background|prompt_id
                     |cachedContent|executableCode|container|toolCall)"/x;
}


# What is put right on the way, and what only its vendor takes: a first turn
# of the model, text as a document, tools that may not be called, films,
# documents to be cited, nothing at all.

my $apart = qr/can_start_with_model_response|text_as_binary_content
               |tools_plus_output|youtube|_citations_|empty_user_prompt
               |instructions_only_with_tool_calls-0/x;

sub recorded {
    my ($file) = @_;

    my $entry = Pulse::Replay::manifest()->{$file};
    my $client = group_of($file);

    return if !$client || $file =~ /^openai-compat/ || !$entry->{request}
              || $entry->{status} != 200 || $file =~ $apart;

    my $body = Pulse::Replay::slurp_json(Pulse::Replay::recordings()
                                         . "/$entry->{request}");

    return if vendors($body);

    delete @$body{qw(stream stream_options)};

    for my $provider (@dialects) {
        send_to($client, $provider, $body, "$file to $provider",
                recorded => 1);
    }
}


# --- ours

for my $case (@cases) {
    my @about = grep { $_ ne 'turns' } sort keys %$case;
    my ($feature) = grep { $matrix->has($_) } @about;

    for my $client (Pulse::Matrix::clients()) {
        my $body = asking($client, $case);

        for my $provider (@dialects) {
            send_to($client, $provider, $body,
                    "$client to $provider, @about", feature => $feature)
                if $body;
        }
    }
}

for my $client (Pulse::Matrix::clients()) {
    for my $feature ($matrix->features) {
        for my $provider (@dialects) {
            $matrix->seen($client, $provider, $feature, 'no word')
                if !Pulse::Asking::word($client, $feature);
        }
    }
}

recorded($_) for sort keys %{ Pulse::Replay::manifest() };

$matrix->check;

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
