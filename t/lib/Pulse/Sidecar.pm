package Pulse::Sidecar;

# The real sidecar on the suite's database; mail goes to a directory.

use v5.30;
use warnings;

use IO::Socket::UNIX;
use Pulse::Process qw(is_alive pause_process spawn stop_process wait_until);


# start(options => ['--lease-ttl', '2 seconds']); its socket is
# $TEST_NGINX_PULSE_SIDECAR then.  "name" tells a second one apart, "files"
# undef has it keep none on the disk, "database" is another way to the suite's.

sub start {
    my ($class, %o) = @_;

    my $dir = $ENV{PULSE_SUITE_DIR}
        // die "Pulse::Env is to be loaded before Pulse::Sidecar\n";

    my $name = $o{name} // 'sidecar';

    my $self = bless {
        dir => $dir, socket => "$dir/$name.sock", mail => "$dir/mail",
        files => exists $o{files} ? $o{files} : "$dir/files",
        log => "$dir/$name.log",
        database => $o{database} // $ENV{TEST_NGINX_PULSE_PG},
        options => $o{options} // [], owner => $$,
    }, $class;

    mkdir $self->{mail};
    $ENV{TEST_NGINX_PULSE_SIDECAR} = "unix:$self->{socket}";

    return $self->run;
}


sub run {
    my ($self) = @_;

    my $root = $Pulse::Env::root;
    my $build = $ENV{PULSE_BUILD} // "$root/build";

    unlink $self->{socket};

    $self->{pid} = spawn(
        command => ["$build/pulse-sidecar", '--listen', $self->{socket},
                    '--database', $self->{database},
                    '--mail-dir', $self->{mail},
                    '--mail-templates', "$root/conf/mail",
                    $self->{files} ? ('--files', $self->{files}) : (),
                    @{ $self->{options} }],
        output => $self->{log}, dir => $root);

    my $up = wait_until {
        die "the sidecar ended, see $self->{log}\n" if !is_alive($self->{pid});

        IO::Socket::UNIX->new(Peer => $self->{socket});
    } 10;

    die "the sidecar did not start, see $self->{log}\n" if !$up;

    return $self;
}


sub pid { $_[0]{pid} }
sub files { $_[0]{files} }
sub socket_path { $_[0]{socket} }
sub pause { pause_process($_[0]{pid}) }
sub resume { kill CONT => $_[0]{pid} // () }


# The wait status, undef if it had to be killed.

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return 0;

    return stop_process($pid, $signal // 'TERM', 10);
}


sub killed {
    my ($self) = @_;

    kill KILL => $self->{pid};
    $self->wait_gone;
}


# Somebody has killed it: until it is dead, and the store has nothing more of
# it to do.  What another of its threads had sent may take a job that is made
# due too soon.

sub wait_gone {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;

    wait_until { !is_alive($pid) } 20;
    wait_until {
        !Pulse::Env::sql("SELECT count(*) FROM pg_stat_activity"
                         . " WHERE application_name LIKE 'pulse-%'"
                         . " AND datname = current_database()")
    } 20;
}


# What fails is tried again when a suite says so, and not in two seconds, which
# a busy machine may take to look at it.

sub retry_later {
    Pulse::Env::sql("CREATE OR REPLACE FUNCTION retry_later() RETURNS trigger
                     LANGUAGE plpgsql AS 'BEGIN
                         NEW.due_at := now() + interval ''1 hour'';
                         RETURN NEW;
                     END';
                     CREATE OR REPLACE TRIGGER retry_later
                     BEFORE UPDATE ON jobs FOR EACH ROW
                     WHEN (OLD.state = 'running' AND NEW.state = 'waiting'
                           AND NEW.attempt > 0)
                     EXECUTE FUNCTION retry_later()");
}


sub log_text {
    my ($self) = @_;

    open my $in, '<', $self->{log} or return '';
    local $/;

    return scalar(<$in>) // '';
}


# The token of the newest link mailed to this address, waited for.

sub link_token {
    my ($self, $email) = @_;

    my $seen = $self->{links}{$email} // {};

    return wait_until {
        for my $file (glob "$self->{mail}/*.eml") {
            next if $seen->{$file};

            my ($to, $token) = read_mail($file);

            next if !defined $token || $to ne $email;

            $self->{links}{$email}{$file} = 1;

            return $token;
        }

        return undef;
    } 10;
}


# Recipient and token of a mail, whose parts are quoted-printable or base64.

sub read_mail {
    my ($file) = @_;

    require MIME::Base64;
    require MIME::QuotedPrint;

    open my $in, '<', $file or return;
    my $text = do { local $/; <$in> } // return;

    my ($to) = $text =~ /^To:\s*<?([^<>\r\n]+?)>?\r?$/mi;

    for my $part (split /^--[^\r\n]+\r?\n/m, $text) {
        my ($head, $body) = $part =~ /\A(.*?)\r?\n\r?\n(.*)\z/s or next;

        if ($head =~ /^Content-Transfer-Encoding:\s*base64/mi) {
            $body = MIME::Base64::decode_base64($body);

        } elsif ($head =~ /^Content-Transfer-Encoding:\s*quoted/mi) {
            $body = MIME::QuotedPrint::decode_qp($body);
        }

        return ($to // '', $1) if $body =~ /[?&]token=([A-Za-z0-9_-]{43})/;
    }

    return ($to // '');
}


sub DESTROY {
    my ($self) = @_;

    local $?;

    $self->stop if $self->{owner} == $$;
}


1;
