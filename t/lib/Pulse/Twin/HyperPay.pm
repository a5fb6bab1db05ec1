package Pulse::Twin::HyperPay;

# As specs of COPYandPAY have it: checkouts, their status, the query, and
# webhooks that are encrypted.  start(token, entity, key).

use v5.30;
use warnings;

use parent 'Pulse::Twin';

use Digest::SHA qw(sha384_base64);
use JSON::PP ();
use Pulse::Gcm qw(gcm_encrypt);

my $json = JSON::PP->new->canonical->utf8;
my $n = 0;


sub result {
    my ($code, %more) = @_;

    return { result => { code => $code, description => "code $code" },
             buildNumber => 'twin', timestamp => '2026-11-23 12:00:00+0000',
             ndc => 'twin', %more };
}


sub call {
    my ($self, $request) = @_;
    my ($method, $path) = @$request{qw(method path)};
    my $fields = $method eq 'POST' ? Pulse::Twin::form($request->{body})
                                   : $request->{query};

    # what browsers ask for: the form's script, and what the form sends

    return (200, widget($request->{query}{checkoutId} // ''))
        if $method eq 'GET' && $path eq '/v1/paymentWidgets.js';
    return (200, '<p>3-D Secure</p>') if $path eq '/v1/frame.html';
    return $self->shopper($1, Pulse::Twin::form($request->{body}))
        if $method eq 'POST' && $path =~ m{^/v1/checkouts/([\w.-]+)/payment$};

    if (($request->{headers}{authorization} // '') ne "Bearer $self->{token}"
        || ($fields->{entityId} // '') ne $self->{entity})
    {
        return (401, result('800.900.300'));
    }

    return $self->checkout($fields)
        if $method eq 'POST' && $path eq '/v1/checkouts';
    return $self->status($1)
        if $method eq 'GET' && $path =~ m{^/v1/checkouts/([\w.-]+)/payment$};
    return $self->query($fields->{merchantTransactionId})
        if $method eq 'GET' && $path eq '/v1/query';
    return $self->transaction($1, $fields)
        if $method eq 'GET' && $path =~ m{^/v3/query/([\w.-]+)$};

    return (404, result('200.300.404'));
}


# Two decimals or none: never the three of a dinar.

sub checkout {
    my ($self, $fields) = @_;

    if ($fields->{amount} !~ /^[0-9]{1,12}(\.[0-9]{2})?$/
        || $fields->{currency} !~ /^[A-Z]{3}$/
        || $fields->{paymentType} ne 'DB'
        || exists $fields->{shopperResultUrl})
    {
        return (400, result('200.300.404'));
    }

    my $id = sprintf '%032X.uat01-vm-tx%02d', ++$n, $n % 100;

    $self->{checkouts}{$id} = { %$fields, payments => [], linked => [],
                                asked => 0 };

    return (200, result('000.200.100', id => $id,
                        integrity => 'sha384-'
                                     . sha384_base64(widget($id)),
                        ndc => "${id}_twin"));
}


# Fields within the form, a frame as of 3-D Secure, and styles of its own, as
# the page's policy has to allow them.

sub widget {
    my ($id) = @_;

    return <<"SCRIPT";
(() => {
    const base = new URL(document.currentScript.src).origin;
    const form = document.querySelector("form.paymentWidgets");
    const style = document.createElement("style");
    const frame = document.createElement("iframe");
    const back = document.createElement("input");

    style.textContent = ".wpwl-group { border: 1px solid rgb(1, 2, 3) }";
    frame.src = base + "/v1/frame.html";
    form.lang = wpwlOptions.locale;
    form.innerHTML = '<div class="wpwl-group"><input name="card"'
        + ' class="wpwl-control-cardNumber"></div><button>'
        + form.dataset.brands + "</button>";
    back.type = "hidden";
    back.name = "back";
    back.value = form.action;
    form.append(style, frame, back);
    form.target = wpwlOptions.paymentTarget;
    form.method = "post";
    form.action = base + "/v1/checkouts/$id/payment";
})();
SCRIPT
}


# The shopper has filled it in: a card that ends with a 2 is declined.  The
# page leads back with what the browser then brings.

sub shopper {
    my ($self, $id, $fields) = @_;

    $self->twin_pay({ checkout => $id, $fields->{card} =~ /2$/
                          ? (code => '800.100.151') : () });

    return (200, "<script>location.replace('$fields->{back}&id=$id"
                 . "&resourcePath=/v1/checkouts/$id/payment')</script>");
}


sub status {
    my ($self, $id) = @_;
    my $checkout = $self->{checkouts}{$id};

    return (400, result('200.300.404')) if !$checkout || $checkout->{old};

    # two a minute, and the suite's minute is as long as it says

    return (429, result('800.120.100')) if ++$checkout->{asked} > 2;
    return (200, result('000.200.000')) if !@{ $checkout->{payments} };
    return (200, $checkout->{payments}[-1]);
}


sub query {
    my ($self, $order) = @_;
    my @payments = map { @{ $_->{payments} } }
        grep { $_->{merchantTransactionId} eq $order }
        values %{ $self->{checkouts} };

    return (400, result('700.400.580')) if !@payments;
    return (200, result('000.000.100', payments => \@payments));
}


# A payment; with what is linked to it a list.

sub transaction {
    my ($self, $id, $fields) = @_;
    my @all = map { (@{ $_->{payments} }, @{ $_->{linked} }) }
        values %{ $self->{checkouts} };
    my ($payment) = grep { $_->{id} eq $id } @all;

    return (400, result('700.400.580')) if !$payment;
    return (200, $payment)
        if ($fields->{includeLinkedTransactions} // '') ne 'true';
    return (200, result('000.000.100', records => [
        grep { $_->{id} eq $id || ($_->{referencedId} // '') eq $id } @all ]));
}


# The shopper pays, or tries to: {checkout, code, amount, type, parent}.
# What a webhook would say, and its request.

sub twin_pay {
    my ($self, $how) = @_;
    my $checkout = $self->{checkouts}{ $how->{checkout} };
    my $payment = result($how->{code} // '000.100.110',
        id => sprintf('%032x', 0xabc000 + ++$n),
        paymentType => $how->{type} // 'DB', paymentBrand => 'VISA',
        amount => $how->{amount} // $checkout->{amount},
        currency => $how->{currency} // $checkout->{currency},
        merchantTransactionId => $checkout->{merchantTransactionId},
        ndc => "$how->{checkout}_$n",
        timestamp => "2026-11-23 12:00:$n+0000",
        card => { bin => '411111', last4Digits => '1111' },
        $how->{parent} ? (referencedId => $how->{parent}) : ());

    push @{ $checkout->{ ($how->{type} // 'DB') eq 'DB' ? 'payments'
                                                        : 'linked' } },
        $payment;

    return { payment => $payment, webhook => $self->webhook($payment) };
}


# A minute is over; the checkout is forgotten.

sub twin_minute {
    my ($self, $how) = @_;

    $_->{asked} = 0 for values %{ $self->{checkouts} };
    $self->{checkouts}{ $how->{forget} }{old} = 1 if $how->{forget};

    return {};
}


sub webhook {
    my ($self, $payload, %o) = @_;
    my $vector = $o{vector} // pack 'Nnn2n', rand 2**32, rand 65536, $n, 7, 7;
    my $plain = $o{plain} // $json->encode({ type => 'PAYMENT',
                                             payload => $payload });
    my ($cipher, $tag) = gcm_encrypt(pack('H*', $o{key} // $self->{key}),
                                     $vector, $plain);

    return {
        headers => {
            'Content-Type' => 'application/json',
            'X-Initialization-Vector' => uc unpack('H*', $vector),
            'X-Authentication-Tag' => uc unpack('H*', $tag),
        },
        body => $json->encode({ encryptedBody => uc unpack('H*', $cipher) }),
    };
}


1;
