package Pulse::Smtp;

# A mail server that does what it is told: t/sdk/smtp.mjs.
#
#     my $smtp = Pulse::Smtp->start;
#     my $port = $smtp->listen(starttls => 1, login => ['user', 'secret']);
#     $smtp->act(to => [550, '5.1.1 no such user']);
#     my @mails = $smtp->mails(1);            # waits for as many

use v5.30;
use warnings;

use Pulse::Env ();
use Pulse::Process qw(wait_until);
use Pulse::Replay ();
use Pulse::Sdk;


# Why there is none, or undef.

sub missing { Pulse::Sdk->missing('smtp-server', 'mailparser') }


sub start {
    my ($class) = @_;

    my $tls = bless { name => 'smtp.test', owner => 0 }, 'Pulse::Replay';

    $tls->certify(Pulse::Env::suite_dir());

    my $sdk = Pulse::Sdk->start('smtp', PULSE_SMTP_KEY => $tls->{key},
                                PULSE_SMTP_CERT => $tls->{cert});

    return bless { sdk => $sdk, ca => $tls->{ca} }, $class;
}


sub ca { $_[0]{ca} }


sub listen {
    my ($self, %o) = @_;

    return $self->work(listen => %o)->{port};
}


sub act {
    my ($self, %acts) = @_;

    return $self->work(act => (acts => \%acts));
}


# True when somebody is held at this stage.

sub held {
    my ($self, $stage) = @_;

    return wait_until { ($self->work('held')->{held} // '') eq $stage } 10;
}


sub release { $_[0]->work('release') }
sub forget { $_[0]->work('forget') }


sub mails {
    my ($self, $wanted) = @_;

    my $mails;

    wait_until {
        $mails = $self->work('mails')->{mails};
        @$mails >= ($wanted // 0);
    } 15;

    return @$mails;
}


sub work {
    my ($self, $how, %o) = @_;

    my $saw = $self->{sdk}->work(how => $how, %o);

    die "smtp.mjs: $saw->{message}\n" if $saw->{error};

    return $saw;
}


sub stop { $_[0]{sdk}->stop }


1;
