# Pictures changed, and OpenAI's dialect of both: forms as they come, good and
# bad, and its own SDK.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use Pulse::Client qw(http sse_events);
use Pulse::Env 'stores';
use Pulse::Painter qw(account fetched form form_body painted png shown);
use Pulse::Sdk;
use Test::More;

my $rules = suite_file('rules.txt', "[violence]\nforbiddenword\n");
my $painter = Pulse::Painter->start(
    options => ['--moderation', $rules],
    http => "pulse_moderation_rules $rules; pulse_moderation local;");
my $user = make_user(plan => 'pro', images => 100, locale => 'en');
my $key = make_key($user);
my $pixel = png(1, 1);
my $picture = { type => 'image/png', data => png(30, 20) };


sub edit {
    my ($fields, %more) = @_;

    return form($painter->port, $more{path} // '/v1/images/edit', $key,
                $fields, %more);
}


sub said {
    my ($reply) = @_;

    my $error = $reply->{json}{error};

    return "$reply->{status} " . ($error->{code} // 'fine');
}


subtest 'by OpenAI, as a form' => sub {
    $painter->openai->play(painted(png(7, 7)));

    my $prompt = 'خضراء';
    utf8::encode($prompt);

    my $reply = edit([model => 'gpt-image-2', prompt => $prompt, n => 3,
                      count => '1', image => $picture,
                      'image[]' => { %$picture, data => $pixel },
                      mask => $picture, quality => 'low']);
    my $image = $reply->{json}{data}{images}[0];

    is(said($reply), '200 fine', 'answered');
    is($image->{width}, 7, 'with what came');
    is(fetched($painter, $image->{url})->{body}, png(7, 7), 'and is kept');
    is_deeply($reply->{json}{data}{warnings},
              [{ field => 'n', reason => 'is not known here' }],
              'what is not known');
    is(account($user), '1 0 100', 'charged');

    my ($request) = $painter->openai->requests(1);
    my ($boundary) = $request->{headers}{'content-type'} =~ /boundary=(\S+)/;

    is($request->{path}, '/v1/images/edits', 'where it was asked');

    my $body = $request->{body};

    like($body, qr/name="prompt"\r\n\r\n\Q$prompt\E\r\n/, 'the prompt');
    is(scalar(() = $body =~ /name="image\[\]";\ filename="image\.png"\r\n
                             Content-Type:\ image\/png\r\n\r\n\x89PNG/xg), 2,
       'both pictures');
    ok(index($body, "\r\n\r\n" . png(30, 20) . "\r\n--$boundary") > 0,
       'byte by byte');
    like($body, qr/name="mask"/, 'the mask');
    like($body, qr/--\Q$boundary\E--\r\n\z/, 'and its end');
};


subtest 'by Google, in base64' => sub {
    $painter->google->play(shown($pixel));

    my $reply = edit([model => 'nano-banana', prompt => 'x',
                      image => $picture]);

    is(said($reply), '200 fine', 'answered');

    my ($request) = $painter->google->requests(1);
    my $part = $request->{json}{contents}[0]{parts}[1]{inlineData};

    is($part->{mimeType}, 'image/png', 'its type by its content');
    is(decode_base64($part->{data}), png(30, 20), 'the picture');

    is(said(edit([model => 'nano-banana', prompt => 'x', image => $picture,
                  mask => $picture])), '400 INVALID_REQUEST', 'no mask there');
};


subtest 'by Replicate, as a data: URI' => sub {
    $painter->replicate->play({ status => 201, json => {
        id => 'a', status => 'succeeded',
        output => ['data:image/png;base64,' . encode_base64($pixel, '')] } });

    is(said(edit([model => 'replicate-sdxl', prompt => 'x', mask => $picture,
                  image => $picture])), '200 fine', 'answered');

    my ($request) = $painter->replicate->requests(1);
    my $uri = 'data:image/png;base64,' . encode_base64(png(30, 20), '');

    is($request->{json}{input}{image}, $uri, 'the picture');
    is($request->{json}{input}{mask}, $uri, 'the mask');
};


subtest 'bad forms' => sub {
    my $before = account($user);
    my $good = form_body([prompt => 'x', image => $picture], 'B');

    $painter->openai->play;

    for my $case (
        ['cut', substr($good, 0, -10)],
        ['cut in a picture', substr($good, 0, 200)],
        ['cut in a header', substr($good, 0, 20)],
        ['empty', ''],
        ['garbage', "\0\xff" x 1000],
        ['a huge header', "--B\r\nX: " . 'x' x 100_000],
        ['no name', "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"],
        ['a prompt twice', form_body([prompt => 'x', prompt => 'y',
                                      image => $picture], 'B')],
        ['a prompt that is no UTF-8', form_body([prompt => "\xff",
                                                 image => $picture], 'B')],
        ['a NUL', form_body([prompt => "a\0b", image => $picture], 'B')],
        ['no picture', form_body([prompt => 'x'], 'B')],
        ['no prompt', form_body([image => $picture], 'B')],
        ['a picture as text', form_body([prompt => 'x', image => 'x'], 'B')],
        ['another file', form_body([prompt => 'x', other => $picture], 'B')],
        ['two masks', form_body([prompt => 'x', image => $picture,
                                 mask => $picture, mask => $picture], 'B')],
        ['too many pictures', form_body([prompt => 'x', (image => $picture)
                                         x 17], 'B')],
        ['too many parts', form_body([(a => 'b') x 65], 'B')],
        ['a long name', form_body(['a' x 200 => 'x'], 'B')],
        ['HTML', form_body([prompt => 'x', image => {
            type => 'image/png', data => '<html>' }], 'B')],
        ['an empty picture', form_body([prompt => 'x', image => {
            type => 'image/png', data => '' }], 'B')],
        ['a cut picture', form_body([prompt => 'x', image => {
            type => 'image/png', data => substr $picture->{data}, 0, -20 }],
            'B')],
        ['a picture of a million by a million', form_body([prompt => 'x',
            image => { type => 'image/png', data => do {
                my $png = png(1, 1);
                substr $png, 16, 8, pack 'NN', 1_000_000, 1_000_000;
                $png } }], 'B')])
    {
        my ($name, $body) = @$case;
        my $reply = edit($body, boundary => 'B');

        is(said($reply), '400 INVALID_REQUEST', $name);
        ok($reply->{json}{error}{message}, 'it says why');
    }

    is(said(edit($good, content_type => 'multipart/form-data')),
       '400 INVALID_REQUEST', 'no boundary');
    is(said(edit($good, content_type => 'multipart/form-data; boundary='
                                        . 'x' x 71)),
       '400 INVALID_REQUEST', 'a boundary that is too long');
    is(said(edit('{}', content_type => 'application/json')),
       '400 INVALID_REQUEST', 'JSON');
    is(said(edit($good, content_type => 'text/plain')),
       '415 UNSUPPORTED_MEDIA_TYPE', 'text');
    is(said(edit(form_body([prompt => 'x' x 300_000, image => $picture],
                           'B'), boundary => 'B')),
       '413 REQUEST_TOO_LARGE', 'a prompt that is too large');
    is(said(edit([model => 'replicate-sdxl', prompt => 'x',
                  image => $picture, image => $picture])),
       '400 INVALID_REQUEST', 'more pictures than the model takes');

    is(account($user), $before, 'nothing is charged');
    is(scalar(() = $painter->openai->requests(0)), 0, 'and nobody asked');

    my $drafts = $painter->sidecar->files . '/??/*.draft';
    my $gone = wait_until { !(() = glob $drafts) };

    ok($gone, 'and nothing is left on the disk');
};


subtest 'moderation' => sub {
    my $before = account($user);

    $painter->openai->play;

    is(said(edit([model => 'gpt-image-2', prompt => 'a forbiddenword',
                  image => $picture])), '400 CONTENT_FLAGGED', 'a prompt');
    is(said(edit([model => 'gpt-image-2', prompt => 'x',
                  negative_prompt => 'forbiddenword', image => $picture])),
       '400 CONTENT_FLAGGED', 'a negative one');

    my $reply = http(POST => '/v1/images/generations', port => $painter->port,
                     bearer => $key, json => { model => 'gpt-image-2',
                                               prompt => 'forbidden-word '
                                               . 'forbiddenword' });

    is($reply->{status}, 400, 'in the dialect');
    is($reply->{json}{error}{code}, 'CONTENT_FLAGGED', 'in its words');

    is(account($user), $before, 'nothing is charged');
    is(scalar(() = $painter->openai->requests(0)), 0, 'and nobody asked');
};


subtest 'idempotency keys' => sub {
    my %once = (headers => { 'Idempotency-Key' => 'edit-1' });
    my $before = (split / /, account($user))[0];

    $painter->openai->play(painted($pixel), painted($pixel));

    my $first = edit([prompt => 'x', model => 'gpt-image-2',
                      image => $picture], %once, boundary => 'One');
    my $second = edit([prompt => 'x', model => 'gpt-image-2',
                       image => $picture], %once, boundary => 'Two');
    my $other = edit([prompt => 'y', model => 'gpt-image-2',
                      image => $picture], %once);

    is(said($first), '200 fine', 'the first');
    is($second->{json}{data}{images}[0]{id},
       $first->{json}{data}{images}[0]{id},
       'the same again, whatever stands between the parts');
    is(said($other), '409 IDEMPOTENCY_MISMATCH', 'another is not it');
    is(account($user), $before + 1 . ' 0 100', 'charged once');

    my $reply = http(POST => '/v1/images/generations', port => $painter->port,
                     bearer => $key, json => { prompt => 'x' }, %once,
                     headers => { 'Idempotency-Key' => 'made-1' });

    is($reply->{status}, 400, 'not with bytes in the answer');
    is($reply->{json}{error}{param}, 'response_format', 'which it says');
};


subtest 'the dialect' => sub {
    $painter->openai->play(painted(png(9, 8)));

    my $reply = http(POST => '/v1/images/generations', port => $painter->port,
                     bearer => $key, json => { prompt => 'x', n => 2,
                                               model => 'gpt-image-2' });

    is(decode_base64($reply->{json}{data}[0]{b64_json}), png(9, 8), 'bytes');
    is($reply->{json}{size}, '9x8', 'their size');
    is(scalar @{ $reply->{json}{failed} }, 1, 'and what did not come');
    is($reply->{json}{usage}{total_tokens}, 282, 'usage');

    $reply = http(POST => '/v1/images/generations', port => $painter->port,
                  bearer => $key, json => { n => 2 });

    is_deeply($reply->{json}{error}, {
        message => 'prompt: This is required.',
        type => 'invalid_request_error', param => 'prompt',
        code => 'INVALID_REQUEST' }, 'an error');
    is(http(POST => '/v1/images/generations', port => $painter->port,
            json => {})->{json}{error}{type}, 'invalid_request_error',
       'and one of nginx');
};


my $json = JSON::PP->new->canonical->utf8;


sub data_url {
    return 'data:image/png;base64,' . encode_base64($_[0], '');
}


sub edit_json {
    my ($body, %more) = @_;

    return http(POST => '/v1/images/edits', port => $painter->port,
                bearer => $key, headers => {
                    'Content-Type' => 'application/json',
                    %{ $more{headers} // {} } },
                body => ref $body ? $json->encode($body) : $body);
}


subtest 'the dialect, as JSON' => sub {
    my $large = png(300, 300, noise => 1);
    my %body = (model => 'gpt-image-2', prompt => "green\n" . 'x' x 20_000,
                quality => 'low', n => 1, user => undef,
                images => [{ image_url => data_url($large),
                             file_id => undef },
                           { image_url => data_url($pixel) }],
                mask => { image_url => data_url(png(2, 2)) });

    $painter->openai->play(painted(png(9, 8)), painted(png(8, 9)));

    my $reply = edit_json(\%body);

    is($reply->{status}, 200, 'answered');
    is(decode_base64($reply->{json}{data}[0]{b64_json}), png(9, 8),
       'with what came');

    my ($request) = $painter->openai->requests(1);
    my @pictures = map { "\r\n\r\n$_\r\n--" } $large, $pixel, png(2, 2);

    is(scalar(grep { index($request->{body}, $_) > 0 } @pictures), 3,
       'the pictures, byte by byte');
    is(scalar(() = $request->{body} =~ /name="image\[\]"/g), 2, 'two of them');
    like($request->{body}, qr/name="mask"/, 'and a mask');
    like($request->{body}, qr/name="prompt"\r\n\r\n\Q$body{prompt}\E\r\n/,
         'and the prompt');

    my $client = Pulse::Client->connect(port => $painter->port);
    my $text = $json->encode({ %body, stream => \1 })
               =~ s{/}{\\/}gr =~ s{iVBO}{\\u0069VB\\u004F}gr;

    $client->send("POST /v1/images/edits HTTP/1.1\r\nHost: x\r\n"
                  . "Content-Type: application/json\r\n"
                  . "Authorization: Bearer $key\r\n"
                  . 'Content-Length: ' . length($text) . "\r\n\r\n");
    $client->send($text, step => 9999);

    my ($event) = sse_events($client->response->{body});

    is($event->{event}, 'image_edit.completed', 'with escapes, as a stream');
    is(decode_base64($event->{json}{b64_json}), png(8, 9), 'the same');

    my ($again) = reverse $painter->openai->requests(2);

    is(scalar(grep { index($again->{body}, $_) > 0 } @pictures), 3,
       'of the same pictures');
};


subtest 'bad JSON' => sub {
    my $before = account($user);
    my @one = ({ image_url => data_url($pixel) });
    my $data = 'data:image/png;base64,';

    $painter->openai->play;

    for my $case (
        [images => 'a file of OpenAI', [{ file_id => 'file-1' }]],
        [images => 'an address', [{ image_url => 'https://studio.example' }]],
        [images => 'a long one', [{ image_url => 'https:' . '/' x 5000 }]],
        [images => 'no base64', [{ image_url => 'data:image/png,abc' }]],
        [images => 'none again', [{ image_url => $data . 'ab!d' }]],
        [images => 'half of it', [{ image_url => $data . 'A' }]],
        [images => 'nothing', [{ image_url => $data }]],
        [images => 'HTML', [{ image_url => data_url('<html>') }]],
        [images => 'no data at all', [{ image_url => '' }]],
        [images => 'a number', [{ image_url => 5 }]],
        [images => 'text', ['x']],
        [images => 'not a list', { 0 => $one[0] }],
        [images => 'less', 'x'],
        [images => 'none', []],
        [images => 'null', undef],
        [images => 'too many', [(@one) x 17]],
        [mask => 'an address', \@one, mask => { image_url => 'http://x' }],
        [mask => 'text', \@one, mask => 'x'],
        [mask => 'no PNG', \@one, mask => { image_url => data_url('x') }],
        [prompt => 'a number', \@one, prompt => 5],
        [prompt => 'none', \@one, prompt => undef],
        [n => 'text', \@one, n => '1'],
        [n => 'too large', \@one, n => 11],
        [stream => 'text', \@one, stream => 'true'],
        [image => 'of a form', \@one, image => 'x'],
        [undef, 'unknown', \@one, deep => { er => 'x' }],
        [undef, 'more of them', \@one, map { ("m$_", 1) } 1 .. 64])
    {
        my ($param, $name, $images, @more) = @$case;
        my $reply = edit_json({ prompt => 'x', model => 'gpt-image-2',
                                images => $images, @more });

        $param //= '';
        is("$reply->{status} " . ($reply->{json}{error}{param} // ''),
           "400 $param", "$param: $name");
    }

    my $whole = $json->encode({ prompt => 'x', images => \@one });

    for my $body ('', '[]', '["x"]', '"x"', '5', 'x', '{', "\xff$whole",
                  substr($whole, 0, -1), substr($whole, 0, -9), "$whole}",
                  $whole =~ s/\}\z/,"n":nil}/r, $whole =~ s/:"x"/:"\xff"/r,
                  $whole =~ s/:"x"/:"\\u0000"/r,
                  $whole =~ s/\}\z/,"prompt":"y"}/r)
    {
        is(edit_json($body)->{status}, 400, 'bad: ' . substr $body, 0, 20);
    }

    is(edit_json({ prompt => 'x' x 300_000, images => \@one })->{status},
       413, 'a prompt that is too large');
    is(account($user), $before, 'nothing is charged');
    is(scalar(() = $painter->openai->requests(0)), 0, 'and nobody asked');

    my $drafts = $painter->sidecar->files . '/??/*.draft';
    my $gone = wait_until { !(() = glob $drafts) } 30;

    ok($gone, 'and nothing is left on the disk');
};


subtest 'JSON and a key' => sub {
    my %once = (headers => { 'Idempotency-Key' => 'json-1' });
    my %body = (prompt => 'x', model => 'gpt-image-2',
                response_format => 'url',
                images => [{ image_url => data_url($pixel) }]);
    my $before = (split / /, account($user))[0];

    $painter->openai->play(painted($pixel));

    my ($first, $second, $other) = map { edit_json($_, %once) }
        \%body, JSON::PP->new->canonical->pretty->encode(\%body),
        { %body, images => [{ image_url => data_url(png(2, 2)) }] };

    is($first->{status}, 200, 'the first');
    is($second->{headers}{'idempotent-replayed'}, 'true', 'the same again');
    is($second->{body}, $first->{body}, 'whatever stands between members');
    is($other->{status}, 409, 'another picture is not it');
    is(account($user), $before + 1 . ' 0 100', 'charged once');
};


subtest 'the official SDK' => sub {
    my $missing = Pulse::Sdk->missing('openai');

    plan skip_all => $missing if $missing;

    my $file = Pulse::Env::suite_dir() . '/picture.png';

    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out png(30, 20);
    close $out;

    $painter->openai->play(painted(png(4, 4), png(5, 5)), painted($pixel),
                           painted(png(6, 6)), painted($pixel),
                           painted(png(7, 6)), painted(png(8, 6)),
                           painted($pixel));

    local $ENV{OPENAI_BASE_URL} = 'http://127.0.0.1:' . $painter->port
                                  . '/v1';
    local $ENV{OPENAI_API_KEY} = $key;
    local $ENV{PULSE_PICTURE} = $file;
    local $ENV{PULSE_POOR} = make_key(make_user(plan => 'pro', images => 5,
                                                locale => 'en'));
    local $ENV{NODE_OPTIONS} = '';

    my $saw = JSON::PP::decode_json(
        qx(node $Pulse::Env::root/t/sdk/images.mjs) || '{}');

    is_deeply($saw->{generate}{bytes},
              [length png(4, 4), length png(5, 5)], 'generate');
    is($saw->{generate}{usage}{output_tokens}, 544, 'its usage');
    is_deeply([@{ $saw->{generate} }{qw(size format created)}],
              ['4x4', 'png', JSON::PP::true], 'and the rest');
    like($saw->{url}, qr{^http://studio\.example/files/}, 'a link');
    is($saw->{edit}{bytes}, length png(6, 6), 'edit with two and a mask');
    is($saw->{one}, 1, 'edit with one');
    is_deeply($saw->{stream}, [{ type => 'image_generation.completed',
        b64_json => length png(7, 6), created_at => JSON::PP::true,
        size => '7x6', quality => 'low', background => 'auto',
        output_format => 'png', usage => painted($pixel)->{json}{usage} }],
        'a stream');
    is_deeply([map { @$_{qw(type b64_json quality)} }
               @{ $saw->{edit_stream} }],
              ['image_edit.completed', length png(8, 6), 'auto'],
              'and one of an edit');
    is($saw->{json}, 1, 'an edit as JSON');
    is_deeply($saw->{several}, { name => 'BadRequestError', status => 400,
        code => 'INVALID_REQUEST', param => 'n',
        type => 'invalid_request_error' }, 'none of several');
    is($saw->{unknown}{param}, 'style', 'what is not known is refused');
    is($saw->{model}{name}, 'NotFoundError', 'a model that is gone');
    is_deeply($saw->{flagged}, [({ name => 'BadRequestError', status => 400,
        code => 'CONTENT_FLAGGED', param => undef,
        type => 'invalid_request_error' }) x 2], 'what rules refuse');
    is_deeply([@{ $saw->{poor} }{qw(status type)}],
              [402, 'insufficient_quota'], 'nothing left');

    my @requests = $painter->openai->requests(7);

    is($requests[0]{json}{moderation}, 'low', 'what is passed on');
    ok(!exists $requests[1]{json}{response_format}, 'what is not');
    ok(!exists $requests[4]{json}{stream}, 'nor is how it is answered');
};


sub stream {
    my ($bearer, %body) = @_;

    return http(POST => '/v1/images/generations', port => $painter->port,
                bearer => $bearer, json => { prompt => 'x', stream => \1,
                                             model => 'gpt-image-2', %body });
}


subtest 'a stream, byte by byte' => sub {
    my $large = png(500, 500, noise => 1);
    my $before = (split / /, account($user))[0];

    $painter->openai->play(painted($large));

    my $reply = stream($key, background => 'opaque');
    my $event = '{"type":"image_generation.completed","created_at":T,'
                . '"b64_json":"' . encode_base64($large, '') . '",'
                . '"output_format":"png","size":"500x500","quality":"auto",'
                . '"background":"opaque","usage":{"input_tokens":10,'
                . '"input_tokens_details":{"text_tokens":10,'
                . '"image_tokens":0},"output_tokens":272,'
                . '"output_tokens_details":{"text_tokens":0,'
                . '"image_tokens":272},"total_tokens":282}}';

    is("$reply->{status} $reply->{headers}{'content-type'}",
       '200 text/event-stream; charset=utf-8', 'what it is');
    ok($reply->{body} =~ s/"created_at":[0-9]{10},/"created_at":T,/
       && $reply->{body} eq "event: image_generation.completed\n"
                            . "data: $event\n\n", 'all of it');
    is(account($user), $before + 1 . ' 0 100', 'charged');

    $painter->google->play(shown($pixel));

    my ($other) = sse_events(stream($key, model => 'nano-banana',
                                    partial_images => 0)->{body});

    is(decode_base64($other->{json}{b64_json}), $pixel, 'of another');
    is($other->{json}{background}, 'auto', 'that was not told of it');
};


subtest 'what is no stream' => sub {
    my $before = account($user);

    $painter->openai->play({ status => 400, json => { error => {
        code => 'moderation_blocked', message => 'no' } } });

    my $reply = stream($key);

    is("$reply->{status} $reply->{json}{error}{code}",
       '400 CONTENT_FLAGGED', 'an error is a usual answer');

    $painter->openai->play;

    for my $case ([n => n => 2], [partial_images => partial_images => 4],
                  [partial_images => partial_images => -1],
                  [stream => stream => 'yes'],
                  [response_format => response_format => 'url'])
    {
        my ($param, @body) = @$case;

        $reply = stream($key, @body);

        is("$reply->{status} $reply->{json}{error}{param}", "400 $param",
           "not with $body[0] $body[1]");
    }

    $reply = http(POST => '/v1/images/generations', port => $painter->port,
                  bearer => $key, json => { prompt => 'x', stream => \1 },
                  headers => { 'Idempotency-Key' => 'stream-1' });

    is("$reply->{status} $reply->{json}{error}{param}", '400 stream',
       'not with a key');
    is(account($user), $before, 'nothing is charged');
    is(scalar(() = $painter->openai->requests(0)), 0, 'and nobody asked');
};


# How many files the sidecar reads or writes.

sub open_files {
    my $files = $painter->sidecar->files;
    my $open = '/proc/' . $painter->sidecar->pid . '/fd/*';

    return scalar grep { (readlink($_) // '') =~ m{^\Q$files\E/} }
                       glob $open;
}


subtest 'who leaves in the middle' => sub {
    my $gone = make_user(plan => 'pro', images => 100, locale => 'en');

    $painter->openai->play(painted(png(1200, 1200, noise => 1)));

    my $client = Pulse::Client->connect(port => $painter->port,
                                        receive => 4096);

    $client->request(POST => '/v1/images/generations',
                     bearer => make_key($gone),
                     json => { prompt => 'x', stream => \1,
                               model => 'gpt-image-2' });
    like($client->read_until(qr/"b64_json":"iVBOR/, 30),
         qr{^HTTP/1\.1 200 }, 'it has begun');
    is(open_files(), 1, 'its picture is being read');
    $client->reset;

    is(account($gone), '1 0 100', 'has what came');
    is(sql("SELECT count(*) FROM files WHERE user_id = '$gone'"
           . " AND kind = 'image'"), 1, 'among the files');
    ok((wait_until { open_files() == 0 } 30), 'and nothing stays open');
};


is_deeply([$painter->stop], [0, undef, []], 'all end well');

done_testing();
