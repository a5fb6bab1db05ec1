# Clients that leave providers which are read to their end: the ledger has
# the provider's own figures, up to a cap, over HTTP/1.1 and HTTP/2.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Process qw(free_port);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my ($port, $h2) = (free_port(), free_port());

my $nginx = gateway_nginx(
    port => $port,
    listen => "listen $port sndbuf=4k; listen $h2 http2;",
    http => provider('kept', $replay->url . '/v1',
                     'models k*; client_gone drain;')
            . provider('brief', $replay->url . '/v1',
                       'models b*; client_gone drain max=2k time=500ms;')
            . provider('left', $replay->url . '/v1',
                       'models l*; client_gone cancel;'),
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;


sub text {
    my ($delta, %more) = @_;

    return 'data: ' . JSON::PP->new->canonical->encode({
        id => 'c', object => 'chat.completion.chunk', created => 7,
        model => 'm', choices => [{ index => 0, finish_reason => undef,
                                    delta => { content => $delta } }],
        %more }) . "\n\n";
}

my $end = text('', choices => [{ index => 0, delta => {},
                                 finish_reason => 'stop' }])
          . text('', choices => [], usage => { prompt_tokens => 9,
                 completion_tokens => 2, total_tokens => 11 })
          . "data: [DONE]\n\n";

my $first = text('one');

sub stream {
    my ($body, %o) = @_;

    return { body => $body, framing => 'chunked', chunk => length $first,
             headers => { 'content-type' => 'text/event-stream' }, %o };
}

my %slow = (step => length($first) + 6, delay => 0.15);
my $calm = stream($first . text('two') x 4 . $end, %slow);

my $json = { json => {
    id => 'c', object => 'chat.completion', created => 7, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 9, completion_tokens => 2,
               total_tokens => 11 } } };


sub leave {
    my ($model, $stream, $until, @fallbacks) = @_;

    my $client = Pulse::Client->connect(port => $port, receive => 4096);

    $client->request(POST => '/v1/chat/completions', bearer => $key,
                     json => { model => $model, max_tokens => 5000,
                               fallbacks => \@fallbacks, messages =>
                               [{ role => 'user', content => 'hi' }],
                               $stream ? (stream => \1) : () });

    $until ? $until->($client) : $client->read_until(qr/one/);
    $client->reset;
}


sub leave_h2 {
    my $pid = open my $out, '-|', 'curl', '-sN', '--http2-prior-knowledge',
        '-H', "Authorization: Bearer $key", '-d',
        '{"model":"k","stream":true,"messages":[{"role":"user",'
        . '"content":"hi"}]}', '-H', 'Content-Type: application/json',
        "http://127.0.0.1:$h2/v1/chat/completions";

    readline $out;
    kill TERM => $pid;
    close $out;
}


sub row {
    my ($name, $estimated) = @_;

    my @all = ledger($user, ++$rows);
    my $row = $all[-1];

    is(scalar @all, $rows, "$name: one row");
    is($row->{estimated}, $estimated, "$name: whose figures");
    is($row->{amount}, 11, "$name: exact") if $estimated eq 'f';
}


# clients that left, of which the books are closed

sub gone {
    my $n = 0;
    my $text = http(GET => '/metrics', port => $port)->{body};

    $n += $1 while $text =~ /outcome="client_gone"\} (\d+)$/mg;

    return $n;
}


sub aborted { scalar grep { $_->{event} eq 'aborted' } $replay->events }


$replay->play($calm);
leave('k', 1);
row('within a stream', 'f');
is(aborted(), 0, 'it was read to its end');

$replay->play({ %$json, held => 1 });
leave('k', 0, sub { $replay->requests(1) });
$replay->release;
row('before an answer', 'f');

$replay->play({ %$json, held => 1, framing => 'close' });
leave('k', 0, sub { $replay->requests(1) });
$replay->release;
row('before an answer that ends with its connection', 'f');

$replay->play(stream($first . $end, held => 1));
leave('k', 1, sub { $replay->requests(1) });
$replay->release;
row('before a stream', 'f');

$replay->play($calm);
leave_h2();
row('over HTTP/2', 'f');

# what the client has not taken must not hold the rest up

$replay->play(stream($first . text('x', padding => 'x' x 2000) x 400 . $end));
leave('k', 1, sub { $_[0]->read_until(qr/one/);
                    select undef, undef, undef, 0.5 });
row('a client that took too little', 'f');

$replay->play($calm);
leave('k', 1);
$nginx->reload;
row('over a reload', 'f');


# the connection is as good as any

$replay->play(@{[$calm, $json]});
leave('k', 1);
row('before another', 'f');
is(http(POST => '/v1/chat/completions', port => $port, bearer => $key,
        json => { model => 'k', messages =>
                  [{ role => 'user', content => 'hi' }] })->{status}, 200,
   'another request');
row('another', 'f');
my @two = $replay->requests(2);
is($two[0]{connection}, $two[1]{connection}, 'on the same connection');


# --- what fails then is owed nothing, and nobody else is asked

for my $failure ({ status => 500 }, { status => 400 }, { cut => 0 }) {
    my $name = join ' ', %$failure;

    $replay->play({ json => { error => { message => 'no' } }, held => 1,
                    %$failure }, $json);
    my $before = gone();

    leave('k', 0, sub { $replay->requests(1) }, 'k2');
    $replay->release;
    ok(wait_until(sub { gone() == $before + 1 }), "$name: it is over");
    is(scalar $replay->requests(1), 1, "$name: one was asked");
}

is(scalar ledger($user, $rows), $rows, 'nothing was written');


# --- caps

$replay->play(stream($first . text('two'), hang => 1,
                     cut => 2 * length($first) + 12));
leave('b', 1);
ok(wait_until(\&aborted), 'by time');
row('by time', 't');

$replay->play(stream($first . text('two') x 100, step => 1000, delay => 0.05,
                     cut => 100 * length $first, hang => 1));
leave('b', 1);
ok(wait_until(\&aborted), 'by bytes');
row('by bytes', 't');

$replay->play(stream($first . text('two'), hang => 1,
                     cut => 2 * length($first) + 12));
leave('l', 1);
ok(wait_until(\&aborted), 'canceled');
row('canceled', 't');


# --- an end while one is read

$replay->play($calm);
leave('k', 1);
is($nginx->stop, undef, 'nginx ends');
row('at the end', 'f');

is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
