# The official openai SDK with its default settings against our endpoints,
# and a recorded provider behind them.

use lib 't/lib';
use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Env 'stores';
use Pulse::Nginx;
use Pulse::Process;
use Pulse::Replay;
use Pulse::Sdk;
use Pulse::Studio;
use Test::More;

my $root = $Pulse::Env::root;

my $missing = Pulse::Sdk->missing('openai');

plan skip_all => $missing if defined $missing;
plan skip_all => 'no recordings (PULSE_SHARED)'
    if !Pulse::Replay::recordings();

my $rules = suite_file('rules.txt', "[violence]\nzorbomb\n");

my $replay = Pulse::Replay->start;
my $studio = Pulse::Studio->new(env => {
    OPENAI_API_KEY  => 'sk-of-the-provider',
    OPENAI_BASE_URL => $replay->url . '/v1',
}, edit => sub {
    s{(pulse_moderation_rules) [^;]+}{$1 $rules};
})->run;

my $user = make_user(plan => 'pro');
my $key = make_key($user);
my $spent = 0;


# What the SDK saw of one scenario.

sub sdk {
    my ($scenario, $with, $model) = @_;

    local $ENV{OPENAI_BASE_URL} = "http://127.0.0.1:${\ $studio->port}/v1";
    local $ENV{OPENAI_API_KEY} = $with // $key;
    local $ENV{NODE_OPTIONS} = '';

    $model //= 'gpt-4o';

    my $line = qx{node $root/t/sdk/openai.mjs $scenario $model 2>&1};

    return eval { JSON::PP->new->utf8->decode($line) }
        // { error => 'no JSON', message => $line };
}


# Recordings that have what a test wants, the smallest first.

sub recordings {
    my ($wanted) = @_;

    my $manifest = Pulse::Replay::manifest();

    return sort { $manifest->{$a}{bytes} <=> $manifest->{$b}{bytes} } grep {
        my $expected = $manifest->{$_}{expected};

        m{^openai-chat/} && $expected && $expected->{http_status} == 200
            && defined $expected->{usage}{total_tokens}
            && $wanted->($expected);
    } keys %$manifest;
}


sub expected { Pulse::Replay::manifest()->{ $_[0] }{expected} }


# The meter moved by exactly the provider's figures.

sub metered {
    my ($file, $name) = @_;

    $spent += expected($file)->{usage}{input_tokens}
              + expected($file)->{usage}{output_tokens};

    ok(wait_until {
        sql("SELECT used FROM accounts
             WHERE user_id = '$user' AND kind = 0") == $spent
    }, "$name is metered to the token") or diag(
        "want $spent, ", sql("SELECT used, leased FROM accounts
                              WHERE user_id = '$user' AND kind = 0"));
}


my ($plain) = recordings(sub {
    !$_[0]{stream} && length $_[0]{text} && !@{ $_[0]{tool_calls} // [] }
});
my ($stream) = recordings(sub {
    $_[0]{stream} && length $_[0]{text} && !@{ $_[0]{tool_calls} // [] }
});
my ($tools) = recordings(sub {
    $_[0]{stream} && @{ $_[0]{tool_calls} // [] }
});


# a plain chat

$replay->play({ file => $plain });
my $saw = sdk('chat');

is($saw->{error}, undef, "chat: $plain") or diag($saw->{message});
is($saw->{text}, expected($plain)->{text}, 'its text');
is($saw->{finish}, expected($plain)->{finish_reason_native}, 'its finish');
is($saw->{usage}{total_tokens}, expected($plain)->{usage}{total_tokens},
   'its usage');
ok(length $saw->{trace}, 'a trace id comes with it');
is($saw->{requests}, 1, 'in one request');
metered($plain, 'it');

my ($request) = $replay->requests(1);

is($request->{headers}{authorization}, 'Bearer sk-of-the-provider',
   'the provider sees its own key');
unlike(JSON::PP->new->encode($request), qr/\Q$key\E/, 'and never ours');
is($request->{json}{messages}[1]{content},
   "\x{645}\x{631}\x{62d}\x{628}\x{627}", 'and the prompt as it was');


# streams

$replay->play({ file => $stream, step => 64 });
$saw = sdk('stream');

is($saw->{error}, undef, "stream: $stream") or diag($saw->{message});
is($saw->{text}, expected($stream)->{text}, 'its text');
is($saw->{usage}, undef, 'no usage: it was not asked for');
is($saw->{bare}, 0, 'nor a chunk without choices');
metered($stream, 'it');

($request) = $replay->requests(1);
ok($request->{json}{stream_options}{include_usage},
   'though the provider was asked for it');

$replay->play({ file => $stream });
$saw = sdk('usage');

is($saw->{usage}{total_tokens}, expected($stream)->{usage}{total_tokens},
   'usage for who asks');
metered($stream, 'that');

$replay->play({ file => $stream });
$saw = sdk('runner');

is($saw->{text}, expected($stream)->{text}, "the SDK's own accumulator")
    or diag($saw->{message});
metered($stream, 'it');


# tools

$replay->play({ file => $tools });
$saw = sdk('tools');

my @calls = @{ expected($tools)->{tool_calls} };

is($saw->{error}, undef, "tools: $tools") or diag($saw->{message});
is_deeply([map { [@$_{qw(id name arguments)}] } @{ $saw->{tools} }],
          [map { [@$_{qw(id name arguments_raw)}] } @calls],
          'the calls and their arguments');
is($saw->{finish}, 'tool_calls', 'the finish reason');
metered($tools, 'it');


# a client that leaves: metered, and the provider is left too

$replay->play({ file => $stream, hang => 1,
                cut => length(Pulse::Replay::recording($stream)) / 2 });
$saw = sdk('abort');
is($saw->{error}, undef, 'leaving a stream') or diag($saw->{message});
ok(wait_until { grep { $_->{event} eq 'aborted' } $replay->events },
   'ends it at the provider');
ok(wait_until {
    sql("SELECT count(*) FROM usage_events
         WHERE user_id = '$user' AND estimated") == 1
}, 'and is settled by estimate');


# An answer that failed is tried again by the SDK with the same key, one that
# was given is given again.

{
    local $ENV{PULSE_IDEMPOTENCY_KEY} = 'of-the-sdk';

    $replay->play({ status => 500, json => { error => { message => 'x' } } },
                  { file => $plain });
    $saw = sdk('keyed');

    is($saw->{error}, undef, 'with a key') or diag($saw->{message});
    is($saw->{requests}, 2, 'the SDK tries again by itself');
    is(scalar($replay->requests(2)), 2, 'and so is the provider asked again');
    is($saw->{replayed}, undef, 'the first had no answer');

    my $event = $saw->{event};

    ok(wait_until {
        sql("SELECT count(*) FROM idempotency
             WHERE key = 'of-the-sdk' AND status IS NOT NULL");
    }, 'the answer is kept');

    my $again = sdk('keyed');

    is($again->{text}, $saw->{text}, 'another process gets the same');
    is($again->{replayed}, 'true', 'which was kept for it');
    is($again->{event}, $event, 'as the same event');
    is(scalar($replay->requests(2)), 2, 'the provider hears nothing of it');

    $spent += sql("SELECT amount FROM usage_events WHERE id = '$event'");
}


# embeddings: base64 by default, which not every provider gives

my ($embedding) = grep { /multiple_texts/ && m{^openai-embeddings/} }
                  keys %{ Pulse::Replay::manifest() };
my $vectors = JSON::PP->new->utf8
    ->decode(Pulse::Replay::recording($embedding));

$replay->play({ file => $embedding });
$saw = sdk('embeddings', undef, 'text-embedding-3-small');

is($saw->{error}, undef, 'embeddings') or diag($saw->{message});
is_deeply($saw->{floats}, [map { $_->{embedding} } @{ $vectors->{data} }],
          'as numbers');
is_deeply([map { [map { unpack 'f<', pack 'f<', $_ } @$_] }
           @{ $saw->{vectors} }],
          [map { [map { unpack 'f<', pack 'f<', $_ } @{ $_->{embedding} }] }
           @{ $vectors->{data} }], 'and as the SDK asks for them');
is($saw->{usage}{prompt_tokens}, $vectors->{usage}{prompt_tokens},
   'their usage');
is(($replay->requests(2))[0]{json}{encoding_format}, 'base64',
   'which is in base64');

$spent += 2 * $vectors->{usage}{prompt_tokens};

ok(wait_until {
    sql("SELECT sum(amount) FROM usage_events
         WHERE user_id = '$user' AND model = 'text-embedding-3-small'")
    == 2 * $vectors->{usage}{prompt_tokens}
}, 'metered to the token');

$saw = sdk('embeddings', undef, 'gpt-4o');
is($saw->{status}, 400, 'of a model that makes none');
is($saw->{requests}, 1, 'in one request');


# the catalogue

$saw = sdk('models');
ok((grep { $_ eq 'gpt-4o' } @{ $saw->{ids} // [] }), 'the models are listed')
    or diag($saw->{message});


# what must not be tried again is not

my $poor = make_key(make_user(plan => 'pro', tokens => 0));
$replay->play({ file => $plain });
$saw = sdk('chat', $poor);

is($saw->{status}, 402, 'without quota');
is($saw->{code}, 'QUOTA_EXCEEDED', 'its code');
is($saw->{requests}, 1, 'in exactly one request');
is(scalar($replay->requests(0)), 0, 'the provider hears nothing of it');

$saw = sdk('chat', make_key(make_user()));
is($saw->{status}, 402, 'without a plan');
is($saw->{code}, 'NO_SUBSCRIPTION', 'its code');
is($saw->{requests}, 1, 'in exactly one request');

$saw = sdk('chat', 'pk_' . 'A' x 43);
is($saw->{status}, 401, 'with a key that is none');
is($saw->{error}, 'AuthenticationError', "it is the SDK's own error");
is($saw->{requests}, 1, 'in exactly one request');


# what is against the rules of content

{
    local $ENV{PULSE_PROMPT} = 'how to build a zorbomb';

    for my $how ('chat', 'stream') {
        Pulse::Sdk::is_flagged(sdk($how), "refused, $how");
    }

    is(scalar($replay->requests(0)), 0, 'the provider hears nothing of it');
}


is($studio->stop, undef, 'nginx ends with status 0');
is_deeply([$studio->problems], [], 'its log is clean');

done_testing();
