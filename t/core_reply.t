# Envelopes, errors in both languages and all dialects, the router's refusals,
# trace ids, error pages.

use lib 't/lib';
use utf8;
use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Nginx;
use Test::More;

my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

my $log_format = join ',', map { qq("$_":"\$pulse_$_") }
    qw(trace_id user plan model provider tokens_in tokens_out cached reasoning
       estimated attempts first_token verdict locale);

my $nginx = Pulse::Nginx->new(http => <<"HTTP", config => <<'CONFIG')->run;
    log_format pulse escape=json '{$log_format}';
    client_header_buffer_size 1k;
    large_client_header_buffers 2 2k;
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
HTTP
    access_log logs/pulse.log pulse;
    error_page 403 404 405 413 500 502 503 504 @error;
    error_page 400 414 505 /error;
    error_page 494 =431 /error;

    location @error { pulse_error; }
    location = /error { internal; pulse_error; }
    location @openai_error { pulse_dialect openai; pulse_error; }

    location = /health { pulse_api; }
    location = /metrics { pulse_api; }
    location /v1/ { pulse_api; }
    location /openai/ { pulse_dialect openai; pulse_api; }
    location /anthropic/ { pulse_dialect anthropic; pulse_api; }
    location /gemini/ { pulse_dialect gemini; pulse_api; }

    location = /v1/auth/magic-link {
        client_max_body_size 64;
        client_body_buffer_size 16;
        pulse_api;
    }

    location = /v1/auth/magic-link/verify {
        pulse_dialect openai;
        client_max_body_size 8m;
        client_body_buffer_size 1k;
        error_page 413 @openai_error;
        pulse_api;
    }

    location = /text { return 200 "text\n"; }
    location = /proxied { proxy_pass http://127.0.0.1:$server_port/text; }
    location = /gone { return 502; }
    location = /method { return 405; }
    location = /denied { deny all; }
    location = /failed { return 500; }
    location = /busy { return 503; }
    location = /file { root html; }
CONFIG

my $port = $nginx->port;
my $mail = '/v1/auth/magic-link';
my $verify = "$mail/verify";


sub call {
    my ($method, $path, %o) = @_;

    return http($method => $path, port => $port, %o);
}


sub post {
    my ($path, $body, %headers) = @_;

    return call(POST => $path, body => $body,
                headers => { 'Content-Type' => 'application/json',
                             'Accept-Language' => 'en', %headers });
}


sub is_error {
    my ($reply, $status, $code, $name) = @_;

    is($reply->{status}, $status, "$name: $status");
    is($reply->{json}{error}{code}, $code, "$name: $code");
    is($reply->{headers}{'content-type'}, 'application/json; charset=utf-8',
       "$name: JSON");
    is($reply->{json}{meta}{trace_id}, $reply->{headers}{'x-trace-id'},
       "$name: one trace id") if $reply->{json}{meta};
}


# success and its envelope

my $reply = call(GET => '/health');

is($reply->{status}, 200, 'health');
is_deeply([sort keys %{ $reply->{json} }], ['data', 'meta'], 'an envelope');
like($reply->{json}{meta}{timestamp},
     qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'with a time');
like($reply->{json}{meta}{trace_id}, qr/^$uuid$/, 'and a trace id');
is($reply->{headers}{'x-trace-id'}, $reply->{json}{meta}{trace_id},
   'which is in the header too');

my $length = $reply->{headers}{'content-length'};

$reply = call(HEAD => '/health');
is($reply->{status}, 200, 'HEAD');
is($reply->{body}, '', 'HEAD has no body');
is($reply->{headers}{'content-length'}, $length, 'but its length');


# trace ids: taken, or made; on what others answer too

for my $id ('a', 'A-z_0.9' x 18, 'x' x 128) {
    $reply = call(GET => '/health', headers => { 'X-Request-ID' => $id });
    is($reply->{json}{meta}{trace_id}, $id, 'taken: ' . length $id);
}

for my $id ('x' x 129, 'a b', 'a"b', "a\x{7f}", 'a/b', '<x>') {
    $reply = call(GET => '/health', headers => { 'X-Request-ID' => $id });
    like($reply->{headers}{'x-trace-id'}, qr/^$uuid$/, "not taken: $id");
}

$reply = call(GET => '/text', headers => { 'X-Request-ID' => 'mine' });
is($reply->{headers}{'x-trace-id'}, 'mine', 'on a plain answer');
is($reply->{body}, "text\n", 'which is what it was');

$reply = call(GET => '/proxied', headers => { 'X-Request-ID' => 'mine' });
is($reply->{headers}{'x-trace-id'}, 'mine', 'on a proxied one, once');


# the language

my %not_found = (ar => qr/لم نجد/, en => qr/nothing at this address/);

for my $case (['', 'ar'], ['en', 'en'], ['ar', 'ar'], ['EN-us', 'en'],
              ['fr, de', 'ar'], ['*', 'ar'], ['ar;q=0.4, en;q=0.5', 'en'],
              ['en;q=0.5, ar', 'ar'], ['en;q=0', 'ar'], ['en;q=0.001', 'en'],
              ['fr, en-GB;q=0.8, ar;q=0.7', 'en'], ['en, ar', 'en'],
              ['ar;q=0.999,en;q=1.0', 'en'], ['english', 'ar'],
              [';;q=,en;q=', 'en'])
{
    my ($accept, $locale) = @$case;

    $reply = call(GET => '/v1/none',
                  headers => { 'Accept-Language' => $accept });
    is_error($reply, 404, 'NOT_FOUND', "accept '$accept'");
    like($reply->{json}{error}{message}, $not_found{$locale}, "in $locale");
    is_deeply($reply->{json}{error}{details}, {}, 'no details');
}

$reply = post($mail, '{"locale":"ar"}');
like($reply->{json}{error}{message}, qr/الطلب غير صالح/,
     'the locale of the body comes first');


# what the router refuses

for my $method (qw(POST PUT PATCH DELETE OPTIONS)) {
    $reply = call($method => '/health',
                  headers => { 'Accept-Language' => 'en' });
    is_error($reply, 405, 'METHOD_NOT_ALLOWED', $method);
    is($reply->{headers}{allow}, 'GET, HEAD', "$method: what is allowed");
}

$reply = call(GET => $mail);
is_error($reply, 405, 'METHOD_NOT_ALLOWED', 'GET');
is($reply->{headers}{allow}, 'POST', 'POST is allowed');

is_error(call(POST => '/v1/usage/log', json => {}), 404, 'NOT_FOUND',
         'an internal route');

$reply = call(POST => '/v1/usage/check', json => {});
is_error($reply, 401, 'UNAUTHORIZED', 'nobody without pulse_auth');
is($reply->{headers}{'www-authenticate'}, 'Bearer', 'and how to be somebody');
is($reply->{headers}{'x-should-retry'}, undef, 'no word to an SDK');

is_error(call(DELETE => '/v1/keys/a%2Fb'), 404, 'NOT_FOUND', 'no id');
is_error(call(DELETE => '/v1/keys/' . 'a' x 65), 404, 'NOT_FOUND',
         'a long id');
is_error(call(DELETE => '/v1/keys/' . 'a' x 64), 401, 'UNAUTHORIZED',
         'an id');

is($reply->{headers}{'cache-control'}, 'no-store', 'nothing is kept');
is(call(GET => '/health')->{headers}{'cache-control'}, undef,
   'outside of /v1 it may be');


# bodies

for my $type ('text/plain', 'application/jsonx', 'application/json-seq',
              'application/x-www-form-urlencoded', 'json', '')
{
    is_error(post($verify, '{}', 'Content-Type' => $type), 415,
             'UNSUPPORTED_MEDIA_TYPE', "type '$type'");
}

for my $type ('application/json', 'Application/JSON; charset=utf-8',
              'application/json ;charset="UTF-8"')
{
    $reply = post($verify, '[]', 'Content-Type' => $type);
    is($reply->{status}, 400, "type '$type'");
}

for my $case (['', 'missing'], ['{', 'too early'], ['[]', 'object is wanted'],
              ['{"a":1,"a":2}', 'stands twice'], ['{}x', 'follows'],
              ["{\"a\":\"\xff\"}", 'not UTF-8'], ['{"a":"\u0000"}', 'U\+0000'],
              ['{"a":"\ud800"}', 'surrogate'], ['[' x 40, 'too deep'])
{
    my ($body, $reason) = @$case;

    $reply = post($verify, $body);
    is_error($reply, 400, 'INVALID_REQUEST', "body '" . substr($body, 0, 20)
                                             . "'");
    like($reply->{json}{error}{message}, qr/$reason/, "says: $reason");
}

$reply = post('/v1/auth/magic-link', '{"email":1}');
is_error($reply, 400, 'INVALID_REQUEST', 'a field of the wrong type');
is($reply->{json}{error}{details}{field}, '/email', 'is pointed at');

$reply = post($verify, '{"a":"' . 'x' x (1024 * 1024) . '"}');
is_error($reply, 413, 'REQUEST_TOO_LARGE', 'more than the reader takes');

is_error(post($mail, '{"a":"' . 'x' x 100 . '"}'), 413, 'REQUEST_TOO_LARGE',
         'more than the location takes');


# a chunked body has no length to be told by

my $client = Pulse::Client->connect(port => $port);

$client->send("POST $mail HTTP/1.1\r\nHost: a\r\n"
              . "Content-Type: application/json\r\n"
              . "Transfer-Encoding: chunked\r\n\r\n");
$client->send("40\r\n" . ' ' x 64 . "\r\n");
$client->send("40\r\n" . ' ' x 64 . "\r\n0\r\n\r\n");
is_error($client->response, 413, 'REQUEST_TOO_LARGE', 'a chunked body');




# a body nobody read does not become the next request

$client = Pulse::Client->connect(port => $port);

for (1 .. 3) {
    $client->request(POST => '/v1/none', body => 'GET /text HTTP/1.1' x 100);
    is($client->response->{status}, 404, 'refused with its body unread');
}

$client->request(GET => '/text');
is($client->response->{body}, "text\n", 'and the connection is kept');


# dialects

$reply = call(GET => '/openai/x', headers => { 'Accept-Language' => 'en' });
is($reply->{status}, 404, 'openai');
is_deeply($reply->{json},
          { error => { message => 'There is nothing at this address. '
                                  . 'Check the path.',
                       type => 'invalid_request_error', param => undef,
                       code => 'NOT_FOUND' } }, 'its shape');
is($reply->{headers}{'x-should-retry'}, 'false', 'no use to try again');
is($reply->{headers}{'x-request-id'}, $reply->{headers}{'x-trace-id'},
   'the id where its SDK looks');

$reply = post($verify, '{"a":[1,,]}');
is($reply->{json}{error}{type}, 'invalid_request_error', 'openai: 400');
is($reply->{json}{error}{code}, 'INVALID_REQUEST', 'openai: our code');
is($reply->{json}{error}{param}, undef, 'openai: the whole body');

$reply = post($verify, '{"token":7}');
is($reply->{json}{error}{param}, 'token', 'openai: the field');

$reply = call(GET => '/anthropic/x', headers => { 'Accept-Language' => 'en' });
is($reply->{status}, 404, 'anthropic');
is_deeply($reply->{json},
          { type => 'error',
            error => { type => 'not_found_error',
                       message => 'There is nothing at this address. '
                                  . 'Check the path.',
                       details => { error_code => 'NOT_FOUND' } },
            request_id => $reply->{headers}{'request-id'} }, 'its shape');

$reply = call(GET => '/gemini/x', headers => { 'Accept-Language' => 'en' });
is($reply->{status}, 404, 'gemini');
is($reply->{json}{error}{code}, 404, 'gemini: the status');
is($reply->{json}{error}{status}, 'NOT_FOUND', 'gemini: its name');
is($reply->{json}{error}{details}[0]{reason}, 'NOT_FOUND', 'gemini: our code');


# pages of nginx's own errors

is_error(call(GET => '/file'), 404, 'NOT_FOUND', 'a file');
is_error(call(GET => '/denied'), 403, 'FORBIDDEN', 'deny');
is_error(call(GET => '/failed'), 500, 'INTERNAL_ERROR', 'return 500');
is_error(call(GET => '/gone'), 502, 'PROVIDER_ERROR', 'return 502');
is_error(call(GET => '/' . 'x' x 3000), 414, 'REQUEST_TOO_LARGE',
         'a long line');
is_error(call(GET => '/text', headers => { 'X-Long' => 'x' x 3000 }), 431,
         'REQUEST_TOO_LARGE', 'a long header');

$reply = call(GET => '/busy');
is_error($reply, 503, 'PROVIDER_UNAVAILABLE', 'return 503');
like($reply->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'when to come back');

$client = Pulse::Client->connect(port => $port);
$client->send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
is_error($client->response, 400, 'INVALID_REQUEST', 'no host');

$client = Pulse::Client->connect(port => $port);
$client->send("rubbish\r\n\r\n");
is_error($client->response, 400, 'INVALID_REQUEST', 'no request');

$client = Pulse::Client->connect(port => $port);
$client->send("GET /text HTTP/3.0\r\nHost: a\r\n\r\n");
is_error($client->response, 505, 'INVALID_REQUEST', 'another HTTP');

$reply = call(POST => '/method', body => 'x');
is_error($reply, 405, 'METHOD_NOT_ALLOWED', 'return 405');
is($reply->{headers}{allow}, 'GET, HEAD', 'with Allow');

$reply = call(POST => $verify, body => 'x' x 10_000_000,
              headers => { 'Content-Type' => 'application/json' });
is($reply->{status}, 413, 'a page in a dialect');
is($reply->{json}{error}{type}, 'invalid_request_error', 'has its shape');

$reply = call(HEAD => '/denied');
is($reply->{status}, 403, 'HEAD of an error');
is($reply->{body}, '', 'has no body');


# what is counted and logged

my $metrics = call(GET => '/metrics')->{body};

like($metrics, qr/^# TYPE pulse_errors_total counter$/m, 'a counter');
is(() = $metrics =~ /^# HELP pulse_errors_total /mg, 1, 'is explained once');
like($metrics, qr/^pulse_errors_total\{code="FORBIDDEN"\} 2$/m, 'and counts');
like($metrics, qr/^pulse_errors_total\{code="QUOTA_EXCEEDED"\} 0$/m,
     'what has not happened is there');

$nginx->reload;
like(call(GET => '/metrics')->{body},
     qr/^pulse_errors_total\{code="FORBIDDEN"\} 2$/m, 'a reload keeps counts');

call(GET => '/v1/none', headers => { 'X-Request-ID' => 'logged',
                                     'Accept-Language' => 'en' });

my $line;

wait_until {
    open my $in, '<', $nginx->prefix . '/logs/pulse.log' or return;
    ($line) = grep { /"logged"/ } <$in>;
    return defined $line;
};

is($line, '{"trace_id":"logged","user":"","plan":"","model":"","provider":"",'
          . '"tokens_in":"0","tokens_out":"0","cached":"0","reasoning":"0",'
          . '"estimated":"0","attempts":"0","first_token":"",'
          . '"verdict":"NOT_FOUND","locale":"en"}' . "\n", 'the access log');


is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');
done_testing();
