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

    my $session = Pulse::Postgres::Session->start($self->conninfo($database));

    return rows($session->run($statement));
}


# The same in a session that is kept for the next statement and as good as
# new then: a psql and a backend cost more than what most suites ask of them.
# For a database that nobody has to be out of.

sub sql_kept {
    my ($self, $database, $statement) = @_;

    my $conninfo = $self->conninfo($database);
    my $session = $self->{kept}{$conninfo};
    my $said;

    if (defined $session && $session->{owner} == $$) {
        $said = $session->run($statement);
    }

    # there is none of this process, or Postgres was gone meanwhile

    if (!defined $said) {
        $session = Pulse::Postgres::Session->start($conninfo);
        $self->{kept}{$conninfo} = $session;
        $said = $session->run($statement);
    }

    delete $self->{kept}{$conninfo} if $session->{over};

    return rows($said);
}


sub rows {
    my ($said) = @_;

    die "psql:\n$said->{text}" if $said->{failed};

    my @rows = split /\n/, $said->{text}, -1;

    pop @rows;

    return wantarray ? @rows : $rows[0];
}


sub remove {
    my ($self) = @_;

    delete $self->{kept};
    $self->stop;
    remove_tree($self->{dir}, { error => \my $ignored });
}


package Pulse::Postgres::Session;

# A psql that is told statements, and says where each begins and ends.

use IO::Select ();
use IPC::Open3 ();
use Pulse::Process qw(patience);
use Time::HiRes qw(time);

my $begins = 'psql: here it begins';
my $ends = 'psql: here it ends';


sub start {
    my ($class, $conninfo) = @_;

    my $pid = IPC::Open3::open3(my $in, my $out, undef, 'psql', '-XAtq', '-v',
                                'ON_ERROR_STOP=1', '-d', $conninfo, '-f',
                                '-');

    binmode $_ for $in, $out;

    return bless { pid => $pid, in => $in, out => $out, said => '',
                   owner => $$, statements => 0 }, $class;
}


# {text, failed}; undef if the session was over before the statement began,
# which then was not done.  It is over after an error, and after a transaction
# that is left open.

sub run {
    my ($self, $statement) = @_;

    local $SIG{PIPE} = 'IGNORE';

    utf8::encode($statement);
    print { $self->{in} } "DISCARD ALL;\n\\echo '$begins'\n$statement\n;\n"
                          . "\\echo '$ends'\nDISCARD ALL;\n";

    my $early = $self->said_before($begins);

    return undef if $self->{over} && $self->{statements};

    my $text = $self->{over} ? $early : $self->said_before($ends);

    $self->{statements}++;
    utf8::decode($text);

    return { text => $text, failed => $self->{over} };
}


# A transaction that this begins, and that lasts until end('COMMIT') or
# end('ROLLBACK').  Nothing is run() here any more.

sub begin {
    my ($self, $statement) = @_;

    return $self->within("BEGIN;\n$statement");
}


sub end { $_[0]->within($_[1]) }


sub within {
    my ($self, $statement) = @_;

    print { $self->{in} } "$statement\n;\n\\echo '$ends'\n";

    my $said = $self->said_before($ends);

    die "psql:\n$said" if $self->{over};

    return $self;
}


# What psql says before this line, or at all when it ends or time is up.

sub said_before {
    my ($self, $line) = @_;

    my $limit = patience(60);
    my $deadline = time + $limit;
    my $why = '';

    for ( ;; ) {
        return $1 if $self->{said} =~ s/\A(.*?)^\Q$line\E\n//ms;

        my $left = $deadline - time;

        if ($left <= 0) {
            $why = "no answer in $limit s\n";
            last;
        }

        next if !IO::Select->new($self->{out})->can_read($left);

        sysread $self->{out}, $self->{said}, 65536, length $self->{said}
            or last;
    }

    $self->{over} = 1;

    return $self->{said} . $why;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local ($?, $!);

    close $self->{in};
    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;
}


1;
