# HyperPay, from the checkout to what it grants: webhooks of every kind, lost,
# repeated, forged and out of order, and answers that never come.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Gcm qw(gcm_encrypt);
use Pulse::Shop;
use Test::More;

my $shop = Pulse::Shop->start(invoices => {
    prefix => 'P-', vat_rate => 1600, vat_number => '12345',
    seller => { name_ar => 'استوديو بلس', name_en => 'Pulse Studio',
                address_ar => 'عمّان', address_en => 'Amman' } });


sub person {
    my $user = make_user(locale => 'en', @_);

    return ($user, make_key($user));
}

sub plan_of { $shop->plan_of(@_) }
sub status { $shop->status(@_) }
sub asked { $shop->asked(@_) }


sub pdf_text {
    my ($pdf) = @_;
    my $file = suite_dir() . '/invoice.pdf';

    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $pdf;
    close $out;

    open my $in, '-|:utf8', 'pdftotext', '-layout', $file, '-' or die;
    local $/;

    return scalar <$in>;
}


subtest 'the twin encrypts as is published' => sub {
    my @published = (
        ['000000000000000000000000', '{"type":"PAYMENT"}',
         '0A3471C72D9BE49A8520F79C66BBD9A12FF9',
         'CE573FB7A41AB78E743180DC83FF09BD'],
        ['3D575574536D450F71AC76D8', '{"type": "PAYMENT"}',
         'F8E2F759E528CB69375E51DB2AF9B53734E393',
         '19FDD068C6F383C173D3A906F7BD1D83']);

    for (@published) {
        my ($vector, $plain, $cipher, $tag) = @$_;
        my @got = gcm_encrypt(pack('H*', '000102030405060708090a0b0c0d0e0f'
                                         x 2), pack('H*', $vector), $plain);

        is(uc unpack('H*', $got[0]), $cipher);
        is(uc unpack('H*', $got[1]), $tag);
    }
};


subtest 'a plan is bought' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $data = $reply->{json}{data};
    my $id = $data->{payment_id};

    is($reply->{status}, 201) or diag $reply->{body};
    is($data->{amount}, 5000);
    is($data->{currency}, 'JOD');
    is($data->{price}, '5.000');
    is($data->{status}, 'pending');
    is($data->{checkout_url}, "https://studio.example/pay?payment=$id");
    is($data->{widget}{script}, $shop->twin->url
       . "/v1/paymentWidgets.js?checkoutId=$data->{checkout_id}");
    like($data->{widget}{integrity}, qr/^sha384-/);
    is($data->{widget}{brands}, 'VISA MASTER MADA');

    is(plan_of($user), 'none', 'a checkout grants nothing');

    my $back = http(GET => "/v1/payments/return/hyperpay?payment=$id"
                           . '&resourcePath=//evil.example/paid',
                    port => $shop->port);

    is($back->{status}, 303);
    is($back->{headers}{location},
       "https://studio.example/pay?payment=$id&back=1");
    is(plan_of($user), 'none', 'nor does a browser that is back');

    my $told = $shop->pay($reply);
    my $answer = $shop->deliver($told->{webhook});

    is($answer->{status}, 200) or diag $answer->{body};
    is($answer->{json}{data}{received}, JSON::PP::true);
    is(status($id), 'paid');
    is(plan_of($user), 'pro');

    my $got = $shop->call(GET => "/payments/$id", $key)->{json}{data};

    is($got->{status}, 'paid');
    is($got->{widget}, undef);
    ok($got->{paid_at});

    is(scalar(sql("SELECT limit_amount FROM accounts WHERE user_id = '$user'
                   AND kind = 0")), 400_000);
    is(scalar(sql("SELECT string_agg(kind, ' ') FROM outbox o
                   JOIN users u ON u.email = o.recipient
                   WHERE u.id = '$user'")), 'receipt');
    is(scalar(sql("SELECT concat_ws(' ', transition, new_plan, actor, reason)
                   FROM subscription_transitions t
                   JOIN subscriptions s ON s.id = t.subscription_id
                   WHERE s.user_id = '$user'")) =~ s/ \d+$//r,
       'start pro hyperpay webhook');

    my $other = make_key(make_user());

    is($shop->call(GET => "/payments/$id", $other)->{status}, 404,
       'is nobody else\'s');
    is($shop->call(GET => "/payments/$id/invoice", $other)->{status}, 404);

    my $pdf = $shop->call(GET => "/payments/$id/invoice", $key);

    is($pdf->{status}, 200);
    is($pdf->{headers}{'content-type'}, 'application/pdf');
    like($pdf->{headers}{'content-disposition'}, qr/"P-TEST-INV-\d{6}\.pdf"/);
    like($pdf->{body}, qr/\A%PDF-1\./);

    is(scalar(sql("SELECT net || ' ' || vat FROM invoices
                   WHERE payment_id = '$id'")), '4311 689',
       'a tax that is in the price');

    if (system('command -v pdftotext > /dev/null') == 0) {
        my %said = map { $_ => pdf_text($shop->call(GET =>
            "/payments/$id/invoice?locale=$_", $key)->{body}) } qw(ar en);

        like($said{en}, qr/Tax invoice/);
        like($said{en}, qr/TEST/);
        like($said{en}, qr/VAT number: 12345/);
        like($said{en}, qr/Net: 4\.311 JOD/);
        like($said{en}, qr/VAT 16%: 0\.689/);
        like($said{en}, qr/Total: 5\.000 JOD/);
        like($said{ar}, qr/فاتورة ضريبية/);
        like($said{ar}, qr/استوديو بلس/);
        like($said{ar}, qr/5\.000/);
    }

    my $history = $shop->call(GET => '/payments/history', $key)->{json}{data};

    is_deeply([map { $_->{payment_id} } @{ $history->{payments} }], [$id]);
};


subtest 'a message that comes ten thousand times' => sub {
    my ($user, $key) = person();

    $shop->buy($key, plan_id => 'starter');

    my $reply = $shop->checkout($key, addon => { type => 'tokens',
                                                 quantity => 2 });

    is($reply->{json}{data}{amount}, 2000) or diag $reply->{body};

    my $told = $shop->pay($reply);
    my %answers;
    my @children;

    # by four senders at once

    for my $sender (1 .. 4) {
        pipe my $in, my $out or die;
        my $pid = fork // die "fork: $!\n";

        if (!$pid) {
            my %seen;
            $seen{ $shop->deliver($told->{webhook})->{status} }++
                for 1 .. 2500;
            syswrite $out, join ',', map { "$_=$seen{$_}" } sort keys %seen;
            POSIX::_exit(0);
        }

        close $out;
        push @children, [$pid, $in];
    }

    for (@children) {
        my ($pid, $in) = @$_;
        my $line = <$in>;

        waitpid $pid, 0;
        $answers{$1} += $2 while $line =~ /(\d+)=(\d+)/g;
    }

    is_deeply(\%answers, { 200 => 10_000 }, 'each is answered');
    is(scalar(sql("SELECT limit_amount FROM accounts WHERE user_id = '$user'
                   AND kind = 0")), 550_000, 'and it counts once');
    is(scalar(sql("SELECT count(*) FROM invoices i JOIN payments p
                   ON p.id = i.payment_id WHERE p.user_id = '$user'")), 2);
};


subtest 'in any order' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $failed = $shop->pay($reply, code => '800.100.151');
    my $paid = $shop->pay($reply);

    $shop->deliver($paid->{webhook});
    $shop->deliver($failed->{webhook});

    is(status($id), 'paid', 'a failure that is late changes nothing');
    is(plan_of($user), 'pro');

    ($user, $key) = person();
    $reply = $shop->checkout($key, plan_id => 'pro');
    $id = $reply->{json}{data}{payment_id};

    $shop->deliver($shop->pay($reply, code => '800.100.151')->{webhook});
    is(status($id), 'failed');
    ok($shop->call(GET => "/payments/$id", $key)->{json}{data}{widget},
       'the card may be tried again');
    $shop->deliver($shop->pay($reply)->{webhook});
    is(status($id), 'paid', 'and pays');
    is(plan_of($user), 'pro');

    $shop->deliver($shop->pay($reply)->{webhook});
    is(plan_of($user), 'pro');
    is(scalar(sql("SELECT outcome FROM payment_inbox WHERE payment_id = '$id'
                   ORDER BY id DESC LIMIT 1")), 'paid twice',
       'a second payment is seen');

    ($user, $key) = person();
    $reply = $shop->checkout($key, plan_id => 'pro');
    $id = $reply->{json}{data}{payment_id};
    $paid = $shop->pay($reply);

    my $refund = $shop->pay($reply, type => 'RF',
                            parent => $paid->{payment}{id});

    $shop->deliver($refund->{webhook});
    is(status($id), 'pending', 'a refund that comes first waits');
    $shop->deliver($paid->{webhook});
    is(status($id), 'refunded', 'for its payment, which then grants nothing');
    is(plan_of($user), 'none');
};


subtest 'what is not theirs' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $good = $shop->pay($reply)->{webhook};
    my $cipher = JSON::PP::decode_json($good->{body})->{encryptedBody};
    my $tag = $good->{headers}{'X-Authentication-Tag'};
    my $vector = $good->{headers}{'X-Initialization-Vector'};

    my $try = sub {
        my ($name, $body, %headers) = @_;
        my $answer = $shop->deliver({ body => $body, headers => {
            %{ $good->{headers} }, %headers } });

        is($answer->{status}, 401, $name) or diag $answer->{body};
        is($answer->{json}{error}{code}, 'UNAUTHORIZED');
    };

    $try->('nothing', '');
    $try->('no JSON', '{"encryptedBody":');
    $try->('another member', '{"body":"AA"}');
    $try->('no digits', "{\"encryptedBody\":\"" . 'G' x 40 . '"}');
    $try->('base64', "{\"encryptedBody\":\""
                     . MIME::Base64::encode_base64(pack('H*', $cipher), '')
                     . '"}');
    $try->('cut', "{\"encryptedBody\":\"" . substr($cipher, 0, -2) . '"}');
    $try->('half a byte', "{\"encryptedBody\":\"${cipher}0\"}");
    $try->('a bit', "{\"encryptedBody\":\""
                    . ($cipher =~ s/^(.)/$1 eq '0' ? '1' : '0'/er) . '"}');

    for my $length (2, 8, 24, 30) {
        $try->("a tag of $length digits", $good->{body},
               'X-Authentication-Tag' => substr $tag, 0, $length);
    }

    $try->('another vector', $good->{body},
           'X-Initialization-Vector' => '00' x 12);
    $try->('a longer vector', $good->{body},
           'X-Initialization-Vector' => $vector . '00000000');
    $try->('no vector', $good->{body}, 'X-Initialization-Vector' => '');

    require Pulse::Twin::HyperPay;

    my $forged = Pulse::Twin::HyperPay::webhook({ key => 'ff' x 32 },
                                                { any => 'thing' });

    is($shop->deliver($forged)->{status}, 401, 'another key');
    is(status($id), 'pending', 'nothing has changed');

    is($shop->deliver({ body => $cipher, headers => {
        %{ $good->{headers} }, 'Content-Type' => 'text/plain' } })->{status},
       200, 'digits without JSON are theirs too');
    is(status($id), 'paid');

    is($shop->deliver({ %$good, body => 'x' x 70_000 })->{status}, 413);
    is($shop->deliver($good, to => 'nobody')->{status}, 404);
};


subtest 'authentic and of no use' => sub {
    my $say = sub {
        my ($plain) = @_;

        return $shop->deliver(Pulse::Twin::HyperPay::webhook(
            { key => $Pulse::Shop::secrets{key} }, undef,
            plain => $plain))->{status};
    };

    is($say->('{"type":"test"}'), 200, 'the test of the portal');
    is($say->('{"type":"REGISTRATION","action":"CREATED","payload":{}}'),
       200);
    is($say->('{"type":"PAYMENT"}'), 200);
    is($say->('[' x 5000), 200);
    is($say->("\xff\xfe"), 200);
    is($say->('{"type":"PAYMENT","type":"PAYMENT"}'), 200);
    is($say->('{"type":"PAYMENT","payload":{"id":"p1","paymentType":"DB",'
              . '"amount":"1e9","currency":"JOD","timestamp":"t",'
              . '"result":{"code":"000.000.000"}}}'), 200,
       'a payment of nobody');
    is(scalar(sql("SELECT outcome FROM payment_inbox WHERE payment = 'p1'")),
       'unknown payment');
};


subtest 'another amount' => sub {
    for my $odd (['0.01', 'JOD'], ['5.00', 'USD'], ['5.001', 'JOD'],
                 ['-5.00', 'JOD'], ['99999999999999999999.00', 'JOD'],
                 ['5,00', 'JOD'], ['50.00', 'JOD'])
    {
        my ($amount, $currency) = @$odd;
        my ($user, $key) = person();
        my $reply = $shop->checkout($key, plan_id => 'pro');
        my $told = $shop->pay($reply, amount => $amount,
                              currency => $currency);

        is($shop->deliver($told->{webhook})->{status}, 200);
        is(status($reply->{json}{data}{payment_id}), 'review amount',
           "$amount $currency is looked at by a person");
        is(plan_of($user), 'none', 'and grants nothing');
    }
};


subtest 'what is stored and cannot be applied yet' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $told = $shop->pay($reply);

    my $other = transaction("SELECT id FROM users WHERE id = '$user'"
                            . ' FOR UPDATE');

    is($shop->deliver($told->{webhook})->{status}, 200, 'it is answered');
    is(status($id), 'pending', 'before it can be applied');

    ok($other->end('ROLLBACK'));
    ok(wait_until { status($id) eq 'paid' } 30);
    is(plan_of($user), 'pro', 'and a job applies it');

    # as if the sidecar had died between the two

    ($user, $key) = person();
    $reply = $shop->checkout($key, plan_id => 'pro');
    $id = $reply->{json}{data}{payment_id};

    sql("SELECT payment_receive('hyperpay', false, 'k$id', 'webhook', 'paid',
         '$id', '', 'p$id', '', '000.000.000', 5000, 'JOD', '{}');
         NOTIFY jobs");
    ok(wait_until { status($id) eq 'paid' } 30);
    is(plan_of($user), 'pro');
};


subtest 'more at a time than can wait' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $told = $shop->pay($reply)->{webhook};
    my $other = transaction('LOCK TABLE payment_inbox IN SHARE MODE');

    my @clients = map {
        my $client = Pulse::Client->connect(port => $shop->port);

        $client->request(POST => '/v1/payments/webhook/hyperpay', close => 1,
                         body => $told->{body}, headers => $told->{headers});
        $client;
    } 1 .. 300;

    # two are at work, 256 wait, and the rest need not

    ok(wait_until {
        grep { !defined $_->{status} && $_->readable(0)
               && ($_->{status} = $_->response->{status}) } @clients;
        (grep { defined $_->{status} } @clients) >= 42;
    }, 'who cannot wait is answered at once');
    is_deeply([grep { defined && $_ ne '503' }
                    map { $_->{status} } @clients], [],
              'to come again');

    ok($other->end('ROLLBACK'));
    $_->{status} //= $_->response->{status} for @clients;

    my %said;
    $said{ $_->{status} }++ for @clients;

    is_deeply([sort keys %said], [200, 503]);
    is($shop->deliver($told)->{status}, 200, 'who comes again is heard');
    is(status($reply->{json}{data}{payment_id}), 'paid');
    is(scalar(sql("SELECT count(*) FROM invoices i JOIN payments p
                   ON p.id = i.payment_id WHERE p.user_id = '$user'")), 1);
};


subtest 'a webhook that never comes' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};

    ok(asked($id));
    is(status($id), 'pending', 'nothing is paid yet');

    my $told = $shop->pay($reply);

    $shop->twin->tell('minute');
    asked($id);
    is(status($id), 'paid', 'the job finds it');
    is(plan_of($user), 'pro');

    $shop->deliver($told->{webhook});
    is(scalar(sql("SELECT count(*) FROM invoices WHERE payment_id = '$id'")),
       1, 'and when it comes at last it is known');
};


subtest 'a provider that takes the money and says nothing' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};

    $shop->pay($reply);
    $shop->twin->tell(fault => { times => 1, hang => 1 });

    my $got = $shop->call(GET => "/payments/$id", $key);

    is($got->{status}, 200, 'who asks is answered');
    is($got->{json}{data}{status}, 'pending', 'it is neither paid nor not');

    for my $rubbish ('<html>', '{}', '{"result":{"code":"000.000.000"}}',
                     '[' x 60_000, '{"result":{"code":"900.100.300"}}')
    {
        $shop->twin->tell(fault => { times => 1, data => $rubbish });
        asked($id);
        is(status($id), 'pending', 'rubbish pays nothing');
    }

    $shop->twin->tell('minute');
    asked($id);
    is(status($id), 'paid', 'until it says so');
    is(plan_of($user), 'pro');
};


subtest 'a checkout that is over' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};

    $shop->twin->tell(minute => {
        forget => $reply->{json}{data}{checkout_id} });
    sql("UPDATE payments SET created_at = now() - interval '1 hour',
         expires_at = now() - interval '30 minutes' WHERE id = '$id'");

    asked($id);
    is(status($id), 'expired', 'nobody paid');

    $shop->pay($reply);
    asked($id);
    is(status($id), 'paid', 'money that comes late is found all the same');
    is(plan_of($user), 'pro');

    my ($last) = grep { $_->{path} eq '/v1/query' } $shop->twin->requests;

    ok($last, 'by the query, as the checkout is forgotten');
};


subtest 'a provider that makes no checkout' => sub {
    my ($user, $key) = person();

    $shop->twin->tell(fault => { times => 1, hang => 1 });

    my $reply = $shop->checkout($key, plan_id => 'pro');

    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'PROVIDER_UNAVAILABLE');

    $shop->twin->tell(fault => { times => 1, status => 302, data => '' });
    is($shop->checkout($key, plan_id => 'pro')->{status}, 502);

    $shop->twin->tell(fault => { times => 1,
                                 data => '{"result":{"code":"000.200.100"},'
                                         . '"id":"../../evil"}' });
    is($shop->checkout($key, plan_id => 'pro')->{json}{error}{code},
       'PROVIDER_ERROR', 'an id that is a path is none');

    is_deeply([sql("SELECT DISTINCT status FROM payments
                    WHERE user_id = '$user'")], ['failed']);
};


subtest 'requests that are refused' => sub {
    my ($user, $key) = person();

    my $refused = sub {
        my ($field, %body) = @_;
        my $reply = $shop->checkout($key, %body);

        is($reply->{status}, 400, JSON::PP->new->canonical->encode(\%body))
            or diag $reply->{body};
        is($reply->{json}{error}{details}{field}, $field);
    };

    $refused->('/plan_id');
    $refused->('/plan_id', plan_id => 'pro', addon => { type => 'tokens' });
    $refused->('/plan_id', plan_id => 'gold');
    $refused->('/plan_id', plan_id => 'trial');
    $refused->('/plan_id', plan_id => 7);
    $refused->('/addon/type', addon => { type => 'gold' });
    $refused->('/addon/type', addon => {});
    $refused->('/addon/quantity', addon => { type => 'tokens',
                                             quantity => -1 });
    $refused->('/addon/quantity', addon => { type => 'tokens',
                                             quantity => 101 });
    $refused->('/addon/quantity', addon => { type => 'tokens',
                                             quantity => 1.5 });
    $refused->('/provider', plan_id => 'pro', provider => 'bank');
    $refused->('/provider', plan_id => 'pro', provider => undef);

    is($shop->checkout($key, addon => { type => 'tokens' })->{status}, 402,
       'an add-on without a plan');
    is(http(POST => '/v1/payments/checkout', port => $shop->port,
            json => {})->{status}, 401);
    is($shop->call(GET => '/payments/' . uuid(), $key)->{status}, 404);
};


subtest 'the same request twice' => sub {
    my ($user, $key) = person();
    my @replies = map {
        $shop->checkout($key, plan_id => 'pro',
                        headers => { 'Idempotency-Key' => 'one' })
    } 1 .. 2;

    is($replies[1]{json}{data}{payment_id}, $replies[0]{json}{data}{payment_id},
       'is one payment');
    is($shop->checkout($key, plan_id => 'starter',
                       headers => { 'Idempotency-Key' => 'one' })->{status},
       409);
    is(scalar(sql("SELECT count(*) FROM payments WHERE user_id = '$user'")),
       1);
};


subtest 'refunds and chargebacks' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $paid = $shop->pay($reply);
    my $refund = sub {
        return $shop->deliver($shop->pay($reply, type => 'RF',
            parent => $paid->{payment}{id}, @_)->{webhook});
    };

    $shop->deliver($paid->{webhook});

    for my $odd (['2,00', 'JOD'], ['2.0005', 'JOD'], ['2.00', 'XYZ']) {
        $refund->(amount => $odd->[0], currency => $odd->[1]);
        is(status($id), 'paid refund',
           "@$odd cannot be understood, and is not the whole");
    }

    $refund->(amount => '2.00');
    is(status($id), 'partly_refunded refund');
    is(plan_of($user), 'pro', 'a part leaves the plan');

    $refund->(amount => '4.00');
    is(status($id), 'partly_refunded refund',
       'more than was paid is looked at by a person');

    $refund->(amount => '1.00', code => '800.100.151');
    is(scalar(sql("SELECT refunded FROM payments WHERE id = '$id'")), 2000,
       'one that failed gives nothing back');

    $refund->(amount => '3.00');
    is(scalar(sql("SELECT status FROM payments WHERE id = '$id'")),
       'refunded');
    is(plan_of($user), 'none', 'the whole ends it');
    is_deeply([sql("SELECT kind || ' ' || amount FROM invoices
                    WHERE payment_id = '$id' ORDER BY issued_at, number")],
              ['invoice 5000', 'credit_note 2000', 'credit_note 3000']);

    my $note = $shop->call(GET => "/payments/$id/invoice?kind=credit_note",
                           $key);

    like($note->{headers}{'content-disposition'}, qr/P-TEST-CRN-/);

    ($user, $key) = person();
    $reply = $shop->checkout($key, plan_id => 'pro');
    $paid = $shop->pay($reply);
    $shop->deliver($paid->{webhook});
    $shop->deliver($shop->pay($reply, type => 'CB', code => '000.100.220',
                              parent => $paid->{payment}{id})->{webhook});
    is(status($reply->{json}{data}{payment_id}), 'charged_back charged_back');
    is(plan_of($user), 'none', 'a chargeback ends it at once');
};


subtest 'a refund whose webhook is lost' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $paid = $shop->pay($reply);
    my @of = (parent => $paid->{payment}{id});

    $shop->deliver($paid->{webhook});
    ok($shop->asked_refunds($id));
    is(status($id), 'paid', 'nothing was given back');

    my $part = $shop->pay($reply, type => 'RF', amount => '2.00', @of);

    $shop->pay($reply, type => 'RF', amount => '9.00',
               code => '800.100.151', @of);
    ok($shop->asked_refunds($id));
    is(status($id), 'partly_refunded', 'the job finds it');
    ok($shop->asked_refunds($id));
    $shop->deliver($part->{webhook});
    is(scalar(sql("SELECT refunded FROM payments WHERE id = '$id'")), 2000,
       'once, whoever tells');

    for my $rubbish ('<html>', '[]', '{"records":7}',
                     '{"result":{"code":"700.400.580"}}')
    {
        $shop->twin->tell(fault => { times => 1, data => $rubbish });
        ok($shop->asked_refunds($id));
        is(status($id), 'partly_refunded', 'rubbish gives nothing back');
    }

    $shop->pay($reply, type => 'RF', amount => '3.00', @of);
    ok($shop->asked_refunds($id));
    is(status($id), 'refunded');
    is(plan_of($user), 'none', 'which ends the plan');
    is_deeply([sql("SELECT amount FROM invoices WHERE payment_id = '$id'
                    AND kind = 'credit_note' ORDER BY number")],
              [2000, 3000]);
    is(scalar(sql("SELECT refunds_due()")), 0, 'and is not asked about again');

    ($user, $key) = person();
    $reply = $shop->checkout($key, plan_id => 'pro');
    $paid = $shop->pay($reply);
    $shop->deliver($paid->{webhook});
    $shop->pay($reply, type => 'CB', code => '000.100.220',
               parent => $paid->{payment}{id});
    ok($shop->asked_refunds($reply->{json}{data}{payment_id}));
    is(status($reply->{json}{data}{payment_id}), 'charged_back charged_back');
    is(plan_of($user), 'none', 'a chargeback too');
};


subtest 'a refund of what an upgrade was credited for' => sub {
    my ($user, $key) = person();
    my $reply = $shop->checkout($key, plan_id => 'starter');
    my $start = $reply->{json}{data}{payment_id};
    my $paid = $shop->pay($reply);

    $shop->deliver($paid->{webhook});

    my ($up) = $shop->buy($key, plan_id => 'pro');
    my $ends = sub {
        return scalar sql("SELECT period_end - period_start
                           FROM subscription_running('$user')");
    };
    my $whole = $ends->();

    is(plan_of($user), 'pro');

    # its webhook is lost, comes late, and comes again

    my $back = $shop->pay($reply, type => 'RF', parent => $paid->{payment}{id});

    ok($shop->asked_refunds($start));
    is(status($start), 'refunded');
    is(plan_of($user), 'pro', 'it runs for what was paid');

    my $rest = $ends->();

    is(sql("SELECT interval '$rest' < interval '$whole' * 0.5"), 't');
    $shop->deliver($back->{webhook}) for 1 .. 2;
    is($ends->(), $rest, 'once');

    my $said = $shop->call(GET => "/payments/$up", $key)->{json}{data};

    is($said->{credit_lost}, $said->{credit}, 'and its owner is told');
    is(sql("SELECT value FROM subscription_running('$user')"),
       5000 - $said->{credit});
};


is_deeply([sql("SELECT n FROM (SELECT kind, row_number() OVER
                (PARTITION BY kind ORDER BY number) AS n,
                right(number, 6)::integer AS number FROM invoices) i
                WHERE n <> number")], [], 'no number is left out');

unlike($shop->sidecar->log_text, qr/twin-token|0123456789abcdef/,
       'no secret is in the log');

is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
