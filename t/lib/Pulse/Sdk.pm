package Pulse::Sdk;

# An SDK in a process of its own that works off a list: t/sdk/NAME.mjs.
#
#     my $sdk = Pulse::Sdk->start('ai', PULSE_URL => ..., PULSE_KEY => ...);
#     my $saw = $sdk->work(how => 'stream', model => 'x');

use v5.30;
use warnings;

use IPC::Open2 qw(open2);
use JSON::PP ();
use Pulse::Env ();
use Test::More ();

my $json = JSON::PP->new->canonical->utf8;


# Why there is none, or undef.

sub missing {
    my ($class, @packages) = @_;

    return 'no node' if system('node -v > /dev/null 2>&1') != 0;

    for my $package (@packages) {
        return "no $package (make sdk)"
            if !-d "$Pulse::Env::root/t/sdk/node_modules/$package";
    }

    return undef;
}


sub start {
    my ($class, $name, %env) = @_;

    local @ENV{keys %env} = values %env;
    local $ENV{NODE_OPTIONS} = '';

    my $pid = open2(my $out, my $in, 'node',
                    "$Pulse::Env::root/t/sdk/$name.mjs");

    $in->autoflush(1);

    return bless { pid => $pid, in => $in, out => $out }, $class;
}


sub work {
    my ($self, %work) = @_;

    print { $self->{in} } $json->encode(\%work), "\n";

    my $line = readline $self->{out};

    return { error => 'it ended' } if !defined $line;
    return $json->decode($line);
}


# Six tests of what an SDK makes of a prompt that is against the rules.

sub is_flagged {
    my ($saw, $name) = @_;

    Test::More::is($saw->{error}, 'BadRequestError', "$name: its class");
    Test::More::is($saw->{status}, 400, 'its status');
    Test::More::is($saw->{code}, 'CONTENT_FLAGGED', 'its code');
    Test::More::is($saw->{type}, 'invalid_request_error', 'its type');
    Test::More::like($saw->{message}, qr/ \(violence\)/, 'its category');
    Test::More::is($saw->{requests}, 1, 'in exactly one request');
}


sub stop {
    my ($self) = @_;

    close $self->{in};
    close $self->{out};
    waitpid $self->{pid}, 0;

    return $?;
}


1;
