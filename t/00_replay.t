# The replay server and the client by hand, which other suites lean on.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env;
use Pulse::Client qw(http http2 sse_events);
use Pulse::Nginx;
use Pulse::Process;
use Pulse::Replay;
use Test::More;
use Time::HiRes qw(time);

my $replay = Pulse::Replay->start(answers => {
    named => { json => { a => 1 } },
});


sub get { http(GET => $_[0], port => $replay->port, limit => 3) }


my $answer = get('/@named/x');

is($answer->{status}, 200, 'a named answer');
is_deeply($answer->{json}, { a => 1 }, 'its body');

$replay->play({ status => 529, body => 'busy' }, { body => 'fine' });

is(get('/x')->{status}, 529, 'the first of two');
is(get('/x')->{body}, 'fine', 'the second of two');
is(get('/x')->{body}, 'fine', 'which repeats');
is(scalar($replay->requests(3)), 3, 'three requests were noted');

$replay->play({ body => 'abcdef', framing => 'chunked', step => 1 });
$answer = get('/x');
is($answer->{body}, 'abcdef', 'one byte a write');
ok($answer->{complete}, 'and whole');

$replay->play({ body => 'abcdef', cut => 3 });
$answer = get('/x');
is($answer->{body}, 'abc', 'cut at a byte');
ok(!$answer->{complete}, 'which shows');

$replay->play({ body => 'abcdef', cut => 3, reset => 1 });
ok(!get('/x')->{complete}, 'cut by a reset');

$replay->play({ body => 'abcdef', framing => 'close' });
is(get('/x')->{body}, 'abcdef', 'delimited by the close');

$replay->play({ raw => "no HTTP at all\r\n\r\n" });
is(get('/x')->{status}, '', 'garbage');

$replay->play({ hang => 1 });
my $client = Pulse::Client->connect(port => $replay->port);
$client->request(POST => '/y', json => { b => "\x{645}" });
is($client->read_some(0.2), undef, 'silence');
is(($replay->requests(1))[0]{json}{b}, "\x{645}", 'the request is noted');
$client->leave;
ok(wait_until { grep { $_->{event} eq 'aborted' } $replay->events },
   'and that the client left');

$replay->play({ body => "data: 1\n\ndata: [DONE]\n\n",
                headers => { 'content-type' => 'text/event-stream' } });
my @events = sse_events(get('/x')->{body});
is(scalar @events, 2, 'events of a stream');
is($events[1]{data}, '[DONE]', 'the last one');


SKIP: {
    skip 'no recordings (PULSE_SHARED)', 2 if !Pulse::Replay::recordings();

    my ($file) = sort grep { /^openai-chat\/.*\.sse$/ }
                      keys %{ Pulse::Replay::manifest() };

    $replay->play({ file => $file, step => 7 });
    $answer = get('/v1/chat/completions');
    is($answer->{body}, Pulse::Replay::recording($file), $file);
    like($answer->{headers}{'content-type'}, qr/^text\/event-stream/,
         'its content type');
}


my $secure = Pulse::Replay->start(tls => 1, as => 'SECURE');
$secure->play({ body => 'over TLS' });
my $url = "https://replay.test:${\ $secure->port}/";
my @curl = ('curl', '-sS', '--cacert', $secure->ca_file, '--resolve',
            "replay.test:${\ $secure->port}:127.0.0.1");
is(qx{@curl $url}, 'over TLS', 'TLS with our authority');


my $port = Pulse::Process::free_port();
my $nginx = Pulse::Nginx->new(port => $port, listen => "listen $port http2;",
    config => 'location = /a { return 200 "$server_protocol $http_x_b\n"; }'
)->run;

$answer = http2(GET => '/a', port => $port, headers => { 'X-B' => 'c' });
is($answer->{body}, "HTTP/2.0 c\n", 'HTTP/2');
is($answer->{status}, 200, 'its status');

ok($nginx->reload, 'a reload');
is($nginx->stop, undef, 'nginx ends with status 0');
is_deeply([$nginx->problems], [], 'its log is clean');

done_testing();
