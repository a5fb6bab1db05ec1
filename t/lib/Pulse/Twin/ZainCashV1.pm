package Pulse::Twin::ZainCashV1;

# ZainCash before the Payment Gateway API: init and get, both of a JWT in a
# form, and the token that a browser brings back.
# start(merchant_id, merchant_secret, msisdn).

use v5.30;
use warnings;

use parent 'Pulse::Twin';

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(decode_base64url);
use Pulse::Twin::ZainCash;

my $json = JSON::PP->new->canonical->utf8;
my $n = 0;


sub call {
    my ($self, $request) = @_;
    my $fields = Pulse::Twin::form($request->{body});
    my $claims = $self->claims($fields);

    return refused('the token cannot be used') if !$claims;
    return $self->init($claims, $fields)
        if $request->{path} eq '/transaction/init';
    return $self->get($claims) if $request->{path} eq '/transaction/get';

    return (404, {});
}


# Refusals have the status 200.

sub refused { return (200, { err => { msg => $_[0] } }) }


sub claims {
    my ($self, $fields) = @_;
    my ($head, $body, $sign) = split /\./, $fields->{token} // '';

    return if !defined $sign
              || ($fields->{merchantId} // '') ne $self->{merchant_id}
              || decode_base64url($sign)
                 ne hmac_sha256("$head.$body", $self->{merchant_secret});

    my $claims = $json->decode(decode_base64url($body));

    return if $claims->{msisdn} ne $self->{msisdn}
              || $claims->{exp} <= time || $claims->{iat} > time + 60;

    return $claims;
}


sub init {
    my ($self, $claims, $fields) = @_;

    return refused('amount')
        if $json->encode([$claims->{amount}]) !~ /^\[[0-9]+\]$/
           || $claims->{amount} < 250;
    return refused('redirectUrl') if $claims->{redirectUrl} !~ /^https?:/;
    return refused('serviceType') if !length $claims->{serviceType};

    my $id = sprintf '%024x', ++$n;

    $self->{transactions}{$id} = {
        id => $id, status => 'pending', amount => "$claims->{amount}",
        orderId => $claims->{orderId}, type => 'MERCHANT_PAYMENT',
        serviceType => $claims->{serviceType}, lang => $fields->{lang},
        redirectUrl => $claims->{redirectUrl},
    };

    return (200, $self->{transactions}{$id});
}


sub get {
    my ($self, $claims) = @_;
    my $transaction = $self->{transactions}{ $claims->{id} // '' };

    return $transaction ? (200, $transaction) : refused('not found');
}


# {checkout, status, value, order}: where the browser goes then

sub twin_pay {
    my ($self, $how) = @_;
    my $transaction = $self->{transactions}{ $how->{checkout} };

    $transaction->{status} = $how->{status} // 'completed';
    $transaction->{amount} = $how->{value} if defined $how->{value};
    $transaction->{orderId} = $how->{order} if defined $how->{order};

    my $said = $transaction->{status} eq 'completed' ? 'success'
             : $transaction->{status} =~ /^pending/ ? 'pending' : 'failed';
    my $token = Pulse::Twin::ZainCash::jwt(
        { status => $said, orderid => $transaction->{orderId},
          id => $transaction->{id}, iat => time, exp => time + 14400 },
        $self->{merchant_secret});

    return { token => $token,
             location => "$transaction->{redirectUrl}?token=$token" };
}


1;
