
# Decks whose slides the chat model writes: through our own gateway, on the
# person's quota, checked before they are drawn.

use v5.30;
use warnings;
use utf8;

use lib 't/lib';
use JSON::PP ();
use Pulse::Client qw(http);
use Pulse::Env 'stores';
use Pulse::Gateway qw(ledger);
use Pulse::Written;
use Test::More;

my $studio = Pulse::Written->start(rules => "[violence]\nzorbomb\n");
my $path = '/v1/slides/generate';


sub slide {
    my ($layout, $title, %o) = @_;

    return { layout => $layout, title => $title, subtitle => '',
             bullets => [], first => { heading => '', bullets => [] },
             second => { heading => '', bullets => [] },
             table => { header => [], rows => [] }, quote => '',
             attribution => '', notes => '', %o };
}


sub deck {
    my ($ar) = @_;

    return { slides => [
        slide('title', $ar ? 'الطاقة الشمسية' : 'Solar power',
              subtitle => $ar ? 'للمنازل' : 'For homes'),
        slide('bullets', $ar ? 'لماذا الآن؟' : 'Why now?',
              bullets => $ar ? ['كلفة أقل', 'استهلاك 24/7', 'بلغة C++']
                             : ['Lower cost', 'Use 24/7'],
              notes => $ar ? 'ابدأ بالكلفة.' : 'Begin with cost.'),
        slide('columns', $ar ? 'قبل وبعد' : 'Before and after',
              first => { heading => 'A', bullets => ['1'] },
              second => { heading => 'B', bullets => ['2'] }),
        slide('table', $ar ? 'أسعار' : 'Prices',
              table => { header => ['x', 'y'], rows => [['1', '2']] }),
    ] };
}


# The rest is for the audit at the end.

sub nothing_reserved {
    my ($key) = @_;

    my $settled = wait_until {
        http(GET => '/v1/usage/me', port => $studio->port, bearer => $key
             )->{json}{data}{usage}{tokens}{reserved} == 0
    } 10;

    ok($settled, 'nothing stays reserved');
}


for my $locale (qw(ar en)) {
    for my $format (qw(pptx pdf)) {
        subtest "$locale, $format" => sub {
            my ($user, $key) = $studio->person();

            $studio->writes(deck($locale eq 'ar'));

            my $reply = $studio->post($path, $key, {
                presentation_title => 'Sun', topic => 'the sun over roofs',
                audience => 'neighbors', num_slides => 4, locale => $locale,
                export_format => $format });
            my $data = $reply->{json}{data};

            is($reply->{status}, 201) or diag $reply->{body};
            is($data->{slide_count}, 4);
            is($data->{outline}[1], $locale eq 'ar' ? 'لماذا الآن؟'
                                                    : 'Why now?');
            is($data->{model}, 'gpt-6-luna');
            is($data->{usage}{total_tokens}, 140);
            like($reply->{headers}{'x-usage-tokens'}, qr{^\d+/100000$});

            my ($asked) = $studio->asked(1);
            my ($system, $prompt) = map { $_->{content} }
                @{ $asked->{messages} };

            like($system, qr/outline/);
            like($prompt, qr/the sun over roofs/);
            like($prompt, qr/neighbors/);
            like($prompt, qr/exactly 4/);
            like($prompt, $locale eq 'ar' ? qr/Arabic/ : qr/English/);

            my $schema = $asked->{response_format}{json_schema}{schema};

            is($schema->{required}[0], 'slides');

            my ($row, @more) = ledger($user, 1);

            is_deeply(\@more, [], 'metered once');
            is($row->{amount}, 140, 'as a chat');

            my $file = http(GET => $data->{download_url}
                            =~ s{^http://studio\.example}{}r,
                            port => $studio->port);

            like($file->{body}, $format eq 'pdf' ? qr/^%PDF/ : qr/^PK/);
            nothing_reserved($key);
        };
    }
}


my %bad = (
    'no JSON' => 'Here is your deck!',
    'another thing' => { deck => [] },
    'no slides' => { slides => [] },
    'no title' => { slides => [slide('title', 'x'), slide('bullets', '')] },
    'ragged table' => { slides => [slide('table', 'x', table => {
        header => ['a', 'b'], rows => [['1']] })] },
    'too many' => { slides => [map { slide('section', "s$_") } 1 .. 31] },
    'an image of somebody' => { slides => [{
        %{ slide('image', 'x') }, image_file_id => uuid() }] },
    'cut' => { finish => 'length', text => '{"slides":[{"title":"a' },
);

for my $name (sort keys %bad) {
    subtest "$name: said, and written again" => sub {
        my ($user, $key) = $studio->person();

        $studio->writes($bad{$name}, deck(1));

        my $reply = $studio->post($path, $key,
                                  { presentation_title => 'شمس' });

        is($reply->{status}, 201) or diag $reply->{body};

        my (undef, $again) = $studio->asked(2);

        like($again->{messages}[-1]{content}, qr/^That cannot be used: ./);
        is(scalar(ledger($user, 2)), 2, 'both are metered');
        nothing_reserved($key);
    };

    subtest "$name twice" => sub {
        my ($user, $key) = $studio->person();

        $studio->writes($bad{$name}, $bad{$name}, deck(1));

        my $reply = $studio->post($path, $key,
                                  { presentation_title => 'شمس' });

        is($reply->{status}, 502);
        is($reply->{json}{error}{code}, 'PROVIDER_ERROR');
        like($reply->{json}{error}{message}, qr/\p{Arabic}/);
        is(scalar(@{[$studio->asked(2)]}), 2, 'it is asked twice at most');
        is(sql("SELECT count(*) FROM files WHERE user_id = '$user'"), 0);
        nothing_reserved($key);
        $studio->replay->play();
    };
}


subtest 'in a block of Markdown, and of another length' => sub {
    my ($user, $key) = $studio->person();
    my $text = JSON::PP->new->encode(deck(0));

    $studio->writes("Sure:\n```json\n$text\n```\n", "```\n$text\n```");

    my $reply = $studio->post($path, $key, {
        presentation_title => 'Sun', locale => 'en', num_slides => 6 });

    is($reply->{status}, 201);
    is($reply->{json}{data}{slide_count}, 4, 'what there is, then');

    my (undef, $again) = $studio->asked(2);

    like($again->{messages}[-1]{content}, qr/4 slides, and exactly 6/);
};


subtest 'what the gateway refuses' => sub {
    my ($user, $key) = $studio->person(tokens => 0);
    my $reply = $studio->post($path, $key, { presentation_title => 'x' });

    is($reply->{status}, 402);
    is($reply->{json}{error}{code}, 'QUOTA_EXCEEDED');
    is($reply->{json}{error}{details}{resource}, 'tokens');
    like($reply->{json}{error}{message}, qr/\p{Arabic}/);
    is($reply->{json}{meta}{trace_id}, $reply->{headers}{'x-trace-id'});

    ($user, $key) = $studio->person();
    $reply = $studio->post($path, $key, { presentation_title => 'x',
                                          model => 'nobody-1' });
    is($reply->{status}, 404);
    is($reply->{json}{error}{code}, 'MODEL_NOT_FOUND');

    $studio->writes({ status => 500, json => { error => {} } });
    $reply = $studio->post($path, $key, { presentation_title => 'x' });
    is($reply->{status}, 503);
    is($reply->{json}{error}{code}, 'PROVIDER_UNAVAILABLE');
    ok($reply->{headers}{'retry-after'});

    $studio->writes({ status => 400, json => { error => {
        message => 'too long', type => 'invalid_request_error' } } });
    $reply = $studio->post($path, $key, { presentation_title => 'x' });
    is($reply->{status}, 502, 'a request of ours that it refuses');
    is($reply->{json}{error}{code}, 'PROVIDER_ERROR');

    $studio->replay->play();
    ($user, $key) = $studio->person(plan => 'starter');
    $reply = $studio->post($path, $key, { presentation_title => 'x' });
    is($reply->{json}{error}{code}, 'FEATURE_NOT_IN_PLAN');
    is_deeply([$studio->asked(0)], [], 'nobody is asked');
};


subtest 'what is against the rules of content' => sub {
    my ($user, $key) = $studio->person();

    $studio->writes({ status => 500 });

    my $reply = $studio->post($path, $key, {
        presentation_title => 'شمس', topic => 'how to make a Z0rbomb',
        num_slides => 4 });

    $studio->is_flagged($reply, $user);
    is(sql("SELECT count(*) FROM files WHERE user_id = '$user'"), 0,
       'nor kept');
    nothing_reserved($key);
};


subtest 'who asks: a session, a key that goes' => sub {
    my ($user, $key) = $studio->person();
    my $jwt = jwt(user => $user);

    $studio->writes(deck(1));
    is($studio->post($path, $jwt, { presentation_title => 'x' })->{status},
       201, 'a session');

    $studio->writes(deck(1));
    is($studio->post($path, $key, { presentation_title => 'x' })->{status},
       201, 'a key');
};


subtest 'once for a key of idempotency' => sub {
    my ($user, $key) = $studio->person();
    my %more = (headers => { 'Idempotency-Key' => 'deck-1' });
    my $request = { presentation_title => 'x' };

    $studio->writes(deck(1));

    my $first = $studio->post($path, $key, $request, %more);
    my $again = $studio->post($path, $key, $request, %more);

    is($first->{status}, 201);
    is($again->{status}, 201);
    is($again->{headers}{'idempotent-replayed'}, 'true');
    is_deeply($again->{json}, $first->{json}, 'the first answer again');
    is(scalar(ledger($user, 1)), 1, 'metered once');
    is(sql("SELECT count(*) FROM files WHERE user_id = '$user'"), 1);

    my $other = $studio->post($path, $key, { presentation_title => 'y' },
                              %more);

    is($other->{status}, 409);
    is($other->{json}{error}{code}, 'IDEMPOTENCY_MISMATCH');

    # a sidecar that dies after the chat: the answer is not paid for again

    sql("DELETE FROM idempotency WHERE user_id = '$user'"
        . " AND key = 'deck-1'");
    is($studio->post($path, $key, $request, %more)->{status}, 201);
    is(scalar(ledger($user, 1)), 1, 'nor is it asked again');
};


subtest 'the sidecar ends while the model writes' => sub {
    my ($user, $key) = $studio->person();

    $studio->writes({ hang => 1 });

    my $client = Pulse::Client->connect(port => $studio->port);

    $client->request(POST => $path, bearer => $key,
                     json => { presentation_title => 'x' });
    $studio->replay->requests(1);

    is($studio->sidecar->stop, 0, 'it does not wait for it');

    my $reply = $client->response;

    is($reply->{status}, 503);
    $studio->sidecar->run;
    nothing_reserved($key);
};


my ($sidecar, $nginx, $problems) = $studio->stop;

is($sidecar, 0, 'the sidecar ends well');
is($nginx, undef, 'so does nginx');
is_deeply($problems, [], 'and its log is clean');

done_testing();
