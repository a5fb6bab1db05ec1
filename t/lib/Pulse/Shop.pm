package Pulse::Shop;

# A studio that sells: nginx, the sidecar with --payments, and twins of the
# providers.
#
#     my $shop = Pulse::Shop->start;
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
use Pulse::Twin::PayTabs;
use Pulse::Twin::ZainCash;
use Pulse::Twin::ZainCashV1;

my $json = JSON::PP->new->canonical->utf8;

our %secrets = (token => 'twin-token-1234567890', entity => '8a8294174b7ec',
                key => '0123456789abcdef' x 4, profile => 42,
                server_key => 'STWIN12345-ABCDEFGHIJ-KLMNOPQRST',
                client_id => 'twin-client', client_secret => 'twin-secret',
                api_key => 'twin-api-key-1234567890',
                merchant_id => '0123456789abcdef01234567',
                merchant_secret => '$2y$10$twin.secret.1234567890',
                msisdn => '9640000000000');


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


sub paytabs {
    my ($url) = @_;

    $ENV{TWIN_SERVER_KEY} = $secrets{server_key};

    return { base_url => $url, currency => 'JOD',
             profile_id => $secrets{profile},
             server_key => 'env:TWIN_SERVER_KEY' };
}


sub zaincash {
    my ($url) = @_;

    $ENV{TWIN_CLIENT_SECRET} = $secrets{client_secret};
    $ENV{TWIN_API_KEY} = $secrets{api_key};

    return { base_url => $url, currency => 'IQD', service_type => 'twin',
             client_id => $secrets{client_id},
             client_secret => 'env:TWIN_CLIENT_SECRET',
             api_key => 'env:TWIN_API_KEY' };
}


sub zaincash_v1 {
    my ($url) = @_;

    $ENV{TWIN_MERCHANT_SECRET} = $secrets{merchant_secret};

    return { base_url => $url, currency => 'IQD', service_type => 'twin',
             merchant_id => $secrets{merchant_id},
             secret => 'env:TWIN_MERCHANT_SECRET',
             msisdn => $secrets{msisdn} };
}


# start(options => [...] of the sidecar, http => '...', config => '...' of
# nginx beside what is there, invoices => {...}, url => of the studio)

sub start {
    my ($class, %o) = @_;

    my %twins = (hyperpay => Pulse::Twin::HyperPay->start(%secrets),
                 paytabs => Pulse::Twin::PayTabs->start(%secrets),
                 zaincash => Pulse::Twin::ZainCash->start(%secrets),
                 zaincash_v1 => Pulse::Twin::ZainCashV1->start(%secrets));
    my $file = configuration(
        providers => { hyperpay => hyperpay($twins{hyperpay}->url),
                       paytabs => paytabs($twins{paytabs}->url),
                       zaincash => zaincash($twins{zaincash}->url),
                       zaincash_v1 => zaincash_v1(
                           $twins{zaincash_v1}->url) },
        prices => {
            plans => { starter => { IQD => 5500 }, pro => { IQD => 9250 },
                       creator => { IQD => 13000 } },
            addons => { map { $_ => { IQD => 1750 } }
                            qw(tokens images videos) } },
        invoices => $o{invoices} // {},
        defined $o{url} ? (url => $o{url}) : ());
    my $sidecar = Pulse::Sidecar->start(
        options => ['--payments', $file, @{ $o{options} // [] }]);

    my $self = bless { twins => \%twins, sidecar => $sidecar }, $class;

    $self->{nginx} = Pulse::Nginx->new(
        connections => 1024,
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
sub twin { $_[0]{twins}{ $_[1] // 'hyperpay' } }
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

    return $self->twin($reply->{json}{data}{provider})->tell(pay => {
        checkout => $reply->{json}{data}{checkout_id}, %how });
}


sub deliver {
    my ($self, $webhook, %o) = @_;

    return http(POST => '/v1/payments/webhook/' . ($o{to} // 'hyperpay'),
                port => $self->port, body => $webhook->{body},
                headers => $webhook->{headers});
}


# What is bought, paid for and told.

sub buy {
    my ($self, $key, %body) = @_;
    my $reply = $self->checkout($key, %body);
    my $told = $self->pay($reply);

    $self->deliver($told->{webhook}, to => $body{provider});

    return ($reply->{json}{data}{payment_id}, $told);
}


# The job that asks about a payment may do so now, and has.

sub asked {
    my ($self, $payment) = @_;

    Pulse::Env::sql("UPDATE payments SET ask_at = now() - interval '1 second',
                     asked_at = NULL WHERE id = '$payment';
                     UPDATE jobs SET due_at = now()
                     WHERE kind = 'payment_ask' AND state = 'waiting'
                     AND payload ->> 'payment' = '$payment';
                     NOTIFY jobs");

    return Pulse::Env::wait_until(sub {
        Pulse::Env::sql("SELECT asked_at IS NOT NULL AND NOT EXISTS (
                         SELECT FROM jobs WHERE kind = 'payment_ask'
                         AND state = 'running')
                         FROM payments WHERE id = '$payment'") eq 't';
    }, 20);
}


# The day's question about what was given back, now.

sub asked_refunds {
    my ($self, $payment) = @_;

    Pulse::Env::sql("UPDATE payments SET refunds_at = 'infinity';
                     UPDATE payments SET refunds_at = NULL,
                         paid_at = paid_at - interval '1 hour'
                      WHERE id = '$payment';
                     SELECT refunds_due();
                     UPDATE jobs SET due_at = now()
                      WHERE kind = 'payment_refunds' AND state = 'waiting';
                     NOTIFY jobs");

    return Pulse::Env::wait_until(sub {
        Pulse::Env::sql("SELECT NOT EXISTS (SELECT FROM jobs
                         WHERE kind = 'payment_refunds'
                         AND state IN ('waiting', 'running'))") eq 't';
    });
}


# What a payment is, with the reason if it has one; which plan is in force.

sub status {
    my ($self, $payment) = @_;

    return scalar Pulse::Env::sql("SELECT concat_ws(' ', status, reason)
                                   FROM payments WHERE id = '$payment'");
}

sub plan_of {
    my ($self, $user) = @_;

    return scalar Pulse::Env::sql("SELECT coalesce(plan_id, 'none')
        FROM (SELECT 1) one LEFT JOIN subscription_running('$user') ON true");
}


1;
