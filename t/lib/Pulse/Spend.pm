package Pulse::Spend;

# Nodes whose /spend reserves and settles what its arguments say (t/spend),
# so that the meter is driven without a provider.

use v5.30;
use warnings;

use Exporter qw(import);
use POSIX ();
use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Nginx;
use Pulse::Process qw(wait_until);
use Test::More ();

our @EXPORT = qw(account audit journal node race spend);
our @EXPORT_OK = qw(ends events);


# node(name => text, journal => dir, zone => size, rate => text,
#      directives => text, timeout => '3s' of Postgres, ...): the rest goes to
# Pulse::Nginx

sub node {
    my (%o) = @_;

    load();

    my $name = delete $o{name} // 'a';
    my $journal = delete $o{journal} // journal($name);
    my $zone = delete $o{zone} // '4m';
    my $rate = delete $o{rate} // '';
    my $directives = delete $o{directives} // '';
    my $options = delete $o{journal_options} // '';
    my $timeout = delete $o{timeout} // '10s';

    return Pulse::Nginx->new(
        workers => 2,
        connections => 512,
        http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" connections=2
                   timeout=$timeout;
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS};
    pulse_node $name;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_auth_zone 4m;
    pulse_usage_zone $zone;
    pulse_journal $journal $options;
    $directives
HTTP
        config => <<"CONFIG",
        location = /spend { pulse_auth on; $rate spend; }
        location /v1/ { pulse_auth on; pulse_api; }
        location = /metrics { pulse_auth off; pulse_api; }
CONFIG
        %o)->run;
}


# the journal's directory of a node

sub journal { "$ENV{TEST_NGINX_PULSE_DIR}/journal-$_[0]" }


sub load {
    state $loaded;

    return if $loaded++;

    my $build = $ENV{PULSE_BUILD} // "$Pulse::Env::root/build";
    my $module = qx("$Pulse::Env::root/t/spend/build" "$build");

    die "the module of t/spend does not build\n" if $?;

    chomp $module;
    $ENV{TEST_NGINX_LOAD_MODULES} .= " $module";
}


# spend(node or port, key, "want=1&..."): [status, granted, reply]

sub spend {
    my ($node, $key, $args) = @_;

    my $port = ref $node ? $node->port : $node;
    my $reply = eval { http(GET => "/spend?$args", port => $port,
                            bearer => $key) }
        // { status => 0, body => '' };

    return [$reply->{status}, $reply->{status} == 200 ? $reply->{json}{data}
                                                      : 0, $reply];
}


# race(clients, requests of each, sub (client, i) -> (node, key, args)): all
# at once; counts by status, and the sum granted

sub race {
    my ($clients, $requests, $each) = @_;

    my @pipes;

    for my $client (1 .. $clients) {
        pipe my $reader, my $writer or die "pipe: $!\n";

        my $pid = fork // die "fork: $!\n";

        if (!$pid) {
            for my $i (1 .. $requests) {
                my $result = spend($each->($client, $i));
                syswrite $writer, "$result->[0] $result->[1]\n";
            }

            POSIX::_exit(0);
        }

        push @pipes, [$pid, $reader];
    }

    my %count = (granted => 0, 200 => 0);

    for my $pipe (@pipes) {
        my ($pid, $reader) = @$pipe;

        while (my $line = <$reader>) {
            my ($status, $granted) = split ' ', $line;

            $count{$status}++;
            $count{granted} += $granted;
        }

        waitpid $pid, 0;
    }

    return %count;
}


# "used|leased|debt" of a person's account

sub account {
    my ($user, $kind) = @_;

    $kind //= 0;

    return scalar Pulse::Env::sql("SELECT used, leased, debt FROM accounts
                                   WHERE user_id = '$user'
                                   AND kind = $kind
                                   ORDER BY period_start DESC LIMIT 1");
}


# how many rows of the ledger a person has, once there are so many

sub events {
    my ($user, $n) = @_;

    my $count = 0;

    wait_until {
        $count = Pulse::Env::sql("SELECT count(*) FROM usage_events
                                  WHERE user_id = '$user'");
        $count >= $n;
    } 15;

    return $count;
}


# three tests: the node ends in time, with nothing in its log that is not
# excused, and the audit is clean

sub ends {
    my ($node, @excuses) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $node->excuse(@excuses);
    Test::More::is($node->stop, undef, 'it ends');
    Test::More::is_deeply([$node->problems], [], 'and its log is clean');
    Test::More::is_deeply(audit(), [], 'the audit finds no difference');
}


sub audit { return [Pulse::Env::sql('SELECT * FROM usage_audit()')] }


1;
