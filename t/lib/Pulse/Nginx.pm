package Pulse::Nginx;

# One nginx in a prefix of its own: started, watched, stopped, and its log
# read for what must never be there.

use v5.30;
use warnings;

use Cwd qw(abs_path);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use Pulse::Process qw(free_port is_alive reap spawn stop_process wait_until);

my %journals;                   # directory => who wrote it last


# new(prefix => dir, port => n, main => text, http => text, config => text,
#     events => text, workers => n, log_level => name, env => {})

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        port      => $o{port} // free_port(),
        prefix    => $o{prefix},
        log_level => $o{log_level} // 'info',
        workers   => $o{workers} // 1,
        master    => $o{master} // 'on',
        %o,
        marks     => {},
        excused   => [],
    }, $class;

    if (!defined $self->{prefix}) {
        my $base = $ENV{PULSE_SUITE_DIR}
            // die "Pulse::Env is to be loaded before Pulse::Nginx\n";

        $self->{prefix} = "$base/nginx-$self->{port}";
    }

    make_path(map { "$self->{prefix}/$_" } qw(conf logs html));

    return $self;
}


sub port { $_[0]{port} }
sub prefix { $_[0]{prefix} }
sub pid { $_[0]{pid} }
sub error_log_file { "$_[0]{prefix}/logs/error.log" }
sub access_log_file { "$_[0]{prefix}/logs/access.log" }


# The same frame of a configuration that Test::Nginx writes.

sub configuration {
    my ($self) = @_;

    my $prefix = $self->{prefix};
    my $main = $self->{main} // '';
    my $post = $self->{post_main} // '';
    my $http = $self->{http} // '';
    my $config = $self->{config} // '';
    my $name = $self->{server_name} // 'localhost';
    my $listen = $self->{listen} // "listen $self->{port};";
    my $connections = $self->{connections} // 256;
    my $user = $> == 0 ? 'user root;' : '';
    my $root = $self->{no_root_location} ? '' : <<"ROOT";
        location / {
            root $prefix/html;
            index index.html index.htm;
        }
ROOT

    my @modules = split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $modules = join ' ', map { "load_module $_;" } @modules;
    my $env = join '', map { "env $_;\n" } @{ $self->{env_names} // [] };

    return <<"CONF";
$user
worker_processes  $self->{workers};
daemon off;
master_process $self->{master};
error_log $prefix/logs/error.log $self->{log_level};
pid       $prefix/logs/nginx.pid;
env ASAN_OPTIONS;
env UBSAN_OPTIONS;
env LD_PRELOAD;
$env
$modules $main

http {
    access_log $prefix/logs/access.log;
    client_body_temp_path $prefix/client_body_temp;
    proxy_temp_path $prefix/proxy_temp;
    fastcgi_temp_path $prefix/fastcgi_temp;
    scgi_temp_path $prefix/scgi_temp;
    uwsgi_temp_path $prefix/uwsgi_temp;

    default_type text/plain;
    keepalive_timeout  68000ms;

$http
    server {
        $listen
        server_name     '$name';
        client_max_body_size 30M;

$config

$root    }
}

$post

events {
    accept_mutex off;
    worker_connections  $connections;
}
CONF
}


sub write_configuration {
    my ($self) = @_;

    my $file = $self->{file} // "$self->{prefix}/conf/nginx.conf";

    open my $out, '>', $file or die "$file: $!\n";
    binmode $out, ':utf8' if utf8::is_utf8($self->configuration);
    print $out $self->configuration;
    close $out;

    if ($self->configuration =~ /^\s*pulse_journal\s+"?([^\s";]+)/m) {
        my $dir = $1;

        $dir = "$self->{prefix}/$dir" if $dir !~ m{^/};
        $journals{$dir} = $self;
    }

    return $file;
}


sub command {
    my ($self, $conf) = @_;

    my @nginx = ($ENV{TEST_NGINX_BINARY} || 'nginx', '-p', "$self->{prefix}/",
                 '-e', $self->error_log_file, '-c', $conf);

    return @nginx if !$ENV{TEST_NGINX_USE_VALGRIND};

    my $lib = abs_path(__FILE__) =~ s{/Pulse/Nginx\.pm$}{}r;

    return ('valgrind', '--tool=memcheck', '--trace-children=yes', '-q',
            '--num-callers=30', '--error-exitcode=0', '--leak-check=no',
            '--gen-suppressions=all', "--suppressions=$lib/valgrind.supp",
            "--log-file=$self->{prefix}/logs/valgrind.%p", @nginx);
}


# What it is started with beside the environment of the suite.

sub environment {
    my ($self) = @_;

    my $log = "log_path=$self->{prefix}/logs/sanitizer";
    my %env = %{ $self->{env} // {} };

    if ($ENV{PULSE_TEST_PRELOAD}) {
        $env{LD_PRELOAD} = $ENV{PULSE_TEST_PRELOAD};
        $env{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (), $log;
        $env{UBSAN_OPTIONS} = join ':', $ENV{UBSAN_OPTIONS} // (), $log;
    }

    return %env;
}


# Starts it and waits for its port.  False if it ended before that.

sub start {
    my ($self) = @_;

    my $conf = $self->write_configuration;
    my $logs = "$self->{prefix}/logs";

    $self->{pid} = spawn(command => [$self->command($conf)],
                         env => { $self->environment },
                         ends => 'QUIT', output => "$logs/stderr.log");

    my $port = $self->{port};
    my $limit = $ENV{TEST_NGINX_USE_VALGRIND} ? 60 : 10;

    my $up = wait_until {
        return 'gone' if !is_alive($self->{pid});

        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 1)
            && -s "$logs/nginx.pid" ? 'up' : undef;
    } $limit;

    return 1 if defined $up && $up eq 'up';

    if (!defined $up) {
        stop_process($self->{pid}, 'TERM', 5);
    }

    $self->{status} = reap($self->{pid});
    delete $self->{pid};

    return 0;
}


# start() for tests that cannot go on without it.

sub run {
    my ($self) = @_;

    return $self if $self->start;

    die "nginx did not start, see $self->{prefix}:\n"
        . join('', @{ $self->error_log }) . $self->stderr . "\n";
}


sub stderr {
    my ($self) = @_;

    open my $in, '<', "$self->{prefix}/logs/stderr.log" or return '';
    local $/;

    return scalar(<$in>) // '';
}


# Ends it with QUIT (or what is named); returns what was wrong about that.

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return;

    $signal //= 'QUIT';

    my $status = stop_process($pid, $signal, $ENV{TEST_NGINX_USE_VALGRIND}
                                             ? 60 : 15);

    $self->{status} = $status;

    if ($signal eq 'KILL') {
        kill_orphans($pid);
        return;
    }

    return "nginx did not end within its time after $signal"
        if !defined $status;

    return sprintf 'nginx ended with status 0x%04x after %s', $status, $signal
        if $status != 0;

    return;
}


sub workers {
    my ($self) = @_;

    my $pid = $self->{pid} // return;
    my @workers;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;

        if ($line =~ /^(\d+) \(.*\) (\S) (\d+) / && $3 == $pid && $2 ne 'Z') {
            push @workers, $1;
        }
    }

    return sort { $a <=> $b } @workers;
}


# A master that was killed leaves workers, which are in its session, and have
# its port and its journal until they are gone too.

sub kill_orphans {
    my ($session) = @_;

    wait_until {
        my @left;

        for my $stat (glob '/proc/[0-9]*/stat') {
            open my $in, '<', $stat or next;
            my $line = <$in> // next;

            if ($line =~ /^(\d+) \(.*\) ([^ZX]) \d+ \d+ (\d+) /
                && $3 == $session)
            {
                push @left, $1;
            }
        }

        kill KILL => @left;
        !@left;
    };
}


sub signal {
    my ($self, $signal) = @_;

    kill $signal => $self->{pid};
}


# HUP and wait until only workers of the new generation are left or, with
# "draining", until they are there at all.

sub reload {
    my ($self, %o) = @_;

    my %old = map { $_ => 1 } $self->workers;

    $self->write_configuration;
    $self->signal('HUP');

    return wait_until {
        my @now = $self->workers;
        my @new = grep { !$old{$_} } @now;

        @new && ($o{draining} || @new == @now);
    } 15;
}


# Lines of a log since the last mark() (all, without one).

sub lines_of {
    my ($self, $file) = @_;

    open my $in, '<', $file or return [];
    seek $in, $self->{marks}{$file} // 0, 0;

    return [<$in>];
}


sub error_log { $_[0]->lines_of($_[0]->error_log_file) }
sub access_log { $_[0]->lines_of($_[0]->access_log_file) }


sub mark {
    my ($self) = @_;

    for my $file ($self->error_log_file, $self->access_log_file) {
        $self->{marks}{$file} = -s $file // 0;
    }
}


# A test that provokes such a line says so.

sub excuse {
    my ($self, @patterns) = @_;

    push @{ $self->{excused} }, @patterns;
}


# What is in the whole log and must not be.

sub problems {
    my ($self) = @_;

    my $logs = "$self->{prefix}/logs";
    my @problems;

    my @lines = do {
        local $self->{marks} = {};
        @{ $self->error_log };
    };

    LINE: for my $line (@lines) {
        next if $line !~ m{\[(?:alert|crit|emerg)\]|open\ socket
                          |(?:Address|Leak|UndefinedBehavior)Sanitizer
                          |runtime\ error:|Assertion\ .*failed}x;

        for my $pattern (@{ $self->{excused} }) {
            next LINE if ref $pattern ? $line =~ $pattern
                                      : index($line, $pattern) >= 0;
        }

        chomp $line;
        push @problems, $line;
    }

    for my $file (glob("$logs/sanitizer.*"), glob("$logs/valgrind.*")) {
        next if !-s $file;

        open my $in, '<', $file or next;
        push @problems, "report of $file:\n" . join '', (<$in>)[0 .. 59];
    }

    return grep { defined } @problems;
}


# What a node had not yet written when it ended it writes when it comes back:
# each starts once more until the condition holds.  Returns complaints.

sub settle_all {
    my ($settled) = @_;

    my @problems;

    for my $self (values %journals) {
        next if defined $self->{pid};

        if (!$self->start) {
            push @problems, "nginx does not start again in $self->{prefix}";
            next;
        }

        wait_until { $settled->() } 10;
        push @problems, $self->stop;
    }

    return @problems;
}


sub remove {
    my ($self) = @_;

    remove_tree($self->{prefix}, { safe => 0, error => \my $ignored });
}


1;
