# From the address to the cookie, the list of sessions and of keys.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Nginx;
use Test::More;

my $nginx = Pulse::Nginx->new(workers => 2, http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_public_url https://studio.test;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_auth_session_time 10d;
HTTP
    config => <<'CONFIG')->run;
    location /v1/auth/magic-link { pulse_auth off; pulse_api; }
    location /v1/ { pulse_auth on; pulse_api; }
    location = /ready { pulse_api; }
CONFIG

my $port = $nginx->port;

# both workers have their connections

ok(wait_until(sub {
    !grep { http(GET => '/ready', port => $port)->{status} != 200 } 1 .. 12;
}, 10), 'ready');


sub call {
    my ($method, $path, %o) = @_;

    return http($method => $path, port => $port, %o);
}


sub ask {
    my ($email, %o) = @_;

    return call(POST => '/v1/auth/magic-link',
                json => { email => $email, %o });
}


# The token of the link that was mailed last to this address.

sub token {
    my ($email) = @_;

    my $link = sql("SELECT payload ->> 'link' FROM outbox
                    WHERE recipient = lower('$email') ORDER BY id DESC
                    LIMIT 1");

    return $link =~ m{\Ahttps://studio\.test/verify\?token=([\w-]{43})\z}
        ? $1 : undef;
}


sub verify {
    my ($token) = @_;

    return call(POST => '/v1/auth/magic-link/verify',
                json => { token => $token });
}


sub cookie {
    my ($reply) = @_;

    return ($reply->{headers}{'set-cookie'} // '') =~ /\Asession=([^;]*)/
        ? $1 : undef;
}


# Each of these asks is a browser of a network of its own.

sub forget_limits { sql("UPDATE magic_links SET network = gen_random_uuid(),
                             created_at = created_at - interval '2 hours'") }


sub sign_in {
    my ($email) = @_;

    ask($email);
    forget_limits();

    return cookie(verify(token($email)));
}


# --- the journey of somebody new

my $reply = ask('Huda@Example.Test', locale => 'en');

is($reply->{status}, 200, 'a link is asked for');
is($reply->{json}{data}{expires_in}, 600, 'it lasts ten minutes');
like($reply->{json}{data}{message}, qr/link/, 'in the language asked for');
is(sql("SELECT count(*) FROM users"), 0, 'nobody is made by asking');
is(sql("SELECT kind || ' ' || recipient || ' ' || locale FROM outbox"),
   'magic_link huda@example.test en', 'a mail waits');

my $token = token('huda@example.test');
ok(defined $token, 'with the link of this studio');
is(sql("SELECT count(*) FROM magic_links
        WHERE hash = sha256('$token'::bytea)"), 1, 'its hash is kept');
is(sql("SELECT count(*) FROM magic_links m WHERE m::text LIKE '%$token%'"),
   0, 'and nothing else of it');

is(call(GET => "/v1/auth/magic-link/verify?token=$token")->{status}, 405,
   'following a link spends nothing');

$reply = verify($token);

is($reply->{status}, 200, 'the link is spent');
is($reply->{json}{data}{user}{email}, 'huda@example.test', 'by its user');
is($reply->{json}{data}{user}{locale}, 'en', 'who has a language');
is($reply->{json}{data}{subscription}{plan}, 'trial', 'and the first plan');
is($reply->{json}{data}{redirect_url}, '/', 'and goes on');
is($reply->{headers}{'cache-control'}, 'no-store', 'nobody keeps this');

like($reply->{headers}{'set-cookie'},
     qr/\Asession=[\w-]+\.[\w-]+\.[\w-]+; Path=\/; Max-Age=8639\d\d|864000; /,
     'a cookie for as long as the session');
like($reply->{headers}{'set-cookie'}, qr/; HttpOnly(?:;|\z)/, 'HttpOnly');
like($reply->{headers}{'set-cookie'}, qr/; SameSite=Lax(?:;|\z)/, 'Lax');
like($reply->{headers}{'set-cookie'}, qr/; Secure\z/,
     'Secure where the public URL is');
unlike($reply->{headers}{'set-cookie'}, qr/Domain/i, 'for this host alone');

my $id = $reply->{json}{data}{user}{id};
my $session = cookie($reply);

$reply = call(GET => '/v1/auth/me',
              headers => { Cookie => "session=$session" });

is($reply->{json}{data}{user}{id}, $id, 'the cookie is good');
is($reply->{json}{data}{subscription}{status}, 'active', 'with the plan');


# --- one and the same refusal

my @refusals = map { delete $_->{json}{meta}; [$_->{status}, $_->{json}] }
    verify($token), verify('A' x 43), verify('short'), verify("a\0b"),
    verify('B' x 5000);

is($refusals[0][0], 400, 'a link is spent once');
is($refusals[0][1]{error}{code}, 'INVALID_REQUEST', 'with its code');
is($refusals[0][1]{error}{details}{field}, '/token', 'and the field');
is_deeply($refusals[$_], $refusals[0], "not to be told apart: $_")
    for 1, 2, 4;

forget_limits();
ask('late@example.test');
$token = token('late@example.test');
sql("UPDATE magic_links SET expires_at = now()
     WHERE email = 'late\@example.test'");
$reply = verify($token);
delete $reply->{json}{meta};
is_deeply([$reply->{status}, $reply->{json}], $refusals[0],
          'nor one that has expired');

ask('twice@example.test');
my $first = token('twice@example.test');
ask('twice@example.test');
is(verify($first)->{status}, 400, 'a newer link cancels the older');
is(verify(token('twice@example.test'))->{status}, 200, 'and is good itself');


# --- known and unknown look alike

forget_limits();

my ($known, $unknown) = map { ask($_) } 'huda@example.test',
                                        'stranger@example.test';

delete $_->{json}{meta} for $known, $unknown;
is_deeply($known->{json}, $unknown->{json}, 'known or not: the same answer');
is(sql("SELECT locale FROM outbox ORDER BY id DESC LIMIT 1"), 'ar',
   'a stranger is written to in the language of the request');
is(sql("SELECT locale FROM outbox WHERE recipient = 'huda\@example.test'
        ORDER BY id DESC LIMIT 1"), 'en',
   'a user in their own');


# --- addresses

for my $email ('plain', '@x.test', 'a@', 'a@b', 'a b@x.test', 'a@x..test',
               '.a@x.test', 'a.@x.test', 'a..b@x.test', 'a@-x.test',
               'a@x-.test', "a\r\nBcc: b\@x.test", "a\@x.test\r\n",
               'a@x.test,b@x.test', '<a@x.test>', 'a@[127.0.0.1]',
               'أ@x.test', 'a' x 65 . '@x.test',
               'a@' . 'x' x 64 . '.test', 'a@' . 'x.' x 130 . 'test', '',
               { a => 1 }, undef, 5)
{
    my $reply = ask($email);
    my $name = defined $email ? $email =~ s/[^ -~]/?/gr : 'null';

    is($reply->{status} . ' ' . $reply->{json}{error}{details}{field},
       '400 /email', 'no address: ' . substr $name, 0, 30);
}

for my $email (q{o'hara+tag/x=y@mail.example.test}, 'a@xn--mgbh0fb.test',
               'a' x 64 . '@x.test')
{
    forget_limits();
    is(ask($email)->{status}, 200, "an address: $email");
}

is(call(POST => '/v1/auth/magic-link', json => {})->{json}{error}{details}
   {field}, '/email', 'none at all');
is(ask('a@x.test', locale => 'fr')->{json}{error}{details}{field}, '/locale',
   'another language');
is(call(POST => '/v1/auth/magic-link', body => '[',
        headers => { 'Content-Type' => 'application/json' })->{status}, 400,
   'no JSON');
is(call(POST => '/v1/auth/magic-link', body => 'email=a@x.test')->{status},
   415, 'a form');


# --- limits

forget_limits();

is(ask('limit@example.test')->{status}, 200, "an hour's link $_") for 1 .. 5;

$reply = ask('LIMIT@example.test');
is($reply->{status}, 429, 'the sixth is refused, however it is written');
is($reply->{json}{error}{code}, 'RATE_LIMIT_EXCEEDED', 'with its code');
is($reply->{json}{error}{details}{limit}, 5, 'and the limit');
is($reply->{json}{error}{details}{window_seconds}, 3600, 'and the window');
like($reply->{json}{error}{details}{reset_at}, qr/\A\d{4}-.*Z\z/,
     'and when there is room');
like($reply->{headers}{'retry-after'}, qr/\A3[0-6]\d\d\z/,
     'Retry-After says the same');

is(ask("net$_\@example.test")->{status}, 200, "of one network $_")
    for 6 .. 20;
is(ask('net21@example.test')->{json}{error}{details}{limit}, 20,
   'twenty of one network');

sql("UPDATE magic_links SET created_at = created_at - interval '1 hour'");
is(ask('limit@example.test')->{status}, 200, 'an hour later there is room');


# --- races: many ask, or spend, at once

sub at_once {
    my ($path, @bodies) = @_;

    my @clients = map { Pulse::Client->connect(port => $port) } @bodies;

    $clients[$_]->request(POST => $path, json => $bodies[$_])
        for 0 .. $#bodies;

    return map { $_->response->{status} } @clients;
}

forget_limits();

my @statuses = at_once('/v1/auth/magic-link',
                       map { { email => 'race@example.test' } } 1 .. 12);

is(scalar(grep { $_ == 200 } @statuses), 5, 'five links however many race');
is(scalar(grep { $_ == 429 } @statuses), 7, 'and the others are told');

$token = token('race@example.test');
@statuses = at_once('/v1/auth/magic-link/verify',
                    map { { token => $token } } 1 .. 8);

is(scalar(grep { $_ == 200 } @statuses), 1, 'one of eight spends the link');
is(scalar(grep { $_ == 400 } @statuses), 7, 'the others are late');
is(sql("SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE u.email = 'race\@example.test'"), 1, 'one session');


# --- an account that was closed

sql("UPDATE users SET status = 'inactive' WHERE email = 'race\@example.test'");
forget_limits();
ask('race@example.test');
$reply = verify(token('race@example.test'));
is("$reply->{status} $reply->{json}{error}{code}", '403 FORBIDDEN',
   'nobody signs in to it');
ok(!defined $reply->{headers}{'set-cookie'}, 'nor gets a cookie');


# --- the language

my %site = ('Sec-Fetch-Site' => 'same-origin');

$reply = call(PATCH => '/v1/auth/me', json => { locale => 'ar' },
              headers => { Cookie => "session=$session", %site });
is($reply->{json}{data}{user}{locale}, 'ar', 'the language is changed');

my $renewed = cookie($reply);
ok(defined $renewed && $renewed ne $session, 'and the cookie with it');

$reply = call(DELETE => '/v1/auth/sessions/x',
              headers => { Cookie => "session=$renewed", %site });
is($reply->{status}, 404, 'no such session');
like($reply->{json}{error}{message}, qr/\p{Arabic}/,
     'said in the new language');

is(call(PATCH => '/v1/auth/me', json => { locale => 'xx' },
        bearer => $session)->{json}{error}{details}{field}, '/locale',
   'no such language');
is(call(PATCH => '/v1/auth/me', json => {}, bearer => $session)
   ->{json}{data}{user}{locale}, 'ar', 'nothing to change');


# --- sessions

my @sessions = map { sign_in('huda@example.test') } 1 .. 3;
my $stranger = sign_in('stranger@example.test');

sub me { call(GET => '/v1/auth/me', bearer => $_[0])->{status} }

$reply = call(GET => '/v1/auth/sessions', bearer => $sessions[0]);
my @list = @{ $reply->{json}{data}{sessions} };
is(scalar @list, 4, 'all sessions are listed');
is(scalar(grep { $_->{current} } @list), 1, 'one is this one');
is($list[0]{network}, '127.0.0.0/24', 'with the network');

my ($mine) = map { $_->{id} } grep { $_->{current} } @list;

my $second = call(GET => '/v1/auth/sessions', bearer => $sessions[1]);
my ($two) = map { $_->{id} } grep { $_->{current} }
                @{ $second->{json}{data}{sessions} };

is(call(DELETE => "/v1/auth/sessions/$two", bearer => $stranger)->{status},
   403, "somebody else's session stays");
is(me($sessions[1]), 200, 'and is good');
is(call(DELETE => '/v1/auth/sessions/' . uuid(), bearer => $stranger)
   ->{status}, 404, 'one that never was');

is(call(DELETE => '/v1/auth/sessions/' . uc $two, bearer => $sessions[0])
   ->{status}, 200, 'one of the own is ended');
is(me($sessions[1]), 401, 'at once');
is(me($sessions[0]), 200, 'alone');
is(call(DELETE => "/v1/auth/sessions/$two", bearer => $sessions[0])
   ->{status}, 200, 'ending it again changes nothing');

$reply = call(DELETE => '/v1/auth/sessions', bearer => $sessions[0]);
is($reply->{json}{data}{revoked}, 2, 'all others are ended');
is(me($_), 401, 'they are') for $session, $sessions[2];
is(me($renewed), 401, 'in whatever token');
is(me($sessions[0]), 200, 'but for this one');
is(me($stranger), 200, 'and those of others');

$reply = call(POST => '/v1/auth/logout',
              headers => { Cookie => "session=$sessions[0]", %site });
is($reply->{status}, 200, 'logout');
like($reply->{headers}{'set-cookie'}, qr/\Asession=; Path=\/; Max-Age=0;/,
     'clears the cookie');
is(me($sessions[0]), 401, 'and ends the session');
is(call(POST => '/v1/auth/logout', bearer => $sessions[0])->{status}, 401,
   'once');


# --- keys

$reply = call(POST => '/v1/keys', json => { name => 'مفتاح' },
              bearer => $stranger);
is($reply->{status}, 201, 'a key');
my $key = $reply->{json}{data}{key};
my $key_id = $reply->{json}{data}{id};
like($key, qr/\Apk_[\w-]{43}\z/, 'is shown');
is($reply->{json}{data}{prefix}, substr($key, 0, 8), 'with its prefix');
is($reply->{json}{data}{expires_at}, undef, 'it does not expire');
is(sql("SELECT count(*) FROM api_keys k WHERE k::text LIKE '%$key%'"), 0,
   'once: it is not stored');

is(me($key), 200, 'it is good');

$reply = call(GET => '/v1/keys', bearer => $key);
is($reply->{json}{data}{keys}[0]{name}, 'مفتاح', 'it is listed');
unlike($reply->{body}, qr/\Q$key\E/, 'by its prefix only');

is(call(POST => '/v1/auth/logout', bearer => $key)->{status}, 403,
   'a key has no session to end');

for my $case ([{}, '/name'], [{ name => '' }, '/name'],
              [{ name => 5 }, '/name'], [{ name => "a\nb" }, '/name'],
              [{ name => 'x' x 101 }, '/name'],
              [{ name => 'x', expires_at => 'soon' }, '/expires_at'],
              [{ name => 'x', expires_at => 5 }, '/expires_at'],
              [{ name => 'x', expires_at => '2020-01-01T00:00:00Z' },
               '/expires_at'],
              [{ name => 'x', expires_at => '2099-13-01T00:00:00Z' },
               '/expires_at'],
              [{ name => 'x', expires_at => '2099-01-01' }, '/expires_at'],
              [{ name => 'x', expires_at => '2099-01-01T00:00:00' },
               '/expires_at'],
              [{ name => 'x', expires_at => 'infinity' }, '/expires_at'])
{
    my ($body, $field) = @$case;

    $reply = call(POST => '/v1/keys', json => $body, bearer => $stranger);
    is("$reply->{status} $reply->{json}{error}{details}{field}",
       "400 $field", 'refused: ' . join ' ', %$body);
}

for my $time ('2099-01-01T00:00:00Z', '2099-01-01t00:00:00.123456z',
              '2099-01-01T03:00:00+03:00')
{
    $reply = call(POST => '/v1/keys', bearer => $stranger,
                  json => { name => 'x' x 100, expires_at => $time });
    is($reply->{status}, 201, "expires at $time");
    like($reply->{json}{data}{expires_at}, qr/\A2099-01-01T00:00:00/,
         'in UTC');
}

my $huda = sign_in('huda@example.test');

is(call(DELETE => "/v1/keys/$key_id", bearer => $huda)->{status}, 403,
   "somebody else's key stays");
is(me($key), 200, 'and is good');
is(call(DELETE => '/v1/keys/nonsense', bearer => $huda)->{status}, 404,
   'no key');
is(call(DELETE => "/v1/keys/$key_id", bearer => $stranger)->{status}, 200,
   'the own is deleted');
is(me($key), 401, 'and no good');
is(call(GET => '/v1/keys', bearer => $stranger)->{json}{data}{keys}[0]{name},
   'x' x 100, 'nor listed');

# a busy machine may be too late to see it before that

my $seen;

for (my $left = 300; ($seen // 0) != 200 && $left < 60_000; $left *= 4) {
    $reply = call(POST => '/v1/keys', bearer => $huda,
                  json => { name => 'short',
                            expires_at => '2099-01-01T00:00:00Z' });
    $key = $reply->{json}{data}{key};
    sql("UPDATE api_keys SET expires_at = now() + interval '$left ms'
         WHERE id = '$reply->{json}{data}{id}'");
    $seen = me($key);
}

is($seen, 200, 'a key that is about to expire');
ok(wait_until(sub { me($key) == 401 }, 5), 'expires in the cache too');

sql("INSERT INTO api_keys (id, user_id, name, prefix, hash)
     SELECT gen_random_uuid(), '$id', 'x', 'pk_', sha256(n::text::bytea)
     FROM generate_series(1, 100) n");
is(call(POST => '/v1/keys', json => { name => 'more' }, bearer => $huda)
   ->{status}, 400, 'a hundred are enough');


is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

unlike(join('', @{ $nginx->error_log }), qr/token=|pk_[\w-]{20}|eyJ/,
       'nothing secret in it');

done_testing();
