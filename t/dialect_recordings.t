# Recordings of every dialect to clients of every other one: text, calls,
# finish reason and usage are those of the recording, and so is the ledger.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Dialect qw(ask group_of played understood wanted);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai anthropic gemini responses);

my $nginx = gateway_nginx(http => join '', map {
    provider($_, "$url/$_", "dialect $_; models $_-*;")
} @dialects)->run;

my $user = make_user(plan => 'creator', tokens => 2_000_000_000);
my $key = make_key($user);
my $rows = 0;


# What no chat client is meant to see: tools that the provider runs itself,
# pictures, and bills that are the sum of several passes.

sub comparable {
    my ($expected) = @_;

    return $expected && $expected->{http_status} == 200
        && !$expected->{error} && $expected->{usage}
        && !$expected->{images} && !$expected->{concatenated}
        && !(ref $expected->{usage_native}
             && $expected->{usage_native}{iterations})
        && !grep { /server-tool|image/ } @{ $expected->{features} // [] };
}


# vendors with quirks of their own; two answers in one; free text for a tool,
# which others have no word for; arguments in pieces, by Vertex only

my $apart = qr/^openai-compat|spliced|custom-tool
               |tool-call-arguments|no-args-tool-call/x;

for my $file (sort keys %$manifest) {
    my $from = group_of($file) // next;
    my $expected = $manifest->{$file}{expected};
    my $stream = scalar($file =~ /\.sse$/);

    next if $file =~ $apart || !comparable($expected)
            || !grep { $_ eq $from } @dialects;

    for my $to (grep { $_ ne $from } @dialects) {
        my $name = "$file to $to";

        $replay->play(played($file));

        my $reply = ask($to, $nginx->port, $key, stream => $stream,
                        model => "$from-1");
        my $got = understood($to, $reply, $stream);

        is_deeply($got, wanted($expected), $name)
            or diag substr $reply->{body}, 0, 600;

        last if $reply->{status} != 200;

        my @rows = ledger($user, ++$rows);
        my $usage = $expected->{usage};

        is("@{ $rows[-1] }{qw(input cached output reasoning)}",
           join(' ', map { $usage->{$_} // 0 }
                qw(input_tokens cached_input_tokens output_tokens
                   reasoning_tokens)), "$name: figures");
    }
}

is($nginx->stop, undef, 'nginx ends');

done_testing();
