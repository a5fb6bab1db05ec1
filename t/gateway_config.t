# Providers, catalogue and routes: what the directives take and refuse, and
# the lists of models.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Nginx;
use Pulse::Replay;
use Test::More;

my $dir = suite_dir();
my $models = "$ENV{TEST_NGINX_PULSE_ROOT}/conf/models.json";

$ENV{PULSE_TEST_KEY} = 'sk-topsecret';
$ENV{PULSE_TEST_BAD_KEY} = "sk-topsecret\nX: y";
$ENV{PULSE_TEST_BAD_URL} = 'ftp://x';


# One line, of the level emerg, that says what is wrong and no secret.

sub refused {
    my ($name, $http, $pattern) = @_;

    my $nginx = Pulse::Nginx->new(http => $http);

    if ($nginx->start) {
        fail("$name: it started");
        $nginx->stop;
        return;
    }

    my @said = grep { /\[emerg\]/ } @{ $nginx->error_log };

    is(scalar @said, 1, "$name: one line");
    like($said[0], $pattern, $name);
    unlike(join('', @said, $nginx->stderr), qr/topsecret/,
           "$name: no secret");
}


sub refused_provider {
    my ($name, $lines, $pattern) = @_;

    refused($name, "pulse_provider p { $lines }", $pattern);
}

refused_provider('no URL', '', qr/provider "p" has no base_url/);
refused_provider('another scheme', 'base_url env:PULSE_TEST_BAD_URL;',
    qr/base_url "ftp:\/\/x": must begin with https/);
refused_provider('no host', 'base_url https://;', qr/base_url "https:\/\/": /);
refused_provider('a bad port', 'base_url https://localhost:99999;',
    qr/invalid port/);
refused_provider('a name that nobody has', 'base_url https://nobody.invalid;',
    qr/base_url "https:\/\/nobody\.invalid": host not found/);
refused_provider('a query', 'base_url https://localhost/v1?key=x;',
    qr/must not have a query/);
refused_provider('a user', 'base_url https://a:b@localhost/v1;',
    qr/must not name a user/);
refused_provider('unencrypted', 'base_url http://192.0.2.1/v1;',
    qr/not encrypted; "allow_insecure on"/);
refused_provider('a sidecar that is not set', 'base_url sidecar:/demo/v1;',
    qr/needs "pulse_sidecar" above it/);
refused_provider('a key in the file',
    'base_url http://127.0.0.1; key sk-topsecret;',
    qr/"key" must be env:NAME or file:PATH/);
refused_provider('a key with a line end',
    'base_url http://127.0.0.1; key env:PULSE_TEST_BAD_KEY;',
    qr/character that no header may have/);
refused_provider('a key file that is not there',
    "base_url http://127.0.0.1; key file:$dir/none;", qr/open\(\).*none/);
refused_provider('a dialect that is not spoken',
    'base_url http://127.0.0.1; dialect smoke;', qr/"dialect" must be openai/);
refused_provider('an unknown directive', 'base_ulr x;',
    qr/unknown directive "base_ulr" in "pulse_provider"/);
refused_provider('a number of arguments', 'standby on on;',
    qr/invalid number of arguments in "standby"/);
refused_provider('a certificate file that is not there',
    "base_url https://localhost; ssl_trusted_certificate $dir/none;",
    qr/none/);
refused_provider('a keepalive of nothing',
    'base_url http://127.0.0.1; keepalive x;', qr/keepalive/);
refused_provider('a breaker of nothing', 'breaker 0;',
    qr/"breaker" must be off or a number of failures/);
refused_provider('a breaker that takes no time', 'breaker 3 pause=0s;',
    qr/"breaker" takes window=, pause= and probe=/);
refused_provider('another policy', 'client_gone stay;',
    qr/"client_gone" must be cancel or drain/);
refused_provider('a drain without end', 'client_gone drain max=x;',
    qr/"client_gone" takes a size/);
refused('two of one name', "pulse_provider p { base_url http://127.0.0.1; }"
    . "pulse_provider p { base_url http://127.0.0.1; }", qr/is duplicate/);
for my $name ('"my own"', '"a\nb"', '"a\"b"', 'a:b', '""', "caf\x{c3}\x{a9}",
              'p' x 33)
{
    refused("the name $name", "pulse_provider $name { base_url"
        . ' http://127.0.0.1; }', qr/takes a name of 1 to 32 letters, digits/);
}

refused('a default that nobody serves', 'pulse_route_default nothing;',
    qr/model "nothing" of "pulse_route_default"/);

refused('no catalogue', "pulse_models $dir/none;", qr/none/);
refused('a catalogue that is no JSON',
    'pulse_models ' . suite_file('broken.json', '{"models":[') . ';',
    qr/pulse models: ".*broken\.json": .* at byte 11/);
refused('an empty catalogue', 'pulse_models ' . suite_file('empty.json', '') . ';',
    qr/cannot be read, is empty or too large/);
refused('a mistake in the catalogue',
    'pulse_models ' . suite_file('wrong.json', '{"models":[{"id":1}]}') . ';',
    qr{wrong\.json": /models/0/id must be a string});


# --- what they take

my $replay = Pulse::Replay->start(answers => { a => { json => {
    id => 'c', model => 'm', choices => [{ index => 0, finish_reason => 'stop',
        message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 1, completion_tokens => 1,
               total_tokens => 2 } } } });

my $url = $replay->url . '/@a/v1';
my $key_file = suite_file('key', "sk-from-a-file\n");

my $nginx = gateway_nginx(http =>
    provider('openai', "env:PULSE_TEST_NO_URL $url",
             "key env:PULSE_TEST_KEY; models gpt-* ft:gpt-*;"
             . 'send_timeout 2s; keepalive 4;')
    . provider('filed', "$url/", "key file:$key_file; models x-*;")
    . provider('keyless', 'https://nobody.invalid/v1',
               'key env:PULSE_TEST_NO_KEY; models k-*;')
    . provider('demo', $url, 'standby on;')
    . 'pulse_route_default keyless:k-1 gpt-4o demo:demo;'
)->run;

my $key = make_key(make_user(plan => 'pro'));


sub get { http(GET => $_[0], port => $nginx->port, bearer => $key) }

sub route {
    my ($model, %more) = @_;

    my $reply = http(POST => '/v1/chat/complete', port => $nginx->port,
        bearer => $key, json => { defined $model ? (model => $model) : (),
        messages => [{ role => 'user', content => 'hi' }], %more });

    return $reply->{json}{error}{code}
           // join ' ', @{ $reply->{headers} }{qw(x-pulse-provider
                                                  x-pulse-model)};
}

is(route('gpt-4o'), 'openai gpt-4o', 'a model of the catalogue');
is(route('gpt-4o-2024-08-06'), 'openai gpt-4o-2024-08-06', 'a glob');
is(route('ft:gpt-4o:me::1'), 'openai ft:gpt-4o:me::1', 'a tuned model');
is(route('openai:gpt-9'), 'openai gpt-9', 'a prefix and a glob');
is(route('openai:x-1'), 'MODEL_NOT_FOUND', 'a prefix and no glob');
is(route('filed:x-1'), 'filed x-1', 'a key from a file');
is(route('demo'), 'demo demo', 'the stand-in by its name');
is(route('auto'), 'openai gpt-4o', 'auto');
is(route(undef), 'openai gpt-4o', 'no model');
is(route('k-1'), 'PROVIDER_UNAVAILABLE', 'no key');
is(route('claude-opus-5'), 'PROVIDER_UNAVAILABLE', 'another provider\'s');
is(route('nothing'), 'MODEL_NOT_FOUND', 'no such model');
is(route('gpt-image-2'), 'INVALID_REQUEST', 'no model to chat with');
is(route('openai:gpt-image-2'), 'INVALID_REQUEST', 'by its provider neither');
is(route('nano-banana'), 'INVALID_REQUEST', 'by an alias neither');
is(route('nothing', fallbacks => ['k-1', 'x-7']), 'filed x-7', 'a fallback');

is((grep { ($_->{headers}{authorization} // '') eq 'Bearer sk-from-a-file' }
         $replay->requests(1)) > 0, 1, 'which is sent');

my $list = get('/v1/models')->{json};

is($list->{object}, 'list', 'a list of models');
ok((grep { $_->{id} eq 'gpt-4o' && $_->{object} eq 'model'
           && $_->{owned_by} eq 'openai' } @{ $list->{data} }), 'has ours');
ok((grep { $_->{id} eq 'text-embedding-3-small' } @{ $list->{data} }),
   'those that embed too');
ok(!(grep { /claude|image/ } map { $_->{id} } @{ $list->{data} }),
   'has none that cannot be had');

is(get('/v1/models/gpt-4o')->{json}{id}, 'gpt-4o', 'one model');
is(get('/v1/models/claude-opus-5')->{json}{error}{code}, 'MODEL_NOT_FOUND',
   'one that cannot be had');

my %studio = map { $_->{id} => $_ }
             @{ get('/v1/chat/models')->{json}{data}{models} };

is($studio{'gpt-4o'}{input_price}, 2500, 'a price, in nano-USD');
is($studio{'claude-fable-5-2'}{input_price}, undef, 'one that is not known');
ok($studio{'gpt-4o'}{available}, 'available');
ok(!$studio{'claude-opus-5'}{available}, 'not available');
is($studio{'gpt-image-2'}{kind}, 'image', 'its kind');
ok($studio{'gpt-4o'}{capabilities}{vision}, 'its capabilities');

$nginx->reload;
is(route('gpt-4o'), 'openai gpt-4o', 'after a reload');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
