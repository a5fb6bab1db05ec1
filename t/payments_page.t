# The page of a payment in a browser, with the policy that conf/nginx.conf gives
# it: the provider's form, paid and declined, from right to left and not, and
# one without a session.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Pulse::Env 'stores';
use Pulse::Sdk;
use Pulse::Shop;
use Test::More;

my ($chromium) = grep { -x } map { ("$_/chromium-headless-shell",
                                    "$_/chromium") } split /:/, $ENV{PATH};

plan skip_all => 'no chromium (apt-get install chromium-headless-shell)'
    if !defined $chromium;

my $missing = Pulse::Sdk->missing('playwright-core');

plan skip_all => $missing if defined $missing;

my $host = 'eu-test.oppwa.com';
my $root = $Pulse::Env::root;
my $url = 'http://localhost';
my $shop = Pulse::Shop->start(url => $url, config => pages());
my $browser = Pulse::Sdk->start('page', PULSE_CHROMIUM => $chromium,
                                PULSE_STUDIO => '127.0.0.1:' . $shop->port,
                                PULSE_TWIN => $shop->twin->url,
                                PULSE_TWIN_HOST => $host);


# The locations of the page as they are delivered.

sub pages {
    open my $in, '<:utf8', "$root/conf/nginx.conf" or die "nginx.conf: $!\n";

    my $text = do { local $/; <$in> };
    my @found = $text =~ m[^ *(location = /pay(?:\.js)? \{.*?^ *\})$]msg;

    die "no /pay in nginx.conf\n" if @found != 2;

    return join "\n", map { s{\@CONF\@}{$root/conf}r } @found;
}


sub browse {
    my ($how, %o) = @_;
    my $saw = $browser->work(how => $how, %o);

    die "$how: $saw->{message}\n" if $saw->{error};

    return $saw;
}


# A checkout whose script is at the provider's host, and its page.

sub opened {
    my ($locale) = @_;

    my $user = make_user();
    my $reply = $shop->checkout(make_key($user), plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};

    sql("UPDATE payments SET script = replace(script, '"
        . $shop->twin->url . "', 'https://$host') WHERE id = '$id'");
    page($id, $locale, jwt(user => $user));

    return ($id, $user);
}


sub page {
    my ($id, $locale, $session) = @_;

    browse(open => url => "$url/pay?payment=$id", locale => $locale,
           cookie => { name => 'session', value => $session });
}


sub pays {
    my ($card) = @_;

    browse(wait => text => 'VISA MASTER MADA');
    browse(fill => selector => '.wpwl-control-cardNumber', text => $card);
    browse(click => selector => 'form.paymentWidgets button');
}


subtest 'paid, from right to left' => sub {
    my ($id, $user) = opened('ar-JO');

    browse(wait => text => 'VISA MASTER MADA');

    my $saw = browse('look');

    is($saw->{dir}, 'rtl');
    is($saw->{lang}, 'ar');
    is($saw->{direction}, 'rtl');
    like($saw->{text}, qr/^الدفع/);
    is($saw->{group}, 'ltr rgb(1, 2, 3)', 'digits go from left to right,'
       . ' in the styles of the script');
    is($saw->{frames}, 1, 'it may have a frame');
    is_deeply($saw->{complaints}, [], 'the policy has let it');

    browse(draw => file => $ENV{PULSE_PICTURES} . '/pay-form.png')
        if $ENV{PULSE_PICTURES};

    pays('4111111111111111');
    browse(wait => text => 'ننتظر تأكيد مزوّد الدفع');
    $saw = browse('look');
    is($saw->{url}, "$url/pay?payment=$id&back=1",
       'what the browser brought goes no further');
    is($shop->plan_of($user), 'none', 'and decides nothing');

    $shop->twin->tell('minute');
    $shop->asked($id);
    browse(wait => text => 'تم الدفع، شكرًا لك.');
    browse(draw => file => $ENV{PULSE_PICTURES} . '/pay-paid.png')
        if $ENV{PULSE_PICTURES};
    is($shop->plan_of($user), 'pro');
    is_deeply(browse('look')->{complaints}, []);
};


subtest 'declined, from left to right' => sub {
    my ($id, $user) = opened('en-GB');

    pays('4000000000000002');
    browse(wait => text => 'Waiting for the payment provider');
    $shop->twin->tell('minute');
    $shop->asked($id);
    browse(wait => text => 'did not go through; nothing was taken');

    my $saw = browse('look');

    is($saw->{dir}, 'ltr');
    is_deeply($saw->{complaints}, []);
    is($shop->status($id), 'failed');
    is($shop->plan_of($user), 'none');

    browse(click => selector => 'a');
    pays('4111111111111111');
    browse(wait => text => 'did not go through');
    $shop->twin->tell('minute');
    $shop->asked($id);
    browse(wait => text => 'It is paid. Thank you.');
    is($shop->plan_of($user), 'pro', 'another card pays');
};


subtest 'a script that is not the one that was made for it' => sub {
    my ($id, $user) = opened('en-GB');

    sql("UPDATE payments SET integrity = 'sha384-" . 'A' x 64
        . "' WHERE id = '$id'");
    page($id, 'en-GB', jwt(user => $user));

    ok(wait_until { grep { /integrity|digest/ }
                         @{ browse('look')->{complaints} } },
       'does not run');
    is(browse('look')->{frames}, 0);
};


subtest 'of somebody else, or of nobody' => sub {
    my ($id) = opened('en-GB');

    for my $session (jwt(user => make_user()), 'none') {
        page($id, 'en-GB', $session);
        browse(wait => text => 'There is no such payment');
        is(browse('look')->{frames}, 0, 'is told nothing');
    }
};


is($browser->stop, 0, 'the browser ends');
is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
