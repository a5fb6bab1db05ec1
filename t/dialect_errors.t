# Errors of providers, recorded and made up, to clients of every dialect: the
# status, the words of the client's dialect, Retry-After, whether to try
# again, and nothing that is the provider's own business.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use JSON::PP ();
use Pulse::Answers qw(answer);
use Pulse::Client qw(sse_events);
use Pulse::Dialect qw(ask group_of played understood);
use Pulse::Gateway qw(gateway_nginx provider);
use Pulse::Matrix;
use Pulse::Replay;
use Test::More;

my $manifest = Pulse::Replay::manifest();
my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai responses anthropic gemini);

$ENV{PULSE_TEST_KEY} = 'sk-secret-of-ours';


# What the provider says, what the client is told: its own mistakes with the
# reason, the rest as a provider that is not there.

my @errors = (
    [400, 'invalid_request_error', 400], [401, 'authentication_error', 503],
    [402, 'billing_error', 503], [403, 'permission_error', 503],
    [404, 'not_found_error', 404], [413, 'request_too_large', 413],
    [429, 'rate_limit_error', 503], [500, 'api_error', 503],
    [503, 'overloaded_error', 503], [529, 'overloaded_error', 503],
);

# one provider for each: they are left alone once they failed too often

my $nginx = gateway_nginx(http => join '', map {
    my $dialect = $_;

    map { provider("${dialect}_$_", "$url/$dialect", <<"MORE") }
        dialect $dialect;
        models $dialect-$_-*;
        key env:PULSE_TEST_KEY;
MORE
        'recorded', 'stream', map { $_->[0] } @errors;
} @dialects)->run;

my $key = make_key(make_user(plan => 'creator', tokens => 1_000_000_000));

my $matrix = Pulse::Matrix->new('errors', [
    (map { $_->[0] => "$_->[0], answered as $_->[2]" } @errors),
    recorded => 'recorded errors',
    stream   => 'an error inside of a stream',
], providers => \@dialects, partial => !Pulse::Replay::recordings());


# Each provider's body of an error.

my %body = (
    openai => sub { { error => { message => $_[2], type => $_[1],
                                 param => undef, code => undef } } },
    anthropic => sub { { type => 'error', request_id => 'req_1',
                         error => { type => $_[1], message => $_[2] } } },
    gemini => sub { { error => {
        code => $_[0], message => $_[2],
        status => $_[0] == 404 ? 'NOT_FOUND' : $_[0] < 429
                  ? 'INVALID_ARGUMENT' : 'UNAVAILABLE' } } },
);
$body{responses} = $body{openai};


# What clients of a dialect know it by.

my %type = (
    openai => { 400 => 'invalid_request_error|.*error',
                404 => '.*error', 413 => '.*', 503 => '.*unavailable.*' },
    anthropic => { 400 => 'invalid_request_error', 404 => 'not_found_error',
                   413 => 'request_too_large', 503 => 'overloaded_error' },
    gemini => { 400 => 'INVALID_ARGUMENT', 404 => 'NOT_FOUND',
                413 => 'INVALID_ARGUMENT', 503 => 'UNAVAILABLE' },
    studio => { 400 => 'INVALID_REQUEST', 404 => 'MODEL_NOT_FOUND',
                413 => 'REQUEST_TOO_LARGE', 503 => 'PROVIDER_UNAVAILABLE' },
);
$type{responses} = $type{openai};


sub shape {
    my ($to, $reply, $status, $name) = @_;

    my $error = $reply->{json}{error} // {};
    my $type = $to eq 'gemini' ? $error->{status}
               : $to eq 'studio' ? $error->{code} : $error->{type};
    my $ok = is($reply->{status}, $status, "$name: its status")
        && like($type, qr/^(?:$type{$to}{$status})$/, "$name: its type")
        && ok(length $error->{message}, "$name: says why");

    $ok &&= is($reply->{json}{type}, 'error', "$name: its shape")
        if $to eq 'anthropic';
    $ok &&= is($error->{code}, $status, "$name: its code")
        if $to eq 'gemini';

    diag substr $reply->{body}, 0, 400 if !$ok;

    return $ok;
}


for my $from (@dialects) {
    for my $case (@errors) {
        my ($status, $type, $told) = @$case;
        my $secret = ' of sk-secret-of-ours in org-7Xq2';

        for my $to (Pulse::Matrix::clients()) {
            my $name = "$status of $from to $to";

            $replay->play({
                status => $status, headers => { 'retry-after' => 7,
                    'openai-organization' => 'org-7Xq2',
                    'anthropic-organization-id' => 'org-7Xq2' },
                json => $body{$from}->($status, $type, "why$secret"),
            });

            my $reply = ask($to, $nginx->port, $key,
                            model => "$from-$status-1");
            my $ok = shape($to, $reply, $told, $name);

            $ok &= unlike("$reply->{raw}$reply->{body}", qr/secret|7Xq2/,
                          "$name: nothing of the provider's own");
            $ok &= is($reply->{headers}{'retry-after'}, 7,
                      "$name: Retry-After") if $status =~ /^(?:429|5)/;
            $ok &= like($reply->{body}, qr/why/, "$name: the reason")
                if $status == 400 || $status == 413;

            $matrix->seen($to, $from, $status, 'pass') if $ok;
        }
    }
}


# the recorded ones: of the same kinds

for my $file (sort grep { group_of($_) && !/^openai-compat/ }
              keys %$manifest)
{
    my $status = $manifest->{$file}{status};
    my $from = group_of($file);
    my ($case) = grep { $_->[0] == $status } @errors;

    next if $status < 400 || !$case;

    # Google's 400 for a key that is none: ours

    my $told = $file =~ /auth_error/ ? 503 : $case->[2];

    for my $to (Pulse::Matrix::clients()) {
        my $name = "$file to $to";

        $replay->play(played($file));

        my $reply = ask($to, $nginx->port, $key,
                        model => "$from-recorded-1");

        $matrix->seen($to, $from, 'recorded', 'pass', recorded => 1)
            if shape($to, $reply, $told, $name);
    }
}


# a stream that begins well and ends with an error

my $why = 'why of sk-secret-of-ours in org-7Xq2';

my %event = (
    openai => sub { undef, { error => { message => $why,
                                        type => 'server_error' } } },
    anthropic => sub { 'error', { type => 'error', error => {
                         type => 'overloaded_error', message => $why } } },
    gemini => sub { undef, { error => { code => 503, message => $why,
                                        status => 'UNAVAILABLE' } } },
    responses => sub { 'error', { type => 'error', code => 'server_error',
                                  message => $why,
                                  sequence_number => 99 } },
);

# a stream that begins well and ends as one of these says; the event that
# tells the client of it, and the client's answer

sub ends {
    my ($from, $to, $event) = @_;

    my $whole = answer($from, { text => 'half of it' }, stream => 1);
    my ($name, $data) = $event->();
    my @events = split /(?<=\n\n)/, $whole->{body};

    $whole->{body} = join('', @events[0 .. 4])
                     . (defined $name ? "event: $name\n" : '')
                     . 'data: ' . JSON::PP->new->encode($data) . "\n\n";

    $replay->play($whole);

    my $reply = ask($to, $nginx->port, $key, stream => 1,
                    model => "$from-stream-1");
    my ($error) = grep { $_->{json}
                         && ($_->{json}{error}
                             || ($_->{json}{type} // '')
                                =~ /^error$|failed$/) }
                  sse_events($reply->{body});

    return ($error, $reply);
}

for my $from (@dialects) {
    for my $to (Pulse::Matrix::clients()) {
        my $name = "an error in a stream of $from to $to";
        my ($error, $reply) = ends($from, $to, $event{$from});

        $matrix->seen($to, $from, 'stream', 'pass')
            if is($reply->{status}, 200, "$name: it began")
                && ok($reply->{complete}, "$name: has an end")
                && ok($error, "$name: is told")
                && like($reply->{body}, qr/why of/, "$name: and why")
                && unlike($reply->{body}, qr/secret|7Xq2/,
                          "$name: nothing of the provider's own")
                && is(understood($to, $reply, 1), undef,
                      "$name: not taken for whole")
                || diag substr $reply->{body}, -500;
    }
}

# what the studio owes is none of its users' business

my %owed = (
    openai => sub { undef, { error => { message => 'why not pay',
                     type => 'insufficient_quota',
                     code => 'insufficient_quota' } } },
    anthropic => sub { 'error', { type => 'error', error => {
                     type => 'billing_error', message => 'why not pay' } } },
    gemini => sub { undef, { error => { code => 402, status => 'UNKNOWN',
                     message => 'why not pay' } } },
    responses => sub { 'error', { type => 'error', sequence_number => 99,
                     code => 'insufficient_quota',
                     message => 'why not pay' } },
);

for my $from (@dialects) {
    for my $to (Pulse::Matrix::clients()) {
        my $name = "money in a stream of $from to $to";
        my ($error, $reply) = ends($from, $to, $owed{$from});

        ok($reply->{complete}, "$name: has an end");
        ok($error, "$name: is told") or diag $reply->{body};
        unlike($reply->{body}, qr/why not pay|insufficient_quota|billing/,
               "$name: not of what");
        like($reply->{body}, qr/UNAVAILABLE|not available now/,
             "$name: as of a provider that is not there");
        is(understood($to, $reply, 1), undef, "$name: not taken for whole");
    }
}


# without recordings there is nothing behind their row

if (!Pulse::Replay::recordings()) {
    for my $to (Pulse::Matrix::clients()) {
        $matrix->seen($to, $_, 'recorded', 'pass', recorded => 1)
            for @dialects;
    }
}

$matrix->check;

is($nginx->stop, undef, 'nginx ends');

done_testing();
