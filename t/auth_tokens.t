# Tokens as they come over the wire: forged ones, those of a ring that turns,
# and those of a foreign issuer.

use v5.30;
use warnings;

use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Nginx;
use Test::More;

my $dir = suite_dir();
my $json = JSON::PP->new->canonical->utf8;


sub base64url { encode_base64($_[0], '') =~ tr{+/=}{-_}dr }


sub spew {
    my ($file, $text) = @_;

    open my $out, '>', $file or die "$file: $!\n";
    chmod 0600, $file;
    print $out $text;
    close $out;
}


sub ring {
    my ($file, @keys) = @_;

    spew($file, $json->encode({ keys => \@keys }));
}


sub secret_key {
    my ($kid, $secret, %more) = @_;

    return { kty => 'oct', kid => $kid, k => base64url($secret), %more };
}


# An Ed25519 key by openssl(1): the JWK's public part, and a signer.

sub ed25519 {
    my ($kid) = @_;

    my $pem = "$dir/$kid.pem";

    system("openssl genpkey -algorithm ED25519 -out '$pem' 2>/dev/null") == 0
        or die "openssl genpkey failed\n";

    my $der = qx{openssl pkey -in '$pem' -pubout -outform DER};

    my $private = qx{openssl pkey -in '$pem' -outform DER};

    return ({ kty => 'OKP', crv => 'Ed25519', kid => $kid,
              x => base64url(substr $der, -32) },
            base64url(substr $private, -32),
            sub {
                spew("$dir/input", $_[0]);

                my $command = "openssl pkeyutl -sign -rawin -inkey '$pem'"
                              . " -in '$dir/input'";

                return scalar qx{$command};
            });
}


sub signed {
    my ($sign, $header, $claims) = @_;

    my $input = join '.', map { base64url($json->encode($_)) }
                              $header, $claims;

    return "$input." . base64url($sign->($input));
}


my $one = '1' x 32;
my $two = '2' x 32;

ring("$dir/ring.json", secret_key('one', $one));

my ($public, undef, $sign) = ed25519('f1');

# what the issuer also publishes, for other purposes, is passed over

ring("$dir/foreign.json", $public,
     { kty => 'RSA', use => 'enc', alg => 'RSA-OAEP', n => 'AQAB',
       e => 'AQAB', kid => 'f2' },
     { kty => 'EC', crv => 'P-521', x => 'AA', y => 'AA', kid => 'f3' });

my $nginx = Pulse::Nginx->new(http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_public_url http://studio.test;
    pulse_auth_keys $dir/ring.json;
    pulse_auth_jwks $dir/foreign.json issuer=https://id.test
                    audience=studio-api;
    pulse_auth_issuer https://studio.test;
    pulse_auth_audience studio;
HTTP
    config => <<'CONFIG')->run;
    location /v1/auth/magic-link { pulse_auth off; pulse_api; }
    location /v1/ { pulse_auth on; pulse_api; }
    location = /metrics { pulse_api; }
CONFIG

my $user = make_user(locale => 'en');
my %ours = (iss => 'https://studio.test', aud => 'studio');


sub me {
    my ($token) = @_;

    return http(GET => '/v1/auth/me', port => $nginx->port,
                bearer => $token)->{status};
}


sub ours {
    my (%o) = @_;

    return jwt(user => $user, secret => $one, %o,
               header => { kid => 'one', %{ $o{header} // {} } },
               claims => { %ours, %{ $o{claims} // {} } });
}


is(me(ours()), 200, 'a token of ours');


# --- forged ones; each check of the verifier has its unit test, these are
# --- what a request can do to the module around it

my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    // die "no port: $!\n";

my $url = 'http://127.0.0.1:' . $listener->sockport . '/keys.json';

my @bad = (
    ['alg none', header => { alg => 'none' }],
    ['alg None', header => { alg => 'None' }],
    ['another secret', secret => $two],
    ['an empty secret', secret => ''],
    ['kid ../../dev/null', header => { kid => '../../dev/null' },
     secret => ''],
    ['a kid of SQL', header => { kid => "' OR 1=1 --" }],
    ['an unknown kid', header => { kid => 'two' }],
    ['jku', header => { kid => 'x', jku => $url }, secret => $two],
    ['x5u', header => { x5u => $url }, secret => $two],
    ['jwk', header => { jwk => secret_key('one', $two) }, secret => $two],
    ['crit', header => { crit => ['exp'] }],
    ['expired', claims => { exp => time - 60 }],
    ['no exp', claims => { exp => undef }],
    ['nbf to come', claims => { nbf => time + 600 }],
    ['iat to come', claims => { iat => time + 600 }],
    ['no iat', claims => { iat => undef }],
    ['another issuer', claims => { iss => 'https://other.test' }],
    ['no issuer', claims => { iss => undef }],
    ['another audience', claims => { aud => 'magic-link' }],
    ['no audience', claims => { aud => undef }],
    ['no session', claims => { sid => undef }],
    ['a session that is no UUID', claims => { sid => "x' OR 1=1" }],
    ['no user', claims => { sub => undef }],
    ['a user that is no UUID', claims => { sub => 'admin' }],
    ['another kind', header => { typ => 'logout+jwt' }],
    ['our key in the name of the foreign issuer',
     claims => { iss => 'https://id.test', aud => 'studio-api' }],
);

for my $case (@bad) {
    my ($name, %o) = @$case;

    is(me(ours(%o)), 401, "refused: $name");
}

is(IO::Select->new($listener)->can_read(0.1) // 0, 0,
   'no address in a token was ever called');

my $good = ours();

is(me(substr $good, 0, -1), 401, 'a byte less');
is(me("$good."), 401, 'a dot more');
is(me("$good="), 401, 'padding');
is(me($good . 'A' x 7000), 401, 'a long tail');

my $reply = http(GET => '/v1/auth/me', port => $nginx->port,
                 bearer => 'x.y.z');

is($reply->{json}{error}{code}, 'UNAUTHORIZED', 'with its code');
is_deeply($reply->{json}{error}{details}, {}, 'and nothing of the reason');


# --- the second request does not verify again

sub verified {
    my $text = http(GET => '/metrics', port => $nginx->port)->{body};

    return $text =~ /^pulse_auth_verified_total (\d+)$/m ? $1 : undef;
}

my $fresh = ours();

is(me($fresh), 200, 'a new token');
my $before = verified();
is(me($fresh), 200, 'again');
is(me($fresh), 200, 'and again');
is(verified(), $before, 'comes out of the cache');

is(me(ours(claims => { exp => time - 60 })), 401,
   'one that was refused is not put there');


# --- a foreign issuer: its subjects are users by the table

sub theirs {
    my (%claims) = @_;

    return signed($sign, { alg => 'EdDSA', kid => 'f1', typ => 'at+jwt' },
                  { iss => 'https://id.test', aud => 'studio-api',
                    sub => 'subject-1', exp => time + 600, %claims });
}

is(me(theirs()), 401, 'a subject that nobody knows');

sql("INSERT INTO identities (issuer, subject, user_id)
     VALUES ('https://id.test', 'subject-1', '$user'),
            ('https://other.test', 'subject-2', '$user')");

is(me(theirs(nonce => 1)), 200, 'a subject that is a user');
is(me(theirs(nonce => 1)), 200, 'again, from the cache');
is(me(theirs(sub => 'subject-2')), 401, 'a subject of another issuer');
is(me(theirs(aud => 'studio')), 401, 'our audience is not theirs');
is(me(theirs(aud => ['x', 'studio-api'], nonce => 2)), 200, 'one of several');
is(me(theirs(sub => undef)), 401, 'nobody');
is(me(theirs(exp => time - 60)), 401, 'expired');
is(me(theirs(iss => 'https://studio.test', aud => 'studio', sub => $user,
             sid => uuid(), iat => time)), 401,
   'their key in our name');

is(me(signed($sign, { alg => 'Ed25519', kid => 'f1' },
             { iss => 'https://id.test', aud => 'studio-api',
               sub => 'subject-1', exp => time + 600 })), 200,
   'by the new name of the algorithm');


# --- the ring turns: a new key signs, the old one's tokens stay good

my $old = ours();
is(me($old), 200, 'a token of the first key');

my @workers = $nginx->workers;


sub reloaded {
    $nginx->reload;

    ok(wait_until(sub {
        my %now = map { $_ => 1 } $nginx->workers;
        return %now && !grep { $now{$_} } @workers;
    }, 10), 'reloaded');

    @workers = $nginx->workers;
}

ring("$dir/ring.json", secret_key('one', $one),
     secret_key('two', $two, status => 'active'));
reloaded();

my $new = ours(header => { kid => 'two' }, secret => $two);

is(me($old), 200, 'is good after the second came');
is(me($new), 200, 'beside one of the second');

ring("$dir/ring.json", secret_key('two', $two));
reloaded();

is(me($old), 401, 'and refused when the first has gone, cached or not');
is(me($new), 200, 'while the second stays');

my ($own, $private) = ed25519('three');

ring("$dir/ring.json", secret_key('two', $two),
     { %$own, d => $private, status => 'active' });
reloaded();

is(me($new), 200, 'a key of another kind comes');

my $email = sql("SELECT email FROM users WHERE id = '$user'");

http(POST => '/v1/auth/magic-link', port => $nginx->port,
     json => { email => $email });

my ($link) = sql("SELECT payload ->> 'link' FROM outbox") =~ /token=(.*)/;

$reply = http(POST => '/v1/auth/magic-link/verify', port => $nginx->port,
              json => { token => $link });

my ($cookie) = $reply->{headers}{'set-cookie'} =~ /\Asession=([^;]+)/;
my ($head) = $cookie =~ /\A([\w-]+)\./;

is_deeply($json->decode(MIME::Base64::decode_base64($head =~ tr{-_}{+/}r)),
          { alg => 'EdDSA', typ => 'JWT', kid => 'three' },
          'and signs from now on');
is(me($cookie), 200, 'its tokens are good');

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
