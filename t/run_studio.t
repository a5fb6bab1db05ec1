# make run and make up, as somebody who has just arrived uses them.

use v5.30;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Pulse::Client qw(http sse_events);
use Pulse::Env;
use Pulse::Home;
use Test::More;

my $studio = Pulse::Home->new(home => suite_dir() . '/a home');


sub chat {
    my ($key, %more) = @_;

    return http(POST => '/v1/chat/completions', port => $studio->port,
                bearer => $key, json => { model => 'auto', %more,
                    messages => [{ role => 'user', content => 'hello' }] });
}


# What is used, once it is that: an answer is there before its end is told.

sub used_is {
    my ($amount, $name) = @_;

    wait_until { used() == $amount };
    is(used(), $amount, $name);
}


sub used {
    return http(GET => '/v1/usage/me', port => $studio->port,
                bearer => $studio->key)->{json}{data}{usage}{tokens}{used};
}


ok($studio->run, 'it comes up, in a directory with a space in its name')
    or BAIL_OUT($studio->said);

my $key = $studio->key;
my $port = $studio->port;


subtest 'what it prints' => sub {
    my $said = $studio->said;

    like($said, qr/^  starting Postgres\n/m, 'each step');
    like($said, qr{http://127\.0\.0\.1:$port\n}, 'the URL');
    like($said, qr/^API key of \S+\@studio\.example: \Q$key\E$/m, 'the key');

    my ($curl) = $said =~ /^  (curl .*?)\n\n/ms;

    open my $out, '-|', 'sh', '-c', "$curl -sS" or die;
    my $answer = do { local $/; <$out> };

    ok(close $out, 'a curl line');
    like($answer, qr/^data: \[DONE\]$/m, 'that works as it stands');

    my (undef, $draw) = $said =~ /^  (curl .*?)\n\n/msg;

    open $out, '-|', 'sh', '-c', "$draw -sS" or die;

    my $url = JSON::PP::decode_json(do { local $/; <$out> })
        ->{data}{download_url};

    ok(close $out, 'and one that draws a CV');

    my $file = http(GET => $url =~ s{^http://[^/]+}{}r, port => $port);

    like($file->{body}, qr/^%PDF/, 'which its link gets');
    is($file->{headers}{'x-content-type-options'}, 'nosniff');
};


subtest 'what is kept is private' => sub {
    is((stat $studio->home)[2] & 0777, 0700);
    is((stat $studio->home . "/$_")[2] & 0777, 0600, $_)
        for qw(api-key keys.json files.key);
};


subtest 'a chat moves the meter by what the provider says' => sub {
    my $before = used();
    my $reply = chat($key);

    is($reply->{status}, 200);
    is($reply->{headers}{'x-pulse-provider'}, 'demo');

    my $spent = $reply->{json}{usage}{total_tokens};

    used_is($before + $spent, 'at once');

    my @events = sse_events(chat($key, stream => JSON::PP::true)->{body});

    is($events[-1]{data}, '[DONE]');
    used_is($before + 2 * $spent, 'streamed too');
};


subtest 'operation' => sub {
    my $reply = http(GET => '/ready', port => $port);

    is($reply->{status}, 200);
    is_deeply($reply->{json}{data},
              { postgres => 'ok', redis => 'ok', sidecar => 'ok' });
    like(http(GET => '/metrics', port => $port)->{body}, qr/^# TYPE pulse_/m);
    is(http(GET => '/health', socket => $studio->home . '/run/studio.sock')
       ->{status}, 200, 'services may use a unix socket');

    for my $case ([GET => '/nothing', 404], [PUT => '/v1/keys', 405, $key],
                  [GET => '/v1/keys', 401])
    {
        my ($method, $path, $status, $bearer) = @$case;

        $reply = http($method => $path, port => $port, bearer => $bearer);
        is($reply->{status}, $status, "$method $path");
        like($reply->{json}{error}{code}, qr/^[A-Z_]+$/, 'in the envelope');
        ok($reply->{headers}{'x-trace-id'});
    }

    $reply = http(POST => '/v1/chat/completions', port => $port,
                  bearer => $key, headers => { Expect => '100-continue' },
                  body => 'x' x 4_300_000);
    is($reply->{status}, 413);
    is($reply->{json}{error}{type}, 'invalid_request_error',
       "in the dialect's own shape");
    is($reply->{headers}{'x-content-type-options'}, 'nosniff');

    $reply = http(POST => '/v1/chat/completions', port => $port,
                  bearer => $key, body => 'x' x 4_000_000,
                  headers => { 'Content-Type' => 'application/json' });
    is($reply->{status}, 400, 'a body as large as may be is read');
    like($reply->{headers}{'x-ratelimit-remaining'}, qr/^\d+$/,
         'what is counted is told, with an error');

    $reply = http(GET => '/v1/auth/me', port => $port, bearer => $key);
    is($reply->{headers}{'x-ratelimit-limit'}, 60, 'or without a model');
};


subtest 'the access log' => sub {
    http(GET => '/v1/usage/me?token=secret', port => $port,
         bearer => $key);
    http(GET => '/%ff%c3%28%22%0a', port => $port);
    chat($key);

    # a reader may meet half a line: a write grows the file page by page

    my $text = wait_until {
        my $log = Pulse::Home::slurp($studio->home . '/logs/access.log');

        $log =~ /\n\z/ && $log =~ /"path":\s*"-".*"demo"/s ? $log : undef
    } 10;

    my @lines = map { JSON::PP::decode_json($_) } split /\n/, $text;

    ok((grep { $_->{path} eq '-' } @lines), 'a path that is no text');

    my ($line) = reverse grep { $_->{model} ne '' } @lines;

    is($line->{status}, 200);
    is($line->{verdict}, 'OK');
    is($line->{provider}, 'demo');
    cmp_ok($line->{tokens_out}, '>', 0);
    like($line->{user}, qr/^[0-9a-f-]{36}$/);
    like($line->{trace_id}, qr/^[0-9a-f-]{36}$/);
    unlike($text, qr/secret|hello|\Q$key\E/,
           'names no prompt, no key and no query');
};


subtest 'a burst of webhooks is not refused' => sub {
    my %said;

    $said{ http(POST => '/v1/payments/webhook/hyperpay', port => $port,
                body => '')->{status} }++ for 1 .. 200;

    is($said{429}, undef);
    is($said{404}, 200, 'nothing is sold here');
};


subtest 'a person signs in by mail' => sub {
    is(http(POST => '/v1/auth/magic-link', port => $port, json => {
                email => 'omar@studio.example', locale => 'en' })->{status},
       200);

    my $token = wait_until {
        Pulse::Home::slurp($studio->home . '/logs/sidecar.log')
            =~ /omar\@studio\.example: \S+token=(\S+)/ ? $1 : undef
    } 10;

    ok($token, 'the log names the link');
    is(scalar(my @mails = glob quotemeta($studio->home) . '/mail/*.eml'), 1);

    my $reply = http(GET => "/verify?token=$token", port => $port);

    is($reply->{status}, 200, 'the link leads somewhere');
    like($reply->{headers}{'content-type'}, qr{^text/html});
    like($reply->{headers}{'cache-control'}, qr/no-store/);
    is($reply->{headers}{'referrer-policy'}, 'no-referrer');
    like(http(GET => '/verify.js', port => $port)->{headers}{'content-type'},
         qr{^text/javascript}, 'with its script');

    $reply = http(POST => '/v1/auth/magic-link/verify', port => $port,
                  json => { token => $token });

    is($reply->{status}, 200);
    like($reply->{headers}{'set-cookie'}, qr/^session=.*HttpOnly/);
    is($reply->{json}{data}{subscription}{plan}, 'trial');
};


my $before = used();

subtest 'it stops cleanly and comes back with its data' => sub {
    is($studio->stop('INT'), 0, 'Ctrl-C');
    like($studio->said, qr/^stopped$/m);
    is_deeply([$studio->left], [], 'and leaves nothing running');

    ok($studio->run, 'again');
    is($studio->key, $key, 'the same key');
    is(used(), $before, 'the same meter');

    my ($status, $out) = $studio->command('ctl', 'audit');

    like($out, qr/^clean$/m);

    is($studio->stop('TERM'), 0, 'TERM');
    is_deeply([$studio->left], []);
};


subtest 'up, status and down' => sub {
    my ($status, $out) = $studio->command('up');

    is($status, 0);
    like($out, qr/\Q$key\E/);
    is(http(GET => '/health', port => $port)->{status}, 200);

    ($status, $out) = $studio->command('up');
    is($status, 0, 'a second up is no failure');
    like($out, qr/is up already/);

    ($status, $out) = $studio->command('status');
    is($status, 0);
    like($out, qr/^up on/);

    ($status, $out) = $studio->command('run');
    is($status, 1);
    like($out, qr/\Astudio: a studio runs in .* already [^\n]*\n\z/);

    ($status, $out) = $studio->command('down');
    is($status, 0);
    is_deeply([$studio->left], []);

    is(($studio->command('status'))[0], 1);
    is(($studio->command('down'))[0], 0, 'a second down neither');
};


my $errors = Pulse::Home::slurp($studio->home . '/logs/error.log');

unlike($errors, qr/\[(?:alert|crit|emerg)\]|open socket/,
       'nginx had nothing to complain of');
unlike($errors, qr/temporary file/, 'and wrote no prompt to a disk');

done_testing();
