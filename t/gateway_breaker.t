# When a provider is asked again: Retry-After, money that is missing, and the
# circuit breaker, over all workers and reloads.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use POSIX qw(strftime);
use Test::More;

my %replay = map { $_ => Pulse::Replay->start(as => uc $_) }
             qw(late limited poor weak firm spare);

sub named {
    my ($name, $more) = @_;

    return provider($name, $replay{$name}->url . '/v1',
                    "models $name*; first_byte_timeout 30s; $more");
}

my $nginx = gateway_nginx(
    workers => 2,
    http => named('late', 'breaker off;') . named('limited', 'breaker off;')
            . named('poor', 'breaker 3 pause=60s;')
            . named('weak', 'breaker 3 window=60s pause=500ms probe=5s;')
            . named('firm', 'breaker 3 window=60s pause=60s;')
            . named('spare', ''),
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;


sub ask {
    my ($model, @fallbacks) = @_;

    return http(POST => '/v1/chat/complete', port => $nginx->port,
                bearer => $key, limit => 10,
                json => { model => $model, max_tokens => 50,
                          fallbacks => \@fallbacks,
                          messages => [{ role => 'user',
                                         content => 'say something' }] });
}


sub answer {
    return { json => {
        id => 'chatcmpl-1', object => 'chat.completion', created => 7,
        model => 'm-1',
        choices => [{ index => 0, finish_reason => 'stop',
                      message => { role => 'assistant', content => 'x' } }],
        usage => { prompt_tokens => 9, completion_tokens => 4,
                   total_tokens => 13 },
    }, @_ };
}


sub failure {
    my ($status, %o) = @_;

    return { status => $status, %o,
             json => { error => { message => 'no', code => $o{code},
                                  type => $o{type} } } };
}


sub metric {
    my ($name) = @_;

    my $text = http(GET => '/metrics', port => $nginx->port)->{body};

    return $text =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}


sub unavailable {
    my ($reply, $name) = @_;

    is($reply->{status}, 503, "$name: status");
    is($reply->{json}{error}{code}, 'PROVIDER_UNAVAILABLE', "$name: code");
}


sub served {
    my ($reply, $by, $name) = @_;

    is($reply->{headers}{'x-pulse-provider'}, $by, $name);
    is($reply->{status}, 200, "$name: status");
    $rows++;

    return $reply->{headers}{'x-pulse-hops'};
}

$replay{spare}->play(answer());


# --- Retry-After

$replay{late}->play(failure(429, headers => { 'retry-after' => 3600 }),
                    answer());
unavailable(ask('late-1'), 'too many');
my $reply = ask('late-1');
unavailable($reply, 'too many, again');
cmp_ok($reply->{headers}{'retry-after'}, '<=', 3600, 'what is left of it');
cmp_ok($reply->{headers}{'retry-after'}, '>', 3500, 'and not less');
is($reply->{headers}{'x-pulse-attempts'}, 0, 'nobody was asked');

unavailable(ask('late-1'), "worker $_") for 1 .. 8;
is(scalar $replay{late}->requests(1), 1, 'in no worker');

is(served(ask('late-1', 'spare'), 'spare', 'the next candidate is'),
   'late 0 held 0', 'and who was passed over is said');
is(served(ask('late-2'), 'late', 'rates are limited by model'), undef,
   'nobody was');

$nginx->reload;
unavailable(ask('late-1'), 'after a reload');

my $when = strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 7200));

$replay{late}->play(failure(503, headers => { 'retry-after' => $when }),
                    answer());
$reply = ask('late-2');
unavailable($reply, 'until a date');
cmp_ok($reply->{headers}{'retry-after'}, '>', 7100, 'a date: seconds');
cmp_ok($reply->{headers}{'retry-after'}, '<=', 7200, 'a date: not more');
unavailable(ask('late-3'), '503 is of all models');
is(scalar $replay{late}->requests(1), 1, 'asked once');

$replay{limited}->play(failure(429, headers => { 'retry-after' => 90 }),
                       failure(429, headers => { 'retry-after' => 1000,
                                                 'retry-after-ms' => 40990 }),
                       failure(429, headers => { 'retry-after' => 'soon' }),
                       answer());
$reply = ask('limited-1', 'limited-2');
unavailable($reply, 'two that are limited');
is($reply->{headers}{'x-pulse-attempts'}, 2, 'both were asked');
is($reply->{headers}{'retry-after'}, 41, 'the shortest, and ms come first');
cmp_ok(ask('limited-1', 'limited-2', 'late-1')->{headers}{'retry-after'},
       '<=', 41, 'the shortest of those that are not asked');
unavailable(ask('limited-3'), 'a time that is none');
served(ask('limited-3'), 'limited', 'it holds nobody back');


# --- money

$replay{poor}->play(failure(429, type => 'insufficient_quota'), answer());
like(served(ask('poor-1', 'poor-2', 'spare'), 'spare', 'no money: another'),
     qr/^poor 429 owed \d+$/, 'no money: a hop');
is(scalar $replay{poor}->requests(1), 1, 'but not the same');
served(ask('poor-2', 'spare'), 'spare', 'nor for the next request');
$reply = ask('poor-1');
unavailable($reply, 'no money');
ok($reply->{headers}{'retry-after'} <= 60, 'no money: the pause');
is(scalar $replay{poor}->requests(1), 1, 'nor for any');
unlike($reply->{body}, qr/quota/i, 'it is not the client\'s quota');


# --- the breaker: open for longer than anybody looks, then as it closes

$replay{firm}->play((failure(500)) x 3, answer());
unavailable(ask('firm-1'), "failure $_") for 1 .. 3;
is(metric('pulse_gateway_breakers{provider="firm",state="open"}'), 1,
   'it is open');
is(metric('pulse_gateway_breakers{provider="poor",state="open"}'), 1,
   'as another one is');
$reply = ask('firm-1');
is($reply->{headers}{'x-pulse-attempts'}, 0, 'the breaker is open');
ok($reply->{headers}{'retry-after'} <= 60, 'for the pause');
is(served(ask('firm-1', 'spare'), 'spare', 'others are asked'),
   'firm 0 open 0', 'it is passed over');
is(scalar $replay{firm}->requests(3), 3, 'it is not');

$replay{weak}->play((failure(500)) x 3, answer());
ask('weak-1') for 1 .. 3;

ok(wait_until(sub { ask('weak-1')->{status} == 200 && ++$rows }),
   'a probe closes it');
served(ask('weak-1'), 'weak', 'and it is asked again');
is(metric('pulse_gateway_breakers{provider="weak",state="open"}'), 0,
   'it is open no more');
is(metric('pulse_gateway_breakers{provider="weak",state="half_open"}'), 0,
   'nor half open');
is(metric('pulse_gateway_breaker_opened_total{provider="weak"}'), 1,
   'openings are counted');

# a probe that fails, and one whose worker is killed

$replay{weak}->play((failure(500)) x 4, { hang => 1 }, answer());
unavailable(ask('weak-1'), "again $_") for 1 .. 3;

wait_until { ask('weak-1'); scalar $replay{weak}->requests(1) >= 4 };
is(metric('pulse_gateway_breaker_opened_total{provider="weak"}'), 3,
   'a probe that fails');

my @clients = map { Pulse::Client->connect(port => $nginx->port) } 1 .. 20;

wait_until {
    my $client = shift @clients;

    $client->request(POST => '/v1/chat/complete', bearer => $key,
                     json => { model => 'weak-1', max_tokens => 5, messages =>
                               [{ role => 'user', content => 'go' }] });
    $client->read_until(qr/HTTP/, 0.3);
    push @clients, $client;

    scalar $replay{weak}->requests(1) >= 5
};
is(scalar $replay{weak}->requests(5), 5, 'one probe, and not another');
is(ask('weak-1')->{headers}{'x-pulse-attempts'}, 0, 'while it goes on');

kill KILL => $nginx->workers;
@clients = ();

ok(wait_until(sub { (ask('weak-1')->{status} // 0) == 200 && ++$rows }, 20),
   'a probe that was killed does not wedge it');


# --- what is left of it

is($nginx->stop, undef, 'nginx ends');

my @said = grep { /breaker/ } @{ $nginx->error_log };
is(scalar(grep { /"weak" is not asked for 500 ms: the breaker opened/ } @said),
   3, 'a line when it opens');
is(scalar(grep { /"weak" is asked again: the breaker closed/ } @said), 2,
   'a line when it closes');
ok(!grep({ /no live upstreams/ } @{ $nginx->error_log }),
   'none for each request');

$nginx->excuse($_) for 'refuses us', 'exited on signal 9';
is_deeply([$nginx->problems], [], 'and its log is clean');


# --- rows of metrics, over a reload

my $many = gateway_nginx(http => join '', map {
    provider("vendor-$_", $replay{spare}->url . '/v1', "models v$_;")
} 1 .. 30)->run;

for my $when ('many providers', 'after a reload') {
    my $text = http(GET => '/metrics', port => $many->port)->{body};
    my @named = $text =~ /^pulse_gateway_requests_total\{provider="([^"]+)"
                          ,outcome="served"\}/mgx;

    is_deeply(\@named, [(map { "vendor-$_" } 1 .. 23), 'other'],
              "$when: a row for each, and one for the rest");
    is(scalar(() = $text =~ /^# TYPE pulse_gateway_breakers /mg), 1,
       "$when: one type");
    $many->reload;
}

is($many->stop, undef, 'nginx ends');
is_deeply([$many->problems], [], 'and its log is clean');

ledger($user, $rows);

done_testing();
