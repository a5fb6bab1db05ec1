package Pulse::Ctl;

# pulsectl on the suite's database.

use v5.30;
use warnings;

use Exporter qw(import);
use IPC::Open3 qw(open3);
use JSON::PP ();
use Symbol qw(gensym);

our @EXPORT_OK = qw(ctl ctl_json);


# ctl(WORDS) returns the exit status and what was printed and complained.

sub ctl {
    my @words = @_;

    my $build = $ENV{PULSE_BUILD} // "$Pulse::Env::root/build";
    local $ENV{PULSE_DATABASE} = $ENV{TEST_NGINX_PULSE_PG};

    my $pid = open3(my $in, my $out, my $err = gensym, "$build/pulsectl",
                    @words);

    close $in;
    local $/;

    my @said = (scalar <$out> // '', scalar <$err> // '');

    waitpid $pid, 0;

    return ($? >> 8, @said);
}


# What it printed with --json; dies unless it succeeded.

sub ctl_json {
    my ($status, $out, $err) = ctl(@_, '--json');

    die "pulsectl @_: $err" if $status != 0;

    return JSON::PP::decode_json($out);
}


1;
