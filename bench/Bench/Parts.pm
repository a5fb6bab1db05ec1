package Bench::Parts;

# Parts of a request by the functions that begin them, with all they call:
# whoever counts or samples looks for these.  "of these" are within others.

use v5.30;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(@parts);

our @parts = (
    ['auth'              => 'ngx_http_pulse_auth_handler'],
    ['rate'              => 'ngx_http_pulse_rate_handler'],
    ['read the question' => 'ngx_pulse_openai_read',
                            'ngx_http_pulse_gateway_dialect_read'],
    ['moderation'        => 'ngx_pulse_moderation_json'],
    ['route'             => 'ngx_http_pulse_gateway_route'],
    ['reserve'           => 'ngx_http_pulse_usage_reserve'],
    ['write the question' => 'ngx_http_pulse_gateway_build'],
    ['read the answer'   => 'ngx_http_pulse_gateway_collect',
                            'ngx_http_pulse_gateway_filter'],
    ['write the answer'  => 'ngx_http_pulse_gateway_translate_answer'],
    ['settle'            => 'ngx_http_pulse_gateway_settle'],
    ['of these: tokens'  => 'ngx_pulse_tokens_add'],
    ['of these: JSON'    => 'ngx_pulse_json_read'],
    ['of these: journal' => 'ngx_http_pulse_journal_append'],
    ['headers of usage'  => 'ngx_http_pulse_gateway_headers'],
    ['keeper: journal'   => 'ngx_http_pulse_drain_read'],
    ['keeper: Postgres'  => 'ngx_pulse_pg_event_handler',
                            'ngx_http_pulse_drain_send'],
    ['keeper: rate'      => 'ngx_http_pulse_rate_share'],
);


1;
