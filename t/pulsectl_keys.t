# pulsectl keys: the ring that signs sessions.

use v5.30;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Pulse::Ctl qw(ctl);
use Pulse::Env;
use Test::More;

my $file = suite_dir() . '/ring.json';


sub ring {
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return @{ JSON::PP::decode_json(<$in>)->{keys} };
}


my %members = (EdDSA => [qw(crv d x)], ES256 => [qw(crv d x y)],
               HS256 => ['k']);

for my $alg (sort keys %members) {
    unlink $file;

    my ($status, $out, $err) = ctl('keys', 'new', $file, '--alg', $alg);

    is($status, 0, $alg);
    is("$out$err", '', 'no key is printed');
    is((stat $file)[2] & 0777, 0600);

    my ($key, @others) = ring();

    is(scalar @others, 0);
    is($key->{alg}, $alg);
    is($key->{status}, 'active');
    is($key->{use}, 'sig');
    like($key->{kid}, qr/^[0-9a-f-]{36}$/);
    like($key->{$_}, $_ eq 'crv' ? qr/^(?:Ed25519|P-256)$/
                                 : qr/^[A-Za-z0-9_-]{43}$/, $_)
        for @{ $members{$alg} };
}

my ($status, $out, $err) = ctl('keys', 'new', $file);

is($status, 1, 'one that is there is not overwritten');
like($err, qr/is there already/);

my ($old) = ring();

is((ctl('keys', 'rotate', $file))[0], 0, 'rotate');

my @ring = ring();

is($ring[0]{status}, 'active', 'the new one signs');
isnt($ring[0]{kid}, $old->{kid});
is($ring[1]{status}, 'retired', 'the old one still verifies');
$old->{status} = 'retired';
is_deeply($ring[1], $old, 'and is what it was');

ctl('keys', 'rotate', $file, '--alg', 'ES256');
ctl('keys', 'rotate', $file);
is_deeply([map { $_->{alg} } ring()], [qw(EdDSA ES256 EdDSA)],
          'two old ones are kept');
is(scalar(grep { $_->{status} eq 'active' } ring()), 1);

ctl('keys', 'rotate', $file, '--keep', '0');
is(scalar(ring()), 1, 'or as many as one says');

for my $text ('', '{', '[]', '{"keys": 1}', '{"keys": [], "keys": []}') {
    open my $out, '>', $file or die;
    print $out $text;
    close $out;

    ($status, undef, $err) = ctl('keys', 'rotate', $file);
    is($status, 1, "'$text'");
    like($err, qr/\Apulsectl: "[^"]+" is no key ring: [^\n]+\n\z/);
}

is((ctl('keys', 'rotate', '/nonexistent'))[0], 1);
is((ctl('keys', 'new', '/nonexistent/x'))[0], 1);
is((ctl('keys', 'new', "$file.2", '--alg', 'none'))[0], 2);

done_testing();
