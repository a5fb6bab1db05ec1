package Pulse::Gcm;

# AES-256-GCM (NIST SP 800-38D) for twins: the cipher is OpenSSL's command,
# the mode is here, so that it is not the library that is tested by it.

use v5.30;
use warnings;

use Exporter qw(import);
use IPC::Open2 qw(open2);

our @EXPORT_OK = qw(gcm_encrypt);


sub aes_ctr {
    my ($key, $counter, $bytes) = @_;

    my $pid = open2(my $out, my $in, 'openssl', 'enc', '-aes-256-ctr', '-K',
                    unpack('H*', $key), '-iv', unpack('H*', $counter));

    binmode $_ for $out, $in;
    print $in $bytes;
    close $in;

    local ($/, $?);
    my $result = <$out>;
    waitpid $pid, 0;

    return $result;
}


# A product in GF(2^128), the first bit being the lowest power.

sub product {
    my ($x, $y) = @_;
    my @z = (0) x 4;
    my @v = unpack 'N4', $y;

    for my $bit (split //, unpack 'B128', $x) {
        @z = map { $z[$_] ^ $v[$_] } 0 .. 3 if $bit;

        my $odd = $v[3] & 1;

        @v = map { ($v[$_] >> 1) | ($_ ? ($v[$_ - 1] & 1) << 31 : 0) } 0 .. 3;
        $v[0] ^= 0xe1000000 if $odd;
    }

    return pack 'N4', @z;
}


# (ciphertext, tag) of 16 bytes, for a vector of 12

sub gcm_encrypt {
    my ($key, $vector, $plain) = @_;

    # what counter 1 gives masks the tag, and the text begins with 2

    my $stream = aes_ctr($key, $vector . pack('N', 1),
                         "\0" x 16 . $plain);
    my $mask = substr $stream, 0, 16, '';

    my $hash_key = aes_ctr($key, "\0" x 16, "\0" x 16);
    my $padded = $stream . "\0" x (-length($stream) % 16)
                 . pack('N4', 0, 0, 0, 8 * length $stream);
    my $hash = "\0" x 16;

    $hash = product($hash ^. $_, $hash_key) for unpack '(a16)*', $padded;

    return ($stream, $hash ^. $mask);
}


1;
