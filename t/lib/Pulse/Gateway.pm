package Pulse::Gateway;

# The configuration of a gateway between a client and replayed providers, and
# the ledger row that a request left.

use v5.30;
use warnings;

use Exporter 'import';
use Pulse::Client qw(http);
use Pulse::Env;
use Pulse::Nginx;

our @EXPORT_OK = qw(gateway_nginx gateway_http provider ledger reserved
                    usage_row);


# provider(name, url, more lines): a pulse_provider block.  Without a breaker,
# unless it is asked for: a suite of failures would only test that one.

sub provider {
    my ($name, $url, $more) = @_;

    $more //= '';
    $more .= ' breaker off;' unless $more =~ /\bbreaker /;

    return <<"CONF";
    pulse_provider $name {
        base_url $url;
        dialect openai;
        connect_timeout 30s;
        $more
    }
CONF
}


sub gateway_http {
    my ($http, $models) = @_;

    $models //= "$ENV{TEST_NGINX_PULSE_ROOT}/conf/models.json";

    return <<"HTTP";
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS};
    pulse_node test;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_usage_zone 4m;
    pulse_journal $ENV{TEST_NGINX_PULSE_JOURNAL} sync=10ms;
    pulse_models $models;
    $http
HTTP
}


# gateway_nginx(http => providers, config => more locations, models => file of
# a catalogue, ...)

sub gateway_nginx {
    my (%o) = @_;

    my $http = gateway_http(delete $o{http}, delete $o{models});
    my $config = delete $o{config} // '';
    my $location = delete $o{location} // '';

    return Pulse::Nginx->new(http => $http, config => <<"CONF", %o);
        client_body_buffer_size 1m;

        location = /v1/chat/completions {
            pulse_dialect openai;
            pulse_auth on;
            pulse_gateway;
            $location
        }

        location = /v1/embeddings {
            pulse_dialect openai;
            pulse_auth on;
            pulse_embeddings;
            $location
        }

        location = /v1/chat/complete {
            pulse_auth on;
            pulse_gateway;
            $location
        }

        location = /v1/messages {
            pulse_dialect anthropic;
            pulse_auth on;
            pulse_gateway;
            $location
        }

        location = /v1/messages/count_tokens {
            pulse_dialect anthropic;
            pulse_auth on;
            pulse_count_tokens;
        }

        location = /v1/responses {
            pulse_dialect responses;
            pulse_auth on;
            pulse_gateway;
            $location
        }

        location ~ ^/v1(alpha|beta)?/models/.+:(streamG|g)enerateContent\$ {
            pulse_dialect gemini;
            pulse_auth on;
            pulse_gateway;
            $location
        }

        location ~ ^/v1(alpha|beta)?/models/.+:countTokens\$ {
            pulse_dialect gemini;
            pulse_auth on;
            pulse_count_tokens;
        }

        location /v1beta/models {
            pulse_dialect gemini;
            pulse_auth on;
            pulse_api;
        }

        location /v1/models {
            pulse_dialect openai;
            pulse_auth on;
            pulse_api;
        }

        location /v1/chat/models {
            pulse_auth on;
            pulse_api;
        }

        location = /metrics {
            pulse_api;
        }
        $config
CONF
}


# The rows of a person, oldest first, once there are "n" of them.

sub ledger {
    my ($user, $n) = @_;

    my @rows;

    wait_until {
        @rows = map { usage_row($_) } sql(<<"SQL");
            SELECT amount, input, cached, output, reasoning, estimated,
                coalesce(model, ''), coalesce(provider, '')
            FROM usage_events WHERE user_id = '$user' ORDER BY created_at, id
SQL
        return @rows >= $n;
    } 10;

    return @rows;
}


# How many reservations are open, once there is none: an answer may be there
# before its reservation has ended.

sub reserved {
    my ($nginx) = @_;

    my $open;

    wait_until {
        ($open) = http(GET => '/metrics', port => $nginx->port)->{body}
            =~ /^pulse_reservations_open (\d+)$/m;
        defined $open && $open == 0;
    };

    return $open;
}


sub usage_row {
    my @fields = split /\|/, $_[0], -1;
    my %row;

    @row{qw(amount input cached output reasoning estimated model provider)} =
        @fields;

    return \%row;
}


1;
