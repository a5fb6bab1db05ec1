# PayTabs: callbacks and returns that are signed, queries, and refunds.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Shop;
use Test::More;

my $shop = Pulse::Shop->start;


sub checkout {
    my (%body) = @_;
    my $user = make_user(locale => 'en');
    my $key = make_key($user);
    my $reply = $shop->checkout($key, provider => 'paytabs', plan_id => 'pro',
                                %body);

    is($reply->{status}, 201) or diag $reply->{body};

    return ($user, $key, $reply, $reply->{json}{data}{payment_id});
}

sub deliver { $shop->deliver($_[0]{webhook}, to => 'paytabs')->{status} }

sub back {
    my ($id, $body) = @_;

    return http(POST => "/v1/payments/return/paytabs?payment=$id",
                port => $shop->port, body => $body,
                headers => { 'Content-Type' =>
                             'application/x-www-form-urlencoded',
                             'Origin' => 'https://paytabs.example',
                             'Sec-Fetch-Site' => 'cross-site' });
}


subtest 'the twin signs as is published' => sub {
    my $said = Pulse::Twin::PayTabs::sign('SGJNZ96JLG-JDMKHGRWT9-RWRK2KJNRJ',
        acquirerMessage => '', acquirerRRN => '', cartId => 'cart_11111',
        customerEmail => 'email@domain.com', respCode => 'G84718',
        respMessage => 'Authorised', respStatus => 'A', token => '',
        tranRef => 'TST2215201242166');

    is($said, '7a181a32c768621eb6966107752ee702'
              . '05a01f1c4403a3d13c0ff604f591f988');
};


subtest 'a plan is bought' => sub {
    my ($user, $key, $reply, $id) = checkout();

    like($reply->{json}{data}{checkout_url},
         qr{^https://paytabs\.example/page/TST\d+$});
    is($reply->{json}{data}{widget}, undef);

    my $told = $shop->pay($reply);

    is(deliver($told), 200);
    is(deliver($told), 200, 'by two roads');
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'pro');
};


subtest 'a browser that is back' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $told = $shop->pay($reply);
    my $answer = back($id, $told->{return});

    is($answer->{status}, 303, 'by a POST of another site, without a session');
    is($answer->{headers}{location},
       "https://studio.example/pay?payment=$id&back=1");

    ok(wait_until { $shop->status($id) eq 'paid' } 20);
    is($shop->plan_of($user), 'pro',
       'decides nothing, but the provider is asked at once');

    ($user, $key, $reply, $id) = checkout();
    $told = $shop->pay($reply, status => 'D');

    my $lie = $told->{return} =~ s/respStatus=D/respStatus=A/r;

    is(back($id, $lie)->{status}, 303, 'one that lies goes the same way');
    is(back($id, 'cartId=%')->{status}, 303);
    is(back($id, '')->{status}, 303);
    is(back("x\"'<>", '')->{headers}{location},
       'https://studio.example/pay?payment=&back=1');
    is($shop->status($id), 'pending', 'and changes nothing');
};


subtest 'what is not theirs' => sub {
    my ($user, $key, $reply, $id) = checkout();
    my $good = $shop->pay($reply)->{webhook};
    my $try = sub {
        my ($name, %o) = @_;
        my $answer = $shop->deliver({
            body => $o{body} // $good->{body},
            headers => { %{ $good->{headers} }, %{ $o{headers} // {} } } },
            to => 'paytabs');

        is($answer->{status}, 401, $name);
    };

    $try->('no signature', headers => { Signature => '' });
    $try->('a cut one', headers => {
        Signature => substr $good->{headers}{Signature}, 0, 62 });
    $try->('another one', headers => { Signature => 'ab' x 32 });
    $try->('another body', body => $good->{body} =~ s/5\.00/0.01/gr);
    $try->('one byte more', body => "$good->{body} ");
    $try->('none', body => '');
    is($shop->deliver($good, to => 'hyperpay')->{status}, 401,
       'nor another provider\'s');
    is($shop->status($id), 'pending');
};


subtest 'what is said' => sub {
    for my $case (['H', 'review provider'], ['D', 'failed'], ['E', 'failed'],
                  ['X', 'failed'], ['P', 'pending'], ['Z', 'pending'])
    {
        my ($said, $status) = @$case;
        my ($user, $key, $reply, $id) = checkout();

        deliver($shop->pay($reply, status => $said));
        is($shop->status($id), $status, $said);
        is($shop->plan_of($user), 'none');

        deliver($shop->pay($reply));
        is($shop->status($id), 'paid', "$said, then A");
    }

    for my $odd (['4.99', 'JOD'], ['5.00', 'SAR'], ['-5.00', 'JOD'],
                 ['1e3', 'JOD'])
    {
        my ($user, $key, $reply, $id) = checkout();

        deliver($shop->pay($reply, total => $odd->[0],
                           currency => $odd->[1]));
        is($shop->status($id), 'review amount', "@$odd");
        is($shop->plan_of($user), 'none');
    }
};


subtest 'a callback that never comes' => sub {
    my ($user, $key, $reply, $id) = checkout();

    $shop->pay($reply);
    $shop->twin('paytabs')->tell(fault => { times => 1, hang => 1 });
    $shop->asked($id);
    is($shop->status($id), 'pending', 'no answer says nothing');
    $shop->asked($id);
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'pro');
};


subtest 'refunds' => sub {
    my ($user, $key, $reply, $id) = checkout();

    deliver($shop->pay($reply));
    deliver($shop->pay($reply, type => 'Refund', status => 'P'));
    is($shop->status($id), 'paid', 'one that is under way');
    deliver($shop->pay($reply, type => 'Refund', total => '1.00'));
    is($shop->status($id), 'partly_refunded');
    deliver($shop->pay($reply, type => 'Void', total => '4.00'));
    is($shop->status($id), 'refunded');
    is($shop->plan_of($user), 'none');
};


subtest 'a refund whose callback is lost' => sub {
    my ($user, $key, $reply, $id) = checkout();

    deliver($shop->pay($reply));
    $shop->pay($reply, type => 'Refund', status => 'P');
    ok($shop->asked_refunds($id));
    is($shop->status($id), 'paid', 'one that is under way');

    my $part = $shop->pay($reply, type => 'Refund', total => '1.00');

    ok($shop->asked_refunds($id));
    is($shop->status($id), 'partly_refunded', 'the job finds it');
    deliver($part);
    ok($shop->asked_refunds($id));
    is(sql("SELECT refunded FROM payments WHERE id = '$id'"), 1000, 'once');

    $shop->twin('paytabs')->tell(fault => { times => 1, data => '{"a":1}' });
    ok($shop->asked_refunds($id));
    $shop->pay($reply, type => 'Refund', total => '4.00');
    ok($shop->asked_refunds($id));
    is($shop->status($id), 'refunded');
    is($shop->plan_of($user), 'none');
};


is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
