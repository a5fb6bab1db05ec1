# Pictures and clips that people edit: what is made of them, what is refused,
# and what is left when somebody cancels or the sidecar is killed.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Compress::Zlib qw(compress crc32);
use Encode qw(encode_utf8);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Files qw(files_nginx);
use Pulse::Process qw(wait_until);
use Pulse::Sidecar;
use Pulse::Wire;
use Test::More;

my $dir = suite_dir();
my $wire = Pulse::Wire->start;
my @options = ('--edits', 'image-pixels=16000000,jobs=2,clip-seconds=20');

sql("UPDATE job_schedules SET next_at = 'infinity'");

my $sidecar = sidecar();
my $files = $sidecar->files;

my $nginx = files_nginx($sidecar);

my $port = $nginx->port;
my $user = make_user(plan => 'creator', locale => 'en');
my $key = make_key($user);
my $stranger = make_key(make_user(plan => 'creator'));


sub sidecar {
    return Pulse::Sidecar->start(database => $wire->conninfo,
                                 options => \@options);
}


sub api {
    my ($method, $path, %more) = @_;

    return http($method, "/v1$path", port => $port, bearer => $key, %more);
}


sub path_of { $_[0] =~ s{^http://studio\.example}{}r }


sub put_file {
    my ($body, $type, $name) = @_;

    my $said = api(POST => '/files/presigned-upload',
                   json => { filename => $name // 'a', content_type => $type,
                             size_bytes => length $body });
    my $data = $said->{json}{data};

    is($said->{status}, 201) or diag $said->{body};
    is(http(PUT => path_of($data->{upload_url}), port => $port,
            body => $body)->{status}, 200);

    return $data->{file_id};
}


sub upload {
    my $id = put_file(@_);

    return ($id, api(POST => "/files/$id/complete"));
}


sub download {
    return http(GET => path_of($_[0]), port => $port)->{body};
}


sub image {
    my ($id, @operations) = @_;

    return api(POST => '/images/transform',
               json => { file_id => $id, operations => \@operations });
}


sub finished {
    my ($said, $status) = @_;

    is($said->{status}, 202) or diag $said->{body};

    my $path = path_of($said->{json}{data}{poll_url} // '/') =~ s{^/v1}{}r;
    my $job;

    wait_until {
        $job = api(GET => $path)->{json}{data};
        $job->{status} !~ /^(?:queued|processing)$/;
    } 60;

    is($job->{status}, $status // 'completed') or diag explain $job;

    return $job;
}


sub chunk {
    my ($type, $data) = @_;

    return pack('N', length $data) . $type . $data
           . pack('N', crc32("$type$data"));
}


# a picture of one color, RGB

sub png {
    my ($width, $height, %o) = @_;

    my $rows = ("\0" . ("\x20\x60\xa0" x $width)) x ($o{rows} // $height);

    return "\x89PNG\r\n\x1a\n"
           . chunk('IHDR', pack('NNCCCCC', $width, $height, 8, 2, 0, 0, 0))
           . ($o{chunk} // '')
           . chunk('IDAT', compress($rows)) . chunk('IEND', '');
}


sub size_of_png {
    my ($png) = @_;

    return join 'x', unpack 'x16 NN', $png;
}


# by ffmpeg, into a file of the suite's

sub make {
    my ($name, @args) = @_;

    system('ffmpeg', '-nostdin', '-v', 'error', '-y', @args, "$dir/$name") == 0
        or BAIL_OUT("ffmpeg cannot make $name");

    open my $in, '<:raw', "$dir/$name" or die "$name: $!\n";
    local $/;

    return scalar <$in>;
}


sub high_water {
    open my $in, '<', "/proc/$_[0]/status" or die "$_[0]: $!\n";

    return (map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$in>)[0];
}


sub source { return ('-f', 'lavfi', '-i', @_) }


my ($picture) = upload(png(300, 200), 'image/png', 'صورة.png');


subtest 'a picture is cropped, scaled and written on' => sub {
    my $job = finished(image($picture,
        { crop => { x => 20, y => 10, width => 200, height => 180 } },
        { resize => { width => 400 } },
        { text => { text => "خصم ٢٥٪ حتى 31/12\nPulse AI", size => 30,
                    color => 'FFFFFF', background => '000000',
                    align => 'center', vertical_align => 'bottom' } }));

    my $image = $job->{image};
    my $png = download($image->{url});

    is(size_of_png($png), '400x360');
    is($image->{width}, 400);
    is($image->{height}, 360);
    is($image->{size_bytes}, length $png);
    like(download($image->{thumbnail_url}), qr/^\xff\xd8\xff/);

    my $file = api(GET => "/files/$image->{file_id}")->{json}{data};

    is($file->{filename}, 'صورة-edit.png');
    is($file->{kind}, 'edit');
    is($file->{content_type}, 'image/png');
    is($file->{width}, 400);

    is(sql("SELECT count(*) FROM usage_events"), 0, 'of no quota');
};


subtest 'as a JPEG' => sub {
    my $job = finished(api(POST => '/images/transform', json => {
        file_id => $picture, format => 'jpeg', quality => 70,
        operations => [{ resize => { width => 64, height => 64,
                                     fit => 'cover' } }] }));

    like(download($job->{image}{url}), qr/^\xff\xd8\xff/);
    is("$job->{image}{width}x$job->{image}{height}", '64x64');
};


subtest 'WebP is read' => sub {
    my ($id, $said) = upload(make('a.webp', source('testsrc=s=160x90'),
                                  '-frames:v', 1), 'image/webp');

    is($said->{json}{data}{width}, 160) or diag $said->{body};

    my $job = finished(image($id, { resize => { height => 45 } }));

    is(size_of_png(download($job->{image}{url})), '80x45');
};


subtest 'what cannot be done is refused at once' => sub {
    for ([[{ crop => { x => 200, y => 0, width => 200, height => 10 } }],
          '/operations/0'],
         [[{ resize => { width => 100 } },
           { crop => { width => 101, height => 1 } }], '/operations/1'],
         [[{ resize => { width => 16000, height => 16000,
                         fit => 'fill' } }], '/operations/0'],
         [[{ text => { text => 'كلمة ' x 60, size => 60 } }],
          '/operations/0'],
         [[{ text => { text => 'a', size => 501 } }],
          '/operations/0/text/size'],
         [[{ text => { text => 'a' x 501 } }], '/operations/0/text/text'],
         [[{ crop => { width => 10 } }], '/operations/0/crop/height'],
         [[{ blur => {} }], '/operations/0'],
         [[map { { resize => { width => 9 } } } 1 .. 21], '/operations'],
         [[], '/operations'])
    {
        my ($operations, $field) = @$_;
        my $said = image($picture, @$operations);

        is($said->{status}, 400) or diag $said->{body};
        is($said->{json}{error}{details}{field}, $field);
    }

    is(image('no id', { resize => { width => 9 } })->{status}, 400);
    is(image('01234567-89ab-7def-8123-456789abcdef',
             { resize => { width => 9 } })->{status}, 404);
};


subtest 'only one\'s own, and out of quarantine' => sub {
    my %json = (file_id => $picture,
                operations => [{ resize => { width => 9 } }]);

    is(api(POST => '/images/transform', json => \%json,
           bearer => $stranger)->{status}, 404);

    my $waits = put_file(png(9, 9), 'image/png');
    my $said = image($waits, { resize => { width => 3 } });

    is($said->{status}, 400);
    like($said->{body}, qr/quarantine/);

    my ($text) = upload('plain words, and more of them', 'text/plain');

    is(image($text, { resize => { width => 3 } })->{status}, 400);
};


subtest 'pictures that lie' => sub {
    my %bad = (
        'a bomb by its header' => png(60000, 60000, rows => 1),
        'more pixels than may be' => png(15000, 15000, rows => 1),
        'animated' => png(9, 9, chunk => chunk('acTL', pack('NN', 2, 0))),
        'a palette without colors' =>
            png(9, 9) =~ s/(IHDR.{9})\x02(...)..../
                "$1\x03$2" . pack('N', crc32("$1\x03$2"))/ser);

    for my $name (sort keys %bad) {
        my ($id, $said) = upload($bad{$name}, 'image/png');

        next if $said->{status} == 400;

        $said = image($id, { resize => { width => 3 } });

        is($said->{status}, 400, $name) or diag $said->{body};
        is($said->{json}{error}{details}{field}, '/file_id');
    }

    # the header is right, the pixels end: only who reads them finds out

    my ($id, $said) = upload(png(900, 900, rows => 3), 'image/png');

    is($said->{status}, 200) or diag $said->{body};

    my $job = finished(image($id, { resize => { width => 3 } }), 'failed');

    is($job->{error}{code}, 'INVALID_REQUEST');

    ($id, $said) = upload(png(9, 9), 'image/webp');
    is($said->{status}, 400, 'a PNG that is said to be WebP');
    is($said->{json}{error}{details}{field}, '/content_type');

    # what is past the limit says so

    ($id, $said) = upload(png(10000, 6000, rows => 3), 'image/png');
    is($said->{status}, 400);
    like($said->{json}{error}{details}{reason}, qr/too many pixels/);
};


subtest 'so many at a time' => sub {
    sql("INSERT INTO tasks (id, user_id, kind, request, deadline)"
        . " SELECT gen_random_uuid(), '$user', 'image_edit', '{}',"
        . " now() + interval '1 hour' FROM generate_series(1, 2)");

    my $said = image($picture, { resize => { width => 3 } });

    is($said->{status}, 429);
    is($said->{json}{error}{details}{limit}, 2);

    sql("DELETE FROM tasks WHERE status = 'queued'");
};


my $mp4 = make('a.mp4', source('testsrc2=s=320x180:r=15:d=4'),
               source('sine=d=4'), '-c:v', 'libx264', '-preset', 'ultrafast',
               '-c:a', 'aac', '-shortest');
my ($clip, $said) = upload($mp4, 'video/mp4', 'a.mp4');

is($said->{status}, 200) or diag $said->{body};
is($said->{json}{data}{width}, 320);


sub video {
    my ($id, %json) = @_;

    return api(POST => '/video/transform',
               json => { file_id => $id, %json });
}


subtest 'a clip is cut, and has captions' => sub {
    my $job = finished(video($clip, trim => { start => 0.5, end => 3 },
        captions => [{ start => 0, end => 1.2, text => 'مرحبا بكم 820 ms' },
                     { start => 1.2, end => 9, text => 'Pulse AI' }],
        style => { background => '000000', background_opacity => 100 }));

    my $video = $job->{video};

    cmp_ok(abs($video->{duration_s} - 2.5), '<', 0.2);
    is($video->{width}, 320);
    is($job->{progress}, 100);

    my $made = download($video->{url});

    is(length $made, $video->{size_bytes});
    like($made, qr/^....ftyp/s);
    like(download($video->{thumbnail_url}), qr/^\xff\xd8\xff/);

    # a band of pixels where captions are, with and without them

    open my $out, '>:raw', "$dir/made.mp4" or die;
    print $out $made;
    close $out;

    my $band = 'crop=200:14:60:150,format=gray,scale=1:1';
    my @dark = map {
        ord make('band.gray', '-ss', $_->[0], '-i', "$dir/$_->[1]",
                 '-frames:v', 1, '-vf', $band, '-f', 'rawvideo')
    } [0.4, 'made.mp4'], [0.9, 'a.mp4'];

    cmp_ok($dark[0], '<', $dark[1] * 0.7, 'the caption is there');
};


subtest 'as many captions as there may be' => sub {
    my @captions = map { { start => $_ / 100, end => $_ / 100 + 0.1,
                           text => "$_" } } 0 .. 49;

    finished(video($clip, trim => { end => 0.7 }, captions => \@captions));
};


subtest 'asked for twice, made once' => sub {
    my @twice = map {
        api(POST => '/images/transform',
            headers => { 'Idempotency-Key' => 'once' },
            json => { file_id => $picture,
                      operations => [{ resize => { width => 8 } }] })
    } 1, 2;

    is($twice[1]{status}, 202);
    is($twice[1]{json}{data}{job_id}, $twice[0]{json}{data}{job_id});
    finished($twice[0]);
};


subtest 'clips that are refused' => sub {
    my $webm = make('a.webm', source('testsrc2=s=64x36:r=5:d=1'),
                    '-c:v', 'libvpx', '-b:v', '50k');
    my ($id) = upload($webm, 'video/webm');

    finished(video($id, trim => { end => 0.6 }));

    for ([{ trim => { start => 3, end => 2 } }, '/trim/end'],
         [{ trim => { start => 3, end => 9 } }, '/trim'],
         [{ captions => [{ start => 5, end => 9, text => 'a' }] },
          '/captions/0'],
         [{ captions => [{ start => 0, end => 1, text => 'كلمة ' x 90 }],
            style => { size => 90 } }, '/captions/0'],
         [{ captions => [map { { end => 1, text => 'a' } } 1 .. 51] },
          '/captions'],
         [{}, '/trim'])
    {
        my ($json, $field) = @$_;
        my $said = video($clip, %$json);

        is($said->{status}, 400) or diag $said->{body};
        is($said->{json}{error}{details}{field}, $field);
    }

    is(video($picture, trim => { end => 1 })->{status}, 400);

    my $long = make('long.mp4', source('color=s=32x32:r=1:d=30'),
                    '-c:v', 'libx264', '-preset', 'ultrafast');

    (undef, my $said) = upload($long, 'video/mp4');
    is($said->{status}, 400, 'longer than clips may be');
    like($said->{json}{error}{details}{reason}, qr/too long/);
};


# What ffmpeg would open other files for, if it were let.

subtest 'files that name others' => sub {
    my $secret = "$dir/a.mp4";

    my %bad = (
        m3u8 => "#EXTM3U\n#EXTINF:4,\nfile://$secret\n#EXT-X-ENDLIST\n",
        concat => "ffconcat version 1.0\nfile $secret\n",
        sdp => "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\n"
               . "t=0 0\nm=video 9 RTP/AVP 96\n",
        dash => "<?xml version=\"1.0\"?><MPD><BaseURL>file://$secret"
                . "</BaseURL></MPD>",
        'an MP4 that ends' => substr($mp4, 0, 2000),
        'an MP4 in name' => "\0\0\0\x18ftypisom" . "#EXTM3U\nfile://$secret\n",
    );

    for my $name (sort keys %bad) {
        my ($id, $said) = upload($bad{$name}, 'video/mp4');

        is($said->{status}, 400, $name) or diag $said->{body};
    }
};


# Without descriptors there is no process to look at it: one for the connection
# and one for the file are left, and what is idle may come and go.

subtest 'nobody can look at it' => sub {
    my $pid = $sidecar->pid;
    my $id = put_file($mp4, 'video/mp4');
    my $soft = qx{prlimit --pid=$pid --nofile --noheadings --raw -o SOFT} + 0;
    my $limit = sub {
        system('prlimit', "--pid=$pid", "--nofile=$_[0]:") == 0
            or die "prlimit failed\n";
    };

    my $seen = wait_until {
        my %open = map { m{([0-9]+)$} => 1 } glob "/proc/$pid/fd/*";
        my ($first, $free) = (0, 0);

        for ( ; $free < 3; $first++) {
            $free++ if !$open{$first};
        }

        $limit->($first);

        my $said = api(POST => "/files/$id/complete", limit => 60);

        $limit->($soft);

        return 1 if $said->{json}{error}{code} eq 'SERVICE_UNAVAILABLE';

        diag $said->{body};
        return 0;
    };

    ok($seen, 'what it is is not known');
    is(api(POST => "/files/$id/complete")->{json}{data}{status}, 'ready',
       'and asked again');
};


subtest 'cancelled' => sub {
    my $large = make('large.mp4', source('testsrc2=s=1280x720:r=25:d=12'),
                     '-c:v', 'libx264', '-preset', 'ultrafast');
    my ($id) = upload($large, 'video/mp4');
    my $said = video($id, captions => [{ end => 12, text => 'مرحبا' }]);
    my $path = "/jobs/$said->{json}{data}{job_id}";

    wait_until { api(GET => $path)->{json}{data}{progress} > 0 } 60;

    is(api(DELETE => $path)->{json}{data}{status}, 'cancelled');

    my $pid = $sidecar->pid;

    my $ended = wait_until {
        sql("SELECT 1 FROM jobs WHERE kind = 'video_edit' AND state = 'done'"
            . " AND key = '$said->{json}{data}{job_id}'")
    } 60;

    ok($ended, 'and its job ends');

    is(`pgrep -P $pid ffmpeg` . '', '', 'with its ffmpeg');
    is(api(GET => $path)->{json}{data}{video}, undef);
};


subtest '20 MB in little memory' => sub {
    $sidecar->stop;
    $sidecar = sidecar();

    my $side = 2600;
    my $noise = '';

    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    read $random, $noise, $side * (3 * $side + 1);

    substr $noise, $_ * (3 * $side + 1), 1, "\0" for 0 .. $side - 1;

    my ($id, $said) = upload(
        "\x89PNG\r\n\x1a\n"
        . chunk('IHDR', pack('NNCCCCC', $side, $side, 8, 2, 0, 0, 0))
        . chunk('IDAT', compress($noise, 0)) . chunk('IEND', ''),
        'image/png');

    is($said->{status}, 200) or diag $said->{body};
    cmp_ok($said->{json}{data}{size_bytes}, '>', 20_000_000);

    my $job = finished(image($id,
        { crop => { x => 1, y => 1, width => 2500, height => 2500 } },
        { text => { text => 'ذاكرة قليلة', size => 200 } }));

    cmp_ok($job->{image}{size_bytes}, '>', 15_000_000);

    my $most = high_water($sidecar->pid);

    note "VmHWM of the sidecar: $most kB";
    cmp_ok($most, '<', 64 * 1024)
        if ($ENV{PULSE_BUILD} // '') !~ /asan/;
};


subtest 'killed at each step, done once' => sub {
    my $step = 0;

    $sidecar->stop;

    for ( ;; ) {
        sql('DELETE FROM tasks');
        sql('DELETE FROM jobs');
        sql("DELETE FROM files WHERE kind IN ('edit', 'thumbnail')");

        $sidecar = sidecar();
        $wire->kill_at($sidecar->pid, step => $step, when => 'after');

        sql("SELECT task_begin('01900000-0000-7000-8000-000000000001',"
            . " '$user', 'image_edit', '{\"file_id\": \"$picture\","
            . " \"operations\": [{\"resize\": {\"width\": 30}}]}',"
            . " '1 hour', 9, 5, NULL)");

        my $done = "SELECT 1 FROM tasks WHERE status = 'completed'";

        wait_until { $wire->hit || ($wire->over && sql($done)) } 30;

        my $hit = $wire->hit;

        $wire->disarm;

        last if !$hit;

        $sidecar->wait_gone;

        sql("UPDATE jobs SET due_at = now() WHERE state = 'running'");
        $sidecar = sidecar();

        my $through = wait_until { sql($done) } 60;

        ok($through, "killed at step $step, it is done");
        is(sql("SELECT count(*) FROM files WHERE kind = 'edit'"), 1, 'once');
        is(sql("SELECT count(*) FROM files WHERE kind = 'thumbnail'"), 1);

        $sidecar->stop;
        $step++;
    }

    cmp_ok($step, '>=', 5, 'load, look, begin, end, commit');
};


done_testing;
