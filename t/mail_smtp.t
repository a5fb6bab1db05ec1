# Mail by SMTP: what the server gets, what it may refuse, where it goes wrong.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(encode_utf8);
use Pulse::Ctl qw(ctl ctl_json);
use Pulse::Env 'own';
use Pulse::Sidecar;
use Pulse::Smtp;
use Test::More;

my $missing = Pulse::Smtp->missing;

plan skip_all => $missing if defined $missing;

my $link = 'http://127.0.0.1:8080/verify?token=' . 'a' x 43;
my $smtp = Pulse::Smtp->start;
my $sidecar;


Pulse::Sidecar::retry_later();


# A server of its own, and a sidecar that sends there.

sub serve {
    my ($server, @options) = @_;

    my $port = $smtp->listen(%$server);
    my $scheme = $server->{secure} ? 'smtps' : 'smtp';

    $sidecar->stop if defined $sidecar;
    sql("DELETE FROM jobs");
    $smtp->act;
    $smtp->forget;

    $sidecar = Pulse::Sidecar->start(
        options => ['--smtp', "$scheme://127.0.0.1:$port", '--smtp-ca',
                    $smtp->ca, @options]);
}


sub queue {
    my ($recipient, $payload) = @_;

    $payload //= qq({"link": "$link"});

    return sql("INSERT INTO outbox (kind, recipient, locale, payload)"
               . " VALUES ('magic_link', '$recipient', 'ar', '$payload')"
               . " RETURNING id");
}


sub became {
    my ($id, $state) = @_;

    return wait_until {
        sql("SELECT 1 FROM outbox WHERE id = $id AND state = '$state'")
    } 15;
}


# What is known of a mail's job when that has been tried once.

sub tried {
    my ($id) = @_;

    return wait_until {
        sql("SELECT j.state, j.attempt, o.state, o.error"
            . " FROM jobs j JOIN outbox o ON o.id::text = j.key"
            . " WHERE j.kind = 'mail' AND o.id = $id AND j.attempt > 0"
            . " AND j.state <> 'running'")
    } 15;
}


# Again, which nothing else does here.

sub again {
    my ($id) = @_;

    sql("UPDATE jobs SET due_at = now() WHERE kind = 'mail'"
        . " AND key = '$id' AND state = 'waiting'; NOTIFY jobs");
}


subtest 'a mail with STARTTLS and a login' => sub {
    serve({ starttls => 1, login => ['user', 'secret'], size => 100000 },
          '--smtp-tls', 'required', '--smtp-user', 'user', '--smtp-password',
          secret_file("secret\n"), '--mail-from', 'studio@pulse.example',
          '--mail-name', encode_utf8('استوديو، Pulse'));

    my $id = queue('layla@mail.example');

    ok(became($id, 'sent'));

    my ($mail, @more) = $smtp->mails(1);

    is(@more, 0, 'one');
    ok($mail->{secure}, 'on TLS');
    is($mail->{user}, 'user');
    is($mail->{hello}, 'pulse.example');
    is($mail->{from}, 'studio@pulse.example');
    is_deeply($mail->{to}, ['layla@mail.example']);
    is($mail->{subject}, 'رابط الدخول إلى استوديو Pulse AI');
    is_deeply($mail->{sender}, [{ address => 'studio@pulse.example',
                                  name => 'استوديو، Pulse' }]);
    like($mail->{text}, qr/\Q$link\E/);
    like($mail->{html}, qr/<body dir="rtl".*\Q$link\E/s);
    is($mail->{language}, 'ar');
    is($mail->{auto}, 'auto-generated');
    is($mail->{id}, '<' . sql("SELECT message_id FROM outbox WHERE id = $id")
                    . '@pulse.example>');
    unlike($mail->{raw}, qr/[^\x00-\x7f]/);
    is($mail->{size}, length $mail->{raw}, 'its size was announced');
    is(sql("SELECT payload ? 'link' FROM outbox WHERE id = $id"), 'f',
       'the link is kept no longer');
    unlike($sidecar->log_text, qr/token=|secret/, 'nor logged');
};


subtest 'a subject of 80 letters' => sub {
    my $templates = suite_dir() . '/templates';
    my $subject = 'مرحبا' x 16;

    mkdir $templates;
    mkdir "$templates/ar";

    for my $file (glob 'conf/mail/ar/magic_link.*') {
        my ($suffix) = $file =~ /(\w+)$/;

        open my $in, '<', $file or die;
        my $text = do { local $/; <$in> };
        my $first = encode_utf8($subject);

        $text =~ s/\A.*/$first/ if $suffix eq 'txt';
        open my $out, '>', "$templates/ar/magic_link.$suffix" or die;
        print $out $text;
    }

    serve({}, '--mail-templates', $templates);
    queue('layla@mail.example');

    my ($mail) = $smtp->mails(1);

    is($mail->{subject}, $subject);
    is(scalar(grep { length > 76 } split /\r\n/, $mail->{raw}), 0);
};


subtest 'TLS from the first byte' => sub {
    serve({ secure => 1 });
    ok(became(queue('omar@mail.example'), 'sent'));
    ok(($smtp->mails(1))[0]{secure});
};


subtest 'a server without STARTTLS gets nothing' => sub {
    serve({ login => ['user', 'secret'] }, '--smtp-tls', 'required',
          '--smtp-user', 'user', '--smtp-password', secret_file('secret'));

    my @ids = map { queue("p$_\@mail.example") } 1 .. 3;

    like(tried($_), qr/^waiting\|1\|queued\|Requested SSL level failed/)
        for @ids;
    is(scalar $smtp->mails, 0);
    is(scalar(() = $sidecar->log_text =~ /no mail is sent/g), 1,
       'which is one line, not one for each mail');
};


subtest 'nor does one whose certificate is not known' => sub {
    my $port = $smtp->listen(starttls => 1);

    $sidecar->stop;
    $sidecar = Pulse::Sidecar->start(
        options => ['--smtp', "smtp://127.0.0.1:$port", '--smtp-tls',
                    'required']);

    my $id = queue('omar@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|SSL peer certificate/);
    is(scalar $smtp->mails, 0);
};


subtest 'a login that is wrong loses no mail' => sub {
    my @login = (login => ['user', 'secret'], starttls => 1);
    my $file = secret_file('wrong');

    serve({ @login }, '--smtp-tls', 'required', '--smtp-user', 'user',
          '--smtp-password', $file);

    my $id = queue('omar@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|535 5\.7\.8 credentials/);

    secret_file('secret');
    $sidecar->stop;
    $sidecar->run;
    again($id);
    ok(became($id, 'sent'), 'it is sent when that is put right');
    is(scalar $smtp->mails(1), 1);
};


subtest 'an address that is refused' => sub {
    serve({});
    $smtp->act(to => [550, '5.1.1 no such user']);

    my $id = queue('Nobody@mail.example');

    ok(became($id, 'refused'));
    is(tried($id), 'done|1|refused|550 5.1.1 no such user', 'for good');

    $smtp->act;

    my $next = queue('nobody@MAIL.example');

    ok(became($next, 'suppressed'), 'gets no more mail');
    is(scalar $smtp->mails, 0);

    my $list = ctl_json('mail', 'suppressed');

    is(@$list, 1);
    is($list->[0]{address}, 'nobody@mail.example');
    is($list->[0]{reason}, '550 5.1.1 no such user');

    ctl_json('mail', 'allow', 'nobody@mail.example');
    ok(became(queue('nobody@mail.example'), 'sent'), 'unless it is let');

    ctl_json('mail', 'suppress', 'Other@mail.example');
    ok(became(queue('other@mail.example'), 'suppressed'));
    sql("UPDATE mail_suppressions SET expires_at = now()");
    ok(became(queue('other@mail.example'), 'sent'), 'or its time is over');

    is((ctl('mail', 'allow', 'x@y.example'))[0], 1);
    is((ctl('mail', 'suppress', 'nobody'))[0], 1);
    is(scalar @{ ctl_json('mail', 'list', '--limit', 3) }, 3);
};


subtest 'what the code says is done' => sub {
    my @cases = (
        # stage, code, text, state of the job and of the mail
        ['to', 451, '4.7.1 greylisted', 'waiting', 'queued'],
        ['to', 452, '4.2.2 mailbox full', 'waiting', 'queued'],
        ['to', 550, '5.7.1 policy', 'dead', 'queued'],
        ['to', 550, 'no enhanced code', 'done', 'refused'],
        ['to', 551, '5.1.6 moved', 'done', 'refused'],
        ['to', 552, '5.2.2 quota', 'dead', 'queued'],
        ['to', 550, '5.1.8 your domain', 'dead', 'queued'],
        ['to', 550, '5.2.1 disabled', 'done', 'refused'],
        ['from', 451, '4.3.0 later', 'waiting', 'queued'],
        ['from', 550, '5.7.1 not you', 'dead', 'queued'],
        ['from', 530, '5.7.0 log in first', 'waiting', 'queued'],
        ['data', 451, '4.3.0 later', 'waiting', 'queued'],
        ['data', 554, '5.6.0 content', 'dead', 'queued'],
        ['connect', 421, '4.3.2 shutting down', 'waiting', 'queued'],
        ['connect', 554, '5.7.1 blocked', 'waiting', 'queued'],
    );

    serve({});

    my $n = 0;

    for (@cases) {
        my ($stage, $code, $text, $job, $mail) = @$_;

        $smtp->act($stage => [$code, $text]);

        my $id = queue('case' . $n++ . '@mail.example');
        my $saw = tried($id);

        like($saw, qr/^$job\|1\|$mail\|$code \Q$text\E/,
             "$stage: $code $text");
        sql("DELETE FROM jobs");
    }

    is(scalar $smtp->mails, 0);
    is(sql("SELECT count(*) FROM mail_suppressions WHERE address LIKE 'case%'"),
       3, 'of bad addresses alone it is remembered');
};


subtest 'a mail that is dead is sent when an operator says so' => sub {
    serve({});
    $smtp->act(data => [554, '5.7.1 not verified']);

    my $id = queue('retry@mail.example');

    like(tried($id), qr/^dead\|1\|queued/);
    $smtp->act;
    is(ctl_json('jobs', 'retry', '--dead', '--kind', 'mail')->{retried} > 0,
       1);
    ok(became($id, 'sent'));
};


subtest 'a mail that is too large for the server' => sub {
    serve({ size => 500 });
    like(tried(queue('omar@mail.example')), qr/^dead\|1\|queued\|552/);
    is(scalar $smtp->mails, 0);
};


subtest 'a server that is slow holds up nothing else' => sub {
    serve({}, '--smtp-timeout', 3);
    $smtp->act(from => 'hold');

    my @ids = map { queue("slow$_\@mail.example") } 1 .. 2;

    ok($smtp->held('from'));

    my $job = ctl_json('jobs', 'run', 'retention')->{id};
    my $done = wait_until {
        return sql("SELECT 1 FROM jobs WHERE id = $job AND state = 'done'");
    } 10;

    ok($done, 'other work is done meanwhile');

    like(tried($_), qr/^waiting\|1\|queued\|Timeout was reached/) for @ids;
    $smtp->release;
    again($_) for @ids;
    ok(became($_, 'sent')) for @ids;
};


subtest 'a server that takes the mail and never says so' => sub {
    serve({}, '--smtp-timeout', 4);
    $smtp->act(data => 'hold');

    # nor answers QUIT, which is not waited for

    my $id = queue('omar@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|it may have been taken: Timeout/);
    $smtp->release;
    again($id);
    ok(became($id, 'sent'));

    my @mails = $smtp->mails(2);

    is(@mails, 2, 'it gets it again');
    is($mails[0]{id}, $mails[1]{id}, 'with its Message-ID');
};


subtest 'the sidecar does not wait for a server to end' => sub {
    serve({});
    $smtp->act(from => 'hold');

    my $id = queue('omar@mail.example');

    ok($smtp->held('from'));
    is($sidecar->stop, 0);
    is(sql("SELECT state, attempt FROM jobs WHERE key = '$id'"), 'waiting|0',
       'and its attempt does not count');
    $smtp->release;
    $sidecar->run;
    ok(became($id, 'sent'));
    is(scalar $smtp->mails(1), 1);
};


subtest 'a server that dies' => sub {
    serve({});

    for my $stage ('connect', 'from', 'to', 'data') {
        $smtp->forget;
        $smtp->act($stage => 'drop');

        my $id = queue("$stage\@mail.example");

        like(tried($id), qr/^waiting\|1\|queued\|/, "at $stage");
        $smtp->act;
        again($id);
        ok(became($id, 'sent'), 'gets it the next time');
        is(scalar $smtp->mails(1), 1);
    }

    # it has taken the mail, and nobody but it knows

    $smtp->forget;
    $smtp->act(data => 'drop-after');

    my $id = queue('twice@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|it may have been taken/);
    $smtp->act;
    again($id);
    ok(became($id, 'sent'));

    my @mails = $smtp->mails(2);

    is(@mails, 2, 'a mail that it may have is sent again');
    is($mails[0]{id}, $mails[1]{id}, 'and has the same Message-ID');
};


subtest 'no server at all' => sub {
    $sidecar->stop;
    $sidecar = Pulse::Sidecar->start(
        options => ['--smtp', 'smtp://127.0.0.1:1']);

    my $id = queue('omar@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|Couldn't connect/);
    $sidecar->stop;
};


subtest 'nothing travels in an address' => sub {
    serve({});

    my @bad = ('a@b.example\r\nRCPT TO:<c@d.example>', 'a@b.example\n',
               'a@b.example>\r\nDATA', '<a@b.example>',
               'a@b.example,c@d.example',
               'a b@c.example', "\xd9\x85\@b.example", 'a@b@c.example', 'a',
               'a@b.example\x7f', '"a\@b"@c.example');

    for my $recipient (@bad) {
        my $id = sql("INSERT INTO outbox (kind, recipient, locale, payload)"
                     . " VALUES ('magic_link', E'$recipient', 'ar',"
                     . " '{\"link\": \"$link\"}') RETURNING id");

        is(tried($id), 'dead|1|queued|the recipient is no address');
    }

    for my $value ('x\r\nBcc: c@d.example', 'x\u0085y', 'x\u0009y', 'x\u007fy')
    {
        my $id = queue('a@b.example', qq({"link": "$value"}));

        is(tried($id), 'dead|1|queued|its payload has a control character');
    }

    is(scalar $smtp->mails, 0);
};


subtest 'a configuration that is wrong is refused' => sub {
    my @cases = (
        [['--smtp', 'http://mail.example'], qr/neither smtp/],
        [['--smtp', 'smtp://user:secret@mail.example'], qr/not part of the/],
        [['--smtp', 'smtp://mail.example', '--smtp-tls', 'none'],
         qr/on loopback alone/],
        [['--smtp', 'smtp://127.0.0.1', '--smtp-tls', 'try'], qr/"required"/],
        [['--smtp', 'smtp://127.0.0.1', '--smtp-user', 'u'], qr/go together/],
        [['--smtp', 'smtp://127.0.0.1', '--smtp-password', '/nowhere'],
         qr/"\/nowhere" cannot be read/],
        [['--smtp', 'smtp://127.0.0.1', '--smtp-timeout', '61'],
         qr/1 to 60 seconds/],
        [['--mail-from', 'nobody'], qr/the sender is no address/],
        [['--mail-from', "a\@b.example\r\nBcc: c\@d.example"],
         qr/the sender is no address/],
        [['--mail-name', "a\r\nBcc: c\@d.example"], qr/name of the sender/],
        [['--mail-name', ''], qr/name of the sender/],
    );

    for (@cases) {
        my ($options, $said) = @$_;
        my $build = $ENV{PULSE_BUILD} // "$Pulse::Env::root/build";

        open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh',
             "$build/pulse-sidecar", '--listen', suite_dir() . '/none.sock',
             '--database', $ENV{TEST_NGINX_PULSE_PG}, @$options or die;

        my $text = do { local $/; <$out> };

        close $out;
        isnt($?, 0);
        like($text, $said, "@$options" =~ s/[\r\n]/ /gr);
    }
};


subtest 'STARTTLS is asked for wherever loopback is not spelled out' => sub {
    my $port = $smtp->listen;

    $smtp->forget;
    $sidecar->stop;
    $sidecar = Pulse::Sidecar->start(
        options => ['--smtp', "smtp://mail.localhost:$port"]);

    my $id = queue('omar@mail.example');

    like(tried($id), qr/^waiting\|1\|queued\|Requested SSL level failed/);
    is(scalar $smtp->mails, 0);
};


sub secret_file {
    my ($text) = @_;

    my $name = suite_dir() . '/smtp-password';

    open my $out, '>', $name or die "$name: $!";
    print $out $text;
    close $out;

    return $name;
}


$sidecar->stop;
$smtp->stop;

done_testing();
