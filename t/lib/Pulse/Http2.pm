package Pulse::Http2;

# HTTP/2 by hand (RFC 9113), for what curl does not do: several streams on a
# connection, resets of one of them, windows that are small.

use v5.30;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Pulse::Process qw(patience);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, WINDOW_UPDATE => 8,
    END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8,
    INITIAL_WINDOW_SIZE => 4, CANCEL => 8,
};

my $json = JSON::PP->new->canonical->utf8;


# connect(port => n, window => bytes): with a window of its own a stream gets
# no more than that until grant().

sub connect {
    my ($class, %o) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $o{port}, Timeout => 30)
        or die "cannot connect: $!\n";

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    binmode $socket;

    my $self = bless { socket => $socket, in => '', next => 1, streams => {},
                       window => $o{window} }, $class;

    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    $self->frame(SETTINGS, 0, 0, defined $o{window}
        ? pack('nN', INITIAL_WINDOW_SIZE, $o{window}) : '');

    return $self;
}


sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    local $SIG{PIPE} = 'IGNORE';

    return defined syswrite $self->{socket},
        substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}


# A literal without indexing (RFC 7541, 6.2.2), no Huffman code.

sub literal {
    return "\0" . join '', map { integer(length $_, 127) . $_ } @_;
}

sub integer {
    my ($n, $most) = @_;

    return chr $n if $n < $most;

    my $text = chr $most;

    for ($n -= $most; $n >= 128; $n >>= 7) {
        $text .= chr(($n & 127) | 128);
    }

    return $text . chr $n;
}


# post(path, value, bearer, step => bytes in a frame, open => 1: more is to
# come): the number of the stream.  A value that is no reference is the body.

sub post {
    my ($self, $path, $body, $bearer, %o) = @_;

    my $stream = $self->{next};
    my $text = ref $body ? $json->encode($body) : $body;
    my @pieces = unpack '(a' . ($o{step} // (length($text) || 1)) . ')*', $text;

    $self->{next} += 2;
    $self->{streams}{$stream} = { body => '' };

    $self->frame(HEADERS, END_HEADERS, $stream, join '',
        literal(':method', 'POST'), literal(':scheme', 'http'),
        literal(':path', $path), literal(':authority', 'localhost'),
        literal('content-type', 'application/json'),
        literal('authorization', "Bearer $bearer"));

    $self->frame(DATA, 0, $stream, $_) for @pieces;
    $self->frame(DATA, END_STREAM, $stream, '') if !$o{open};

    return $stream;
}


sub reset { $_[0]->frame(RST_STREAM, 0, $_[1], pack 'N', CANCEL) }
sub leave { close $_[0]{socket} }

sub grant {
    my ($self, $stream, $bytes) = @_;

    return $self->frame(WINDOW_UPDATE, 0, $stream, pack 'N', $bytes);
}


# Reads until the code is true of the stream's {body, status, ended, reset};
# undef when time is up or the connection is.

sub wait_for {
    my ($self, $stream, $code, $limit) = @_;

    my $state = $self->{streams}{$stream};
    my $deadline = time + patience($limit);

    while (!$code->($state)) {
        my $left = $deadline - time;

        return undef if $left <= 0
            || !IO::Select->new($self->{socket})->can_read($left);

        sysread $self->{socket}, $self->{in}, 65536, length $self->{in}
            or return undef;

        $self->take while length $self->{in} >= 9;
    }

    return $state;
}

sub whole {
    my ($self, $stream, $limit) = @_;

    return $self->wait_for($stream, sub { $_[0]{ended} || $_[0]{reset} },
                           $limit);
}


# One frame off the buffer; a part of one waits for the rest.

sub take {
    my ($self) = @_;

    my $length = unpack 'N', "\0" . substr $self->{in}, 0, 3;
    my ($type, $flags, $stream) = unpack 'CCN', substr $self->{in}, 3, 6;

    if (length $self->{in} < 9 + $length) {
        sysread $self->{socket}, $self->{in}, 9 + $length, length $self->{in};
        return;
    }

    my $payload = substr $self->{in}, 9, $length;
    my $state = $self->{streams}{$stream};

    substr $self->{in}, 0, 9 + $length, '';

    if ($type == SETTINGS && !($flags & ACK)) {
        $self->frame(SETTINGS, ACK, 0, '');

    } elsif ($type == PING && !($flags & ACK)) {
        $self->frame(PING, ACK, 0, $payload);

    } elsif ($type == GOAWAY) {
        $self->{gone} = 1;

    } elsif (defined $state && $type == HEADERS) {

        # the static table has an entry for each of these

        $state->{status} = (200, 204, 206, 304, 400, 404, 500)[ord($1) - 0x88]
            if $payload =~ /\A[\x20-\x3f]*([\x88-\x8e])/;
        $state->{ended} = 1 if $flags & END_STREAM;

    } elsif (defined $state && $type == DATA) {
        $state->{body} .= $payload;
        $state->{ended} = 1 if $flags & END_STREAM;

        if ($length) {
            $self->grant(0, $length);
            $self->grant($stream, $length) if !defined $self->{window};
        }

    } elsif (defined $state && $type == RST_STREAM) {
        $state->{reset} = unpack 'N', $payload;
    }
}


1;
