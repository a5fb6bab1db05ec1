package Pulse::Redis;

# A private Redis on a unix socket; it keeps nothing.

use v5.30;
use warnings;

use File::Path qw(make_path);
use IO::Socket::UNIX;
use Pulse::Process qw(is_alive pause_process spawn stop_process
                      wait_until);
use Socket qw(SOL_SOCKET SO_RCVTIMEO);


sub new {
    my ($class, $dir) = @_;

    make_path($dir);

    return bless { dir => $dir, socket => "$dir/redis.sock" }, $class;
}


sub pid { $_[0]{pid} }
sub socket_path { $_[0]{socket} }


sub start {
    my ($self) = @_;

    unlink $self->{socket};

    $self->{pid} = spawn(
        command => ['redis-server', '--port', 0, '--unixsocket',
                    $self->{socket}, '--save', '', '--appendonly', 'no',
                    '--dir', $self->{dir}, '--daemonize', 'no'],
        output => "$self->{dir}/redis.log");

    my $up = wait_until {
        die "Redis ended, see $self->{dir}/redis.log\n"
            if !is_alive($self->{pid});

        -S $self->{socket} && ($self->command('PING') // '') eq 'PONG';
    } 10;

    die "Redis did not start, see $self->{dir}/redis.log\n" if !$up;

    return $self;
}


sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return;

    stop_process($pid, $signal // 'TERM', 10);
}


sub pause { pause_process($_[0]{pid}) }
sub resume { kill CONT => $_[0]{pid} // () }


# One command on a connection of its own: a string, an array, or undef, also
# when Redis is paused.

sub command {
    my ($self, @args) = @_;

    my $link = IO::Socket::UNIX->new(Peer => $self->{socket}) // return undef;

    local $SIG{PIPE} = 'IGNORE';

    setsockopt $link, SOL_SOCKET, SO_RCVTIMEO, pack 'l!l!', 30, 0;

    print $link '*' . @args . "\r\n",
                map { '$' . length($_) . "\r\n$_\r\n" } @args;

    return reply($link);
}


sub reply {
    my ($link) = @_;

    my $line = <$link> // return undef;
    $line =~ s/\r\n\z//;

    my $type = substr $line, 0, 1, '';

    if ($type eq '$') {
        return undef if $line < 0;

        read $link, my $value, $line + 2;

        return substr $value, 0, $line;
    }

    if ($type eq '*') {
        return [map { reply($link) } 1 .. $line];
    }

    die "Redis: $line\n" if $type eq '-';

    return $line;
}


1;
