# CVs from the request to the file, and all that may be in between.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Encode qw(decode encode_utf8);
use IO::Socket::UNIX;
use JSON::PP ();
use Pulse::Client qw(http);
use Pulse::Env 'own';
use Pulse::Files qw(files_nginx);
use Pulse::Sidecar;
use Test::More;

my $sidecar = Pulse::Sidecar->start;
my $files = $sidecar->files;

my $nginx = files_nginx($sidecar, feature => 'slide_maker',
                        config => <<'CONFIG');
    location = /v1/cv/generate {
        client_max_body_size 1m;
        client_body_buffer_size 2m;
        pulse_auth on;
        pulse_docs feature=cv_maker;
    }

    location = /v1/slow {
        pulse_auth on;
        pulse_docs_timeout 300ms;
        pulse_docs;
    }

    location = /health { pulse_api; }
CONFIG

my $port = $nginx->port;
my $user = make_user(plan => 'starter', locale => 'ar');
my $key = make_key($user);

my %cv = (
    full_name => 'ليلى حداد', email => 'layla@studio.example',
    title => 'مهندسة برمجيات', summary => 'خبرة في C++ وأنظمة 24/7.',
    phone => '+962 79 000 0000', skills => ['C++', 'PostgreSQL'],
    experience => [{ title => 'مهندسة', company => 'شركة النور',
                     start_date => '2021-03', end_date => undef,
                     highlights => ['خفض الزمن إلى 820 ms'] }],
);


sub generate {
    my ($cv, %more) = @_;

    return http(POST => '/v1/cv/generate', port => $port, bearer => $key,
                json => $cv, %more);
}


sub download {
    my ($reply, %more) = @_;

    my $path = $reply->{json}{data}{download_url}
        =~ s{^http://studio\.example}{}r;

    return http(GET => $path, port => $port, %more);
}


my %types = (
    pdf => 'application/pdf',
    docx => 'application/vnd.openxmlformats-officedocument'
            . '.wordprocessingml.document',
);

for my $locale (qw(ar en)) {
    for my $format (sort keys %types) {
        subtest "$locale, $format" => sub {
            my $reply = generate({ %cv, locale => $locale,
                                   export_format => $format });
            my $data = $reply->{json}{data};

            is($reply->{status}, 201);
            is($reply->{headers}{'cache-control'}, 'no-store');
            is($reply->{json}{meta}{trace_id},
               $reply->{headers}{'x-trace-id'}, 'one trace');
            is($data->{status}, 'completed');
            is($data->{format}, $format);
            is_deeply($data->{warnings}, []);
            like($data->{expires_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
            like($data->{$_}, qr/^[0-9a-f-]{36}$/) for qw(cv_id file_id);

            my $file = download($reply);

            is($file->{status}, 200, 'the link needs no credential');
            is(length $file->{body}, $data->{size_bytes});
            like($file->{body}, $format eq 'pdf' ? qr/^%PDF-1/ : qr/^PK/);
            is($file->{headers}{'content-type'}, $types{$format});

            my ($plain, $coded) = $file->{headers}{'content-disposition'}
                =~ /^attachment; filename="([ -~]+)"; filename\*=UTF-8''(\S+)$/;

            like($plain, qr/\.$format$/);
            $coded =~ s/%(..)/chr hex $1/ge;
            is(decode('UTF-8', $coded), $data->{filename},
               'the name is in Arabic');
            like($data->{filename}, qr/ليلى حداد\.$format$/);

            is((stat((glob "$files/*/$data->{file_id}")[0]))[2] & 0777, 0600,
               'it is nobody else\'s');
        };
    }
}


subtest 'a part of a file' => sub {
    my $reply = generate({ %cv, export_format => 'pdf' });
    my $part = download($reply, headers => { Range => 'bytes=0-3' });

    is($part->{status}, 206);
    is($part->{body}, '%PDF');
};


subtest 'a JSON Resume, with what is not known here' => sub {
    my $reply = generate({ basics => { name => 'Omar Nasser', summary => 'x',
                                       email => 'omar@studio.example',
                                       label => 'Writer' },
                           horoscope => 'good', locale => 'en',
                           format => 'docx' });

    is($reply->{status}, 201);
    is_deeply([map { $_->{field} } @{ $reply->{json}{data}{warnings} }],
              ['/horoscope']);
};


subtest 'once for an idempotency key' => sub {
    my %once = (headers => { 'Idempotency-Key' => 'cv-1' });
    my $count = sub {
        return sql("SELECT count(*) FROM files WHERE user_id = '$user'");
    };
    my $before = $count->();
    my $first = generate(\%cv, %once);
    my $again = generate(\%cv, %once);

    is($first->{status}, 201);
    is_deeply($again->{json}, $first->{json}, 'the first answer again');
    is($again->{headers}{'idempotent-replayed'}, 'true');
    is($again->{headers}{'content-type'}, $first->{headers}{'content-type'});
    is($count->(), $before + 1);

    my $other = generate({ %cv, title => 'x' }, %once);

    is($other->{status}, 409);
    is($other->{json}{error}{code}, 'IDEMPOTENCY_MISMATCH');

    # what failed frees its key

    %once = (headers => { 'Idempotency-Key' => 'cv-2' });
    is(generate({ %cv, email => 'nobody' }, %once)->{status}, 400);
    is(generate(\%cv, %once)->{status}, 201);

    # one that is running, and one that a crash has left

    sql("UPDATE idempotency SET status = NULL WHERE key = 'cv-2'");

    my $running = generate(\%cv, %once);

    is($running->{status}, 409);
    ok($running->{headers}{'retry-after'});

    sql("UPDATE idempotency_document SET created_at = now() - interval '1 h'");
    is(generate(\%cv, %once)->{status}, 201, 'its key is free again');

    for my $key ('', 'a b', 'x' x 256, "\x{e4}") {
        is(generate(\%cv, headers => { 'Idempotency-Key' => $key }
                    )->{status}, $key eq '' ? 201 : 400);
    }
};


subtest 'what is refused' => sub {
    my %refused = (
        '/full_name' => { %cv, full_name => undef },
        '/email' => { %cv, email => 'nobody' },
        '/experience/0/start_date' => { %cv, experience => [
            { title => 'x', company => 'y', start_date => 'soon' }] },
        '/export_format' => { %cv, export_format => 'odt' },
        '/skills/1' => { %cv, skills => ['a', 'b' x 5000] },
    );

    for my $field (sort keys %refused) {
        my $reply = generate($refused{$field});

        is($reply->{status}, 400, $field);
        is($reply->{json}{error}{code}, 'INVALID_REQUEST');
        is($reply->{json}{error}{details}{field}, $field);
        like($reply->{json}{error}{message}, qr/\p{Arabic}/);

        $reply = generate({ %{ $refused{$field} }, locale => 'en' });
        unlike($reply->{json}{error}{message}, qr/\p{Arabic}/, 'in English');
    }

    my @bodies = ('{', '[]', 'null', '{"full_name": 1}', '{"a":1,"a":2}',
                  "{\"full_name\":\"\xff\"}", ('[' x 100) . (']' x 100), '');

    for my $body (@bodies) {
        my $reply = generate(undef, json => undef, body => $body,
                             headers => { 'Content-Type'
                                          => 'application/json' });

        is($reply->{json}{error}{code}, 'INVALID_REQUEST',
           substr $body, 0, 20);
    }

    is(http(POST => '/v1/cv/generate', port => $port, bearer => $key,
            body => '{}', headers => { 'Content-Type' => 'text/plain' }
            )->{json}{error}{code}, 'UNSUPPORTED_MEDIA_TYPE');

    my $reply = generate({ %cv, summary => 'x' x 1_100_000 });

    is($reply->{status}, 413);
    is($reply->{json}{error}{code}, 'REQUEST_TOO_LARGE');

    $reply = http(GET => '/v1/cv/generate', port => $port, bearer => $key);

    is($reply->{json}{error}{code}, 'METHOD_NOT_ALLOWED');
    is($reply->{headers}{allow}, 'POST');

    is(http(POST => '/v1/cv/generate', port => $port, json => \%cv
            )->{json}{error}{code}, 'UNAUTHORIZED');
    is(http(GET => '/v1/nothing', port => $port,
            bearer => make_key(make_user(plan => 'pro')))->{status}, 404);
};


subtest 'what is in the plan' => sub {
    my $none = generate(\%cv, bearer => make_key(make_user()));

    is($none->{status}, 402);
    is($none->{json}{error}{code}, 'NO_SUBSCRIPTION');

    my $slides = http(POST => '/v1/slides', port => $port, bearer => $key,
                      json => {});

    is($slides->{status}, 402);
    is($slides->{json}{error}{code}, 'FEATURE_NOT_IN_PLAN');
    is_deeply($slides->{json}{error}{details},
              { feature => 'slide_maker',
                upgrade_url => 'http://studio.example/plans' });
};


subtest 'nobody can say that they are somebody else' => sub {
    my $other = make_user(plan => 'pro');
    my $reply = generate({ %cv, locale => undef },
                         headers => { 'X-Pulse-User' => $other,
                                      'X-Pulse-Locale' => 'en',
                                      'X-Pulse-Url' => 'http://evil.example',
                                      'X-Trace-ID' => 'forged' });
    my $data = $reply->{json}{data};

    is($reply->{status}, 201);
    is(sql("SELECT user_id FROM files WHERE id = '$data->{file_id}'"), $user);
    unlike($reply->{body}, qr/evil|forged/);
};


subtest 'links' => sub {
    my $reply = generate({ %cv, export_format => 'pdf' });
    my ($path) = $reply->{json}{data}{download_url} =~ m{(/files/.*)$};

    my ($later) = map { s/expires=(\d+)/'expires=' . ($1 + 60)/er } $path;
    my %bad = (
        'a later end' => $later,
        'another name' => $path =~ s/\.pdf/.htm/r,
        'another file' => $path =~ s/(files\/.{35})(.)/$1 . ($2 eq '0'
                                                            ? '1' : '0')/er,
        'another signature' => $path =~ s/signature=(.)/
                                          'signature=' . ($1 eq 'A' ? 'B'
                                                                    : 'A')/er,
        'no signature' => $path =~ s/&signature=.*//r,
        'no query' => $path =~ s/\?.*//r,
        'nothing' => '/files/',
        'not ours' => '/files/../etc/passwd',
    );

    for my $name (sort keys %bad) {
        my $got = http(GET => $bad{$name}, port => $port);

        isnt($got->{status}, 200, $name);
        unlike($got->{body}, qr/%PDF/);
    }

    is(http(GET => $later, port => $port)->{json}{error}{code}, 'FORBIDDEN');
    is(http(PUT => $path, port => $port, body => 'x')->{status}, 403,
       'a link to read does not let write');
    is(http(POST => $path, port => $port, body => 'x')->{headers}{allow},
       'GET, HEAD, PUT');
    is(http(GET => $path =~ s{/files/}{/stored/}r, port => $port)->{status},
       404, 'the internal location is nobody\'s');
    is(http(HEAD => $path, port => $port)->{headers}{'content-length'},
       $reply->{json}{data}{size_bytes});
};


subtest 'the disk does not take it' => sub {
    rename "$files", "$files.away";

    my $reply = generate(\%cv);

    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'STORE_UNAVAILABLE');
    like($reply->{json}{error}{message}, qr/\p{Arabic}/);
    like($sidecar->log_text, qr/cannot be written: No such file/);

    rename "$files.away", "$files";

    is(generate(\%cv)->{status}, 201, 'and then it does');
};


my $made = generate({ %cv, export_format => 'pdf' });

subtest 'Postgres is away' => sub {
    postgres->stop('INT');

    is(download($made)->{status}, 200, 'links need it not');

    is(generate(\%cv)->{json}{error}{code}, 'STORE_UNAVAILABLE');
    postgres->start;

    my $back = wait_until { generate(\%cv)->{status} == 201 } 10;

    ok($back, 'it comes back');
};


subtest 'a client that leaves' => sub {
    my $before = sql('SELECT count(*) FROM files');
    my $client = Pulse::Client->connect(port => $port);

    $client->request(POST => '/v1/cv/generate', bearer => $key, json => \%cv);
    $client->reset;

    is(generate(\%cv)->{status}, 201, 'does no harm');
};


subtest 'the sidecar hangs' => sub {
    $sidecar->pause;

    my $reply = http(GET => '/v1/slow', port => $port, bearer => $key);

    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'SERVICE_UNAVAILABLE');
    is($reply->{headers}{'retry-after'}, 5);

    $sidecar->resume;
};


subtest 'the sidecar is killed under a request' => sub {
    $sidecar->pause;

    my $client = Pulse::Client->connect(port => $port);

    $client->request(POST => '/v1/cv/generate', bearer => $key, json => \%cv,
                     close => 1);

    # it is with the sidecar when its connection is established

    is(http(GET => '/health', port => $port)->{status}, 200);
    $sidecar->stop('KILL');

    my $reply = $client->response;

    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'SERVICE_UNAVAILABLE');

    is(generate(\%cv)->{status}, 503, 'so it is while there is none');
    is(download($made)->{status}, 200, 'nor is it needed for links');
    is(http(GET => '/health', port => $port)->{status}, 200,
       'and all else goes on');

    $sidecar->run;

    is(generate(\%cv)->{status}, 201, 'until there is one');
};

subtest 'the sidecar is told to end while much waits' => sub {
    my $before = sql('SELECT count(*) FROM files');
    my $body = JSON::PP->new->utf8->encode({ %cv, export_format => 'pdf' });
    my %said;

    my @clients = map {
        my $client = IO::Socket::UNIX->new(Peer => $sidecar->socket_path)
            or die;

        print {$client} "POST /v1/cv/generate HTTP/1.0\r\n"
            . "X-Pulse-User: $user\r\nContent-Length: " . length($body)
            . "\r\n\r\n$body";
        $client->flush;
        $client;
    } 1 .. 100;

    ok(wait_until { sql('SELECT count(*) FROM files') > $before });
    is($sidecar->stop, 0, 'it ends well');

    for my $client (@clients) {
        local $/;
        my ($status) = (readline($client) // '') =~ m{^HTTP/1\.\d (\d+)};
        $said{ $status // '' }++;
    }

    is(sql('SELECT count(*) FROM files'), $before + ($said{201} // 0),
       'what it said it did, it did');
    is_deeply([grep { !/^(?:201|503|)$/ } keys %said], [],
              'and refused the rest, or did not take it');

    $sidecar->run;
};


$nginx->excuse('connect() to unix:');


is($sidecar->stop, 0, 'the sidecar ends well');
is($nginx->stop, undef, 'so does nginx');
is_deeply([$nginx->problems], [], 'and its log is clean');

done_testing();
