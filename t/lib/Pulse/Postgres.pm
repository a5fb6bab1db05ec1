package Pulse::Postgres;

# A private cluster: unix socket only, nothing synced, gone afterwards.

use v5.30;
use warnings;

use File::Path qw(make_path remove_tree);
use Pulse::Process qw(is_alive pause_process spawn stop_process
                      wait_until);

my $user = 'pulse';


sub new {
    my ($class, $dir) = @_;

    my $self = bless {
        dir  => $dir,
        data => "$dir/data",
        bin  => do { chomp(my $bin = `pg_config --bindir`); $bin },
        as   => $> == 0 ? 'postgres' : undef,
    }, $class;

    make_path($dir);

    if (defined $self->{as}) {
        my ($uid, $gid) = (getpwnam $self->{as})[2, 3];

        chown $uid, $gid, $dir or die "chown of $dir failed: $!\n";
    }

    return $self;
}


sub dir { $_[0]{dir} }
sub pid { $_[0]{pid} }


sub conninfo {
    my ($self, $database) = @_;

    return "host=$self->{dir} dbname=$database user=$user";
}


sub initialize {
    my ($self) = @_;

    my $pid = spawn(
        command => ["$self->{bin}/initdb", '-D', $self->{data}, '-U', $user,
                    '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync',
                    '--no-instructions'],
        output => "$self->{dir}/initdb.log", user => $self->{as}, dir => '/');

    waitpid $pid, 0;

    die "initdb failed, see $self->{dir}/initdb.log\n" if $? != 0;

    return $self;
}


# Nothing is synced, as only a crash of the machine would show; but what was
# committed is written, so that a crash of Postgres loses none of it.

sub start {
    my ($self) = @_;

    $self->{pid} = spawn(
        command => ["$self->{bin}/postgres", '-D', $self->{data},
                    '-k', $self->{dir}, '-c', 'listen_addresses=',
                    '-c', 'fsync=off', '-c', 'full_page_writes=off',
                    '-c', 'shared_buffers=32MB',
                    '-c', 'max_connections=200', '-c', 'autovacuum=off',
                    '-c', 'timezone=UTC', '-c', 'log_min_messages=warning'],
        output => "$self->{dir}/postgres.log", user => $self->{as},
        dir => '/', ends => 'INT');

    my $up = wait_until {
        die "Postgres ended, see $self->{dir}/postgres.log\n"
            if !is_alive($self->{pid});

        my $conninfo = $self->conninfo('postgres');

        -S "$self->{dir}/.s.PGSQL.5432"
            && qx{timeout 5 psql -XAtq -d '$conninfo' -c 'SELECT 1' 2>&1}
               eq "1\n";
    } 20;

    die "Postgres did not start, see $self->{dir}/postgres.log\n" if !$up;

    return $self;
}


# "INT" is Postgres' fast shutdown, "QUIT" its crash.

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return;

    # the postmaster is continued first, its children may be paused as well

    kill CONT => $pid, $self->backends($pid);
    stop_process($pid, $signal // 'INT', 20);
}


sub backends {
    my ($self, $postmaster) = @_;

    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;

        if ($line =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $postmaster) {
            push @pids, $1;
        }
    }

    return @pids;
}


# Every process of it: a postmaster alone would leave its backends at work.

sub pause {
    my ($self) = @_;

    pause_process($self->{pid}, $self->backends($self->{pid}));
}


sub resume {
    my ($self) = @_;

    kill CONT => $self->{pid}, $self->backends($self->{pid});
}


# Rows as strings with fields separated by "|"; in scalar context the first.
# Dies with what Postgres says, or when it says nothing: one that is paused
# would be waited for without an end.

sub sql {
    my ($self, $database, $statement) = @_;

    my $limit = 60 * ($ENV{PULSE_TEST_PATIENCE} // 1);
    my @command = ('timeout', $limit, 'psql', '-XAtq', '-v',
                   'ON_ERROR_STOP=1', '-d', $self->conninfo($database),
                   '-f', '-');

    require IPC::Open3;
    local $SIG{PIPE} = 'IGNORE';

    my $pid = IPC::Open3::open3(my $in, my $out, undef, @command);

    binmode $_, ':utf8' for $in, $out;
    print $in $statement;
    close $in;

    my @rows = <$out>;

    waitpid $pid, 0;
    chomp @rows;

    push @rows, "no answer in $limit s" if $? >> 8 == 124;

    die join("\n", 'psql:', @rows) . "\n" if $? != 0;

    return wantarray ? @rows : $rows[0];
}


sub remove {
    my ($self) = @_;

    $self->stop;
    remove_tree($self->{dir}, { error => \my $ignored });
}


1;
