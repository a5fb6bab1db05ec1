package Pulse::Till;

# Payments and what they do, in Postgres alone and by a clock that is set: what
# providers would say is given to the functions that the sidecar calls.
#
#     my $id = buy($user, '2027-01-01T00:00Z', plan => 'starter');
#     say_paid($id, '2027-01-02T00:00Z', 'refunded');
#     running($user, '2027-01-02T00:00Z');

use v5.30;
use warnings;

use Exporter 'import';
use Pulse::Env ();
use Test::More;

our @EXPORT = qw(act at begin buy follow record running say_paid);

my $n = 0;


sub at {
    my ($time, $statement) = @_;

    return Pulse::Env::sql("SET pulse.now = '$time'; SET timezone = 'UTC';
                            $statement");
}


# What somebody would have to pay: purpose|amount|credit or why not.  Of plan
# or addon, with quantity, currency, live.

sub begin {
    my ($user, $time, %o) = @_;

    my $id = Pulse::Env::uuid();
    my $item = $o{plan} ? "'$o{plan}', NULL" : "NULL, '$o{addon}'";
    my $currency = $o{currency} // 'JOD';
    my $live = $o{live} ? 'true' : 'false';
    my ($row) = (at($time, "SELECT status, data FROM payment_begin('$id',
                    '$user', 'hyperpay', $live, '$currency', 10, 1,
                    '30 minutes', $item, @{[$o{quantity} // 1]})"))[-1];

    return (undef, $row) if $row !~ /^201/;

    at($time, "SELECT payment_opened('$id', 'c$id', 'u', NULL, NULL, NULL)");

    return ($id, Pulse::Env::sql("SELECT purpose, amount, credit FROM payments
                                  WHERE id = '$id'"));
}


# A provider says "paid", "refunded" and so on; with key and payment (its
# number of what it says), by which it says the same thing again, amount,
# and source.  What came of it.

sub say_paid {
    my ($id, $time, $state, %o) = @_;

    $n++;

    my ($amount, $currency, $live) = split /\|/,
        Pulse::Env::sql("SELECT amount, currency, live FROM payments
                         WHERE id = '$id'");
    my $parent = $state eq 'paid' ? '' : "pay$id";
    my $payment = $o{payment} // ($state eq 'paid' ? "pay$id" : "back$n");
    my $key = $o{key} // "key$n";
    my $source = $o{source} // 'webhook';

    $amount = $o{amount} if defined $o{amount};

    return (at($time, "SELECT payment_apply(payment_receive('hyperpay',
                       '$live', '$key', '$source', '$state', '$id', '',
                       '$payment', '$parent', '000.000.000', $amount,
                       '$currency', '{}'))"))[-1];
}


sub buy {
    my ($user, $time, %o) = @_;
    my ($id, $said) = begin($user, $time, %o);

    is(say_paid($id, $time, 'paid'), 'paid', "$time: $said");

    return $id;
}


# plan|status|start|end, undef if nothing runs

sub running {
    my ($user, $time) = @_;

    return (at($time, "SELECT plan_id, status,
                       to_char(period_start, 'MM-DD HH24:MI'),
                       to_char(period_end, 'MM-DD HH24:MI')
                       FROM subscription_running('$user')
                       WHERE id IS NOT NULL"))[-1];
}


sub follow { at($_[0], 'SELECT subscriptions_follow()') }


# Cancels, resumes or changes as its owner does: status|code.

sub act {
    my ($user, $time, $what, $plan) = @_;

    return (at($time, "SELECT status, code FROM subscription_act('$user',
                       '$what', " . ($plan ? "'$plan'" : 'NULL') . ")"))[-1];
}


# The transitions: what:plan:actor, between spaces.

sub record {
    my ($user) = @_;

    return join ' ', Pulse::Env::sql("
        SELECT transition || ':' || new_plan || ':' || actor
          FROM subscription_transitions t
          JOIN subscriptions s ON s.id = t.subscription_id
         WHERE s.user_id = '$user' ORDER BY t.id");
}


1;
