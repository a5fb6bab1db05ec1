# Prompts that the rules of a file refuse, before a provider sees them: in each
# dialect's own words, for nothing, and with no text in any log.

use lib 't/lib';
use v5.30;
use utf8;
use warnings;

use Encode qw(encode_utf8);
use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Dialect qw(ask question);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Nginx;
use Pulse::Replay;
use Test::More;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $replay = Pulse::Replay->start;
my $rules = suite_dir() . '/rules.txt';

sub write_rules { suite_file('rules.txt', encode_utf8($_[0])) }

write_rules(<<'RULES');
# invented words
[violence]
zorbomb* ! zorbombay
صنع زمبلة

[hate]
grunk
RULES

my $nginx = gateway_nginx(
    http => provider('openai', $replay->url . '/v1',
                     'dialect openai responses anthropic;'
                     . ' models m-* e-* text-embedding-*;')
            . "pulse_moderation_rules $rules; pulse_moderation local;",
    config => <<'CONF',
        location = /off/chat/completions {
            pulse_dialect openai;
            pulse_auth on;
            pulse_moderation off;
            pulse_gateway;
        }
CONF
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

my $code = {
    studio => sub { $_[0]{error}{code} },
    openai => sub { $_[0]{error}{code} },
    responses => sub { $_[0]{error}{code} },
    anthropic => sub { $_[0]{error}{details}{error_code} },
    gemini => sub { $_[0]{error}{details}[0]{reason} },
};

sub refused {
    my ($name, $reply, $dialect) = @_;

    is($reply->{status}, 400, "$name: 400");
    is($code->{ $dialect // 'openai' }->($reply->{json}), 'CONTENT_FLAGGED',
       "$name: its code");
    is_deeply([$replay->events], [], "$name: no provider heard of it");

    return $reply;
}

$replay->play($answer);

# every dialect, whole and streamed, in both languages

for my $dialect (qw(studio openai responses anthropic gemini)) {
    for my $stream (0, 1) {
        my $reply = refused("$dialect, stream $stream",
            ask($dialect, $nginx->port, $key, stream => $stream,
                text => 'how do I get a Zörb0mb?'), $dialect);

        my $message = $reply->{json}{error}{message};

        if ($dialect eq 'studio') {
            is_deeply($reply->{json}{error}{details},
                      { categories => ['violence'] }, 'its details');

        } else {
            like($message, qr/ \(violence\)$/, "$dialect: the category");
        }
    }
}

my $arab = make_key(make_user(plan => 'creator', locale => 'ar'));

my $reply = refused('in Arabic', ask('anthropic', $nginx->port, $arab,
    text => 'كيف أستطيع صُنْعَ الزمبلة؟ zorbomb grunk'), 'anthropic');

like($reply->{json}{error}{message}, qr/سياسة الاستخدام.* \(violence, hate\)/,
     'in Arabic: the message');
is($reply->{json}{error}{type}, 'invalid_request_error', 'its type');

# wherever in a request it is

sub openai {
    my ($more) = @_;

    return http(POST => '/v1/chat/completions', port => $nginx->port,
                bearer => $key, json => { model => 'm-1', messages => [
                    { role => 'user', content => 'hello' }], %$more });
}

sub messages { return { messages => [@_, { role => 'user', content => 'x' }] } }

my %places = (
    system => messages({ role => 'system', content => 'grunk' }),
    part => messages({ role => 'user', content => [
        { type => 'text', text => 'a' }, { type => 'text',
                                           text => 'some grunk' }] }),
    answer => messages({ role => 'assistant', content => 'grunk' }),
    call => messages({ role => 'assistant', tool_calls => [
        { id => 'c1', type => 'function', function => {
            name => 'f', arguments => '{"q":"\u0067\u0072unk"}' } }] },
        { role => 'tool', tool_call_id => 'c1', content => 'x' }),
    result => messages({ role => 'assistant', tool_calls => [
        { id => 'c1', type => 'function', function => {
            name => 'f', arguments => '{}' } }] },
        { role => 'tool', tool_call_id => 'c1', content => "a\ngrunk" }),
    tool => { tools => [{ type => 'function', function => {
        name => 'f', description => 'to grunk',
        parameters => { type => 'object', properties => {} } } }] },
    property => { tools => [{ type => 'function', function => {
        name => 'f', parameters => { type => 'object', properties => {
            grunk => { type => 'string' } } } } }] },
);

refused("in a $_", openai($places{$_})) for sort keys %places;

refused('an embedding', http(POST => '/v1/embeddings', port => $nginx->port,
    bearer => $key, json => { model => 'text-embedding-3-small',
                              input => ['fine', 'not g.r.u.n.k fine'] }));

# escapes of JSON are letters, and a body may be long

my $body = '{"model":"m-1","messages":[{"role":"user","content":"'
    . '\u0635\u0646\u0639 \u0632\u0645\u0628\u0644\u0629"}]}';

refused('in escapes', http(POST => '/v1/chat/completions',
    port => $nginx->port, bearer => $key, body => $body,
    headers => { 'Content-Type' => 'application/json' }));

refused('at the end of 3 MB', openai(messages(
    { role => 'user', content => 'word and word ' x 220_000 . 'grunk' })));

# what is not refused

sub passes {
    my ($name, $more, $path) = @_;

    $replay->play($answer);

    my $got = http(POST => $path // '/v1/chat/completions',
                   port => $nginx->port, bearer => $key, json => {
                       model => 'm-1', messages => [
                           { role => 'user', content => 'hello' }], %$more });

    is($got->{status}, 200, "$name: 200");
    is(scalar $replay->requests(1), 1, "$name: asked");
}

my $image = 'data:image/png;base64,' . 'grunk/' x 40;

passes('an exception', messages({ role => 'user', content => 'zorbombay' }));
passes('inside of a word', messages({ role => 'user', content => 'grunkle' }));
passes('two messages', messages({ role => 'user', content => 'gru' },
                                { role => 'user', content => 'nk' }));
passes('data of a picture', messages({ role => 'user', content => [
    { type => 'image_url', image_url => { url => $image } }] }));
passes('where it is off', messages({ role => 'user', content => 'grunk' }),
       '/off/chat/completions');

# costs nothing: what was not refused is all there is

my @rows = ledger($user, 5);

is(scalar @rows, 5, 'five events for five answers');
is(scalar(grep { $_->{amount} == 4 } @rows), 5, 'of their own tokens');

# a passing request is the same byte for byte

$replay->play($answer, $answer);

my $odd = '{ "model" : "m-1", "messages":[ {"role":"user","content":'
    . '"\u0061\/b"} ] , "max_completion_tokens":7}';

for my $path (qw(/v1/chat/completions /off/chat/completions)) {
    http(POST => $path, port => $nginx->port, bearer => $key, body => $odd,
         headers => { 'Content-Type' => 'application/json' });
}

my @sent = map { $_->{body} } $replay->requests(2);

is($sent[0], $sent[1], 'what passes is untouched');

# figures, and what the log says

my $metrics = http(GET => '/metrics', port => $nginx->port)->{body};

like($metrics, qr/^pulse_moderation_flagged_total\{category="violence"\} 12$/m,
     'counted by category');
like($metrics, qr/^pulse_moderation_flagged_total\{category="hate"\} 10$/m,
     'and another');
like($metrics, qr/^pulse_moderation_requests_total\{result="flagged_by_rules"\}
                  \ 21$/mx, 'all of them');

my @log = @{ $nginx->error_log };
my @flagged = grep { /pulse moderation: flagged by rules: / } @log;

is(scalar @flagged, 21, 'a line for each');
like($flagged[0], qr/: \["violence"\]: [0-9a-f]{64},/, 'category and hash');

my ($first, $second) = map { /: ([0-9a-f]{64}),/ } @flagged[0, 1];

is($first, $second, 'the same text has the same hash');
is(scalar(grep { /z(?:o|\xc3\xb6)rb|grunk/i } @log,
          @{ $nginx->access_log }), 0,
   'no text in the logs');

# a reload takes new rules, or tells the line that is wrong

write_rules("[hate]\nflimmer\n");
$nginx->reload;
$replay->play($answer);
refused('by a new rule', openai(messages({ role => 'user',
                                           content => 'flimmer' })));
passes('by an old one', messages({ role => 'user', content => 'grunk' }));

is($nginx->stop, undef, 'it ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

# files and directives that are wrong

sub wrong {
    my ($name, $text, $http, $says) = @_;

    write_rules($text);

    my $server = Pulse::Nginx->new(http => $http, config => '');

    ok(!$server->start, "$name: nginx does not start");

    my $said = join '', @{ $server->error_log }, $server->stderr;

    like($said, $says, "$name: and says why");
    $server->excuse('emerg');
}

my $use = "pulse_moderation_rules $rules; pulse_moderation local;";

wrong('a short phrase', "[a]\nflimmer\n\n*b\n", $use,
      qr/rules\.txt": line 4 has a phrase of less than two letters/);
wrong('no category', "flimmer\n", $use, qr/line 1 is before any \[category\]/);
wrong('an exception', "[a]\nflimmer ! glimmer\n", $use,
      qr/line 2 has an exception without the phrase in it/);
wrong('no rule', "# nothing\n", $use, qr/there is no rule/);
wrong('no rules', "[a]\nflimmer\n", 'pulse_moderation local;',
      qr/needs "pulse_moderation_rules"/);
wrong('no provider', "[a]\nflimmer\n", 'pulse_moderation provider;',
      qr/needs the provider "openai", in OpenAI's dialect/);
wrong('no mode', "[a]\nflimmer\n", 'pulse_moderation maybe;',
      qr/is "off", "local", "provider" or "both"/);
wrong('no answer', "[a]\nflimmer\n", 'pulse_moderation off down=no;',
      qr/another parameter than "down=refuse"/);

done_testing();
