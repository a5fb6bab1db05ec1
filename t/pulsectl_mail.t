# pulsectl mail ses-password: the derivation, done again here.

use v5.30;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64);
use Pulse::Ctl qw(ctl);
use Pulse::Env 'stores', 'no_audit';
use Test::More;


sub password {
    my ($secret, $region) = @_;

    my $key = "AWS4$secret";

    $key = hmac_sha256($_, $key)
        for '11111111', $region, 'ses', 'aws4_request', 'SendRawEmail';

    return encode_base64("\x04$key", '');
}


for my $secret ('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'x') {
    for my $region ('eu-central-1', 'us-east-1') {
        local $ENV{AWS_SECRET_ACCESS_KEY} = $secret;

        my ($status, $out) = ctl('mail', 'ses-password', $region);

        is($status, 0);
        is($out, password($secret, $region) . "\n", $region);
    }
}

delete $ENV{AWS_SECRET_ACCESS_KEY};
is((ctl('mail', 'ses-password', 'eu-central-1'))[0], 2, 'no secret');

$ENV{AWS_SECRET_ACCESS_KEY} = 'x' x 300;
is((ctl('mail', 'ses-password', 'eu-central-1'))[0], 1, 'no secret at all');
is((ctl('mail', 'ses-password'))[0], 2);

done_testing();
