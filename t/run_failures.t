# What goes wrong at a start: one clear line, a status that is not zero, and
# nothing left running.

use v5.30;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use Pulse::Client qw(http);
use Pulse::Env;
use Pulse::Process qw(is_alive);
use Pulse::Home;
use Test::More;

my $n = 0;


sub home { return suite_dir() . '/home' . ++$n }


sub put {
    my ($file, $text) = @_;

    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out;
}


# fails NAME STUDIO PATTERN: the complaint comes after the steps, if any

sub fails {
    my ($name, $studio, $pattern) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $command ('run', 'up') {
        my ($status, $out) = $studio->command($command);
        my @complaints = grep { !/^  / } split /\n/, $out;

        isnt($status, 0, "$name: $command fails");
        is(scalar @complaints, 1, 'with one line') or diag($out);
        like($complaints[0], qr/\Astudio: .*$pattern/);
        is_deeply([$studio->left], [], 'and leaves nothing running');
    }
}


my $studio = Pulse::Home->new(home => home());
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                   LocalPort => $studio->port) or die;

fails('a port in use', $studio, 'port ' . $studio->port . ' is in use');
close $socket;

for my $port ('0', '65536', 'http', '80 80', '-1') {
    fails("port '$port'", Pulse::Home->new(home => home(),
          env => { PULSE_PORT => $port }), 'PULSE_PORT is no port');
}

for my $name ('a"b', "a'b", 'a$b', 'a;b', "a\nb", 'a\\b', 'a{b') {
    my $home = home();

    fails("a name with " . $name =~ s/\n/\\n/r,
          Pulse::Home->new(home => "$home/$name"), 'PULSE_HOME may not');
    ok(!-e $home, 'and makes nothing');
}

my $foreign = home();

mkdir $foreign;
put("$foreign/diary", 'mine');
chmod 0755, $foreign;
fails('a directory of somebody else', Pulse::Home->new(home => $foreign),
      'is not empty and no studio');
is((stat $foreign)[2] & 0777, 0755, 'which stays as it was');

put(home(), 'a file');
fails('a home that is a file', Pulse::Home->new(
      home => suite_dir() . "/home$n"), '(?:cannot write|not empty)');


subtest 'a missing package' => sub {
    my $bin = suite_dir() . '/bin';

    mkdir $bin;
    put("$bin/dpkg-query", "#!/bin/sh\n[ \"\$4\" != redis-server ]"
        . " && printf installed\n");
    chmod 0755, "$bin/dpkg-query";

    fails('studio', Pulse::Home->new(home => home(),
          env => { PATH => "$bin:$ENV{PATH}" }),
          'packages are missing: redis-server');

    # nobody has no sudo here, or may not use it

    symlink '/usr/bin/' . $_, "$bin/$_"
        for qw(bash env dirname tr apt-get);

    my $program = "$Pulse::Env::root/conf/bin/packages";
    my $command = "PATH='$bin' exec '$program' install 2>&1";

    $command = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
        . " env PATH='$bin' bash '$program' install 2>&1" if $> == 0;

    my $out = qx{$command};

    isnt($?, 0);
    like($out, qr/run as root: apt-get install -y .*redis-server$/m,
         'without root the exact command is named');
};


subtest 'a broken key file' => sub {
    my $studio = Pulse::Home->new(home => home());

    ok($studio->run) or diag($studio->said);
    is($studio->stop, 0);

    put($studio->home . '/keys.json', '{"keys": [{"kty": "oct"}]}');
    fails('keys.json', $studio, 'nginx: .*\[emerg\].*keys\.json');

    unlink $studio->home . '/keys.json';
    ok($studio->run, 'and a new one mends it');
    is($studio->stop, 0);
};


subtest 'a studio that was killed' => sub {
    my $studio = Pulse::Home->new(home => home());

    ok($studio->run) or diag($studio->said);

    my $key = $studio->key;

    $studio->stop('KILL');

    my $ended = wait_until { !$studio->left } 30;

    ok($ended, 'its children end without it');
    ok(-e $studio->home . '/run/studio.pid', 'what it left there');
    ok($studio->run, 'keeps nobody from starting') or diag($studio->said);
    is($studio->key, $key);

    # while they are still ending

    $studio->stop('KILL');
    ok($studio->run, 'not even at once') or diag($studio->said);
    is($studio->stop, 0);
    is_deeply([$studio->left], []);
};


subtest 'a master that was killed' => sub {
    my $studio = Pulse::Home->new(home => home());

    for my $all (0, 1) {
        ok($studio->run) or diag($studio->said);

        my $file = $studio->home . '/run/nginx.pid';
        my $master = Pulse::Home::slurp($file) + 0;
        my $workers = sub {
            grep { Pulse::Home::slurp($_) =~ /\) [^Z] \d+ $master / }
                 glob '/proc/[0-9]*/stat';
        };

        cmp_ok(scalar $workers->(), '>', 1, 'nginx has workers');

        kill KILL => $master;
        $studio->stop('KILL') if $all;

        if (!$all) {
            wait_until { !is_alive($studio->pid) } 30;
            like($studio->said, qr/^studio: nginx ended by itself/m);
            isnt($studio->stop, 0);
            is(scalar $workers->(), 0, 'its workers end with the studio');
        }
    }

    ok($studio->run, 'or with the next') or diag($studio->said);
    is($studio->stop, 0);
    is_deeply([$studio->left], []);
};


subtest 'a part that ends' => sub {
    my $studio = Pulse::Home->new(home => home());

    ok($studio->run) or diag($studio->said);

    my ($redis) = map { m{^/proc/(\d+)/} } grep {
        my $command = Pulse::Home::slurp($_);

        $command =~ /redis-server/ && index($command, $studio->home) >= 0;
    } glob '/proc/[0-9]*/cmdline';

    kill KILL => $redis;

    my $ended = wait_until { !is_alive($studio->pid) } 30;

    ok($ended, 'ends the rest');
    like($studio->said, qr/^studio: redis ended by itself/m);
    isnt($studio->stop, 0);
    is_deeply([$studio->left], []);
};


subtest 'a database half made' => sub {
    my $studio = Pulse::Home->new(home => home());

    mkdir $studio->home;
    put($studio->home . '/lock', '');
    mkdir $studio->home . '/postgres.new';
    put($studio->home . '/postgres.new/PG_VERSION', "15\n");

    ok($studio->run, 'is made anew') or diag($studio->said);
    is($studio->stop, 0);

    unlink $studio->home . '/postgres/global/pg_control';
    fails('a database that is broken', $studio, 'postgres: .*pg_control');
};


subtest 'a path too long for a socket' => sub {
    my $studio = Pulse::Home->new(home => home() . '/' . 'x' x 100);

    mkdir suite_dir() . "/home$n";
    ok($studio->run, 'is no matter') or diag($studio->said);
    is(http(GET => '/ready', port => $studio->port)->{status}, 200);

    my ($sockets) = Pulse::Home::slurp($studio->home . '/run/database')
        =~ /host='(.*?)'/;

    like($sockets, qr{^/tmp/pulse\.\w+$});
    is((stat $sockets)[2] & 0777, 0700);
    is(($studio->command('ctl', 'audit'))[0], 0);
    is($studio->stop, 0);
    ok(!-e $sockets, 'the directory goes too');
};


done_testing();
