# docs/operations.md has what the gateway says: each text of its log lines,
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
    glob 'ngx_pulse_gateway/*.c ngx_pulse_gateway/dialects/*.c');
my ($lines, $names) = (0, 0);

# a line's longest run of words that is the same each time

while ($source =~ /log_error\(NGX_LOG_[^;]*?((?:"(?:[^"\\]|\\.)*"\s*)+)/gs) {
    my $text = join '', $1 =~ /"((?:[^"\\]|\\.)*)"/g;

    next if $text !~ s/^pulse (?:gateway|provider|models):? //;

    my ($words) = sort { length $b <=> length $a }
        split /\\?"?%[a-zA-Z]+\\?"?/, $text;

    $words =~ s/^[ :,]+|[ :,]+$//g;
    $words =~ s/\\"//g;
    $lines++;

    ok(index($docs, $words) >= 0, "the log: $text");
}

while ($source =~ /dropped_add\([^;"]*"([^"]+)"/g) {
    $names++;
    ok(index($docs, "`$1`") >= 0, "a warning: $1");
}

cmp_ok($lines, '>', 20, 'lines were found');
cmp_ok($names, '>', 20, 'and names');

done_testing();
