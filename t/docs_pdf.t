
# PDFs as Poppler reads them: text in its order, outline, links, fonts, tags,
# and pictures of every template and theme that look as they did.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Compress::Zlib qw(compress crc32);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Pulse::Documents qw(against found in_order missing quarters request slurp
                        turned @turned);
use Pulse::Env;
use Test::More;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $missing = missing(qw(pdftotext pdfinfo pdffonts pdftoppm pdftohtml));
plan skip_all => $missing if defined $missing;

my (@wanted, @names);

for my $language (qw(ar en)) {
    my $cv = request("cv-$language.json");
    my $deck = request("deck-$language.json");

    push @wanted, map({ { name => "cv-$_-$language", kind => 'pdf',
                          request => { %$cv, template => $_ } } }
                      qw(classic modern compact)),
                  map({ { name => "deck-$_-$language", kind => 'pdf',
                          request => { %$deck, theme => $_ } } }
                      qw(classic modern dark minimal));
}

# what has no end in sight: 50 pages of a CV, as many slides as there may be

my $cv = request('cv-en.json');
my ($job) = @{ $cv->{work} // $cv->{experience} };
my $jobs = exists $cv->{work} ? 'work' : 'experience';
my $lines = [map { 'Did the work of the week, and wrote of it. ' x 9 } 1 .. 20];

sub long {
    my ($n) = @_;

    return { %$cv, $jobs => [({ %$job, highlights => $lines }) x $n] };
}

sub slides {
    my ($n) = @_;

    my $deck = request('deck-en.json');
    my @plain = grep { ($_->{layout} // '') =~ /bullets|table|chart/ }
        @{ $deck->{slides} };

    return { %$deck, slides => [map { $plain[$_ % @plain] } 1 .. $n] };
}

push @wanted, { name => 'long', kind => 'pdf', request => long(30) },
    { name => 'long', kind => 'docx', request => long(30) },
    { name => 'slides', kind => 'pdf', request => slides(200) },
    { name => 'slides', kind => 'pptx', request => slides(200) };

for my $language (qw(ar en)) {
    my ($cv, $deck) = against($language);

    push @wanted,
        { name => "against-cv-$language", kind => 'pdf', request => $cv },
        { name => "against-deck-$language", kind => 'pdf', request => $deck };
}

# what would end the string that an address is in a PDF, and go on

my $links = {
    full_name => 'Omar Nasser', email => 'omar@studio.example', title => 'x',
    summary => 'y', locale => 'en', links => [
        'https://a.example/wiki/C_(language)', 'https://a.example/b)',
        'https://a.example/)/S/JavaScript/JS(app.alert(1)',
        "https://a.example/o'clock\\", 'https://a.example/نور'],
};

push @wanted, { name => 'links', kind => 'pdf', request => $links },
    { name => 'turned', kind => 'pdf', request => turned() };

my $set = Pulse::Documents->draw(@wanted);
my @looked_at = grep { !/^(?:long$|slides$|links$|turned$|against-)/ }
                map { $_->{name} } @wanted;

sub says {
    my ($command, $name) = @_;

    my $file = $set->file("$name.pdf");

    return scalar qx{$command '$file' - 2>&1} if $command =~ /^pdftotext/;
    return scalar qx{$command '$file' 2>&1};
}


for my $name (@looked_at) {
    subtest $name => sub {
        my $info = says('pdfinfo', $name);
        my $arabic = $name =~ /-ar$/;

        like($info, qr/^Tagged: +yes/m, 'it is tagged');
        like(slurp($set->file("$name.pdf")),
             $arabic ? qr{/Lang \(ar\)} : qr{/Lang \(en\)}, 'and has a voice');
        unlike($info, qr/(?:Error|Warning)/, 'and is whole');
        like($info, qr/^Encrypted: +no/m);
        like($info, qr/^JavaScript: +no/m);
        like($info, qr/^Title: +\S/m);

        my @fonts = grep { /\byes|\bno/ } split /\n/,
            says('pdffonts', $name);

        ok(@fonts > 0, 'there are fonts');
        is(scalar(grep { !/ yes +yes +yes / } @fonts), 0,
           'all embedded, subset, and with a map to text') or diag @fonts;

        if ($name =~ /^cv/) {
            like(says('pdfinfo -struct', $name), qr/^ *H1\b/m, 'headings');
            like(says('pdfinfo -struct', $name), qr/^ *L\b/m, 'lists');
            like(says('pdfinfo -url', $name), qr/mailto:/, 'a link');

        } else {
            like(says('pdfinfo -struct', $name), qr/Figure/, 'figures');
        }

        my $outline = qx{pdftohtml -xml -i -stdout '@{[
            $set->file("$name.pdf")]}' 2>/dev/null};

        like($outline, qr/<outline>/, 'an outline');

        my @wanted = $arabic
            ? $name =~ /^cv/ ? ('الخبرة العملية', 'التعليم', 'اللغات')
                             : ('أهداف الربع', 'قبل وبعد', 'الميزانية')
            : $name =~ /^cv/ ? ('Experience', 'Education', 'Languages')
                             : ('Why now?', 'Goals of the quarter', 'Budget');
        my ($n, $lost) = found(says('pdftotext -enc UTF-8', $name), @wanted);

        is($n, 3, 'text in the order that it is read')
            or diag("first lost: $lost");
    };
}


for my $language (qw(ar en)) {
    ok(in_order($set->file("against-$_-$language.pdf"), $language),
       "$_-$language: sentences against it are as they are read")
        for qw(cv deck);
}


subtest 'addresses' => sub {
    my $said = says('pdfinfo -url', 'links');

    unlike($said, qr/Error|Warning/, 'none breaks the file');

    for my $url ('mailto:omar@studio.example',
                 'https://a.example/wiki/C_%28language%29',
                 'https://a.example/b%29', "https://a.example/o%27clock%5C",
                 'https://a.example/%D9%86%D9%88%D8%B1')
    {
        like($said, qr/ \Q$url\E$/m, $url);
    }

    unlike(slurp($set->file('links.pdf')), qr{\)/S/JavaScript},
           'none becomes a part of it');
    like(says('pdfinfo', 'links'), qr/^JavaScript: +no/m);
};


subtest 'photos are upright' => sub {
    is(quarters($set->file('turned.pdf'), $_), $turned[$_ - 1], "turn $_")
        for 1 .. 8;
};


subtest 'what is long' => sub {
    my ($pages) = says('pdfinfo', 'long') =~ /^Pages: +(\d+)/m;

    cmp_ok($pages, '>=', 50, "$pages pages of a CV");
    like(says('pdfinfo', 'slides'), qr/^Pages: +200$/m);

    # memory grows no faster than what is asked for

    my @peak = map {
        my $set = Pulse::Documents->draw(
            { name => 'a', kind => 'pptx', request => slides($_) });
        (split ' ', qx{$Pulse::Env::root/build/unit/plain/draw -n 1 '@{[
            $set->file('a.json')]}' '@{[$set->file('a.pptx')]}'})[2];
    } 20, 200;

    cmp_ok($peak[1], '<', 10 * $peak[0], "@peak kB for 20 and 200 slides");
    cmp_ok($peak[1], '<', 65536);
};


# What would end the address in the file, and what may not be in it.

subtest 'a link' => sub {
    my $set = Pulse::Documents->draw({ name => 'a', kind => 'pdf', request => {
        %$cv, links => ['https://layan.example/a)/b(c)/سيرة'] } });
    my $url = 'https://layan.example/a%29/b%28c%29/%D8%B3%D9%8A%D8%B1%D8%A9';

    ok(slurp($set->file('a.pdf')) =~ m{/URI \(\Q$url\E\)\s}, 'is ASCII');
    like(scalar qx{pdfinfo -url '@{[$set->file('a.pdf')]}' 2>&1},
         qr/ \Q$url\E$/m, 'is read as it is meant');
};


subtest 'numbers without an end' => sub {
    my @values = ([1.7e308, -1.7e308], [5e-324, 0]);
    my @slides = map {
        my $type = $_;

        map { { title => $type, layout => 'chart', chart => {
                type => $type, categories => ['a', 'b'],
                series => [{ name => 's', values => $_ }] } } } @values;
    } qw(bar column line);

    my $set = Pulse::Documents->draw({ name => 'a', kind => 'pdf', request => {
        presentation_title => 'Numbers', locale => 'en',
        slides => \@slides } });
    my $text = qx{pdftotext '@{[$set->file('a.pdf')]}' - 2>&1};

    like($text, qr/1\.79769e\+308/, 'have an axis');
    unlike($text, qr/nan|inf/i, 'whose numbers are some');
};


# 450 MB of text beside one pixel

subtest 'a picture that unpacks to far more' => sub {
    my $chunk = sub {
        my ($type, $data) = @_;

        return pack('N', length $data) . $type . $data
               . pack('N', crc32("$type$data"));
    };

    my $png = "\x89PNG\r\n\x1a\n"
        . $chunk->('IHDR', pack('NNCCCCC', 1, 1, 8, 2, 0, 0, 0))
        . $chunk->('zTXt', "a\0\0" . compress('x' x 7_500_000)) x 60
        . $chunk->('IDAT', compress("\0\x20\x60\xa0")) . $chunk->('IEND', '');

    my $set = Pulse::Documents->draw({ name => 'a', kind => 'pdf', request => {
        presentation_title => 'Picture', slides => [{ title => 'One',
            image => { alt => 'a', data => 'data:image/png;base64,'
                                           . encode_base64($png, '') } }] } });
    my $peak = (split ' ', qx{$Pulse::Env::root/build/unit/plain/draw -n 1 '@{[
        $set->file('a.json')]}' '@{[$set->file('a.pdf')]}'})[2];

    like(scalar qx{pdfimages -list '@{[$set->file('a.pdf')]}'},
         qr/ image +1 +1 /, 'is drawn');
    cmp_ok($peak, '<', 204800, "in $peak kB");
};


# Kept as they were looked at, a letter for each of 24 by 32 spots (17 for
# slides): fonts may move by a little, a page that is mirrored, empty or of
# another color may not.  PULSE_PICTURES=write keeps what there is now.

subtest 'pictures' => sub {
    my $kept = "$Pulse::Env::root/t/docs/pictures.json";
    my $json = JSON::PP->new->canonical->pretty;
    my $old = -e $kept ? $json->decode(slurp($kept)) : {};
    my %new;

    for my $name (@looked_at) {
        my @pages = $name =~ /^cv/ ? 1 : (1, 3, 8, 9, 12);

        $new{"$name-$_"} = spots($name, $_) for @pages;
    }

    if (($ENV{PULSE_PICTURES} // '') eq 'write') {
        open my $out, '>', $kept or die "$kept: $!\n";
        print $out $json->encode(\%new);
        close $out;
        pass('written');
        return;
    }

    is_deeply([sort keys %new], [sort keys %$old], 'the same pages');

    for my $page (sort keys %new) {
        my $apart = apart($new{$page}, $old->{$page});

        cmp_ok($apart, '<', 6, "$page is as it was");
    }

    cmp_ok(apart($new{'cv-classic-ar-1'}, $new{'cv-classic-en-1'}), '>', 6,
           'and not as any other');
    cmp_ok(apart($new{'deck-classic-ar-1'}, $new{'deck-classic-en-1'}), '>',
           6);
    cmp_ok(apart($new{'deck-dark-en-3'}, $new{'deck-minimal-en-3'}), '>', 6);
};


# Brightness from "A" to "Z".

sub spots {
    my ($name, $page) = @_;

    my ($x, $y) = $name =~ /^cv/ ? (24, 32) : (32, 18);
    my $image = says("pdftoppm -gray -singlefile -f $page -scale-to-x $x"
                     . " -scale-to-y $y", $name);

    $image =~ s/\AP5\s+\d+\s+\d+\s+\d+\s//;

    return join '', map { chr(65 + int($_ * 25 / 255 + 0.5)) }
        unpack 'C*', $image;
}


# The mean difference of those spots that are not blank in both, in parts of a
# hundred.

sub apart {
    my ($one, $two) = @_;

    return 100 if !defined $two || length $one != length $two;

    my ($n, $sum) = (0, 0);

    for my $i (0 .. length($one) - 1) {
        my ($a, $b) = map { ord substr $_, $i, 1 } $one, $two;

        next if $a == $b && $a == 90;

        $n++;
        $sum += abs($a - $b);
    }

    return $n ? $sum / $n * 4 : 0;
}


done_testing();
