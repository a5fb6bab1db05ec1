package Bench::Report;

# Puts what was measured into docs/performance.md, between the lines
# "<!-- NAME -->" and "<!-- end -->", and draws the plots beside it.

use v5.30;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(report);

my %tables = (
    machine => \&machine, plain => \&plain, streams => \&streams,
    paced => \&paced, memory => \&memory, bodies => \&bodies,
    accounts => \&accounts, journal => \&journal,
    profile => \&profile, instructions => \&instructions,
    blocks => \&blocks, documents => \&documents,
);

# what is to be reached: what is measured of it, the most that it may be, and
# how to find it; what stands in the way is written by hand in the last column

my @targets = (
    ['CPU of a plain request', '1.35', sub { of_nginx(@_, 'plain', 'studio') }],
    ['CPU of a saturated chunk that passes', '1.10',
     sub { of_nginx(@_, 'streams', 'studio') }],
    ['CPU of a saturated chunk, translated', '1.50',
     sub { worst(@_, 'streams') }],
    ['CPU of a paced chunk that passes', '1.10',
     sub { of_nginx(@_, 'paced', 'studio') }],
    ['CPU of a paced chunk, translated', '1.50', sub { worst(@_, 'paced') }],
    ['added p99 at one connection, µs', 40,
     sub { added(@_, 'plain', 'p99_us') }],
    ['memory of each of 1000 streams', '1.25',
     sub { of_nginx(@_, 'memory', 'studio', 'bytes_1000') }],
    ['memory of each of 5000 streams', '1.25',
     sub { of_nginx(@_, 'memory', 'studio', 'bytes_5000') }],
    ['what a body of 2 MB holds', 1, \&held],
    ['CPU of a request, 10 to 1 000 000 accounts, ± %', 5,
     sub { spread(grep { ($_->{row} // '') ne 'cold' }
                  @{ $_[0]{accounts} // [] }) }],
    ['CPU of a request, short to long journal, ± %', 5,
     sub { spread(@{ $_[0]{journal} // [] }) }],
);


sub report {
    my ($measured, $docs) = @_;

    my $file = "$docs/performance.md";
    my $text = slurp($file);

    for my $name (keys %tables) {
        next if !defined $measured->{$name};

        my $table = $tables{$name}->($measured->{$name});

        $text =~ s{(<!-- $name -->\n).*?(<!-- end -->)}{$1$table$2}s;
    }

    $text =~ s{(<!-- targets -->\n)(.*?)(<!-- end -->)}
              {$1 . targets($measured, $2) . $3}se;

    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out;

    plots($measured, "$docs/performance");
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!\n";
    local $/;

    return scalar <$in>;
}


# The words of the last column stay as they are.

sub targets {
    my ($measured, $before) = @_;

    my %words = map { /^\| (.+?) \|.*\| (.*?) ?\|$/ ? ($1 => $2) : () }
                split /\n/, $before;

    my @rows = map {
        my ($name, $most, $find) = @$_;
        my ($value, $which) = $find->($measured);

        [$name, "at most $most",
         defined $value ? rounded($value) . ($which // '') : '-',
         !defined $value ? 'not measured' : $value <= $most ? 'met' : 'not met',
         $words{$name} // ''];
    } @targets;

    return table(['target', ' limit', ' measured', '',
                  'what stands in the way'], @rows);
}


# Rows of a part beside plain nginx, by a value of them.

sub of_nginx {
    my ($measured, $part, $row, $value) = @_;

    my %of = map { $_->{row} => $_->{$value // 'cpu_us'} }
             @{ $measured->{$part} // [] };

    return undef if !$of{nginx} || !defined $of{$row};
    return $of{$row} / $of{nginx};
}


sub worst {
    my ($measured, $part) = @_;

    my %ratios = map { $_ => of_nginx($measured, $part, $_) }
                 grep { / to / }
                 map { $_->{row} } @{ $measured->{$part} // [] };

    my ($worst) = sort { $ratios{$b} <=> $ratios{$a} }
                  grep { defined $ratios{$_} } keys %ratios;

    return defined $worst ? ($ratios{$worst}, " ($worst)") : undef;
}


sub added {
    my ($measured, $part, $value) = @_;

    my %of = map { $_->{row} => $_->{$value} } @{ $measured->{$part} // [] };

    return undef if !defined $of{nginx} || !defined $of{studio};
    return $of{studio} - $of{nginx};
}


sub held {
    my ($measured) = @_;

    my $held = ($measured->{bodies} // {})->{held} // {};

    return $held->{nginx} ? $held->{studio} / $held->{nginx} : undef;
}


# How far the CPU of a request is from the middle, in per cent.

sub spread {
    my (@rows) = @_;

    my @cpu = sort { $a <=> $b } map { $_->{cpu_us} } @rows;

    return @cpu ? ($cpu[-1] - $cpu[0]) / ($cpu[-1] + $cpu[0]) * 100 : undef;
}


sub rounded {
    my ($value) = @_;

    return sprintf abs($value) >= 10 ? '%.0f' : '%.2f', $value;
}


# table([titles], [[cells], ...]): titles that begin with a blank are of
# numbers

sub table {
    my ($titles, @rows) = @_;

    my $rule = join '|', map { /^ / ? ' ---: ' : ' --- ' } @$titles;

    return join '', map { "$_\n" } '| ' . join(' | ', map { s/^ //r } @$titles)
        . ' |', "|$rule|", map { '| ' . join(' | ', @$_) . ' |' } @rows;
}


sub machine {
    my ($m) = @_;

    return "$m->{cpu}, $m->{cores} cores, $m->{memory_gb} GB, Linux"
        . " $m->{kernel}, nginx $m->{nginx}, one worker.\n";
}


sub number {
    my ($n) = @_;

    return '-' if !defined $n;

    my $text = abs($n) >= 100 ? sprintf('%.0f', $n) : sprintf('%.3g', $n);

    1 while $text =~ s/^(-?\d+)(\d{3})/$1 $2/;

    return $text;
}


sub ratio {
    my ($value, $of) = @_;

    return defined $value && $of ? sprintf('%.2f', $value / $of) : '-';
}


sub plain {
    my ($rows) = @_;

    my $nginx = $rows->[0];

    return table(['row', ' CPU of a request, µs', ' of nginx',
                  ' stores, µs', ' p50, µs', ' added', ' p99, µs', ' added'],
        map { my $row = $_;
              [$row->{row}, number($row->{cpu_us}),
               ratio($row->{cpu_us}, $nginx->{cpu_us}),
               number($row->{stores_us}),
               map { (number($row->{$_}),
                      number($row->{$_} - $nginx->{$_})) }
               qw(p50_us p99_us)] } @$rows);
}


sub streams {
    my ($rows) = @_;

    return table(['row', ' CPU of a chunk, µs', ' of nginx',
                  ' chunks a second'],
        map { [$_->{row}, number($_->{cpu_us}),
               ratio($_->{cpu_us}, $rows->[0]{cpu_us}),
               number($_->{per_second})] }
            grep { defined $_->{cpu_us} } @$rows);
}


sub paced {
    my ($rows) = @_;

    return table(['row', ' CPU of a chunk, µs', ' of nginx', ' p50, µs',
                  ' p99, µs', ' p99.9, µs', ' latest, µs'],
        map { my $row = $_;
              [$row->{row}, number($row->{cpu_us}),
               ratio($row->{cpu_us}, $rows->[0]{cpu_us}),
               map { number($row->{"${_}_us"}) } qw(p50 p99 p999 max)] }
            grep { defined $_->{cpu_us} } @$rows);
}


sub memory {
    my ($rows) = @_;

    my $nginx = $rows->[0];

    return table(['row', map { (" bytes of each of $_", ' of nginx') }
                         1000, 5000],
        map { my $row = $_;
              [$row->{row}, map { (number($row->{"bytes_$_"}),
                                   ratio($row->{"bytes_$_"},
                                         $nginx->{"bytes_$_"})) }
                            1000, 5000] } @$rows);
}


sub bodies {
    my ($got) = @_;

    return table(['body', ' nginx, µs', ' studio, µs', ' of nginx'],
        map { ["$_->{kilobytes} kB", number($_->{nginx}),
               number($_->{studio}), ratio($_->{studio}, $_->{nginx})] }
            @{ $got->{cpu} })
        . "\nA request of 2 MB holds " . number($got->{held}{nginx})
        . ' bytes in nginx, ' . number($got->{held}{studio})
        . " in the studio, while its answer is on the way.\n";
}


sub accounts {
    my ($rows) = @_;

    return table(['accounts', ' CPU of a request, µs', ' of the first',
                  ' stores, µs', ' commands to Redis'],
        map { [defined $_->{row} && $_->{row} eq 'cold'
               ? 'the first request of each of 100 000'
               : number($_->{accounts}), number($_->{cpu_us}),
               ratio($_->{cpu_us}, $rows->[0]{cpu_us}),
               number($_->{stores_us}),
               defined $_->{redis} ? number($_->{redis}) : ''] } @$rows);
}


sub journal {
    my ($rows) = @_;

    return table([' requests not in Postgres', ' journal, MB',
                  ' CPU of a request, µs'],
        map { [number($_->{requests}), number($_->{bytes} / 1e6),
               number($_->{cpu_us})] } @$rows);
}


# What adds up to the whole first, and the samples that it is from last.

sub profile {
    my ($rows) = @_;

    my %names = map { $_ => 1 } map { keys %{ $_->{parts} } } @$rows;
    my @names = sort { ($a =~ /^of these/) <=> ($b =~ /^of these/)
                       || $a cmp $b } grep { $_ ne 'whole' } keys %names;

    return table(['µs', map { " $_->{row}" } @$rows],
        (map { my $name = $_;
               [$name, map { defined $_->{parts}{$name}
                             ? sprintf('%.2f', $_->{parts}{$name}) : '' }
                       @$rows] } 'whole', @names),
        ['whole, while sampled', map { sprintf '%.2f', $_->{sampled} } @$rows],
        ['samples', map { number($_->{samples}) } @$rows]);
}


sub instructions {
    my ($rows) = @_;

    my %names = map { $_ => 1 } map { keys %{ $_->{parts} } } @$rows;
    my @names = grep { my $name = $_;
                       grep { $_->{parts}{$name} } @$rows } sort keys %names;

    return table(['instructions', map { " $_->{row}" } @$rows],
        ['whole', map { number($_->{whole}) } @$rows],
        map { my $name = $_;
              [$name, map { $_->{parts}{$name} ? number($_->{parts}{$name})
                                               : '' } @$rows] } @names);
}


sub blocks {
    my ($rows) = @_;

    return table(['block', ' ns', 'beside', ' ns'],
        map { [$_->{block}, number($_->{ns}), $_->{beside} // '',
               defined $_->{beside_ns} ? number($_->{beside_ns}) : ''] }
            @$rows);
}


sub documents {
    my ($rows) = @_;

    return table(['document', ' drawn, ms', ' CPU of the sidecar, ms',
                  ' of nginx, ms', 'by'],
        map { [$_->{document}, number($_->{drawn_ms}),
               number($_->{sidecar_ms}), number($_->{nginx_ms}),
               $_->{by} // 'the studio'] } @$rows);
}


sub plots {
    my ($measured, $dir) = @_;

    bars("$dir/requests.svg", 'CPU of a plain request, µs',
         rows_but($measured->{plain}, 'portkey'));
    bars("$dir/chunks.svg", 'CPU of a paced chunk, µs',
         rows_but($measured->{paced}, 'portkey'));

    if (my $bodies = $measured->{bodies}) {
        lines("$dir/bodies.svg", 'body, kB', 'CPU of a request, µs',
              [nginx => map { [$_->{kilobytes}, $_->{nginx}] }
                        @{ $bodies->{cpu} }],
              [studio => map { [$_->{kilobytes}, $_->{studio}] }
                         @{ $bodies->{cpu} }]);
    }

    if (my $accounts = $measured->{accounts}) {
        lines("$dir/accounts.svg", 'accounts', 'CPU of a request, µs',
              [studio => map { [$_->{accounts}, $_->{cpu_us}] }
                         grep { !defined $_->{row} || $_->{row} ne 'cold' }
                         @$accounts]);
    }
}


# On this scale nothing else is to be seen beside some.

sub rows_but {
    my ($rows, $name) = @_;

    return map { [$_->{row}, $_->{cpu_us}] }
           grep { $_->{row} ne $name } @{ $rows // [] };
}


sub bars {
    my ($file, $title, @bars) = @_;

    return if !@bars;

    gnuplot($file, <<"PLOT", [@bars]);
set title "$title"
set style fill solid 0.8
set boxwidth 0.7
set yrange [0:*]
set xtics rotate by -30
set grid ytics
unset key
plot \$data0 using 0:2:xtic(1) with boxes lc rgb "#2a6f97"
PLOT
}


sub lines {
    my ($file, $x, $y, @series) = @_;

    my $plots = join ', ', map { qq(\$data$_ using 1:2 with linespoints)
                                 . qq( lw 2 pt 7 title "$series[$_][0]") }
                           0 .. $#series;

    gnuplot($file, <<"PLOT", map { [@{$_}[1 .. $#$_]] } @series);
set xlabel "$x"
set ylabel "$y"
set logscale x
set yrange [0:*]
set grid
set key left top
plot $plots
PLOT
}


sub gnuplot {
    my ($file, $plot, @data) = @_;

    open my $out, '|-', 'gnuplot' or die "gnuplot: $!\n";

    say $out 'set terminal svg size 720,400 background "white"';
    say $out qq(set output "$file");

    for my $i (0 .. $#data) {
        say $out "\$data$i << END";
        say $out join ' ', map { /[^\d.]/ ? qq("$_") : $_ } @$_
            for @{ $data[$i] };
        say $out 'END';
    }

    print $out $plot;
    close $out or die "gnuplot failed\n";
}


1;
