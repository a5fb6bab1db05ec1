# What keeps the sidecar from starting: prices that a provider cannot express,
# modes that are mixed, secrets that are written down.  And what it does
# without payments.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Shop;
use Test::More;

my $root = $ENV{TEST_NGINX_PULSE_ROOT};
my $sidecar = ($ENV{PULSE_BUILD} // "$root/build") . '/pulse-sidecar';
my $hyperpay = Pulse::Shop::hyperpay('http://127.0.0.1:1');
my $zaincash = Pulse::Shop::zaincash('http://127.0.0.1:1');
my $zaincash_v1 = Pulse::Shop::zaincash_v1('http://127.0.0.1:1');


# What it says before it ends.

sub refused {
    my ($name, $like, %o) = @_;
    my $file = Pulse::Shop::configuration(providers => {
        hyperpay => $hyperpay }, %o);
    my $said = qx('$sidecar' --listen '$ENV{TEST_NGINX_PULSE_DIR}/x.sock' \\
               --database '$ENV{TEST_NGINX_PULSE_PG}' --payments '$file' 2>&1);

    is($? >> 8, 1, $name);
    like($said, $like);
    unlike($said, qr/0123456789abcdef|twin-token/);
}


subtest 'prices' => sub {
    sql("UPDATE plans SET amount = 3005 WHERE id = 'starter'");
    refused('a price of fils that two decimals cannot say',
            qr/hyperpay cannot charge "starter" of the plans: 3005 JOD/);
    sql("UPDATE plans SET amount = 3000 WHERE id = 'starter'");

    sql("UPDATE addons SET amount = 1001 WHERE id = 'images'");
    refused('also of an add-on',
            qr/hyperpay cannot charge "images" of the addons: 1001 JOD/);
    sql("UPDATE addons SET amount = 1000 WHERE id = 'images'");

    refused('no price in its currency',
            qr/zaincash cannot charge "\w+" of the \w+: it has no price in IQD/,
            providers => { zaincash => $zaincash });
    refused('less than it takes',
            qr/zaincash cannot charge "\w+" of the plans: 249 IQD/,
            providers => { zaincash => $zaincash },
            prices => { plans => { map { $_ => { IQD => 249 } }
                                       qw(starter pro creator) } });
    refused('another currency than it has',
            qr/zaincash: "currency" is none that it takes/,
            providers => { zaincash => { %$zaincash, currency => 'JOD' } });
};


subtest 'modes, addresses and secrets' => sub {
    refused('no mode', qr/"mode" is "test" or "live"/, mode => 'both');
    refused('real money on this machine', qr/not of the mode "live"/,
            mode => 'live');
    refused('play money at the real one', qr/not of the mode "test"/,
            providers => { hyperpay => { %$hyperpay,
                base_url => 'https://eu-prod.oppwa.com' } });
    refused('an address with more in it', qr/"base_url" is not https:/,
            providers => { hyperpay => { %$hyperpay,
                base_url => 'https://eu-test.oppwa.com@evil.example' } });
    refused('without TLS', qr/"base_url" is not https:/,
            providers => { hyperpay => { %$hyperpay,
                base_url => 'http://eu-test.oppwa.com' } });
    refused('a secret in the file',
            qr/"token" is not "env:NAME" or "file:PATH"/,
            providers => { hyperpay => { %$hyperpay,
                token => 'twin-token-1234567890' } });
    refused('a short key', qr/not 64 hexadecimal digits/,
            providers => { hyperpay => { %$hyperpay,
                webhook_key => 'env:TWIN_TOKEN' } });
    refused('a port that PayTabs does not call back',
            qr/paytabs: it calls back no port, and "url" has one/,
            url => 'https://studio.example:8443', providers => {
                paytabs => Pulse::Shop::paytabs('http://127.0.0.1:1') });
    refused('a wallet that is none', qr/zaincash_v1: "msisdn" is not 13 digits/,
            providers => { zaincash_v1 => { %$zaincash_v1,
                msisdn => '07800000000' } });
    refused('a merchant that is none', qr/"merchant_id" is no id/,
            providers => { zaincash_v1 => { %$zaincash_v1,
                merchant_id => 'a&b=c' } });
    refused('real dinars with a test configuration', qr/not of the mode "test"/,
            providers => { zaincash_v1 => { %$zaincash_v1,
                base_url => 'https://api.zaincash.iq' } });
    refused('a provider that is not known', qr/no provider "bank"/,
            providers => { bank => {} });
};


subtest 'without payments' => sub {
    my $plain = Pulse::Sidecar->start;
    my $nginx = Pulse::Nginx->new(http => Pulse::Shop::http_block(),
                                  config => Pulse::Shop::server_block())->run;
    my $key = make_key(make_user(plan => 'pro'));

    is(http(GET => '/v1/subscription', port => $nginx->port,
            bearer => $key)->{status}, 404);
    is(http(POST => '/v1/payments/webhook/hyperpay', port => $nginx->port,
            body => '')->{status}, 404);
    like($plain->log_text, qr/there are no payments/);

    is($nginx->stop, undef);
    is_deeply([$nginx->problems], []);
};


# The limit as it is delivered; several requests are sent in one piece, for
# machines that are slower than it.

subtest 'more than providers send' => sub {
    open my $in, '<', "$root/conf/nginx.conf" or die "nginx.conf: $!\n";

    my @lines = join('', <$in>) =~ m{^\ +(limit_req_zone\ [^;]*payments[^;]*;)
                                     .* /payments/\(webhook .*?
                                     (limit_req\ [^;]*;) \s*
                                     (limit_req_status\ [^;]*;)}msx;
    my $nginx = Pulse::Nginx->new(http => $lines[0], config => <<"CONFIG")->run;
    location = /x {
        $lines[1] $lines[2]
        log_not_found off;
    }
CONFIG

    is(@lines, 3, 'a rate, a burst, and the status of what is more');

    my %said;

    for my $client (map { Pulse::Client->connect(port => $nginx->port) }
                    1 .. 4)
    {
        $client->send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n" x 600);
        $said{ $client->response->{status} }++ for 1 .. 600;
    }

    cmp_ok($said{404}, '>=', 1000, 'a burst is let through');
    cmp_ok($said{429} // 0, '>=', 1, 'what is more is to come again');
    is($said{404} + ($said{429} // 0), 2400, 'and that is all');
    is($nginx->stop, undef);
};


done_testing();
