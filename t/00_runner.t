# The runner itself: that what the suites lean on holds.

use lib 't/lib';
use Pulse::Env;
use Test::Nginx::Socket 'no_plan';

no_shuffle();
run_tests();

__DATA__

=== TEST 1: a plain answer
--- config
    location = /hello { return 200 "hello\n"; }
    location = /gone  { return 410 "gone\n"; }
--- request
GET /hello
--- response_body
hello
--- response_headers
Content-Type: text/plain
! X-None
--- raw_response_headers_like: Server: nginx
--- no_error_log
[error]



=== TEST 2: several requests, each with its expectation
--- config
    location = /hello { return 200 "hello\n"; }
    location = /gone  { return 410 "gone\n"; }
--- request eval
["GET /hello", "GET /gone"]
--- error_code eval
[200, 410]
--- response_body eval
["hello\n", "gone\n"]



=== TEST 3: a body and headers
--- config
    location = /echo  { return 200 "$http_content_length $http_x_one\n"; }
--- request
POST /echo
{"a": 1}
--- more_headers
X-One: two
--- response_body
8 two



=== TEST 4: pipelined requests
--- config
    location = /one { return 200 "1"; }
    location = /two { return 200 "2"; }
--- pipelined_requests eval
["GET /one", "GET /two"]
--- response_body eval
["1", "2"]



=== TEST 5: a raw request that is none
--- config
--- raw_request eval
"GARBAGE\r\n\r\n"
--- error_code: 400
--- response_body_like: 400 Bad Request



=== TEST 6: a client that leaves
--- config
    location = /slow { limit_rate 1; return 200 "slow answer of many bytes\n"; }
--- request
GET /slow
--- timeout: 0.2
--- abort
--- ignore_response



=== TEST 7: files, a log line and its absence
--- config
    location = /missing { root $TEST_NGINX_SERVROOT/html; }
--- user_files
>>> a.txt
content of a
--- request eval
["GET /a.txt", "GET /missing"]
--- error_code eval
[200, 404]
--- response_body_like eval
["content of a", "404 Not Found"]
--- wait: 0.1



=== TEST 8: the error log is read
--- config
    location = /missing { root $TEST_NGINX_SERVROOT/html; }
--- request
GET /missing
--- error_code: 404
--- error_log eval
qr/open\(\) ".*missing" failed/
--- no_error_log
[alert]
--- grep_error_log eval: qr/2: No such file/
--- grep_error_log_out
2: No such file



=== TEST 9: a configuration that must not start
--- config
    pulse_no_such_directive on;
--- request
GET /
--- must_die
--- error_log
unknown directive "pulse_no_such_directive"

