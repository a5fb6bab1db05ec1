package Pulse::Home;

# conf/bin/studio in a directory of the suite's.

use v5.30;
use warnings;

use Pulse::Process qw(free_port is_alive reap spawn stop_process wait_until);


# new(home => path, env => {}): nothing starts yet.

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        home => $o{home}, port => free_port(), env => $o{env} // {},
        output => "$ENV{PULSE_SUITE_DIR}/studio-" . ++$Pulse::Home::n,
        owner => $$,
    }, $class;

    return $self;
}


sub home { $_[0]{home} }
sub port { $_[0]{port} }
sub pid { $_[0]{pid} }


sub environment {
    my ($self) = @_;

    return {
        PULSE_HOME => $self->{home}, PULSE_PORT => $self->{port},
        PULSE_DATABASE => undef, OPENAI_API_KEY => undef,
        OPENAI_BASE_URL => undef, %{ $self->{env} },
    };
}


# A command that ends by itself: (status, output).

sub command {
    my ($self, @words) = @_;

    my $output = $self->{output} . '-' . ++$self->{commands};
    my $pid = spawn(command => ["$Pulse::Env::root/conf/bin/studio", @words],
                    env => $self->environment, output => $output,
                    dir => $Pulse::Env::root);

    if (!wait_until { !is_alive($pid) } 60) {
        stop_process($pid, 'TERM', 40);
        die "studio @words does not end, see $output\n";
    }

    return (reap($pid) >> 8, slurp($output));
}


# "run", until it is ready or has ended: 1 if it is ready.

sub run {
    my ($self) = @_;

    unlink $self->{output};

    $self->{pid} = spawn(
        command => ["$Pulse::Env::root/conf/bin/studio", 'run'],
        env => $self->environment, output => $self->{output},
        dir => $Pulse::Env::root);

    wait_until {
        !is_alive($self->{pid}) || $self->said =~ /Ctrl-C/
    } 60;

    return is_alive($self->{pid}) ? 1 : 0;
}


sub said { return slurp($_[0]{output}) }


# Status of the end, undef if it had to be killed.

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return 0;

    return stop_process($pid, $signal // 'INT', 60);
}


sub key {
    my ($self) = @_;

    return slurp("$self->{home}/api-key") =~ s/\n\z//r;
}


# Commands of processes that work in the home, or for it.

sub left {
    my ($self) = @_;

    my @left;

    for my $file (glob '/proc/[0-9]*/cmdline') {
        my $command = slurp($file) =~ tr/\0/ /r;

        push @left, $command if index($command, $self->{home}) >= 0;
    }

    return @left;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or return '';
    local $/;

    return scalar(<$in>) // '';
}


sub DESTROY {
    my ($self) = @_;

    local $?;

    $self->stop('TERM') if $self->{owner} == $$;
}


1;
