# Pictures from words: by each provider, by another where one fails, in parts,
# and exactly on the account of who asked.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use MIME::Base64 qw(decode_base64 encode_base64);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Painter qw(account fetched painted png shown);
use Test::More;

my $painter = Pulse::Painter->start;
my $recordings = Pulse::Replay::recordings();
my ($user, $key) = person();
my $pixel = png(1, 1);


sub person {
    my (%o) = @_;

    my $user = make_user(plan => 'pro', images => 100, locale => 'en', %o);

    return ($user, make_key($user));
}


sub ask {
    my (%body) = @_;

    return $painter->post('/v1/images/generate', $key,
                          { model => 'gpt-image-2', prompt => 'a cat', %body });
}


sub said {
    my ($reply) = @_;

    return $reply->{status} . ' ' . ($reply->{json}{error}{code} // 'fine');
}


subtest 'by OpenAI' => sub {
    $painter->openai->play({ %{ painted(png(64, 32), png(16, 16)) },
                             step => 1000 });

    my $reply = ask(count => 2, size => '1024x512', quality => 'low',
                    negative_prompt => 'dogs', surprise => 1);
    my $data = $reply->{json}{data};

    is(said($reply), '200 fine', 'answered');
    is(@{ $data->{images} }, 2, 'two');
    is_deeply([@{ $data->{images}[0] }{qw(width height size_bytes
                                          content_type)}],
              [64, 32, length png(64, 32), 'image/png'], 'what they are');
    is($data->{model_used}, 'gpt-image-2', 'by whom');
    is_deeply($data->{usage}, { images => 2, input_tokens => 10,
                                output_tokens => 544 }, 'usage');
    is_deeply($data->{failed}, [], 'none failed');
    is_deeply($data->{warnings}, [{ field => 'surprise',
                                    reason => 'is not known here' }],
              'what is not known');
    like($reply->{headers}{'x-usage-images'}, qr/2/, 'and what is used');

    is(fetched($painter, $data->{images}[0]{url})->{body}, png(64, 32),
       'the first, byte by byte');

    my $thumbnail = fetched($painter, $data->{images}[1]{thumbnail_url});

    is($thumbnail->{status}, 200, 'a thumbnail');
    is(substr($thumbnail->{body}, 0, 2), "\xff\xd8", 'which is a JPEG');

    my ($request) = $painter->openai->requests(1);

    is($request->{path}, '/v1/images/generations', 'where it was asked');
    is($request->{headers}{authorization}, 'Bearer key-of-openai', 'as whom');
    is_deeply($request->{json},
              { model => 'gpt-image-2', prompt => "a cat\n\nAvoid: dogs",
                n => 2, size => '1024x512', quality => 'low' }, 'and what');

    is(account($user), '2 0 100', 'charged');
    is(sql("SELECT price FROM usage_events WHERE user_id = '$user'"),
       10 * 5000 + 544 * 30000, 'its price, by tokens');

    my $files = http(GET => '/v1/files', port => $painter->port,
                     bearer => $key)->{json}{data}{files};

    is_deeply([map { $_->{kind} } @$files], ['image', 'image'],
              'they are among the files, and their thumbnails are not');

    http(DELETE => "/v1/files/$files->[0]{file_id}", port => $painter->port,
         bearer => $key);

    is(sql("SELECT count(*) FROM files WHERE user_id = '$user'"), 2,
       'a thumbnail goes with its picture');
};


subtest 'by Google, one call each, at the same time' => sub {
    $painter->google->play(
        shown($pixel, before => [{ text => 'Here' },
            { inlineData => { mimeType => 'image/png', data => 'AAAA' },
              thought => JSON::PP::true }]),
        { %{ shown(png(3, 2)) }, step => 7 },
        { status => 429, json => { error => {
            code => 429, status => 'RESOURCE_EXHAUSTED', message => 'later',
            details => [{ retryDelay => '34.4s' }] } } });

    my $before = account($user);
    my $reply = ask(model => 'nano-banana', count => 3, width => 1920,
                    height => 1080);
    my $data = $reply->{json}{data};

    is(said($reply), '200 fine', 'answered');
    is($data->{model_used}, 'gemini-nano-banana-2.1', 'the newest');
    is_deeply([sort map { "$_->{width}x$_->{height}" } @{ $data->{images} }],
              ['1x1', '3x2'], 'two came');
    is_deeply($data->{failed}, [{ index => 2,
                                  code => 'PROVIDER_UNAVAILABLE' }],
              'which did not');
    is($before, '2 0 100', 'before');
    is(account($user), '4 0 100', 'charged for what came');

    my @requests = $painter->google->requests(3);

    is(@requests, 3, 'three calls');
    is($requests[0]{path}, '/v1/models/gemini-nano-banana-2.1:generateContent',
       'where');
    is($requests[0]{headers}{'x-goog-api-key'}, 'key-of-google', 'as whom');
    is_deeply($requests[0]{json}, {
        contents => [{ role => 'user', parts => [{ text => 'a cat' }] }],
        generationConfig => {
            responseModalities => ['IMAGE'],
            imageConfig => { aspectRatio => '16:9', imageSize => '2K' } } },
       'and what');
};


subtest 'by Replicate: waited for, asked, fetched' => sub {
    my $url = $painter->replicate->url;

    $painter->replicate->play(
        { status => 201, json => { id => 'abc1', model => 'x',
                                   status => 'starting', output => undef } },
        { json => { id => 'abc1', status => 'processing', output => undef } },
        { json => { id => 'abc1', status => 'succeeded',
                    output => ["$url/out/1.png",
                               'http://127.0.0.1:1/steal.png',
                               'data:image/png;base64,'
                               . encode_base64(png(2, 2), ''),
                               "$url/out/2.png"] } },
        { base64 => encode_base64(png(5, 5), '') },
        { status => 404, body => 'gone' });

    my $before = account($user);
    my $reply = ask(model => 'replicate-sdxl', count => 4, size => '512x512',
                    negative_prompt => 'dogs');
    my $data = $reply->{json}{data};

    is(said($reply), '200 fine', 'answered');
    is_deeply([sort map { $_->{width} } @{ $data->{images} }], [2, 5],
              'from an address of theirs, and from the answer itself');
    is(@{ $data->{failed} }, 2, 'not from others');
    is($before, '4 0 100');
    is(account($user), '6 0 100', 'charged for what came');

    my @requests = $painter->replicate->requests(5);

    is_deeply([map { "$_->{method} $_->{path}" } @requests],
              ['POST /v1/predictions', 'GET /v1/predictions/abc1',
               'GET /v1/predictions/abc1', 'GET /out/1.png',
               'GET /out/2.png'], 'what was asked');
    is($requests[0]{headers}{prefer}, 'wait', 'it waits');
    is_deeply($requests[0]{json}{input},
              { prompt => 'a cat', negative_prompt => 'dogs', width => 512,
                height => 512, num_outputs => 4 }, 'for what');
    like($requests[0]{json}{version}, qr/^[0-9a-f]{64}$/, 'of a version');
};


subtest 'who stands by' => sub {
    my $before = account($user);

    # with another to ask it is asked at once, whatever one says of later

    $painter->openai->play({ status => 429, headers => { 'Retry-After' => 60 },
                             json => { error => { code => 'x' } } });
    $painter->replicate->play({ status => 201, json => {
        id => 'a', status => 'processing',
        output => ['data:image/png;base64,' . encode_base64($pixel, '')] } });

    my $reply = ask();

    is(said($reply), '200 fine', 'answered');
    is($reply->{json}{data}{model_used}, 'stability-ai/sdxl', 'by another');
    is(scalar $painter->openai->requests(1), 1, 'the first was asked once');
    is(sql("SELECT model FROM usage_events WHERE user_id = '$user'"
           . " ORDER BY id DESC LIMIT 1"), 'stability-ai/sdxl',
       'and so it is in the ledger');

    # what is cut in the middle of a picture is nothing

    $painter->openai->play({ %{ painted(png(40, 40)) }, cut => 100 });

    is(ask()->{json}{data}{model_used}, 'stability-ai/sdxl', 'cut short');

    # nobody is left

    $painter->openai->play({ status => 401, json => { error => {
        code => 'invalid_api_key', message => 'sk-secret' } } });
    $painter->replicate->play({ status => 402, json => {
        title => 'x', detail => 'no credit' } });

    $before = account($user);
    $reply = ask();

    is(said($reply), '503 PROVIDER_UNAVAILABLE', 'nobody is left');
    unlike($reply->{body}, qr/sk-secret|credit/, 'what is ours is not told');
    is(account($user), $before, 'nothing is charged');
    is(scalar $painter->replicate->requests(1), 1, 'credit is no matter of'
       . ' trying again');
};


subtest 'refusals of providers' => sub {
    my $before = account($user);

    $painter->openai->play({ status => 400, json => { error => {
        type => 'image_generation_user_error', code => 'moderation_blocked',
        message => 'no' } } });
    is(said(ask()), '400 CONTENT_FLAGGED', 'flagged');

    $painter->openai->play({ status => 400, json => { error => {
        type => 'invalid_request_error', code => 'invalid_value',
        message => 'The size is odd.' } } });

    my $reply = ask();

    is(said($reply), '400 INVALID_REQUEST', 'refused');
    like($reply->{body}, qr/The size is odd/, 'with its reason');

    $painter->google->play({ json => { promptFeedback => {
        blockReason => 'SAFETY' } } });
    is(said(ask(model => 'nano-banana')), '400 CONTENT_FLAGGED', 'blocked');

    is(account($user), $before, 'nothing is charged');
};


subtest 'the last one is asked again' => sub {
    my $before = account($user);

    $painter->replicate->play({ status => 429, headers => {
        'Retry-After' => 1 }, json => { detail => 'slow down' } },
        { status => 201, json => { id => 'a', status => 'succeeded',
          output => 'data:image/png;base64,' . encode_base64($pixel, '') } });

    is(said(ask(model => 'replicate-sdxl')), '200 fine', 'after a second');
    is(scalar $painter->replicate->requests(2), 2, 'asked twice');

    $painter->replicate->play({ status => 429, headers => {
        'Retry-After' => 100 }, json => { detail => 'slow down' } });

    my $reply = ask(model => 'replicate-sdxl');

    is(said($reply), '503 PROVIDER_UNAVAILABLE', 'not after a long while');
    is($reply->{headers}{'retry-after'}, 100, 'which is passed on');
};


subtest 'useless answers' => sub {
    my $before = account($user);

    for my $case (
        ['no JSON', { body => '<html>' }],
        ['no picture', painted('no picture')],
        ['no base64', { json => { data => [{ b64_json => '!!!!' }] } }],
        ['nothing', { json => { data => [] } }],
        ['a cut picture', painted(substr png(50, 50), 0, 60)],
        ['too deep', { body => '[' x 1000 }],
        ['a reset', { body => 'x' x 100, cut => 10, reset => 1 }])
    {
        my ($name, $answer) = @$case;

        $painter->openai->play($answer);
        $painter->replicate->play({ status => 402, json => {} });

        like(said(ask()), qr/^50[23] PROVIDER/, $name);
    }

    is(account($user), $before, 'nothing is charged');

    if ($recordings) {
        $painter->openai->play({ step => 1, file => 'openai-images/ruby_llm-'
            . 'image_basic_functionality_openai_gpt-image-1_can_paint_images'
            . '-0.json' });

        my $reply = ask();

        is(said($reply), '200 fine', 'a recording, byte by byte');
        is($reply->{json}{data}{usage}{output_tokens}, 4160, 'its usage');

        $painter->google->play({ step => 1, file => 'gemini/ruby_llm-image_'
            . 'basic_functionality_vertexai_gemini-3_1-flash-lite-image_can_'
            . 'paint_images-1.json' });

        $reply = ask(model => 'gemini-3.1-flash-lite-image');

        is(said($reply), '200 fine', 'of Google');
        is($reply->{json}{data}{usage}{output_tokens}, 1120, 'its usage');
    }
};


subtest 'bad requests' => sub {
    my $before = account($user);

    $painter->openai->play;

    for my $case (
        [{ prompt => undef }, 'prompt'], [{ prompt => '' }, 'prompt'],
        [{ prompt => 7 }, 'prompt'], [{ prompt => 'x' x 32_001 }, 'prompt'],
        [{ count => 0 }, 'count'], [{ count => 5 }, 'count'],
        [{ count => '2' }, 'count'], [{ count => 1.5 }, 'count'],
        [{ size => '0x0' }, 'size'], [{ size => '99999x1' }, 'size'],
        [{ size => '64x64x' }, 'size'], [{ size => "64x64\0" }, ''],
        [{ size => '64x64', width => 64, height => 64 }, 'size'],
        [{ width => 64 }, 'height'], [{ width => -1, height => 5 }, 'width'],
        [{ quality => 'best' }, 'quality'],
        [{ model => 'gpt-image-1.5', size => '64x64' }, 'size'],
        [{ model => 'nano-banana', quality => 'low' }, 'quality'],
        [{ model => 'nano-banana', output_format => 'webp' },
         'output_format'],
        [{ model => [] }, 'model'], [{ background => 'red' }, 'background'])
    {
        my ($body, $field) = @$case;
        my $reply = ask(%$body);

        is(said($reply), '400 INVALID_REQUEST',
           JSON::PP->new->canonical->encode($body) =~ s/x{100,}/.../r);
        is($reply->{json}{error}{details}{field} =~ s{^/}{}r, $field, 'where');
    }

    is(said(ask(model => 'gpt-6-luna')), '404 MODEL_NOT_FOUND', 'to chat');
    is(said(ask(model => 'none')), '404 MODEL_NOT_FOUND', 'none');
    is(http(POST => '/v1/images/generate', port => $painter->port,
            bearer => $key, body => 'x',
            headers => { 'Content-Type' => 'text/plain' })->{status}, 415,
       'no JSON');
    is(http(POST => '/v1/images/generate', port => $painter->port,
            bearer => $key, body => '{"prompt":',
            headers => { 'Content-Type' => 'application/json' })->{status},
       400, 'cut JSON');
    is(http(POST => '/v1/images/generate', port => $painter->port,
            json => {})->{status}, 401, 'nobody');

    is(account($user), $before, 'nothing is charged');
    is(scalar(() = $painter->openai->requests(0)), 0, 'and nobody asked');
};


subtest 'quota' => sub {
    my ($poor, $its) = person(images => 5);

    $painter->openai->play({ %{ painted($pixel, $pixel) }, first => 0.3 });

    # eight at the same time, two each, for five: two of them

    my @clients = map {
        my $client = Pulse::Client->connect(port => $painter->port);

        $client->request(POST => '/v1/images/generate', bearer => $its,
                         json => { model => 'gpt-image-2', prompt => 'x',
                                   count => 2 });
        $client;
    } 1 .. 8;

    my @replies = map { $_->response } @clients;

    is(scalar(grep { $_->{status} == 200 } @replies), 2, 'two are served');
    is(scalar(grep { $_->{status} == 402
                     && $_->{json}{error}{code} eq 'QUOTA_EXCEEDED' }
              @replies), 6, 'the others are not');
    is(account($poor), '4 0 5', 'exactly');

    my ($gone, $hers) = person();

    $painter->openai->play({ %{ painted($pixel) }, first => 0.5 });

    my $client = Pulse::Client->connect(port => $painter->port);

    $client->request(POST => '/v1/images/generate', bearer => $hers,
                     json => { model => 'gpt-image-2', prompt => 'x' });
    $painter->openai->requests(1);
    $client->leave;

    wait_until { account($gone) eq "1 0 100" } 10;
    is(account($gone), "1 0 100", "who leaves has what came");
    is(sql("SELECT count(*) FROM files WHERE user_id = '$gone'"
           . " AND kind = 'image'"), 1, 'among the files');
};


subtest 'no room for what would be made' => sub {
    my ($full, $its) = person();
    my $asked = $painter->openai->requests;
    my $taken = 1024 * 1024 * 1024 - 4 * 1024 * 1024;

    sql('INSERT INTO files (id, user_id, kind, status, filename, content_type,'
        . " size_bytes, expires_at) VALUES ('" . uuid() . "', '$full',"
        . " 'upload', 'ready', 'a', 'text/plain', $taken, now() + '1 day')");

    for my $path (qw(/v1/images/generate /v1/images/generations)) {
        my $count = $path =~ /generate$/ ? 'count' : 'n';
        my $more = $path =~ /generate$/ ? {} : { response_format => 'url' };
        my $reply = $painter->post($path, $its,
            { model => 'gpt-image-2', prompt => 'x', $count => 2, %$more });

        is($reply->{status}, 402, "$path: said");
        like($reply->{body}, qr/There is no room/, 'and why');
    }

    is(scalar $painter->openai->requests, $asked, 'nobody was asked');
    is(account($full), '0 0 100', 'and nothing was held');

    $painter->openai->play(painted($pixel));
    is(said($painter->post('/v1/images/generate', $its,
                           { model => 'gpt-image-2', prompt => 'x' })),
       '200 fine', 'for one there is room');
};


subtest 'a provider that says nothing' => sub {
    my $before = account($user);

    $painter->sidecar->stop;
    push @{ $painter->sidecar->{options} }, '--images-timeout', 2;
    $painter->sidecar->run;

    $painter->openai->play({ hang => 1 });

    is(said(ask()), '503 PROVIDER_UNAVAILABLE', 'is left in the end');
    is(account($user), $before, 'nothing is charged');
};


subtest 'configuration that is wrong' => sub {
    my $program = ($ENV{PULSE_BUILD} // "$Pulse::Env::root/build")
                  . '/pulse-sidecar';
    my $models = Pulse::Env::suite_dir() . '/models.json';

    open my $out, '>', $models or die "$models: $!\n";
    print $out '{"models":[{"id":"a","provider":"openai","kind":"image",'
               . '"capabilities":{"edits":1}}]}';
    close $out;

    my $said = sub {
        my ($file, %env) = @_;

        local @ENV{keys %env} = values %env;

        my $command = "$program --listen /nowhere/x --database x"
                      . " --models $file";

        return scalar qx($command 2>&1; echo "status \$?");
    };

    my $good = "$Pulse::Env::root/conf/models.json";

    for my $url ('https://a:b@openai.example', 'https://openai.example/?a',
                 'ftp://127.0.0.1', 'openai')
    {
        my $text = $said->($good, OPENAI_BASE_URL => $url);

        like($text, qr/pulse media: OPENAI_BASE_URL: it is no http: or https:/,
             $url);
        like($text, qr/status 1/, 'it does not start');
    }

    for my $url ('http://openai.example/v1', 'http://127.0.0.1.example') {
        my %env = (OPENAI_API_KEY => 'x', OPENAI_BASE_URL => $url);

        like($said->($good, %env),
             qr/\[warn\] .*OPENAI_BASE_URL: no pictures .* for loopback/,
             "$url is nginx's alone");
    }

    for my $url ('https://openai.example/v1/', 'http://127.0.0.1/',
                 'http://[::1]:80/v1//', 'http://localhost')
    {
        my %env = (OPENAI_API_KEY => 'x', OPENAI_BASE_URL => $url);

        unlike($said->($good, %env), qr/OPENAI_BASE_URL/, $url);
    }

    like($said->($models), qr{capabilities/edits must be a boolean},
         'a catalogue with a fault');
    like($said->('/nowhere/models'), qr/cannot be read/, 'and none');
};


is_deeply([$painter->stop], [0, undef, []], 'all end well');

done_testing();
