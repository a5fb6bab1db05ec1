package Pulse::Process;

# What the tests start: by pid, so that nothing else is ever touched.

use v5.30;
use warnings;

use Exporter qw(import);
use Fcntl qw(F_SETFD FD_CLOEXEC LOCK_EX LOCK_NB);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(file_limit free_port is_alive patience pause_process reap
                    spawn stop_process wait_until);

my $owner = $$;
my %running;                    # pid => signal that ends it well


# spawn(command => [...], output => file, env => {}, user => name,
#     dir => path, ends => 'TERM') returns the pid.  It gets that signal when
# we end, and from the kernel if we are killed.

sub spawn {
    my %o = @_;

    my $parent = $$;
    my $ends = $o{ends} // 'TERM';
    my @command = ('setpriv', "--pdeathsig=$ends", @{ $o{command} });
    my $pid = fork() // die "fork() failed: $!\n";

    if ($pid) {
        $running{$pid} = $ends;
        return $pid;
    }

    $SIG{$_} = 'DEFAULT' for qw(INT TERM PIPE CHLD);

    open STDIN, '<', '/dev/null' or POSIX::_exit(126);

    if (defined $o{output}) {
        open STDOUT, '>>', $o{output} or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
    }

    # a session of its own: Ctrl-C stops the tests, and they stop the rest

    POSIX::setsid();

    if (defined $o{user} && $> == 0) {
        my ($uid, $gid) = (getpwnam $o{user})[2, 3];

        POSIX::_exit(125) if !defined $uid;

        $) = "$gid $gid";
        $( = $gid;
        $< = $> = $uid;
    }

    if (defined $o{dir}) {
        chdir $o{dir} or POSIX::_exit(126);
    }

    my $env = $o{env} // {};

    for my $name (keys %$env) {
        if (defined $env->{$name}) {
            $ENV{$name} = $env->{$name};

        } else {
            delete $ENV{$name};
        }
    }

    POSIX::_exit(124) if getppid() != $parent;

    { no warnings 'exec'; exec { $command[0] } @command; }

    print STDERR "exec of $command[0] failed: $!\n";
    POSIX::_exit(127);
}


# When to give something up.  That is red, and costs a green run nothing: so
# it is later than the studio itself gives up anything in ten seconds, on a
# slow machine too.  Less than a second is no limit but a pause.

sub patience {
    my ($limit) = @_;

    $limit = 30 if !defined $limit || $limit >= 1 && $limit < 30;

    return $limit * ($ENV{PULSE_TEST_PATIENCE} // 1);
}


# Polls a condition instead of sleeping; returns what it said, or undef.

sub wait_until (&;$) {
    my ($condition, $limit) = @_;

    my $deadline = time + patience($limit);
    my $pause = 0.005;

    for ( ;; ) {
        my $value = $condition->();

        return $value if $value;
        return undef if time >= $deadline;

        sleep $pause;
        $pause *= 1.5 if $pause < 0.1;
    }
}


# A child of ours that ended is still to be waited for: (status) or ().

my %status;

sub reap {
    my ($pid) = @_;

    return $status{$pid} if exists $status{$pid};

    my $got = waitpid $pid, WNOHANG;

    return () if $got == 0;

    $status{$pid} = $got == $pid ? $? : 0;
    delete $running{$pid};

    return $status{$pid};
}


sub is_alive {
    my ($pid) = @_;

    my @status = reap($pid);

    return @status == 0;
}


# Returns when every thread of them stands still: on a machine that is busy the
# signal comes before that.

sub pause_process {
    my @pids = @_;

    kill STOP => @pids;

    return wait_until { !grep { runs($_) } @pids };
}


sub runs {
    my ($pid) = @_;

    for my $stat (glob "/proc/$pid/task/*/stat") {
        open my $in, '<', $stat or next;

        return 1 if (<$in> // '') =~ /^\d+ \(.*\) [RSD] /;
    }

    return 0;
}


# Sends a signal and waits; returns the wait status, or undef when it had to
# be killed.

sub stop_process {
    my ($pid, $signal, $limit) = @_;

    kill CONT => $pid;
    kill $signal => $pid;

    if (wait_until { !is_alive($pid) } $limit // 10) {
        return reap($pid);
    }

    kill KILL => -$pid, $pid;
    wait_until { !is_alive($pid) } 5;

    return undef;
}


# What a suite left running, those first that end by this signal.

sub stop_all {
    my ($signal) = @_;

    for my $pid (sort { $b <=> $a } keys %running) {
        next if defined $signal && $running{$pid} ne $signal;

        stop_process($pid, $running{$pid}, 10);
    }
}


END {
    if ($$ == $owner) {
        local $?;

        stop_all();
    }
}


# A port below the ephemeral range, so that no client connection takes it;
# the lock keeps suites that run at the same time apart.

my %locks;

# The size that files of these processes may have, as if a disk were full; 0
# if that cannot be set.

sub file_limit {
    my ($size, @pids) = @_;

    return !grep {
        system("prlimit --pid=$_ --fsize=$size:unlimited 2> /dev/null") != 0
    } @pids;
}


sub free_port {
    my $dir = '/tmp/pulse-ports';

    mkdir $dir, 01777;

    for (1 .. 1000) {
        my $port = 10000 + int rand 22000;

        open my $lock, '>>', "$dir/$port" or next;
        fcntl $lock, F_SETFD, FD_CLOEXEC;

        next if !flock $lock, LOCK_EX | LOCK_NB;

        my $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1,
            ReuseAddr => 1, Proto => 'tcp') or next;

        close $socket;

        $locks{$port} = $lock;

        return $port;
    }

    die "no free port found\n";
}


1;
