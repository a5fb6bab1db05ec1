# pulsectl migrate: once, in order, whole or not at all.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Ctl qw(ctl ctl_json);
use Pulse::Env 'stores', 'no_audit';
use Test::More;

my $schema = suite_dir() . '/schema';
my $database = 'migrate_' . $$;

postgres->sql('postgres', "CREATE DATABASE $database");
$ENV{TEST_NGINX_PULSE_PG} = postgres->conninfo($database);

mkdir $schema;


sub put {
    my ($name, $text) = @_;

    open my $out, '>', "$schema/$name" or die;
    print $out $text;
    close $out;
}


sub rows { return postgres->sql($database, $_[0]) }


my ($status, $out, $err) = ctl('migrate', '--schema', $schema);

is($status, 2, 'a directory without files');
like($err, qr/\Apulsectl: no NNNN_name\.sql files in "[^"]+"\n\z/);

put('0001_first.sql', 'CREATE TABLE one (n int); INSERT INTO one VALUES (1);');
put('0002_second.sql', 'INSERT INTO one VALUES (2);');
put('notes.txt', 'not SQL');
put('0003_draft.sql.bak', 'nor this');

is_deeply(ctl_json('migrate', '--schema', $schema),
          { version => '0002', applied => 2 }, 'in order');
is_deeply(ctl_json('migrate', '--schema', $schema),
          { version => '0002', applied => 0 }, 'and once');
is(rows('SELECT sum(n) FROM one'), 3);

put('0002_second.sql', 'INSERT INTO one VALUES (4);');
($status, $out, $err) = ctl('migrate', '--schema', $schema);
is($status, 1, 'a file that was changed');
like($err, qr/\Apulsectl: "0002_second\.sql" was changed [^\n]+\n\z/);
put('0002_second.sql', 'INSERT INTO one VALUES (2);');

put('0003_broken.sql', "INSERT INTO one VALUES (8);\n\nSELECT nonsense;\n");
($status, $out, $err) = ctl('migrate', '--schema', $schema);
is($status, 1, 'a file that is wrong');
like($err, qr/\Apulsectl: 0003_broken\.sql:3: [^\n]*nonsense[^\n]*\n\z/,
     'is named with the line');
is(rows('SELECT sum(n) FROM one'), 3, 'and leaves nothing behind');
unlink "$schema/0003_broken.sql";

put('0003_a.sql', 'SELECT 1');
put('0003_b.sql', 'SELECT 1');
($status, $out, $err) = ctl('migrate', '--schema', $schema);
is($status, 1, 'two of one number');
like($err, qr/have the same number/);
unlink "$schema/0003_b.sql";
is(ctl_json('migrate', '--schema', $schema)->{version}, '0003');

unlink "$schema/0003_a.sql";
($status, $out, $err) = ctl('migrate', '--schema', $schema);
is($status, 1, 'a database that is ahead');
like($err, qr/has "0003_a\.sql"/);

# a number below those that a home has is applied later, and makes the same

sub shape {
    my ($name) = @_;

    return [postgres->sql($name, q{
        SELECT md5(pg_get_functiondef(p.oid)), p.oid::regprocedure::text
          FROM pg_proc p
         WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT table_name, column_name || ' ' || data_type || ' '
               || is_nullable || coalesce(column_default, '')
          FROM information_schema.columns
         WHERE table_schema = 'public'
        UNION ALL
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid)
          FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT tablename, indexdef
          FROM pg_indexes
         WHERE schemaname = 'public'
         ORDER BY 1, 2})];
}


my @files = glob "$Pulse::Env::root/conf/schema/*.sql";
my @early = grep { m{/000[123478]_} } @files;
my @late = grep { !m{/000[123478]_} } @files;
my $part = suite_dir() . '/part';

mkdir $part;

for my $set (["${database}_whole", \@files],
             ["${database}_later", \@early, \@late])
{
    my ($name, @steps) = @$set;

    postgres->sql('postgres', "CREATE DATABASE $name");
    local $ENV{TEST_NGINX_PULSE_PG} = postgres->conninfo($name);

    unlink glob "$part/*";

    for my $step (@steps) {
        system('cp', @$step, $part) == 0 or die "cp failed\n";

        is(ctl_json('migrate', '--schema', $part)->{applied}, scalar @$step,
           "$name: all that is new");
    }
}

is(scalar @early, 6, 'six are there before');
is_deeply(shape("${database}_later"), shape("${database}_whole"),
          'the order makes no difference');

# all at once: they take turns

postgres->sql('postgres', "CREATE DATABASE ${database}_race");
$ENV{TEST_NGINX_PULSE_PG} = postgres->conninfo("${database}_race");

put('0003_slow.sql', 'SELECT pg_sleep(0.2); CREATE TABLE two (n int);');

my @pids = map {
    my $pid = fork // die;

    if ($pid == 0) {
        my ($status) = ctl('migrate', '--schema', $schema);
        require POSIX;
        POSIX::_exit($status);
    }

    $pid;
} 1 .. 4;

is(scalar(grep { waitpid($_, 0); $? != 0 } @pids), 0, 'all succeed');
is(postgres->sql("${database}_race", 'SELECT sum(n) FROM one'), 3,
   'and each file is applied once');

done_testing();
