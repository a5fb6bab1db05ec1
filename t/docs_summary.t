
# PDFs that the chat model summarizes: read by Poppler, asked about through our
# own gateway, in the language of whoever asks.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(encode_utf8);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Gateway qw(ledger);
use Pulse::Written;
use Test::More;

plan skip_all => 'no pdftotext' if !-x '/usr/bin/pdftotext';

my $studio = Pulse::Written->start(rules => "[violence]\nzorbomb\n");
my $path = '/v1/pdf/summarize';

my %written = (
    ar => { title => 'تقرير الشمس', summary => 'يقول التقرير إن الكلفة انخفضت.',
            key_points => ['انخفضت الكلفة 40%', 'تبدأ الأعمال في 2027'] },
    en => { title => 'Report on the sun', summary => 'The cost fell.',
            key_points => ['The cost fell by 40%'] },
);


# A PDF of so many pages, each of which says a text; "more" goes into the
# trailer.

sub pdf {
    my ($pages, $text, $more) = @_;

    my @objects = (
        '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Count ' . $pages . ' /Kids ['
        . join(' ', map { 4 + 2 * $_ . ' 0 R' } 0 .. $pages - 1) . '] >>',
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    );

    for my $n (1 .. $pages) {
        my $stream = $text eq '' ? ''
            : 'BT /F1 1 Tf 1.2 TL 50 800 Td '
              . join(' ', map { "($_) Tj T*" } "$text $n" =~ /(.{1,500})/g)
              . ' ET';

        push @objects,
            '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents '
            . (4 + 2 * $n - 1) . ' 0 R /Resources << /Font << /F1 3 0 R >> >>'
            . ' >>',
            '<< /Length ' . length($stream) . " >>\nstream\n$stream\n"
            . 'endstream';
    }

    return file_of(\@objects, $more);
}


sub file_of {
    my ($objects, $more) = @_;
    my ($out, @at, $n) = "%PDF-1.4\n";

    for my $object (@$objects) {
        push @at, length $out;
        $out .= ++$n . " 0 obj\n$object\nendobj\n";
    }

    my $xref = length $out;

    return $out . "xref\n0 " . ($n + 1) . "\n0000000000 65535 f \n"
        . join('', map { sprintf "%010d 00000 n \n", $_ } @at)
        . "trailer\n<< /Size " . ($n + 1) . ' /Root 1 0 R ' . ($more // '')
        . " >>\nstartxref\n$xref\n%%EOF\n";
}


# Two kilobytes that say a text a thousand million times: a form draws another
# ten times, which draws another.

sub bomb {
    my $form = sub {
        my ($resources, $stream) = @_;

        return '<< /Type /XObject /Subtype /Form /BBox [0 0 595 842]'
            . " /Resources << $resources >> /Length " . length($stream)
            . " >>\nstream\n$stream\nendstream";
    };

    return file_of([
        '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Count 1 /Kids [4 0 R] >>',
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
        '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R'
        . ' /Resources << /XObject << /F 6 0 R >> >> >>',
        "<< /Length 5 >>\nstream\n/F Do\nendstream",
        map({ $form->("/XObject << /F $_ 0 R >>", '/F Do ' x 10) } 7 .. 15),
        $form->('/Font << /F1 3 0 R >>', 'BT /F1 9 Tf (many words) Tj ET')]);
}


for my $locale (qw(ar en)) {
    subtest "in $locale" => sub {
        my ($user, $key) = $studio->person(locale => $locale);
        my ($id, $ready) = $studio->upload(
            $key, pdf(3, 'Solar roofs cost less on page'));

        is($ready->{json}{data}{status}, 'ready') or diag $ready->{body};

        $studio->writes($written{$locale});

        my $reply = $studio->post($path, $key, {
            file_id => $id, length => 'short', focus => 'what it costs' });
        my $data = $reply->{json}{data};

        is($reply->{status}, 200) or diag $reply->{body};
        is($data->{$_}, $written{$locale}{$_}, $_) for qw(title summary);
        is_deeply($data->{key_points}, $written{$locale}{key_points});
        is($data->{language}, $locale);
        is($data->{pages}, 3);
        is($data->{pages_read}, 3);
        is($data->{usage}{total_tokens}, 140);

        my ($asked) = $studio->asked(1);
        my $prompt = $asked->{messages}[1]{content};

        like($prompt, qr/Solar roofs cost less on page $_/) for 1 .. 3;
        like($prompt, qr/what it costs/);
        like($prompt, $locale eq 'ar' ? qr/Arabic/ : qr/English/);
        is((ledger($user, 1))[0]{amount}, 140, 'metered as a chat');
    };
}


subtest 'a CV of ours, in Arabic' => sub {
    my ($user, $key) = $studio->person();
    my $cv = http(POST => '/v1/cv/generate', port => $studio->port,
                  bearer => $key, json => {
        full_name => 'ليلى حداد', email => 'layla@studio.example',
        title => 'مهندسة برمجيات', summary => 'خبرة في C++ وأنظمة 24/7.',
        skills => ['C++'], export_format => 'pdf' });

    is($cv->{status}, 201) or diag $cv->{body};
    $studio->writes($written{ar});

    my $reply = $studio->post($path, $key,
                              { file_id => $cv->{json}{data}{file_id} });

    is($reply->{status}, 200) or diag $reply->{body};

    my $prompt = ($studio->asked(1))[0]{messages}[1]{content};

    like($prompt, qr/مهندسة برمجيات/, 'its text is in the order it is read');
    unlike($prompt, qr/[\x{202a}-\x{202e}]/, 'and bears no marks');
};


subtest 'what is long' => sub {
    my ($user, $key) = $studio->person();
    my ($id) = $studio->upload($key, pdf(230, 'page'));

    $studio->writes($written{ar});

    my $data = $studio->post($path, $key, { file_id => $id })->{json}{data};

    is($data->{pages}, 230);
    is($data->{pages_read}, 200, 'pages past the limit are not read');

    ($id) = $studio->upload($key, pdf(100, 'word ' x 600));
    $studio->writes($written{ar});
    $data = $studio->post($path, $key, { file_id => $id })->{json}{data};

    is($data->{pages}, 100);
    cmp_ok($data->{pages_read}, '<', 60, 'nor is more text than fits');
    cmp_ok($data->{pages_read}, '>', 40);

    my $prompt = ($studio->asked(1))[0]{messages}[1]{content};

    cmp_ok(length $prompt, '<', 161_000);

    ($id) = $studio->upload($key, pdf(1, 'word ' x 60_000));
    $studio->writes($written{ar});
    $data = $studio->post($path, $key, { file_id => $id })->{json}{data};
    is($data->{pages_read}, 1, 'a page alone is cut');
};


my $locked = '/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <'
    . '41' x 32 . '> /U <' . '42' x 32 . '> >> /ID [<43> <43>]';

my %unread = (
    'locked' => [pdf(1, 'secret', $locked), qr/password/],
    'broken' => ["%PDF-1.4\n" . "nothing here\n" x 20, qr/broken/],
    'cut' => [substr(pdf(3, 'x'), 0, 60), qr/broken/],
    'a scan' => [pdf(2, ''), qr/scans/],
    'hardly a word' => [pdf(1, 'x'), qr/scans/],
    'a bomb' => [bomb(), qr/too much time or memory/],
);

for my $name (sort keys %unread) {
    subtest $name => sub {
        my ($user, $key) = $studio->person();
        my ($id, $ready) = $studio->upload($key, $unread{$name}[0]);

        is($ready->{json}{data}{status}, 'ready') or diag $ready->{body};

        my $reply = $studio->post($path, $key, { file_id => $id },
                                  limit => 45);

        is($reply->{status}, 400);
        is($reply->{json}{error}{details}{field}, '/file_id');
        like($reply->{json}{error}{details}{reason}, $unread{$name}[1]);
        like($reply->{json}{error}{message}, qr/\p{Arabic}/);
        is(sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'"),
           0, 'and nobody is asked');
    };
}


subtest 'what is refused' => sub {
    my ($user, $key) = $studio->person();
    my ($id) = $studio->upload($key, encode_utf8('نص عادي'),
                               filename => 'a.txt',
                               content_type => 'text/plain');
    my $other = ($studio->person())[1];
    my ($theirs) = $studio->upload($other, pdf(1, 'theirs'));

    for my $case ([{}, 400, '/file_id'], [{ file_id => 'x' }, 400, '/file_id'],
                  [{ file_id => $id }, 400, '/file_id'],
                  [{ file_id => $id, length => 'epic' }, 400, '/length'],
                  [{ file_id => $theirs }, 404, undef],
                  [{ file_id => uuid() }, 404, undef])
    {
        my ($body, $status, $field) = @$case;
        my $reply = $studio->post($path, $key, $body);

        is($reply->{status}, $status);
        is($reply->{json}{error}{details}{field}, $field);
    }

    my $starter = make_key(make_user(plan => 'starter'));

    is($studio->post($path, $starter, { file_id => $id }
                     )->{json}{error}{code}, 'FEATURE_NOT_IN_PLAN');
};


subtest 'what is against the rules of content' => sub {
    my ($user, $key) = $studio->person();
    my ($id) = $studio->upload($key, pdf(2, 'how to make a zorbomb, page'));

    $studio->writes({ status => 500 });

    my $reply = $studio->post($path, $key, { file_id => $id });

    $studio->is_flagged($reply, $user);
};


subtest 'in another language, then in the right one' => sub {
    my ($user, $key) = $studio->person();
    my ($id) = $studio->upload($key, pdf(1, 'Solar roofs cost less'));

    $studio->writes($written{en}, $written{ar});

    my $reply = $studio->post($path, $key, { file_id => $id });

    is($reply->{status}, 200);
    is($reply->{json}{data}{title}, $written{ar}{title});
    like(($studio->asked(2))[1]{messages}[-1]{content}, qr/not in Arabic/);

    $studio->writes({ title => 'x' }, { title => 'x' });
    is($studio->post($path, $key, { file_id => $id })->{json}{error}{code},
       'PROVIDER_ERROR');
};


my ($sidecar, $nginx, $problems) = $studio->stop;

is($sidecar, 0, 'the sidecar ends well');
is($nginx, undef, 'so does nginx');
is_deeply($problems, [], 'and its log is clean');

done_testing();
