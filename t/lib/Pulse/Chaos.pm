package Pulse::Chaos;

# Two nodes and a sidecar on one Postgres, a load on them, and faults by
# seed.  After each schedule all is healed, and the ledger is compared with
# what the clients were told.

use v5.30;
use warnings;

use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Process qw(file_limit pause_process stop_process wait_until);
use Pulse::Sidecar;
use Pulse::Spend;
use POSIX ();
use Time::HiRes qw(sleep);

my ($faketime) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

# name => [fault, its heal]; a fault returns false where it cannot be had

my %faults = (
    'kill a worker'            => [\&kill_worker],
    'stop a worker'            => [\&stop_worker, \&continue_worker],
    'kill a node'              => [\&kill_node, \&start_nodes],
    'stop a node'              => [\&stop_node, \&continue_node],
    'cut a journal'            => [\&cut_journal, \&start_nodes],
    'hide a journal'           => [\&hide_journal, \&show_journal],
    'reload a node'            => [sub { $_[1]->reload(draining => 1) }],
    'end a node'               => [\&end_node, \&start_nodes],
    'fill the disk'            => [\&fill_disk, \&free_disk],
    'set a clock'              => [\&set_clock, \&right_clock],
    'give a node up'           => [\&give_up],
    'kill Postgres'            => [\&kill_postgres, \&start_postgres],
    'kill a transaction'       => [\&kill_transaction],
    'cut the connections'      => [\&cut_connections],
    'stop Postgres'            => [\&stop_postgres, \&continue_postgres],
    'kill Redis'               => [sub { Pulse::Env::redis()->stop('KILL');
                                         1 },
                                   sub { Pulse::Env::redis()->start }],
    'stop Redis'               => [sub { Pulse::Env::redis()->pause; 1 },
                                   sub { Pulse::Env::redis()->resume }],
    'flush Redis'              => [\&flush_redis],
    'kill the sidecar'         => [sub { $_[0]{sidecar}->stop('KILL'); 1 },
                                   sub { $_[0]{sidecar}->run }],
    'stop the sidecar'         => [sub { $_[0]{sidecar}->pause; 1 },
                                   sub { $_[0]{sidecar}->resume }],
);

my @names = sort keys %faults;


sub new {
    my ($class) = @_;

    my $self = bless { count => {}, requests => 0, finished => 0,
                       refused => 0, excused_ends => 0 }, $class;

    $self->{sidecar} = Pulse::Sidecar->start(
        options => ['--lease-ttl', '6 seconds']);

    for my $name ('a', 'b') {
        my $clock = Pulse::Env::suite_dir() . "/clock-$name";
        clock($clock, '+0');

        my %env = sets_clocks()
            ? (env => { LD_PRELOAD => $faketime, FAKETIME_NO_CACHE => 1,
                        FAKETIME_TIMESTAMP_FILE => $clock,
                        FAKETIME_DONT_FAKE_MONOTONIC => 1 })
            : ();

        my $node = node(name => $name, log_level => 'notice', %env,
                        directives => 'pulse_lease_ttl 4s;
                                       pulse_lease_idle 1s;
                                       access_log off;',
                        env_names => [map { "FAKETIME_$_" }
                                      qw(NO_CACHE TIMESTAMP_FILE
                                         DONT_FAKE_MONOTONIC)]);

        # the limit of the size of files may cut the log's lines too

        $node->excuse('exited on signal 9',
                      qr/\[alert\] \d+#\d+: pulse journal: w/,
                      qr/\[alert\].*aborted/);
        $node->{chaos} = { name => $name, clock => $clock,
                           journal => journal($name) };

        push @{ $self->{nodes} }, $node;
    }

    return $self;
}


sub sets_clocks { defined $faketime }


# One schedule within its time.  Returns what was done, and complaints; one
# that breaks off tells the state that it leaves, and sets "broken".

sub schedule {
    my ($self, $seed) = @_;

    my $limit = 300 * ($ENV{PULSE_TEST_PATIENCE} // 1);

    $self->{done} = [];

    my @problems = eval {
        local $SIG{ALRM} = sub { die "not done in $limit s\n" };

        alarm $limit;
        $self->disturb($seed);
    };

    my $error = $@;

    alarm 0;

    if ($error) {
        $self->{broken} = 1;
        @problems = ("broken off: $error", $self->state);
    }

    return ($self->{done}, @problems);
}


# What runs or is stopped, and what Postgres is at.

sub state {
    my ($self) = @_;

    my $dir = Pulse::Env::suite_dir();
    my @lines = qx{ps -eo pid,ppid,stat,wchan:20,args};
    my %ours = map { $_->{pid} // 0 => 1 }
               @{ $self->{nodes} }, $self->{sidecar}, Pulse::Env::redis(),
               Pulse::Env::postgres();

    my @state = grep { /\Q$dir\E/ || /^\s*(\d+)\s+(\d+)/
                                     && ($ours{$1} || $ours{$2}) } @lines;

    chomp @state;

    push @state, eval {
        Pulse::Env::sql("SELECT pid, state, wait_event, left(query, 60)
                         FROM pg_stat_activity
                         WHERE datname = current_database()");
    };

    return @state;
}


# Up to four faults, in turn or at once, each for a while.

sub disturb {
    my ($self, $seed) = @_;

    srand $seed;

    my $limit = 500 + int rand 4000;
    my $user = Pulse::Env::make_user(plan => 'pro', tokens => $limit);
    my $load = $self->load($user, Pulse::Env::make_key($user), int rand 2**31);

    $self->{excused} = {};

    my @heals;

    for (1 .. 1 + int rand 4) {
        my $name = $names[int rand @names];
        my $node = $self->{nodes}[int rand 2];
        my ($fault, $heal) = @{ $faults{$name} };

        sleep rand 0.3;

        # two kinds of death of the same thing have nothing to kill

        next if grep { $_->[0] eq $name } @heals;
        next if !eval { $fault->($self, $node) };

        push @{ $self->{done} }, $name;
        push @heals, [$name, $heal, $node] if $heal;
        $self->{count}{$name}++;

        heal($self, shift @heals) if @heals && rand() < 0.5;
    }

    sleep rand 0.5;
    heal($self, $_) for @heals;
    start_nodes($self);
    show_journal($self, $_) for @{ $self->{nodes} };

    my @results = collect($load);

    return $self->compare($user, $limit, \@results);
}


sub heal {
    my ($self, $entry) = @_;

    $entry->[1]->($self, $entry->[2]);
}


# Children whose requests are of all sizes and ends; each tells the trace, the
# node, the status and what was settled.

sub load {
    my ($self, $user, $key, $seed) = @_;

    my @children;

    for my $client (1 .. 4) {
        pipe my $reader, my $writer or die "pipe: $!\n";

        my $pid = fork // die "fork: $!\n";

        if (!$pid) {
            srand $seed + $client;
            close $reader;
            $SIG{$_} = 'DEFAULT' for qw(INT TERM);

            $self->one($key, $writer) for 1 .. 8;
            POSIX::_exit(0);
        }

        close $writer;
        push @children, [$pid, $reader];
    }

    return \@children;
}


sub one {
    my ($self, $key, $writer) = @_;

    my $n = int rand 2;
    my $want = 1 + int rand(rand() < 0.2 ? 900 : 90);
    my $amount = int rand($want + 1);
    my $hold = rand() < 0.5 ? 0 : int rand 400;
    my $cancel = rand() < 0.1;
    my $args = "want=$want&min=$want&amount=$amount&hold=$hold"
               . '&progress=' . int($amount / 2)
               . ($cancel ? '&end=cancel' : '');

    my $reply = eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 12;
        my $r = http(GET => "/spend?$args", bearer => $key,
                     port => $self->{nodes}[$n]->port, limit => 10);
        alarm 0;
        $r;
    };

    alarm 0;

    # half an answer is none: its worker was killed

    my $status = $reply && $reply->{complete} ? $reply->{status} : 0;
    my $trace = $reply ? $reply->{headers}{'x-trace-id'} // '' : '';

    syswrite $writer, "$status $n $amount " . ($cancel ? 1 : 0)
                      . " $trace\n";
    sleep rand 0.1;
}


sub collect {
    my ($children) = @_;

    my @results;

    for my $child (@$children) {
        my ($pid, $reader) = @$child;

        push @results, map { [split] } <$reader>;
        waitpid $pid, 0;
    }

    return @results;
}


# Each finished request is in the ledger once, at what it was settled; no
# cancelled one is; the audit has nothing to say.

sub compare {
    my ($self, $user, $limit, $results) = @_;

    my (@finished, @problems, %rows);

    $self->{requests} += @$results;

    for my $result (@$results) {
        my ($status, $n, $amount, $cancel, $trace) = @$result;

        push @problems, "a reply with status $status"
            if $status !~ /^(?:0|200|402|503)$/;

        $self->{refused}++ if $status == 402 || $status == 503;
        push @finished, $result if $status == 200 && !$cancel;

        $rows{$trace} = [] if $trace;
    }

    $self->{finished} += @finished;

    my $read = sub {
        $_ = [] for values %rows;

        push @{ $rows{$_->[0]} }, $_->[1]
            for map { [split /\|/] }
                Pulse::Env::sql("SELECT trace_id, amount FROM usage_events
                                 WHERE user_id = '$user'");
    };

    my $lost = sub {
        my ($n) = $_[0][1];
        return $self->{excused}{$self->{nodes}[$n]{chaos}{journal}};
    };

    wait_until {
        $read->();
        !grep { !@{ $rows{$_->[4]} } && !$lost->($_) } @finished;
    } 20;

    for my $result (@finished) {
        my (undef, undef, $amount, undef, $trace) = @$result;
        my @found = @{ $rows{$trace} };

        next if @found == 1 && $found[0] == $amount;

        if (@found < 2 && $lost->($result)) {
            $self->{excused_ends}++;
            next;
        }

        push @problems, "request $trace of $amount: [@found] in the ledger";
    }

    for my $result (grep { $_->[0] == 200 && $_->[3] } @$results) {
        push @problems, "cancelled $result->[4] is in the ledger"
            if @{ $rows{$result->[4]} } && !$lost->($result);
    }

    push @problems, map { "audit: $_" } @{ audit() };

    # what nobody cut and nobody gave up stays below the limit

    my $used = Pulse::Env::sql("SELECT coalesce(sum(amount), 0)
                                FROM usage_events WHERE user_id = '$user'");

    push @problems, "$used used of $limit"
        if $used > $limit && !%{ $self->{excused} };

    return @problems;
}


# --- faults ---

sub kill_worker {
    my ($self, $node) = @_;

    my @workers = $node->workers or return 0;

    return kill KILL => $workers[int rand @workers];
}


sub stop_worker {
    my ($self, $node) = @_;

    my @workers = $node->workers or return 0;

    $self->{stopped} = $workers[int rand @workers];

    return pause_process($self->{stopped});
}


sub continue_worker { kill CONT => $_[0]{stopped} }


sub kill_node {
    my ($self, $node) = @_;

    return 0 if !defined $node->pid;

    forget_full($self, $node);

    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');

    return 1;
}


sub stop_node {
    my ($self, $node) = @_;

    return 0 if !defined $node->pid;

    $node->{chaos}{stopped} = [$node->pid, $node->workers];

    return pause_process(@{ $node->{chaos}{stopped} });
}


sub continue_node {
    my ($self, $node) = @_;

    kill CONT => @{ delete $node->{chaos}{stopped} // [] };
}


sub end_node {
    my ($self, $node) = @_;

    return 0 if $self->{paused};
    return 0 if !defined $node->pid || $node->{chaos}{stopped};

    # what a full disk did not take the store gets, if there is one

    if (defined Pulse::Env::postgres()->pid) {
        delete $node->{chaos}{full};

    } else {
        forget_full($self, $node);
        $node->excuse('could neither be written nor sent');
    }

    my $wrong = $node->stop(rand() < 0.5 ? 'QUIT' : 'TERM');

    die "$wrong\n" if defined $wrong;

    return 1;
}


sub start_nodes {
    my ($self) = @_;

    start_postgres($self);

    for my $node (@{ $self->{nodes} }) {
        $node->run if !defined $node->pid;
    }
}


# A limit of the size of files takes from the journal also the room that the
# disk keeps for it: what waits in memory then ends at its estimate if the
# node is killed, or ends without a store.

sub forget_full {
    my ($self, $node) = @_;

    $self->{excused}{ $node->{chaos}{journal} } = 1
        if delete $node->{chaos}{full};
}


# as the power does to what was not synced; not what the store has

sub cut_journal {
    my ($self, $node) = @_;

    kill_node($self, $node) or return 0;
    $self->{excused}{ $node->{chaos}{journal} } = 1;

    for my $file (glob "$node->{chaos}{journal}/*.journal") {
        my $size = -s $file or next;

        truncate $file, int rand $size or die "$file: $!\n";
    }

    return 1;
}


# a node that never returns; the sidecar gives it up after six seconds, and
# what it left is found later

sub hide_journal {
    my ($self, $node) = @_;

    return 0 if $self->{paused};

    kill_node($self, $node) or return 0;

    my $journal = $node->{chaos}{journal};

    rename $journal, "$journal.away" or die "$journal: $!\n";
    mkdir $journal;
    $node->{chaos}{hidden} = 1;
    $self->{excused}{hidden} = 1;

    # as if it were an hour later; without a store the sidecar waits

    eval {
        Pulse::Env::sql("UPDATE nodes SET seen_at = seen_at
                                                    - interval '1 hour'
                         WHERE name = '$node->{chaos}{name}'");
    };

    return $node->run;
}


sub show_journal {
    my ($self, $node) = @_;

    my $journal = $node->{chaos}{journal};

    delete $node->{chaos}{hidden} or return;

    for my $file (glob "$journal.away/*") {
        rename $file, "$journal/" . ($file =~ s{.*/}{}r)
            or die "$file: $!\n";
    }

    rmdir "$journal.away";
}


sub fill_disk {
    my ($self, $node) = @_;

    my @workers = $node->workers or return 0;
    my ($size) = sort { $b <=> $a }
                 map { -s } glob "$node->{chaos}{journal}/*.journal";

    $node->{chaos}{full} = 1;

    return file_limit(($size // 0) + 100 + int rand 200, @workers);
}


sub free_disk {
    my ($self, $node) = @_;

    file_limit('unlimited', $node->workers);
    delete $node->{chaos}{full};
}


sub set_clock {
    my ($self, $node) = @_;

    return 0 if !sets_clocks();

    clock($node->{chaos}{clock}, int(rand 200000) - 100000);

    return 1;
}


sub right_clock { clock($_[1]{chaos}{clock}, '+0') }


# replaced as a whole: it is read at any time

sub clock {
    my ($file, $offset) = @_;

    open my $out, '>', "$file.new" or die "$file: $!\n";
    printf $out "%+d\n", $offset;
    close $out;

    rename "$file.new", $file or die "$file: $!\n";
}


# as the sweep does, though the node is alive

sub give_up {
    my ($self, $node) = @_;

    return 0 if $self->{paused};

    $self->{excused}{given_up} = 1;

    Pulse::Env::sql('SELECT node_close(incarnation) FROM leases
                     WHERE closed_at IS NULL ORDER BY incarnation LIMIT 1');

    return 1;
}


sub kill_postgres {
    my ($self) = @_;

    return 0 if !defined Pulse::Env::postgres()->pid;

    Pulse::Env::postgres()->stop('QUIT');
    delete $self->{paused};

    return 1;
}


sub stop_postgres {
    return 0 if !defined Pulse::Env::postgres()->pid;

    Pulse::Env::postgres()->pause;
    $_[0]{paused} = 1;

    return 1;
}


sub continue_postgres {
    delete $_[0]{paused};
    Pulse::Env::postgres()->resume if defined Pulse::Env::postgres()->pid;
}


sub start_postgres {
    Pulse::Env::postgres()->start if !defined Pulse::Env::postgres()->pid;
}


# Statements wait for a row that is locked, and their backends are killed in
# the middle of it: Postgres starts all over.

sub kill_transaction {
    my ($self) = @_;

    return 0 if $self->{paused};

    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        eval {
            Pulse::Env::sql('BEGIN; SELECT 1 FROM accounts FOR UPDATE;
                             SELECT pg_sleep(2); COMMIT');
        };
        POSIX::_exit(0);
    }

    my @waiting;

    wait_until {
        @waiting = eval { Pulse::Env::sql(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        };
        @waiting;
    } 1;

    kill KILL => $waiting[0] if @waiting;

    waitpid $pid, 0;
    wait_until { eval { Pulse::Env::sql('SELECT 1') } } 15;

    return @waiting;
}


sub cut_connections {
    return 0 if $_[0]{paused};

    Pulse::Env::sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'pulse'");

    return 1;
}


# one that is stopped or gone has nothing to say

sub flush_redis { defined Pulse::Env::redis()->command('FLUSHALL') }


1;
