# The endpoints around a chat: lists of models and one of them, what a prompt
# comes to, where keys may be; each as the clients of a dialect ask for it.

use lib 't/lib';
use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Env 'stores';
use Pulse::Client 'http';
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start(answers => { g => { json => {
    candidates => [{ content => { role => 'model',
                                  parts => [{ text => 'y' }] },
                     finishReason => 'STOP' }],
    usageMetadata => { promptTokenCount => 2, candidatesTokenCount => 1,
                       totalTokenCount => 3 } } } });
my $url = $replay->url;

my $nginx = gateway_nginx(http =>
    provider('openai', "$url/\@o/v1", 'models gpt-*;')
    . provider('google', "$url/\@g", 'dialect gemini; models gemini-*;')
    . provider('anthropic', "$url/\@a", 'dialect anthropic; models claude-*;')
)->run;

my $key = make_key(make_user(plan => 'creator', tokens => 10_000_000));
my @anthropic = ('anthropic-version' => '2023-06-01');


# by => header of the key: bearer unless said

sub call {
    my ($method, $path, %o) = @_;

    my %headers = %{ $o{headers} // {} };
    $headers{ $o{by} } = $key if $o{by};

    return http($method => $path, port => $nginx->port, headers => \%headers,
                $o{by} || $o{nobody} ? () : (bearer => $key),
                $o{json} ? (json => $o{json}) : ());
}

# --- one model, in three shapes

my $reply = call(GET => '/v1/models/claude-haiku-4-5');
is($reply->{json}{object}, 'model', 'a model for OpenAI');
is($reply->{json}{owned_by}, 'anthropic', 'whose it is');

$reply = call(GET => '/v1/models/claude-haiku-4-5', headers => {@anthropic});
is($reply->{json}{type}, 'model', 'for Anthropic');
is($reply->{json}{id}, 'claude-haiku-4-5', 'its id');
ok(length $reply->{json}{display_name}, 'its name');
like($reply->{json}{created_at}, qr/^\d{4}-\d\d-\d\dT/, 'a time');

$reply = call(GET => '/v1beta/models/gemini-3.8-flash');
is($reply->{json}{name}, 'models/gemini-3.8-flash', 'for Gemini');
is_deeply($reply->{json}{supportedGenerationMethods},
          [qw(generateContent countTokens)], 'what it can do');
ok($reply->{json}{thinking}, 'that it thinks');

$reply = call(GET => '/v1/models/none');
is($reply->{status}, 404, 'no such model of OpenAI');
is($reply->{json}{error}{code}, 'MODEL_NOT_FOUND', 'in its words');

$reply = call(GET => '/v1/models/none', headers => {@anthropic});
is($reply->{status}, 404, 'of Anthropic');
is($reply->{json}{error}{type}, 'not_found_error', 'in its words');

$reply = call(GET => '/v1beta/models/none');
is($reply->{status}, 404, 'of Gemini');
is($reply->{json}{error}{status}, 'NOT_FOUND', 'in its words');

# --- lists, page by page as the SDKs go through them

my ($first, @ids, $after) = ('');

do {
    $reply = call(GET => '/v1/models?limit=7'
                         . ($after ? "&after_id=$after" : ''),
                  headers => {@anthropic});
    push @ids, map { $_->{id} } @{ $reply->{json}{data} };
    $first ||= $reply->{json}{first_id};
    $after = $reply->{json}{last_id};
    cmp_ok(scalar @{ $reply->{json}{data} }, '<=', 7, 'a page of seven');
} while ($reply->{json}{has_more} && @ids < 1000);

my %all = map { $_->{id} => 1 } grep { $_->{id} !~ /embedding/ }
    @{ call(GET => '/v1/models')->{json}{data} };
is_deeply([sort @ids], [sort keys %all], 'pages of Anthropic: all, once');
is($first, $ids[0], 'the first of a page is said');

$reply = call(GET => "/v1/models?limit=3&before_id=$ids[5]",
              headers => {@anthropic});
is_deeply([map { $_->{id} } @{ $reply->{json}{data} }], [@ids[2 .. 4]],
          'a page before');
ok($reply->{json}{has_more}, 'and more before it');

my ($token, @names) = ('');

do {
    $reply = call(GET => "/v1beta/models?pageSize=9&pageToken=$token");
    push @names, map { $_->{name} =~ s{^models/}{}r }
        @{ $reply->{json}{models} };
    $token = $reply->{json}{nextPageToken} // '';
} while ($token && @names < 1000);

is_deeply(\@names, \@ids, 'pages of Gemini: the same');

$reply = call(GET => '/v1/models?limit=0', headers => {@anthropic});
is($reply->{status}, 400, 'a page of nothing');
is($reply->{json}{error}{type}, 'invalid_request_error', 'is refused');

$reply = call(GET => '/v1beta/models?pageToken=none');
is($reply->{status}, 400, 'a page from nowhere');

# --- where a key may be

for my $case (['x-api-key', '/v1/models', @anthropic],
              ['x-goog-api-key', '/v1beta/models'])
{
    my ($by, $path, %headers) = @$case;
    is(call(GET => $path, by => $by, headers => \%headers)->{status}, 200,
       "a key in $by");
}

is(call(GET => '/v1/models', by => 'x-api-key')->{status}, 401,
   'of Anthropic for OpenAI');

$reply = call(GET => "/v1beta/models?key=$key", nobody => 1);
is($reply->{status}, 400, 'a key in the URL');
is($reply->{json}{error}{status}, 'INVALID_ARGUMENT', 'is refused');
like($reply->{json}{error}{message}, qr/x-goog-api-key/, 'says where to');
unlike($reply->{body}, qr/\Q$key\E/, 'and does not repeat it');
is(call(GET => "/v1beta/models?key=x")->{status}, 400,
   'beside one in a header, too');

# --- versions of Gemini's path

my $question = { contents => [{ parts => [{ text => 'hi' }] }] };

for my $version (qw(v1 v1alpha v1beta)) {
    $reply = call(POST => "/$version/models/gemini-3.8-flash:generateContent",
                  json => $question);
    is($reply->{json}{candidates}[0]{content}{parts}[0]{text}, 'y',
       "$version: an answer");

    $reply = call(POST => "/$version/models/gemini-3.8-flash:countTokens",
                  json => $question);
    cmp_ok($reply->{json}{totalTokens}, '>', 0, "$version: a count");
}

# --- counts: never less than what a chat would have been billed

my @counts = (
    ['/v1beta/models/gemini-3.5-flash:countTokens', 'totalTokens', 8,
     { contents => [{ role => 'user',
                      parts => [{ text => 'What is the capital of France?' }]
                    }] }],
    ['/v1beta/models/gemini-3.5-flash:countTokens', 'totalTokens', 61,
     { generateContentRequest => { model => 'models/gemini-3.5-flash',
       contents => [{ role => 'user',
                      parts => [{ text => 'What is the capital of France?' }]
                    }],
       systemInstruction => { parts => [{ text => 'Be terse.' }] },
       tools => [{ functionDeclarations => [{ name => 'counting_weather',
           description => 'Gets current weather for a city',
           parameters => { type => 'OBJECT', required => ['city'],
               properties => { city => { type => 'STRING',
                   description => 'City name' } } } }] }] } }],
    ['/v1/messages/count_tokens', 'input_tokens', 14,
     { model => 'claude-haiku-4-5', messages => [{ role => 'user',
       content => [{ type => 'text',
                     text => 'What is the capital of France?' }] }] }],
);

for my $case (@counts) {
    my ($path, $member, $real, $body) = @$case;

    $reply = call(POST => $path, json => $body);
    cmp_ok($reply->{json}{$member}, '>=', $real, "$path: at least $real");
    cmp_ok($reply->{json}{$member}, '<', 10 * $real, 'and not out of reach');
}

my %image = (type => 'image', source => { type => 'base64',
             media_type => 'image/png', data => 'iVBO' });

$reply = call(POST => '/v1/messages/count_tokens', json => {
    model => 'claude-haiku-4-5',
    messages => [{ role => 'user', content => [\%image] }] });
cmp_ok($reply->{json}{input_tokens}, '>', 1000, 'an image is counted');

$reply = call(POST => '/v1/messages/count_tokens', json => {
    model => 'none', messages => [{ role => 'user', content => 'x' }] });
is($reply->{status}, 404, 'a model that there is none of');
is($reply->{json}{error}{type}, 'not_found_error', 'as Anthropic says it');

$reply = call(POST => '/v1/messages/count_tokens', json => {
    model => 'claude-haiku-4-5', messages => [{ role => 'x' }] });
is($reply->{status}, 400, 'a body that makes no sense');
like($reply->{json}{error}{message}, qr{/messages/0/role}, 'and where');

is(call(GET => '/v1/messages/count_tokens')->{status}, 405, 'only by POST');
is(scalar(grep { $_->{path} !~ m{^/\@g} } $replay->requests(1)), 0,
   'no provider is asked for any of this');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
