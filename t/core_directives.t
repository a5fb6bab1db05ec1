# What the directives of the core take, what they refuse and how.

use lib 't/lib';
use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Nginx;
use Test::More;

my $dir = suite_dir();
my $pg = $ENV{TEST_NGINX_PULSE_PG};
my $redis = $ENV{TEST_NGINX_PULSE_REDIS};

sub comes (&$) {
    my ($condition, $name) = @_;

    ok(&wait_until($condition, 15), $name);
}


# A store is asked within seconds; a busy machine may take longer to connect.

sub ready {
    my ($nginx, $name) = @_;

    my $reply;

    wait_until {
        $reply = http(GET => '/ready', port => $nginx->port);
        $reply->{status} == 200;
    } 15;

    is($reply->{status}, 200, $name);

    return $reply;
}


sub refused {
    my ($name, $http, $pattern) = @_;

    my $nginx = Pulse::Nginx->new(http => $http);

    if ($nginx->start) {
        fail("$name: it started");
        $nginx->stop;
        return;
    }

    my $said = join '', @{ $nginx->error_log }, $nginx->stderr;

    like($said, $pattern, $name);
    unlike($said, qr/topsecret/, "$name: no secret is told");
}


refused('a connection string without a host',
        'pulse_postgres "dbname=pulse";',
        qr/no "host" in "pulse_postgres"/);

refused('a malformed one',
        'pulse_postgres "host=/tmp password topsecret";',
        qr/malformed connection string in "pulse_postgres"/);

refused('one without quotes',
        'pulse_postgres host=/tmp password=topsecret;',
        qr/is the connection string quoted\?/);

refused('a host that does not exist',
        'pulse_postgres "host=nowhere.invalid password=topsecret";',
        qr/host not found in host "nowhere.invalid" of "pulse_postgres"/);

refused('an empty host among others',
        'pulse_postgres "host=/tmp,,127.0.0.1 password=topsecret";',
        qr/empty host in "pulse_postgres"/);

refused('a service',
        'pulse_postgres "service=studio";',
        qr/"service" is not supported in "pulse_postgres"/);

refused('no connections',
        qq{pulse_postgres "$pg" connections=0;},
        qr/invalid parameter "connections=0"/);

refused('too many connections',
        qq{pulse_postgres "$pg" connections=65;},
        qr/invalid parameter "connections=65"/);

refused('no time',
        qq{pulse_postgres "$pg" timeout=0;},
        qr/invalid parameter "timeout=0"/);

refused('a time that is none',
        qq{pulse_postgres "$pg" connect_timeout=soon;},
        qr/invalid parameter "connect_timeout=soon"/);

refused('two databases',
        qq{pulse_postgres "$pg"; pulse_postgres "$pg";},
        qr/"pulse_postgres" directive is duplicate/);

refused('a Redis that does not exist',
        'pulse_redis nowhere.invalid:6379;',
        qr/host not found in "nowhere.invalid:6379" of "pulse_redis"/);

refused('a password file that does not exist',
        "pulse_redis $redis password_file=$dir/none;",
        qr/open\(\) "\Q$dir\E\/none" failed/);

refused('a password file that is empty',
        "pulse_redis $redis password_file=" . suite_file('empty', '') . ';',
        qr/no password in "\Q$dir\E\/empty"/);

refused('a password that is too long',
        "pulse_redis $redis password_file="
        . suite_file('long', 'topsecret' x 100) . ';',
        qr/no password in "\Q$dir\E\/long", or one that is too long/);

refused('a database that is no number',
        "pulse_redis $redis database=two;",
        qr/invalid parameter "database=two"/);

refused('two of Redis',
        "pulse_redis $redis; pulse_redis $redis;",
        qr/"pulse_redis" directive is duplicate/);

refused('a node with a space',
        'pulse_node "a b";',
        qr/"pulse_node" directive takes letters/);

refused('a node that is too long',
        'pulse_node ' . 'n' x 65 . ';',
        qr/"pulse_node" directive takes a name of 1 to 64/);

refused('a public URL without a scheme',
        'pulse_public_url studio.example;',
        qr/"pulse_public_url" directive takes a URL that begins with/);

refused('a public URL without a host',
        'pulse_public_url https:///;',
        qr/"pulse_public_url" directive takes a URL with a host/);

refused('a sidecar that is no socket',
        'pulse_sidecar 127.0.0.1:9000;',
        qr/"pulse_sidecar" directive takes the path of a socket/);

refused('a sidecar with a path that no socket has',
        'pulse_sidecar unix:/' . 'p' x 120 . ';',
        qr/"pulse_sidecar" directive takes a shorter path/);

refused('a dialect that nobody speaks',
        'pulse_dialect latin;',
        qr/invalid value "latin"/);


# what the server is told of us

my $nginx = Pulse::Nginx->new(
    http => qq{pulse_postgres "$pg options='-c lock_timeout=7s'" timeout=2s;},
    config => 'location = /ready { pulse_api; }')->run;

my $reply = ready($nginx, 'with Postgres alone');

is_deeply($reply->{json}{data}, { postgres => 'ok' },
          'only what is configured is asked');

comes { sql(q{SELECT count(*) FROM pg_stat_activity
              WHERE application_name = 'pulse'
                  AND datname = current_database()}) == 2 }
    'two connections by default';

is($nginx->stop, undef, 'it ends');


# names are resolved with the configuration

$nginx = Pulse::Nginx->new(
    http => 'pulse_postgres "host=localhost port=1 dbname=pulse user=pulse";'
            . 'pulse_redis localhost:1;',
    config => 'location = /ready { pulse_api; }')->run;

$reply = http(GET => '/ready', port => $nginx->port);

is($reply->{status}, 503, 'nobody listens');
is_deeply($reply->{json}{data}, { postgres => 'down', redis => 'down' },
          'both are named');

comes { grep { /pulse postgres: unavailable: .*127\.0\.0\.1.*refused/ }
             @{ $nginx->error_log } }
    'the address is that of the name';

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'its log is clean');


# AUTH and SELECT

my $right = suite_file('right', "topsecret\n");
my $wrong = suite_file('wrong', "topsecrets\n");

redis->command('CONFIG', 'SET', 'requirepass', 'topsecret');

$nginx = Pulse::Nginx->new(
    http => "pulse_redis $redis password_file=$right database=3;",
    config => 'location = /ready { pulse_api; }')->run;

ready($nginx, 'the right password');

is($nginx->stop, undef, 'it ends');

$nginx = Pulse::Nginx->new(
    http => "pulse_redis $redis password_file=$wrong;", log_level => 'debug',
    config => 'location = /ready { pulse_api; }')->run;

is(http(GET => '/ready', port => $nginx->port)->{status}, 503,
   'the wrong password');

comes { grep { /pulse redis: unavailable: WRONGPASS/ }
             @{ $nginx->error_log } }
    'Redis says why';

is($nginx->stop, undef, 'it ends');
unlike(join('', @{ $nginx->error_log }), qr/topsecret/, 'and no password');

$nginx = Pulse::Nginx->new(
    http => "pulse_redis $redis password_file=$right database=99;",
    config => 'location = /ready { pulse_api; }')->run;

is(http(GET => '/ready', port => $nginx->port)->{status}, 503,
   'a database that Redis has not');

is($nginx->stop, undef, 'it ends');

done_testing();
