# What applicant tracking systems are built on reads our CVs: each string, in
# the order of the page, out of five extractors of text, in both languages.

use lib 't/lib';
use v5.30;
use warnings;
use utf8;

use Pulse::Documents qw(found missing request slurp);
use Pulse::Env;
use Pulse::Ooxml;
use Test::More;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

# Debian's Python, for which python3-docx is packaged

my $python = '/usr/bin/python3';

my $missing = missing();
plan skip_all => $missing if defined $missing;


# 31 of a CV of t/docs/requests

sub probes {
    my ($cv) = @_;

    return (
        @{$cv}{qw(full_name title email phone)}, 'layan.example/cv',
        $cv->{summary},
        (map { $_->{title}, $_->{company}, @{ $_->{highlights} } }
             @{ $cv->{experience} }),
        (map { @{$_}{qw(degree institution)} } @{ $cv->{education} }),
        (map { $_->{name}, @{ $_->{keywords} } } @{ $cv->{skills} }),
        (map { @{$_}{qw(name description)} } @{ $cv->{projects} }),
        (map { $_->{name} } @{ $cv->{certifications} }),
        (map { @{$_}{qw(language level)} } @{ $cv->{languages} }),
    );
}


sub python_docx {
    my ($file) = @_;

    return qx{$python -c 'import docx, sys
for p in docx.Document(sys.argv[1]).paragraphs:
    sys.stdout.buffer.write((p.text + "\\n").encode())' '$file'};
}


sub mammoth {
    my ($file) = @_;

    local $ENV{NODE_PATH} = "$Pulse::Env::root/t/sdk/node_modules";
    local $ENV{NODE_OPTIONS} = '';

    return qx{node -e 'require("mammoth").extractRawText(
        { path: process.argv[1] }).then(r => console.log(r.value))' '$file'};
}


# each is there, or the reason why not

my %extractors = (
    pandoc => {
        missing => missing('pandoc'),
        text => sub { qx{pandoc '$_[0]' -t plain --wrap=none} },
    },
    docx2txt => {
        missing => missing('docx2txt'),
        text => sub { qx{docx2txt '$_[0]' - 2> /dev/null} },
    },
    'python-docx' => {
        missing => system("$python -c 'import docx' 2> /dev/null")
                   ? 'no python3-docx' : undef,
        text => \&python_docx,
    },
    mammoth => {
        missing => -d "$Pulse::Env::root/t/sdk/node_modules/mammoth"
                   ? missing('node') : 'no mammoth (make sdk)',
        text => \&mammoth,
    },
    libreoffice => {
        missing => missing('soffice'),
        text => undef,
    },
);

my @templates = qw(classic modern compact);
my %cvs = (ar => request('cv-ar.json'), en => request('cv-en.json'));
my (@wanted, %language);

for my $language (qw(ar en)) {
    for my $template (@templates) {
        my $name = "$language-$template";

        push @wanted, {
            name => $name, kind => 'docx',
            request => { %{ $cvs{$language} }, template => $template }
        };
        $language{$name} = $language;
    }
}

my $set = Pulse::Documents->draw(@wanted);

if (!defined $extractors{libreoffice}{missing}) {
    $set->convert('txt:Text (encoded):UTF8',
                  map { "$_.docx" } sort keys %language);

    $extractors{libreoffice}{text} = sub {
        slurp($set->converted($_[0] =~ s{.*/}{}r =~ s{docx$}{txt}r))
    };
}

is(scalar(my @probes = probes($cvs{$_})), 31, "31 strings of $_")
    for qw(ar en);

for my $name (sort keys %extractors) {
    my $extractor = $extractors{$name};

    SKIP: {
        skip $extractor->{missing}, scalar keys %language
            if defined $extractor->{missing};

        for my $file (sort keys %language) {
            my ($n, $lost)
                = found(scalar $extractor->{text}($set->file("$file.docx")),
                      probes($cvs{$language{$file}}));

            is($n, 31, "$name: $file")
                or diag('first lost: ' . ($lost // 'none'));
        }
    }
}


# Written again by others they say the same, in the same direction.

subtest 'round trips' => sub {
    my $why = $extractors{libreoffice}{missing}
              // $extractors{'python-docx'}{missing}
              // $extractors{pandoc}{missing};

    plan skip_all => $why if defined $why;

    my @names = map { "$_-modern.docx" } qw(ar en);

    $set->convert('docx:MS Word 2007 XML', @names);

    for my $name (@names) {
        my ($file, $again) = ($set->file($name), $set->file("again-$name"));

        system($python, '-c', 'import docx, sys
docx.Document(sys.argv[1]).save(sys.argv[2])', $file, $again);

        for my $copy ($set->converted($name), $again) {
            my ($n, $lost) = found(scalar $extractors{pandoc}{text}->($copy),
                                   probes($cvs{substr $name, 0, 2}));

            is($n, 31, $copy) or diag('first lost: ' . ($lost // 'none'));

            my $body = Pulse::Ooxml->read($copy)->{parts}{'word/document.xml'};
            my @turned = $body =~ m{<w:bidi(?: w:val="(?:1|true)")?/>}g;

            $name =~ /^ar/ ? cmp_ok(scalar @turned, '>', 20, 'from the right')
                           : cmp_ok(scalar @turned, '<', 3, 'from the left');
        }
    }
};

done_testing();
