# The official SDKs and the AI SDK while they wait: signs of life before the
# first token are nothing to any of them; an answer that was lost on its way
# is asked for again and costs once.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Answers qw(answer);
use Pulse::Dialect qw(ask played wanted);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Pulse::Sdk;
use Test::More;

my $missing = Pulse::Sdk->missing('openai', '@anthropic-ai/sdk',
                                  '@google/genai', 'ai', '@ai-sdk/openai',
                                  '@ai-sdk/anthropic', '@ai-sdk/google');

plan skip_all => $missing if defined $missing;
plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);

my $nginx = gateway_nginx(
    http => join('', map({ provider($_, "$url/$_",
                                    "dialect $_; models $_-*;") } @dialects),
                 provider('vendor', "$url/vendor", 'models vendor-*;')),
    location => 'pulse_keepalive_comment 100ms;',
)->run;

my $user = make_user(plan => 'creator', tokens => 4_000_000_000);
my $key = make_key($user);

my %sdk = map {
    ($_ => Pulse::Sdk->start($_, PULSE_KEY => $key,
        PULSE_URL => 'http://127.0.0.1:' . $nginx->port));
} qw(official ai lost);

my $text = "\x{645}\x{631}\x{62d}\x{628}\x{627} \x{1f44b}";
my $said = { text => $text,
             calls => [{ name => 'weather', arguments => { a => 1 } }] };


# signs of life

for my $from (@dialects) {
    for my $as (@dialects) {
        $replay->play(answer($from, $said, stream => 1, held => 1),
                      answer($from, $said, stream => 1, first => 0.35));

        my $reply = ask($as, $nginx->port, $key, stream => 1,
                        model => "$from-1", by => $replay->patiently);

        like($reply->{body}, qr/\A(?:: keep-alive|event: ping)\n/,
             "$from to $as: a sign of life");

        for my $sdk ('official', 'ai') {
            my $saw = $sdk{$sdk}->work(how => 'stream', as => $as,
                model => "$from-1", tools => ['weather']);
            my $name = "$from to $sdk, $as, after a while";

            is($saw->{error}, undef, "$name: no complaint")
                or diag $saw->{message};
            is($saw->{text}, $text, "$name: text");
            is_deeply([map { [@$_{qw(name input)}] } @{ $saw->{tools} }],
                      [['weather', { a => 1 }]], "$name: the call");
            is_deeply($saw->{usage}, [50, 20], "$name: usage");
            is($saw->{requests}, 1, "$name: one request");
        }
    }
}


# what other vendors of OpenAI's dialect were recorded with, to all SDKs

my $manifest = Pulse::Replay::manifest();

# in their own dialect these have no reason to finish, or no role, which the
# accumulator of OpenAI's SDK misses; bytes pass as they are

my %bare = map { ("openai-compat/$_.sse" => 1) } qw(
    llm-tools_streaming_variant_a-0
    pydantic-groq_model_web_search_tool_stream
    pydantic-snowflake_model_streaming
    pydantic-snowflake_thinking_streaming
);

for my $file (sort grep { m{^openai-compat/} } keys %$manifest) {
    my $expected = $manifest->{$file}{expected};

    next if !$expected || $expected->{http_status} != 200
        || $expected->{error} || !$expected->{usage}
        || $expected->{concatenated}
        || grep({ /server-tool|image/ } @{ $expected->{features} // [] })
        || $file =~ /_responses|raw_cot/;

    my $want = wanted($expected);

    $replay->play(played($file));

    for my $as (@dialects) {
        for my $sdk ('official', 'ai') {
            next if $bare{$file} && $as eq 'openai' && $sdk eq 'official';

            my $saw = $sdk{$sdk}->work(
                how => $file =~ /\.sse$/ ? 'stream' : 'plain', as => $as,
                model => 'vendor-1',
                tools => [map { $_->{name} } @{ $want->{calls} }]);
            my $name = "$file to $sdk, $as";

            is($saw->{error}, undef, "$name: no complaint")
                or diag $saw->{message};
            next if $saw->{error};

            is($saw->{text}, $want->{text}, "$name: text");
            is_deeply([map { [@$_{qw(name input)}] } @{ $saw->{tools} }],
                      [map { [@$_{qw(name arguments)}] } @{ $want->{calls} }],
                      "$name: calls");
            is($saw->{requests}, 1, "$name: one request");
        }
    }
}


# an answer that was lost: asked for again, given again, paid once

my $careful = make_user(plan => 'creator', tokens => 1_000_000);
my $rows = 0;

$sdk{lost}->stop;
$sdk{lost} = Pulse::Sdk->start('lost', PULSE_KEY => make_key($careful),
    PULSE_URL => 'http://127.0.0.1:' . $nginx->port);

for my $as (qw(openai anthropic)) {
    for my $from (qw(openai anthropic)) {
        for my $how (qw(plain stream)) {
            my $name = "$from-to-$as-$how-lost";

            $replay->play(answer($from, { text => $text },
                                 stream => $how eq 'stream'),
                          answer($from, { text => 'another' },
                                 stream => $how eq 'stream'));
            $replay->requests(0);

            my $saw = $sdk{lost}->work(how => $how, as => $as, key => $name,
                                       model => "$from-1");

            is($saw->{error}, undef, "$name: no complaint")
                or diag $saw->{message};
            is_deeply($saw->{tries}, ['0', '1'], "$name: it tried twice");
            ok($saw->{text} eq $text, "$name: the first answer");
            is($saw->{usage}, 70, "$name: and its figures");
            is(scalar($replay->requests(1)), 1,
               "$name: the provider was asked once");
            is(scalar(ledger($careful, ++$rows)), $rows,
               "$name: and paid for once");
        }
    }
}

is($sdk{$_}->stop, 0, "$_ ends") for sort keys %sdk;
is($nginx->stop, undef, 'nginx ends');

done_testing();
