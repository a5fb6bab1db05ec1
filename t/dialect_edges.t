# Answers between dialects that do not end as they should, that come byte by
# byte, over HTTP/2, or to nobody; and bodies and paths that no client writes.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http http2 sse_events);
use Pulse::Dialect qw(ask played question understood wanted);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my ($port, $h2) = (free_port(), free_port());
my @dialects = qw(openai anthropic gemini responses);

my %long = (
    anthropic => 'anthropic/llm-anthropic-url_prompt-2.sse',
    gemini    => 'gemini/ruby_llm-chat_with_extended_thinking_gemini_gemini-3-'
                 . 'flash-preview_streams_thinking_content_when_available.sse',
    responses => 'openai-responses/pydantic-openai_responses_compact_stateful_'
                 . 'mode_stream-0.sse',
);

my %short = (
    openai    => 'openai-chat/llm-tool_use_basic-0.sse',
    anthropic => 'anthropic/vercel-anthropic-text.sse',
    gemini    => 'gemini/ruby_llm-chat_gemini_token_accounting_correctly_sums_'
                 . 'candidatestokencount_and_thoughtstokencount_in_streaming'
                 . '.sse',
    responses => 'openai-responses/pydantic-openai_include_raw_annotations_'
                 . 'streaming-1.sse',
);

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    location => 'client_max_body_size 64k; error_page 413 $refused;',
    config => join('', map {
        "location \@refused_$_ { pulse_dialect $_; pulse_error; }\n"
    } @dialects),
    http => join('', map({
        provider($_, "$url/$_", "dialect $_; models $_-*;")
    } @dialects), <<'MAP'),
    map $uri $refused {
        /v1/messages   @refused_anthropic;
        /v1/responses  @refused_responses;
        ~^/v1beta/     @refused_gemini;
        default        @refused_openai;
    }
MAP
)->run;

my $user = make_user(plan => 'creator', tokens => 1_000_000_000);
my $key = make_key($user);
my $rows = 0;


sub row {
    my ($name) = @_;

    my @rows = ledger($user, ++$rows);

    is(scalar @rows, $rows, "$name: a row");

    return $rows[-1];
}


# What a process has used, in ticks of the clock.

sub processor_time {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/stat" or die "$pid: $!\n";

    my (undef, @fields) = split /\) /, scalar <$in>;

    return (split ' ', $fields[-1])[11];
}


# past the grant: the client is told, in its words, what it is billed

for my $to (@dialects) {
    for my $from (grep { $_ ne $to } sort keys %long) {
        my $name = "$from to $to, past the grant";

        $replay->play(played($long{$from}));

        my $reply = ask($to, $port, $key, stream => 1, max => 16,
                        model => "$from-1");
        my $got = understood($to, $reply, 1);
        my $row = row($name);

        is($got && $got->{finish}, 'length', $name)
            or diag substr $reply->{body}, -900;
        cmp_ok(length($got->{text}),
               '<', length $manifest->{ $long{$from} }{expected}{text},
               "$name: not all of it");
        is("@{ $got->{usage} // [] }", "$row->{input} $row->{output}",
           "$name: usage");
    }
}


# a stream that is cut: an error of the client's dialect, and its tokens

my %is_error = (
    openai => sub {
        my ($error) = map { $_->{json}{error} // () } @_;
        return $error && $error->{type} && $error->{message};
    },
    anthropic => sub {
        my $last = $_[-1];
        return $last->{event} eq 'error' && $last->{json}{type} eq 'error'
               && $last->{json}{error}{type} eq 'api_error';
    },
    gemini => sub {
        my $error = $_[-1]{json}{error};
        return $error && $error->{code} =~ /^5\d\d$/ && $error->{status};
    },
    responses => sub {
        my ($before, $last) = map { $_->{json} } @_[-2, -1];
        return $last->{type} =~ /^error$|^response\.failed$/
               && $last->{sequence_number} == $before->{sequence_number} + 1;
    },
);

for my $to (@dialects) {
    for my $from (grep { $_ ne $to } sort keys %long) {
        my $name = "$from to $to, cut";
        my $half = int length(Pulse::Replay::recording($long{$from})) / 2;

        $replay->play(played($long{$from}, cut => $half));

        my $reply = ask($to, $port, $key, stream => 1, model => "$from-1");
        my $row = row($name);

        ok($reply->{complete}, "$name: has an end");
        ok($is_error{$to}->(sse_events($reply->{body})), "$name: an error")
            or diag substr $reply->{body}, -900;
        is(understood($to, $reply, 1), undef, "$name: not taken for whole");
        is($row->{estimated}, 't', "$name: estimated");
        cmp_ok($row->{output}, '>', 0, "$name: what came is billed");
    }
}


# a byte at a time, and over HTTP/2

my %next = (openai => 'anthropic', anthropic => 'gemini',
            gemini => 'responses', responses => 'openai');

for my $from (@dialects) {
    my $to = $next{$from};
    my $wanted = wanted($manifest->{ $short{$from} }{expected});

    $replay->play(played($short{$from}, step => 1));
    my $reply = ask($to, $port, $key, stream => 1, model => "$from-1");
    is_deeply(understood($to, $reply, 1), $wanted, "$from to $to by bytes")
        or diag substr $reply->{body}, 0, 600;
    is(row("$from to $to by bytes")->{estimated}, 'f', 'its figures');

    $replay->play(played($short{$from}));
    $reply = ask($to, $h2, $key, stream => 1, model => "$from-1",
                 by => \&http2);
    is_deeply(understood($to, $reply, 1), $wanted, "$from to $to, HTTP/2")
        or diag substr $reply->{body}, 0, 600;
    is(row("$from to $to, HTTP/2")->{estimated}, 'f', 'its figures');
}


# An answer of very many calls costs no more for each of them than one of few:
# sixteen times as many would cost hundreds of times as much if all that came
# before were gone through with each.

{
    my $call = 'data: {"candidates":[{"content":{"parts":[{"functionCall":'
               . '{"name":"f","args":{}}}],"role":"model"},"index":0}]}'
               . "\r\n\r\n";
    my ($worker) = $nginx->workers;
    my @spent;

    for my $n (1000, 16_000) {
        $replay->play({ body => $call x $n, framing => 'chunked',
                        headers => { 'content-type' => 'text/event-stream' } });

        my $before = processor_time($worker);
        my $reply = ask('responses', $port, $key, stream => 1, max => 100_000,
                        model => 'gemini-1');

        push @spent, processor_time($worker) - $before;

        my @calls = $reply->{body} =~ /^event: response.output_item.done/mg;

        is(scalar @calls, $n, "$n calls come through");
        row("$n calls");
    }

    cmp_ok($spent[1], '<', 80 * ($spent[0] || 1), 'each costs the same');
}


# the client leaves when it has seen something

for my $to (@dialects) {
    my ($from) = grep { $_ ne $to } sort keys %long;
    my $name = "$from to $to, the client leaves";
    my $half = int length(Pulse::Replay::recording($long{$from})) / 2;
    my ($path, $body) = question($to, stream => 1, model => "$from-1");
    my $client = Pulse::Client->connect(port => $port);

    $replay->play(played($long{$from}, cut => $half, hang => 1));
    $client->request(POST => $path, bearer => $key, json => $body);
    ok($client->read_until(qr/^data: .*text|content/m), "$name: it began");
    $client->reset;

    my $row = row($name);

    is($row->{estimated}, 't', "$name: estimated");
    cmp_ok($row->{output}, '>', 0, "$name: what came is billed");
}


# bodies that no client writes

my %refused = (
    openai    => sub { $_[0]{error}{type} eq 'invalid_request_error' },
    responses => sub { $_[0]{error}{type} eq 'invalid_request_error' },
    anthropic => sub {
        $_[0]{type} eq 'error'
        && $_[0]{error}{type} =~ /^(invalid_request_error|request_too_large)$/
    },
    gemini    => sub {
        $_[0]{error}{code} =~ /^(400|413)$/
        && $_[0]{error}{status} eq 'INVALID_ARGUMENT'
    },
);

my @bodies = (
    ['deep', 400, sub { $_[0] =~ s/\}\z/,"z":@{[ '[' x 9000 ]}/r }],
    ['deep and whole', 400,
     sub { $_[0] =~ s/\}\z/,"z":@{[ '[' x 9000 . ']' x 9000 ]}}/r }],
    ['huge', 413, sub { $_[0] . ' ' x 70_000 }],
    ['a NUL', 400, sub { $_[0] =~ s/"hi"/"h\0i"/r }],
    ['a NUL after it', 400, sub { "$_[0]\0" }],
    ['an escaped NUL in a name', 400, sub { $_[0] =~ s/\A\{/{"\\u0000":1,/r }],
    ['cut', 400, sub { substr $_[0], 0, -1 }],
    ['nothing', 400, sub { '' }],
    ['an array', 400, sub { "[$_[0]]" }],
    ['not UTF-8', 400, sub { $_[0] =~ s/"hi"/"\xff"/r }],
);

my %twice = (openai => 'messages', anthropic => 'max_tokens',
             responses => 'model', gemini => 'contents');

my @endpoints = (
    map({
        my $to = $_;
        my ($from) = grep { $_ ne $to } @dialects;

        [$to, question($to, model => "$from-1"), $twice{$to}]
    } @dialects),
    ['openai', '/v1/embeddings', { model => 'openai-1', input => 'hi' },
     'input'],
);

my $spent = sql("SELECT used FROM accounts
                 WHERE user_id = '$user' AND kind = 0");

$replay->play({ json => {} });

for my $endpoint (@endpoints) {
    my ($to, $path, $body, $name_twice) = @$endpoint;
    my $text = JSON::PP->new->canonical->utf8->encode($body);
    my $again = JSON::PP->new->canonical->utf8->allow_nonref
        ->encode($body->{$name_twice});

    for my $case (@bodies, ['a name twice', 400, sub {
        $_[0] =~ s/\A\{/{"$name_twice":$again,/r
    }]) {
        my ($what, $status, $made) = @$case;
        my $name = "$path: $what";

        my $reply = http(POST => $path, port => $port, bearer => $key,
                         body => $made->($text),
                         headers => { 'Content-Type' => 'application/json' });

        is($reply->{status}, $status, $name)
            or diag substr $reply->{body} // '', 0, 400;
        ok(eval { $refused{$to}->($reply->{json}) }, "$name: its shape")
            or diag substr $reply->{body} // '', 0, 400;
    }
}


# other methods and other types than JSON, in every dialect

my %said = (
    openai    => sub { $_[0]{error}{code} },
    responses => sub { $_[0]{error}{code} },
    anthropic => sub { $_[0]{error}{details}{error_code} },
    gemini    => sub { $_[0]{error}{details}[0]{reason} },
);

my ($anthropic, $gemini) = map { $endpoints[$_][2] } 1, 2;

for my $endpoint (@endpoints,
    ['anthropic', '/v1/messages/count_tokens', $anthropic],
    ['gemini', '/v1beta/models/openai-1:countTokens', $gemini])
{
    my ($to, $path, $body) = @$endpoint;

    for my $method (qw(GET HEAD PUT DELETE OPTIONS)) {
        my $client = Pulse::Client->connect(port => $port);

        $client->request($method, $path, bearer => $key);

        my $reply = $client->response;
        my $name = "$method $path";

        is($reply->{status}, 405, $name);
        is($reply->{headers}{allow}, 'POST', "$name: what is allowed");
        is($method eq 'HEAD' ? $reply->{body}
                             : $said{$to}->($reply->{json}),
           $method eq 'HEAD' ? '' : 'METHOD_NOT_ALLOWED', "$name: its shape")
            or diag substr $reply->{body} // '', 0, 400;
    }

    for my $type ('text/plain', 'application/jsonx', 'application/json-seq',
                  'application/x-www-form-urlencoded', 'json', '')
    {
        my $reply = http(POST => $path, port => $port, bearer => $key,
                         json => $body, headers => { 'Content-Type' => $type });

        is($reply->{status}, 415, "$path: '$type'");
        is($said{$to}->($reply->{json}), 'UNSUPPORTED_MEDIA_TYPE',
           "$path: '$type': its shape")
            or diag substr $reply->{body} // '', 0, 400;
    }
}

is(scalar $replay->requests(0), 0, 'nobody is asked for any of that');
is(sql("SELECT used FROM accounts WHERE user_id = '$user' AND kind = 0"),
   $spent, 'and nothing is charged');


# models that are no name: not found, and nobody is asked

$replay->play({ json => {} });

for my $model ('..', '%2e%2e', 'a%2Fb', '..%2Fx', '%0d%0aX: y' =~ s/ /%20/r,
               'a b' =~ s/ /%20/r, '%22%7b', '%ff', '%3f', 'a:b', 'n' x 300,
               '%00', '')
{
    my $name = 'the model "' . (length $model > 20 ? 'n...' : $model) . '"';
    my $reply = ask('gemini', $port, $key, model => $model);

    like($reply->{status}, qr/^40[04]$/, $name)
        or diag substr $reply->{body} // '', 0, 400;
    unlike($reply->{raw}, qr/^X: y/m, "$name: no header of it");
}

ask('gemini', $port, $key, model => 'openai-%2F..%3Fa%26b');
is(join(' ', map { "$_->{path} $_->{json}{model}" } $replay->requests(1)),
   '/openai/chat/completions openai-/..?a&b', 'no path is made of a model');

is(reserved($nginx), 0, 'nothing stays reserved');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
