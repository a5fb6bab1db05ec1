# Recorded streams to clients of every dialect, cut where an event ends, half
# of them in a body that was to be longer: what came is passed on, an error of
# the client's dialect ends it, and it has a row in the ledger.  A part of all
# cuts, always the same; PULSE_MATRIX=all takes each (make matrix), the name of
# a provider's dialect each of that.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(sse_events);
use Pulse::Dialect qw(ask group_of played understood);
use Pulse::Gateway qw(gateway_nginx provider reserved);
use Pulse::Matrix;
use Pulse::Replay;
use Test::More;

plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);
my $matrix = $ENV{PULSE_MATRIX} // '';
my $share = $matrix ? 1 : 97;

my $nginx = gateway_nginx(http => join '', map {
    provider($_, "$url/$_", "dialect $_; models $_-*;")
} @dialects)->run;

my $user = make_user(plan => 'creator', tokens => 900_000_000_000);
my $key = make_key($user);
my %cut;                                    # by trace id: name, whole?


# Where the events of a stream end, but for the last.

sub borders {
    my ($text) = @_;

    my @at;

    push @at, pos $text while $text =~ /\r?\n\r?\n/g;
    pop @at;

    return @at;
}


sub told {
    my ($reply) = @_;

    return scalar grep {
        $_->{json} && ($_->{json}{error}
                       || ($_->{json}{type} // '') =~ /^error$|failed$/)
    } sse_events($reply->{body});
}


# One cut; its client may have all that it needs, if little was missing.

sub cut {
    my ($file, $from, $to, $at, $framing) = @_;

    my $name = "$file to $to, cut at $at ($framing)";

    $replay->play(played($file, cut => $at, framing => $framing));

    my $reply = ask($to, $nginx->port, $key, stream => 1,
                    model => "$from-1");
    my $got = understood($to, $reply, 1);

    if ($got) {
        is($got->{text}, $manifest->{$file}{expected}{text},
           "$name: as good as whole");

    } else {
        ok($reply->{complete}, "$name: has an end");

        # an answer that did not begin may be an error from the start

        ok($reply->{status} != 200 ? $reply->{json}{error} : told($reply),
           "$name: is told") or diag substr $reply->{body}, -600;
    }

    $cut{ $reply->{headers}{'x-trace-id'} } = [$name, $got ? 1 : 0]
        if $reply->{status} == 200;
}


my $n = 0;

for my $file (sort grep { /\.sse$/ && group_of($_) } keys %$manifest) {
    my $expected = $manifest->{$file}{expected};

    next if !$expected || $expected->{error} || $expected->{concatenated}
            || $expected->{images} || !$expected->{usage};
    next if $matrix && $matrix ne 'all' && $matrix ne group_of($file);

    for my $at (borders(Pulse::Replay::recording($file))) {
        for my $to (Pulse::Matrix::clients()) {
            my $framing = int($n / $share) % 2 ? 'close' : 'length';

            cut($file, group_of($file), $to, $at, $framing)
                if $n++ % $share == 0;
        }
    }
}

diag "$n cuts, one of $share taken" if $share == 1;

my %rows;

wait_until {
    %rows = map { split /\|/ } sql(<<"SQL");
        SELECT trace_id, estimated FROM usage_events WHERE user_id = '$user'
SQL
    keys %rows >= keys %cut;
} 20;

for my $trace (sort { $cut{$a}[0] cmp $cut{$b}[0] } keys %cut) {
    my ($name, $whole) = @{ $cut{$trace} };

    # of a whole one the figures may be what lacks

    like($rows{$trace} // 'none', $whole ? qr/^[tf]$/ : qr/^t$/,
         "$name: its row");
}

is(reserved($nginx), 0, 'nothing stays reserved');

is($nginx->stop, undef, 'nginx ends');

done_testing();
