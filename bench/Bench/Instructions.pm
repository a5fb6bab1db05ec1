package Bench::Instructions;

# What a request costs in instructions, and where: a worker under callgrind,
# which counts the same whatever else the machine does.

use v5.30;
use warnings;

use Exporter qw(import);
use Bench::Measure qw(measure);
use Bench::Parts qw(@parts);
use Bench::Server;
use Pulse::Env ();
use Pulse::Process qw(wait_until);

our @EXPORT_OK = qw(instructions);


# instructions(rows => [[name, server, question, unit]], provider => port,
#     tokens => file): per request or chunk, whole and by parts

sub instructions {
    my (%o) = @_;

    my @summary;

    for my $row (@{ $o{rows} }) {
        my ($name, $of, $question, $unit) = @$row;

        my $got = count($of, %o, question => $question, unit => $unit);

        push @summary, { row => $name, unit => $unit, %$got };
        say join '  ', $name, "per $unit", $got->{whole};
    }

    return \@summary;
}


sub count {
    my ($of, %o) = @_;

    my $dir = Pulse::Env::suite_dir();
    my $out = "$dir/callgrind.$of." . int rand 1e9;

    my $server = Bench::Server->start(
        row => $of, provider => $o{provider},
        under => ['valgrind', '--tool=callgrind', '--trace-children=yes',
                  '-q', "--callgrind-out-file=$out.%p"]);

    my %ask = (question => $o{question}, tokens => $o{tokens},
               connections => 4);

    measure($server, %ask, seconds => 3);
    control($server, '-z');

    my $got = measure($server, %ask, seconds => 4);

    control($server, '-d');

    my $pid = $server->pid;
    my $file = wait_until { (grep { -s } glob "$out.$pid.*")[0] } 30;

    die "callgrind wrote nothing\n" if !defined $file;

    $server->stop;

    my $n = $o{unit} eq 'chunk' ? $got->{chunks} : $got->{requests};

    return { n => $n, parts_of(functions($file), $n) };
}


sub control {
    my ($server, $what) = @_;

    my $pid = $server->pid;

    system("callgrind_control $what $pid > /dev/null 2>&1") == 0
        or die "callgrind_control $what failed\n";
}


# Inclusive counts by function.

sub functions {
    my ($file) = @_;

    my %functions;

    open my $in, '-|', 'callgrind_annotate', '--inclusive=yes',
         '--threshold=99.99', $file or die "callgrind_annotate: $!\n";

    while (my $line = <$in>) {
        if ($line =~ /^\s*([\d,]+) \(.*PROGRAM TOTALS/) {
            $functions{''} = $1 =~ tr/,//dr;

        } elsif ($line =~ /^\s*([\d,]+) \([^)]*\)\s+\S*?:(\w+)/) {
            $functions{$2} //= $1 =~ tr/,//dr;
        }
    }

    close $in;

    return \%functions;
}


sub parts_of {
    my ($functions, $n) = @_;

    my %of;

    for my $part (@parts) {
        my ($name, @begin) = @$part;

        for my $function (@begin) {
            $of{$name} += ($functions->{$function} // 0) / $n;
        }
    }

    return (whole => int($functions->{''} / $n),
            parts => { map { $_ => int $of{$_} } keys %of });
}


1;
