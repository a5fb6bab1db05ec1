# The whole journey on the studio's own configuration: a mailed link, a
# cookie, a chat with the demo provider, the meter, a key and its end.

use lib 't/lib';
use v5.30;
use warnings;

use Pulse::Env 'stores';
use Pulse::Client qw(http sse_events);
use Pulse::Sidecar;
use Pulse::Studio;
use Test::More;

my $email = 'huda@studio.test';
my $sidecar = Pulse::Sidecar->start;
my $studio = Pulse::Studio->new->run;
my $port = $studio->port;
my $cookie;


# As our own pages ask: with the cookie, and from the same site.

sub ask {
    my ($method, $path, %o) = @_;

    return http($method => $path, port => $port, %o, headers => {
        defined $cookie ? (Cookie => $cookie) : (),
        'Sec-Fetch-Site' => 'same-origin', %{ $o{headers} // {} },
    });
}


sub used {
    my $usage = ask(GET => '/v1/usage/me')->{json}{data}{usage};

    return $usage->{tokens}{used};
}


my $answer = ask(GET => '/health');
is($answer->{status}, 200, 'nginx answers');

ok(wait_until { ($answer = ask(GET => '/ready'))->{status} == 200 },
   'the stores and the sidecar are there') or diag($answer->{body});

$answer = ask(GET => '/v1/plans');
is($answer->{status}, 200, 'the plans are public');
ok((grep { $_->{id} eq 'pro' } @{ $answer->{json}{data}{plans} }),
   'and there');

is(ask(GET => '/v1/auth/me')->{status}, 401, 'nobody is signed in');


# sign-in

$answer = ask(POST => '/v1/auth/magic-link',
              json => { email => $email, locale => 'en' });
is($answer->{status}, 200, 'a link is asked for') or diag($answer->{body});
is($answer->{json}{data}{expires_in}, 600, 'it lives ten minutes');

my $token = $sidecar->link_token($email);
ok(defined $token, 'it is mailed') or BAIL_OUT($sidecar->log_text);

$answer = ask(POST => '/v1/auth/magic-link/verify',
              json => { token => $token });
is($answer->{status}, 200, 'it signs in') or diag($answer->{body});
is($answer->{json}{data}{user}{email}, $email, 'its addressee');
is($answer->{json}{data}{subscription}{plan}, 'trial', 'who is on trial');

($cookie) = ($answer->{headers}{'set-cookie'} // '') =~ /^(session=[^;]+)/;
ok(defined $cookie, 'a cookie is set');
like($answer->{headers}{'set-cookie'}, qr/; *HttpOnly/i, 'not for scripts');

is(ask(POST => '/v1/auth/magic-link/verify',
       json => { token => $token })->{status}, 400, 'it does so once');

$answer = ask(GET => '/v1/auth/me');
is($answer->{status}, 200, 'the cookie is good');
is($answer->{json}{data}{user}{email}, $email, 'for the same person');

$answer = ask(POST => '/v1/auth/logout',
              headers => { 'Sec-Fetch-Site' => 'cross-site' });
is($answer->{status}, 403, 'another site cannot use it');


# a chat, and the meter

is(used(), 0, 'nothing is used yet');

$answer = ask(POST => '/v1/chat/completions', json => {
    stream => \1, stream_options => { include_usage => \1 },
    messages => [{ role => 'user', content => 'Hello there' }],
});

is($answer->{status}, 200, 'the demo answers') or diag($answer->{body});
ok($answer->{complete}, 'to the end');

my @events = sse_events($answer->{body});
my ($usage) = map { $_->{json}{usage} // () } grep { $_->{json} } @events;
my $text = join '', map { $_->{json}{choices}[0]{delta}{content} // '' }
                    grep { $_->{json} } @events;

like($text, qr/demo/i, 'it says that it is the demo');
is($events[-1]{data}, '[DONE]', 'the stream ends as it should');
ok($usage->{total_tokens} > 0, 'with usage');

my $expected = $usage->{total_tokens} // 0;

ok(wait_until { used() == $expected },
   'the meter moved by exactly that') or diag("$expected: ", used());

$answer = ask(POST => '/v1/chat/complete', json => {
    messages => [{ role => 'user', content => "\x{645}\x{631}\x{62d}\x{628}" }],
});

is($answer->{status}, 200, 'so does the studio endpoint')
    or diag($answer->{body});
ok(length $answer->{json}{data}{choices}[0]{message}{content}, 'with a text');

$usage = $answer->{json}{data}{usage};
$expected += $usage->{total_tokens} // 0;

ok(wait_until { used() == $expected }, 'metered exactly')
    or diag("$expected: ", used());


# a key and its end

$answer = ask(POST => '/v1/keys', json => { name => 'laptop' });
like($answer->{status}, qr/^20[01]$/, 'a key is made')
    or diag($answer->{body});

my $made = $answer->{json}{data};

like($made->{key}, qr/^pk_/, 'shown once');
unlike(ask(GET => '/v1/keys')->{body}, qr/\Q$made->{key}\E/, 'and not again');

sub with_key {
    return http(GET => '/v1/models', port => $port, bearer => $made->{key});
}

is(with_key()->{status}, 200, 'it opens the door');

$answer = ask(DELETE => "/v1/keys/$made->{id}");
like($answer->{status}, qr/^20[04]$/, 'it is revoked') or diag($answer->{body});
ok(wait_until { with_key()->{status} == 401 }, 'and shut out');

is(ask(POST => '/v1/auth/logout')->{status}, 200, 'logging out');
ok(wait_until { ask(GET => '/v1/auth/me')->{status} == 401 },
   'ends the session');


# the end: everything is written

ok(wait_until {
    (sql('SELECT sum(used) FROM accounts WHERE kind = 0') // 0) == $expected
}, 'the accounts say the same');
is(sql('SELECT sum(amount) FROM usage_events'), $expected,
   'so does the ledger');

is($studio->stop, undef, 'nginx ends with status 0');
is_deeply([$studio->problems], [], 'its log is clean');
is($sidecar->stop, 0, 'the sidecar ends with status 0');

unlike(join('', @{ $studio->error_log }, @{ $studio->access_log }),
       qr/\Q$made->{key}\E|\Q$token\E|Hello there/,
       'no log has a key, a link or a prompt');

done_testing();
