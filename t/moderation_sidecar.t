# Prompts of pictures and videos, and the pictures that come with them: looked
# at by the sidecar, before anything is held and any provider is asked.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256_hex);
use Encode qw(encode_utf8);
use MIME::Base64 qw(encode_base64);
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Gateway qw(provider);
use Pulse::Painter qw(account form painted png);
use Test::More;

my $dir = Pulse::Env::suite_dir();
my $secret = 'k' x 40;

my $rules = suite_file('rules.txt', encode_utf8(
    "[violence]\nzorbomb* ! zorbombay\nزمبلة\n[hate]\ngrunk\n"));

suite_file('moderation.key', $secret);

my $painter = Pulse::Painter->start(
    options => ['--moderation', $rules,
                '--moderation-key', "$dir/moderation.key"],
    http => provider('openai', 'http://127.0.0.1:1/v1')
            . "pulse_models $Pulse::Env::root/conf/models.json;"
            . "pulse_moderation_rules $rules; pulse_moderation local;");

my $openai = $painter->openai;
my $user = make_user(plan => 'pro', images => 100, videos => 20,
                     locale => 'en');
my $key = make_key($user);
my ($small, $large) = (png(2, 2), png(30, 20));
my $picture = { type => 'image/png', data => $large };
my @texts;


# What locations check from now on.

sub mode {
    my ($mode) = @_;

    $painter->nginx->{http} =~
        s/(pulse_moderation) \w[^_;]*;/$1 $mode;/
        or die "no mode\n";
    $painter->nginx->reload;
}


# A sidecar that remembers no outage.

sub afresh {
    my $sidecar = $painter->sidecar;

    $sidecar->stop;
    push @{ $sidecar->{options} }, @_;
    $sidecar->run;
}


sub verdict {
    my ($true, %o) = @_;

    my %categories = map { $_ => JSON::PP::false() }
        qw(hate violence violence/graphic);

    $categories{$_} = JSON::PP::true() for @$true;

    return { %o, json => { id => 'modr-1', model => 'omni-moderation-latest',
        results => [{ categories => \%categories, category_scores => {},
                      flagged => @$true ? JSON::PP::true()
                                        : JSON::PP::false() }] } };
}

my ($good, $bad) = (verdict([]), verdict(['violence', 'violence/graphic']));


# ask(path, prompt, ...): of the ways to a picture or a video, as a form where
# that is how it is asked

sub ask {
    my ($path, $prompt, %o) = @_;

    my $by = delete $o{key} // $key;
    my $headers = delete $o{headers} // {};

    push @texts, $prompt;

    if ($path =~ /edit/) {
        return form($painter->port, $path, $by, [
            model => 'gpt-image-2', prompt => encode_utf8($prompt),
            image => delete $o{image} // $picture, %o ], headers => $headers);
    }

    my $model = $path =~ /video/ ? 'google/veo-3.1' : 'gpt-image-2';

    return $painter->post($path, $by, { model => $model, prompt => $prompt,
                                        %o }, headers => $headers);
}


sub said {
    my ($reply) = @_;

    return $reply->{status} . ' ' . ($reply->{json}{error}{code} // 'fine');
}


# Of whom was anything asked.

sub asked {
    return map { $_->{path} } map { $_->requests(0) }
        $openai, $painter->google, $painter->replicate;
}


sub used {
    return account($user) . ' ' . sql("SELECT used || ' ' || leased FROM"
        . " accounts WHERE user_id = '$user' AND kind = 2") . ' '
        . sql("SELECT count(*) FROM usage_events WHERE user_id = '$user'")
        . ' ' . sql('SELECT count(*) FROM media_holds');
}


# What nginx has counted: counted('result="passed"'), counted('category="x"').

sub counted {
    my ($label) = @_;

    my $metrics = http(GET => '/metrics', port => $painter->port)->{body};

    return $metrics =~ /^pulse_moderation_\w+_total\{\Q$label\E\} (\d+)$/m
           ? $1 : 'none';
}


my @studio = qw(/v1/images/generate /v1/images/edit /v1/video/generate);
my @dialect = qw(/v1/images/generations /v1/images/edits);
my $nothing = used();


subtest 'by rules' => sub {
    $_->play({ status => 500 }) for $openai, $painter->google,
                                    $painter->replicate;

    for my $path (@studio) {
        my $reply = ask($path, 'draw a Z0rbomb');

        is(said($reply), '400 CONTENT_FLAGGED', $path);
        is_deeply($reply->{json}{error}{details},
                  { categories => ['violence'] }, 'its details');
    }

    for my $path (@dialect) {
        my $reply = ask($path, 'a zorbomb and a grunk');
        my $error = $reply->{json}{error};

        is(said($reply), '400 CONTENT_FLAGGED', $path);
        is($error->{type}, 'invalid_request_error', 'its type');
        is($error->{param}, undef, 'its param');
        like($error->{message}, qr/ \(violence, hate\)$/, 'its categories');
        is($reply->{headers}{'x-should-retry'}, 'false', 'no second time');
    }

    for my $path (grep { !/generations|edits/ } @studio) {
        is(said(ask($path, 'fine', negative_prompt => 'no grunk')),
           '400 CONTENT_FLAGGED', "$path: what is not to be seen");
    }

    # nobody but nginx says what is checked

    is(said(ask($studio[0], 'a zorbomb',
                headers => { 'X-Pulse-Moderation' => 'off' })),
       '400 CONTENT_FLAGGED', 'whatever a client says');

    my $arab = make_key(make_user(plan => 'pro', images => 9, locale => 'ar'));
    my $reply = ask($studio[0], 'ارسم الزُّمبلة', key => $arab);

    is(said($reply), '400 CONTENT_FLAGGED', 'in Arabic');
    like($reply->{json}{error}{message}, qr/قواعد المحتوى/, 'and so said');

    is_deeply([asked()], [], 'nobody is asked');
    is(used(), $nothing, 'and nothing is charged');

    my $hash = hmac_sha256_hex('draw a Z0rbomb', $secret);
    my @lines = grep { /flagged by rules/ } split /\n/,
        $painter->sidecar->log_text;

    is(scalar @lines, 10, 'a line for each');
    is(scalar(grep { /: \["violence"\]: $hash$/ } @lines), 3,
       'with category and hash');

    is_deeply([map { counted($_) } 'result="flagged_by_rules"',
               'category="violence"', 'category="hate"', 'result="passed"'],
              [10, 7, 5, 0], 'and all counted');
};


subtest 'what is not against the rules' => sub {
    $openai->play(painted($small));

    is(said(ask($studio[0], 'the zorbombay at night')), '200 fine',
       'an exception');
    is(account($user), '1 0 100', 'charged');

    mode('off');
    $openai->play(painted($small));
    is(said(ask($studio[0], 'a zorbomb')), '200 fine', 'where it is off');
    is(counted('result="passed"'), 1, 'which is not counted');
};


subtest 'by the endpoint' => sub {
    mode('provider');

    my $before = used();

    for my $path (@studio, @dialect) {
        $openai->play($bad);

        my $reply = ask($path, 'a kite');
        my $error = $reply->{json}{error};

        is(said($reply), '400 CONTENT_FLAGGED', $path);
        is_deeply([asked()], ['/v1/moderations'], 'nobody else is asked');
        is_deeply([map { $_->{json} } $openai->requests(1)],
                  [{ model => 'omni-moderation-latest',
                     input => ["a kite\n"] }], 'about the prompt');
        like($path =~ /generations|edits/ ? $error->{message}
                 : join(', ', @{ $error->{details}{categories} }),
             qr{violence, violence/graphic}, 'and why');
    }

    is(used(), $before, 'nothing is charged');
    is_deeply([map { counted($_) } 'result="flagged_by_provider"',
               'category="violence/graphic"', 'category="violence"'],
              [5, 5, 12], 'and all counted');

    my ($request) = $openai->requests(1);

    is($request->{headers}{authorization}, 'Bearer key-of-openai',
       'by our key');

    for my $how ({ step => 1 }, { step => 1, framing => 'chunked',
                                  chunk => 7 }, { step => 1,
                                                  framing => 'close' }) {
        $openai->play({ %$bad, %$how });
        is(said(ask($studio[0], 'a kite')), '400 CONTENT_FLAGGED',
           'byte by byte');
    }

    $openai->play({ %$good, step => 1 }, painted($small));
    is(said(ask($studio[0], 'a kite', negative_prompt => 'no wind')),
       '200 fine', 'one that passes');
    is_deeply([asked()], [qw(/v1/moderations /v1/images/generations)],
              'and then is made');
    is_deeply(($openai->requests(2))[0]{json}{input}, ["a kite\nno wind\n"],
              'the negative prompt too');

    # rules are not asked here, and elsewhere are asked first

    $openai->play($good, painted($small));
    is(said(ask($studio[0], 'a zorbomb')), '200 fine', 'without rules');

    mode('both');
    $openai->play($good, painted($small));
    is(said(ask($studio[0], 'a zorbomb')), '400 CONTENT_FLAGGED',
       'rules first');
    is_deeply([asked()], [], 'nobody is asked');
    $openai->play($bad);
    is(said(ask($studio[0], 'a kite')), '400 CONTENT_FLAGGED',
       'then the endpoint');

    my $hash = hmac_sha256_hex("a kite\n", $secret);

    like($painter->sidecar->log_text, qr/flagged\ by\ provider:
         \ \["violence","violence\/graphic"\]:\ $hash$/mx, 'the log');
};


sub shown {
    return [map { ref $_->{json}{input}[0]
                  ? $_->{json}{input}[0]{image_url}{url} : 'text' }
            grep { $_->{path} eq '/v1/moderations' } $openai->requests(0)];
}


my ($one, $two) = map { 'data:image/png;base64,' . encode_base64($_, '') }
    $large, $small;


subtest 'pictures that are changed' => sub {
    mode('provider');

    my $before = used();

    for my $path (qw(/v1/images/edit /v1/images/edits)) {
        $openai->play($good, $good, $bad);

        is(said(ask($path, 'make it green',
                    'image[]' => { %$picture, data => $small })),
           '400 CONTENT_FLAGGED', "$path: the second");
        is_deeply(shown(), ['text', $one, $two], 'both are shown');
        is(scalar(grep { !/moderations/ } asked()), 0, 'nobody makes it');
    }

    $openai->play($good, $good, $bad);
    is(said(ask('/v1/images/edit', 'x', mask => { %$picture,
                                                  data => $small })),
       '400 CONTENT_FLAGGED', 'a mask');
    is_deeply(shown(), ['text', $one, $two], 'is shown, too');

    $openai->play($good, { status => 400, json => { error => {
        message => 'Invalid image', code => 'invalid_image' } } });

    for my $mode ('provider', 'provider down=pass') {
        mode($mode);

        my $reply = ask('/v1/images/edit', 'x');

        is(said($reply), '400 INVALID_REQUEST', "$mode: one it cannot read");
        like($reply->{json}{error}{message}, qr/moderation cannot read/,
             'and so said');
        $openai->play($good, { status => 413, json => {} });
    }

    is(said(ask('/v1/images/edits', 'x')), '400 INVALID_REQUEST',
       'in the dialect');
    is(used(), $before, 'nothing is charged');

    $openai->play($good, $good, painted($small));
    is(said(ask('/v1/images/edit', 'x')), '200 fine', 'one that passes');
    is((asked())[2], '/v1/images/edits', 'is changed');
};


subtest 'pictures that videos begin with' => sub {
    mode('provider');
    $openai->play($good, painted($large));

    my $file = ask($studio[0], 'x')->{json}{data}{images}[0]{id};
    my $before = used();

    $openai->play($good, $bad);
    $painter->replicate->play({ status => 422, json => { detail => 'no' } });

    is(said(ask('/v1/video/generate', 'a kite', image => $file)),
       '400 CONTENT_FLAGGED', 'flagged');
    is_deeply(shown(), ['text', $one], 'it is shown');

    $openai->play($good, { status => 400, json => {} });
    is(said(ask('/v1/video/generate', 'a kite', image => $file)),
       '400 INVALID_REQUEST', 'not to be read');

    is(used(), $before, 'nothing is held');
    is(sql('SELECT count(*) FROM tasks'), 0, 'and nothing begun');
    is(scalar $painter->replicate->requests(0), 0, 'nobody is asked');

    $openai->play($good, $good);

    my $reply = ask('/v1/video/generate', 'a kite', image => $file);

    is(said($reply), '202 fine', 'one that passes');
    ok(scalar $painter->replicate->requests(1), 'is asked for');

    my $id = $reply->{json}{data}{job_id};

    my $failed = wait_until {
        sql("SELECT count(*) FROM tasks WHERE id = '$id'"
            . " AND status = 'failed'");
    } 60;

    ok($failed, 'which fails here');
};


subtest 'when there is no verdict' => sub {
    my %useless = (
        'a 500' => { status => 500, json => {} },
        'a 401' => { status => 401, json => {} },
        'no JSON' => { body => 'x' },
        'no verdict' => { json => { results => [] } },
        'one of another kind' => { json => { results => [{
            flagged => 'no' }] } },
        'half of one' => { %$good, cut => 20 },
        'none at all' => { raw => '' . "\r\n\r\n" },
    );

    mode('provider');

    my $before = used();

    $painter->replicate->play;

    for my $name (sort keys %useless) {
        afresh();
        $openai->play($useless{$name});

        my $reply = ask($studio[0], 'a kite');

        is(said($reply), '503 PROVIDER_UNAVAILABLE', "$name: refused");
        ok($reply->{headers}{'retry-after'}, 'for a while');
        is_deeply([asked()], ['/v1/moderations'], 'nobody makes it');
    }

    is(used(), $before, 'nothing is charged');

    # while it is down it is left alone

    afresh();
    $openai->play($useless{'a 500'});
    is(said(ask($dialect[0], 'a kite')), '503 PROVIDER_UNAVAILABLE', 'down')
        for 1 .. 8;
    cmp_ok(scalar $openai->requests(0), '<', 8, 'and not asked each time');

    mode('provider down=pass');
    afresh();
    $openai->play($useless{'no verdict'}, painted($small));
    is(said(ask($studio[0], 'a kite')), '200 fine',
       'it passes where that is said');

    mode('both down=pass');
    is(said(ask($studio[0], 'a grunk')), '400 CONTENT_FLAGGED',
       'but for rules');

    mode('provider');
    afresh('--moderation-timeout', 1);
    $openai->play({ hang => 1 });
    is(said(ask($studio[0], 'a kite')), '503 PROVIDER_UNAVAILABLE',
       'one that hangs is left');

    like($painter->sidecar->log_text,
         qr/pulse moderation: the provider gives no verdict: status 401/,
         'the log says so');
    is_deeply([map { counted(qq(result="$_")) }
               qw(refused_unchecked passed_unchecked unfit)], [16, 1, 4],
              'and nginx has counted it');
};


my $nginx = $painter->nginx;
my $log = join '', $painter->sidecar->log_text, @{ $nginx->error_log },
                   @{ $nginx->access_log };

unlike($log, qr/\Q$_\E/, 'no text in the logs')
    for map { encode_utf8($_) } grep { length > 1 } @texts;
unlike($log, qr/key-of-openai/, 'and no key');

is_deeply([$painter->stop], [0, undef, []], 'all end well');

done_testing();
