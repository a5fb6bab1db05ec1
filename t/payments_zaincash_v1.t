# ZainCash as it was before: a JWT in a form, no webhooks, and a browser that
# brings a proof without an amount.

use v5.30;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Shop;
use Test::More;

my $shop = Pulse::Shop->start;
my $studio = 'https://studio.example';


sub checkout {
    my (%body) = @_;
    my $user = make_user(locale => 'en');
    my $key = make_key($user);
    my $reply = $shop->checkout($key, provider => 'zaincash_v1',
                                plan_id => 'pro', %body);

    is($reply->{status}, 201) or diag $reply->{body};

    return ($user, $key, $reply, $reply->{json}{data}{payment_id});
}

# The browser, as they send it; where it goes from us.

sub back {
    my ($location) = @_;
    my ($path) = $location =~ m{^https://[^/]+(/.*)$} or die $location;

    return http(GET => $path, port => $shop->port);
}

sub token_back { back("$studio/v1/payments/return/zaincash_v1?token=$_[0]") }

sub hurried {
    my ($id) = @_;

    return sql("SELECT ask_at <= now() FROM payments WHERE id = '$id'") eq 't'
           || $shop->status($id) ne 'pending';
}


subtest 'a plan is bought' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $data = $reply->{json}{data};
    my $url = $shop->twin('zaincash_v1')->url;

    is($data->{amount}, 9250);
    is($data->{currency}, 'IQD');
    is($data->{checkout_url}, "$url/transaction/pay?id=$data->{checkout_id}");

    my $back = back($shop->pay($reply)->{location});

    is($back->{status}, 303);
    is($back->{headers}{location}, "$studio/pay?payment=$id&back=1",
       'the payment is known by the token, which goes no further');
    ok(wait_until { $shop->status($id) eq 'paid' } 20);
    is($shop->plan_of($user), 'pro');
    is(sql("SELECT source FROM payment_inbox WHERE payment_id = '$id'"),
       'query', 'by what was asked, not by the browser');
};


subtest 'a browser that never comes' => sub {
    my ($user, $key, $reply, $id) = checkout();

    $shop->pay($reply);
    ok($shop->asked($id));
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'pro');
};


subtest 'what is said' => sub {
    for my $case (['pending', 'pending'], ['pending_otp', 'pending'],
                  ['failed', 'failed'], ['cancel', 'failed'],
                  ['success', 'pending'], ['SOMETHING', 'pending'])
    {
        my ($user, $key, $reply, $id) = checkout();

        $shop->pay($reply, status => $case->[0]);
        ok($shop->asked($id));
        is($shop->status($id), $case->[1], $case->[0]);
        is($shop->plan_of($user), 'none');

        $shop->pay($reply);
        ok($shop->asked($id));
        is($shop->status($id), 'paid', "$case->[0], then completed");
    }

    for my $value ('1', '9250.50', '-9250', '', '99999999999999999999') {
        my ($user, $key, $reply, $id) = checkout();

        $shop->pay($reply, value => $value);
        ok($shop->asked($id));
        is($shop->status($id), 'review amount', "the amount \"$value\"");
        is($shop->plan_of($user), 'none');
    }

    my ($user, $key, $reply, $id) = checkout();

    $shop->pay($reply, order => '00000000-0000-4000-8000-000000000000');
    ok($shop->asked($id));
    is($shop->status($id), 'pending', 'another order');
    is($shop->plan_of($user), 'none');
};


subtest 'it takes the money and does not answer' => sub {
    my ($user, $key, $reply, $id) = checkout();

    $shop->pay($reply);
    $shop->twin('zaincash_v1')->tell(fault => { times => 1, status => 502 });
    ok($shop->asked($id));
    is($shop->status($id), 'pending');
    ok($shop->asked($id));
    is($shop->status($id), 'paid');
};


subtest 'what proves nothing' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $token = $shop->pay($reply, status => 'pending')->{token};
    my ($head, $body, $sign) = split /\./, $token;
    my $claims = JSON::PP::decode_json(decode_base64url($body));
    my $secret = $Pulse::Shop::secrets{merchant_secret};
    my $jwt = \&Pulse::Twin::ZainCash::jwt;

    my %tokens = (
        'no JWT' => 'a.b.c', 'no signature' => "$head.$body.",
        'four parts' => "$token.$sign",
        'another key' => $jwt->($claims, 'x' x 20),
        'no algorithm' => encode_base64url('{"alg":"none"}') . ".$body.",
        'the name of none' => $jwt->($claims, $secret, { alg => 'none' }),
        'another algorithm' => $jwt->($claims, $secret, { alg => 'HS512' }),
        'cut' => substr($token, 0, -1),
    );

    for my $name (sort keys %tokens) {
        my $back = token_back($tokens{$name});

        is($back->{status}, 303, $name);
        is($back->{headers}{location}, "$studio/pay?payment=&back=1");
        ok(!hurried($id), 'nobody is asked');
    }

    is(token_back($token)->{headers}{location},
       "$studio/pay?payment=$id&back=1");
    ok(wait_until { sql("SELECT asked FROM payments WHERE id = '$id'") } 20);

    is($shop->status($id), 'pending', 'nor is it paid by a proof');
    is($shop->deliver({ body => '{}', headers => {} },
                      to => 'zaincash_v1')->{status}, 404, 'no webhooks');
};


is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
