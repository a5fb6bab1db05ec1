# ZainCash: tokens, the inquiry, and webhooks that are JWTs.

use v5.30;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Shop;
use Test::More;

my $shop = Pulse::Shop->start;


sub checkout {
    my (%body) = @_;
    my $user = make_user(locale => 'en');
    my $key = make_key($user);
    my $reply = $shop->checkout($key, provider => 'zaincash',
                                plan_id => 'pro', %body);

    is($reply->{status}, 201) or diag $reply->{body};

    return ($user, $key, $reply, $reply->{json}{data}{payment_id});
}

sub deliver { $shop->deliver($_[0]{webhook}, to => 'zaincash')->{status} }

sub deliver_token {
    my ($token) = @_;

    return $shop->deliver({
        body => JSON::PP::encode_json({ webhook_token => $token }),
        headers => { 'Content-Type' => 'application/json' } },
        to => 'zaincash')->{status};
}


subtest 'a plan is bought' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $data = $reply->{json}{data};

    is($data->{amount}, 9250);
    is($data->{currency}, 'IQD');
    is($data->{price}, '9250', 'dinars have no parts');
    like($data->{checkout_url}, qr{^https://zaincash\.example/pay/});

    my $told = $shop->pay($reply);

    is(deliver($told), 200);
    is(deliver($told), 200);
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'pro');

    checkout();
    is(scalar(grep { $_->{path} eq '/oauth2/token' }
                   $shop->twin('zaincash')->requests), 1,
       'a token is asked for once');
};


subtest 'what is not theirs' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $token = $shop->pay($reply)->{token};
    my ($head, $body, $sign) = split /\./, $token;
    my $claims = JSON::PP::decode_json(
        MIME::Base64::decode_base64url($body));
    my $api_key = $Pulse::Shop::secrets{api_key};
    my $jwt = \&Pulse::Twin::ZainCash::jwt;

    my %tokens = (
        'nothing' => '', 'no JWT' => 'a.b.c', 'two parts' => "$head.$body",
        'no signature' => "$head.$body.",
        'four parts' => "$token.$sign",
        'another key' => $jwt->($claims, 'x' x 20),
        'the secret of calls' => $jwt->($claims, 'twin-secret'),
        'no algorithm' => encode_base64url('{"alg":"none"}') . ".$body.",
        'the name of none' => $jwt->($claims, $api_key, { alg => 'none' }),
        'another algorithm' => $jwt->($claims, $api_key, { alg => 'HS512' }),
        'over' => $jwt->({ %$claims, exp => time - 3600 }, $api_key),
        'a time that is none' => $jwt->({ %$claims, exp => 'soon' },
                                        $api_key),
        'not yet' => $jwt->({ %$claims, nbf => time + 3600 }, $api_key),
        'padding' => "$token=",
        'a long one' => 'a' x 10_000,
    );

    is(deliver_token($tokens{$_}), 401, $_) for sort keys %tokens;

    for my $cut (1 .. 10) {
        is(deliver_token(substr $token, 0, -$cut), 401, "cut by $cut");
    }

    is($shop->deliver({ body => '[' x 60_000, headers => {} },
                      to => 'zaincash')->{status}, 401);
    is($shop->status($id), 'pending');
    is(deliver_token($token), 200);
    is($shop->status($id), 'paid');
};


subtest 'what is said' => sub {
    for my $case (['PENDING', 'pending'], ['OTP_SENT', 'pending'],
                  ['FAILED', 'failed'], ['EXPIRED', 'failed'],
                  ['SOMETHING', 'pending'])
    {
        my ($user, $key, $reply, $id) = checkout();

        deliver($shop->pay($reply, status => $case->[0]));
        is($shop->status($id), $case->[1], $case->[0]);
        deliver($shop->pay($reply));
        is($shop->status($id), 'paid', "$case->[0], then SUCCESS");
    }

    my ($user, $key, $reply, $id) = checkout();

    deliver($shop->pay($reply, value => 1));
    is($shop->status($id), 'review amount', 'another amount');
    is($shop->plan_of($user), 'none');

    ($user, $key, $reply, $id) = checkout();
    deliver($shop->pay($reply));
    deliver($shop->pay($reply, status => 'REFUNDED'));
    is($shop->status($id), 'refunded');
    is($shop->plan_of($user), 'none');
};


subtest 'a token that ends before its time' => sub {
    my ($user, $key, $reply, $id) = checkout();

    $shop->twin('zaincash')->tell('forget');
    checkout();

    my $told = $shop->pay($reply);

    $shop->twin('zaincash')->tell('forget');
    ok($shop->asked($id));
    is($shop->status($id), 'paid', 'another one is asked for');

    my $tokens = grep { $_->{path} eq '/oauth2/token' }
        $shop->twin('zaincash')->requests;

    checkout();
    is(scalar(grep { $_->{path} eq '/oauth2/token' }
                   $shop->twin('zaincash')->requests), $tokens, 'once');
};


subtest 'a webhook that never comes, as in their tests' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $token = $shop->pay($reply)->{token};
    my $back = http(GET => "/v1/payments/return/zaincash?payment=$id"
                           . "&token=$token", port => $shop->port);

    is($back->{status}, 303);
    is($back->{headers}{location},
       "https://studio.example/pay?payment=$id&back=1",
       'the token goes no further');
    ok(wait_until { $shop->status($id) eq 'paid' } 20);
    is($shop->plan_of($user), 'pro');
};


subtest 'a refund whose webhook is lost' => sub {
    my ($user, $key, $reply, $id) = checkout();

    deliver($shop->pay($reply));
    ok($shop->asked_refunds($id));
    is($shop->status($id), 'paid');

    my $told = $shop->pay($reply, status => 'REFUNDED');

    ok($shop->asked_refunds($id));
    is($shop->status($id), 'refunded', 'the job finds it');
    is($shop->plan_of($user), 'none');
    deliver($told);
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$id'
            AND kind = 'credit_note'"), 1, 'once');
};


is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
