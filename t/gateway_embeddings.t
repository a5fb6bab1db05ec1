# /v1/embeddings: every form of input, both codings of vectors, providers of
# both kinds, what is refused, and the ledger.

use lib 't/lib';
use v5.30;
use warnings;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider reserved);
use Pulse::Replay;
use Test::More;

my $json = JSON::PP->new->canonical->utf8;
my $replay = Pulse::Replay->start;
my $url = $replay->url;

my $nginx = gateway_nginx(
    location => 'client_max_body_size 4m; pulse_answer_max 4m;',
    http => join('',
        provider('openai', "$url/o/v1", 'models gpt-*;'),
        provider('google', "$url/g", 'dialect gemini; models gemini-*;'),
        provider('anthropic', "$url/a", 'dialect anthropic; models c-*;'),
        provider('both', "$url/b/v1",
                 'dialect openai responses; models b-*;')),
)->run;

my $user = make_user(plan => 'creator', tokens => 10_000_000);
my $key = make_key($user);
my $rows = 0;


sub embed {
    my ($body, %o) = @_;

    return http(POST => '/v1/embeddings', port => $nginx->port,
                bearer => $o{key} // $key, limit => 30,
                ref $body ? (json => $body)
                          : (body => $body, headers => {
                                'Content-Type' => 'application/json' }));
}

sub answer {
    my ($tokens, @vectors) = @_;

    my $n = 0;

    return { object => 'list', model => 'whatever',
             data => [map { { object => 'embedding', index => $n++,
                              embedding => $_ } } @vectors],
             defined $tokens ? (usage => { prompt_tokens => $tokens,
                                           total_tokens => $tokens }) : () };
}

sub row_is {
    my ($wanted, $name) = @_;

    my @rows = ledger($user, ++$rows);

    is(@rows == $rows && "@{ $rows[-1] }{qw(amount input output estimated
                                             model provider)}",
       $wanted, "$name: its row");
}

sub coded { encode_base64(pack('f<*', @_), '') }


# the forms of input, spliced: nothing but the model is another

my $small = 'text-embedding-3-small';

for my $case (
    ['a string', '"سلام \u0041"', 1],
    ['strings', '["one", "two" , "\ud83d\ude42"]', 3],
    ['tokens', '[ 9906,1917 ]', 1],
    ['arrays of tokens', '[[1],[2 ,3]]', 2],
) {
    my ($name, $input, $n) = @$case;

    my $answer = $json->encode(answer(7, map { [0.5, -1e-3] } 1 .. $n))
                 =~ s/,/ ,\n/gr;
    my $body = qq({ "input":$input , "model" : "openai:$small",)
               . '"user":"u", "dimensions":2,"encoding_format":null}';

    $replay->play({ body => $answer });

    my $reply = embed($body);
    my ($request) = $replay->requests(1);

    is($reply->{status}, 200, $name) or diag $reply->{body};
    is($reply->{body}, $answer, "$name: the answer as it came");
    is($request->{path}, '/o/v1/embeddings', "$name: where it is asked");
    is($request->{body}, $body =~ s/openai:$small/$small/r,
       "$name: the request as it was");
    row_is("7 7 0 f $small openai", $name);
}


# coded as it was asked for, whatever the provider prefers

my @vector = (0.5, -0.25, 3, 1.5e-5);
my $numbers = [map { unpack 'f<', pack 'f<', $_ } @vector];

for my $asked (undef, 'float', 'base64') {
    my $wanted = ($asked // '') eq 'base64' ? coded(@vector) : $numbers;

    for my $given ([@vector], coded(@vector)) {
        my $name = ($asked // 'nothing') . ' asked for, '
                   . (ref $given ? 'numbers' : 'base64') . ' given';

        $replay->play({ json => answer(3, $given, $given) });

        my $reply = embed({ model => $small, input => ['a', 'b'],
                            $asked ? (encoding_format => $asked) : () });
        my @got = map { $_->{embedding} } @{ $reply->{json}{data} };

        is(scalar @got, 2, $name) or diag $reply->{body};

        for my $got (@got) {
            $got = [map { unpack 'f<', pack 'f<', $_ } @$got] if ref $got;
            is_deeply($got, $wanted, "$name: it is what was asked for");
        }

        is($reply->{json}{usage}{prompt_tokens}, 3, "$name: the rest stays");
        row_is("3 3 0 f $small openai", $name);
    }
}


# providers of other kinds

$replay->play({ json => answer(2, [1]) });
is(embed({ model => 'b-1', input => 'x' })->{status}, 200,
   'a provider of two dialects of chat');
is(($replay->requests(1))[0]{path}, '/b/v1/embeddings', 'at its endpoint');
row_is('2 2 0 f b-1 both', 'it');

my $google = '{"embeddings": [ {"values": [ 0.5, -1e-05 ]},'
             . ' {"values": [ 2, 3 ] } ]';

$replay->play({ body => "$google}" });
my $reply = embed('{"model":"gemini-embedding-001","user":"u","input":'
                  . '["one \u00e9","two"],"dimensions":2,"x":1}');
my ($request) = $replay->requests(1);

is($reply->{status}, 200, 'Gemini') or diag $reply->{body};
is($request->{path}, '/g/models/gemini-embedding-001:batchEmbedContents',
   'where it is asked');
is($request->{body}, '{"requests":[' . join(',', map {
    '{"model":"models/gemini-embedding-001","content":{"parts":[{"text":'
    . "$_}]},\"outputDimensionality\":2}"
} '"one \u00e9"', '"two"') . ']}', 'what');
like($reply->{body}, qr/"index":0,"embedding":\[0\.5,-1e-05\]\}/,
     'numbers as they were');
is($reply->{json}{model}, 'gemini-embedding-001', 'its model');
is($reply->{headers}{'x-pulse-warning'}, 'left out: user, x',
   'what it has no word for is named');

my ($last) = reverse ledger($user, ++$rows);
is($last->{estimated}, 't', 'Gemini says no figures: estimated');
is($last->{amount}, $reply->{json}{usage}{prompt_tokens},
   'and the client sees what is billed');
cmp_ok($last->{amount}, '>=', 2, 'which is something');

$replay->play({ body => "$google,\"usageMetadata\":"
                        . '{"promptTokenCount":5}}' });
$reply = embed({ model => 'gemini-embedding-2', input => ['a', 'b'],
                 encoding_format => 'base64' });
is($reply->{json}{data}[1]{embedding}, coded(2, 3), 'Gemini in base64');
row_is('5 5 0 f gemini-embedding-2 google', 'and where it does');


# recordings

SKIP: {
    skip 'no recordings (PULSE_SHARED)', 1 if !Pulse::Replay::recordings();

    my $manifest = Pulse::Replay::manifest();

    for my $file (sort grep { m{^(?:openai|gemini)-embeddings/} }
                  keys %$manifest)
    {
        my $gemini = $file =~ /^gemini/;
        my $asked = $json->decode(
            Pulse::Replay::recording($manifest->{$file}{request}));
        my @input = $gemini ? map { $_->{content}{parts}[0]{text} }
                                  @{ $asked->{requests} }
                            : $asked->{input};
        my $given = Pulse::Replay::recording($file);

        $replay->play({ file => $file });
        $reply = embed({ model => $gemini ? 'gemini-embedding-2' : $small,
                         input => $gemini ? \@input : $input[0],
                         encoding_format => $asked->{encoding_format}
                                            // 'float' });

        is($reply->{status}, $manifest->{$file}{status}, $file)
            or diag substr $reply->{body}, 0, 400;

        if ($reply->{status} != 200) {
            is($reply->{body}, $given, 'the error as it came');
            next;
        }

        my $usage = $json->decode($given)->{usage};

        if ($gemini) {
            is_deeply([map { $_->{embedding} } @{ $reply->{json}{data} }],
                      [map { $_->{values} }
                       @{ $json->decode($given)->{embeddings} }],
                      'its vectors');
            is(scalar ledger($user, ++$rows), $rows, 'a row');
            next;
        }

        is($reply->{body}, $given, 'as it came');
        row_is("$usage->{prompt_tokens} $usage->{prompt_tokens} 0 f $small"
               . ' openai', $file);
    }
}


# what is refused costs nothing and reaches nobody

my $before = sql("SELECT used FROM accounts
                  WHERE user_id = '$user' AND kind = 0");

$replay->play({ json => answer(1, [1]) });

for my $case (
    ['no model', '{"input":"x"}', qr/model/],
    ['no input', qq({"model":"$small"}), qr/input/],
    ['input null', qq({"model":"$small","input":null}), qr/input/],
    ['an object', qq({"model":"$small","input":{}}), qr/input/],
    ['nothing', qq({"model":"$small","input":[]}), qr/empty/],
    ['an empty string', qq({"model":"$small","input":""}), qr/empty/],
    ['one that is empty', qq({"model":"$small","input":["a",""]}), qr/empty/],
    ['an empty array', qq({"model":"$small","input":[[]]}), qr/empty/],
    ['a mixture', qq({"model":"$small","input":["a",1]}), qr/tokens/],
    ['another', qq({"model":"$small","input":[1,"a"]}), qr/tokens/],
    ['a third', qq({"model":"$small","input":[[1],"a"]}), qr/tokens/],
    ['arrays of strings', qq({"model":"$small","input":[["a"]]}), qr/tokens/],
    ['a null', qq({"model":"$small","input":[null]}), qr/tokens/],
    ['deep', qq({"model":"$small","input":[[[1]]]}), qr/tokens/],
    ['a negative token', qq({"model":"$small","input":[-1]}), qr/token/],
    ['half a token', qq({"model":"$small","input":[1.5]}), qr/token/],
    ['too many', qq({"model":"$small","input":[)
                 . join(',', ('"a"') x 2049) . ']}', qr/2048/],
    ['too long a text', qq({"model":"$small","input":")
                        . 'a' x 262_145 . '"}', qr/262144/],
    ['too many tokens', qq({"model":"$small","input":[)
                        . join(',', (1) x 65_537) . ']}', qr/65536/],
    ['an unknown coding',
     qq({"model":"$small","input":"x","encoding_format":"int8"}),
     qr/encoding_format/],
    ['no dimensions', qq({"model":"$small","input":"x","dimensions":0}),
     qr/dimensions/],
    ['an array for all', '[]', qr/object/],
    ['a model twice', qq({"model":"$small","model":"x","input":"x"}),
     qr/twice|duplicate/i],
    ['a model that chats', '{"model":"gpt-4o","input":"x"}',
     qr/makes embeddings/],
    ['a version of it', '{"model":"gpt-4o-2024-11-20","input":"x"}',
     qr/makes embeddings/],
    ['Claude', '{"model":"anthropic:claude-opus-5","input":"x"}',
     qr/makes embeddings/],
    ['its provider', '{"model":"c-1","input":"x"}', qr/makes no embeddings/],
    ['tokens for Gemini', '{"model":"gemini-embedding-2","input":[1,2]}',
     qr/tokens mean nothing/],
    ['101 for Gemini', '{"model":"gemini-embedding-2","input":['
                       . join(',', ('"a"') x 101) . ']}', qr/100/],
) {
    my ($name, $body, $why) = @$case;

    $reply = embed($body);

    is($reply->{status}, 400, $name) or diag substr $reply->{body}, 0, 300;
    is($reply->{json}{error}{type}, 'invalid_request_error',
       "$name: in the caller's words");
    like($reply->{json}{error}{message} . ($reply->{json}{error}{param} // ''),
         $why, "$name: and why");
}

is(embed({ model => 'nothing', input => 'x' })->{status}, 404, 'no model');
is(embed({ model => 'auto', input => 'x' })->{status}, 404,
   'there is no default');

for my $path ('/v1/chat/completions', '/v1/chat/complete') {
    $reply = http(POST => $path, port => $nginx->port, bearer => $key,
                  json => { model => $small,
                            messages => [{ role => 'user',
                                           content => 'x' }] });
    is($reply->{status}, 400, "$path: a model that does not chat");
    like($reply->{body}, qr{/v1/embeddings}, 'says where to go');
}

is(scalar($replay->requests(0)), 0, 'nobody is asked');


# answers that are none: nothing is charged

for my $case (
    ['too few', { json => answer(4, [1]) }, 502],
    ['no vectors', { json => { data => [], usage => {} } }, 502],
    ['vectors of words', { json => answer(4, ['x'], ['y']) }, 502],
    ['base64 that is none', { json => answer(4, '!!!!', '????') }, 502],
    ['half a number', { json => answer(4, 'AAAA', 'AAAA') }, 502],
    ['no number', { json => answer(4, ('AADAfw==') x 2) }, 502],
    ['no JSON', { body => 'x' }, 502],
    ['a failure', { status => 500, json => {} }, 503],
    ['no HTTP', { raw => "x\r\n" }, 502],
) {
    my ($name, $answer, $status) = @$case;

    $replay->play($answer);
    is(embed({ model => $small, input => ['a', 'b'] })->{status}, $status,
       $name);
}

is(sql("SELECT used FROM accounts WHERE user_id = '$user' AND kind = 0"),
   $before, 'nothing of all that was charged');


# no more than there is

my $poor = make_user(plan => 'creator', tokens => 20);
my $poor_key = make_key($poor);

$replay->play({ json => answer(9, [1], [1]) });
$reply = embed({ model => $small, input => ['word ' x 50, 'x'] },
               key => $poor_key);
is($reply->{status}, 402, 'more than is left');
is($reply->{headers}{'x-should-retry'}, 'false', 'which no retry mends');
is(embed({ model => $small, input => ['a', 'b'] },
         key => $poor_key)->{status}, 200, 'what is left can be used');
is((ledger($poor, 1))[0]{amount}, 9, 'to the token');


# no figures

$replay->play({ json => answer(undef, [1]) });
is(embed({ model => $small, input => 'four words are here' })->{status}, 200,
   'a provider without figures');
($last) = reverse ledger($user, ++$rows);
is($last->{estimated}, 't', 'is estimated');
cmp_ok($last->{amount}, '>', 0, 'at something');

is(reserved($nginx), 0, 'nothing stays reserved');

$nginx->excuse('refuses us');
is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
