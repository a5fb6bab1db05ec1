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
    like($mail->{head}, qr/^From: .+ <\S+\@\S+>\r$/m);
    like($mail->{head}, qr/^Content-Language: ar\r$/m);
    like($mail->{head}, qr/^Message-ID: <outbox-$id\@\S+>\r$/m);
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
    like($sidecar->log_text, qr/layla\@studio\.example: \Q$link\E/,
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

    is(refused($id), 'its template cannot be read');
    is(sql("SELECT tries, next_try_at > now() FROM outbox WHERE id = $id"),
       '1|t');

    sql("UPDATE outbox SET tries = 9, next_try_at = now(), error = NULL"
        . " WHERE id = $id");
    refused($id);
    is(sql("SELECT tries, next_try_at FROM outbox WHERE id = $id"),
       '10|infinity', 'and then no more');

    $id = queue('../en/magic_link', 'a@b.example', 'en', qq({"link": "$link"}));
    is(refused($id), 'there is no such template', 'a kind is no path');
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
        . " sent_at = CASE id WHEN $old THEN now() END"
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
    is(sql('SELECT max(tries) FROM outbox WHERE id IN ('
           . join(',', @ids) . ')'), 1, 'and once');

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
    like($sidecar->log_text, qr/Postgres is back/);
    is(scalar(() = $sidecar->log_text =~ /Postgres is away/g), 1,
       'the outage has one line at each end');
};


is($sidecar->stop, 0, 'it ends well');

done_testing();
