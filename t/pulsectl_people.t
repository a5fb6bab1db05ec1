# pulsectl: people, keys, grants, revocation and the audit.

use v5.30;
use warnings;

use lib 't/lib';
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Pulse::Ctl qw(ctl ctl_json);
use Pulse::Env 'stores', 'no_audit';
use Test::More;

my $email = 'layla@studio.example';


subtest 'user add' => sub {
    my $user = ctl_json('user', 'add', $email, '--plan', 'pro');

    is($user->{email}, $email);
    is($user->{plan}, 'pro');
    is($user->{locale}, 'ar');
    is($user->{status}, 'active');
    like($user->{renews_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);

    is_deeply(ctl_json('user', 'add', 'Layla@Studio.example', '--plan', 'pro'),
              $user, 'a second time changes nothing');
    is(ctl_json('user', 'add', $email, '--locale', 'en')->{locale}, 'en');
    is(sql('SELECT count(*) FROM users'), 1);
    is(sql('SELECT count(*) FROM subscriptions'), 1);

    my ($status, $out, $err) = ctl('user', 'add', 'omar@studio.example');

    is($status, 0);
    like($out, qr/^email: omar\@studio\.example$/m, 'lines for a person');
    unlike($out, qr/^plan:/m);

    is(scalar @{ ctl_json('user', 'list') }, 2);
};


subtest 'plans are those that are sold' => sub {
    is_deeply([sql('SELECT id, amount, currency, tokens, images, videos,'
                   . ' cardinality(features) FROM plans ORDER BY position')],
              ['trial|0|JOD|20000|2|0|2', 'starter|3000|JOD|150000|10|2|2',
               'pro|5000|JOD|400000|30|5|4',
               'creator|7000|JOD|1000000|60|10|6']);
    is_deeply([sql('SELECT id, quantity, amount FROM addons'
                   . ' ORDER BY position')],
              ['tokens|200000|1000', 'images|10|1000', 'videos|1|1000']);
};


subtest 'a refusal is one line and status 1' => sub {
    my @cases = (
        [['user', 'add', 'nobody'], qr/"nobody" is no address/],
        [['user', 'add', 'a@b.example', '--plan', 'gold'],
         qr/there is no plan "gold"/],
        [['user', 'add', 'a@b.example', '--locale', 'fr'], qr/"ar" or "en"/],
        [['key', 'add', 'nobody@studio.example'], qr/no user has the address/],
        [['key', 'add', $email, '--expires', 'soon'], qr/interval/],
        [['key', 'add', $email, '--expires', '-1 day'], qr/expired already/],
        [['grant', $email, '--tokens', '-5'], qr/no amount of tokens/],
        [['grant', $email, '--tokens', '0x10'], qr/no amount of tokens/],
        [['grant', $email, '--addon', 'gold'], qr/there is no add-on/],
        [['grant', 'omar@studio.example', '--tokens', '5'],
         qr/no plan in force/],
        [['revoke', '--key', 'x'], qr/no id of a key/],
        [['revoke', '--session', '0190b2a0-0000-7000-8000-000000000000'],
         qr/there is no session/],
        [['revoke', 'nobody@studio.example'], qr/no user has the address/],
    );

    for my $case (@cases) {
        my ($words, $why) = @$case;
        my ($status, $out, $err) = ctl(@$words);

        is($status, 1, "@$words");
        is($out, '');
        like($err, qr/\Apulsectl: [^\n]*${why}[^\n]*\n\z/);
    }

    is(sql("SELECT count(*) FROM users WHERE email = 'a\@b.example'"), 0,
       'and leaves nothing behind');
};


subtest 'wrong usage is status 2' => sub {
    for my $words ([], ['users'], ['user'], ['user', 'add'],
                   ['user', 'add', 'a@b.example', 'c@d.example'],
                   ['user', 'add', 'a@b.example', '--color', 'red'],
                   ['grant', $email], ['grant', $email, '--tokens'],
                   ['grant', $email, '--tokens', '1', '--images', '1'],
                   ['audit', 'now'], ['revoke'])
    {
        my ($status, $out, $err) = ctl(@$words);

        is($status, 2, "@$words");
        is($out, '');
        isnt($err, '');
    }

    my ($status, $out, $err) = ctl('--help');

    is($status, 0);
    like($out, qr/^usage: pulsectl/);
};


subtest 'no database is status 3' => sub {
    my ($status, $out, $err) = ctl('audit', '--database', 'host=/nonexistent');

    is($status, 3);
    like($err, qr/\Apulsectl: [^\n]+\n\z/);
};


subtest 'keys' => sub {
    my $key = ctl_json('key', 'add', $email, '--name', 'laptop', '--expires',
                       '90d');

    like($key->{key}, qr/^pk_[A-Za-z0-9_-]{43}$/);
    is($key->{prefix}, substr $key->{key}, 0, 8);
    is($key->{name}, 'laptop');
    is(sql("SELECT encode(hash, 'hex') FROM api_keys WHERE id = '$key->{id}'"),
       sha256_hex($key->{key}), 'only its hash is kept');
    is(sql("SELECT extract(day FROM expires_at - created_at) FROM api_keys"
           . " WHERE id = '$key->{id}'"), 90);

    my ($row) = grep { $_->{id} eq $key->{id} }
        @{ ctl_json('key', 'list', $email) };

    ok(!exists $row->{key}, 'and it is shown once');

    my $service = ctl_json('key', 'add', '--service');

    is($service->{internal}, JSON::PP::true);
    is($service->{email}, undef);
    is(scalar @{ ctl_json('key', 'list') }, 2);
    is(scalar @{ ctl_json('key', 'list', 'omar@studio.example') }, 0);

    ctl_json('revoke', '--key', $key->{id});
    is(sql("SELECT count(*) FROM revocations WHERE id = '$key->{id}'"), 1);
};


subtest 'a key in a file stays while it is good' => sub {
    my $file = suite_dir() . '/key file';
    my $read = sub {
        open my $in, '<', $file or return;
        return scalar <$in>;
    };

    my $made = ctl_json('key', 'add', $email, '--file', $file);
    my $key = $read->();

    ok(!exists $made->{key}, 'it is not shown');
    like($key, qr/^pk_[A-Za-z0-9_-]{43}\n\z/);
    is((stat $file)[2] & 0777, 0600);

    is(ctl_json('key', 'add', $email, '--file', $file)->{id}, $made->{id});
    is($read->(), $key);

    ctl_json('revoke', '--key', $made->{id});
    isnt(ctl_json('key', 'add', $email, '--file', $file)->{id}, $made->{id});
    isnt($read->(), $key, 'a revoked one is replaced');

    open my $out, '>', $file or die;
    print $out "rubbish\n";
    close $out;

    ctl_json('key', 'add', $email, '--file', $file);
    like($read->(), qr/^pk_/, 'and so is rubbish');
};


subtest 'grant' => sub {
    is(ctl_json('grant', $email, '--tokens', '500')->{limit_amount}, 400500);
    is(ctl_json('grant', $email, '--images', '3')->{limit_amount}, 33);
    is(ctl_json('grant', $email, '--videos', '1')->{limit_amount}, 6);
    is(ctl_json('grant', $email, '--addon', 'tokens')->{limit_amount}, 600500);

    ctl_json('grant', $email, '--plan', 'creator');
    is(sql("SELECT plan_id FROM subscriptions WHERE status = 'active'"),
       'creator');

    my ($status) = ctl('grant', 'omar@studio.example', '--plan', 'trial');

    is($status, 0);
    ctl_json('grant', 'omar@studio.example', '--plan', 'pro');
    ($status) = ctl('grant', 'omar@studio.example', '--plan', 'trial');
    is($status, 1, 'a trial is had once');
};


subtest 'identity add' => sub {
    my $row = ctl_json('identity', 'add', 'https://id.example', "o'hara",
                       $email);

    is($row->{user_id},
       sql("SELECT user_id FROM identities WHERE subject = 'o''hara'"));
    ctl_json('identity', 'add', 'https://id.example', "o'hara",
             'omar@studio.example');
    is(sql('SELECT count(*) FROM identities'), 1, 'and it can move');
};


subtest 'audit' => sub {
    my ($status, $out) = ctl('audit');

    is($status, 0);

    my ($totals, $verdict) = split /\n\n/, $out;

    is($verdict, "clean\n");

    my ($head, @kinds) = map { [split /\t/] } split /\n/, $totals;
    my %tokens;

    @tokens{@$head} = @{ $kinds[0] };

    is_deeply([map { $_->[0] } @kinds], [qw(tokens images videos)]);
    is($tokens{accounts}, sql('SELECT count(*) FROM accounts WHERE kind = 0'),
       'it says what it looked at');
    is($tokens{limit_amount},
       sql('SELECT sum(limit_amount) FROM accounts WHERE kind = 0'));

    my $json = ctl_json('audit');

    is_deeply($json->{differences}, []);
    is_deeply($json->{payments}, []);
    is($json->{totals}[0]{accounts}, $tokens{accounts});

    sql("UPDATE accounts SET used = used + 7 WHERE kind = 1"
        . " AND plan_id = 'creator'");

    ($status, $out) = ctl('audit');
    ($totals, $verdict) = split /\n\n/, $out;

    is($status, 1, 'a difference is status 1');
    is(scalar(split /\n/, $verdict), 2, 'with a line for it under the head');

    ($status, $out) = ctl('audit', '--json');
    is($status, 1);
    $json = JSON::PP::decode_json($out);
    is($json->{differences}[0]{account}, 7);
    is($json->{totals}[1]{used}, 7);
};


subtest 'revoke a person' => sub {
    is(ctl_json('revoke', $email)->{revoked}, JSON::PP::true);
    is(sql("SELECT status FROM users WHERE email = '$email'"), 'inactive');
};


done_testing();
