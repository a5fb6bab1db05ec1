# The stores of a worker: what fails, how it is told, and that it heals.

use lib 't/lib';
use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Nginx;
use Pulse::Process qw(pause_process spawn stop_process);
use Test::More;

my $workers = 2;

# long enough that what is stopped for a moment is not given up on

my $timeout = 2 * ($ENV{PULSE_TEST_PATIENCE} // 1) . 's';
my $socket = suite_dir() . '/sidecar.sock';

my $nginx = Pulse::Nginx->new(workers => $workers, http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" connections=2 timeout=$timeout;
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS} timeout=$timeout;
    pulse_sidecar unix:$socket;
HTTP
    config => <<'CONFIG')->run;
    location = /ready { pulse_api; }
    location = /v1/plans { pulse_api; }
CONFIG


# Until both workers say the same: which one answers is the kernel's choice,
# so many ask at the same time.

sub becomes {
    my ($status, $data, $name) = @_;

    my @last;

    my $got = wait_until {
        my @clients = map { Pulse::Client->connect(port => $nginx->port) }
                          1 .. 12;

        $_->request(GET => '/ready') for @clients;
        @last = map { $_->response } @clients;

        return !grep { $_->{status} ne $status } @last;
    } 15;

    ok($got, "$name: $status");
    is_deeply($last[0]{json}{data}, $data, "$name: says which");
}


sub comes (&$) {
    my ($condition, $name) = @_;

    ok(&wait_until($condition, 15), $name);
}


sub lines {
    my ($pattern) = @_;

    return scalar grep { $_ =~ $pattern } @{ $nginx->error_log };
}


# An outage is two lines in a worker that met it, however many requests did.

sub told_once {
    my ($part, $name) = @_;

    my $down = qr/pulse $part: unavailable: /;
    my $up = qr/pulse $part: available again/;

    comes { lines($up) == lines($down) } "$name: told when it is over";

    my %told;

    $told{/ (\d+)#/ ? $1 : ''}++ for grep { /$down/ } @{ $nginx->error_log };

    ok(%told && !grep({ $_ != 1 } values %told), "$name: told once");

    $nginx->mark;
}


sub sidecar {
    my $pid = spawn(output => suite_dir() . '/sidecar.log', command => [
        'perl', '-MIO::Socket::UNIX', '-e', <<'PERL', $socket]);
            $SIG{PIPE} = 'IGNORE';
            unlink $ARGV[0];
            my $l = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 64);
            while (my $c = $l->accept) {
                1 while defined($_ = <$c>) && /\S/;
                print $c "HTTP/1.0 200 OK\r\n\r\n{}";
            }
PERL

    wait_until { -S $socket } 5;

    return $pid;
}


my %up = (postgres => 'ok', redis => 'ok', sidecar => 'ok');
my $sidecar = sidecar();

becomes(200, \%up, 'all is well');

is(lines(qr/pulse \w+: (?:unavailable|connection lost)/), 0,
   'a start is no outage');


# the sidecar

pause_process($sidecar);
becomes(503, { %up, sidecar => 'down' }, 'the sidecar is stopped');

kill CONT => $sidecar;
becomes(200, \%up, 'it goes on');

stop_process($sidecar, 'KILL', 5);
becomes(503, { %up, sidecar => 'down' }, 'it was killed');

$sidecar = sidecar();
becomes(200, \%up, 'it is back');

$nginx->mark;


# Redis

redis->stop('KILL');
becomes(503, { %up, redis => 'down' }, 'Redis was killed');

redis->start;
becomes(200, \%up, 'Redis is back');
told_once('redis', 'Redis was killed');

redis->pause;
becomes(503, { %up, redis => 'down' }, 'Redis hangs');
comes { lines(qr/pulse redis: unavailable: no answer in time/) == $workers }
    'a link that hangs is given up, in use or not';

redis->resume;
becomes(200, \%up, 'Redis goes on');
told_once('redis', 'Redis hangs');


# Postgres

my $mine = "application_name = 'pulse' AND backend_type = 'client backend'";

is(sql("SELECT count(*) FROM pg_stat_activity WHERE $mine"), 2 * $workers,
   'as many connections as were asked for');

sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $mine");

becomes(200, \%up, 'backends were terminated');
comes { sql("SELECT count(*) FROM pg_stat_activity WHERE $mine")
            == 2 * $workers }
    'all of them are there again';
told_once('postgres', 'backends were terminated');

sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $mine
     LIMIT 1");

comes { lines(qr/pulse postgres: connection lost: /) == 1 }
    'one of several is told of as well';
becomes(200, \%up, 'the others serve');
is(lines(qr/pulse postgres: unavailable/), 0, 'which is no outage');

$nginx->mark;

postgres->stop('QUIT');
becomes(503, { %up, postgres => 'down' }, 'Postgres crashed');

postgres->start;
becomes(200, \%up, 'Postgres is back');
told_once('postgres', 'Postgres crashed');

postgres->pause;
becomes(503, { %up, postgres => 'down' }, 'Postgres hangs');
comes { lines(qr/pulse postgres: unavailable: no answer in time/) >= 1 }
    'connections that owe an answer are given up';

postgres->resume;
becomes(200, \%up, 'Postgres goes on');
told_once('postgres', 'Postgres hangs');


# a statement that waits for a lock

my $waits = "$mine AND wait_event_type = 'Lock'";
my $lock = transaction('LOCK TABLE plans');

is(http(GET => '/v1/plans', port => $nginx->port)->{json}{error}{code},
   'STORE_UNAVAILABLE', 'no answer in time');

comes { sql("SELECT count(*) FROM pg_stat_activity WHERE $waits") == 0 }
    'the server ends what nobody waits for';

becomes(200, \%up, 'the connection serves on');
is(lines(qr/pulse postgres: (?:unavailable|connection lost)/), 0,
   'as the one it was');

$lock->end('ROLLBACK');

is(http(GET => '/v1/plans', port => $nginx->port)->{status}, 200,
   'no lock, no wait');


# a schema that the module does not fit

my $new = "ALTER FUNCTION usage_plan RENAME TO usage_plan_of_another_version";
my $old = "ALTER FUNCTION usage_plan_of_another_version RENAME TO usage_plan";

sql($new);
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $mine");

becomes(503, { %up, postgres => 'down' }, 'a function is missing');
comes { lines(qr/unavailable: statement "usage_plan": function usage_plan/) }
    'the log names the statement';

sql($old);
becomes(200, \%up, 'it is there');

comes { sql("SELECT count(*) FROM pg_stat_activity WHERE $mine")
            == 2 * $workers }
    'and all connections are';

$nginx->mark;


# clients that leave while their requests are suspended, for as long as it takes

my $http = $nginx->{http};

$nginx->{http} =~ s/timeout=\w+/timeout=60s/g;
$nginx->reload;
becomes(200, \%up, 'with more patience');

postgres->pause;

my @clients = map { Pulse::Client->connect(port => $nginx->port) } 1 .. 24;

$_->request(GET => '/ready') for @clients;
$_->leave for @clients[0 .. 7];
$_->reset for @clients[8 .. 15];

comes { grep(/ "GET \/ready HTTP\/1.1" 499 /, @{ $nginx->access_log }) >= 16 }
    'their requests end with them';

postgres->resume;

is(scalar(grep { $_->response->{status} == 200 } @clients[16 .. 23]), 8,
   'the late answers are for those that stayed');

becomes(200, \%up, 'and nobody was hurt');

$nginx->{http} = $http;
$nginx->reload;


# reload under load

my $load = fork // die "fork: $!\n";

if (!$load) {
    my ($all, $bad) = (0, 0);

    local $SIG{TERM} = sub { Test::More->builder->no_ending(1);
                             require POSIX;
                             POSIX::_exit($bad || !$all ? 1 : 0) };

    for ( ;; ) {
        my $reply = eval { http(GET => '/ready', port => $nginx->port) };

        $all++;
        $bad++ if !$reply || $reply->{status} ne '200';
    }
}

for (1 .. 3) {
    ok($nginx->reload, 'reload under load');
}

kill TERM => $load;
waitpid $load, 0;
is($?, 0, 'no request saw it');

is(scalar(my @now = $nginx->workers), $workers, 'the old workers ended');


# a worker that dies leaves nothing behind, its successor starts anew

$nginx->excuse('exited on signal 9');

kill KILL => ($nginx->workers)[0];
comes { (() = $nginx->workers) == $workers }
    'a killed worker is replaced';
becomes(200, \%up, 'the new one serves');


# what is suspended does not outlive its time, nor keep a worker

postgres->pause;

my $left = Pulse::Client->connect(port => $nginx->port);

$left->request(GET => '/ready');
$left->heard;

is($nginx->stop('QUIT'), undef, 'a graceful end waits for the answer');
is($left->response->{status}, 503, 'which is that there is none');

$nginx->run;

comes { lines(qr/pulse postgres: unavailable: connect timed out/) >= 1 }
    'a store that accepts but does not speak is no store';

postgres->resume;
becomes(200, \%up, 'and then it speaks');
postgres->pause;

my @late = map { Pulse::Client->connect(port => $nginx->port) } 1 .. 8;

$_->request(GET => '/ready') for @late;
$_->heard for @late;

is($nginx->stop('TERM'), undef, 'a fast end with requests under way');

postgres->resume;
stop_process($sidecar, 'TERM', 5);

is_deeply([$nginx->problems], [], 'the log is clean');

done_testing();
