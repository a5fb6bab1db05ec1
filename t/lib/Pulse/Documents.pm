package Pulse::Documents;

# Files of documents, drawn from requests of t/docs/requests without a server,
# and what others read out of them.
#
#     my $set = Pulse::Documents->draw({ name => 'a', request => {...},
#                                        kind => 'docx' }, ...);
#     $set->file('a.docx');
#     $set->convert('pdf', 'a.docx', ...);        # all by one LibreOffice
#     plain($text);                               # without marks of direction

use v5.30;
use warnings;
use utf8;

use Encode qw(decode_utf8);
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Pulse::Env ();
use Unicode::Normalize qw(NFKC);

our @EXPORT_OK = qw(against found in_order missing plain quarters request slurp
                    turned @turned);

my $json = JSON::PP->new->canonical->utf8;
my $sets = 0;


# The first program that is not there, as a reason to skip, or undef.

sub missing {
    my @programs = @_;

    my $draw = "$Pulse::Env::root/build/unit/plain/draw";

    return 'nothing that draws (make draw)' if !-x $draw;

    for my $program (@programs) {
        return "no $program"
            if system("command -v $program > /dev/null 2>&1") != 0;
    }

    return undef;
}


sub request {
    my ($name) = @_;

    return $json->decode(slurp("$Pulse::Env::root/t/docs/requests/$name"));
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}


sub draw {
    my ($class, @wanted) = @_;

    my $self = bless {
        dir => Pulse::Env::suite_dir() . '/documents-' . ++$sets
    }, $class;

    mkdir $self->{dir} or die "$self->{dir}: $!\n";

    my @pairs;

    for my $wanted (@wanted) {
        my $request = "$self->{dir}/$wanted->{name}.json";

        open my $out, '>:raw', $request or die "$request: $!\n";
        print $out $json->encode($wanted->{request});
        close $out;

        push @pairs, $request, $self->file("$wanted->{name}.$wanted->{kind}");
    }

    system("$Pulse::Env::root/build/unit/plain/draw", @pairs) == 0
        or die "a document was not drawn\n";

    return $self;
}


sub file {
    my ($self, $name) = @_;

    return "$self->{dir}/$name";
}


# One process for all: it takes longer to start than to convert.

sub convert {
    my ($self, $format, @names) = @_;

    my $home = Pulse::Env::suite_dir() . '/office';
    my $quoted = join ' ', map { "'" . $self->file($_) . "'" } @names;

    # it says what it does on stdout, and complains of a missing Java

    system("soffice -env:UserInstallation=file://$home --headless"
           . " --convert-to '$format' --outdir '$self->{dir}/converted'"
           . " $quoted > '$self->{dir}/office.log' 2>&1 < /dev/null");

    return $self;
}


sub converted {
    my ($self, $name) = @_;

    return "$self->{dir}/converted/$name";
}


# As a person reads it: no marks of direction, no difference in space.

sub plain {
    my ($text) = @_;

    $text = NFKC($text);
    $text =~ s/[\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]//g;
    $text =~ s/\s+/ /g;

    return $text;
}


# How many of the strings are in bytes of text, one after the other, and the
# first that is not.

sub found {
    my ($bytes, @strings) = @_;

    my $text = plain(decode_utf8($bytes));
    my ($n, $at, $lost) = (0, 0, undef);

    for my $string (map { plain($_) } @strings) {
        my $found = index $text, $string, $at;

        if ($found < 0) {
            $lost //= $string;
            next;
        }

        $n++;
        $at = $found + length $string;
    }

    return ($n, $lost);
}


# A CV and a deck with sentences of the other direction that hold words of
# both: one in a text or title, one in a bullet.

sub against {
    my ($language) = @_;

    my ($text, $bullet) = map {
        $language eq 'en' ? "عملت على $_->[0] في شركة $_->[1] ثم $_->[2]"
            : "$_->[0] has made what $_->[1] sells to شركة النور and $_->[2]"
    } [qw(Alpha Beta Gamma)], [qw(Delta Omega Sigma)];

    return (
        { full_name => 'Layan', email => 'layan@studio.example',
          title => 'C++', locale => $language, summary => $text,
          experience => [{ title => 'C', company => 'Nour',
                           start_date => '2020', highlights => [$bullet] }] },
        { presentation_title => 'Deck', locale => $language,
          slides => [{ layout => 'bullets', title => $text,
                       bullets => [$bullet] }] });
}


# A photo of red, green, blue and magenta quarters, from the upper left one on,
# and what is seen of it when it is turned as EXIF's numbers 1 to 8 say.

my $photo = decode_base64(
    '/9j/2wBDAAgQEBMQExYWFhYWFhoYGhsbGxoaGhobGxsdHR0iIiIdHR0b'
    . 'Gx0dICAiIiUmJSMjIiMmJigoKDAwLi44ODpFRVP/xABNAAEBAAAAAAAA'
    . 'AAAAAAAAAAAGBwEBAQEAAAAAAAAAAAAAAAAACAcGEAEAAAAAAAAAAAAA'
    . 'AAAAAAAAEQEAAAAAAAAAAAAAAAAAAAAA/8AAEQgAEAAgAwESAAISAAMS'
    . 'AP/aAAwDAQACEQMRAD8AFiDKFUv41l4gKpVEoNa8iQWFQlJrFokK5UBS'
    . 'az//2Q==');

our @turned = qw(RGBM GRMB MBGR BMRG RBGM BRMG MGBR GMRB);


# A deck of it, a slide for each of these.

sub turned {
    my $data = sub {
        my ($turn) = @_;
        my $exif = "Exif\0\0II*\0" . pack 'VvvvVvvV', 8, 1, 0x112, 3, 1,
            $turn, 0, 0;

        return 'data:image/jpeg;base64,' . encode_base64(
            "\xff\xd8\xff\xe1" . pack('n', 2 + length $exif) . $exif
            . substr($photo, 2), '');
    };

    return { presentation_title => 'Photos', locale => 'en', slides => [
        map { { layout => 'image', title => "Turn $_", image => {
            data => $data->($_), alt => 'quarters' } } } 1 .. 8] };
}


# The quarters of the photo on a page of a PDF, as they are seen.

sub quarters {
    my ($pdf, $page) = @_;

    my $image = qx{pdftoppm -r 20 -f $page -singlefile '$pdf'};
    my ($width) = $image =~ /\AP6\s+(\d+)\s/;
    my (%n, %x, %y);

    $image =~ s/\AP6\s+\d+\s+\d+\s+\d+\s//;

    for my $i (0 .. length($image) / 3 - 1) {
        my $seen = join '', map { $_ > 200 ? 1 : $_ < 60 ? 0 : 'x' }
            unpack 'CCC', substr $image, 3 * $i, 3;
        my $name = { 100 => 'R', '010' => 'G', '001' => 'B',
                     101 => 'M' }->{$seen} // next;

        $n{$name}++;
        $x{$name} += $i % $width;
        $y{$name} += int $i / $width;
    }

    my @names = grep { $n{$_} } qw(R G B M);

    return "only @names" if @names < 4;

    for my $name (@names) {
        $_ /= $n{$name} for $x{$name}, $y{$name};
    }

    # above the others, then left of the other one

    @names = sort { $y{$a} <=> $y{$b} } @names;

    return join '', map { sort { $x{$a} <=> $x{$b} } @$_ }
        [@names[0, 1]], [@names[2, 3]];
}


# If the sentences of against() are in a PDF as they are read.

sub in_order {
    my ($pdf, $language) = @_;

    my $words = qx{pdftotext -bbox '$pdf' -};
    my @x = map { $words =~ /xMin="([\d.]+)"[^>]*>[^<\w]*$_\b/ ? $1 : -1 }
        qw(Alpha Beta Gamma Delta Omega Sigma);

    return 0 if grep { $_ < 0 } @x;

    @x = map { -$_ } @x if $language eq 'en';

    return $x[0] < $x[1] && $x[1] < $x[2] && $x[3] < $x[4] && $x[4] < $x[5];
}


1;
