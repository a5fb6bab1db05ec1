package Pulse::Env;

# What a suite stands on.  "use Pulse::Env;" finds the module under test and
# Test::Nginx (or our stand-in for it); "use Pulse::Env 'stores';" also gives
# Postgres with a fresh database and a Redis.  The words an option takes:
#
#     stores     Postgres (shared by the run) and Redis (the suite's own)
#     own        a cluster of the suite's own, to be paused and killed
#     no_audit   the suite leaves the meter in disorder on purpose
#
# Everything that a configuration needs is in $TEST_NGINX_* then.

use v5.30;
use warnings;

use Cwd qw(abs_path);
use Exporter ();
use File::Path qw(make_path remove_tree);
use File::Temp ();
use Pulse::Process ();
use Test::More ();

our @ISA = ('Exporter');
our @EXPORT = qw(jwt make_key make_user postgres redis sql suite_dir
                 suite_file transaction uuid wait_until);

our $root = abs_path(__FILE__) =~ s{/t/lib/Pulse/Env\.pm$}{}r;
our $shared = $ENV{PULSE_SHARED} // "$root/../shared";

my ($dir, $postgres, $redis, $database, $audited);
my $owner = $$;
my %started;


sub import {
    my ($class, @words) = @_;

    my %want = map { $_ => 1 } @words;

    setup();

    stores(\%want) if $want{stores} || $want{own};

    $class->export_to_level(1, $class);
}


# Before Test::Nginx is loaded: it reads its environment then.

sub setup {
    return if defined $dir;

    # after the system's: a real Test::Nginx wins

    push @INC, "$root/t/lib/stand-in";

    my $build = $ENV{PULSE_BUILD} // "$root/build";
    my $base = $ENV{PULSE_RUN_DIR} // '/tmp';

    $dir = File::Temp::tempdir('pulse-XXXXXX', DIR => $base);
    chmod 0755, $dir;

    $ENV{PULSE_SUITE_DIR} = $dir;
    $ENV{TEST_NGINX_PULSE_DIR} = $dir;
    $ENV{TEST_NGINX_PULSE_ROOT} = $root;
    $ENV{TEST_NGINX_PULSE_SHARED} = abs_path($shared) // $shared;
    $ENV{TEST_NGINX_SERVROOT} //= "$dir/servroot";
    $ENV{TEST_NGINX_SERVER_PORT} //= Pulse::Process::free_port();

    # as in life: a worker and its master

    $ENV{TEST_NGINX_MASTER_PROCESS} //= 'on';

    $ENV{TEST_NGINX_LOAD_MODULES} //= abs_path($build)
        . '/nginx/ngx_http_pulse_module.so';

    $ENV{LC_ALL} = 'C.UTF-8';
    delete @ENV{grep { /^PG[A-Z]+$/ } keys %ENV};

    $SIG{INT} = $SIG{TERM} = sub { exit 130 };
}


sub stores {
    my ($want) = @_;

    $audited = !$want->{no_audit};

    if ($want->{own} || !defined $ENV{PULSE_RUN_POSTGRES}) {
        $postgres = Pulse::Env::Store::postgres("$dir/pg");
        $started{postgres} = 1;

    } else {
        require Pulse::Postgres;
        $postgres = Pulse::Postgres->new($ENV{PULSE_RUN_POSTGRES});
    }

    $database = $started{postgres} ? 'pulse' : 'suite_' . $$;
    $postgres->sql('postgres', "CREATE DATABASE $database TEMPLATE template");

    require Pulse::Redis;
    $redis = Pulse::Redis->new("$dir/redis")->start;

    $ENV{TEST_NGINX_PULSE_PG} = $postgres->conninfo($database);
    $ENV{TEST_NGINX_PULSE_REDIS} = 'unix:' . $redis->socket_path;

    make_path("$dir/journal");
    $ENV{TEST_NGINX_PULSE_JOURNAL} = "$dir/journal";

    keys_file("$dir/keys.json");
    $ENV{TEST_NGINX_PULSE_KEYS} = "$dir/keys.json";
}


sub postgres { $postgres }
sub redis { $redis }
sub suite_dir { $dir }


# A file of the suite's with this text, of bytes: its path.

sub suite_file {
    my ($name, $text) = @_;

    open my $out, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $text;
    close $out;

    return "$dir/$name";
}


sub sql {
    my ($statement) = @_;

    return $postgres->sql_kept($database, $statement);
}


# What somebody else has begun, and ends when the suite says so: locks that are
# held, rows that nobody sees.

sub transaction {
    my ($statement) = @_;

    return Pulse::Postgres::Session->start($ENV{TEST_NGINX_PULSE_PG})
        ->begin($statement);
}


sub wait_until (&;$) { goto &Pulse::Process::wait_until }


# A UUIDv4: what the database is given from outside.

sub uuid {
    my @bytes = map { int rand 256 } 1 .. 16;

    $bytes[6] = $bytes[6] & 0x0f | 0x40;
    $bytes[8] = $bytes[8] & 0x3f | 0x80;

    return join '-', unpack 'A8 A4 A4 A4 A12',
                            join '', map { sprintf '%02x', $_ } @bytes;
}


# make_user(plan => 'pro', email => ..., tokens => n, images => n,
#     videos => n, locale => 'en') returns the id.  Without a plan the user
# has no subscription; the amounts replace the plan's.

my $users = 0;

sub make_user {
    my %o = @_;

    my $id = $o{id} // uuid();
    my $email = $o{email} // sprintf 'user%d-%d@studio.test', $$, ++$users;
    my $locale = $o{locale} // 'en';

    sql("INSERT INTO users (id, email, locale)
         VALUES ('$id', '$email', '$locale')");

    return $id if !defined $o{plan};

    my $limit = sprintf '(ARRAY[%s])[k.kind + 1]', join ', ',
        map { defined $o{$_} ? $o{$_} : "p.$_" } qw(tokens images videos);

    sql("INSERT INTO subscriptions (id, user_id, plan_id, status,
             period_start, period_end, renews_at)
         SELECT '${\ uuid()}', '$id', p.id, 'active', d.day, d.day + p.period,
             d.day + p.period
         FROM plans p, (SELECT date_trunc('day', now()) AS day) d
         WHERE p.id = '$o{plan}';

         INSERT INTO accounts (user_id, kind, period_start, period_end,
             plan_id, limit_amount)
         SELECT s.user_id, k.kind, s.period_start, s.period_end, p.id, $limit
         FROM subscriptions s, plans p, generate_series(0, 2) AS k (kind)
         WHERE s.user_id = '$id' AND p.id = s.plan_id");

    die "no plan $o{plan} in the catalogue\n"
        if sql("SELECT count(*) FROM accounts WHERE user_id = '$id'") != 3;

    return $id;
}


# An API key of that user (or, with "internal", of nobody): the text.

sub make_key {
    my ($user, %o) = @_;

    require Digest::SHA;

    my $key = 'pk_' . base64url(join '', map { chr int rand 256 } 1 .. 32);
    my $hash = Digest::SHA::sha256_hex($key);
    my $prefix = substr $key, 0, 8;
    my $owner = defined $user ? "'$user'" : 'NULL';
    my $internal = $o{internal} ? 'true' : 'false';
    my $name = $o{name} // 'test';

    sql("INSERT INTO api_keys (id, user_id, name, prefix, hash, internal)
         VALUES ('${\ uuid()}', $owner, '$name', '$prefix',
             decode('$hash', 'hex'), $internal)");

    return $key;
}


# The key ring that pulse_auth_keys reads, and a token signed by it.

my $secret = 'a secret of the tests, 32 bytes or more of it';

sub base64url {
    require MIME::Base64;

    return MIME::Base64::encode_base64($_[0], '') =~ tr{+/=}{-_}dr;
}


sub keys_file {
    my ($file) = @_;

    require JSON::PP;

    open my $out, '>', $file or die "$file: $!\n";
    chmod 0600, $file;

    print $out JSON::PP->new->canonical->pretty->encode({
        keys => [{ kty => 'oct', kid => 'test', alg => 'HS256', use => 'sig',
                   k => base64url($secret) }],
    });

    close $out;
}


# A key of links to files, as a sidecar makes one.

sub files_key {
    my ($file) = @_;

    require Digest::SHA;

    open my $out, '>', $file or die "$file: $!\n";
    chmod 0600, $file;
    print $out Digest::SHA::sha256_hex($secret), "\n";
    close $out;
}


# jwt(user => id, claims => {}, header => {}, secret => text): claims given
# replace ours, undef removes one.  A session row is made for it unless
# "session" says which or is undef.

sub jwt {
    my %o = @_;

    require Digest::SHA;
    require JSON::PP;

    my $session = exists $o{session} ? $o{session} : make_session($o{user});
    my $now = time;

    my %claims = (
        iss => 'pulse', aud => 'pulse', sub => $o{user}, sid => $session,
        iat => $now, exp => $now + 3600, %{ $o{claims} // {} });

    my %header = (alg => 'HS256', kid => 'test', typ => 'JWT',
                  %{ $o{header} // {} });

    my $json = JSON::PP->new->canonical->utf8;

    my $text = join '.', map { base64url($json->encode($_)) }
        map { my $part = $_;
              +{ map { $_ => $part->{$_} } grep { defined $part->{$_} }
                                           keys %$part } }
            \%header, \%claims;

    my $mac = Digest::SHA::hmac_sha256($text, $o{secret} // $secret);

    return $text . '.' . base64url($mac);
}


sub make_session {
    my ($user) = @_;

    my $id = uuid();

    sql("INSERT INTO sessions (id, user_id, expires_at)
         VALUES ('$id', '$user', now() + interval '30 days')");

    return $id;
}


# What the meter must say after every suite that used it; each string is a
# complaint.

sub audit {
    return () if !defined $postgres || !defined $database;

    my @problems;

    if (sql("SELECT count(*) FROM pg_proc WHERE proname = 'usage_audit'")) {
        push @problems, map { "usage_audit(): $_" }
                        sql('SELECT * FROM usage_audit()');
    }

    if (sql("SELECT count(*) FROM pg_proc WHERE proname = 'payments_audit'")) {
        push @problems, map { "payments_audit(): $_" }
                        sql('SELECT * FROM payments_audit()');
    }

    return (@problems, map { "left open: $_" } open_leases());
}


# A node gives back and writes what it had left when it is started again.

sub settle {
    return () if !$INC{'Pulse/Nginx.pm'} || !defined $postgres;

    if ($started{postgres}) {
        defined $postgres->pid ? $postgres->resume : $postgres->start;
    }

    return () if !open_leases();

    return Pulse::Nginx::settle_all(sub { !open_leases() });
}


sub open_leases {
    return sql("SELECT 'lease ' || id || ' of ' || user_id || ' kind ' || kind
                       || ': ' || (granted - returned - settled)
                FROM leases WHERE closed_at IS NULL
                    AND granted - returned - settled <> 0");
}


# Not counted when all is well: the plan of a suite is the suite's.

sub complain {
    my (@problems) = @_;

    Test::More::fail("$0 - $_") for @problems;
}


sub no_audit { $audited = 0 }


END {
    if (defined $dir && $$ == $owner) {
        my $status = $?;

        # an nginx that is left gives its leases back before the audit

        Pulse::Process::stop_all('QUIT');

        if ($audited) {
            my @problems = eval { settle(), audit() };

            push @problems, "audit failed: $@" if $@;

            if (@problems) {
                complain(@problems);
                $status ||= 1;
            }
        }

        $redis->stop if defined $redis;

        if ($started{postgres}) {
            $postgres->remove;

        } elsif (defined $postgres && !$ENV{PULSE_TEST_KEEP}) {
            eval { $postgres->sql('postgres',
                           "DROP DATABASE IF EXISTS $database WITH (FORCE)") };
        }

        my $green = $status == 0 && Test::More->builder->is_passing;

        if ($green && !$ENV{PULSE_TEST_KEEP}) {
            remove_tree($dir, { error => \my $ignored });

        } else {
            print STDERR "# kept for reading: $dir\n";
        }

        $? = $status;
    }
}


package Pulse::Env::Store;

# A cluster whose database "template" has the schema.

sub postgres {
    my ($dir) = @_;

    require Pulse::Postgres;

    my $postgres = Pulse::Postgres->new($dir)->initialize->start;

    $postgres->sql('postgres', 'CREATE DATABASE template');
    migrate($postgres, 'template');

    return $postgres;
}


sub migrate {
    my ($postgres, $database) = @_;

    my $root = $Pulse::Env::root;
    my $pulsectl = ($ENV{PULSE_BUILD} // "$root/build") . '/pulsectl';

    if (-x $pulsectl) {
        my $conninfo = $postgres->conninfo($database);
        my $command = "'$pulsectl' --database '$conninfo' migrate"
                      . " --schema '$root/conf/schema' 2>&1";
        my $said = qx{$command};

        die "pulsectl migrate failed: $said\n" if $? != 0;

        return;
    }

    for my $file (sort glob "$root/conf/schema/*.sql") {
        open my $in, '<:utf8', $file or die "$file: $!\n";
        local $/;

        eval { $postgres->sql($database, 'BEGIN;' . <$in> . 'COMMIT;'); 1 }
            or die "$file: $@";
    }
}


1;
