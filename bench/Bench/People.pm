package Bench::People;

# People of whom everything follows from their number: made in Postgres by the
# hundred thousand, their sessions' tokens here.

use v5.30;
use warnings;

use Exporter qw(import);
use Pulse::Env;

our @EXPORT_OK = qw(people tokens_file);

my $made = 0;


# As many as that in the store, with a plan that nobody comes to the end of.

sub people {
    my ($n) = @_;

    # a statement has a minute

    while ($made < $n) {
        my $last = $made + 100_000;

        more_people($made + 1, $last < $n ? $last : $n);
    }
}


sub more_people {
    my ($first, $n) = @_;

    my $plan = 'pro';

    sql(<<"SQL");
        BEGIN;

        CREATE TEMPORARY TABLE new_people ON COMMIT DROP AS
            SELECT n, ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))
                      ::uuid AS id,
                ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))
                      ::uuid AS session,
                date_trunc('day', now()) AS day
            FROM generate_series($first, $n) n;

        INSERT INTO users (id, email, locale)
            SELECT id, 'person' || n || '\@studio.test', 'en' FROM new_people;

        INSERT INTO subscriptions (id, user_id, plan_id, status, period_start,
                period_end, renews_at)
            SELECT session, n.id, '$plan', 'active', day, day + p.period,
                day + p.period
            FROM new_people n, plans p WHERE p.id = '$plan';

        INSERT INTO accounts (user_id, kind, period_start, period_end, plan_id,
                limit_amount)
            SELECT n.id, kind, day, day + p.period, p.id, 1000000000000000
            FROM new_people n, plans p, generate_series(0, 2) kind
            WHERE p.id = '$plan';

        INSERT INTO sessions (id, user_id, expires_at)
            SELECT session, id, now() + interval '30 days' FROM new_people;

        COMMIT;
        ANALYZE;
SQL

    # what this leaves to be written is not to be measured

    sql('CHECKPOINT');

    $made = $n;
}


# Tokens of that many, evenly from all that there are.

sub tokens_file {
    my ($n) = @_;

    my $file = Pulse::Env::suite_dir() . "/tokens-$n-of-$made";

    return $file if -e $file;

    open my $out, '>', $file or die "$file: $!\n";

    for my $i (1 .. $n) {
        my $number = sprintf '%012x', int($i * $made / $n);

        say $out jwt(user => "00000000-0000-4000-8000-$number",
                     session => "00000000-0000-4000-9000-$number",
                     claims => { exp => time + 86400 });
    }

    close $out or die "$file: $!\n";

    return $file;
}


1;
