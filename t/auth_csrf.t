# A browser adds its cookie to whatever any page makes it send.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Nginx;
use Test::More;

my $nginx = Pulse::Nginx->new(http => <<"HTTP",
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_public_url https://studio.test;
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
HTTP
    config => 'location /v1/ { pulse_auth on; pulse_api; }')->run;

my $port = $nginx->port;
my $user = make_user(locale => 'en');
my $jwt = jwt(user => $user);


sub status {
    my ($method, %headers) = @_;

    my $host = delete $headers{Host} // "127.0.0.1:$port";
    my @body = $method eq 'PATCH' ? (json => { locale => 'en' }) : ();

    my $reply = http($method => $method eq 'DELETE' ? '/v1/auth/sessions'
                                                    : '/v1/auth/me',
                     port => $port, @body,
                     headers => { Host => $host,
                                  Cookie => "session=$jwt", %headers });

    return $reply->{status} == 403
        ? "403 $reply->{json}{error}{code}" : $reply->{status};
}


my $no = '403 CSRF_REJECTED';

my @cases = (
    # what the browser says of the page that asked
    ['same-origin', 200, 'Sec-Fetch-Site' => 'same-origin'],
    ['typed by the user', 200, 'Sec-Fetch-Site' => 'none'],
    ['same-site is not same-origin', $no, 'Sec-Fetch-Site' => 'same-site'],
    ['cross-site', $no, 'Sec-Fetch-Site' => 'cross-site'],
    ['an unknown word', $no, 'Sec-Fetch-Site' => 'sameorigin'],
    ['an empty word', $no, 'Sec-Fetch-Site' => ''],
    ['said twice, once badly', $no,
     'Sec-Fetch-Site' => ['same-origin', 'cross-site']],
    ['it decides over Origin', $no, 'Sec-Fetch-Site' => 'cross-site',
     Origin => "http://127.0.0.1:$port"],
    ['and in the other direction', 200, 'Sec-Fetch-Site' => 'same-origin',
     Origin => 'https://evil.test'],

    # older browsers
    ['neither header', $no],
    ['Origin is the host', 200, Origin => "http://127.0.0.1:$port"],
    ['over TLS in front of us', 200, Origin => "https://127.0.0.1:$port"],
    ['without the scheme\'s own port', 200, Host => 'studio.test:443',
     Origin => 'https://studio.test'],
    ['a name in capitals', 200, Host => 'Studio.Test',
     Origin => 'https://studio.test'],
    ['the public URL behind a proxy', 200, Host => 'backend',
     Origin => 'https://studio.test'],
    ['another port', $no, Origin => 'http://127.0.0.1:1'],
    ['no port', $no, Origin => 'http://127.0.0.1'],
    ['the port of the other scheme', $no, Host => 'studio2.test:443',
     Origin => 'http://studio2.test'],
    ['another host', $no, Origin => 'https://evil.test'],
    ['a host that begins alike', $no, Host => 'studio.test',
     Origin => 'https://studio.test.evil.test'],
    ['a host that ends alike', $no, Host => 'studio.test',
     Origin => 'https://evilstudio.test'],
    ['a part of the public URL', $no, Host => 'backend',
     Origin => 'https://studio.tes'],
    ['null', $no, Origin => 'null'],
    ['an empty Origin', $no, Origin => ''],
    ['a scheme alone', $no, Origin => 'https://'],
    ['less than a scheme', $no, Origin => 'https:'],
    ['nearly a scheme', $no, Origin => 'https:/'],
    ['another scheme', $no, Origin => "ftp://127.0.0.1:$port"],
);

for my $case (@cases) {
    my ($name, $want, @headers) = @$case;

    is(status(PATCH => @headers), $want, "PATCH: $name");
}

is(status(DELETE => 'Sec-Fetch-Site' => 'cross-site'), $no, 'DELETE');
is(status(DELETE => 'Sec-Fetch-Site' => 'same-origin'), 200, 'DELETE of ours');

is(status(GET => 'Sec-Fetch-Site' => 'cross-site'), 200,
   'GET changes nothing');
is(status(HEAD => 'Sec-Fetch-Site' => 'cross-site'), 200, 'nor does HEAD');

is(status(PATCH => Cookie => undef, Authorization => "Bearer $jwt",
          'Sec-Fetch-Site' => 'cross-site'), 200,
   'no browser adds a bearer token');

is(status(PATCH => Cookie => 'session=x', 'Sec-Fetch-Site' => 'cross-site'),
   401, 'a cookie that is no session is refused as that');

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
