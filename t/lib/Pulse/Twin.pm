package Pulse::Twin;

# A provider of payments on this machine: it refuses what the real one would,
# keeps what it is told, and makes the webhooks that a suite then delivers, in
# whatever order and as often as it likes.
#
#     my $twin = Pulse::Twin::HyperPay->start(token => ..., ...);
#     $twin->url;                          # the base URL to configure
#     $twin->tell(pay => {...});           # what the shopper does, answers
#     $twin->tell(fault => { times => 1, hang => 1 });    # or status, data
#     $twin->requests;                     # what it was asked: method, path

use v5.30;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Pulse::Client qw(http);

my $json = JSON::PP->new->canonical->utf8->allow_nonref;


sub start {
    my ($class, %o) = @_;

    my $socket = IO::Socket::INET->new(Listen => 128,
                                       LocalAddr => '127.0.0.1')
        // die "no socket: $!\n";

    my $self = bless { %o, port => $socket->sockport, owner => $$ }, $class;

    $self->{pid} = fork // die "fork: $!\n";

    if (!$self->{pid}) {
        $self->serve($socket);
        POSIX::_exit(0);
    }

    close $socket;

    return $self;
}


sub url { "http://127.0.0.1:$_[0]{port}" }

sub tell {
    my ($self, $what, $how) = @_;

    return http(POST => "/twin/$what", port => $self->{port},
                json => $how // {})->{json};
}

sub requests { @{ $_[0]->tell('requests') } }


# --- the other process

sub serve {
    my ($self, $socket) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $select = IO::Select->new($socket);
    my (%buffer, @held);

    $self->{log} = [];
    $self->{fault} = {};

    while (getppid == $self->{owner}) {
        for my $ready ($select->can_read(1)) {
            if ($ready == $socket) {
                my $client = $socket->accept // next;

                $select->add($client);
                $buffer{$client} = '';
                next;
            }

            my $n = sysread $ready, $buffer{$ready}, 65536,
                            length $buffer{$ready};
            my $request = parse($buffer{$ready});

            next if $n && !$request;

            $select->remove($ready);
            my $answer = $request ? $self->answer($request) : undef;

            if (defined $answer && $answer eq 'hang') {
                push @held, $ready;
                next;
            }

            syswrite $ready, $answer if defined $answer;
            close $ready;
        }
    }
}


sub parse {
    my ($bytes) = @_;
    my ($head, $body) = $bytes =~ /\A(.*?)\r\n\r\n(.*)\z/s or return;
    my ($line, @fields) = split /\r\n/, $head;
    my ($method, $target) = split / /, $line;
    my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } @fields;

    return if length $body < ($headers{'content-length'} // 0);

    my ($path, $query) = split /\?/, $target, 2;

    return { method => $method, path => $path, query => form($query // ''),
             headers => \%headers, body => $body };
}


sub form {
    my ($text) = @_;

    return { map {
        my ($name, $value) = map { tr/+/ /r =~ s/%(..)/chr hex $1/ger }
                                 split /=/, $_, 2;
        ($name, $value // '');
    } split /&/, $text };
}


sub answer {
    my ($self, $request) = @_;

    if ($request->{path} =~ m{^/twin/(\w+)$}) {
        my $how = $json->decode($request->{body});

        return reply(200, $self->{log}) if $1 eq 'requests';

        if ($1 eq 'fault') {
            $self->{fault} = $how;
            return reply(200, {});
        }

        my $method = "twin_$1";
        return reply(200, $self->$method($how));
    }

    push @{ $self->{log} }, { method => $request->{method},
                              path => $request->{path} };

    # what is done and never answered, or answered with rubbish

    my ($status, $data) = $self->call($request);
    my $fault = $self->{fault};

    if ($fault->{times}) {
        $fault->{times}--;

        return 'hang' if $fault->{hang};
        return reply($fault->{status} // 200, $fault->{data});
    }

    return reply($status, $data);
}


sub reply {
    my ($status, $data) = @_;
    my $body = ref $data ? $json->encode($data) : $data // '';

    return "HTTP/1.1 $status Twin\r\nContent-Type: application/json\r\n"
           . "Content-Length: " . length($body)
           . "\r\nConnection: close\r\n\r\n$body";
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};

    local $?;

    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;
}


1;
