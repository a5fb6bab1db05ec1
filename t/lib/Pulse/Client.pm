package Pulse::Client;

# HTTP/1.1 by hand: what came and when, slow clients, clients that leave.

use v5.30;
use warnings;

use Errno ();
use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Pulse::Process qw(patience wait_until);
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SO_RCVBUF TCP_NODELAY);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(http http2 sse_events);

# thousands of answers: the quick parser where there is one

my $codec = eval { require JSON::XS; 'JSON::XS' } // 'JSON::PP';
my $json = $codec->new->canonical->utf8->allow_nonref;


# connect(port => n) or connect(socket => path); receive => bytes makes the
# kernel's buffer small, for clients that read slowly.

sub connect {
    my ($class, %o) = @_;

    my $socket;

    if (defined $o{socket}) {
        $socket = IO::Socket::UNIX->new(Peer => $o{socket});

    } else {
        my @options = defined $o{receive}
            ? (Sockopts => [[SOL_SOCKET, SO_RCVBUF, $o{receive}]]) : ();

        $socket = IO::Socket::INET->new(
            PeerAddr => '127.0.0.1', PeerPort => $o{port}, Timeout => 30,
            @options);
    }

    die "cannot connect: $!\n" if !defined $socket;

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1 if !defined $o{socket};
    binmode $socket;

    return bless { socket => $socket, buffer => '', reads => [] }, $class;
}


# Bytes as they are; step and pause make it a slow client.  False if the
# server has closed.

sub send {
    my ($self, $bytes, %o) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $step = $o{step} // length $bytes;

    while (length $bytes) {
        my $piece = substr $bytes, 0, $step, '';

        while (length $piece) {
            my $sent = syswrite $self->{socket}, $piece;

            return 0 if !defined $sent;

            substr $piece, 0, $sent, '';
        }

        sleep $o{pause} if $o{pause} && length $bytes;
    }

    return 1;
}


# request(method, path, headers => {}, json => value or body => text,
#     close => 1)

sub request {
    my ($self, $method, $path, %o) = @_;

    $self->{head} = $method eq 'HEAD';

    return $self->send(request_text($method, $path, %o));
}


sub request_text {
    my ($method, $path, %o) = @_;

    my %headers = (Host => 'localhost', %{ $o{headers} // {} });
    my $body = $o{body};

    if (exists $o{json}) {
        $body = $json->encode($o{json});
        $headers{'Content-Type'} //= 'application/json';
    }

    if (defined $body) {
        utf8::encode($body) if utf8::is_utf8($body);
        $headers{'Content-Length'} //= length $body;
    }

    $headers{Authorization} //= "Bearer $o{bearer}" if defined $o{bearer};
    $headers{Connection} //= 'close' if $o{close};

    my $head = join '', map {
        my $name = $_;

        map { "$name: $_\r\n" } ref $headers{$name} ? @{ $headers{$name} }
                                                    : $headers{$name} // ();
    } sort keys %headers;

    return "$method $path HTTP/1.1\r\n$head\r\n" . ($body // '');
}


# Returns when the server has the connection and has read all that was sent:
# there is nothing else to see of a request that is suspended.

sub heard {
    my ($self) = @_;

    my ($here, $there) = map { sprintf '0100007F:%04X', $_ }
                         $self->{socket}->sockport, $self->{socket}->peerport;

    return wait_until {
        open my $in, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!\n";

        for my $line (<$in>) {
            my (undef, $local, $remote, undef, $queues, @more) =
                split ' ', $line;

            return $more[4] && $queues =~ /:0+\z/
                if $local eq $there && $remote eq $here;
        }

        return 0;
    };
}


# Reads once: the number of bytes, 0 at the end, undef when time is up.

sub read_some {
    my ($self, $limit, $size) = @_;

    return 0 if $self->{ended};

    return undef if !$self->readable($limit);

    my $got = sysread $self->{socket}, my $bytes, $size // 65536;

    if (!$got) {
        $self->{ended} = 1;
        $self->{reset} = 1 if !defined $got;
        return 0;
    }

    $self->{buffer} .= $bytes;
    push @{ $self->{reads} }, [time, $bytes];

    return $got;
}


# Waits so many seconds, whatever signals come meanwhile.

sub readable {
    my ($self, $limit) = @_;

    my $select = IO::Select->new($self->{socket});
    my $end = time + $limit;

    while (1) {
        $! = 0;

        return 1 if $select->can_read($limit);
        return 0 if !$!{EINTR};

        $limit = $end - time;
        $limit = 0 if $limit < 0;
    }
}


# Reads until the pattern has come; what was read, or undef.

sub read_until {
    my ($self, $pattern, $limit) = @_;

    my $deadline = time + patience($limit);

    while ($self->{buffer} !~ $pattern) {
        my $left = $deadline - time;

        return undef if $left <= 0 || !$self->read_some($left);
    }

    return $self->{buffer};
}


# The next whole answer: {status, headers, body, complete, reads, raw}, with
# "json" when it is one.  Interim answers are passed over.

sub response {
    my ($self, $limit) = @_;

    my $deadline = time + patience($limit);

    for ( ;; ) {
        my $response = $self->parse;

        if (defined $response && $response->{status} !~ /^1\d\d$/) {
            $response->{reads} = $self->{reads};
            $self->{reads} = [];

            return $response;
        }

        next if defined $response;

        my $left = $deadline - time;
        my $got = $left > 0 ? $self->read_some($left) : undef;

        if (!$got) {
            my $response = $self->parse(1);

            $response->{timeout} = !defined $got;
            $response->{reads} = $self->{reads};

            return $response;
        }
    }
}


# One answer off the buffer, undef if it is not whole and more may come.

sub parse {
    my ($self, $ended) = @_;

    my ($head) = $self->{buffer} =~ /\A(.*?\r\n)\r\n/s;

    if (!defined $head) {
        return $ended ? { status => '', headers => {}, complete => 0,
                          body => $self->{buffer} } : undef;
    }

    my $status = $head =~ m{\AHTTP/1\.\d (\d+)} ? $1 : '';
    my %headers;

    while ($head =~ /^([^:\r\n]+):[ \t]*([^\r\n]*)\r$/mg) {
        my $name = lc $1;

        $headers{$name} = defined $headers{$name} ? "$headers{$name}, $2" : $2;
    }

    my $rest = substr $self->{buffer}, length($head) + 2;
    my ($body, $complete) = ('', 1);

    if ($self->{head} || $status =~ /^(?:1\d\d|204|304)$/) {
        # no body

    } elsif (($headers{'transfer-encoding'} // '') eq 'chunked') {
        ($body, $complete) = unchunk(\$rest);

    } elsif (defined $headers{'content-length'}) {
        $complete = length $rest >= $headers{'content-length'};
        $body = substr $rest, 0, $headers{'content-length'}, '';

    } else {
        $complete = $ended || $self->{ended};
        ($body, $rest) = ($rest, '') if $complete;
    }

    return undef if !$complete && !$ended;

    $self->{buffer} = $rest;

    my $response = { status => $status, headers => \%headers, body => $body,
                     complete => $complete ? 1 : 0, raw => $head };

    if (($headers{'content-type'} // '') =~ m{^application/json}) {
        $response->{json} = eval { $json->decode($body) };
    }

    return $response;
}


sub unchunk {
    my ($rest) = @_;

    my ($body, $at) = ('', 0);

    for ( ;; ) {
        pos($$rest) = $at;

        $$rest =~ /\G([0-9A-Fa-f]+)[^\r\n]*\r\n/gc
            or return ($body . '', 0);

        my ($size, $start) = (hex $1, pos $$rest);

        if ($size == 0) {
            $$rest =~ /\G(?:[^\r\n]+\r\n)*\r\n/gc or return ($body, 0);
            substr $$rest, 0, pos $$rest, '';

            return ($body, 1);
        }

        $body .= substr $$rest, $start, $size;

        return ($body, 0) if length $$rest < $start + $size + 2;

        $at = $start + $size + 2;
    }
}


sub leave { close $_[0]{socket} }


# Leaves with a reset.

sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $self->{socket};
}


# One request on a connection of its own: http(POST => '/v1/x', port => n,
# json => {...}, limit => s).

sub http {
    my ($method, $path, %o) = @_;

    my $port = $o{port} // $ENV{TEST_NGINX_SERVER_PORT};
    my $client = __PACKAGE__->connect(defined $o{socket}
        ? (socket => $o{socket}) : (port => $port));

    $client->request($method, $path, close => 1, %o);

    my $response = $client->response($o{limit});

    $client->leave;

    return $response;
}


# The same by curl over HTTP/2, with prior knowledge as nginx's cleartext port
# ("listen PORT http2") wants it.

sub http2 {
    my ($method, $path, %o) = @_;

    my ($head, $body) = request_text($method, $path, %o)
        =~ /\A(.*?)\r\n\r\n(.*)\z/s;
    my ($line, @headers) = split /\r\n/, $head;
    my $port = $o{port} // $ENV{TEST_NGINX_SERVER_PORT};

    my @command = ('curl', '-isS', '--http2-prior-knowledge', '--max-time',
                   patience($o{limit}), '-X', $method);

    push @command, map { ('-H', $_) }
        grep { !/^(?:connection|content-length):/i } @headers;
    push @command, '--data-binary', $body if $body ne '';
    push @command, "http://127.0.0.1:$port$path";

    open my $out, '-|', @command or die "curl: $!\n";
    binmode $out;
    my $text = do { local $/; <$out> } // '';
    close $out;

    # the framing is undone already: what is left ends with the text

    $text =~ s{\AHTTP/2 (\d+) ?\r\n}{HTTP/1.1 $1 OK\r\n};

    my $client = bless { buffer => $text, ended => 1 }, __PACKAGE__;
    my $response = $client->parse(1);

    $response->{complete} = 0 if $? != 0;

    return $response;
}


# The events of a stream: [{event, data, json}], comments left out.

sub sse_events {
    my ($body) = @_;

    my @events;

    for my $block (split /\r?\n\r?\n/, $body) {
        my %event;

        for my $line (split /\r?\n/, $block) {
            next if $line !~ /^(\w+): ?(.*)$/;

            $event{$1} = defined $event{$1} ? "$event{$1}\n$2" : $2;
        }

        next if !defined $event{data};

        $event{json} = eval { $json->decode($event{data}) };
        push @events, \%event;
    }

    return @events;
}


1;
