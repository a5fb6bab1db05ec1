# The endpoints of plans and usage.

use lib 't/lib';
use Pulse::Env 'stores';
use Test::Nginx::Socket 'no_plan';

our $user = make_user(plan => 'pro', tokens => 1000, locale => 'en');
our $key = make_key($user);
our $second = make_user(plan => 'pro');
our $other = make_key($second);
our $bare = make_key(make_user());
our $service = make_key(undef, internal => 1);
our $event = uuid();

sql("SELECT usage_log('$user', 'tokens', 850, 'demo-1', '$event', '{}')");

our $http = <<'HTTP';
    pulse_postgres "$TEST_NGINX_PULSE_PG";
    pulse_redis $TEST_NGINX_PULSE_REDIS;
    pulse_auth_keys $TEST_NGINX_PULSE_KEYS;
    pulse_auth_zone 4m;
    pulse_usage_zone 4m;
    pulse_journal $TEST_NGINX_PULSE_JOURNAL;
HTTP

our $config = <<'CONFIG';
    location /v1/ { pulse_auth on; pulse_api; }
    location /v1/plans { pulse_auth off; pulse_api; }
CONFIG

our $auth = "Authorization: Bearer $key";
our $json = "$auth\nContent-Type: application/json";
our $internal = "Authorization: Bearer $service\n"
                . "Content-Type: application/json";

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(http_config => $::http);
    $block->set_value(config => $::config);
});

no_long_string();
run_tests();

__DATA__

=== TEST 1: plans are public and may be kept
--- request
GET /v1/plans
--- more_headers
Accept-Language: en
--- response_body_like: "plans".*"trial".*"price" ?: ?"3\.000".*"addons".*200000
--- response_headers
Cache-Control: public, max-age=300



=== TEST 2: one plan
--- request
GET /v1/plans/pro
--- response_body_like: "tokens" ?: ?400000.*"slide_maker"



=== TEST 3: no such plan, and that is not kept
--- request
GET /v1/plans/none
--- error_code: 404
--- response_body_like: NOT_FOUND
--- response_headers
Cache-Control: no-store



=== TEST 4: what was used
--- request
GET /v1/usage/me
--- more_headers eval: $::auth
--- response_body_like: "tokens" ?: ?\{"used" ?: ?850, ?"reserved" ?: ?0, ?"remaining" ?: ?150, ?"limit" ?: ?1000, ?"percentage" ?: ?85\.0, ?"debt" ?: ?0, ?"carried" ?: ?0\}.*"warnings" ?: ?\{ ?"tokens" ?: ?true



=== TEST 5: of nobody
--- request
GET /v1/usage/me
--- error_code: 401



=== TEST 6: without a plan
--- request
GET /v1/usage/me
--- more_headers eval: "Authorization: Bearer $::bare"
--- error_code: 402
--- response_body_like: NO_SUBSCRIPTION



=== TEST 7: a check that fits
--- request
POST /v1/usage/check
{"resource_type": "tokens", "amount": 150}
--- more_headers eval: $::json
--- response_body_like: "allowed":true,"used":850,"limit":1000,"remaining":150\}



=== TEST 8: one that does not
--- request
POST /v1/usage/check
{"resource_type": "tokens", "amount": 151}
--- more_headers eval: $::json
--- response_body_like: "allowed":false.*"reason":"QUOTA_EXCEEDED"



=== TEST 9: of what does not exist
--- request
POST /v1/usage/check
{"resource_type": "coffee", "amount": 1}
--- more_headers eval: $::json
--- error_code: 400
--- response_body_like: "field":"/resource_type"



=== TEST 10: an amount must be a number of them
--- request
POST /v1/usage/check
{"resource_type": "tokens", "amount": -1}
--- more_headers eval: $::json
--- error_code: 400
--- response_body_like: "field":"/amount"



=== TEST 11: history by model
--- request
GET /v1/usage/history?by=model
--- more_headers eval: $::auth
--- response_body_like: "key":"demo-1","requests":1,"tokens":850



=== TEST 12: history by day
--- request
GET /v1/usage/history
--- more_headers eval: $::auth
--- response_body_like: "by" ?: ?"day".*"key":"20\d\d-\d\d-\d\d"



=== TEST 13: a time that is none
--- request
GET /v1/usage/history?from=2026-02-31
--- more_headers eval: $::auth
--- error_code: 400
--- response_body_like: "field" ?: ?"/from"



=== TEST 14: the ledger
--- request
GET /v1/usage/events
--- more_headers eval: $::auth
--- response_body_like eval: qr/"events" ?: ?\[\{"id" ?: ?"$::event".*"next_cursor" ?: ?null/



=== TEST 15: a cursor that is none
--- request
GET /v1/usage/events?cursor=x
--- more_headers eval: $::auth
--- error_code: 400



=== TEST 16: one event
--- request eval: "GET /v1/usage/events/$::event"
--- more_headers eval: $::auth
--- response_body_like: "amount" ?: ?850



=== TEST 17: of another
--- request eval: "GET /v1/usage/events/$::event"
--- more_headers eval: "Authorization: Bearer $::other"
--- error_code: 404



=== TEST 18: the log is not for people
--- request eval
qq{POST /v1/usage/log
{"user_id": "$::user", "resource_type": "tokens", "amount": 1, "event_id": "$::event"}}
--- more_headers eval: $::json
--- error_code: 404



=== TEST 19: an event that is known changes nothing
--- request eval
qq{POST /v1/usage/log
{"user_id": "$::user", "resource_type": "tokens", "amount": 850, "event_id": "$::event"}}
--- more_headers eval: $::internal
--- response_body_like: "duplicate" ?: ?true, ?"used" ?: ?850



=== TEST 20: the same event as another
--- request eval
qq{POST /v1/usage/log
{"user_id": "$::user", "resource_type": "tokens", "amount": 851, "event_id": "$::event"}}
--- more_headers eval: $::internal
--- error_code: 409
--- response_body_like: IDEMPOTENCY_MISMATCH



=== TEST 21: a new one is used
--- request eval
qq{POST /v1/usage/log
{"user_id": "$::second", "resource_type": "images", "amount": 2, "event_id": "00000000-0000-7000-8000-000000000001", "metadata": {"a": [1]}}}
--- more_headers eval: $::internal
--- response_body_like: "duplicate" ?: ?false, ?"used" ?: ?2



=== TEST 22: text that no store keeps
--- request eval
[qq{POST /v1/usage/log
{"user_id": "$::second", "resource_type": "images", "amount": 2, "event_id": "00000000-0000-7000-8000-000000000003", "model": "a\\u0000b"}},
qq{POST /v1/usage/log
{"user_id": "$::second", "resource_type": "images", "amount": 2, "event_id": "00000000-0000-7000-8000-000000000003", "metadata": {"a": "\\u0000"}}},
qq{POST /v1/usage/log
{"user_id": "$::second", "resource_type": "images", "amount": 2, "event_id": "00000000-0000-7000-8000-000000000003", "metadata": {"a": 1e999999}}}]
--- more_headers eval: [$::internal, $::internal, $::internal]
--- error_code eval: [400, 400, 400]
--- response_body_like eval: [qr/INVALID_REQUEST/, qr/INVALID_REQUEST/, qr/INVALID_REQUEST/]



=== TEST 23: for nobody
--- request
POST /v1/usage/log
{"user_id": "00000000-0000-7000-8000-000000000009", "resource_type": "images", "amount": 2, "event_id": "00000000-0000-7000-8000-000000000002"}
--- more_headers eval: $::internal
--- error_code: 404
