# Prompts that OpenAI's moderation endpoint is asked about before a provider
# sees them: texts, pictures, and what happens when it does not answer.

use lib 't/lib';
use v5.30;
use utf8;
use warnings;

use Encode qw(encode_utf8);
use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(ask);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $judge = Pulse::Replay->start(as => 'JUDGE');
my $rules = suite_file('rules.txt', "[hate]\ngrunk\n");

sub location {
    my ($name, $mode) = @_;

    return <<"CONF";
        location = /$name {
            pulse_dialect openai;
            pulse_auth on;
            pulse_moderation $mode;
            pulse_gateway;
        }
CONF
}

my $nginx = gateway_nginx(
    http => provider('models', $replay->url . '/v1',
                     'dialect openai responses anthropic; models m-*;')
            . provider('openai', $judge->url . '/v1',
                       'prefix_only on; breaker 4 window=1m pause=1h;')
            . 'pulse_moderation_provider openai timeout=5s;'
            . "pulse_moderation_rules $rules; pulse_moderation both;",
    config => location('provider', 'provider')
              . location('pass', 'provider down=pass'),
)->run;

my $user = make_user(plan => 'creator', tokens => 100_000_000);
my $key = make_key($user);

my $answer = { json => {
    id => 'c', object => 'chat.completion', created => 1, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 3, completion_tokens => 1,
               total_tokens => 4 },
} };

sub verdict {
    my ($true, %o) = @_;

    my %categories = map { $_ => JSON::PP::false() }
        qw(hate violence violence/graphic sexual illicit);

    $categories{$_} = JSON::PP::true() for @$true;

    return { %o, json => {
        id => 'modr-1', model => 'omni-moderation-latest', results => [{
            flagged => @$true ? JSON::PP::true() : JSON::PP::false(),
            categories => \%categories,
            category_scores => { hate => 0.5 },
        }],
    } };
}

my ($good, $bad) = (verdict([]), verdict(['violence', 'violence/graphic']));


# chat(messages, path, ...): what the client gets, the questions about it, and
# how often the model was asked

sub chat {
    my ($verdicts, $content, %o) = @_;

    $judge->play(ref $verdicts eq 'ARRAY' ? @$verdicts : $verdicts);
    $replay->play($answer);

    my $reply = http(POST => $o{path} // '/v1/chat/completions',
                     port => $nginx->port, bearer => $key, limit => 30,
                     json => { model => 'm-1', messages => [
                         { role => 'user', content => $content }],
                               %{ $o{more} // {} } });

    return ($reply, [map { $_->{json} } $judge->requests],
            scalar(() = $replay->requests));
}

# a text: what is asked, and what it comes to

my ($reply, $asked, $models) = chat($good, 'a fine day');

is($reply->{status}, 200, 'it passes');
is($models, 1, 'and the model is asked');
is_deeply($asked, [{ model => 'omni-moderation-latest',
                     input => ["a fine day\n"] }], 'the question');

my ($request) = $judge->requests;

is("$request->{method} $request->{path}", 'POST /v1/moderations', 'its path');

($reply, $asked, $models) = chat($bad, 'another day');

is($reply->{status}, 400, 'it does not');
is($reply->{json}{error}{code}, 'CONTENT_FLAGGED', 'its code');
like($reply->{json}{error}{message}, qr/ \(violence, violence\/graphic\)$/,
     'its categories');
is($models, 0, 'no model is asked');

# one that comes byte by byte, in chunks, on a connection that is kept

for my $how ({ step => 1 }, { framing => 'chunked', chunk => 7, step => 1 }) {
    ($reply, $asked, $models) = chat({ %$bad, %$how }, 'day by day');

    is($reply->{status}, 400, 'byte by byte: refused');
    is($models, 0, 'byte by byte: no model is asked');
}

$judge->play($good);
chat($good, "day $_") for 1, 2;

my %connections = map { $_->{connection} => 1 } $judge->requests;

is(scalar keys %connections, 1, 'connections are kept');

# rules come first and need no provider

($reply, $asked) = chat($bad, 'some grunk');
is($reply->{status}, 400, 'by rules');
is(scalar @$asked, 0, 'by rules: nobody is asked');

($reply, $asked) = chat($good, 'some grunk', path => '/provider');
is($reply->{status}, 200, 'where rules are not checked');

# every dialect, streamed too; all of the text, none of the names

for my $dialect (qw(studio openai responses anthropic gemini)) {
    for my $stream (0, 1) {
        $judge->play($bad);
        $replay->play($answer);

        my $got = ask($dialect, $nginx->port, $key, text => 'good day',
                      stream => $stream);

        is($got->{status}, 400, "$dialect, stream $stream: refused");
        is_deeply([$replay->events], [], "$dialect: no model is asked");

        my ($question) = $judge->requests(1);

        is_deeply($question->{json}{input}, ["good day\n"],
                  "$dialect: the text");
    }
}

($reply, $asked) = chat($good, 'hello', more => {
    user => 'somebody', metadata => { a => 'b' },
    tools => [{ type => 'function', function => {
        name => 'f', description => 'to do something',
        parameters => { type => 'object', properties => {
            q => { type => 'string', description => 'what' } } } } }],
});

is_deeply([sort split /\n/, $asked->[0]{input}[0]],
          ['f', 'hello', 'to do something', 'what'],
          'tools, and nobody\'s name');

# what is long is asked in pieces

my $long = 'word ' x 70_000;

($reply, $asked) = chat([{ %$good, json => {
    %{ $good->{json} }, results => [(@{ $good->{json}{results} }) x 16] } },
    { %$bad, json => { %{ $bad->{json} }, results =>
        [(@{ $good->{json}{results} }) x 5, @{ $bad->{json}{results} }] } }],
    $long);

is($reply->{status}, 400, 'the last piece is refused');
is(scalar @$asked, 2, 'two questions');
is(join('', map { @{ $_->{input} } } @$asked), "$long\n", 'with all of it');
is(scalar(grep { length > 16384 || !/ \z|\n\z/ } map { @{ $_->{input} } }
          @$asked), 0, 'cut between words');

# pictures, one a question, in the words of each dialect

my $data = 'iVBORw0KGgo' . 'A' x 80;
my $url = 'https://pictures.example/1.png';

sub shown {
    return [map { $_->{input}[0]{image_url}{url} }
            grep { ref $_->{input}[0] } @{ $_[0] }];
}

($reply, $asked) = chat($good, [
    { type => 'text', text => 'look' },
    { type => 'image_url', image_url => { url => $url } },
    { type => 'image_url', image_url => {
        url => "data:image/png;base64,$data" } },
]);

is($reply->{status}, 200, 'pictures pass');
is_deeply($asked->[0]{input}, ["look\n"], 'the text first');
is_deeply(shown($asked), [$url, "data:image/png;base64,$data"],
          'then the pictures');
is_deeply($asked->[1]{input}, [{ type => 'image_url',
                                 image_url => { url => $url } }],
          'each by itself');

my %pictures = (
    anthropic => ['/v1/messages', { model => 'm-1', max_tokens => 9,
        messages => [{ role => 'user', content => [
            { type => 'image', source => { type => 'base64',
              media_type => 'image/png', data => $data } },
            { source => { url => $url, type => 'url' }, type => 'image' },
            { type => 'text', text => 'look' }] }] }],
    responses => ['/v1/responses', { model => 'm-1', input => [
        { role => 'user', content => [
            { type => 'input_image',
              image_url => "data:image/png;base64,$data" },
            { type => 'input_image', image_url => $url },
            { type => 'input_text', text => 'look' }] }] }],
    gemini => ['/v1beta/models/m-1:generateContent', { contents => [
        { role => 'user', parts => [
            { inlineData => { data => $data, mimeType => 'image/png' } },
            { text => 'look' }] }] }],
);

for my $dialect (sort keys %pictures) {
    my ($path, $body) = @{ $pictures{$dialect} };

    $judge->play($good, $good, $bad);
    $replay->play($answer);

    my $got = http(POST => $path, port => $nginx->port, bearer => $key,
                   json => $body);

    my $seen = shown([map { $_->{json} } $judge->requests]);

    if ($dialect eq 'gemini') {
        is_deeply($seen, ["data:image/png;base64,$data"], "$dialect: shown");
        next;
    }

    is_deeply($seen, ["data:image/png;base64,$data", $url], "$dialect: shown");
    is($got->{status}, 400, "$dialect: the last is refused");
    is_deeply([$replay->events], [], "$dialect: no model is asked");
}

my $refusal = { status => 400, json => { error => {
    message => 'Failed to decode the picture', code => 'invalid_image' } } };

for my $path (qw(/provider /pass)) {
    ($reply, $asked, $models) = chat([$good, $refusal], [
        { type => 'text', text => 'look' },
        { type => 'image_url', image_url => { url => $url } },
    ], path => $path);

    is($reply->{status}, 400, "$path: what cannot be read is refused");
    is($reply->{json}{error}{code}, 'INVALID_REQUEST', 'with another code');
    is($models, 0, 'no model is asked');
}

($reply, $asked, $models) = chat($good, [
    map { { type => 'image_url', image_url => { url => "$url?$_" } } } 1 .. 17
]);

is($reply->{status}, 400, 'too many pictures');
is(scalar @$asked, 0, 'too many pictures: nobody is asked');

# a provider that says nothing of use

my %useless = (
    'a 500' => { status => 500, json => {} },
    'no JSON' => { body => 'x', headers => {
        'content-type' => 'application/json' } },
    'no verdict' => { json => { results => [] } },
    'half of one' => { %$good, cut => 20 },
);

# what works keeps the breaker closed

sub works { chat($good, 'hello') for 1 .. 3 }

for my $name (sort keys %useless) {
    ($reply, $asked, $models) = chat($useless{$name}, 'hello',
                                     path => '/pass');

    is($reply->{status}, 200, "$name: passes where that is said");
    is($models, 1, "$name: the model is asked");

    works();
}

($reply, $asked, $models) = chat($useless{'a 500'}, 'hello',
                                 path => '/provider');

is($reply->{status}, 503, 'else it is refused');
is($reply->{json}{error}{code}, 'PROVIDER_UNAVAILABLE', 'with its code');
is($models, 0, 'no model is asked');

works();

($reply) = chat({ hang => 1 }, 'hello', path => '/pass');
is($reply->{status}, 200, 'one that hangs is not waited for');

works();

# a client that leaves while it is asked

$judge->play({ hang => 1 });
$replay->play($answer);

my $client = Pulse::Client->connect(port => $nginx->port);

$client->request(POST => '/provider', bearer => $key, json => {
    model => 'm-1', messages => [{ role => 'user', content => 'x' }] });
$judge->requests(1);
$client->leave;

my $aborted = wait_until {
    grep { $_->{event} eq 'aborted' } $judge->events
} 10;

ok($aborted, 'the question is given up with its client');

my $left = wait_until { grep { / 499 / } @{ $nginx->access_log } } 10;

ok($left, 'and logged as one that left');

# answers of the real one

SKIP: {
    skip 'no recordings (PULSE_SHARED)', 1 if !Pulse::Replay::recordings();

    ($reply) = chat({ file => 'openai-moderations/ruby_llm-moderation_moderate'
        . '_with_openai_provider_moderates_content_and_returns_a_moderation'
        . '_instance.json' }, 'This is a safe message', path => '/provider');

    is($reply->{status}, 200, 'recorded: it passes');
}

# the breaker: after some failures it is not asked any more

chat($useless{'a 500'}, 'hello', path => '/provider') for 1 .. 24;

($reply, $asked) = chat($good, 'hello', path => '/provider');

is($reply->{status}, 503, 'it is down');
is(scalar @$asked, 0, 'and not asked');

my $edges = grep { /pulse moderation: provider "openai" is not asked/ }
    @{ $nginx->error_log };

is($edges, 1, 'one line says so');

($reply) = chat($good, 'hello', path => '/pass');
is($reply->{status}, 200, 'it passes where that is said');

my $metrics = http(GET => '/metrics', port => $nginx->port)->{body};

like($metrics,
     qr/^pulse_moderation_flagged_total\{category="violence\/graphic"\} \d/m,
     'counted by category');
like($metrics, qr/^pulse_moderation_requests_total\{result="$_"\} [1-9]/m, $_)
    for qw(passed flagged_by_rules flagged_by_provider unfit
           refused_unchecked passed_unchecked);
like($metrics, qr/^pulse_moderation_provider_seconds_count [1-9]/m, 'timed');

my @log = (@{ $nginx->error_log }, @{ $nginx->access_log });

is(scalar(grep { /good day|another day|Failed to decode/ } @log), 0,
   'no text in the logs');

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
