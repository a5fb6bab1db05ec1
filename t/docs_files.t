# Files of people: announced, put, looked at, got and gone.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Compress::Zlib qw(compress crc32);
use Digest::SHA qw(hmac_sha256);
use IO::Socket::UNIX;
use MIME::Base64 qw(decode_base64 encode_base64url);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Files qw(files_nginx);
use Pulse::Sidecar;
use Test::More;

my $clamd = suite_dir() . '/clamd.sock';
my $sidecar = Pulse::Sidecar->start;
my $files = $sidecar->files;

my $nginx = files_nginx($sidecar);

my $port = $nginx->port;
my $user = make_user(plan => 'pro', locale => 'en');
my $key = make_key($user);
my $other = make_key(make_user(plan => 'pro'));

my $png = decode_base64('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQV'
                        . 'R42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==');


sub api {
    my ($method, $path, %more) = @_;

    return http($method, "/v1/files$path", port => $port, bearer => $key,
                %more);
}


sub announce {
    my (%o) = @_;

    return api(POST => '/presigned-upload',
               json => { filename => 'صورة.png', content_type => 'image/png',
                         size_bytes => length $png, %o });
}


sub put {
    my ($reply, $body, %more) = @_;
    my $path = $reply->{json}{data}{upload_url}
        =~ s{^http://studio\.example}{}r;

    return http(PUT => $path, port => $port, body => $body, %more);
}


sub upload {
    my ($body, %o) = @_;
    my $reply = announce(size_bytes => length $body, %o);

    is($reply->{status}, 201) or diag $reply->{body};
    is(put($reply, $body)->{status}, 200);

    my $id = $reply->{json}{data}{file_id};

    return ($id, api(POST => "/$id/complete"));
}


sub link_of {
    my ($id) = @_;

    return api(GET => "/$id/signed-url")->{json}{data}{download_url}
        =~ s{^http://studio\.example}{}r;
}


subtest 'an upload' => sub {
    my $said = announce();
    my $data = $said->{json}{data};
    my $id = $data->{file_id};

    is($said->{status}, 201);
    is($data->{method}, 'PUT');
    is($data->{expires_in}, 300);
    is_deeply($data->{headers}, { 'Content-Type' => 'image/png' });

    is(api(POST => "/$id/complete")->{status}, 400, 'nothing came yet');
    is(api(GET => "/$id")->{json}{data}{status}, 'pending');
    is(api(GET => "/$id/signed-url")->{status}, 404, 'so it has no link');

    my $put = put($said, $png);

    is($put->{status}, 200);
    is($put->{json}{data}{file_id}, $id);
    is(api(GET => "/$id/signed-url")->{status}, 404, 'nor in quarantine');

    my $done = api(POST => "/$id/complete");

    is($done->{status}, 200);
    is($done->{json}{data}{status}, 'ready');
    is($done->{json}{data}{filename}, 'صورة.png');
    is($done->{json}{data}{width}, 1);
    is($done->{json}{data}{height}, 1);
    ok(!-e "$files/quarantine/$id");

    is(api(POST => "/$id/complete")->{json}{data}{status}, 'ready',
       'said twice');

    my $got = http(GET => link_of($id), port => $port);

    is($got->{body}, $png);
    is($got->{headers}{'content-type'}, 'image/png');

    subtest 'is nobody else\'s' => sub {
        for (['GET', ''], ['GET', '/signed-url'], ['POST', '/complete'],
             ['DELETE', ''])
        {
            my ($method, $tail) = @$_;
            my $reply = api($method => "/$id$tail", bearer => $other);

            is($reply->{status}, 404, "$method $tail");
            is($reply->{json}{error}{code}, 'NOT_FOUND');
        }

        is_deeply(api(GET => '', bearer => $other)->{json}{data}{files}, []);
    };

    my $path = link_of($id);

    is(api(DELETE => "/$id")->{json}{data}{deleted}, JSON::PP::true);
    is(api(GET => "/$id")->{status}, 404);
    is(http(GET => $path, port => $port)->{status}, 404,
       'a link does not outlive its file');
    is(scalar(() = glob "$files/*/$id"), 0);
};


subtest 'what is refused at once' => sub {
    my %bad = (
        '/filename' => [{ filename => undef }, { filename => 'x' x 201 }],
        '/content_type' => [{ content_type => 'text/html' },
                            { content_type => undef }],
        '/size_bytes' => [{ size_bytes => 0 }, { size_bytes => -1 },
                          { size_bytes => undef }, { size_bytes => 1.5 }],
    );

    for my $field (sort keys %bad) {
        for my $o (@{ $bad{$field} }) {
            my $reply = announce(%$o);

            is($reply->{status}, 400);
            is($reply->{json}{error}{details}{field}, $field);
        }
    }

    is(announce(size_bytes => 25 * 1024 * 1024 + 1)->{json}{error}{code},
       'REQUEST_TOO_LARGE');
};


subtest 'what is not what was said' => sub {
    my $said = announce();

    is(put($said, $png . 'x')->{status}, 400, 'longer');
    is(put($said, substr $png, 1)->{status}, 400, 'shorter');
    is(put($said, '')->{status}, 400, 'empty');
    is(put($said, 'x' x (26 * 1024 * 1024))->{status}, 413, 'far too long');
    ok(!-e "$files/quarantine/$said->{json}{data}{file_id}",
       'nothing is kept');

    my $html = '<html><script>alert(1)</script>';
    my ($id, $reply) = upload($html);

    is($reply->{status}, 400, 'a page is no picture');
    is($reply->{json}{error}{details}{field}, '/content_type');
    is(api(GET => "/$id")->{status}, 404);
    ok(!-e "$files/quarantine/$id");

    ($id, $reply) = upload(substr($png, 0, 40));
    is($reply->{json}{error}{details}{field}, '/content_type', 'a cut one');
};


# As today's telephones take them, by its header: more than a slide can have of
# a PNG, and no more than can be edited.

subtest 'a picture of 24 megapixels' => sub {
    my $chunk = sub {
        return pack('N', length $_[1]) . $_[0] . $_[1]
            . pack('N', crc32($_[0] . $_[1]));
    };

    my ($id, $reply) = upload(substr($png, 0, 8)
        . $chunk->('IHDR', pack('NNC5', 6000, 4000, 8, 2, 0, 0, 0))
        . $chunk->('IDAT', compress("\0")) . $chunk->('IEND', ''));

    is($reply->{json}{data}{status}, 'ready') or diag $reply->{body};
    is($reply->{json}{data}{width}, 6000);

    my $made = http(POST => '/v1/slides/generate', port => $port,
                    bearer => $key, json => {
        presentation_title => 'x', color => 'red', slides => [{
            title => 'y', layout => 'image', image_file_id => $id }] });

    is($made->{json}{error}{details}{field}, '/slides/0/image_file_id');

    $made = http(POST => '/v1/slides/generate', port => $port, bearer => $key,
                 json => { presentation_title => 'x', color => 'red',
                           slides => [{ layout => 'quote', quote => 'y',
                                        bullets => ['z'] }] });

    is_deeply($made->{json}{data}{outline}, ['y'], 'a quote is its title');
    is_deeply([map { $_->{field} } @{ $made->{json}{data}{warnings} }],
              ['/color', '/slides/0/bullets'], 'what is of no use is named');
};


subtest 'links to write' => sub {
    my $said = announce();
    my $url = $said->{json}{data}{upload_url}
        =~ s{^http://studio\.example}{}r;

    for my $bad ($url =~ s/size=(\d+)/'size=' . ($1 + 1)/er,
                 $url =~ s/expires=(\d+)/'expires=' . ($1 + 1)/er,
                 $url =~ s/&size=\d+//r, $url =~ s/signature=.*/signature=/r)
    {
        is(http(PUT => $bad, port => $port, body => $png)->{status}, 403);
    }

    is(http(GET => $url, port => $port)->{status}, 403,
       'a link to write does not let read');

    open my $in, '<', "$files.key" or die;
    chomp(my $secret = pack 'H*', scalar <$in>);

    my $late = time - 1;
    my $id = $said->{json}{data}{file_id};
    my $signature = encode_base64url(hmac_sha256(
        "PUT\n$late\n" . length($png) . "\n/files/$id", $secret));

    is(http(PUT => "/files/$id?expires=$late&size=" . length($png)
                   . "&signature=$signature", port => $port, body => $png
            )->{status}, 403, 'nor a good one that is late');
};


subtest 'pages of the list' => sub {
    my ($pager, $count) = (make_user(plan => 'pro'), 0);
    my $bearer = make_key($pager);

    sql("SELECT file_add(('01900000-0000-7000-8000-'"
        . " || lpad(to_hex(n), 12, '0'))::uuid, '$pager', 'cv', 'ready',"
        . " n || '.pdf', 'application/pdf', n, '1 day')"
        . " FROM generate_series(1, 120) n");
    sql("UPDATE files SET expires_at = now() - interval '1 s'"
        . " WHERE user_id = '$pager' AND size_bytes = 120");

    my ($cursor, @sizes) = '';

    while (defined $cursor) {
        my $data = api(GET => $cursor, bearer => $bearer)->{json}{data};

        push @sizes, map { $_->{size_bytes} } @{ $data->{files} };
        $cursor = defined $data->{next_cursor}
                  ? "?cursor=$data->{next_cursor}" : undef;
        last if ++$count > 5;
    }

    is($count, 3);
    is_deeply(\@sizes, [reverse 1 .. 119], 'each once, the newest first');
    is(api(GET => '?cursor=x')->{json}{error}{details}{field}, '/cursor');
};


subtest 'slides with a picture that was uploaded' => sub {
    my ($id) = upload($png);

    for my $format (qw(pptx pdf)) {
        my $deck = {
            presentation_title => 'خطة 2027', export_format => $format,
            slides => [{ title => 'أولًا', layout => 'bullets',
                         bullets => ['نقطة'] },
                       { title => 'صورة', layout => 'image',
                         image => { file_id => $id, alt => 'نقطة' } }],
        };
        my $made = http(POST => '/v1/slides/generate', port => $port,
                        bearer => $key, json => $deck);

        is($made->{status}, 201) or diag $made->{body};
        is($made->{json}{data}{slide_count}, 2);
        is_deeply($made->{json}{data}{outline}, ['أولًا', 'صورة']);
        like(http(GET => link_of($made->{json}{data}{file_id}),
                  port => $port)->{body},
             $format eq 'pdf' ? qr/^%PDF/ : qr/^PK/);

        is(http(POST => '/v1/slides/generate', port => $port,
                bearer => $other, json => $deck)->{status}, 400,
           'not with somebody else\'s');
    }
};


subtest 'what a crash leaves' => sub {
    my ($kept) = upload($png);
    my $stray = uuid();
    my $shard = "$files/" . substr $stray, -2;
    my $hour = time - 4000;
    my @left = ("$shard/$stray", "$shard/$stray.Ab12Cd",
                "$files/quarantine/$stray");

    mkdir $shard;

    for my $name (@left) {
        open my $out, '>', $name or die "$name: $!";
        close $out;
        utime $hour, $hour, $name;
    }

    my $fresh = uuid();
    my $young = "$files/quarantine/$fresh";

    open my $out, '>', $young or die;
    close $out;
    utime $hour, $hour, glob "$files/*/$kept";

    my ($old) = upload($png);

    sql("UPDATE files SET expires_at = now() WHERE id = '$old'");

    sql("SELECT admin_jobs_run('files')");

    my $row = "SELECT count(*) FROM files WHERE id = '$old'";
    my $gone = wait_until {
        !sql($row) && !grep { -e } @left, glob "$files/*/$old"
    } 10;

    ok($gone, 'is removed');
    ok(-e $young, 'but not what may still be wanted');
    ok(scalar(() = glob "$files/*/$kept"), 'nor what has a row');
    is(sql($row), 0);
};


subtest 'as much as there is room for' => sub {
    $sidecar->stop;

    my $program = ($ENV{PULSE_BUILD} // "$Pulse::Env::root/build")
                  . '/pulse-sidecar';

    for my $size (0, -1, '1k', '1gg', '17179869185g', '9223372036854775808') {
        my $command = "$program --listen /nowhere/x --database x"
                      . " --files-room $size";

        like(scalar qx{$command 2>&1}, qr/^usage/m, "$size is no room");
    }

    $sidecar = Pulse::Sidecar->start(options => ['--files-room', '10000']);

    my $bearer = make_key(make_user(plan => 'pro', locale => 'en'));
    my %mine = (bearer => $bearer);
    my $full = sub {
        my ($reply, $used) = @_;

        is($reply->{status}, 402);
        is($reply->{json}{error}{code}, 'QUOTA_EXCEEDED');
        is($reply->{json}{error}{details}{resource}, 'storage');
        is($reply->{json}{error}{details}{limit}, 10000);
        is($reply->{json}{error}{details}{used}, $used);
    };
    my $announced = sub {
        my ($size) = @_;

        return api(POST => '/presigned-upload', %mine, json => {
            filename => 'a', content_type => 'text/plain',
            size_bytes => $size });
    };

    my $said = $announced->(6000);

    is($said->{status}, 201);
    is($announced->(4000)->{status}, 201, 'to the last byte');
    $full->($announced->(1), 10000);

    my $cv = { full_name => 'Omar Nasser', email => 'omar@studio.example',
               title => 'x', summary => 'y', skills => ['C'] };
    my $made = http(POST => '/v1/cv/generate', port => $port,
                    bearer => $bearer, json => $cv);

    $full->($made, 10000);
    is(scalar(() = grep { -s > 0 && -M _ < 0.001 && /[0-9a-f-]{36}\z/
                              && !/quarantine/ && !sql("SELECT 1 FROM files"
                              . " WHERE id = '" . substr($_, -36) . "'") }
                   glob "$files/??/*"), 0, 'what had no room is gone');

    is(api(DELETE => "/$said->{json}{data}{file_id}", %mine)->{status}, 200);
    is(http(POST => '/v1/cv/generate', port => $port, bearer => $bearer,
            json => $cv)->{status}, 201, 'what goes makes room');

    # of those that race no more get in than there is room for

    my $racer = make_key(make_user(plan => 'pro'));
    my @clients = map { Pulse::Client->connect(port => $port) } 1 .. 8;

    $_->request(POST => '/v1/files/presigned-upload', bearer => $racer,
                json => { filename => 'a', content_type => 'text/plain',
                          size_bytes => 3000 }) for @clients;

    my @status = sort map { $_->response->{status} } @clients;

    is_deeply(\@status, [(201) x 3, (402) x 5]);
};


subtest 'a scanner looks at it' => sub {
    $sidecar->stop;
    $sidecar = Pulse::Sidecar->start(options => ['--clamd', $clamd]);

    my ($id, $reply) = upload($png);

    is($reply->{status}, 503, 'nothing passes without it');
    ok(-e "$files/quarantine/$id", 'it waits');

    my $scanner = IO::Socket::UNIX->new(Local => $clamd, Listen => 5)
        or die "$clamd: $!";

    my $pid = fork // die;

    if ($pid == 0) {
        for my $verdict ('OK', 'Test.Virus FOUND') {
            my $peer = $scanner->accept;
            my $bytes = '';

            while ($bytes !~ /\0\0\0\0\z/ || length $bytes < 20) {
                sysread $peer, $bytes, 65536, length $bytes or last;
            }

            print {$peer} "stream: $verdict\0";
            $peer->flush;
            close $peer;
        }

        require POSIX;
        POSIX::_exit(0);
    }

    is(api(POST => "/$id/complete")->{json}{data}{status}, 'ready');

    ($id, $reply) = upload($png);
    is($reply->{status}, 400, 'what it finds is refused');
    is($reply->{json}{error}{details}{reason}, 'holds malware');
    is(api(GET => "/$id")->{status}, 404);
    waitpid $pid, 0;
};


is($sidecar->stop, 0, 'the sidecar ends well');
is($nginx->stop, undef, 'so does nginx');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
