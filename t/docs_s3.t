
# Files in a bucket: of a real server, in both styles of addresses, by links
# that clients use without a credential.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(encode_utf8);
use MIME::Base64 qw(decode_base64);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Files qw(files_nginx);
use Pulse::Rgw;
use Pulse::Sidecar;
use Test::More;

if (my $why = Pulse::Rgw::missing()) {
    plan skip_all => $why;
}

my $s3 = Pulse::Rgw->start->bucket('studio');

$ENV{PULSE_S3_ACCESS_KEY} = $Pulse::Rgw::access;
$ENV{PULSE_S3_SECRET_KEY} = $Pulse::Rgw::secret;

my $sidecar = Pulse::Sidecar->start(
    files => undef, options => ['--s3', $s3->url('studio')]);

my $nginx = files_nginx($sidecar);

my $user = make_user(plan => 'pro', locale => 'en');
my $key = make_key($user);
my $dir = suite_dir();

my $png = decode_base64('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQV'
                        . 'R42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==');


sub api {
    my ($method, $path, %more) = @_;

    return http($method, "/v1/files$path", port => $nginx->port,
                bearer => $key, %more);
}


sub announce {
    my (%o) = @_;

    return api(POST => '/presigned-upload',
               json => { filename => 'صورة.png', content_type => 'image/png',
                         size_bytes => length $png, %o })->{json}{data};
}


sub file {
    my ($name, $bytes) = @_;

    open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $bytes;
    close $out;

    return "$dir/$name";
}


# Without a signature of its own: status, header, body.

sub plain {
    my (@arguments) = @_;

    my $head = "$dir/head";

    open my $in, '-|:raw', 'curl', '-s', '-D', $head, @arguments
        or die "curl: $!\n";
    my $body = do { local $/; <$in> } // '';
    close $in;

    open $in, '<', $head or die "$head: $!\n";
    my $text = do { local $/; <$in> };
    my ($status) = $text =~ /.*^HTTP\S* (\d+)/ms;

    return ($status, $text, $body);
}


sub put {
    my ($said, $bytes, $type) = @_;

    return (plain('-X', 'PUT', '-H', 'Content-Type: '
                  . ($type // $said->{headers}{'Content-Type'}),
                  '--data-binary', '@' . file('body', $bytes),
                  $said->{upload_url}))[0];
}


sub link_of {
    my ($id) = @_;

    return api(GET => "/$id/signed-url")->{json}{data}{download_url};
}


for my $style (qw(path virtual)) {
    subtest "the style $style" => sub {
        $sidecar->stop;
        $sidecar = Pulse::Sidecar->start(
            files => undef, options => ['--s3', $s3->url('studio', $style),
                                        '--s3-style', $style]);

        my $cv = http(POST => '/v1/cv/generate', port => $nginx->port,
                      bearer => $key, json => {
            full_name => 'ليلى حداد', email => 'layla@studio.example',
            title => 'x', summary => 'y', skills => ['C'], locale => 'ar',
            export_format => 'pdf' })->{json}{data};
        my $url = $cv->{download_url};

        like($url, $style eq 'path' ? qr{^http://127\.0\.0\.1:\d+/studio/}
                                    : qr{^http://studio\.s3\.localhost:\d+/});
        like($url, qr/X-Amz-Expires=300/);

        my ($status, $head, $body) = plain($url);

        is($status, 200) or diag $body;
        is(length $body, $cv->{size_bytes});
        like($body, qr/^%PDF/);
        like($head, qr{^Content-Type: application/pdf}mi);
        like($head, qr/^Content-Disposition: attachment;/mi);
        like($head, qr/filename\*=UTF-8''%/i);

        (my $bad = $url) =~ s/(%2F\d{8}%2F)/%2F20200101%2F/;
        is((plain($bad))[0], 403, 'what is changed is refused');
        ($bad = $url) =~ s/Expires=300/Expires=3000/;
        is((plain($bad))[0], 403);
        is((plain($url =~ s/\?.*//r))[0], 403, 'nor is it open to all');

        my $said = announce();
        my $id = $said->{file_id};

        is($said->{method}, 'PUT');
        is(put($said, "$png "), 403, 'longer than was said');
        is(put($said, $png, 'text/html'), 403, 'another type');
        is(put($said, $png), 200, 'as it was said');
        ok(grep({ $_ eq "quarantine/$id" } $s3->objects('studio')),
           'it waits in the quarantine');

        my $ready = api(POST => "/$id/complete");

        is($ready->{json}{data}{status}, 'ready') or diag $ready->{body};
        ok(!grep({ $_ eq "quarantine/$id" } $s3->objects('studio')));
        is((plain(link_of($id)))[2], $png);

        is(api(DELETE => "/$id")->{status}, 200);
        is_deeply([grep { /\Q$id\E/ } $s3->objects('studio')], []);

        my ($form, @fields) = announce(method => 'POST');

        is($form->{method}, 'POST');
        push @fields, '-F', "$_=$form->{fields}{$_}"
            for sort keys %{ $form->{fields} };

        my $long = file('long', "$png ");
        my $right = file('right', $png);

        isnt((plain(@fields, '-F', "file=\@$long", $form->{upload_url}))[0],
             204, 'a form with another size');
        isnt((plain(map({ s/^key=.*/key=elsewhere/r } @fields), '-F',
                    "file=\@$right", $form->{upload_url}))[0], 204,
             'or with another name');

        my @sent = plain(@fields, '-F', "file=\@$right",
                         $form->{upload_url});

        is($sent[0], 204, 'a form') or diag $sent[2];
        is(api(POST => "/$form->{file_id}/complete")->{json}{data}{status},
           'ready');
    };
}


subtest 'what is large goes in parts' => sub {
    my $text = join '', map { "line $_ of many\n" } 1 .. 1_000_000;
    my $said = announce(size_bytes => length $text, filename => 'a.txt',
                        content_type => 'text/plain');

    cmp_ok(length $text, '>', 2 * 8 * 1024 * 1024);
    is(put($said, $text), 200);
    is(api(POST => "/$said->{file_id}/complete")->{json}{data}{status},
       'ready');

    my $body = (plain(link_of($said->{file_id})))[2];

    ok($body eq $text, 'and comes back whole');
    like($s3->ask(HEAD => '/studio/' . substr($said->{file_id}, -2)
                  . "/$said->{file_id}"),
         qr/ETag: "[0-9a-f]+-3"/i, 'of three parts');

    my $left = $s3->ask(GET => '/studio', uploads => '');

    like($left, qr/<ListMultipartUploadsResult/);
    unlike($left, qr/<Upload>/, 'nothing is left of it');
};


subtest 'slides with a picture of the bucket' => sub {
    my $said = announce();

    put($said, $png);
    api(POST => "/$said->{file_id}/complete");

    my $made = http(POST => '/v1/slides/generate', port => $nginx->port,
                    bearer => $key, json => {
        presentation_title => 'x', slides => [{
            title => 'y', layout => 'image',
            image => { file_id => $said->{file_id}, alt => 'z' } }] });

    is($made->{status}, 201) or diag $made->{body};
    like((plain($made->{json}{data}{download_url}))[2], qr/^PK/);
};


subtest 'a picture of the bucket is edited' => sub {
    my $said = announce();

    put($said, $png);
    api(POST => "/$said->{file_id}/complete");

    my $begun = http(POST => '/v1/images/transform', port => $nginx->port,
                     bearer => $key, json => {
        file_id => $said->{file_id},
        operations => [{ resize => { width => 3 } }] });

    is($begun->{status}, 202) or diag $begun->{body};

    my $job;

    wait_until {
        $job = http(GET => "/v1/jobs/$begun->{json}{data}{job_id}",
                    port => $nginx->port, bearer => $key)->{json}{data};
        $job->{status} !~ /^(?:queued|processing)$/;
    } 60;

    is($job->{status}, 'completed');
    like((plain($job->{image}{url}))[2], qr/^\x89PNG.{12}\0\0\0\x03/s);
    like((plain($job->{image}{thumbnail_url}))[2], qr/^\xff\xd8\xff/);
};


subtest 'what is past its time' => sub {
    my $said = announce();
    my $id = $said->{file_id};

    put($said, $png);
    api(POST => "/$id/complete");
    sql("UPDATE files SET expires_at = now() WHERE id = '$id'");
    sql("SELECT admin_jobs_run('files')");

    my $row = "SELECT count(*) FROM files WHERE id = '$id'";
    my $gone = wait_until {
        !sql($row) && !grep { /\Q$id\E/ } $s3->objects('studio')
    } 15;

    ok($gone, 'goes');
    is(sql($row), 0);
    cmp_ok(scalar($s3->objects('studio')), '>', 3, 'the others stay');
};


subtest 'a bucket that does not answer, and one that refuses' => sub {
    my $said = announce();

    put($said, $png);
    $s3->stop_serving;

    my $reply = api(POST => "/$said->{file_id}/complete");

    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE');
    ok($reply->{headers}{'retry-after'});

    $s3->serve;
    is(api(POST => "/$said->{file_id}/complete")->{json}{data}{status},
       'ready', 'it waited');

    $sidecar->stop;

    {
        local $ENV{PULSE_S3_SECRET_KEY} = 'not-the-secret';

        $sidecar->run;
    }

    $reply = http(POST => '/v1/slides/generate', port => $nginx->port,
                  bearer => $key, json => {
        presentation_title => 'x', slides => [{ title => 'y' }] });

    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE');
    like($sidecar->log_text, qr/pulse s3: PUT .* 403 SignatureDoesNotMatch/);
    unlike($sidecar->log_text, qr/not-the-secret|\Q$Pulse::Rgw::secret\E/,
           'and no secret is told');
};


is($sidecar->stop, 0, 'the sidecar ends well');
is($nginx->stop, undef, 'so does nginx');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
