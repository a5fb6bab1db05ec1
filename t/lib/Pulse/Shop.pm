package Pulse::Shop;

# A studio that sells: nginx, the sidecar with --payments, and twins of the
# providers.
#
#     my $shop = Pulse::Shop->start(hyperpay => {...});  # over the defaults
#     my $reply = $shop->checkout($key, plan_id => 'pro');
#     my $told = $shop->pay($reply, code => '000.100.110');
#     $shop->deliver($told->{webhook});

use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Nginx;
use Pulse::Sidecar;
use Pulse::Twin::HyperPay;

my $json = JSON::PP->new->canonical->utf8;

our %secrets = (token => 'twin-token-1234567890', entity => '8a8294174b7ec',
                key => '0123456789abcdef' x 4,
                server_key => 'STWIN12345-ABCDEFGHIJ-KLMNOPQRST');


sub configuration {
    my (%o) = @_;

    my $file = Pulse::Env::suite_dir() . '/payments.json';

    open my $out, '>', $file or die "$file: $!\n";
    print $out $json->encode({ mode => 'test', url => 'https://studio.example',
                               %o });
    close $out;

    return $file;
}


sub hyperpay {
    my ($url) = @_;

    $ENV{TWIN_TOKEN} = $secrets{token};
    $ENV{TWIN_KEY} = $secrets{key};

    return { base_url => $url, currency => 'JOD',
             entity_id => $secrets{entity}, token => 'env:TWIN_TOKEN',
             webhook_key => 'env:TWIN_KEY', brands => 'VISA MASTER MADA' };
}


# start(nodes => n, options => [...] of the sidecar, nginx => '...' of the
# server, invoices => {...})

sub start {
    my ($class, %o) = @_;

    my $hyperpay = Pulse::Twin::HyperPay->start(%secrets);
    my $file = configuration(
        providers => { hyperpay => hyperpay($hyperpay->url),
                       %{ $o{providers} // {} } },
        prices => $o{prices} // {}, invoices => $o{invoices} // {});
    my $sidecar = Pulse::Sidecar->start(
        options => ['--payments', $file, @{ $o{options} // [] }]);

    my $self = bless { hyperpay => $hyperpay, sidecar => $sidecar }, $class;

    $self->{nginx} = Pulse::Nginx->new(
        http => http_block() . ($o{http} // ''),
        config => server_block() . ($o{config} // ''))->run;

    return $self;
}


sub http_block {
    return <<"HTTP";
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}" connections=2;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_sidecar $ENV{TEST_NGINX_PULSE_SIDECAR};
    pulse_public_url https://studio.example;
HTTP
}


sub server_block {
    return <<'CONFIG';
    error_page 403 404 405 413 500 502 503 504 @pulse_error;
    location @pulse_error { pulse_error; }

    location /v1/payments/ { pulse_auth on; pulse_docs; }
    location /v1/subscription { pulse_auth on; pulse_docs; }
    location /v1/usage/ { pulse_auth on; pulse_api; }
    location ~ ^/v1/payments/(webhook|return)/ {
        client_max_body_size 64k;
        client_body_buffer_size 64k;
        pulse_auth off;
        pulse_docs public;
    }
CONFIG
}


sub nginx { $_[0]{nginx} }
sub sidecar { $_[0]{sidecar} }
sub twin { $_[0]{hyperpay} }
sub port { $_[0]{nginx}->port }


sub call {
    my ($self, $method, $path, $key, %more) = @_;

    return http($method, "/v1$path", port => $self->port, bearer => $key,
                %more);
}


sub checkout {
    my ($self, $key, %body) = @_;
    my $headers = delete $body{headers} // {};

    return $self->call(POST => '/payments/checkout', $key,
                       headers => $headers,
                       json => { provider => 'hyperpay', locale => 'en',
                                 %body });
}


sub pay {
    my ($self, $reply, %how) = @_;

    return $self->twin->tell(pay => {
        checkout => $reply->{json}{data}{checkout_id}, %how });
}


sub deliver {
    my ($self, $webhook, %o) = @_;

    return http(POST => '/v1/payments/webhook/' . ($o{to} // 'hyperpay'),
                port => $self->port, body => $webhook->{body},
                headers => $webhook->{headers});
}


# A plan, bought and paid.

sub buy {
    my ($self, $key, %body) = @_;
    my $reply = $self->checkout($key, %body);
    my $told = $self->pay($reply);

    $self->deliver($told->{webhook});

    return ($reply->{json}{data}{payment_id}, $told);
}


1;
