# Pictures and a sidecar that is killed at each step: what its owner finds is
# charged, and nothing else.  And the memory that a large one takes.

use v5.30;
use warnings;

use lib 't/lib';
use MIME::Base64 qw(encode_base64);
use Pulse::Client;
use Pulse::Env 'stores';
use Pulse::Painter qw(account fetched form_body png shown);
use Pulse::Wire;
use Test::More;

my $wire = Pulse::Wire->start;
my $painter = Pulse::Painter->start(database => $wire->conninfo);
my $pixel = png(1, 1);


sub person {
    my $user = make_user(plan => 'pro', images => 10, locale => 'en');

    return ($user, make_key($user));
}


# What a sweep makes of all that was held, as if its time had come.

sub swept {
    my ($user) = @_;

    sql("UPDATE media_holds SET deadline = now() - interval '1 second'");
    sql('SELECT media_sweep()');

    return account($user);
}


sub pictures {
    my ($user) = @_;

    return scalar sql("SELECT count(*) FROM files WHERE user_id = '$user'"
                      . " AND kind = 'image'");
}


sub write_file {
    my ($file, $bytes) = @_;

    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $bytes;
    close $out;
}


sub begin {
    my ($key, %body) = @_;

    my $client = Pulse::Client->connect(port => $painter->port);

    $client->request(POST => '/v1/images/generate', bearer => $key,
                     json => { model => 'nano-banana', prompt => 'x', %body });

    return $client;
}


subtest 'while a provider is waited for' => sub {
    my ($user, $key) = person();

    $painter->google->play({ hang => 1 });

    my $client = begin($key, count => 2);

    $painter->google->requests(2);
    is(account($user), '0 2 10', 'held');

    $painter->sidecar->killed;
    like($client->response->{status}, qr{^50[23]}, 'said');
    is(swept($user), '0 0 10', 'given back');

    $painter->sidecar->run;
};


subtest 'when one of two has come' => sub {
    my ($user, $key) = person();

    $painter->google->play(shown($pixel), { hang => 1 });

    my $client = begin($key, count => 2);

    ok((wait_until { pictures($user) == 1 } 20), 'it is kept');
    $painter->sidecar->killed;
    $client->response;

    is(swept($user), '1 0 10', 'and charged');
    is(pictures($user), 1, 'its owner finds it');

    $painter->sidecar->run;
};


for my $case (['SELECT image_keep', 'before', 0],
              ['SELECT image_keep', 'after', 1],
              ['FROM media_settle', 'before', 1],
              ['FROM media_settle', 'after', 1])
{
    my ($match, $when, $came) = @$case;

    subtest "$when $match" => sub {
        my ($user, $key) = person();

        $painter->google->play(shown($pixel));
        $wire->kill_at($painter->sidecar->pid, match => $match,
                       when => $when);

        my $client = begin($key);

        ok((wait_until { $wire->hit } 20), 'it came to that');
        $client->response;
        $painter->sidecar->wait_gone;

        is(swept($user), "$came 0 10", 'what is charged');
        is(pictures($user), $came, 'is what there is');

        $painter->sidecar->run;
    };
}


for my $when ('before', 'after') {
    subtest "a connection that breaks $when a picture is kept" => sub {
        my ($user, $key) = person();

        $painter->google->play(shown($pixel));
        $wire->cut_at(match => 'SELECT image_keep', when => $when);

        my $reply = begin($key)->response;

        ok($wire->hit, 'it came to that');
        is($reply->{status}, 200, 'it is kept on another one');
        is(account($user), '1 0 10', 'and charged');
        is(pictures($user), 1, 'once');
        is(fetched($painter, $reply->{json}{data}{images}[0]{url})->{body},
           $pixel, 'and there');
    };
}


for my $when ('before', 'after') {
    subtest "a connection that breaks $when an answer is kept" => sub {
        my ($user, $key) = person();
        my @ask = ('/v1/images/generate', $key,
                   { model => 'nano-banana', prompt => 'x' },
                   headers => { 'Idempotency-Key' => 'key-of-mine' });

        $painter->google->play(shown($pixel));
        $wire->cut_at(match => 'idempotency_keep', when => $when);

        my $id = $painter->post(@ask)->{json}{data}{images}[0]{id};

        ok($wire->hit, 'it came to that');

        my $again = $painter->post(@ask);

        is($again->{headers}{'idempotent-replayed'}, 'true', 'asked again');
        is($again->{json}{data}{images}[0]{id}, $id, 'it is the same');
        is(account($user), '1 0 10', 'and charged once');
    };
}


subtest 'stopped while a provider is waited for' => sub {
    my ($user, $key) = person();

    $painter->google->play(shown($pixel), { hang => 1 });

    my $client = begin($key, count => 2);

    ok((wait_until { pictures($user) == 1 } 20), 'one has come');
    is($painter->sidecar->stop, 0, 'it ends');

    my $reply = $client->response;

    is($reply->{status}, 200, 'with what came');
    is(scalar @{ $reply->{json}{data}{images} }, 1, 'which is one');
    is(account($user), '1 0 10', 'and is charged');

    $painter->sidecar->run;
};


subtest 'memory of 20 MB' => sub {
    my ($user, $key) = person();
    my $large = png(2600, 2600, noise => 1);
    my $base64 = encode_base64($large, '');
    my $dir = Pulse::Env::suite_dir();

    cmp_ok(length $large, '>', 20 * 1000 * 1000, 'so large');

    write_file("$dir/answer", qq({"created":1,"data":[{"b64_json":"$base64"}]}));
    write_file("$dir/form", form_body([model => 'gpt-image-2', prompt => 'x',
        image => { type => 'image/png', data => $large }], 'B'));
    write_file("$dir/json", '{"model":"gpt-image-2","prompt":"x"}');
    write_file("$dir/stream",
               '{"model":"gpt-image-2","prompt":"x","stream":true}');
    write_file("$dir/object", '{"model":"gpt-image-2","prompt":"x",'
               . '"images":[{"image_url":"data:image/png;base64,'
               . "$base64\"}]}");

    $painter->openai->play({ bytes => "$dir/answer" });

    for my $case (['generations', 'json', 'application/json'],
                  ['generations', 'stream', 'application/json'],
                  ['edits', 'form', 'multipart/form-data; boundary=B'],
                  ['edits', 'object', 'application/json'])
    {
        my ($path, $body, $type) = @$case;

        # Perl's reader of JSON would take longer than all else

        system('curl', '-s', '-o', "$dir/got", '-H', "Content-Type: $type",
               '-H', "Authorization: Bearer $key", '--data-binary',
               "\@$dir/$body",
               'http://127.0.0.1:' . $painter->port . "/v1/images/$path");

        open my $in, '<:raw', "$dir/got" or die "$dir/got: $!\n";
        local $/;

        ok(index(<$in>, qq("b64_json":"$base64")) > 0,
           "$path, $body: byte by byte");
    }

    is(account($user), '4 0 10', 'charged');

    my $pid = $painter->sidecar->pid;

    open my $in, '<', "/proc/$pid/status" or die "status: $!\n";
    my ($peak) = map { /^VmHWM:\s+(\d+) kB/ ? $1 / 1024 : () } <$in>;

    diag(sprintf 'peak of the sidecar: %.1f MB', $peak);
    cmp_ok($peak, '<', 64, 'in less than 64 MB')
        if !$ENV{PULSE_BUILD} || $ENV{PULSE_BUILD} !~ /asan/;
};


is_deeply([$painter->stop], [0, undef, []], 'all end well');

done_testing();
