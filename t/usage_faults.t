# What dies, and what the ledger says after it: every request that was
# admitted is there once, and the audit finds no difference.

use v5.30;
use warnings;

use lib 't/lib';

use Pulse::Env 'own';
use Pulse::Client qw(http);
use Pulse::Process qw(file_limit);
use Pulse::Spend qw(:DEFAULT ends events);
use Test::More;

# The name of a file that does not exist, and that ends what is held until it
# does.

sub sign {
    state $n = 0;

    return suite_dir() . '/sign-' . ++$n;
}

sub give {
    my ($sign) = @_;

    open my $out, '>', $sign or die "$sign: $!\n";
    close $out;
}


# Until so many reservations are open.

sub reserved {
    my ($node, $n) = @_;

    wait_until {
        http(GET => '/metrics', port => $node->port)->{body}
            =~ /^pulse_reservations_open $n$/m;
    };
}


# ten requests that hold 1000 each; the odd ones have counted their number

sub ten {
    my ($node, $user, $key) = @_;

    my @clients = map {
        my $client = Pulse::Client->connect(port => $node->port);
        my $progress = $_ % 2 ? "&progress=$_" : '';
        $client->request(GET => "/spend?want=1000&min=11&hold=60000$progress",
                         bearer => $key);
        $client;
    } 1 .. 10;

    reserved($node, 10);

    return @clients;
}

subtest 'workers are killed' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'workers');
    my @clients = ten($node, $user, $key);

    kill KILL => $node->workers;

    is(events($user, 10), 10, 'each ends');
    is_deeply([sql("SELECT amount FROM usage_events WHERE estimated
                    AND user_id = '$user' ORDER BY amount")],
              [1, 3, 5, 7, 9, (11) x 5],
              'at what was counted, or at the least it was admitted for');
    wait_until { spend($node, $key, 'want=10')->[0] == 200 } 10;
    is(events($user, 11), 11, 'and the next is served');
    ends($node, 'exited on signal 9');
};

subtest 'the whole node is killed' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'dead');
    my @clients = ten($node, $user, $key);

    # the keeper notes how far streams are once a second

    sleep 2;
    spend($node, $key, 'want=10') for 1 .. 5;

    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');

    my $next = node(name => 'alive', journal => journal('dead'));

    is(events($user, 15), 15, 'its journal is replayed by the next');
    is(sql("SELECT sum(amount) FROM usage_events
            WHERE estimated AND user_id = '$user'"), 1 + 3 + 5 + 7 + 9 + 55,
       'at what was noted, or at the least');
    wait_until { account($user) eq '130|0|0' } 10;
    is(account($user), '130|0|0', 'and its leases are given back');
    wait_until { 1 == (() = glob(journal('dead') . '/*.journal')) } 10;
    is(scalar(() = glob(journal('dead') . '/*.journal')), 1,
       'and the file is gone');
    ends($next);
};

subtest 'a journal is cut and full of garbage' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'cut');
    my @clients = ten($node, $user, $key);

    postgres->pause;
    is(spend($node, $key, 'want=10')->[0], 200, 'one ends unrecorded');
    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');
    postgres->resume;

    my ($file) = glob(journal('cut') . '/*.journal');
    open my $fh, '>>', $file or die "$file: $!\n";
    print $fh "PUJ1\x90\x01\x03", "\0" x 300, 'PUJ1';
    close $fh;

    my $next = node(name => 'cut');

    is(events($user, 11), 11, 'what is whole is replayed');
    wait_until { account($user) =~ /\|0\|0$/ } 10;
    ends($next);
};

subtest 'Postgres goes and comes' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $other = make_key(make_user(plan => 'pro'));
    my $node = node(name => 'pg');

    is(spend($node, $key, 'want=100&amount=10')->[0], 200, 'a lease is had');
    is(events($user, 1), 1, 'and recorded');

    postgres->stop('INT');

    is(scalar(grep { spend($node, $key, 'want=10')->[0] == 200 } 1 .. 5), 5,
       'who has a lease goes on');

    my $reply = spend($node, $other, 'want=10')->[2];
    is($reply->{status}, 503, 'who has none is refused');
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE', 'with its code');

    postgres->start;

    is(events($user, 6), 6, 'the journal drains');
    wait_until { spend($node, $other, 'want=10')->[0] == 200 } 10;
    ends($node);
};

subtest 'Postgres stays away until the journal has grown to its cap' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'cap', journal_options => 'max=4k');

    is(spend($node, $key, 'want=2000&amount=1')->[0], 200, 'there is a lease');
    is(events($user, 1), 1, 'and it is recorded');

    postgres->pause;

    my ($served, $reply) = (0);

    for (1 .. 50) {
        $reply = spend($node, $key, 'want=1')->[2];
        last if $reply->{status} != 200;
        $served++;
    }

    cmp_ok($served, '>', 3, 'who has a lease goes on');
    is($reply->{status}, 503, 'until the journal is at its cap');
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE', 'with its code');

    postgres->resume;
    is(events($user, $served + 1), $served + 1, 'it drains');
    wait_until { spend($node, $key, 'want=1')->[0] == 200 } 10;
    is(events($user, $served + 2), $served + 2, 'and all goes on');
    ends($node);
};


subtest 'Redis goes' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'redis', rate => 'pulse_rate 3r/d;');

    redis->stop('KILL');

    is(join(' ', map { spend($node, $key, 'want=1')->[0] } 1 .. 4),
       '200 200 200 429', 'the windows are those of the node');
    redis->start;
    is(events($user, 3), 3, 'the meter does not care');
    ends($node);
};

subtest 'a reload with requests in flight' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'reload');
    my $client = Pulse::Client->connect(port => $node->port);

    $client->request(GET => '/spend?want=1000&amount=77&hold=2000',
                     bearer => $key);
    wait_until { account($user) && account($user) =~ /^0\|[1-9]/ } 10;
    $node->reload;

    spend($node, $key, 'want=10') for 1 .. 5;

    is($client->response->{status}, 200, 'the old worker answers');
    is(events($user, 6), 6, 'all are recorded');
    is(sql("SELECT used FROM accounts WHERE kind = 0
            AND user_id = '$user'"), 127, 'as they were');
    is(scalar(() = glob(journal('reload') . '/*.journal')), 1,
       'it is the same journal');
    ends($node);
};

subtest 'the disk is full' => sub {
    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);

    # a limit of the size of files stands for it

    my $node = node(name => 'full', log_level => 'crit',
                    directives => 'access_log off;');

    is(spend($node, $key, 'want=10')->[0], 200, 'there is room');

    my $sign = sign();
    my $client = Pulse::Client->connect(port => $node->port);
    $client->request(GET => "/spend?want=50&until=$sign", bearer => $key);
    reserved($node, 1);

    my ($file) = glob(journal('full') . '/*.journal');
    my $limit = -s $file;
    file_limit($limit + 100, $node->workers) or die "prlimit failed\n";

    my $reply = spend($node, $key, 'want=10')->[2];
    is($reply->{status}, 503, 'nothing is admitted');
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE', 'with its code');
    give($sign);
    is($client->response->{status}, 200, 'what is admitted ends');
    is(events($user, 1), 1, 'and waits to be written');

    file_limit('unlimited', $node->workers);

    is(events($user, 2), 2, 'until there is room again');
    wait_until { spend($node, $key, 'want=10')->[0] == 200 } 10;
    is(events($user, 3), 3, 'and all goes on');
    ends($node, 'write failed, nothing is admitted');
};

# What the disk does not take is in memory: the store gets it with the end of
# the node, and no later replay of the journal charges it again.

for my $signal (qw(QUIT TERM)) {
    subtest "a node ends while its disk is full, $signal" => sub {
        my $user = make_user(plan => 'pro', tokens => 100000);
        my $key = make_key($user);
        my $node = node(name => "ends-$signal", log_level => 'crit',
                        directives => 'access_log off;');

        is(spend($node, $key, 'want=10')->[0], 200, 'there is room');
        is(events($user, 1), 1, 'and it is recorded');

        my $sign = sign();
        my @clients = map {
            my $client = Pulse::Client->connect(port => $node->port);
            $client->request(GET => "/spend?want=50&min=50&until=$sign&$_",
                             bearer => $key, close => 1);
            $client;
        } 'amount=11', 'amount=12&progress=5', 'end=cancel';

        reserved($node, 3);

        my ($file) = glob(journal("ends-$signal") . '/*.journal');
        file_limit(1, $node->workers) or die "prlimit failed\n";
        give($sign);

        is_deeply([map { $_->response->{status} } @clients], [200, 200, 200],
                  'what is admitted ends');
        is(events($user, 1), 1, 'and waits to be written');

        $node->excuse('write failed, nothing is admitted');
        is($node->stop($signal), undef, 'the node ends');

        my $amounts = sub {
            join ' ', sql("SELECT amount FROM usage_events
                           WHERE user_id = '$user' ORDER BY amount");
        };

        is($amounts->(), '10 11 12', 'the store has what it cost');
        ok(-e $file, 'the journal has not');

        my $next = node(name => "ends-$signal");

        wait_until { !-e $file } 15;
        ok(!-e $file, 'it is replayed');
        is($amounts->(), '10 11 12', 'which charges nothing again');
        is(account($user), '33|0|0', 'nor leaves anything leased');
        is_deeply([$node->problems], [], 'and its log is clean');
        ends($next);
    };
}

# A file system of its own, with a file that fills it.

my $mounted;

subtest 'the disk is full, a real one' => sub {
    my $journal = journal('small');

    mkdir $journal;

    if (system("mount -t tmpfs -o size=512k none $journal 2> /dev/null") != 0)
    {
        plan skip_all => 'nothing may be mounted here';
    }

    $mounted = $journal;

    my $user = make_user(plan => 'pro', tokens => 100000);
    my $key = make_key($user);
    my $node = node(name => 'small', log_level => 'crit',
                    directives => 'access_log off;');

    is(spend($node, $key, 'want=1000&amount=10')->[0], 200, 'there is room');
    is(events($user, 1), 1, 'and it is recorded');

    my $sign = sign();
    my $client = Pulse::Client->connect(port => $node->port);
    $client->request(GET => "/spend?want=50&until=$sign", bearer => $key);
    reserved($node, 1);

    system("dd if=/dev/zero of=$journal/filler bs=4k 2> /dev/null");

    # what the disk keeps for the journal takes some more

    my $served = 1;
    my $reply;

    for (1 .. 500) {
        $reply = spend($node, $key, 'want=1')->[2];
        last if $reply->{status} != 200;
        $served++;
    }

    is($reply->{status}, 503, 'then nothing is admitted');
    give($sign);
    is($client->response->{status}, 200, 'what is admitted ends');

    unlink "$journal/filler";
    wait_until { spend($node, $key, 'want=1')->[0] == 200 } 10;
    is(events($user, $served + 2), $served + 2, 'all is recorded once');

    # the disk is full, the store is away, and the node dies: the ends of what
    # it had admitted are in the journal, for whose room it cares beforehand

    $sign = sign();

    my @clients = map {
        my $client = Pulse::Client->connect(port => $node->port);
        $client->request(GET => "/spend?want=50&amount=$_&until=$sign",
                         bearer => $key, close => 1);
        $client;
    } 31 .. 70;

    reserved($node, 40);

    system("dd if=/dev/zero of=$journal/filler bs=4k 2> /dev/null");
    postgres->pause;
    give($sign);

    is_deeply([map { $_->response->{status} } @clients], [(200) x 40],
              'what is admitted ends, on a disk that is full');

    kill KILL => $node->pid, $node->workers;
    $node->stop('KILL');
    unlink "$journal/filler";
    postgres->resume;

    my $next = node(name => 'small', log_level => 'crit');

    is(events($user, $served + 42), $served + 42, 'nothing is lost with it');
    is(sql("SELECT count(DISTINCT amount) FROM usage_events
            WHERE user_id = '$user' AND amount BETWEEN 31 AND 70"), 40,
       'nor charged but at what it cost');
    $node->excuse('write failed, nothing is admitted', 'exited on signal 9');
    is_deeply([$node->problems], [], 'and its log is clean');
    ends($next);
};

END {
    local $?;
    system("umount -l $mounted") if defined $mounted;
}

subtest 'a node that the store gave up comes back' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);
    my $key = make_key($user);
    my $node = node(name => 'swept');
    my $client = Pulse::Client->connect(port => $node->port);

    $client->request(GET => '/spend?want=100&amount=60&hold=9000',
                     bearer => $key);
    wait_until { account($user) && account($user) =~ /^0\|[1-9]/ } 10;

    # as the sweep does to one that is not seen

    sql("SELECT node_close(incarnation) FROM leases
         WHERE user_id = '$user' AND closed_at IS NULL");
    is(account($user), '0|0|0', 'its leases are taken');

    wait_until { spend($node, $key, 'want=10&amount=1')->[0] == 200 } 10;
    is($client->response->{status}, 200, 'what ran ends');
    events($user, 2);
    like(sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'
              AND amount = 60"), qr/^1$/, 'and is recorded');
    is(sql("SELECT used + debt - coalesce((SELECT sum(amount)
                FROM usage_events WHERE user_id = '$user'), 0)
            FROM accounts WHERE user_id = '$user' AND kind = 0"), 0,
       'and used');
    ends($node);
};

done_testing();
