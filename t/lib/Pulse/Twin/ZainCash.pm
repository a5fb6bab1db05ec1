package Pulse::Twin::ZainCash;

# The Payment Gateway API: tokens, init, inquiry, and JWTs.
# start(client_id, client_secret, api_key).

use v5.30;
use warnings;

use parent 'Pulse::Twin';

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

my $json = JSON::PP->new->canonical->utf8;
my $n = 0;
my $api = '/api/v2/payment-gateway/transaction';


sub call {
    my ($self, $request) = @_;

    return $self->token(Pulse::Twin::form($request->{body}))
        if $request->{path} eq '/oauth2/token';

    return (401, { error => 'invalid_token' })
        if ($request->{headers}{authorization} // '')
           ne 'Bearer ' . ($self->{token} // '');

    return $self->init($json->decode($request->{body}))
        if $request->{path} eq "$api/init";
    return $self->inquiry($1)
        if $request->{path} =~ m{^\Q$api\E/inquiry/([\w-]+)$};

    return (404, { error => 'not_found' });
}


sub token {
    my ($self, $fields) = @_;

    return (401, { error => 'invalid_client' })
        if $fields->{grant_type} ne 'client_credentials'
           || $fields->{client_id} ne $self->{client_id}
           || $fields->{client_secret} ne $self->{client_secret}
           || $fields->{scope} !~ /payment:write/;

    $self->{token} = 'twin.' . ++$n;

    return (200, { access_token => $self->{token}, token_type => 'Bearer',
                   scope => $fields->{scope}, expires_in => 86399 });
}


sub init {
    my ($self, $body) = @_;

    return (400, { error => 'amount' })
        if ref \$body->{amount}{value} ne 'SCALAR'
           || $body->{amount}{value} !~ /^[0-9]+$/
           || $body->{amount}{currency} ne 'IQD';

    my $id = sprintf '00000000-0000-4000-8000-%012d', ++$n;

    $self->{transactions}{$id} = {
        status => 'PENDING',
        transactionDetails => {
            transactionId => $id, orderId => $body->{orderId},
            externalReferenceId => $body->{externalReferenceId},
            amount => { currency => 'IQD', value => 0 + $body->{amount}{value},
                        feeValue => 0 } },
    };

    return (200, { %{ $self->{transactions}{$id} }, status => 'SUCCESS',
                   redirectUrl => "https://zaincash.example/pay/$id" });
}


sub inquiry {
    my ($self, $id) = @_;
    my $transaction = $self->{transactions}{$id};

    return $transaction ? (200, $transaction) : (404, { error => 'unknown' });
}


# No token is good any more.

sub twin_forget {
    my ($self) = @_;

    delete $self->{token};

    return {};
}


# {checkout, status, value, header, exp}

sub twin_pay {
    my ($self, $how) = @_;
    my $transaction = $self->{transactions}{ $how->{checkout} };
    my $details = $transaction->{transactionDetails};
    my $before = $transaction->{status};

    $transaction->{status} = $how->{status} // 'SUCCESS';
    $details->{amount}{value} = $how->{value} if defined $how->{value};

    my $claims = {
        eventType => 'STATUS_CHANGED', eventId => 'event-' . ++$n,
        timestamp => '2026-11-23T12:00:00Z',
        data => { transactionId => $details->{transactionId},
                  orderId => $details->{orderId},
                  merchantReferenceId => $details->{externalReferenceId},
                  previousStatus => $before,
                  currentStatus => $transaction->{status},
                  amount => $details->{amount} },
        defined $how->{exp} ? (exp => $how->{exp}) : (),
    };

    my $token = jwt($claims, $self->{api_key}, $how->{header});

    return { token => $token, webhook => {
        body => $json->encode({ webhook_token => $token }),
        headers => { 'Content-Type' => 'application/json' } } };
}


sub jwt {
    my ($claims, $key, $header) = @_;
    my $input = join '.', map { encode_base64url($json->encode($_)) }
        $header // { alg => 'HS256', typ => 'JWT' }, $claims;

    return "$input." . encode_base64url(hmac_sha256($input, $key));
}


1;
