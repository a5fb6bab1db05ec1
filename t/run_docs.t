# docs/operations.md has what the modules say: each text of their log lines,
# and each name that X-Pulse-Warning may bear.

use v5.30;
use warnings;

use Test::More;

sub slurp {
    my ($file) = @_;

    open my $f, '<', $file or die "$file: $!\n";
    local $/;
    return scalar readline $f;
}

my $docs = slurp('docs/operations.md');
my $source = join "\n", map { slurp($_) } sort(
    glob 'ngx_pulse_*/*.c ngx_pulse_gateway/dialects/*.c');
my ($lines, $names) = (0, 0);

# a line's longest run of words that is the same each time; what is wrong at
# the start is said then, and the documentation has that of the gateway only

while ($source =~ /log_error\(NGX_LOG_([A-Z]+)[^;]*?
                   ((?:"(?:[^"\\]|\\.)*"\s*)+)/gsx) {
    my $level = $1;
    my $text = join '', $2 =~ /"((?:[^"\\]|\\.)*)"/g;

    next if $text !~ s/^pulse (\w+):? //;
    next if $level eq 'EMERG' && $1 !~ /^(?:gateway|provider|models)$/;

    my ($words) = sort { length $b <=> length $a }
        split /\\?"?%[a-zA-Z]+\\?"?/, $text;

    $words =~ s/^[ :,]+|[ :,]+$//g;
    $words =~ s/\\"/"/g;
    $lines++;

    ok(index($docs, $words) >= 0 || index($docs, $words =~ s/"//gr) >= 0,
       "the log: $text");
}

while ($source =~ /dropped_add\([^;"]*"([^"]+)"/g) {
    $names++;
    ok(index($docs, "`$1`") >= 0, "a warning: $1");
}

cmp_ok($lines, '>', 60, 'lines were found');
cmp_ok($names, '>', 20, 'and names');

done_testing();
