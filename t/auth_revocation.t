# What is ended is ended on every node, whichever part of the house is down.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'own';
use Pulse::Nginx;
use Test::More;

my %nodes = map { $_ => Pulse::Nginx->new(workers => 2, http => <<"HTTP",
    pulse_node $_;
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" timeout=2s;
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS} timeout=1s;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
HTTP
    config => <<'CONFIG') } qw(a b c);
    location = /in { pulse_auth on; empty_gif; }
    location /v1/ { pulse_auth on; pulse_api; }
    location = /ready { pulse_api; }
    location = /metrics { pulse_api; }
CONFIG

my ($a, $b, $c) = @nodes{qw(a b c)};


sub in {
    my ($node, $credential) = @_;

    return http(GET => '/in', port => $node->port,
                bearer => $credential)->{status};
}


# Whichever worker answers.

sub becomes {
    my ($node, $credential, $status, $name) = @_;

    ok(wait_until(sub {
        !grep { in($node, $credential) != $status } 1 .. 4;
    }, 10), $name);
}


sub ready {
    my ($node) = @_;

    return wait_until(sub {
        !grep { http(GET => '/ready', port => $node->port)->{status} != 200 }
              1 .. 8;
    }, 15);
}


sub session { jwt(user => $_[0]) }


sub sid {
    my ($token) = @_;

    require MIME::Base64;

    my ($claims) = $token =~ /\.([\w-]+)\./;

    return MIME::Base64::decode_base64($claims =~ tr{-_}{+/}r)
        =~ /"sid":"([^"]+)"/ ? $1 : undef;
}


$_->run for $a, $b;
ok(ready($_), 'a node is ready') for $a, $b;

my $user = make_user();


# --- by an endpoint of one node, on both

for my $redis ('with Redis', 'without Redis') {

    redis->stop if $redis eq 'without Redis';

    my $token = session($user);
    my $key = make_key($user);

    for my $node ($a, $b) {
        becomes($node, $_, 200, "$redis: let in") for $token, $key;
    }

    is(http(POST => '/v1/auth/logout', port => $a->port, bearer => $token)
       ->{status}, 200, "$redis: logged out on one node");
    is(in($a, $token), 401, "$redis: refused there at once") for 1 .. 4;
    becomes($b, $token, 401, "$redis: and on the other");

    my $token2 = session($user);
    my $keys = http(GET => '/v1/keys', port => $a->port, bearer => $key);
    my ($id) = map { $_->{id} } @{ $keys->{json}{data}{keys} };

    is(http(DELETE => "/v1/keys/$id", port => $b->port, bearer => $token2)
       ->{status}, 200, "$redis: a key is deleted");
    is(in($b, $key), 401, "$redis: refused there at once") for 1 .. 4;
    becomes($a, $key, 401, "$redis: and on the other");

    is(in($_, $token2), 200, "$redis: what was not ended is good") for $a, $b;
}

redis->start;


# --- by SQL, as pulsectl does it

my ($token, $other) = map { session($user) } 1 .. 2;
my $key = make_key($user);

becomes($_, $token, 200, 'let in') for $a, $b;

sql("SELECT revoke('session', '" . sid($token) . "')");

becomes($_, $token, 401, 'a session is revoked') for $a, $b;
is(in($_, $other), 200, 'that one alone') for $a, $b;

becomes($_, $key, 200, 'a key of the user') for $a, $b;

sql("SELECT revoke('user', '$user')");

for my $node ($a, $b) {
    becomes($node, $other, 401, 'the user is revoked, and the session');
    becomes($node, $key, 401, 'and the key');
    is(in($node, make_key($user)), 401, 'a new key is no good either');
}

sql("SELECT user_activate('$user')");

for my $node ($a, $b) {
    becomes($node, $key, 200, 'the user may come back, with the key');
    is(in($node, $other), 401, 'the old session may not');
}

# a second that began after the revocation

wait_until { sql("SELECT floor(extract(epoch FROM now()))
                         > ceil(extract(epoch FROM max(created_at)))
                  FROM revocations WHERE kind = 'user'") eq 't' } 10;

$token = session($user);
is(in($_, $token), 200, 'a new one may') for $a, $b;


# --- a writer that takes its time: its row appears behind others

my @tokens = map { session($user) } 1 .. 3;
becomes($b, $_, 200, 'let in') for @tokens;

my $writer = transaction("SELECT revoke('session', '" . sid($tokens[0])
                         . "')");

sql("SELECT revoke('session', '" . sid($tokens[1]) . "')");

becomes($b, $tokens[1], 401, 'a later row is seen');
is(in($b, $tokens[0]), 200, 'while the earlier one is not there yet');

ok($writer->end('COMMIT'), 'it is committed');

becomes($_, $tokens[0], 401, 'and seen behind the other') for $a, $b;
is(in($b, $tokens[2]), 200, 'nothing else is');


# --- the worker that reads is killed

for my $worker ($b->workers) {
    $b->excuse("$worker exited on signal 9");

    kill KILL => $worker;

    ok(wait_until(sub {
        my @now = $b->workers;
        return @now == 2 && !grep { $_ == $worker } @now;
    }, 10), 'a worker is killed and comes back');

    my $token = session($user);

    becomes($b, $token, 200, 'let in after that');
    sql("SELECT revoke('session', '" . sid($token) . "')");
    becomes($b, $token, 401, 'another one reads');
}


# --- and reloads: what is known stays known

my $revoked = $tokens[0];
my @old = $b->workers;

$b->reload;

my @seen;

wait_until {
    push @seen, in($b, $revoked);

    my %now = map { $_ => 1 } $b->workers;
    return !grep { $now{$_} } @old;
} 10;

is(scalar(grep { $_ != 401 } @seen), 0, 'never let in during a reload');
becomes($b, $tokens[2], 200, 'as the others are');


# --- a node that starts lets nobody in whom it cannot know yet

$c->run;

is(scalar(grep { $_ != 401 } map { in($c, $revoked) } 1 .. 20), 0,
   'a revoked session, at the start');
becomes($c, $tokens[2], 200, 'one that is good');
is($c->stop, undef, 'it ends');

postgres->pause;

$c->run;

is(in($c, $tokens[2]), 503, 'without Postgres nobody is known');
is(http(GET => '/v1/auth/me', port => $c->port, bearer => $tokens[2])
   ->{json}{error}{code}, 'STORE_UNAVAILABLE', 'with its code');

postgres->resume;

becomes($c, $tokens[2], 200, 'until it is back');
is(in($c, $revoked), 401, 'and what was revoked is known');
is($c->stop, undef, 'it ends');


# --- Postgres goes away under a running node

my $known = make_key($user);
my $unknown = make_key($user);

$token = session($user);
my $never = session($user);

becomes($a, $_, 200, 'let in') for $token, $known;

postgres->stop('QUIT');

is(in($a, $token), 200, 'a session needs no store');
is(in($a, $never), 200, 'nor does one that comes for the first time');
is(in($a, $known), 200, 'nor a key that is remembered');
is(in($a, $unknown), 503, 'one that is not does');
is(in($a, $revoked), 401, 'what was revoked stays so');

postgres->start;

becomes($a, $unknown, 200, 'until the store is back');

$token = session($user);
becomes($a, $token, 200, 'let in');
sql("SELECT revoke('session', '" . sid($token) . "')");
becomes($a, $token, 401, 'and revoked, as before');


# --- one who tries keys out

my @statuses = map { in($a, 'pk_' . 'A' x 40 . sprintf '%02dA', $_) } 10 .. 60;

is($statuses[0], 401, 'a key that is none');
is($statuses[-1], 429, 'many of them are too many');

my $details = http(GET => '/v1/auth/me', port => $a->port,
                   bearer => 'pk_' . 'A' x 40 . '61A')
              ->{json}{error}{details};

is_deeply([sort keys %$details], [qw(limit reset_at window_seconds)],
          'with what the client may know');
like($details->{reset_at}, qr/\A20\d\d-.*Z\z/, 'and when to come back');
is(in($a, $known), 200, 'those that are known are not held up');
is(in($a, $token), 401, 'nor is anything forgotten');

my $again = 'pk_' . 'A' x 40 . '10A';
is(in($a, $again), 401, 'a bad one that is remembered is refused for itself');

my $text = http(GET => '/metrics', port => $a->port)->{body};
like($text, qr/^pulse_auth_refused_total [1-9]/m, 'it is counted');

# --- more revocations than the zone has room for: the store is asked

sql("INSERT INTO revocations (kind, id, expires_at)
     SELECT 'session', gen_random_uuid(), now() + interval '1 hour'
     FROM generate_series(1, 3000)");

my $d = Pulse::Nginx->new(http => <<"HTTP", config => $a->{config})->run;
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" timeout=2s;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_auth_zone 128k;
HTTP

$d->excuse('"pulse_auth_zone" is too small');

$token = session($user);

ok(wait_until(sub {
    grep { /"pulse_auth_zone" is too small/ } @{ $d->error_log };
}, 10), 'a zone that is too small is told of');

is(in($d, $token), 200, 'a session that is good') for 1 .. 2;
is(in($d, $known), 200, 'and a key') for 1 .. 2;
is(in($d, $revoked), 401, 'one that was revoked');

sql("SELECT revoke('session', '" . sid($token) . "')");
is(in($d, $token), 401, 'and one that is now');

for my $node ($a, $b, $d) {
    is($node->stop, undef, 'a node ends');
}

for my $node ($a, $b, $c, $d) {
    is_deeply([$node->problems], [], 'and its log is clean');
}

done_testing();
