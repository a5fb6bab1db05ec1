# Who is let in, by what, and what a browser may not do for others.

use lib 't/lib';
use Pulse::Env 'stores';
use Test::Nginx::Socket 'no_plan';

our $user = make_user(locale => 'en');
our $key = make_key($user);
our $service = make_key(undef, internal => 1);
our $jwt = jwt(user => $user);
our $other = jwt(user => make_user());
our $socket = suite_dir() . '/internal.sock';

$ENV{TEST_NGINX_SOCKET} = $socket;

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(http_config => <<'HTTP') if !defined $block->http_config;
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys $TEST_NGINX_PULSE_KEYS;
HTTP

    $block->set_value(config => <<'CONFIG') if !defined $block->config;
    location /v1/ { pulse_auth on; pulse_api; }
    location /v1/messages { pulse_dialect anthropic; pulse_auth on;
                            root html; }
    location /v1beta/ { pulse_dialect gemini; pulse_auth on; root html; }
    location /v1/usage/log { pulse_auth internal; root html; }
    location /optional/ { pulse_auth optional; root html; }
    location /open/ { pulse_auth off; root html; }
CONFIG

    $block->set_value(request => 'GET /v1/auth/me')
        if !defined $block->request;
});

log_level('info');        # nginx's own debug log has the headers
no_long_string();
run_tests();

__DATA__

=== TEST 1: nobody
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer
--- response_body_like: "code":"UNAUTHORIZED"



=== TEST 2: a session as a cookie
--- more_headers eval
"Cookie: a=b; session=$::jwt; session2=x"
--- error_code: 200
--- response_body_like eval
qr/"id" : "$::user"/



=== TEST 3: a session as a bearer token
--- more_headers eval
"Authorization: Bearer $::jwt"
--- error_code: 200



=== TEST 4: the scheme's letters are of no account, nor is a second blank
--- more_headers eval
"Authorization: bEARER  $::jwt"
--- error_code: 200



=== TEST 5: a key
--- more_headers eval
"Authorization: Bearer $::key"
--- error_code: 200



=== TEST 6: a key as a cookie is one too, but a session is what belongs there
--- more_headers eval
"Cookie: session=$::key"
--- error_code: 200



=== TEST 7: what Authorization says decides, not the good cookie
--- more_headers eval
"Authorization: Bearer x\r\nCookie: session=$::jwt"
--- error_code: 401



=== TEST 8: another scheme
--- more_headers eval
"Authorization: Basic QTpC\r\nCookie: session=$::jwt"
--- error_code: 401



=== TEST 9: nothing after the scheme
--- more_headers
Authorization: Bearer
--- error_code: 401



=== TEST 10: no blank after the scheme
--- more_headers eval
"Authorization: Bearer$::jwt"
--- error_code: 401



=== TEST 11: two different credentials in one place
--- raw_request eval
"GET /v1/auth/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
. "Authorization: Bearer $::jwt\r\nAuthorization: Bearer $::other\r\n\r\n"
--- error_code_like: ^(400|401)$



=== TEST 12: two sessions: neither
--- more_headers eval
"Cookie: session=$::jwt; session=$::other"
--- error_code: 401



=== TEST 13: the same one twice
--- more_headers eval
"Cookie: session=$::jwt; session=$::jwt"
--- error_code: 200



=== TEST 14: two sessions in two headers
--- raw_request eval
"GET /v1/auth/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
. "Cookie: session=$::jwt\r\nCookie: session=$::other\r\n\r\n"
--- error_code: 401



=== TEST 15: the name of a cookie is compared as it is
--- more_headers eval
"Cookie: Session=$::jwt"
--- error_code: 401



=== TEST 16: an empty cookie
--- more_headers
Cookie: session=
--- error_code: 401



=== TEST 17: a key that is none
--- more_headers
Authorization: Bearer pk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
--- error_code: 401



=== TEST 18: a key with a byte more
--- more_headers eval
"Authorization: Bearer ${main::key}A"
--- error_code: 401



=== TEST 19: another spelling of the last character of a key
--- more_headers eval
"Authorization: Bearer " . substr($::key, 0, -1) . "B"
--- error_code: 401



=== TEST 20: a very long token
--- more_headers eval
"Authorization: Bearer " . "A" x 7000
--- error_code: 401



=== TEST 21: x-api-key is read where the Anthropic SDK speaks
--- request
GET /v1/messages/x
--- more_headers eval
"x-api-key: $::key"
--- error_code: 404



=== TEST 22: with its own shape of errors
--- request
GET /v1/messages/x
--- error_code: 401
--- response_headers
x-should-retry: false
--- response_body_like: "type":"authentication_error"



=== TEST 23: and nowhere else
--- more_headers eval
"x-api-key: $::key"
--- error_code: 401



=== TEST 24: x-goog-api-key where the Gemini SDK speaks
--- request
GET /v1beta/x
--- more_headers eval
"x-goog-api-key: $::key"
--- error_code: 404



=== TEST 25: but not x-api-key
--- request
GET /v1beta/x
--- more_headers eval
"x-api-key: $::key"
--- error_code: 401



=== TEST 26: a service key has no account of its own
--- more_headers eval
"Authorization: Bearer $::service"
--- error_code: 401



=== TEST 27: it is let in where services call
--- request
GET /v1/usage/log
--- more_headers eval
"Authorization: Bearer $::service"
--- error_code: 404



=== TEST 28: where people are not
--- request
GET /v1/usage/log
--- more_headers eval
"Authorization: Bearer $::key"
--- error_code: 403
--- response_body_like: "code":"FORBIDDEN"



=== TEST 29: nor is nobody
--- request
GET /v1/usage/log
--- error_code: 401



=== TEST 30: optional: nobody may come
--- request
GET /optional/x
--- error_code: 404



=== TEST 31: optional: but not with what is wrong
--- request
GET /optional/x
--- more_headers
Authorization: Bearer x
--- error_code: 401



=== TEST 32: off: nothing is looked at
--- request
GET /open/x
--- more_headers
Authorization: Bearer x
--- error_code: 404



=== TEST 33: an answer in the language of the user
--- request
PATCH /v1/auth/me
{"locale": "xx"}
--- more_headers eval
"Authorization: Bearer $::key\r\nContent-Type: application/json\r\n"
. "Accept-Language: ar"
--- error_code: 400
--- response_body_like: "message":"[A-Z]



=== TEST 34: nothing of a credential in the log
--- more_headers eval
"Authorization: Bearer $::key"
--- error_code: 200
--- no_error_log eval
substr $::key, 3, 20



=== TEST 35: nor of one that is refused
--- more_headers
Authorization: Bearer eyJhbGciOiJub25lIn0.c2VjcmV0.c2VjcmV0
--- error_code: 401
--- error_log
pulse auth: token refused: "alg" is not supported
--- no_error_log
c2VjcmV0



=== TEST 36: pulse_auth needs keys
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
--- must_die
--- error_log
"pulse_auth" needs "pulse_auth_keys"



=== TEST 37: a kid twice
--- user_files
>>> twice.json
{"keys": [{"kty": "oct", "kid": "a",
           "k": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"},
          {"kty": "oct", "kid": "a",
           "k": "MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys ../html/twice.json;
--- must_die
--- error_log
key 1: has the "kid" of another key



=== TEST 38: a file that is no set of keys
--- user_files
>>> bad.json
{"keys": [
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys ../html/bad.json;
--- must_die
--- error_log
bad.json"



=== TEST 39: a file that is not there
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys ../html/missing.json;
--- must_die
--- error_log
missing.json" failed (2: No such file or directory)



=== TEST 40: a foreign set with somebody's private key
--- user_files
>>> private.json
{"keys": [{"kty": "OKP", "crv": "Ed25519",
           "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
           "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys $TEST_NGINX_PULSE_KEYS;
    pulse_auth_jwks ../html/private.json issuer=https://id.test audience=a;
--- must_die
--- error_log
key 0: is a private key of somebody else



=== TEST 41: too much leeway
--- http_config
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_auth_keys $TEST_NGINX_PULSE_KEYS;
    pulse_auth_leeway 61s;
--- must_die
--- error_log
value must be between 0 and 60



=== TEST 42: one whom another location let in is no service
--- config
    location /v1/ { pulse_auth on; try_files /none @services; }
    location @services { pulse_auth internal; root html; }
--- user_files
>>> v1/x
for services
--- request
GET /v1/x
--- more_headers eval
"Authorization: Bearer $::key"
--- error_code: 403
--- response_body_like: "code":"FORBIDDEN"



=== TEST 43: a service is one after a redirect, too
--- config
    location /v1/ { pulse_auth on; try_files /none @services; }
    location @services { pulse_auth internal; root html; }
--- user_files
>>> v1/x
for services
--- request
GET /v1/x
--- more_headers eval
"Authorization: Bearer $::service"
--- error_code: 200
--- response_body
for services
