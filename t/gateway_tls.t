# TLS to a provider: the name is sent, the certificate is checked, sessions
# and connections are used again.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Nginx;
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my $dir = suite_dir();

# only for its authority and certificate: localhost and 127.0.0.1

my $replay = Pulse::Replay->start(tls => 1);
my $certificates = "$dir/tls-replay.test";
my $port = free_port();


# the provider is an nginx that answers with what it saw of TLS

my $provider = Pulse::Nginx->new(port => $port,
    listen => "listen 127.0.0.1:$port ssl; listen 127.0.0.2:$port ssl;",
    http => <<"HTTP",
    ssl_certificate $certificates/cert.pem;
    ssl_certificate_key $certificates/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
HTTP
    config => <<'CONF',
        default_type application/json;
        set $about '"id":"c","model":"m"';
        set $saw "$ssl_server_name $ssl_protocol $ssl_session_reused";
        set $message "{\"content\":\"$saw $connection_requests\"}";
        set $choices "[{\"index\":0,\"message\":$message}]";
        set $usage '{"prompt_tokens":1,"completion_tokens":1}';

        location /v1/ {
            return 200 "{$about,\"choices\":$choices,\"usage\":$usage}";
        }

        location /once/ {
            keepalive_requests 1;
            return 200 "{$about,\"choices\":$choices,\"usage\":$usage}";
        }
CONF
)->run;

my $ca = "ssl_trusted_certificate $replay->{ca};";

my $nginx = gateway_nginx(http =>
    provider('named', "https://localhost:$port/v1", "models *; $ca")
    . provider('once', "https://localhost:$port/once", "models *; $ca")
    . provider('wrong_name', "https://127.0.0.2:$port/v1", "models *; $ca")
    . provider('unknown_ca', "https://localhost:$port/v1", 'models *;')
    . provider('unchecked', "https://127.0.0.2:$port/v1",
               'models *; ssl_verify off;')
    . provider('written', "https://localhost/v1",
               "models *; $ca upstream byhand;")
    . "upstream byhand { server 127.0.0.1:$port; }"
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);


sub ask {
    my ($model) = @_;

    return http(POST => '/v1/chat/completions', port => $nginx->port,
                bearer => $key, limit => 10,
                json => { model => $model, messages =>
                          [{ role => 'user', content => 'hi' }] });
}


sub saw {
    my ($model) = @_;

    my $json = ask($model)->{json};

    return ref $json eq 'HASH' && $json->{choices}
           ? $json->{choices}[0]{message}{content} : $json->{error}{code};
}


like(saw('named:m'), qr/^localhost TLSv1\.3 \. 1$/, 'name and version');
is(saw('named:m'), 'localhost TLSv1.3 . 2', 'a connection is kept');

is(saw('wrong_name:m'), 'PROVIDER_UNAVAILABLE', 'a certificate of another');
is(saw('unknown_ca:m'), 'PROVIDER_UNAVAILABLE', 'an unknown authority');
like(saw('unchecked:m'), qr/^ TLSv1\.3 /,
     'unless told not to check; no name for an address');
like(saw('written:m'), qr/^localhost TLSv1/, 'an upstream written by hand');
ok((grep { /certificate does not match|verify error/ }
         @{ $nginx->error_log }) >= 2, 'the log says why');

is(scalar ledger($user, 4), 4, 'refusals cost nothing');


is(saw('once:m'), 'localhost TLSv1.3 . 1', 'a connection for one request');
is(saw('once:m'), 'localhost TLSv1.3 r 1', 'the session outlives it');

is($nginx->stop, undef, 'nginx ends');
is($provider->stop, undef, 'the provider ends');
is_deeply([$nginx->problems], [], 'and the log is clean');

done_testing();
