# A simulator that finds nothing shows nothing: each of these mistakes is made
# in a copy of the sources, and the simulator must find it.

use v5.30;
use warnings;

use lib 't/lib';

use File::Copy qw(copy);
use Pulse::Env;
use Test::More;

my $root = $Pulse::Env::root;
my $build = $ENV{PULSE_BUILD} // 'build';
my $archive = "$build/unit/plain/pure.a";
my $dir = suite_dir();

# name, file, what stands there, what is put in its place

my @mutants = (
    ['more is reserved than is free', 'ngx_pulse_account.c',
     'ngx_min(want, ngx_pulse_lease_free(lease))', 'want'],

    ['an older total replaces a newer one', 'ngx_pulse_account.c',
     'if (granted > lease->granted)', 'if (granted)'],

    ['what is reserved is given back', 'ngx_pulse_account.c',
     'lease->returned += amount - keep;',
     'lease->returned += amount - keep + lease->reserved;'],

    ['a slot is freed that is another\'s', 'ngx_pulse_meter.c',
     'if (!ngx_pulse_meter_ended(res, id)) {',
     'if (res->state == NGX_PULSE_METER_FREE) {'],

    ['a lease of an unknown period is spent', 'ngx_pulse_meter.c',
     'if (store->granted && account->lease.granted == 0) {', 'if (0) {'],

    ['an answer of the last period is taken', 'ngx_pulse_node.c',
     'if (grant->period < account->period) {', 'if (0) {'],

    ['a first grant survives the giving up', 'ngx_pulse_node.c',
     "    if (account->present) {\n        account->retired",
     "    if (account->present && account->lease.granted) {\n"
     . '        account->retired'],

    ['an orphan costs nothing', 'ngx_pulse_node.c',
     'ngx_pulse_meter_settle(m, res, res->progress',
     'ngx_pulse_meter_settle(m, res, 0 * res->progress'],

    ['a replay forgets the estimate', 'ngx_pulse_node.c',
     'record->amount = record->estimate;', ''],

    ['a journal is freed before the disk has its end',
     'ngx_pulse_journal.c', 'if (synced < floor->written) {', 'if (0) {'],

    ['half a record at the end of a read is skipped',
     'ngx_pulse_journal.c', '*used = hold;', '*used = len;'],

    ['what is extended is more than is free', 'ngx_pulse_meter.c',
     'ngx_pulse_lease_reserve(&lease, amount, amount) == 0',
     'ngx_pulse_lease_reserve(&lease, amount, 1) == 0'],

    ['what is extended is not reserved', 'ngx_pulse_meter.c',
     '    res->record.reserved += amount;', ''],

    ['a node that may be given up extends', 'sim_request.c',
     'request->extended || w->now - node->seen > SIM_TTL',
     'request->extended'],

    ['that others hold it is no reason to wait', 'ngx_pulse_node.c',
     'return ngx_pulse_meter_room(account, min) ?', 'return 0 ?'],

    ['two nodes keep a half each', 'sim_store.c',
     '(free < question->least) ? 0 : taken', 'taken'],

    ['the store grants what is not free', 'sim_store.c',
     'taken = ngx_min(free, ngx_max(question->need, most));',
     'taken = ngx_max(question->need, most);'],

    ['the ledger takes an event twice', 'sim_store.c',
     'if (w->store.ledger[row->request]) {', 'if (0) {'],

    ['an older return replaces a newer one', 'sim_store.c',
     'total = ngx_max(lease->totals.returned, row->totals.returned);',
     'total = row->totals.returned;'],

    ['that a node was given up is told once', 'sim_store.c',
     "    node->closed = 0;\n    node->seen = w->now;\n\n"
     . '    message->lost = node->lost;',
     "    message->lost = node->closed ? node->lost : 0;\n"
     . "    node->closed = 0;\n    node->seen = w->now;\n"],
);

# make knows its targets by the name that it has for the directory

chdir $root or die "$root: $!\n";

is(system("make -s BUILD='$build' '$archive' '$build/unit/plain/unit.o'"), 0,
   'the sources are built');

for my $mutant (@mutants) {
    my ($name, $file, $from, $to) = @$mutant;
    my ($source) = grep { -f } "$root/ngx_pulse_usage/$file",
                               "$root/t/sim/$file";
    my $text = slurp($source);

    # a mistake that cannot be made any more is to be taken out of the list

    my $made = index $text, $from;

    if ($made < 0) {
        fail("$name: its place is gone");
        next;
    }

    substr($text, $made, length $from) = $to;

    my $said = simulate($file, $text, 20_000_000);

    like($said, qr/^seed \d+, step \d+: /, "found: $name");
}

like(simulate('sim_store.c', slurp("$root/t/sim/sim_store.c"), 6_000_000),
     qr/^1 passed, 0 failed/m, 'and nothing without one');

done_testing();


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!\n";
    local $/;

    return scalar <$in>;
}


sub simulate {
    my ($file, $text, $steps) = @_;

    for my $source (glob "$root/t/sim/*.[ch]") {
        copy($source, $dir) or die "$source: $!\n";
    }

    unlink glob "$dir/ngx_pulse_*.c";

    open my $out, '>', "$dir/$file" or die "$file: $!\n";
    print $out $text;
    close $out;

    my $nginx = '/usr/share/nginx/src/src';
    my $include = join ' ', map { "-I '$_'" }
        "$root/t/c", (grep { -d } glob "$root/ngx_pulse_*"),
        "$root/ngx_pulse_gateway/dialects", "$build/nginx",
        map { "$nginx/$_" } qw(core event event/modules os/unix);

    my $cc = $ENV{CC} // 'cc';

    return qx{$cc -w -O1 $include -o '$dir/mutant' '$dir'/*.c \\
                  '$build/unit/plain/unit.o' '$archive' \\
                  -lyajl -lcrypto -lm 2>&1 \\
              && timeout 180 '$dir/mutant' 1 $steps 2>&1};
}
