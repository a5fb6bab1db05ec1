# What we write keeps the schemas of Office Open XML and the rules beyond
# them, and LibreOffice opens all of it: CVs of each template and decks of
# each theme and ratio with each layout, in both languages.

use lib 't/lib';
use v5.30;
use warnings;
use utf8;

use JSON::PP ();
use Pulse::Documents qw(against found in_order missing quarters request slurp
                        turned @turned);
use Pulse::Env;
use Pulse::Ooxml;
use Test::More;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $missing = missing();
plan skip_all => $missing if defined $missing;

my (@wanted, %language);


sub want {
    my ($language, $kind, $name, $request) = @_;

    push @wanted, { name => "$name-$language", kind => $kind,
                    request => $request };
    $language{"$name-$language.$kind"} = $language;
}


for my $language (qw(ar en)) {
    my $cv = request("cv-$language.json");
    my $deck = request("deck-$language.json");

    for my $template (qw(classic modern compact)) {
        want($language, 'docx', "cv-$template",
             { %$cv, template => $template });
    }

    for my $theme (qw(classic modern dark minimal)) {
        for my $ratio (qw(16:9 4:3)) {
            want($language, 'pptx', "deck-$theme-" . $ratio =~ s/:/-/r,
                 { %$deck, theme => $theme, ratio => $ratio });
        }
    }
}

for my $language (qw(ar en)) {
    my ($cv, $deck) = against($language);

    push @wanted,
        { name => "against-cv-$language", kind => 'docx', request => $cv },
        { name => "against-deck-$language", kind => 'pptx',
          request => $deck };
}

push @wanted, { name => 'turned', kind => 'pptx', request => turned() };

my @against = qw(against-cv-ar.docx against-cv-en.docx against-deck-ar.pptx
                 against-deck-en.pptx);
my $set = Pulse::Documents->draw(@wanted);
my @files = sort keys %language;
my %read = map { $_ => Pulse::Ooxml->read($set->file($_)) }
           @files, @against, 'turned.pptx';

my @all = (@files, @against, 'turned.pptx');

for my $file (@all) {
    my @faults = $read{$file}->faults;

    is("@faults", '', "$file keeps the rules");
}


# The rules are such that can be broken.

subtest 'faults are found' => sub {
    my $text = slurp($set->file('deck-dark-16-9-en.pptx'));

    for my $break (
        ['ppt/slides/slide2.xml', 's/id="3"/id="2"/', qr/shapes: 2 twice/],
        ['ppt/slides/slide8.xml', 's/<a:tc>.*?<\/a:tc>//', qr/cells for 3/],
        ['ppt/slides/slide7.xml', 's/rIdImage1/rIdNone/', qr/not related/],
        ['ppt/presentation.xml', 's/id="256"/id="200"/', qr/below 256/],
        ['[Content_Types].xml', 's/slide3.xml/slide99.xml/',
         qr/slide3.xml has no type|slide99.xml, which is not there/],
        ['ppt/slides/_rels/slide4.xml.rels', 's/slideLayouts/nowhere/',
         qr/no ppt\/nowhere/],
    ) {
        my ($part, $change, $fault) = @$break;
        my $read = Pulse::Ooxml->read(\$text);

        $_ = $read->{parts}{$part};
        eval "$change; 1" or die $@;
        $read->{parts}{$part} = $_;

        like(join(' ', $read->faults), $fault, "$part: $change");
    }
};

SKIP: {
    my $why = Pulse::Ooxml::missing() // missing('xmllint');

    skip $why, 1 if defined $why;

    my @faults = Pulse::Ooxml::invalid(suite_dir() . '/parts',
                                       @read{@all});

    is(join('', @faults[0 .. ($#faults > 20 ? 20 : $#faults)]), '',
       'every part keeps its schema');
}


# What the requests have is what openapi.json says that they may have.

subtest 'requests are described' => sub {
    my $schemas = JSON::PP::decode_json(slurp(
        "$Pulse::Env::root/conf/openapi.json"))->{components}{schemas};

    my $named;
    $named = sub {
        my ($value, $schema, $where) = @_;

        $schema = $schemas->{ $1 }
            if ($schema->{'$ref'} // '') =~ m{^#/components/schemas/(\w+)$};

        if (ref $value eq 'HASH') {
            for my $key (sort keys %$value) {
                my $member = $schema->{properties}{$key};

                ok(defined $member, "$where/$key");
                $named->($value->{$key}, $member // {}, "$where/$key");
            }
        } elsif (ref $value eq 'ARRAY') {
            $named->($_, $schema->{items} // {}, "$where/*") for @$value;
        } elsif ($schema->{enum}) {
            ok(scalar(grep { $_ eq $value } @{ $schema->{enum} }),
               "$where: $value");
        }
    };

    $named->(request('cv-en.json'), $schemas->{CvRequest}, '');
    $named->(request('deck-en.json'), $schemas->{SlidesRequest}, '');
};


# Pages and their text; none with a lam before an alef, the ligature of which
# LibreOffice's PDFs map to its letters in the wrong order.

my %titles = (
    'cv-en' => [qw(Summary Experience Education Skills Projects Certifications
                   Languages)],
    'cv-ar' => ['الملخص المهني', 'الخبرة العملية', 'التعليم', 'المهارات',
                'المشاريع', 'الشهادات', 'اللغات'],
    'deck-en' => ['Launch of Pulse', 'Why now?', 'Goals of the quarter',
                  'A picture', 'Before and', 'Text and', 'The new design',
                  'Budget', 'Bars', 'Columns', 'Lines', 'Pie',
                  'The best we tried'],
    'deck-ar' => ['لماذا', 'أهداف الربع', 'صورة مع نقاط', 'قبل وبعد',
                  'نص وصورة', 'التصميم الجديد', 'الميزانية', 'أشرطة', 'أعمدة',
                  'خطوط', 'دائرة', 'أفضل ما'],
);

SKIP: {
    my $why = missing('soffice', 'pdftotext', 'pdfinfo', 'pdftoppm');

    skip $why, @turned + @against + 2 * @files if defined $why;

    $set->convert('pdf', @all);

    is(quarters($set->converted('turned.pdf'), $_), $turned[$_ - 1],
       "a photo of turn $_ is upright") for 1 .. 8;

    for my $file (@against) {
        my ($language) = $file =~ /-(\w+)\.\w+$/;

        ok(in_order($set->converted($file =~ s/\w+$/pdf/r), $language),
           "$file: sentences against it are as they are read");
    }

    for my $file (@files) {
        my $pdf = $set->converted($file =~ s/\w+$/pdf/r);
        my ($pages) = (qx{pdfinfo '$pdf' 2>&1} =~ /^Pages: *(\d+)/m);

        if ($file =~ /^cv/) {
            ok($pages && $pages <= 2, "$file: a page or two");
        } else {
            is($pages, 13, "$file: all slides");
        }

        my @titles = @{ $titles{$file =~ s/-.*-/-/r =~ s/\.\w+$//r} };
        my ($n, $lost) = found(scalar qx{pdftotext '$pdf' -}, @titles);

        is($n, scalar @titles, "$file: the order of its text")
            or diag("first lost: $lost");
    }
}

done_testing();
