package Pulse::Matrix;

# What a run saw of client dialect x provider dialect x feature, and the
# tables of docs/dialects.md that are made of it.
#
#     my $matrix = Pulse::Matrix->new('answers', \@features);
#     $matrix->seen($client, $provider, $feature, 'pass', recorded => 1);
#     $matrix->check;             # a test: the committed tables are these
#
# With PULSE_TABLES=write the suites write the tables instead.

use v5.30;
use warnings;

use Pulse::Env ();
use Test::More ();

my @clients = (
    openai    => 'OpenAI chat completions',
    studio    => 'The studio (`/v1/chat/complete`)',
    responses => 'OpenAI Responses',
    anthropic => 'Anthropic Messages',
    gemini    => 'Gemini',
);

my @providers = (
    openai    => 'OpenAI chat',
    vendor    => 'compatible',
    responses => 'Responses',
    anthropic => 'Anthropic',
    gemini    => 'Gemini',
);

my %order = map { $_->[1] => $_->[0] }
    ([0, 'pass'], [1, 'warned'], [2, 'refused'], [3, 'no word']);


sub clients { @clients[grep { $_ % 2 == 0 } 0 .. $#clients] }
sub providers { @providers[grep { $_ % 2 == 0 } 0 .. $#providers] }


# features: [name => what the row says, ...]; "providers" replaces them all,
# "note" is what stands above, "partial" says that there are no recordings.

sub new {
    my ($class, $section, $features, %o) = @_;

    return bless { section => $section, features => $features, cells => {},
                   providers => [$class->providers], %o }, $class;
}


sub features {
    my ($self) = @_;

    my @features = @{ $self->{features} };

    return @features[grep { $_ % 2 == 0 } 0 .. $#features];
}

sub has {
    my ($self, $feature) = @_;

    return scalar grep { $_ eq $feature } $self->features;
}


sub seen {
    my ($self, $client, $provider, $feature, $outcome, %o) = @_;

    $self->{cells}{$client}{$provider}{$feature}{$outcome}
        [$o{recorded} ? 0 : 1]++;
}


# One cell: "pass 12 + 3" is of twelve recordings and three cases of ours.

sub cell {
    my ($self, $client, $provider, $feature) = @_;

    my $cell = $self->{cells}{$client}{$provider}{$feature}
        // return 'not run';

    my @seen = sort { $order{$a} <=> $order{$b} } keys %$cell;

    @seen = grep { $_ ne 'no word' } @seen if @seen > 1;

    return join ', ', map {
        my ($recorded, $own) = map { $_ // 0 } @{ $cell->{$_} }[0, 1];

        $_ eq 'no word' ? '–' : "$_ $recorded + $own";
    } @seen;
}


sub tables {
    my ($self) = @_;

    my %names = (@clients, @providers);
    my @features = @{ $self->{features} };
    my @columns = @{ $self->{providers} };
    my %column = @providers;
    my %title = @clients;
    my $text = defined $self->{note} ? "\n$self->{note}\n" : '';

    for my $client (grep { $self->{cells}{$_} } clients()) {
        $text .= "\n### $title{$client}: $self->{section}\n\n";
        $text .= '| | ' . join(' | ', map { $column{$_} } @columns) . " |\n";
        $text .= '| --- |' . ' --- |' x @columns . "\n";

        for (my $i = 0; $i < @features; $i += 2) {
            my @cells = map { $self->cell($client, $_, $features[$i]) }
                        @columns;

            $text .= '| ' . join(' | ', $features[$i + 1], @cells) . " |\n";
        }
    }

    return "$text\n";
}


sub file { "$Pulse::Env::root/docs/dialects.md" }

sub document {
    open my $in, '<:raw', file() or return '';
    local $/;

    return scalar(<$in>) // '';
}


# The tables between their two marks, as they were committed.

sub committed {
    my ($self) = @_;

    my $name = $self->{section};

    return document() =~ /<!-- \Q$name\E: t\S+ -->\n(.*?)<!-- end -->/s
           ? $1 : undef;
}


sub check {
    my ($self) = @_;

    my $name = $self->{section};
    my $tables = $self->tables;

    Test::More::unlike($tables, qr/not run/, "$name: each cell was run");

    utf8::encode($tables) if utf8::is_utf8($tables);

    if (($ENV{PULSE_TABLES} // '') eq 'write') {
        write_tables($name, $tables);
        return;
    }

    my $committed = $self->committed // '';

    # without recordings their numbers are not known

    if ($self->{partial}) {
        $committed =~ s/\w+ \d+ \+ 0, |, \w+ \d+ \+ 0(?= \|)//g;
        s/\d+ \+/N +/g for $tables, $committed;
    }

    Test::More::ok($tables eq $committed,
                   "$name: docs/dialects.md says what was seen")
        or Test::More::diag(differences($committed, $tables));
}


sub write_tables {
    my ($name, $tables) = @_;

    my $text = document();

    $text =~ s/(<!-- \Q$name\E: t\S+ -->\n).*?(<!-- end -->)/$1$tables$2/s
        or die "docs/dialects.md has no place for $name\n";

    open my $out, '>:raw', file() or die file() . ": $!\n";
    print $out $text;
    close $out;
}


sub differences {
    my ($committed, $tables) = @_;

    my %had = map { $_ => 1 } split /\n/, $committed;

    return "make tables writes it anew; now:\n"
           . join "\n", grep { !$had{$_} } split /\n/, $tables;
}


1;
