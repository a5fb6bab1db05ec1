# The official SDKs of OpenAI (both endpoints), Anthropic and Google and the
# AI SDK read every recording of the other vendors, and errors, without
# complaint; what must not be tried again they do not try again.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Answers qw(answer);
use Pulse::Dialect qw(group_of played wanted);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Replay;
use Pulse::Sdk;
use Test::More;

my $missing = Pulse::Sdk->missing('openai', '@anthropic-ai/sdk',
                                  '@google/genai', 'ai', '@ai-sdk/openai',
                                  '@ai-sdk/anthropic', '@ai-sdk/google');

plan skip_all => $missing if defined $missing;
plan skip_all => 'no recordings (PULSE_SHARED)' if !Pulse::Replay::recordings();

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);

my $nginx = gateway_nginx(http => join '', map {
    provider($_, "$url/$_", "dialect $_; models $_-*;")
} @dialects)->run;

my $user = make_user(plan => 'creator', tokens => 4_000_000_000);
my $poor = make_user(plan => 'pro', tokens => 0);
my %keys = (rich => make_key($user), poor => make_key($poor));

my %sdk = map {
    my ($name, $key) = split / /;

    ("$name $key" => Pulse::Sdk->start($name, PULSE_KEY => $keys{$key},
        PULSE_URL => 'http://127.0.0.1:' . $nginx->port));
} map { ("$_ rich", "$_ poor") } qw(official ai);


# Answers with one text, that are not billed in several passes and that no
# tool of the provider's own made.

sub plain {
    my ($expected) = @_;

    return $expected && $expected->{http_status} == 200
        && !$expected->{error} && $expected->{usage}
        && !$expected->{images} && !$expected->{concatenated}
        && !(ref $expected->{usage_native} eq 'HASH'
             && $expected->{usage_native}{iterations})
        && !grep({ /server-tool|image/ } @{ $expected->{features} // [] })
        && !grep { $_->{streamed_args} || $_->{type} eq 'custom' }
                 @{ $expected->{tool_calls} // [] };
}


sub compare {
    my ($name, $saw, $want) = @_;

    is($saw->{error}, undef, "$name: no complaint") or diag $saw->{message};

    return if $saw->{error};

    is($saw->{text}, $want->{text}, "$name: text");
    is_deeply([map { [@$_{qw(name input)}] } @{ $saw->{tools} }],
              [map { [@$_{qw(name arguments)}] } @{ $want->{calls} }],
              "$name: calls");
    is_deeply($saw->{usage}, $want->{usage}, "$name: usage");
    is($saw->{requests}, 1, "$name: one request");
}


for my $file (sort grep { group_of($_) } keys %$manifest) {
    my $expected = $manifest->{$file}{expected};

    next if !plain($expected) || $file =~ /^openai-compat|jsonarray$/;

    my $from = group_of($file);
    my $how = $file =~ /\.sse$/ ? 'stream' : 'plain';
    my $want = wanted($expected);

    $replay->play(played($file));

    for my $as (grep { $_ ne $from } @dialects) {
        for my $sdk ('official', 'ai') {
            my $saw = $sdk{"$sdk rich"}->work(
                how => $how, as => $as, model => "$from-1",
                tools => [map { $_->{name} } @{ $want->{calls} }]);

            compare("$file to $sdk, $as", $saw, $want);
        }
    }
}


# thinking, Arabic and all marks, in calls too

my $mixed = "\x{645}\x{631}\x{62d}\x{628}\x{64b}\x{627} \x{2067}a\x{2069}"
            . " e\x{301} \x{1f469}\x{1f3fd}\x{200d}\x{1f680}";
my $said = { text => $mixed, thinking => $mixed, signature => 'c2ln',
             calls => [{ name => 'weather',
                         arguments => { city => $mixed } }] };

for my $from (@dialects) {
    for my $how ('plain', 'stream') {
        $replay->play(answer($from, $said, stream => $how eq 'stream'));

        for my $as (@dialects) {
            for my $sdk ('official', 'ai') {
                my $saw = $sdk{"$sdk rich"}->work(how => $how, as => $as,
                    model => "$from-1", tools => ['weather']);

                compare("ours of $from to $sdk, $as, $how", $saw,
                        { text => $mixed, calls => $said->{calls},
                          usage => [50, 20] });
            }
        }
    }
}


# a stream that is cut is an error to each

for my $from (@dialects) {
    my $whole = answer($from, { text => $mixed x 20 }, stream => 1);

    $replay->play({ %$whole, cut => 3000 });

    for my $as (@dialects) {
        for my $sdk ('official', 'ai') {
            my $saw = $sdk{"$sdk rich"}->work(how => 'stream', as => $as,
                                              model => "$from-1");

            ok($saw->{error}, "cut, $from to $sdk, $as: an error")
                or diag explain $saw;
        }
    }
}


# without quota: one request, and the provider hears nothing

$replay->play({ status => 500 });

for my $as (@dialects) {
    for my $sdk ('official', 'ai') {
        for my $how ('plain', 'stream') {
            my $saw = $sdk{"$sdk poor"}->work(how => $how, as => $as,
                                              model => 'openai-1');

            ok($saw->{error}, "402 to $sdk, $as, $how: an error");
            is($saw->{requests}, 1, "402 to $sdk, $as, $how: one request");
        }
    }
}

is(scalar($replay->requests(0)), 0, 'the provider hears nothing of it');


# a client that leaves

for my $from (@dialects) {
    my $long = answer($from, { text => $mixed x 200 }, stream => 1);

    for my $as (@dialects) {
        for my $sdk ('official', 'ai') {

            # Google's goes on reading what nobody asks it for any more

            my $reads = $sdk eq 'official' && $as eq 'gemini';

            $replay->play({ %$long, $reads ? () : (cut => 6000, hang => 1) });

            my $saw = $sdk{"$sdk rich"}->work(how => 'abort', as => $as,
                                              model => "$from-1");

            is($saw->{error}, undef, "$sdk, $as leaves $from");

            next if $reads;

            ok(wait_until { grep { $_->{event} eq 'aborted' }
                            $replay->events },
               "$sdk, $as leaves $from: so does the gateway");
        }
    }
}

is($sdk{$_}->stop, 0, "$_ ends") for sort keys %sdk;
is($nginx->stop, undef, 'nginx ends');

done_testing();
