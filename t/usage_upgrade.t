# A new binary, and new configurations, while streams are open: each request
# is in the ledger once, whoever served it.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Spend qw(:DEFAULT ends events);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

my @masters;

# Streams that are open for a while, one for each time.

sub streams {
    my ($node, $key, @times) = @_;

    my @clients = map {
        my $client = Pulse::Client->connect(port => $node->port);
        $client->request(GET => "/spend?want=100&progress=5&amount=50"
                                . "&hold=$_", bearer => $key);
        $client;
    } @times;

    wait_until {
        my $text = http(GET => '/metrics', port => $node->port)->{body};
        $text =~ /^pulse_reservations_open (\d+)$/m && $1 == @times;
    } 10;

    return @clients;
}

# A client that asks on and on until it is told to stop; "code" runs
# meanwhile.  Returns what each request was answered.

sub under_load {
    my ($node, $key, $code) = @_;

    pipe my $reader, my $writer or die "pipe: $!\n";

    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        my $stopped = 0;

        local $SIG{TERM} = sub { $stopped = 1 };
        close $reader;

        while (!$stopped) {
            my $reply = spend($node, $key, 'want=10&amount=3');
            syswrite $writer, "$reply->[0]\n";
            sleep 0.02;
        }

        POSIX::_exit(0);
    }

    close $writer;
    $code->();
    kill TERM => $pid;

    my %answers;

    while (my $status = <$reader>) {
        chomp $status;
        $answers{$status}++;
    }

    waitpid $pid, 0;

    return \%answers;
}

sub file_pid {
    my ($node, $name) = @_;

    open my $in, '<', $node->prefix . "/logs/$name" or return undef;
    chomp(my $pid = <$in> // '');

    return $pid || undef;
}

sub ledger {
    my ($user, $streams, $answers) = @_;

    my $short = $answers->{200} // 0;

    is(join(' ', sort keys %$answers), '200', 'nobody was refused');
    is(events($user, $streams + $short), $streams + $short,
       'each is in the ledger once');
    is(sql("SELECT sum(amount) FROM usage_events WHERE user_id = '$user'"),
       $streams * 50 + $short * 3, 'at what it ended with');
    is(sql("SELECT count(*) FROM usage_events
            WHERE user_id = '$user' AND estimated"), 0, 'and not estimated');
}

subtest 'reloads' => sub {
    my $user = make_user(plan => 'pro', tokens => 1_000_000);
    my $key = make_key($user);
    my $node = node(name => 'reloads');
    my @clients = streams($node, $key, 2000, 4000, 6000);

    my $before = counted($node);

    my $answers = under_load($node, $key, sub {
        ok($node->reload(draining => 1), "reload $_") for 1 .. 5;
    });

    is($_->response(20)->{status}, 200, 'a stream is answered') for @clients;

    ledger($user, 3, $answers);
    cmp_ok(counted($node), '>=', $before + $answers->{200},
           'the counters go on');
    is(scalar(() = glob journal('reloads') . '/*.journal'), 1,
       'it is one node all the time');
    ends($node);
    is(account($user) =~ /\|0\|0$/, 1, 'nothing is left leased');
};

subtest 'a new binary' => sub {
    my $user = make_user(plan => 'pro', tokens => 1_000_000);
    my $key = make_key($user);
    my $node = daemon('binary');
    my $old = file_pid($node, 'nginx.pid');
    my @clients = streams($node, $key, 4000, 9000);
    my $new;

    my $answers = under_load($node, $key, sub {
        kill USR2 => $old;
        wait_until {
            $new = file_pid($node, 'nginx.pid');
            defined $new && $new != $old;
        } 15;
        isnt($new, $old, 'the new one is there');
        push @masters, $new;

        wait_until { 2 == (() = glob journal('binary') . '/*.journal') } 10;
        is(scalar(() = glob journal('binary') . '/*.journal'), 2,
           'a node of its own beside the old');

        kill WINCH => $old;
        push @clients, later_streams($node, $key);
        kill QUIT => $old;
        wait_until { !kill 0 => $old } 30;
        ok(!kill(0 => $old), 'the old one ends when its streams have');
    });

    is($_->response(20)->{status}, 200, 'a stream is answered') for @clients;

    ledger($user, 4, $answers);
    wait_until { 1 == (() = glob journal('binary') . '/*.journal') } 15;
    is(scalar(() = glob journal('binary') . '/*.journal'), 1,
       'what the old one left is taken in');

    kill QUIT => $new;
    wait_until { !kill 0 => $new } 20;
    ok(!kill(0 => $new), 'the new one ends');

    is_deeply([$node->problems], [], 'and the log is clean');
    is_deeply(audit(), [], 'the audit finds no difference');
    like(account($user), qr/\|0\|0$/, 'nothing is left leased');
};

# The signal is heard by a daemon only: a master that has lost its parent.

sub daemon {
    my ($name) = @_;

    my $node = node(name => $name);
    my $file = $node->prefix . '/conf/nginx.conf';

    is($node->stop, undef, 'the configuration is good');

    open my $in, '<', $file or die "$file: $!\n";
    my $text = join '', <$in>;
    open my $out, '>', $file or die "$file: $!\n";
    print $out $text =~ s/^daemon off;/daemon on;/mr;
    close $out;

    # it starts its successor as it was started: by the whole path

    my ($nginx, @arguments) = $node->command($file);
    ($nginx) = grep { -x } map { "$_/$nginx" } '', split /:/, $ENV{PATH};

    local %ENV = (%ENV, $node->environment);
    system($nginx, @arguments) == 0 or die "nginx did not start\n";

    wait_until {
        my $answer = eval { http(GET => '/metrics', port => $node->port) };
        $answer && $answer->{status} == 200
            && 1 == (() = glob journal($name) . '/*.journal');
    } 15;

    push @masters, file_pid($node, 'nginx.pid');

    return $node;
}

END { kill KILL => grep { kill 0 => $_ } @masters }

# While the workers of the old one end, and those of the new one serve.

sub later_streams {
    my ($node, $key) = @_;

    return map {
        my $client = Pulse::Client->connect(port => $node->port);
        $client->request(GET => "/spend?want=100&progress=5&amount=50"
                                . "&hold=$_", bearer => $key);
        $client;
    } 1000, 3000;
}

sub counted {
    my ($node) = @_;

    my $text = http(GET => '/metrics', port => $node->port)->{body};

    return $text =~ /^pulse_reservations_total (\d+)/m ? $1 : undef;
}

done_testing();
