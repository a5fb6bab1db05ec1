package Pulse::Replay;

# A provider on a port of its own that plays what it is told, recorded or
# made up, well or badly, and writes down what it was asked.
#
# An answer is a hash:
#
#     file => 'openai-chat/x.sse'   a recording, with its status and headers
#     status, headers => {}, body   or one made here; "json" encodes a value,
#                                   "base64" has bytes, "bytes" a file
#     framing => 'chunked', 'length' (default) or 'close'; 'chunked' for SSE
#     chunk => n                    bytes in a chunk
#     step => n, delay => s         bytes in a write, pause between writes
#     first => s                    pause before the first byte
#     held => 1                     ... which lasts until release()
#     cut => n                      ends after n bytes of the body's wire form
#     reset => 1                    ... with a reset
#     hang => 1                     says nothing more after that (or at all)
#     raw => text                   these bytes instead of an answer
#     close => 1                    ends the connection after the answer

use v5.30;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Pulse::Process qw(is_alive pause_process stop_process wait_until);
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(time);

# thousands of recorded lines: the quick parser where there is one

my $codec = eval { require JSON::XS; 'JSON::XS' } // 'JSON::PP';
my $json = $codec->new->canonical->utf8->allow_nonref;
my $recorded;


# --- in the suite ---

# start(answers => {name => {...}}, tls => 1, name => 'replay.test').  A
# request whose path begins with "/@name/" takes that answer, another one the
# next of play(); the last of these repeats.  The port is in
# $TEST_NGINX_REPLAY_PORT, or with "as => 'X'" in $TEST_NGINX_X_PORT.

sub start {
    my ($class, %o) = @_;

    my $dir = $ENV{PULSE_SUITE_DIR}
        // die "Pulse::Env is to be loaded before Pulse::Replay\n";

    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $o{port} // 0, Listen => 256,
        ReuseAddr => 1) or die "cannot listen: $!\n";

    my $port = $listener->sockport;

    my $self = bless {
        %o,
        port    => $port,
        control => "$dir/replay-$port.control",
        journal => "$dir/replay-$port.journal",
        turn    => 0,
        owner   => $$,
    }, $class;

    $self->certify($dir) if $o{tls};
    $self->write_control;

    open my $journal, '>', $self->{journal} or die "$self->{journal}: $!\n";
    close $journal;

    $self->{pid} = fork() // die "fork() failed: $!\n";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM);
        $SIG{PIPE} = 'IGNORE';

        eval { Pulse::Replay::Server->new($self, $listener)->run; 1 }
            or print STDERR "# replay: $@";

        POSIX::_exit(0);
    }

    close $listener;

    $ENV{'TEST_NGINX_' . ($o{as} // 'REPLAY') . '_PORT'} = $port;

    return $self;
}


sub port { $_[0]{port} }
sub pid { $_[0]{pid} }
sub ca_file { $_[0]{ca} }

sub url {
    my ($self) = @_;

    return $self->{tls} ? "https://$self->{host}:$self->{port}"
                        : "http://127.0.0.1:$self->{port}";
}


# The answers to the requests from now on, and forget those before.

sub play {
    my ($self, @answers) = @_;

    $self->{queue} = \@answers;
    $self->{turn}++;
    $self->{seen} = -s $self->{journal};
    $self->write_control;
}


sub answer {
    my ($self, $name, $answer) = @_;

    $self->{answers}{$name} = $answer;
    $self->write_control;
}


sub write_control {
    my ($self) = @_;

    my $file = $self->{control};

    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out $json->encode({ turn => $self->{turn},
                               released => $self->{released} // -1,
                               queue => $self->{queue} // [],
                               answers => $self->{answers} // {} });
    close $out;

    rename "$file.new", $file or die "$file: $!\n";
}


# Those that are held begin.

sub release {
    my ($self) = @_;

    $self->{released} = $self->{turn};
    $self->write_control;
}


# As http() of Pulse::Client, of an answer that is held until its client has
# seen a sign of life: code to be called like that.

sub patiently {
    my ($self) = @_;

    require Pulse::Client;

    return sub {
        my ($method, $path, %o) = @_;
        my $client = Pulse::Client->connect(port => $o{port});

        $client->request($method, $path, close => 1, %o);
        $client->read_until(qr/\r\n\r\n[0-9a-f]+\r\n.*\n/s);
        $self->release;

        return $client->response;
    };
}


# What happened since play(): {event => 'request', method, path, headers,
# body, connection}, {event => 'done'}, {event => 'aborted', sent => bytes}
# (the other side left before the end); not of what was played before, of
# which the end may be written down later than its reader has it.

sub events {
    my ($self) = @_;

    open my $in, '<', $self->{journal} or return;
    seek $in, $self->{seen} // 0, 0;

    return grep { $_->{turn} == $self->{turn} }
           map { $json->decode($_) } grep { /\n\z/ } <$in>;
}


# The requests; "n" of them are waited for.

sub requests {
    my ($self, $n) = @_;

    my @requests;

    wait_until {
        @requests = grep { $_->{event} eq 'request' } $self->events;
        @requests >= ($n // 0);
    } 5;

    for my $request (@requests) {
        $request->{json} = eval { $json->decode($request->{body}) };
    }

    return @requests;
}


sub pause { pause_process($_[0]{pid}) }
sub resume { kill CONT => $_[0]{pid} }

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;

    stop_process($pid, 'KILL', 5);
}

sub DESTROY {
    my ($self) = @_;

    local $?;

    $self->stop if $self->{owner} == $$;
}


# A private authority and a certificate for "name" (default replay.test) and
# 127.0.0.1, made by the openssl program.

sub certify {
    my ($self, $dir) = @_;

    my $name = $self->{host} = $self->{name} // 'replay.test';
    my $at = "$dir/tls-$name";

    mkdir $at;

    my $new = 'openssl req -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256'
              . ' -nodes -sha256 -days 2';

    system(<<"SH") == 0 or die "openssl failed, see $at/log\n";
{ test -f $dir/ca.pem || $new -x509 -subj '/CN=Pulse test authority' \\
    -keyout $dir/ca.key -out $dir/ca.pem
$new -subj '/CN=$name' -keyout $at/key.pem -out $at/request.pem &&
printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\\n' $name \\
    > $at/extensions &&
openssl x509 -req -in $at/request.pem -CA $dir/ca.pem -CAkey $dir/ca.key \\
    -set_serial 0x\$(openssl rand -hex 8) -days 2 -sha256 \\
    -extfile $at/extensions -out $at/cert.pem; } > $at/log 2>&1
SH

    $self->{ca} = "$dir/ca.pem";
    $self->{cert} = "$at/cert.pem";
    $self->{key} = "$at/key.pem";
    $ENV{TEST_NGINX_REPLAY_CA} = $self->{ca};
}


# --- recordings ---

# The directory of recordings, or undef: a suite that needs it skips aloud.

sub recordings {
    my $dir = ($ENV{PULSE_SHARED} // $Pulse::Env::shared) . '/data/recordings';

    return -f "$dir/manifest.json" ? $dir : undef;
}


# The entries of manifest.json by file name, with "expected" of
# expected.json where it has one.

sub manifest {
    my $dir = recordings() // return {};

    $recorded //= do {
        my $entries = slurp_json("$dir/manifest.json");
        my $expected = slurp_json("$dir/expected.json");
        my %by_file = map { $_->{file} => $_ } @$entries;

        $by_file{ $_->{file} }{expected} = $_ for @$expected;

        \%by_file;
    };

    return $recorded;
}


sub slurp_json {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;

    return $json->decode(scalar <$in>);
}


sub recording {
    my ($file) = @_;

    my $path = recordings() . "/$file";

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;

    return scalar(<$in>) // '';
}


# --- the server's process ---

package Pulse::Replay::Server;

use Time::HiRes qw(time);

my $logged = 4 * 1024 * 1024;       # bytes of a request that are written down


sub new {
    my ($class, $conf, $listener) = @_;

    if ($conf->{tls}) {
        require IO::Socket::SSL;
        IO::Socket::SSL->import;
    }

    require POSIX;

    $listener->blocking(0);

    open my $journal, '>>', $conf->{journal} or die "$conf->{journal}: $!\n";
    $journal->autoflush(1);

    return bless { %$conf, listener => $listener, out => $journal,
                   connections => {}, number => 0, served => 0,
                   read_turn => -1 }, $class;
}


sub note {
    my ($self, $connection, %event) = @_;

    @event{qw(connection turn)} = @$connection{qw(number turn)};
    syswrite $self->{out}, $json->encode({ at => time, %event }) . "\n";
}


sub run {
    my ($self) = @_;

    my $parent = getppid;

    while (getppid == $parent) {
        my $now = time;
        my @connections = values %{ $self->{connections} };

        $self->let_go(grep { $_->{held} } @connections);

        my $read = IO::Select->new($self->{listener},
                                   map { $_->{socket} } @connections);
        my $write = IO::Select->new(map { $_->{socket} } grep {
            $_->{out} ne '' && !$_->{hung} && !$_->{held}
                && $_->{next} <= $now
        } @connections);

        my $wait = (grep { $_->{held} } @connections) ? 0.02 : 1;

        for my $connection (@connections) {
            next if $connection->{out} eq '' && !$connection->{end}
                    || $connection->{hung};

            my $left = $connection->{next} - $now;

            $wait = $left if $left > 0 && $left < $wait;
        }

        my ($readable, $writable) = IO::Select->select($read, $write, undef,
                                                       $wait);

        for my $socket (@{ $readable // [] }) {
            if ($socket == $self->{listener}) {
                $self->accept;

            } else {
                my $connection = $self->{connections}{fileno $socket // -1};

                $self->receive($connection) if defined $connection;
            }
        }

        for my $socket (@{ $writable // [] }) {
            my $connection = $self->{connections}{fileno $socket // -1};

            $self->transmit($connection) if defined $connection;
        }
    }
}


sub let_go {
    my ($self, @held) = @_;

    return if !@held;

    my $released = Pulse::Replay::slurp_json($self->{control})->{released};

    for my $connection (@held) {
        $connection->{held} = 0 if $connection->{turn} <= $released;
    }
}


sub accept {
    my ($self) = @_;

    my $socket = $self->{listener}->accept // return;

    $socket->blocking(0);
    setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;

    if ($self->{tls}) {
        $socket = IO::Socket::SSL->start_SSL($socket,
            SSL_server => 1, SSL_startHandshake => 0,
            SSL_cert_file => $self->{cert}, SSL_key_file => $self->{key})
            // return;
    }

    my $connection = {
        socket => $socket, fd => fileno $socket, number => ++$self->{number},
        shaking => $self->{tls} ? 1 : 0, in => '', out => '', next => 0,
        sent => 0, turn => -1,
    };

    $self->{connections}{ $connection->{fd} } = $connection;
}


sub receive {
    my ($self, $connection) = @_;

    my $socket = $connection->{socket};

    if ($connection->{shaking}) {
        if ($socket->accept_SSL) {
            $connection->{shaking} = 0;

        } elsif (!$!{EAGAIN} && !$!{EWOULDBLOCK}) {
            $self->note($connection, event => 'handshake',
                        error => "$IO::Socket::SSL::SSL_ERROR");
            $self->drop($connection);
            return;
        }

        return if $connection->{shaking};
    }

    for ( ;; ) {
        my $got = sysread $socket, $connection->{in}, 65536,
                          length $connection->{in};

        last if !defined $got && ($!{EAGAIN} || $!{EWOULDBLOCK});

        if (!$got) {
            if ($connection->{busy}) {
                $self->note($connection, event => 'aborted',
                            sent => $connection->{sent});
            }

            $self->drop($connection);
            return;
        }
    }

    $self->parse($connection) if !$connection->{busy};
}


sub drop {
    my ($self, $connection) = @_;

    delete $self->{connections}{ $connection->{fd} };

    if ($self->{tls}) {
        $connection->{socket}->close(SSL_no_shutdown => 1);

    } else {
        close $connection->{socket};
    }
}


sub parse {
    my ($self, $connection) = @_;

    my ($head) = $connection->{in} =~ /\A(.*?\r\n)\r\n/s or return;

    my ($line) = $head =~ /\A([^\r\n]*)/;
    my ($method, $path) = split ' ', $line;
    my %headers;

    while ($head =~ /^([^:\r\n]+):[ \t]*([^\r\n]*)\r$/mg) {
        $headers{lc $1} = $2;
    }

    return if length($connection->{in}) - length($head) - 2
              < ($headers{'content-length'} // 0);

    my $rest = substr $connection->{in}, length($head) + 2;
    my $body = '';

    if (($headers{'transfer-encoding'} // '') eq 'chunked') {
        require Pulse::Client;

        ($body, my $whole) = Pulse::Client::unchunk(\$rest);

        return if !$whole;

    } elsif (my $length = $headers{'content-length'}) {
        return if length $rest < $length;

        $body = substr $rest, 0, $length, '';
    }

    $connection->{in} = $rest;

    my $answer = $self->choose($path);

    $connection->{turn} = $self->{read_turn};
    $self->note($connection, event => 'request', method => $method,
                path => $path, headers => \%headers,
                body => substr($body, 0, $logged));

    $self->serve($connection, $answer);
}


sub choose {
    my ($self, $path) = @_;

    my $control = Pulse::Replay::slurp_json($self->{control});

    if ($control->{turn} != $self->{read_turn}) {
        $self->{read_turn} = $control->{turn};
        $self->{served} = 0;
    }

    if ($path =~ m{^/\@([^/]+)/}) {
        return $control->{answers}{$1}
            // { status => 404, body => "no answer named $1\n" };
    }

    my $queue = $control->{queue};
    my $n = $self->{served}++;

    return $queue->[$n < @$queue ? $n : -1]
        // { status => 404, body => "nothing to play\n" };
}


# The bytes of an answer, and how to send them.

sub serve {
    my ($self, $connection, $answer) = @_;

    my $status = $answer->{status} // 200;
    my $body = $answer->{body} // '';
    my %headers = ('content-type' => 'application/json');

    if (defined $answer->{json}) {
        $body = $json->encode($answer->{json});
    }

    utf8::encode($body) if utf8::is_utf8($body);

    if (defined $answer->{base64}) {
        require MIME::Base64;
        $body = MIME::Base64::decode_base64($answer->{base64});
    }

    if (defined $answer->{bytes}) {
        open my $in, '<:raw', $answer->{bytes} or die "$answer->{bytes}: $!\n";
        local $/;
        $body = <$in>;
    }

    if (defined $answer->{file}) {
        my $entry = Pulse::Replay::manifest()->{ $answer->{file} };

        $status = $answer->{status} // $entry->{status};
        %headers = %{ $entry->{headers} };
        $body = Pulse::Replay::recording($answer->{file});
    }

    delete @headers{qw(content-length transfer-encoding content-encoding
                       connection)};

    %headers = (%headers, map { lc $_ => $answer->{headers}{$_} }
                          keys %{ $answer->{headers} // {} });

    my $framing = $answer->{framing}
        // (($headers{'content-type'} // '') =~ /event-stream/ ? 'chunked'
                                                               : 'length');

    if ($framing eq 'chunked') {
        $headers{'transfer-encoding'} = 'chunked';
        $body = chunked($body, $answer->{chunk} // 1024);

    } elsif ($framing eq 'length') {
        $headers{'content-length'} //= length $body;
    }

    $connection->{end} = $framing eq 'close' || $answer->{close} ? 'close'
                                                                 : '';
    $headers{connection} = 'close' if $connection->{end};

    if (defined $answer->{cut}) {
        $body = substr $body, 0, $answer->{cut};
        $connection->{end} = $answer->{reset} ? 'reset' : 'close';
    }

    my $head = join '', "HTTP/1.1 $status Recorded\r\n",
        (map { "$_: $headers{$_}\r\n" } sort keys %headers), "\r\n";

    $connection->{out} = $answer->{raw} // $head . $body;

    if ($answer->{hang}) {
        $connection->{out} = '' if !defined $answer->{cut}
                                   && !defined $answer->{raw};
        $connection->{end} = 'hang';
    }

    $connection->{end} ||= 'close' if defined $answer->{raw};

    $connection->{busy} = 1;
    $connection->{sent} = 0;
    $connection->{step} = $answer->{step};
    $connection->{delay} = $answer->{delay} // 0;
    $connection->{next} = time + ($answer->{first} // 0);
    $connection->{held} = $answer->{held};

    $connection->{hung} = $connection->{out} eq ''
                          && $connection->{end} eq 'hang';
}


sub chunked {
    my ($body, $size) = @_;

    my $wire = '';

    for (my $at = 0; $at < length $body; $at += $size) {
        my $chunk = substr $body, $at, $size;

        $wire .= sprintf("%x\r\n", length $chunk) . "$chunk\r\n";
    }

    return "${wire}0\r\n\r\n";
}


sub transmit {
    my ($self, $connection) = @_;

    my $step = $connection->{step} // length $connection->{out};
    my $piece = substr $connection->{out}, 0, $step;
    my $sent = syswrite $connection->{socket}, $piece;

    if (!defined $sent) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK};

        $self->note($connection, event => 'aborted',
                    sent => $connection->{sent});
        $self->drop($connection);
        return;
    }

    substr $connection->{out}, 0, $sent, '';
    $connection->{sent} += $sent;
    $connection->{next} = time + $connection->{delay};

    $self->finish($connection) if $connection->{out} eq '';
}


sub finish {
    my ($self, $connection) = @_;

    my $end = $connection->{end};

    if ($end eq 'hang') {
        $connection->{hung} = 1;
        return;
    }

    $self->note($connection, event => 'done', sent => $connection->{sent});

    $connection->{busy} = 0;

    if ($end eq 'reset') {
        setsockopt $connection->{socket}, Socket::SOL_SOCKET(),
                   Socket::SO_LINGER(), pack 'ii', 1, 0;
    }

    if ($end ne '') {
        $self->drop($connection);
        return;
    }

    $self->parse($connection) if $connection->{in} ne '';
}


1;
