package Pulse::Wire;

# The connection between a sidecar and Postgres, cut where a test says: the
# sidecar is killed before a statement reaches the server, or after the server
# has done it and before the sidecar hears.
#
#     my $wire = Pulse::Wire->start;
#     my $sidecar = Pulse::Sidecar->start(database => $wire->conninfo);
#     $wire->kill_at($sidecar->pid, step => 2, when => 'after');
#     ... make a job ...
#     $wire->hit;                             # true if it came to that
#
# Steps are the statements of one job: 0 takes it, 1 is its first one, and so
# on.  "match" is a text instead, of any statement.

use v5.30;
use warnings;

use IO::Socket::UNIX;
use POSIX ();
use Pulse::Env ();


sub start {
    my ($class) = @_;

    my $dir = Pulse::Env::suite_dir() . '/wire';
    my ($host, $rest) = $ENV{TEST_NGINX_PULSE_PG} =~ /^host=(\S+) (.*)/;

    mkdir $dir;

    my $self = bless {
        dir => $dir, conninfo => "host=$dir $rest",
        server => "$host/.s.PGSQL.5432", owner => $$,
    }, $class;

    my $listen = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432",
                                       Listen => 64)
        or die "wire: $!\n";

    $self->{pid} = fork() // die "fork() failed: $!\n";

    if ($self->{pid} == 0) {
        POSIX::setpgid(0, 0);
        $SIG{CHLD} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';

        while (my $client = $listen->accept) {
            next if fork();

            close $listen;
            $self->connection($client);
            POSIX::_exit(0);
        }

        POSIX::_exit(0);
    }

    return $self;
}


sub conninfo { $_[0]{conninfo} }


sub kill_at {
    my ($self, $pid, %o) = @_;

    unlink "$self->{dir}/hit", "$self->{dir}/over";

    open my $out, '>', "$self->{dir}/arm.new" or die "wire: $!\n";
    print $out join "\n", $pid, $o{step} // '', $o{when}, $o{match} // '';
    close $out;

    rename "$self->{dir}/arm.new", "$self->{dir}/arm" or die "wire: $!\n";
}


# The same, and nobody is killed: the connection alone breaks.

sub cut_at {
    my ($self, %o) = @_;

    $self->kill_at(0, %o);
}


sub hit { -e "$_[0]{dir}/hit" }


# A job has ended since, and all its steps were looked at: its state is to be
# seen before that.

sub over { -e "$_[0]{dir}/over" }


sub disarm {
    my ($self) = @_;

    unlink map { "$self->{dir}/$_" } qw(arm hit over);
}


# --- in the process of a connection

sub connection {
    my ($self, $client) = @_;

    my $server = IO::Socket::UNIX->new(Peer => $self->{server}) or return;
    my $step;                           # of the job at hand, if any

    my $startup = read_startup($client) // return;

    print_all($server, $startup);

    my $jobs = $startup =~ /pulse-jobs/;

    print_all($client, read_until($server, 'Z') // return);

    return $self->relay($client, $server) if !$jobs;

    for ( ;; ) {
        my $request = read_until($client, 'QSX') // return;

        last if $request =~ /\AX/;

        $step++ if defined $step;
        $self->perhaps($step, 'before', $request);

        print_all($server, $request);

        my $reply = read_until($server, 'Z') // return;

        # a row: there was one to be taken

        $step = 0 if $request =~ /job_take/ && has_row($reply);

        $self->perhaps($step, 'after', $request);

        if (defined $step && $request =~ /\AQ....COMMIT/s) {
            $step = undef;
            open my $over, '>', "$self->{dir}/over";
        }

        print_all($client, $reply);
    }
}


sub armed {
    my ($self) = @_;

    open my $in, '<', "$self->{dir}/arm" or return;
    local $/;

    my %arm;

    @arm{qw(pid step when match)} = split /\n/, <$in>, -1;

    return \%arm;
}


sub perhaps {
    my ($self, $step, $when, $request) = @_;

    my $arm = $self->armed // return;

    return if $arm->{when} ne $when;

    if (length $arm->{match}) {
        return if index($request, $arm->{match}) < 0;

    } else {
        return if !defined $step || $step != $arm->{step};
    }

    # first of all connections, and told before anybody can see it

    rename "$self->{dir}/arm", "$self->{dir}/hit" or return;
    kill KILL => $arm->{pid} if $arm->{pid};

    # what the server has begun for it ends as for any client that is gone

    POSIX::_exit(0);
}


# Here the server may speak at any time: notifications.

sub relay {
    my ($self, $client, $server) = @_;

    for ( ;; ) {
        my $read = '';

        vec($read, fileno $_, 1) = 1 for $client, $server;
        select $read, undef, undef, undef;

        if (vec $read, fileno $server, 1) {
            sysread $server, my $bytes, 65536 or return;
            print_all($client, $bytes);
        }

        next if !vec $read, fileno $client, 1;

        my $request = read_until($client, 'QSX') // return;

        $self->perhaps(undef, 'before', $request);
        print_all($server, $request);

        last if $request =~ /\AX/;

        my $reply = read_until($server, 'Z') // return;

        $self->perhaps(undef, 'after', $request);
        print_all($client, $reply);
    }
}


sub read_startup {
    my ($socket) = @_;

    my $length = read_exactly($socket, 4) // return;

    return $length . (read_exactly($socket, unpack('N', $length) - 4)
                      // return);
}


# Whole messages up to one of these types.

sub read_until {
    my ($socket, $types) = @_;

    my $all = '';

    for ( ;; ) {
        my $head = read_exactly($socket, 5) // return;
        my ($type, $length) = unpack 'a N', $head;

        $all .= $head . (read_exactly($socket, $length - 4) // return);

        return $all if index($types, $type) >= 0;
    }
}


sub has_row {
    my ($messages) = @_;

    while (length $messages) {
        my ($type, $length) = unpack 'a N', $messages;

        return 1 if $type eq 'D';

        substr $messages, 0, 1 + $length, '';
    }

    return 0;
}


sub read_exactly {
    my ($socket, $n) = @_;

    my $all = '';

    while ($n > length $all) {
        my $got = sysread $socket, $all, $n - length $all, length $all;

        return if !$got;
    }

    return $all;
}


sub print_all {
    my ($socket, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $sent = syswrite($socket, $bytes) // POSIX::_exit(0);

        substr $bytes, 0, $sent, '';
    }
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;

    kill TERM => -$pid;
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;

    local $?;

    $self->stop if $self->{owner} == $$;
}


1;
