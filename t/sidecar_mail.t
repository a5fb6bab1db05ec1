# The outbox: what is written, what is refused, what happens without Postgres.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(decode encode_utf8);
use MIME::Base64 qw(decode_base64);
use Pulse::Env 'own';
use Pulse::Sidecar;
use Test::More;

my $link = 'http://127.0.0.1:8080/verify?token=' . 'a' x 43;


sub queue {
    my ($kind, $recipient, $locale, $payload) = @_;

    return sql("INSERT INTO outbox (kind, recipient, locale, payload)"
               . " VALUES ('$kind', E'$recipient', '$locale', '$payload')"
               . " RETURNING id");
}


sub sent {
    my ($id) = @_;

    return wait_until {
        sql("SELECT 1 FROM outbox WHERE id = $id AND sent_at IS NOT NULL")
    } 10;
}


sub refused {
    my ($id) = @_;

    return wait_until {
        sql("SELECT error FROM outbox WHERE id = $id AND error IS NOT NULL")
    } 10;
}


sub mail {
    my ($id) = @_;

    open my $in, '<:raw', suite_dir() . "/mail/$id.eml" or return;
    local $/;
    my ($head, $body) = <$in> =~ /\A(.*?)\r\n\r\n(.*)\z/s;

    my ($boundary) = $head =~ /boundary="(.*?)"/;
    my @parts = split /^--\Q$boundary\E(?:--)?\r\n/m, $body;

    shift @parts;

    my %mail = (head => $head, raw => "$head\r\n\r\n$body");

    for my $part (@parts) {
        my ($type, $text) = $part =~ m{^Content-Type: (\S+);.*?\r\n\r\n(.*)}s;

        $mail{$type} = decode('UTF-8', decode_base64($text),
                              Encode::FB_CROAK);
    }

    return \%mail;
}


Pulse::Sidecar::retry_later();

my $waiting = queue('magic_link', 'early@studio.example', 'en',
                    qq({"link": "$link"}));
my $sidecar = Pulse::Sidecar->start;

ok(sent($waiting), 'what waited before the start is sent');


subtest 'a sign-in mail in Arabic' => sub {
    my $id = queue('magic_link', 'layla@studio.example', 'ar',
                   qq({"link": "$link&x=\\"<b>", "expires_at": "2099-01-01"}));

    ok(sent($id));

    my $mail = mail($id);

    like($mail->{head}, qr/^To: <layla\@studio\.example>\r$/m);
    like($mail->{head}, qr/^From: .+\r\n <\S+\@\S+>\r$/m);
    like($mail->{head}, qr/^Content-Language: ar\r$/m);
    like($mail->{head}, qr/^Message-ID: <[0-9a-f-]{36}\@studio\.example>\r$/m);
    like($mail->{head}, qr/^Auto-Submitted: auto-generated\r$/m);
    like($mail->{head},
         qr/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r$/m);
    like($mail->{head}, qr{^Content-Type: multipart/alternative;}m);

    my ($subject) = $mail->{head} =~ /^Subject: (.*?)\r\n(?! )/ms;

    like(decode('MIME-Header', $subject), qr/رابط الدخول/);
    unlike($mail->{raw}, qr/[^\x00-\x7f]/, 'only ASCII travels');
    is(scalar(grep { length > 76 } split /\r\n/, $mail->{raw}), 0,
       'in short lines');

    like($mail->{'text/plain'}, qr/\Q$link\E&x="<b>/, 'the text has the link');
    like($mail->{'text/html'}, qr/\Q$link\E&amp;x=&quot;&lt;b&gt;/,
         'and the HTML has it escaped');
    like($mail->{'text/html'}, qr/<html lang="ar" dir="rtl">/);
    unlike($mail->{'text/html'} . $mail->{'text/plain'}, qr/\{\{/);

    is(sql("SELECT payload ? 'link' FROM outbox WHERE id = $id"), 'f',
       'the link is kept no longer');
    ok(wait_until { $sidecar->log_text =~ /layla\@studio\.example: \Q$link/ },
       'the log names it, in development');
};


subtest 'and in English' => sub {
    my $id = queue('magic_link', 'omar@studio.example', 'en',
                   qq({"link": "$link"}));

    ok(sent($id));

    my $mail = mail($id);

    like($mail->{head}, qr/^Subject: Your sign-in link to Pulse AI Studio\r$/m);
    like($mail->{'text/html'}, qr/<html lang="en" dir="ltr">/);
};


subtest 'a warning names its resource in the language' => sub {
    my %word = (ar => 'الرموز', en => 'tokens');

    for my $locale (sort keys %word) {
        my $id = queue('usage_warning', 'omar@studio.example', $locale,
                       '{"resource": "tokens", "used": 80, "limit": 100,'
                       . ' "reset_at": "2026-12-01T00:00:00.000Z"}');

        ok(sent($id));
        like(mail($id)->{'text/plain'}, qr/80.*100.*$word{$locale}/s);
    }
};


subtest 'nothing can add a header' => sub {
    for my $recipient ('a@b.example\r\nBcc: c@d.example',
                       'a@b.example, c@d.example', 'a b@c.example',
                       '<a@b.example>', 'a@b@c.example', 'nobody',
                       '@b.example')
    {
        my $id = queue('magic_link', $recipient, 'en', qq({"link": "$link"}));

        is(refused($id), 'the recipient is no address', $recipient);
        ok(!defined mail($id));
    }

    my $id = queue('magic_link', 'a@b.example', 'en',
                   '{"link": "x\r\nBcc: c@d.example"}');

    is(refused($id), 'its payload has a control character');
};


subtest 'what cannot be written is tried again, later and later' => sub {
    my $id = queue('no_such_kind', 'a@b.example', 'en', '{}');
    my $job = "FROM jobs WHERE kind = 'mail' AND key = '$id'";

    is(refused($id), 'its template cannot be read');

    ok(wait_until {
        sql("SELECT 1 $job AND state = 'waiting' AND attempt = 1"
            . " AND due_at > now()")
    } 10);

    sql("UPDATE jobs SET attempt = 15, due_at = now() WHERE kind = 'mail'"
        . " AND key = '$id'; NOTIFY jobs");

    my $dead = wait_until { sql("SELECT 1 $job AND state = 'dead'") } 10;

    ok($dead, 'and then no more');
    is(sql("SELECT attempt, error $job"), '16|its template cannot be read');

    $id = queue('../en/magic_link', 'a@b.example', 'en', qq({"link": "$link"}));
    is(refused($id), 'there is no such template', 'a kind is no path');
};


subtest 'a mail of which nothing will come is dead at once' => sub {
    my $id = queue('magic_link', 'a@b.example', 'en', '{}');

    is(refused($id), 'its payload lacks a member');

    my $dead = wait_until {
        sql("SELECT 1 FROM jobs WHERE kind = 'mail' AND key = '$id'"
            . " AND state = 'dead' AND attempt = 1")
    } 10;

    ok($dead);
};


subtest 'each kind in each language' => sub {
    my %payload = (
        magic_link => qq({"link": "$link"}),
        usage_warning => '{"resource": "images", "used": 8, "limit": 10,'
            . ' "reset_at": "2026-12-01T00:00:00.000Z"}',
        usage_exhausted => '{"resource": "images", "used": 10, "limit": 10,'
            . ' "reset_at": "2026-12-01T00:00:00.000Z"}',
        receipt => '{"item": "Pro & more", "price": "5.000",'
            . ' "currency": "JOD", "number": "2026-17",'
            . ' "paid_at": "2026-11-01T00:00:00.000Z"}',
        renewal => '{"plan": "Pro", "price": "5.000", "currency": "JOD",'
            . ' "period_end": "2026-12-01T00:00:00.000Z",'
            . qq( "link": "$link"}),
        payment_failed => '{"item": "Pro", "price": "5.000",'
            . qq( "currency": "JOD", "link": "$link"}),
    );

    my @templates = map { m{/(\w+)\.txt$} } glob 'conf/mail/ar/*.txt';

    is_deeply([sort @templates], [sort keys %payload], 'none is left out');

    for my $kind (sort keys %payload) {
        for my $locale ('ar', 'en') {
            my $id = queue($kind, 'noor@studio.example', $locale,
                           $payload{$kind});

            ok(sent($id), "$kind in $locale");

            my $mail = mail($id);
            my $direction = $locale eq 'ar' ? 'rtl' : 'ltr';

            unlike($mail->{'text/html'} . $mail->{'text/plain'}, qr/[{}]{2}/);
            like($mail->{'text/html'},
                 qr/<html lang="$locale" dir="$direction">/);
            like($mail->{'text/plain'}, qr/\p{Arabic}/) if $locale eq 'ar';
            unlike($mail->{raw}, qr/(?<!\r)\n|\r(?!\n)/);
        }
    }
};


subtest 'a link that has expired is not sent' => sub {
    my $id = queue('magic_link', 'a@b.example', 'en',
                   qq({"link": "$link", "expires_at": "2020-01-01"}));

    like(refused($id), qr/expired/);
    ok(!defined mail($id));
    is(sql("SELECT payload ? 'link' FROM outbox WHERE id = $id"), 'f');
};


subtest 'each is sent by one sidecar' => sub {
    $sidecar->stop;

    my $old = queue('magic_link', 'old@studio.example', 'en', '{}');
    my $due = queue('magic_link', 'due@studio.example', 'en', '{}');

    sql("UPDATE outbox SET created_at = now() - interval '31 days',"
        . " state = CASE id WHEN $old THEN 'sent' ELSE 'queued' END"
        . " WHERE id IN ($old, $due)");

    my @ids = map { queue('magic_link', "p$_\@studio.example", 'en',
                          qq({"link": "$link"})) } 1 .. 50;
    my $first = Pulse::Sidecar->start;
    my $second = Pulse::Sidecar->start(name => 'second');

    ok(sent($_)) for @ids;
    sql("SELECT admin_jobs_run('retention')");
    ok(wait_until { sql("SELECT count(*) FROM outbox WHERE id = $old") == 0 });
    is(sql("SELECT count(*) FROM outbox WHERE id = $due"), 1,
       'what is old and sent is forgotten');
    is(sql("SELECT max(attempt) FROM jobs WHERE kind = 'mail' AND key IN ("
           . join(',', map { "'$_'" } @ids) . ')'), 1, 'and once');

    $second->stop;
    $sidecar = $first;
};


subtest 'Postgres goes and comes back' => sub {
    postgres->stop('INT');
    ok(wait_until { $sidecar->log_text =~ /Postgres is away/ } 10);
    postgres->start;

    my $id = queue('magic_link', 'late@studio.example', 'en',
                   qq({"link": "$link"}));

    ok(sent($id));
    ok(wait_until { $sidecar->log_text =~ /Postgres is back/ });
    is(scalar(() = $sidecar->log_text =~ /Postgres is away/g), 1,
       'the outage has one line at each end');
};


is($sidecar->stop, 0, 'it ends well');

done_testing();
