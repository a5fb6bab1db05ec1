# What the meter and the door rely on is on disk when the server says so,
# even where the server is set not to wait for it.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Env 'stores';
use Test::More;

my $user = make_user(plan => 'pro');
my $node = uuid();
my $lease = uuid();
my $event = uuid();

sub setting_after {
    my ($statement) = @_;

    return (sql("BEGIN;
                 SET LOCAL synchronous_commit = off;
                 $statement;
                 SHOW synchronous_commit;
                 COMMIT"))[-1];
}


is(setting_after('SELECT 1'), 'off', 'what changes nothing need not wait');

is(setting_after("SELECT (lease_acquire('$node', 'a', '$lease', '$user', 0,
                                        10, 10)).status"),
   'on', 'a lease');

my ($period) = sql("SELECT to_micros(period_start) FROM leases
                     WHERE id = '$lease'");

is(setting_after("SELECT usage_record('$node', '[{\"id\": \"$event\",
                      \"lease_id\": \"$lease\", \"user_id\": \"$user\",
                      \"kind\": 0, \"period\": $period, \"created\": 0,
                      \"reserved\": 10, \"settled\": 4, \"amount\": 4,
                      \"input\": 4, \"cached\": 0, \"output\": 0,
                      \"reasoning\": 0, \"estimated\": false}]')"),
   'on', 'an event');
is(scalar(sql("SELECT amount FROM usage_events WHERE id = '$event'")), 4,
   'which is in the ledger');

is(setting_after("SELECT usage_grant('$user', 0, 1)"), 'on', 'a grant');
is(setting_after("SELECT revoke('user', '$user')"), 'on', 'a revocation');

sql("SELECT node_close('$node')");

done_testing();
