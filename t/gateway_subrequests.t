# Requests inside of requests: none reaches a model, whoever makes it; and
# what a location with a gateway makes of its own has no part in the answer.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http);
use Pulse::Gateway qw(gateway_nginx ledger provider);
use Pulse::Replay;
use Test::More;

my $replay = Pulse::Replay->start;

my $gateway = 'pulse_dialect openai; pulse_auth on; pulse_gateway;';

my $nginx = gateway_nginx(
    http => provider('a', $replay->url . '/v1', 'models m*;'),
    config => <<"CONF",
        location = /mirrored {
            mirror /v1/chat/completions;
            pulse_auth on;
            return 200 "here";
        }

        location = /mirrored/page {
            pulse_auth on;
            mirror /v1/chat/completions;
            proxy_pass http://127.0.0.1:\$server_port/echo;
        }

        location = /guarded {
            auth_request /v1/chat/completions;
            proxy_pass http://127.0.0.1:\$server_port/echo;
        }

        location = /included {
            ssi on;
            ssi_types *;
            proxy_method GET;
            proxy_pass http://127.0.0.1:\$server_port/include;
        }

        location = /echo { return 200 "here"; }
        location = /no { return 403; }
        location = /copy { return 204; }

        location = /include {
            return 200 '<!--#include virtual="/v1/chat/completions" -->';
        }

        location = /own/copy { mirror /copy; $gateway }
        location = /own/guard { auth_request /echo; $gateway }
        location = /own/refused { auth_request /no; $gateway }
CONF
)->run;

my $user = make_user(plan => 'creator');
my $key = make_key($user);
my $rows = 0;

my $chat = { model => 'm-1', messages => [{ role => 'user',
                                            content => 'hi' }] };

my $answer = { json => {
    id => 'c', object => 'chat.completion', created => 1, model => 'm',
    choices => [{ index => 0, finish_reason => 'stop',
                  message => { role => 'assistant', content => 'x' } }],
    usage => { prompt_tokens => 3, completion_tokens => 1,
               total_tokens => 4 } } };

sub post {
    my ($path, %o) = @_;

    $replay->play($answer);

    return http(POST => $path, port => $nginx->port, bearer => $key,
                json => { %$chat, %o });
}


# a gateway that is asked by others

for ('/mirrored/page', '/guarded', '/included') {
    my $reply = post($_);

    is($reply->{status}, /guarded/ ? 403 : 200, "$_: its own answer");
    is(scalar($replay->requests(0)), 0, "$_: nobody is asked");
    like($reply->{body}, /mirrored/ ? qr/^here$/ : qr/403/, "$_: and no other")
        or diag $reply->{body};
}

is(post('/mirrored')->{body}, 'here', 'one that ends before there is a copy');
ok(wait_until { 3 <= grep { /pulse gateway: a subrequest is refused:/ }
                     @{ $nginx->error_log } }, 'which the log says');


# a gateway that asks others

for my $path ('/own/copy', '/own/guard') {
    for my $more ('', 'x' x 2_000_000) {
        my $reply = post($path, user => $more);
        my $name = $path . ($more ? ', at length' : '');

        is($reply->{status}, 200, "$name: an answer");
        is($reply->{json}{usage}{total_tokens}, 4, "$name: the model's");

        my ($asked) = $replay->requests(1);
        ok($asked->{json}{user} eq $more, "$name: all of what was asked");
        is(scalar(ledger($user, ++$rows)), $rows, "$name: and paid for");
    }
}

is(post('/own/refused')->{status}, 403, 'one that is not let through');
is(scalar($replay->requests(0)), 0, 'asks nobody');
is(scalar(ledger($user, $rows)), $rows, 'and pays nothing');

is($nginx->stop, undef, 'nginx ends');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
