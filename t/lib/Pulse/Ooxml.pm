package Pulse::Ooxml;

# What an Office Open XML package has to keep that readers trip over: the
# schemas of ISO 29500-4, by xmllint, and the rules that no schema says.
#
#     my @faults = Pulse::Ooxml->read('a.pptx')->faults;
#     my @faults = Pulse::Ooxml::invalid($directory, @packages);

use v5.30;
use warnings;

use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use IO::Uncompress::Unzip qw($UnzipError);

my $drawing = 'http://schemas.openxmlformats.org/drawingml/2006';
my $office = 'http://schemas.openxmlformats.org/officeDocument/2006';
my $package = 'http://schemas.openxmlformats.org/package/2006';

# by the name space of the part's root

my %schemas = (
    'http://schemas.openxmlformats.org/wordprocessingml/2006/main'
        => 'iso29500-4/wml.xsd',
    'http://schemas.openxmlformats.org/presentationml/2006/main'
        => 'iso29500-4/pml.xsd',
    'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
        => 'iso29500-4/sml.xsd',
    "$drawing/main"  => 'iso29500-4/dml-main.xsd',
    "$drawing/chart" => 'iso29500-4/dml-chart.xsd',
    "$office/extended-properties"
        => 'iso29500-4/shared-documentPropertiesExtended.xsd',
    "$package/metadata/core-properties" => 'opc/opc-coreProperties.xsd',
    "$package/content-types"            => 'opc/opc-contentTypes.xsd',
    "$package/relationships"            => 'opc/opc-relationships.xsd',
);


# Why there are no schemas, or undef.

sub missing {
    my $xsd = "$Pulse::Env::shared/data/xsd";

    return -d $xsd ? undef : 'no schemas (PULSE_SHARED)';
}


# A file, or its bytes.

sub read {
    my ($class, $file) = @_;

    my $self = bless { name => ref $file ? 'embedded' : basename($file),
                       names => [], parts => {} }, $class;

    my $zip = IO::Uncompress::Unzip->new($file)
        or die "$self->{name}: $UnzipError\n";

    for (my $more = 1; $more > 0; $more = $zip->nextStream) {
        my $name = $zip->getHeaderInfo->{Name};
        my $text = '';

        1 while $zip->read($text, 65536, length $text) > 0;

        push @{ $self->{names} }, $name;
        $self->{parts}{$name} = $text;
    }

    return $self;
}


sub names { return @{ $_[0]{names} } }
sub part  { return $_[0]{parts}{$_[1]} }


sub faults {
    my ($self) = @_;

    $self->{faults} = [];

    $self->types;
    $self->relationships($_) for grep { /\.rels$/ } $self->names;
    $self->presentation if defined $self->part('ppt/presentation.xml');
    $self->shapes($_) for grep { m{^ppt/\w+/\w+\.xml$} } $self->names;

    for my $name (grep { /\.xlsx$/ } $self->names) {
        push @{ $self->{faults} }, map { "$name: $_" }
            Pulse::Ooxml->read(\$self->{parts}{$name})->faults;
    }

    return @{ $self->{faults} };
}


sub fault {
    my ($self, $text) = @_;

    push @{ $self->{faults} }, "$self->{name}: $text";
}


# Each part has a type, each type that is said for a part has it.

sub types {
    my ($self) = @_;

    my $types = $self->part('[Content_Types].xml') // '';
    my %default = $types =~ /<Default Extension="(\w+)" ContentType="([^"]+)"/g;
    my %override
        = $types =~ /<Override PartName="([^"]+)" ContentType="([^"]+)"/g;
    my %seen;

    $self->fault('the types do not come first')
        if ($self->names)[0] ne '[Content_Types].xml';

    for my $name ($self->names) {
        $self->fault("$name is there twice") if $seen{$name}++;

        $self->fault("$name has no type")
            if !defined $override{"/$name"}
               && !defined $default{$name =~ s{.*\.}{}r};
    }

    for my $part (sort keys %override) {
        $self->fault("a type for $part, which is not there")
            if !$seen{substr $part, 1};
    }
}


# Targets are there, ids are unique, and what a part refers to is among them.

sub relationships {
    my ($self, $name) = @_;

    my $base = dirname(dirname($name));
    my $source = ($base eq '.' ? '' : "$base/") . basename($name, '.rels');
    my %ids;

    for my $relationship ($self->part($name) =~ /<Relationship ([^>]+)>/g) {
        my %attribute = $relationship =~ /(\w+)="([^"]*)"/g;

        $self->fault("$name: $attribute{Id} twice") if $ids{$attribute{Id}}++;
        $self->fault("$name: $attribute{Id} is outside")
            if defined $attribute{TargetMode};

        my $target = "$base/$attribute{Target}";

        $target =~ s{^\./}{};
        1 while $target =~ s{[^/]+/\.\./}{};

        $self->fault("$name: no $target") if !defined $self->part($target);

        push @{ $self->{targets}{$source}{$attribute{Type} =~ s{.*/}{}r} },
            $target;
    }

    my $text = $self->part($source) // '';

    while ($text =~ /\br:(?:id|embed|link)="([^"]+)"/g) {
        $self->fault("$source: r:id $1 is not related") if !$ids{$1};
    }
}


sub presentation {
    my ($self) = @_;

    my $text = $self->part('ppt/presentation.xml');
    my $master = $self->part('ppt/slideMasters/slideMaster1.xml') // '';
    my @slides = $text =~ /<p:sldId id="(\d+)"/g;
    my @layouts = ("$text$master" =~ /<p:sld(?:Master|Layout)Id id="(\d+)"/g);

    $self->unique('slides', @slides);
    $self->unique('masters and layouts', @layouts);

    $self->fault("slide id $_ is below 256") for grep { $_ < 256 } @slides;
    $self->fault("layout id $_ is below 2^31")
        for grep { $_ < 2147483648 } @layouts;

    $self->fault('the order of lists of the presentation')
        if $text !~ /<p:sldMasterIdLst>.*<p:notesMasterIdLst>.*<p:sldIdLst>/;
    $self->fault('the layouts come before the map of colors')
        if $master !~ /<p:clrMap .*<p:sldLayoutIdLst>/;

    for my $name (grep { m{^ppt/slides/\w+\.xml$} } $self->names) {
        $self->related($name, slideLayout => 1);
    }

    for my $name (grep { m{^ppt/notesSlides/\w+\.xml$} } $self->names) {
        $self->related($name, slide => 1);
        $self->related($name, notesMaster => 1);
    }

    for my $name (grep { m{^ppt/(?:slide|notes)Masters/\w+\.xml$} }
                  $self->names)
    {
        $self->related($name, theme => 1);
    }

    $self->unique('themes', map { @{ $_->{theme} // [] } }
                            @{ $self->{targets} }{
                                grep { /Master/ } keys %{ $self->{targets} }
                            });
}


sub related {
    my ($self, $name, $type, $n) = @_;

    my $found = @{ $self->{targets}{$name}{$type} // [] };

    $self->fault("$name: $found of $type, not $n") if $found != $n;
}


# What is on a slide, a layout or a master.

sub shapes {
    my ($self, $name) = @_;

    my $text = $self->part($name);

    $self->unique("$name: shapes", $text =~ /<p:cNvPr id="(\d+)"/g);

    $self->fault("$name: a text without a paragraph")
        if $text =~ m{<a:lstStyle/></(?:p|a):txBody>};
    $self->fault("$name: an empty line or picture")
        if $text =~ m{<a:(?:ln|blip)/>};
    $self->fault("$name: a picture without words")
        if $text =~ /<p:pic><p:nvPicPr><p:cNvPr(?![^>]* descr="[^"])/;

    $self->fault("$name: no title")
        if $name =~ m{^ppt/slides/}
           && $text !~ /<p:ph type="(?:ctrT|t)itle"\/>/;

    while ($text =~ m{<a:tbl>(.*?)</a:tbl>}gs) {
        my $table = $1;
        my $columns = () = $table =~ /<a:gridCol /g;

        while ($table =~ m{<a:tr (.*?)</a:tr>}gs) {
            my $cells = () = $1 =~ /<a:tc>/g;

            $self->fault("$name: $cells cells for $columns columns")
                if $cells != $columns;
        }
    }
}


sub unique {
    my ($self, $what, @ids) = @_;

    my %seen;

    $self->fault("$what: $_ twice") for grep { $seen{$_}++ == 1 } @ids;
}


# What the schemas say against the parts of packages: one xmllint a schema.

sub invalid {
    my ($directory, @packages) = @_;

    my (%files, @faults);

    for my $read (@packages) {
        for my $name (grep { /\.(?:xml|rels)$/ } $read->names) {
            my $text = $read->part($name);
            my ($prefix) = $text =~ /\?>\s*<(\w+:)?\w/;
            my $attribute = defined $prefix ? "xmlns:$prefix" : 'xmlns:';
            my ($space)
                = $text =~ /\b${\ ($attribute =~ s{:$}{}r)}="([^"]+)"/;

            if (!defined $schemas{$space // ''}) {
                push @faults, "$read->{name}: $name: no schema for it";
                next;
            }

            my $file = "$directory/$read->{name}/$name";

            make_path(dirname($file));

            open my $out, '>:raw', $file or die "$file: $!\n";
            print $out $text;
            close $out;

            push @{ $files{$schemas{$space}} }, $file;
        }
    }

    for my $schema (sort keys %files) {
        my $list = "$directory/list";

        open my $out, '>', $list or die "$list: $!\n";
        print $out join '', map { "$_\0" } @{ $files{$schema} };
        close $out;

        # by its real name: it imports others, which name theirs from there

        my $xsd = "$ENV{TEST_NGINX_PULSE_SHARED}/data/xsd/$schema";
        my $command = "xargs -0 xmllint --nonet --noout --schema '$xsd'";
        my @said = qx{$command < '$list' 2>&1};
        my $valid = grep { / validates$/ } @said;

        push @faults, grep { !/ validates$/ } @said;
        push @faults, "$schema: $valid of " . @{ $files{$schema} }
            if $valid != @{ $files{$schema} };
    }

    return map { s/\Q$directory\E\///r } @faults;
}


1;
