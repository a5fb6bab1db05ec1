# A provider that takes no notice of a limit: the stream ends at the grant as
# the client's dialect ends one, whatever the provider speaks.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Dialect qw(ask understood);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;
my $url = $replay->url;
my @dialects = qw(openai anthropic gemini responses);
my $json = JSON::PP->new->canonical->utf8;

my $nginx = gateway_nginx(
    http => join('', map {
        provider($_, "$url/$_", "dialect $_; models $_-*;")
    } @dialects),
)->run;

my $user = make_user(plan => 'creator', tokens => 1_000_000);
my $key = make_key($user);
my %rows;


# --- streams as each provider writes them

sub sse {
    my ($name, $data) = @_;

    return ($name ? "event: $name\n" : '') . 'data: '
           . $json->encode($data) . "\n\n";
}


sub openai {
    return map {
        sse(undef, { id => 'c', object => 'chat.completion.chunk',
                     created => 7, model => 'm',
                     choices => [{ index => 0, finish_reason => undef,
                                   delta => { content => $_ } }] })
    } @_;
}


sub anthropic {
    return (
        sse(message_start => { type => 'message_start', message => {
            id => 'msg_1', type => 'message', role => 'assistant',
            model => 'm', content => [], stop_reason => undef,
            stop_sequence => undef,
            usage => { input_tokens => 9, output_tokens => 1 } } }),
        sse(content_block_start => {
            type => 'content_block_start', index => 0,
            content_block => { type => 'text', text => '' } }),
        map {
            sse(content_block_delta => {
                type => 'content_block_delta', index => 0,
                delta => { type => 'text_delta', text => $_ } })
        } @_);
}


sub gemini {
    return map {
        sse(undef, { candidates => [{ index => 0, content => {
            role => 'model', parts => [{ text => $_ }] } }],
            modelVersion => 'm', responseId => 'r' })
    } @_;
}


sub responses {
    my $n = 0;
    my %response = (id => 'resp_1', object => 'response', created_at => 7,
                    model => 'm', output => [], status => 'in_progress');
    my %item = (id => 'msg_1', type => 'message', role => 'assistant',
                status => 'in_progress', content => []);
    my %part = (output_index => 0, item_id => 'msg_1', content_index => 0);

    return map {
        sse($_->{type}, { %$_, sequence_number => $n++ })
    } ({ type => 'response.created', response => \%response },
       { type => 'response.output_item.added', output_index => 0,
         item => \%item },
       { type => 'response.content_part.added', %part,
         part => { type => 'output_text', text => '', annotations => [] } },
       map { { type => 'response.output_text.delta', %part, delta => $_ } }
       @_);
}


sub stream {
    my ($from, @texts) = @_;

    my $body = join '', main->can($from)->(@texts);

    # it would go on

    return { body => $body . ': on', cut => length $body, hang => 1,
             framing => 'close',
             headers => { 'content-type' => 'text/event-stream' } };
}


# what a client of "to" understood of it, and the row that it left

sub answer {
    my ($from, $to, $by, %o) = @_;

    my $reply = ask($to, $nginx->port, $by->{key}, stream => 1,
                    model => "$from-m", %o);

    my @rows = ledger($by->{user}, ++$rows{ $by->{user} });

    return ($reply, understood($to, $reply, 1), $rows[-1]);
}


my $rich = { user => $user, key => $key };

for my $from (@dialects) {
    for my $to (@dialects) {
        subtest "$from to $to" => sub {
            my @words = map { "word$_ " } 1 .. 40;

            $replay->play(stream($from, @words));

            my ($reply, $got, $row) = answer($from, $to, $rich, max => 5);

            ok($got, 'a whole answer') or diag($reply->{body});
            is($got->{finish}, 'length', 'that ended at its limit');
            is($got->{text}, join('', @words[0 .. 4]), 'with what it covers');
            is($got->{usage}[1], $row->{output}, 'and with its usage');
            is($row->{estimated}, 't');
            cmp_ok($row->{output}, '<=', 5, 'no token more is charged');
            ok(!$reply->{headers}{'x-usage-clamped'},
               'the limit was the client\'s');
        };
    }
}


# many words in one event: the text itself says that it is past the limit

for my $from (@dialects) {
    my ($to) = grep { $_ ne $from } @dialects;

    $replay->play(stream($from, 'a ', 'few words more ' x 200, 'b ', 'c '));

    my ($reply, $got, $row) = answer($from, $to, $rich, max => 50);

    is($got->{finish}, 'length', "$from: few events, much text");
    unlike($reply->{body}, qr/"[bc] /, "$from: nothing after it");
    is($row->{output}, 50);
}


# what is left decides, also where that is less than was asked for

for my $to (@dialects) {
    my $left = make_user(plan => 'pro', tokens => 60);
    my $mine = { user => $left, key => make_key($left) };

    $replay->play(stream($to, map { "word$_ " } 1 .. 90));

    my ($reply, $got, $row) = answer($to, $to, $mine, max => 1000);
    my $most = $reply->{headers}{'x-usage-clamped'};

    cmp_ok($most, '<', 60, "$to: the limit is lowered to what is left");
    is($got->{finish}, 'length', "$to: where the stream ends");
    is(scalar(() = $got->{text} =~ /word/g), $most);
    cmp_ok($row->{amount}, '<=', 60, "$to: nothing past the plan");

    my ($sent) = $replay->requests(1);

    like($sent->{body}, qr/"\w+"\s*:\s*$most\b/, "$to: the provider heard it");
}


# a prompt that was dearer than thought leaves less for the answer

{
    my $left = make_user(plan => 'pro', tokens => 100);
    my $mine = { user => $left, key => make_key($left) };
    my $play = stream('anthropic', map { "word$_ " } 1 .. 90);

    $play->{body} =~ s/"input_tokens":9/"input_tokens":90/;
    $replay->play($play);

    my ($reply, $got, $row) = answer('anthropic', 'anthropic', $mine,
                                     max => 1000);

    is($got->{finish}, 'length', 'a dear prompt');
    is(scalar(() = $got->{text} =~ /word/g), 10, 'leaves less');
    is($row->{input}, 90);
    cmp_ok($row->{amount}, '<=', 100);
}


# ... unless there is more where that came from: the bound of the prompt was
# our mistake, and the answer is not cut for it

{
    my $rich = make_user(plan => 'pro', tokens => 100_000);
    my $mine = { user => $rich, key => make_key($rich) };
    my $play = stream('anthropic', map { "word$_ " } 1 .. 60);

    $play->{body} =~ s/"input_tokens":9/"input_tokens":9000/;
    $replay->play($play);

    my ($reply, $got, $row) = answer('anthropic', 'anthropic', $mine,
                                     max => 40);

    is($got->{finish}, 'length', 'a dear prompt of who has enough');
    is(scalar(() = $got->{text} =~ /word/g), 40, 'takes nothing away');
    is($row->{input}, 9000);
}


# an array of JSON, and the studio

$replay->play(stream('gemini', map { "word$_ " } 1 .. 40));

my $reply = ask('gemini', $nginx->port, $key, max => 5, stream => 1,
                path => '/v1beta/models/gemini-m:streamGenerateContent');

is(understood('gemini', $reply, 1)->{finish}, 'length', 'an array');

$replay->play(stream('anthropic', map { "word$_ " } 1 .. 40));

$reply = http(POST => '/v1/chat/complete', port => $nginx->port,
              bearer => $key, json => {
                  model => 'anthropic-m', max_tokens => 5, stream => \1,
                  messages => [{ role => 'user', content => 'hi' }] });

my @events = sse_events($reply->{body});

is($events[-1]{data}, '[DONE]', 'the studio');
ok((grep { ($_->{json}{choices}[0]{finish_reason} // '') eq 'length' }
    grep { $_->{json} } @events), 'ends at its limit too');


$nginx->excuse('went past max tokens');
is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
