package Pulse::Twin::PayTabs;

# PT2: /payment/request, /payment/query, callbacks and returns with an HMAC.
# start(server_key, profile).

use v5.30;
use warnings;

use parent 'Pulse::Twin';

use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP ();

my $json = JSON::PP->new->canonical->utf8;
my $n = 0;


sub call {
    my ($self, $request) = @_;
    my $body = eval { $json->decode($request->{body}) };

    return (400, { code => 1, message => 'Invalid request' }) if !$body;
    return (401, { code => 1, message => 'Authentication failed' })
        if ($request->{headers}{authorization} // '') ne $self->{server_key}
           || ($body->{profile_id} // '') ne $self->{profile};

    return $self->request($request->{body}, $body)
        if $request->{path} eq '/payment/request';
    return $self->query($body) if $request->{path} eq '/payment/query';

    return (404, { code => 2, message => 'Not found' });
}


# An amount is a JSON number with no more than two decimals.

sub request {
    my ($self, $text, $body) = @_;

    return (400, { code => 206, message => 'Invalid amount' })
        if $text !~ /"cart_amount":[0-9]{1,10}(\.[0-9]{1,2})?,/;
    return (400, { code => 4, message => 'Duplicate request' })
        if grep { $_->{cart_id} eq $body->{cart_id} }
                values %{ $self->{transactions} };

    for my $field (qw(cart_id cart_description cart_currency callback
                      return tran_type tran_class))
    {
        return (400, { code => 1, message => "Missing $field" })
            if !length($body->{$field} // '') || length $body->{$field} > 255;
    }

    my $ref = sprintf 'TST%013d', ++$n;

    $self->{transactions}{$ref} = {
        tran_ref => $ref, tran_type => 'Sale', tran_class => 'ECom',
        profile_id => $self->{profile}, merchant_id => 7,
        cart_id => $body->{cart_id}, cart_description => 'twin',
        cart_currency => $body->{cart_currency},
        cart_amount => sprintf('%.2f', $body->{cart_amount}),
        tran_currency => $body->{cart_currency},
        tran_total => sprintf('%.2f', $body->{cart_amount}),
        payment_result => { response_status => 'P',
                            response_message => 'Pending' },
    };

    return (200, { tran_ref => $ref, tran_type => 'Sale',
                   cart_id => $body->{cart_id},
                   redirect_url => "https://paytabs.example/page/$ref",
                   callback => $body->{callback},
                   return => $body->{return} });
}


# By its number, or all of a cart.

sub query {
    my ($self, $body) = @_;

    if (defined $body->{cart_id}) {
        my @all = grep { $_->{cart_id} eq $body->{cart_id} }
            map { $self->{transactions}{$_} }
            sort keys %{ $self->{transactions} };

        return @all ? (200, \@all)
                    : (404, { code => 2, message => 'No such cart' });
    }

    my $transaction = $self->{transactions}{ $body->{tran_ref} // '' };

    return (404, { code => 2, message => 'No such transaction' })
        if !$transaction;
    return (200, $transaction);
}


# {checkout, status, total, currency, type, parent}: its callback, and what
# the browser brings.

sub twin_pay {
    my ($self, $how) = @_;
    my $transaction = { %{ $self->{transactions}{ $how->{checkout} } } };

    $transaction->{payment_result} = {
        response_status => $how->{status} // 'A', response_code => 'G1',
        response_message => 'Said by a twin',
        transaction_time => sprintf '2026-11-23T12:00:%02dZ', ++$n };

    $transaction->{tran_total} = $how->{total} if defined $how->{total};
    $transaction->{tran_currency} = $how->{currency} if $how->{currency};

    if ($how->{type}) {
        $transaction->{tran_type} = $how->{type};
        $transaction->{previous_tran_ref} = $how->{checkout};
        $transaction->{tran_ref} = sprintf 'TST%013d', ++$n;
        $self->{transactions}{ $transaction->{tran_ref} } = $transaction;

    } else {
        $self->{transactions}{ $how->{checkout} } = $transaction;
    }

    my $body = $json->encode($transaction);

    return {
        payment => $transaction,
        webhook => { body => $body, headers => {
            'Content-Type' => 'application/json',
            'Signature' => hmac_sha256_hex($body, $self->{server_key}) } },
        return => $self->browser($transaction),
    };
}


sub browser {
    my ($self, $transaction) = @_;
    my %fields = (
        acquirerMessage => '', acquirerRRN => '',
        cartId => $transaction->{cart_id}, customerEmail => 'a b@~.example',
        respCode => 'G1', respMessage => 'Said by a twin',
        respStatus => $transaction->{payment_result}{response_status},
        token => '', tranRef => $transaction->{tran_ref});

    return encode(%fields, signature => sign($self->{server_key}, %fields));
}


sub encode {
    my (%fields) = @_;

    return join '&', map { "$_=" . $fields{$_}
                           =~ s/([^A-Za-z0-9_. -])/sprintf '%%%02X', ord $1/ger
                           =~ tr/ /+/r } sort keys %fields;
}


sub sign {
    my ($key, %fields) = @_;

    delete $fields{$_} for grep { !$fields{$_} } keys %fields;

    return hmac_sha256_hex(encode(%fields), $key);
}


1;
