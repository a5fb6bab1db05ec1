# The same dialect on both sides: what the provider reads and what the client
# reads are the bytes that the other wrote, for every recording of every
# dialect.  All that may differ is in %edits below, member by member.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(group_of question);
use Pulse::Gateway qw(gateway_nginx provider reserved);
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $json = JSON::PP->new->canonical->utf8;
my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my $grant = 4096;
my @dialects = qw(openai responses anthropic gemini);

my $nginx = gateway_nginx(
    location => "client_max_body_size 8m; pulse_default_max_tokens $grant;",
    http => join('', map {
        provider($_, "$url/$_", "dialect $_; models *;")
    } @dialects),
)->run;

my $user = make_user(plan => 'creator', tokens => 2_000_000_000);
my $key = make_key($user);


# --- a document of JSON as text

my $string = qr/"(?:[^"\\]++|\\.)*+"/s;
my $value = qr/(?<value>$string|[^\s,\[\]{}"]++
                |[\[{](?:\s*+(?:$string\s*+:)?+\s*+(?&value)\s*+,?+)*+\s*+[\]}]
               )/sx;


# The top-level members: [name, start of it, start and end of the value].

sub members {
    my ($text) = @_;

    my @members;

    $text =~ /\A\s*\{/g or die "no object\n";

    while ($text =~ /\G\s*,?\s*($string)\s*:\s*/gc) {
        my ($name, $key, $start) = ($1, $-[1], pos $text);

        $text =~ /\G$value/gc or die "no value of $name\n";
        push @members, [$name =~ s/"//gr, $key, $start, pos $text];
    }

    return @members;
}

sub member {
    my ($text, $name) = @_;

    return (grep { $_->[0] eq $name } members($text))[0];
}

sub replace {
    my ($text, $name, $with) = @_;

    my $member = member($text, $name) // return undef;

    substr $text, $member->[2], $member->[3] - $member->[2], $with;

    return $text;
}

sub first {
    my ($text, $member) = @_;

    my $comma = members($text) ? ',' : '';

    return $text =~ s/\{/{$member$comma/r;
}

sub last_one {
    my ($text, $member) = @_;

    my $end = (members($text))[-1][3];

    substr $text, $end, 0, ",$member";

    return $text;
}


# --- what we may change in a request, and nothing else

my %edits = (

    # the name of the limit, or one where there was none; the request for
    # figures in a stream

    openai => sub {
        my ($text) = @_;

        my $old = member($text, 'max_tokens');
        my $limit = qq("max_completion_tokens":);

        if (member($text, 'max_completion_tokens')) {
            # stays

        } elsif ($old) {
            my $length = $old->[3] - $old->[1];
            my $n = substr $text, $old->[2], $old->[3] - $old->[2];

            substr $text, $old->[1], $length, "$limit$n";

        } else {
            $text = last_one($text, "$limit$grant");
        }

        my $stream = $text =~ /"stream"\s*:\s*true/;

        if ($stream && !member($text, 'stream_options')) {
            $text = last_one($text,
                             '"stream_options":{"include_usage":true}');
        }

        return $text;
    },

    # a limit where there was none; nothing is kept at the provider

    responses => sub {
        my ($text) = @_;

        my $stored = replace($text, store => 'false');

        $text = $stored // first($text, '"store":false');

        return member($text, 'max_output_tokens')
            ? $text : first($text, qq("max_output_tokens":$grant));
    },

    # nothing: its limit must be there, and is high enough

    anthropic => sub { $_[0] },

    # a limit where there was none

    gemini => sub {
        my ($text) = @_;

        my $limit = qq("maxOutputTokens":$grant);
        my $config = member($text, 'generationConfig')
            // return first($text, qq("generationConfig":{$limit}));
        my $length = $config->[3] - $config->[2];
        my $inner = substr $text, $config->[2], $length;

        if (!member($inner, 'maxOutputTokens')) {
            substr $text, $config->[2], $length, first($inner, $limit);
        }

        return $text;
    },
);


# ... and in an answer: figures of a stream that the client did not ask for,
# of OpenAI's chat completions only

sub without_usage {
    my ($body) = @_;

    my $kept = '';

    for my $event (split /(?<=\n\n)/, $body) {
        my ($data) = $event =~ /\Adata: (\{.*\})\n\n\z/;
        my $usage = defined $data ? member($data, 'usage') : undef;

        if (!defined $usage) {
            $kept .= $event;
            next;
        }

        next if $data =~ /"choices":\[\]/ && $data =~ /"usage":\{/;

        # with the comma before it, or the one after the first of all

        my ($start, $end) = @$usage[1, 3];

        if (substr($data, $start - 1, 1) eq ',') {
            $start--;

        } elsif (substr($data, $end, 1) eq ',') {
            $end++;
        }

        substr $data, $start, $end - $start, '';
        $kept .= "data: $data\n\n";
    }

    return $kept;
}


# Path and body of what the recording answers to, or of something alike.

sub request {
    my ($dialect, $file) = @_;

    my $entry = $manifest->{$file};
    my $stream = $file =~ /\.sse$/;
    my ($path, $made) = question($dialect, stream => $stream,
                                 model => 'm-1', max => 1000);
    my $text = $entry->{request} ? Pulse::Replay::recording($entry->{request})
                                 : $json->encode($made);

    return ($path, $text);
}


sub check {
    my ($dialect, $file, $how, %options) = @_;

    my $entry = $manifest->{$file};
    my $name = $how ? "$file, $how" : $file;
    my $stream = $file =~ /\.sse$/;
    my $recorded = Pulse::Replay::recording($file);
    my ($path, $wanted) = request($dialect, $file);
    my $sent = $wanted;

    # the provider is named in the model, which is the edit of all dialects

    if ($dialect eq 'gemini') {
        $path =~ s{/models/}{/models/gemini:};

    } else {
        my $model = member($wanted, 'model');

        $sent = replace($wanted, model => '"' . "$dialect:"
            . substr $wanted, $model->[2] + 1,
                     $model->[3] - $model->[2] - 1);
    }

    $replay->play({ file => $file, %options,
                    $stream ? (headers => { 'content-type' =>
                                            'text/event-stream' }) : () });

    my $reply = http(POST => $path, port => $nginx->port, bearer => $key,
                     body => $sent, limit => 30,
                     headers => { 'Content-Type' => 'application/json' });
    my ($request) = $replay->requests(1);

    is($reply->{status}, $entry->{status}, "$name: status")
        or diag substr $reply->{body}, 0, 500;
    is($request->{body}, $edits{$dialect}->($wanted), "$name: the request");

    $recorded = without_usage($recorded)
        if $dialect eq 'openai' && $stream
           && $sent !~ /"include_usage"\s*:\s*true/;

    is($reply->{body}, $recorded, "$name: the answer");
    ok($reply->{complete}, "$name: whole");
}


# Recordings of which nothing passes, as no client of ours is to see it: our
# key is refused, money is missing, all is busy.  Of others the collection has
# something that no provider sent: two answers in one, braces that are gone,
# arrays where we ask for events.  The rest needs a provider with a memory.

my $ours = qr/API_KEY_INVALID|Incorrect API key|insufficient_quota/;
my $broken = 'openai-responses/vercel-parallel-tool-call-wrapper.1.sse';
my $memory = qr/"(?:previous_response_id|conversation)"\s*:\s*"
                |"background"\s*:\s*true/x;

my (%recordings, @stateful);

for my $file (sort keys %$manifest) {
    my $entry = $manifest->{$file};
    my $dialect = group_of($file) // next;
    my $asked = $entry->{request} ? Pulse::Replay::recording($entry->{request})
                                  : '';

    next if $entry->{status} =~ /^(?:401|429)$/
            || $file !~ /\.(?:json|sse)$/ || $file eq $broken
            || $entry->{expected}{concatenated}
            || Pulse::Replay::recording($file) =~ $ours;

    # some of other vendors are of the newer of the two endpoints

    $dialect = 'responses' if $file =~ /^openai-compat/
                              && $asked =~ /"input"\s*:/;

    if ($dialect eq 'responses' && $asked =~ $memory) {
        push @stateful, $asked;
        next;
    }

    push @{ $recordings{$dialect} }, $file;
}

cmp_ok(scalar @{ $recordings{$_} // [] }, '>', 30, "$_: there are recordings")
    for @dialects;

for my $dialect (@dialects) {
    my @files = @{ $recordings{$dialect} };

    check($dialect, $_, '') for @files;

    # the smallest of each kind a byte at a time, in small chunks, and up to
    # the end of the connection

    for my $kind (qr/\.sse$/, qr/\.json$/) {
        my @small = sort {
            $manifest->{$a}{bytes} <=> $manifest->{$b}{bytes}
        } grep { /$kind/ && $manifest->{$_}{status} == 200 } @files;

        for my $file (grep { defined } @small[0 .. 5]) {
            check($dialect, $file, 'by bytes', step => 1);
            check($dialect, $file, 'in chunks', framing => 'chunked',
                  chunk => 7);
            check($dialect, $file, 'to the end', framing => 'close');
        }
    }
}

# what needs a memory is refused, and nobody hears of it

$replay->play({ json => {} });

for my $body (@stateful) {
    my $reply = http(POST => '/v1/responses', port => $nginx->port,
                     bearer => $key, body => $body =~ s/"model"\s*:\s*"
                                                      /"model":"responses:/rx,
                     headers => { 'Content-Type' => 'application/json' });

    is($reply->{status}, 400, 'a conversation that is kept elsewhere');
    is($reply->{json}{error}{type}, 'invalid_request_error', 'is refused');
}

is(scalar $replay->requests(0), 0, 'and nobody is asked');


# an event that makes no sense ends the stream, and is logged once

$replay->play({ file => $broken,
                headers => { 'content-type' => 'text/event-stream' } });

my ($path, $body) = question('responses', stream => 1,
                             model => 'responses:m-1');
my $reply = http(POST => $path, port => $nginx->port, bearer => $key,
                 json => $body);

is($reply->{status}, 502, 'a broken first event is told');
is($reply->{json}{error}{code}, 'PROVIDER_ERROR', 'before the stream begins');
is(scalar(grep { /pulse gateway: .* sent / } @{ $nginx->error_log }), 1,
   'and logged once');

is(reserved($nginx), 0, 'nothing stays reserved');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
