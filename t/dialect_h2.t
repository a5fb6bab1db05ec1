# Clients of every dialect over HTTP/2: streams beside one another, windows
# that are small, errors within a stream, and clients that reset one or leave.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(sse_events);
use Pulse::Dialect qw(ask played question understood wanted);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Http2;
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
    openai    => 'openai-chat/llm-tool_use_basic-0.sse',
    anthropic => 'anthropic/llm-anthropic-url_prompt-2.sse',
    gemini    => 'gemini/ruby_llm-chat_with_extended_thinking_gemini_gemini-3-'
                 . 'flash-preview_streams_thinking_content_when_available.sse',
    responses => 'openai-responses/pydantic-openai_responses_compact_stateful_'
                 . 'mode_stream-0.sse',
);

my %next = (openai => 'anthropic', anthropic => 'gemini',
            gemini => 'responses', responses => 'openai');

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port; listen $h2 http2;",
    http => join('', map {
        provider($_, "$url/$_", "dialect $_; models $_-*;")
    } @dialects),
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

sub post {
    my ($client, $to, $from) = @_;

    return $client->post(question($to, stream => 1, model => "$from-1"),
                         $key);
}

sub reply {
    my ($state) = @_;

    return { status => $state->{status} // 0, body => $state->{body},
             complete => $state->{ended}, headers => {} };
}


# a stream that began: as much as has output in it, whoever reads

my $began = qr/"delta"|content_block_delta|"text"|output_text|arguments/;

sub begun {
    my ($client, $stream) = @_;

    return $client->wait_for($stream, sub { $_[0]{body} =~ $began });
}


# each dialect from its own provider and from another one: what HTTP/1.1
# gives, and to the token

for my $to (@dialects) {
    for my $from ($to, $next{$to}) {
        my $name = "$from to $to";
        my $file = $long{$from};

        $replay->play(played($file));

        my $client = Pulse::Http2->connect(port => $h2);
        my $state = $client->whole(post($client, $to, $from));

        is_deeply(understood($to, reply($state), 1),
                  wanted($manifest->{$file}{expected}), $name)
            or diag substr $state->{body}, 0, 600;
        is($state->{body}, Pulse::Replay::recording($file), "$name: bytes")
            if $to eq $from;
        is(row($name)->{estimated}, 'f', "$name: the provider's figures");
        $client->leave;
    }
}


# two at a time, the windows small: each gets its own, and nothing is lost

for my $to (@dialects) {
    my $from = $next{$to};
    my $name = "$to, two in a small window";
    my $wanted = wanted($manifest->{ $long{$from} }{expected});
    my $client = Pulse::Http2->connect(port => $h2, window => 64);

    $replay->play(played($long{$from}, chunk => 100));

    my @streams = map { post($client, $to, $from) } 1 .. 2;

    for my $stream (@streams) {
        ok($client->wait_for($stream, sub { length $_[0]{body} >= 64 }),
           "$name: it begins");
    }

    for my $stream (reverse @streams) {
        is(length $client->{streams}{$stream}{body}, 64,
           "$name: no more than was granted");
        $client->grant($stream, 1_000_000);

        my $state = $client->whole($stream);

        is_deeply(understood($to, reply($state), 1), $wanted, $name)
            or diag substr $state->{body}, 0, 600;
    }

    $rows++;
    is(row($name)->{estimated}, 'f', "$name: the provider's figures");
    $client->leave;
}


# the provider leaves within the stream: an error in the client's words, and
# an end of the stream, not of the connection

my %is_error = (
    openai    => sub { $_[-1]{json}{error}{type} },
    anthropic => sub { $_[-1]{event} eq 'error' },
    gemini    => sub { $_[-1]{json}{error}{code} =~ /^5/ },
    responses => sub { $_[-1]{json}{type} =~ /^error$|^response\.failed$/ },
);

for my $to (@dialects) {
    for my $from ($to, $next{$to}) {
        my $name = "$from to $to, cut";
        my $half = int length(Pulse::Replay::recording($long{$from})) / 2;
        my $client = Pulse::Http2->connect(port => $h2);

        $replay->play(played($long{$from}, cut => $half),
                      played($long{$from}));

        my $state = $client->whole(post($client, $to, $from));

        is($state->{status}, 200, "$name: it had begun");
        ok($state->{ended} && !defined $state->{reset}, "$name: ends well");
        ok($is_error{$to}->(sse_events($state->{body})), "$name: an error")
            or diag substr $state->{body}, -600;
        is(understood($to, reply($state), 1), undef,
           "$name: not taken for whole");
        is(row($name)->{estimated}, 't', "$name: estimated");

        $state = $client->whole(post($client, $to, $from));
        ok(understood($to, reply($state), 1),
           "$name: the connection goes on");
        row($name);
        $client->leave;
    }
}


# the client resets one stream of two, or leaves altogether

for my $to (@dialects) {
    for my $from ($to, $next{$to}) {
        my $name = "$from to $to";
        my $file = $long{$from};
        my $half = int length(Pulse::Replay::recording($file)) / 2;
        my $client = Pulse::Http2->connect(port => $h2);

        $replay->play(played($file, cut => $half, hang => 1), played($file));

        my $stream = post($client, $to, $from);

        ok(begun($client, $stream), "$name, reset: it began");

        my $other = post($client, $to, $from);

        $client->reset($stream);

        my $state = $client->whole($other);

        ok(understood($to, reply($state), 1),
           "$name, reset: the other is whole");
        ok(!$client->{gone}, "$name, reset: the connection stays");

        $rows++;
        row("$name, reset");

        my @estimated = grep { $_->{estimated} eq 't' }
                        (ledger($user, $rows))[-2, -1];

        is(scalar @estimated, 1, "$name, reset: one of them is estimated");
        cmp_ok($estimated[0]{amount}, '>', 0, "$name, reset: and billed");
        ok(wait_until {
            grep { $_->{event} eq 'aborted' } $replay->events
        }, "$name, reset: the provider is left");

        $replay->play(played($file, cut => $half, hang => 1));
        ok(begun($client, post($client, $to, $from)),
           "$name, leaving: it began");
        $client->leave;

        is(row("$name, leaving")->{estimated}, 't',
           "$name, leaving: estimated");
    }
}

is(reserved($nginx), 0, 'nothing stays reserved');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
