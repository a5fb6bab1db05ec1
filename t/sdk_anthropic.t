# The official @anthropic-ai/sdk with its default settings against our
# endpoints: models of Anthropic, and models of OpenAI as if they were.

use lib 't/lib';
use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Dialect qw(played wanted);
use Pulse::Env 'stores';
use Pulse::Replay;
use Pulse::Sdk;
use Pulse::Studio;
use Test::More;

my $root = $Pulse::Env::root;

my $missing = Pulse::Sdk->missing('@anthropic-ai/sdk');

plan skip_all => $missing if defined $missing;
plan skip_all => 'no recordings (PULSE_SHARED)'
    if !Pulse::Replay::recordings();

my $rules = suite_file('rules.txt', "[violence]\nzorbomb\n");

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $studio = Pulse::Studio->new(env => {
    ANTHROPIC_API_KEY  => 'sk-of-the-provider',
    ANTHROPIC_BASE_URL => $replay->url,
    OPENAI_API_KEY     => 'sk-of-the-other',
    OPENAI_BASE_URL    => $replay->url . '/v1',
}, edit => sub {
    s{(pulse_moderation_rules) [^;]+}{$1 $rules};
})->run;

my $user = make_user(plan => 'pro', tokens => 100_000_000);
my $key = make_key($user);


sub sdk {
    my ($scenario, $model, $with) = @_;

    local $ENV{ANTHROPIC_BASE_URL} = "http://127.0.0.1:${\ $studio->port}";
    local $ENV{ANTHROPIC_API_KEY} = $with // $key;
    local $ENV{NODE_OPTIONS} = '';

    my $line = qx{node $root/t/sdk/anthropic.mjs $scenario $model 2>&1};

    return eval { JSON::PP->new->utf8->decode($line) }
        // { error => 'no JSON', message => $line };
}


# The smallest recording of a kind.

sub recording {
    my ($group, $stream, $calls) = @_;

    my ($file) = sort { $manifest->{$a}{bytes} <=> $manifest->{$b}{bytes} }
        grep {
            my $expected = $manifest->{$_}{expected};

            m{^$group/} && $expected && $expected->{http_status} == 200
                && $expected->{usage} && !$expected->{error}
                && !$expected->{concatenated} && !/spliced/
                && (/\.sse$/ ? 1 : 0) == $stream
                && ($calls ? @{ $expected->{tool_calls} // [] }
                           : length($expected->{text} // ''))
        } keys %$manifest;

    return $file;
}


for my $case (['anthropic', 'claude-haiku-4-5'], ['openai-chat', 'gpt-4o']) {
    my ($group, $model) = @$case;

    for my $how ('chat', 'stream') {
        for my $calls (0, 1) {
            my $file = recording($group, $how eq 'stream' ? 1 : 0, $calls);
            my $want = wanted($manifest->{$file}{expected});

            $replay->play(played($file));

            my $saw = sdk($how, $model);

            is($saw->{error}, undef, "$how: $file") or diag $saw->{message};
            is($saw->{text}, $want->{text}, 'its text');
            is_deeply([map { [@$_{qw(name input)}] } @{ $saw->{tools} }],
                      [map { [@$_{qw(name arguments)}] } @{ $want->{calls} }],
                      'its calls');
            is($saw->{usage}{output_tokens}, $want->{usage}[1], 'its usage');
            is($saw->{requests}, 1, 'in one request');
        }
    }
}


my $saw = sdk('count', 'claude-haiku-4-5');
cmp_ok($saw->{input_tokens} // 0, '>', 0, 'tokens are counted')
    or diag $saw->{message};

$saw = sdk('models', 'x');
ok((grep { $_ eq 'claude-haiku-4-5' } @{ $saw->{ids} // [] }),
   'models are listed') or diag $saw->{message};

my $poor = make_key(make_user(plan => 'pro', tokens => 0));
$replay->play({ status => 500 });
$saw = sdk('stream', 'claude-haiku-4-5', $poor);
is($saw->{status}, 402, 'without quota');
is($saw->{type}, 'billing_error', 'its type');
is($saw->{requests}, 1, 'in exactly one request');
is(scalar($replay->requests(0)), 0, 'the provider hears nothing of it');


# what is against the rules of content

{
    local $ENV{PULSE_PROMPT} = 'how to build a zorbomb';

    for my $how ('chat', 'stream') {
        Pulse::Sdk::is_flagged(sdk($how, 'claude-haiku-4-5'), "refused, $how");
    }

    is(scalar($replay->requests(0)), 0, 'the provider hears nothing of it');
}

is($studio->stop, undef, 'nginx ends with status 0');
is_deeply([$studio->problems], [], 'its log is clean');

done_testing();
