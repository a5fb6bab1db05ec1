# pulsectl: payments seen and decided by a person, figures for alerts, and
# messages of providers that are forgotten.

use v5.30;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Pulse::Ctl qw(ctl ctl_json);
use Pulse::Env 'stores';
use Pulse::Shop;
use Test::More;

my $shop = Pulse::Shop->start;
my @by = ('--by', 'layla', '--why', 'seen in their portal');


# A payment that waits for a person, and its user.

sub in_review {
    my ($why) = @_;
    my $user = make_user(locale => 'en');
    my $key = make_key($user);
    my $reply = $shop->checkout($key, plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};

    $shop->deliver($shop->pay($reply, $why eq 'amount' ? (amount => '1.00')
                                      : (code => '000.400.000'))->{webhook});
    is($shop->status($id), "review $why");

    return ($user, $id, $key);
}

sub refused {
    my ($like, @words) = @_;
    my ($status, $out, $err) = ctl('payments', 'review', @words);

    is($status, 1, "@words");
    is($out, '');
    like($err, $like);
    is($err =~ tr/\n//, 1, 'in one line');
}

sub reviews {
    return scalar sql("SELECT count(*) FROM payment_reviews
                       WHERE payment_id = '$_[0]'");
}


subtest 'seen' => sub {
    my ($user, $id) = in_review('amount');

    is_deeply([map { $_->{id} }
               @{ ctl_json('payments', 'list', '--status', 'review') }],
              [$id]);
    is_deeply(ctl_json('payments', 'list', '--provider', 'paytabs'), []);

    my $shown = ctl_json('payments', 'show', $id);

    is($shown->{status}, 'review');
    is($shown->{reason}, 'amount');
    is($shown->{mode}, 'test');
    is($shown->{price}, '5.000');
    is(scalar @{ $shown->{messages} }, 1);
    is($shown->{messages}[0]{outcome}, 'another amount');
    is($shown->{messages}[0]{amount}, 1000);

    my ($status, $out) = ctl('payments', 'show', $id);

    is($status, 0);
    like($out, qr/^status: review\n(?:.+\n)*\nat\tsource\t/m);
    like($out, qr/\twebhook\t.*\tanother amount\t/);
    unlike($out, qr/merchantTransactionId/, 'nothing of the body');

    is((ctl('payments', 'show', '0' x 8))[0], 1);
    is((ctl('payments', 'show'))[0], 2);
    like((ctl('payments', 'show', $user))[2], qr/there is no payment/);
};


subtest 'decided: paid' => sub {
    my ($user, $id) = in_review('provider');

    is($shop->plan_of($user), 'none');

    my $said = ctl_json('payments', 'review', $id, 'paid', @by);

    is($said->{status}, 'paid');
    is($said->{outcome}, 'paid');
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'pro');
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$id'"), 1);
    is(sql("SELECT t.actor, t.reason FROM subscription_transitions t
            JOIN subscriptions s ON s.id = t.subscription_id
            WHERE s.user_id = '$user' AND t.transition = 'start'"),
       'layla|seen in their portal', 'who and why is with the subscription');

    my $last = ctl_json('payments', 'show', $id)->{messages}[-1];

    is($last->{source}, 'review');
    is($last->{actor}, 'layla');
    is($last->{why}, 'seen in their portal');
    is($last->{state}, 'paid');

    refused(qr/is not in review: it is paid/, $id, 'paid', @by);
    is(reviews($id), 1, 'what was refused is not written down');
};


subtest 'decided: money that could not be granted' => sub {
    my $user = make_user(plan => 'pro');
    my $key = make_key($user);

    sql("UPDATE subscriptions SET value = 5000, value_currency = 'JOD'
         WHERE user_id = '$user'");

    my $reply = $shop->checkout($key, plan_id => 'creator');
    my $id = $reply->{json}{data}{payment_id};
    my $started = sql("SELECT period_start FROM subscriptions
                       WHERE user_id = '$user'");

    # the period that is credited is another one by the time it is paid

    sql("UPDATE subscriptions SET period_start = period_start
         - interval '1 hour' WHERE user_id = '$user'");
    $shop->deliver($shop->pay($reply)->{webhook});
    is($shop->status($id), 'review credit is gone');

    refused(qr/cannot be granted: credit is gone/, $id, 'paid', @by);
    refused(qr/is not in review unpaid/, $id, 'failed', @by);
    is($shop->plan_of($user), 'pro');

    sql("UPDATE subscriptions SET period_start = '$started'
         WHERE user_id = '$user'");
    is(ctl_json('payments', 'review', $id, 'paid', @by)->{outcome},
       'granted');
    is($shop->status($id), 'paid');
    is($shop->plan_of($user), 'creator');
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$id'"), 1,
       'one invoice');
};


subtest 'decided: refunded' => sub {
    my $user = make_user(locale => 'en');
    my ($id) = $shop->buy(make_key($user), plan_id => 'pro');

    is($shop->plan_of($user), 'pro');
    is(ctl_json('payments', 'review', $id, 'refunded', @by)->{status},
       'refunded');
    is($shop->plan_of($user), 'none');
    is(sql("SELECT kind, amount FROM invoices WHERE payment_id = '$id'
            AND kind = 'credit_note'"), 'credit_note|5000');

    refused(qr/has nothing to give back/, $id, 'refunded', @by);

    ($user, $id) = in_review('amount');
    refused(qr/has nothing to give back/, $id, 'refunded', @by);
};


subtest 'decided: refunded, and then the provider tells' => sub {
    my $user = make_user(locale => 'en');
    my $reply = $shop->checkout(make_key($user), plan_id => 'pro');
    my $id = $reply->{json}{data}{payment_id};
    my $paid = $shop->pay($reply);
    my $back = sub {
        my $told = $shop->pay($reply, parent => $paid->{payment}{id}, @_);

        $shop->deliver($told->{webhook});
        return scalar sql('SELECT outcome FROM payment_inbox
                           ORDER BY id DESC LIMIT 1');
    };

    $shop->deliver($paid->{webhook});
    ctl_json('payments', 'review', $id, 'refunded', @by);

    is($back->(type => 'RF', amount => '2.00'), 'known',
       'a part of what was written down');
    is($back->(type => 'RF', amount => '3.00'), 'known', 'and the rest');
    is($shop->status($id), 'refunded', 'is nothing to be looked at');
    is(sql("SELECT count(*), sum(amount) FROM payment_refunds
            WHERE payment_id = '$id'"), '2|5000', 'and there once');
    is(sql("SELECT sum(amount) FROM invoices WHERE payment_id = '$id'
            AND kind = 'credit_note'"), 5000);

    is($back->(type => 'RF', amount => '1.00'),
       'another refund than was paid');
    is($shop->status($id), 'refunded refund', 'more than all is');
    is(ctl_json('payments', 'review', $id, 'refunded', @by)->{outcome},
       'seen');
    is($shop->status($id), 'refunded', 'until somebody has');
    refused(qr/has nothing to give back/, $id, 'refunded', @by);

    # a chargeback of what was written down as given back

    $reply = $shop->checkout(make_key($user), plan_id => 'pro');
    $id = $reply->{json}{data}{payment_id};
    $paid = $shop->pay($reply);
    $shop->deliver($paid->{webhook});
    ctl_json('payments', 'review', $id, 'refunded', @by);
    is($back->(type => 'CB', code => '000.100.220'), 'known');
    is($shop->status($id), 'charged_back charged_back');
};


subtest 'decided: failed' => sub {
    my ($user, $id) = in_review('amount');

    is(ctl_json('payments', 'review', $id, 'failed', @by)->{status},
       'failed');
    is($shop->status($id), 'failed');
    is($shop->plan_of($user), 'none');
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$id'"), 0);
};


subtest 'refused' => sub {
    my ($user, $id) = in_review('amount');

    refused(qr/who decides, and why/, $id, 'paid');
    refused(qr/who decides, and why/, $id, 'paid', '--by', 'layla');
    refused(qr/who decides, and why/, $id, 'paid', '--by', ' ',
            '--why', 'x');
    refused(qr/paid, refunded or failed, not "gone"/, $id, 'gone', @by);
    refused(qr/there is no payment/, $user, 'paid', @by);
    is((ctl('payments', 'review', $id))[0], 2);
    is($shop->status($id), 'review amount');
    is(reviews($id), 0);
};


subtest 'figures' => sub {
    my ($user, $id) = in_review('amount');

    sql("INSERT INTO jobs (kind, payload, state, due_at) VALUES
         ('twin', '{}', 'dead', now()),
         ('twin', '{}', 'waiting', now() - interval '1 hour')");

    my ($status, $out) = ctl('metrics');
    my $n = sql("SELECT count(*) FROM payments WHERE status = 'review'");

    is($status, 0);
    like($out, qr/^# TYPE pulse_jobs gauge\npulse_jobs\{kind="/m);
    like($out, qr/^pulse_jobs\{kind="twin",state="dead"\} 1$/m);
    like($out, qr/^pulse_jobs_late_seconds 3[6-9]\d\d$/m);
    like($out, qr/^pulse_payments_review $n$/m);
    like($out, qr/^pulse_payments\{provider="hyperpay",mode="test",
                  status="review"\}\ $n$/mx);
    like($out, qr/^pulse_payment_messages\{provider="hyperpay",
                  outcome="another\ amount"\}\ \d+$/mx);
    unlike($out, qr/^(?!# TYPE \w+ gauge$|\w+(\{[^}]+\})? \d+$)/m,
           'nothing else');
    is((grep { $_->{name} eq 'pulse_payments_review' }
        @{ ctl_json('metrics') })[0]{value}, $n);

    sql("DELETE FROM jobs WHERE kind = 'twin'");
};


subtest 'audited' => sub {
    my $user = make_user(locale => 'en');
    my ($id) = $shop->buy(make_key($user), plan_id => 'pro');
    my $by = sub {
        sql("UPDATE payments SET refunded = refunded + $_[0]
             WHERE id = '$id'");
    };

    is((ctl('audit'))[0], 0, 'payments are what they are made of');
    $by->(7);

    my ($status, $out) = ctl('audit', '--json');

    is($status, 1);

    my $json = JSON::PP::decode_json($out);

    is_deeply($json->{differences}, []);
    is_deeply($json->{payments}, [{ what => 'refunded', payment_id => $id,
                                    payment => 7, parts => 0 }]);
    like((ctl('audit'))[1], qr/\n\nwhat\tpayment_id\tpayment\tparts\n
                               refunded\t$id\t7\t0\n\z/x);
    $by->(-7);
};


subtest 'forgotten' => sub {
    my ($user, $id) = in_review('amount');
    my $buyer = make_user(locale => 'en');
    my ($paid, $told) = $shop->buy(make_key($buyer), plan_id => 'pro');
    my $of = "SELECT count(*) FROM payment_inbox WHERE payment_id =";

    sql("UPDATE payment_inbox SET applied_at = now() - interval '179 days'");
    sql('SELECT retention_sweep()');
    is(sql("$of '$paid'"), 1, 'not before half a year');

    sql("UPDATE payment_inbox SET applied_at = now() - interval '181 days'");
    sql('SELECT retention_sweep()');
    is(sql("$of '$paid'"), 0);
    is(sql("$of '$id'"), 1, 'one that is looked at stays');

    is($shop->deliver($told->{webhook})->{status}, 200, 'said again');
    is($shop->status($paid), 'paid');
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$paid'"), 1,
       'nothing happens twice');
    is(sql("SELECT outcome FROM payment_inbox WHERE payment_id = '$paid'"),
       'known');
};


is($shop->nginx->stop, undef, 'nginx ends');
is_deeply([$shop->nginx->problems], [], 'and its log is clean');

done_testing();
