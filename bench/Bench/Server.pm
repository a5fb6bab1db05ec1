package Bench::Server;

# What is measured: each row of the tables is a server in front of the same
# provider, with what a user would run: one worker, kept connections on both
# sides, one line of JSON for each request in a log.

use v5.30;
use warnings;

use File::Path qw(make_path);
use Pulse::Env ();
use Pulse::Nginx;
use Pulse::Process qw(free_port is_alive spawn stop_process wait_until);

my $modules = '/usr/lib/nginx/modules';

# of which dialect a client may ask for which models

our %models = (openai => 'o-1', anthropic => 'a-1', gemini => 'g-1',
               responses => 'r-1');


# start(row => name, provider => port of the mock, build => directory,
#     under => [command of valgrind])

sub start {
    my ($class, %o) = @_;

    my $self = bless { row => $o{row}, provider => $o{provider} }, $class;

    return $self->start_peer(%o) if $o{row} eq 'portkey';
    return $self->start_command(%o) if defined $o{command};

    my $frame = $o{row} eq 'nginx' ? frame_plain($o{provider})
              : $o{row} eq 'lua' ? frame_lua($o{provider})
              : frame_studio($o{row}, $o{provider});

    local $ENV{TEST_NGINX_LOAD_MODULES} = $frame->{modules} // '';

    $self->{nginx} = Bench::Server::Nginx->new(
        under => $o{under} // [], workers => 1, connections => 16384,
        log_level => 'notice', %$frame);
    $self->{nginx}->run;

    $self->{port} = $self->{nginx}->port;

    # the port is the master's before there is a worker

    wait_until { ($self->{pid}) = $self->{nginx}->workers } 20;

    return $self;
}


sub row { $_[0]{row} }
sub port { $_[0]{port} }
sub pid { $_[0]{pid} }


# Stops it; a complaint if its log has one.

sub stop {
    my ($self) = @_;

    if (!defined $self->{nginx}) {
        stop_process($self->{pid}, 'TERM', 10);
        return;
    }

    my @problems = ($self->{nginx}->stop, $self->{nginx}->problems);

    warn "$self->{row}: $_\n" for grep { defined } @problems;

    return;
}


# What all of nginx has alike.

my $http = <<'CONF';
    server_tokens off;
    keepalive_requests 10000;
    client_header_timeout 15s;
    client_body_timeout 30s;
    send_timeout 60s;
    reset_timedout_connection on;
    large_client_header_buffers 4 16k;
    client_body_buffer_size 4m;
CONF

sub log_format {
    my (@fields) = @_;

    my $fields = join ',', '"time":"$time_iso8601"', @fields,
        '"method":"$request_method"', '"path":"$uri"', '"status":$status',
        '"seconds":$request_time', '"bytes":$bytes_sent',
        '"remote":"$remote_addr"';

    return "    log_format bench escape=json '{$fields}';\n";
}


# nginx does not hold the answer back, as no gateway for streams may.

my $proxy = <<'CONF';
            client_max_body_size 4m;
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
CONF

sub upstream {
    my ($port) = @_;

    return <<"CONF";
    upstream provider {
        server 127.0.0.1:$port;
        keepalive 32;
    }
CONF
}


sub frame_plain {
    my ($port) = @_;

    return {
        http => $http . log_format() . upstream($port),
        config => <<"CONF",
        access_log logs/bench.log bench;

        location /v1/ {
$proxy
        }
CONF
    };
}


# nginx+Lua: the token, a quota in Redis, and the meter; see lua/gateway.lua.

sub frame_lua {
    my ($port) = @_;

    my $lua = "$Pulse::Env::root/bench/lua";
    my $redis = $ENV{TEST_NGINX_PULSE_REDIS};
    my $keys = $ENV{TEST_NGINX_PULSE_KEYS};

    return {
        modules => "$modules/ndk_http_module.so"
                   . " $modules/ngx_http_lua_module.so",
        http => $http . log_format('"user":"$metered_user"',
                                   '"model":"$metered_model"',
                                   '"tokens":"$metered_tokens"')
            . upstream($port) . <<"CONF",
    lua_package_path "$lua/?.lua;/usr/share/lua/5.1/?.lua;;";
    lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
    lua_shared_dict verified 16m;
    lua_socket_log_errors off;

    init_by_lua_block {
        gateway = require "gateway"
        gateway.init("$keys", "$redis")
    }

    init_worker_by_lua_block { gateway.init_worker() }
CONF
        config => <<"CONF",
        access_log logs/bench.log bench;

        location /v1/ {
            set \$metered_user "";
            set \$metered_model "";
            set \$metered_tokens "";

            access_by_lua_block { gateway.access() }
            body_filter_by_lua_block { gateway.body_filter() }
            log_by_lua_block { gateway.log() }
$proxy
        }
CONF
    };
}


# "auth" and "rate" stand before plain proxy_pass; all else is the whole.

sub frame_studio {
    my ($row, $port) = @_;

    my $main = "$ENV{TEST_NGINX_PULSE_ROOT}/build/nginx";
    my $parts = $row =~ /^(?:auth|rate)$/;

    my $rate = $row eq 'auth' ? ''
             : 'pulse_rate 1000000r/m 1000000r/s;';

    my $moderation = $row ne 'moderated' ? 'pulse_moderation off;'
        : "pulse_moderation_rules $ENV{TEST_NGINX_PULSE_ROOT}/conf/"
          . 'moderation.txt; pulse_moderation local;';

    my $handler = $parts ? $proxy : <<'CONF';
            client_max_body_size 4m;
            pulse_gateway;
CONF

    my %paths = (openai => '= /v1/chat/completions');

    %paths = (%paths, anthropic => '= /v1/messages',
              responses => '= /v1/responses',
              gemini => '~ ^/v1beta/models/.+:(streamG|g)enerateContent$')
        if !$parts;

    my $locations = join "\n", map { <<"CONF" } sort keys %paths;
        location $paths{$_} {
            pulse_dialect $_;
            pulse_auth on;
            $rate
$handler
        }
CONF

    return {
        modules => "$main/ngx_http_pulse_module.so",
        http => $http . upstream($port) . log_format(map { qq("$_") }
            'trace_id":"$pulse_trace_id', 'user":"$pulse_user',
            'verdict":"$pulse_verdict', 'model":"$pulse_model',
            'provider":"$pulse_provider', 'attempts":"$pulse_attempts',
            'tokens_in":"$pulse_tokens_in', 'tokens_out":"$pulse_tokens_out',
            'estimated":"$pulse_estimated',
            'first_token_ms":"$pulse_first_token') . stores() . <<"CONF",
    $moderation

    pulse_provider openai {
        base_url http://127.0.0.1:$port/v1;
        models o-*;
    }

    pulse_provider anthropic {
        base_url http://127.0.0.1:$port;
        dialect anthropic;
        models a-*;
    }

    pulse_provider google {
        base_url http://127.0.0.1:$port/v1beta;
        dialect gemini;
        models g-*;
    }

    pulse_provider responder {
        base_url http://127.0.0.1:$port/v1;
        dialect responses;
        models r-*;
    }
CONF
        config => "        access_log logs/bench.log bench;\n\n$locations",
    };
}


sub stores {
    return <<"CONF";
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" connections=2 timeout=3s;
    pulse_redis $ENV{TEST_NGINX_PULSE_REDIS};
    pulse_sidecar $ENV{TEST_NGINX_PULSE_SIDECAR};
    pulse_node bench;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_auth_zone 16m;
    pulse_usage_zone 32m;
    pulse_journal $ENV{TEST_NGINX_PULSE_JOURNAL} sync=100ms max=1g;
    pulse_models $ENV{TEST_NGINX_PULSE_ROOT}/conf/models.json;
    pulse_default_max_tokens 16384;
CONF
}


# @portkey-ai/gateway, as its own package starts it.

sub start_peer {
    my ($self, %o) = @_;

    my $package = "$o{build}/peer/node_modules/\@portkey-ai/gateway";

    return undef if !-d $package;

    $self->{port} = free_port();
    $self->{pid} = spawn(
        command => ['node', "$package/build/start-server.js", '--headless',
                    "--port=$self->{port}"],
        env => { NODE_ENV => 'production' },
        output => Pulse::Env::suite_dir() . '/portkey.log');

    return $self->wait_for_port;
}


# Any other by one command, in which {port} and {provider} are filled in.

sub start_command {
    my ($self, %o) = @_;

    $self->{port} = free_port();

    my $command = $o{command} =~ s/\{port\}/$self->{port}/gr
                              =~ s/\{provider\}/$self->{provider}/gr;

    $self->{pid} = spawn(command => ['sh', '-c', "exec $command"],
                         output => Pulse::Env::suite_dir() . '/command.log');

    return $self->wait_for_port;
}


sub wait_for_port {
    my ($self) = @_;

    my $up = wait_until {
        !is_alive($self->{pid})
            || IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $self->{port}, Timeout => 1)
    } 20;

    if (!$up || !is_alive($self->{pid})) {
        warn "$self->{row} does not start\n";
        return undef;
    }

    return $self;
}


package Bench::Server::Nginx;

use parent -norequire, 'Pulse::Nginx';


sub command {
    my ($self, $conf) = @_;

    return (@{ $self->{under} }, $self->SUPER::command($conf));
}


1;
