# Every recorded chat of OpenAI through the gateway: the client gets the
# recorded bytes, the ledger the recorded figures, however they arrive.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my @files = sort grep { m{^openai-chat/} && $manifest->{$_}{expected} }
                 keys %$manifest;

my $replay = Pulse::Replay->start;

my $nginx = gateway_nginx(
    http => provider('openai', $replay->url . '/v1', 'models *;'),
)->run;

my $user = make_user(plan => 'creator', tokens => 1_000_000_000);
my $key = make_key($user);
my $rows = 0;


sub ask {
    my ($path, $json) = @_;

    return http(POST => $path, port => $nginx->port, bearer => $key,
                json => $json, limit => 30);
}


# what the recording answered to, or something alike

sub request {
    my ($file) = @_;

    my $entry = $manifest->{$file};
    my $request = $entry->{request};

    return Pulse::Replay::slurp_json(Pulse::Replay::recordings()
                                     . "/$request") if $request;

    return {
        model => 'gpt-4o',
        messages => [{ role => 'user', content => 'hi' }],
        stream => $entry->{expected}{stream} ? \1 : \0,
    };
}


sub check_row {
    my ($expected, $name) = @_;

    my @rows = ledger($user, ++$rows);
    my $row = $rows[-1];
    my $usage = $expected->{usage};

    is(scalar @rows, $rows, "$name: one row");

    if (!$usage) {
        is($row->{estimated}, 't', "$name: estimated");
        return;
    }

    my @got = map { $row->{$_} } qw(input cached output reasoning amount);
    my @want = (map({ $usage->{$_} // 0 } qw(input_tokens cached_input_tokens
                                            output_tokens reasoning_tokens)),
                $usage->{input_tokens} + $usage->{output_tokens});

    is("@got $row->{estimated}", "@want f", "$name: figures");
}


# without what OpenAI adds to a stream when usage is asked for

sub without_usage {
    my ($body) = @_;

    $body =~ s/^data: \{[^\n]*"choices":\[\],"usage":\{[^\n]*\n\n//mg;
    $body =~ s/"usage":null,//g;
    $body =~ s/,"usage":null//g;

    return $body;
}


my @framings = ([whole => {}],
                [chunked => { framing => 'chunked', chunk => 7 }],
                [closed => { framing => 'close' }]);

for my $file (@files) {
    my $expected = $manifest->{$file}{expected};
    my $request = request($file);
    my $body = Pulse::Replay::recording($file);
    my $short = $file =~ s{^openai-chat/}{}r;

    for my $framing (@framings) {
        my ($how, $options) = @$framing;
        my $name = "$short, $how";

        $replay->play({ file => $file, %$options });

        my $reply = ask('/v1/chat/completions', $request);

        ok($reply->{complete}, "$name: complete");

        if ($expected->{http_status} >= 400) {
            is($reply->{status}, $expected->{http_status}, "$name: status");
            is($reply->{body}, $body, "$name: the provider's words");
            next;
        }

        is($reply->{status}, 200, "$name: status");
        is($reply->{headers}{'x-pulse-provider'}, 'openai',
           "$name: provider");
        is($reply->{body}, $body, "$name: bytes");

        check_row($expected, $name);
    }

    next if !$expected->{stream};

    # usage is not asked for: it is forced on the way there, hidden on the
    # way back

    delete $request->{stream_options};
    $replay->play({ file => $file });

    my $reply = ask('/v1/chat/completions', $request);
    my ($sent) = $replay->requests(1);

    ok($sent->{json}{stream_options}{include_usage}, "$short: forced");
    is($reply->{body}, without_usage($body), "$short: hidden");

    check_row($expected, "$short, hidden");
}


# one byte a write: the smaller ones, streams and not

for my $file (grep { length(Pulse::Replay::recording($_)) < 3000
                     && $manifest->{$_}{expected}{http_status} == 200 } @files)
{
    $replay->play({ file => $file, step => 1 });

    my $reply = ask('/v1/chat/completions', request($file));

    is($reply->{body}, Pulse::Replay::recording($file), "$file, by bytes");
    check_row($manifest->{$file}{expected}, "$file, by bytes");
}


# the studio's envelope

for my $file (grep { !$manifest->{$_}{expected}{stream}
                     && $manifest->{$_}{expected}{http_status} == 200 } @files)
{
    $replay->play({ file => $file });

    my $request = request($file);
    my $reply = ask('/v1/chat/complete', $request);
    my $recorded = JSON::PP::decode_json(Pulse::Replay::recording($file));
    my $data = $reply->{json}{data};

    is($reply->{status}, 200, "$file, studio");
    is($data->{provider}, 'openai', "$file, studio: provider");
    is_deeply([@$data{qw(id model choices usage)}],
              [@$recorded{qw(id model choices usage)}],
              "$file, studio: the same data");
    ok($reply->{json}{meta}{trace_id}, "$file, studio: meta");

    check_row($manifest->{$file}{expected}, "$file, studio");
}


is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
