# That the runner fails when it must: each suite below is run by itself, and
# what it says is what is tested.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env;
use Test::More;

plan skip_all => "the original Test::Nginx is installed"
    if grep { -f "$_/Test/Nginx/Socket.pm" } grep { !/stand-in/ } @INC;


# Runs a suite made of these blocks; its output and status.

sub suite {
    my ($blocks, $before) = @_;

    my $file = suite_dir() . '/inner.t';

    open my $out, '>', $file or die "$file: $!\n";
    print $out "use lib 't/lib';\nuse Pulse::Env;\n",
               "use Test::Nginx::Socket 'no_plan';\n", $before // '',
               "run_tests();\n__DATA__\n\n$blocks";
    close $out;

    local %ENV = %ENV;
    delete @ENV{qw(TEST_NGINX_SERVER_PORT TEST_NGINX_SERVROOT)};
    $ENV{TEST_NGINX_LOAD_MODULES} = '';
    $ENV{PULSE_RUN_DIR} = suite_dir();

    my $said = qx{"$^X" "$file" 2>&1};

    return ($said, $? >> 8);
}


my ($said, $status) = suite(<<'BLOCKS');
=== TEST 1: all is well
--- config
    location = /a { return 200 "a"; }
--- request
GET /a
--- response_body eval: "a"
BLOCKS

is($status, 0, 'a green suite is green') or diag($said);


# What fails once, run by t/lib/run with PULSE_TEST_AGAIN.

sub run_again {
    my ($perl) = @_;

    my $file = suite_dir() . '/once.t';
    my $flag = suite_dir() . '/once';

    unlink $flag;

    open my $out, '>', $file or die "$file: $!\n";
    print $out "use Pulse::Env;\nuse Test::More;\n",
               "my \$again = -e '$flag';\n",
               "open my \$flag, '>', '$flag' or die;\n",
               "$perl;\npass('all else');\ndone_testing();\n";
    close $out;

    my $all = qx{t/lib/run "$file" 2>&1};

    return (split /\n/, $all)[-1];
}

{
    local $ENV{PULSE_TEST_AGAIN} = 1;

    my $once = q(ok($again, 'the second time'));
    my $complaint = q(Pulse::Env::complain('a lease is open') if !$again);

    is(run_again($once), '2 passed, 0 failed', 'asked again, it is well');
    is(run_again("$once; $complaint"), '1 passed, 2 failed',
       'what every suite is asked is asked once');
    is(run_again(q(die if !$again)), '0 passed, 1 failed',
       'nor is one that broke off');
    is(run_again(q(fail('always'))), '1 passed, 1 failed', 'no third time');

    $ENV{PULSE_TEST_AGAIN} = 0;
    is(run_again($once), '1 passed, 1 failed', 'unless it is wanted');
}


my %wrong = (
    'a wrong code'     => "--- error_code: 201\n",
    'a wrong body'     => "--- response_body eval: \"b\"\n",
    'no such body'     => "--- response_body_like: b\n",
    'a wrong header'   => "--- response_headers\nContent-Length: 2\n",
    'a missing header' => "--- response_headers\nX-Missing: 1\n",
    'a header too many' => "--- response_headers\n! Server\n",
    'no such line'     => "--- error_log\nnever said\n",
    'an unwanted line' => "--- no_error_log\nusing\n",
    'an unknown section' => "--- response_bodi\na\n",
);

for my $what (sort keys %wrong) {

    # what never comes is waited for

    local $ENV{PULSE_TEST_PATIENCE} = 0.1 if $what eq 'no such line';

    ($said, $status) = suite(<<"BLOCKS");
=== TEST 1: $what
--- config
    location = /a { return 200 "a"; }
--- request
GET /a
$wrong{$what}
BLOCKS

    isnt($status, 0, $what);
}


($said, $status) = suite(<<'BLOCKS');
=== TEST 1: an answer that never ends
--- config
    location = /a { limit_rate 1; return 200 "slow answer"; }
--- request
GET /a
--- timeout: 0.2
BLOCKS

isnt($status, 0, 'a client that waits in vain');
like($said, qr/client socket timed out/, 'says so');


# the shell writes into the log what nginx would

($said, $status) = suite(<<'BLOCKS', <<'BEFORE');
=== TEST 1: an alert
--- config
    location = /a { return 200 "a"; }
--- request
GET /a
--- response_body eval: "a"
BLOCKS
add_test_cleanup_handler(sub {
    open my $log, '>>', server_root() . '/logs/error.log' or die;
    print $log "2026/01/01 00:00:00 [alert] 1#1: open socket #3 left\n";
});
BEFORE

isnt($status, 0, 'an alert in the log');
like($said, qr/open socket #3 left/, 'is shown');


($said, $status) = suite(<<'BLOCKS', <<'BEFORE');
=== TEST 1: a worker that dies
--- config
    location = /a { return 200 "a"; }
--- request
GET /a
--- response_body eval: "a"
BLOCKS
add_test_cleanup_handler(sub {
    open my $in, '<', server_root() . '/logs/nginx.pid' or die;
    chomp(my $master = <$in>);
    my ($worker) = map { m{/proc/(\d+)/} } grep {
        open my $stat, '<', $_;
        (<$stat> // '') =~ /^\d+ \(.*\) \S $master /;
    } glob '/proc/[0-9]*/stat';
    kill KILL => $worker;
    wait_until { !-d "/proc/$worker" } 5;
});
BEFORE

isnt($status, 0, 'a worker that dies');
like($said, qr/exited on signal 9/, 'is shown');

done_testing();
