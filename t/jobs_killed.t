# The sidecar killed at each statement of each kind of job, before the server
# has it and after: what was to happen has happened once when another one is
# through, and a mail bears one Message-ID however often it is sent.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'own', 'no_audit';
use Pulse::Shop;
use Pulse::Sidecar;
use Pulse::Smtp;
use Pulse::Wire;
use Test::More;

my $link = 'http://127.0.0.1:8080/verify?token=' . 'a' x 43;
my $wire = Pulse::Wire->start;
my @options;

sql("UPDATE job_schedules SET next_at = 'infinity'");


sub sidecar {
    return Pulse::Sidecar->start(database => $wire->conninfo,
                                 options => [@options]);
}


# The job that $begin->() makes, killed at one step; false if it has no such
# step.  While the lease lasts nobody takes it.

sub killed {
    my ($begin, $check, @at) = @_;

    sql('DELETE FROM jobs');

    my $sidecar = sidecar();

    $wire->kill_at($sidecar->pid, @at);

    my $job = $begin->();
    my $done = "SELECT 1 FROM jobs WHERE id = $job AND state = 'done'";

    wait_until { $wire->hit || ($wire->over && sql($done)) } 20;

    my $hit = $wire->hit;

    $wire->disarm;

    if (!$hit) {
        $sidecar->stop;
        return 0;
    }

    $sidecar->wait_gone;

    my ($state, $early) = split /\|/, sql("SELECT state, due_at > now()"
                                          . " FROM jobs WHERE id = $job");

    sql("UPDATE jobs SET due_at = now() WHERE id = $job"
        . " AND state = 'running'");

    $sidecar = sidecar();

    my $through = wait_until { sql($done) } 20;

    subtest "@at, which left it $state" => sub {
        ok($through, 'it is done');
        is($early, 't', 'the lease was held') if $state eq 'running';
        isnt($state, 'dead');
        $check->($job);
    };

    $sidecar->stop;

    return 1;
}


# At each of its steps; returns how many it has.

sub each_step {
    my ($begin, $check) = @_;

    my $step = 0;

    for ( ;; ) {
        killed($begin, $check, step => $step, when => 'after')
            || last;

        $step++;

        killed($begin, $check, step => $step, when => 'before')
            || last;
    }

    $check->();

    return $step;
}


sub queue {
    my ($recipient) = @_;

    sql('DELETE FROM outbox');
    sql("INSERT INTO outbox (kind, recipient, locale, payload) VALUES"
        . " ('magic_link', '$recipient', 'ar', '{\"link\": \"$link\"}')");

    return sql("SELECT id FROM jobs WHERE kind = 'mail'");
}


sub scheduled {
    my ($kind, $at) = @_;

    return sql("SELECT job_add('$kind', '{\"at\": \"$at\"}')");
}


subtest 'mail to a file' => sub {
    my $dir = suite_dir() . '/mail';

    my $steps = each_step(sub {
        unlink glob "$dir/*";
        queue('layla@studio.example');
    }, sub {
        is(sql("SELECT count(*) FROM outbox WHERE state = 'sent'"
               . " AND sent_at IS NOT NULL AND NOT payload ? 'link'"), 1);
        is(scalar(() = glob "$dir/*.eml"), 1, 'one file, and whole');
    });

    is($steps, 6, 'load, begin, done, end, commit, and nothing more');
};


SKIP: {
    my $missing = Pulse::Smtp->missing;

    skip $missing, 3 if defined $missing;

    my $smtp = Pulse::Smtp->start;
    my $port = $smtp->listen;

    @options = ('--smtp', "smtp://127.0.0.1:$port");

    subtest 'mail to a server' => sub {
        each_step(sub {
            $smtp->forget;
            queue('omar@studio.example');
        }, sub {
            my ($first, @more) = $smtp->mails(1);

            is(sql("SELECT count(*) FROM outbox WHERE state = 'sent'"), 1);
            cmp_ok(scalar @more, '<=', 1, 'once, or twice');
            is(scalar(grep { $_->{id} ne $first->{id} } @more), 0,
               'with one Message-ID');
        });
    };

    subtest 'an address that is refused' => sub {
        each_step(sub {
            $smtp->forget;
            $smtp->act(to => [550, '5.1.1 no such user']);
            sql('DELETE FROM mail_suppressions');
            queue('nobody@studio.example');
        }, sub {
            is(sql("SELECT count(*) FROM outbox WHERE state = 'refused'"), 1);
            is(sql('SELECT count(*) FROM mail_suppressions'), 1);
            is(scalar $smtp->mails, 0);
        });
    };

    subtest 'while it speaks to the server' => sub {
        for my $stage ('connect', 'from', 'to', 'data') {
            sql('DELETE FROM jobs; DELETE FROM mail_suppressions');
            $smtp->forget;
            $smtp->act($stage => 'hold');

            my $sidecar = sidecar();
            my $job = queue('noor@studio.example');

            ok($smtp->held($stage), "held at $stage");
            $sidecar->killed;
            $smtp->release;

            is(sql("SELECT state FROM jobs WHERE id = $job"), 'running');
            sql("UPDATE jobs SET due_at = now() WHERE id = $job");

            $sidecar = sidecar();

            my $done = wait_until {
                sql("SELECT 1 FROM jobs WHERE id = $job AND state = 'done'")
            } 20;

            ok($done, 'sent by the next');

            my $wanted = $stage eq 'data' ? 2 : 1;
            my @mails = $smtp->mails($wanted);

            is(@mails, $wanted);
            is($mails[0]{id}, $mails[-1]{id}, 'with one Message-ID');
            $sidecar->stop;
        }
    };

    @options = ();
    $smtp->stop;
}


subtest 'retention' => sub {
    my $user = make_user(plan => 'pro');

    each_step(sub {
        sql("INSERT INTO sessions (id, user_id, expires_at) SELECT"
            . " gen_random_uuid(), '$user', now() - interval '31 days'"
            . ' FROM generate_series(1, 3);'
            . " INSERT INTO idempotency (user_id, key, hash, event_id,"
            . " created_at) SELECT '$user', gen_random_uuid()::text, '',"
            . " gen_random_uuid(), now() - interval '25 hours'"
            . ' FROM generate_series(1, 3);'
            . ' DELETE FROM outbox; INSERT INTO outbox (kind, recipient,'
            . " locale, payload, state, created_at) VALUES ('x', 'a\@b.c',"
            . " 'ar', '{}', 'sent', now() - interval '31 days');"
            . ' DELETE FROM jobs');
        scheduled('retention', '2027-01-01T00:00:00Z');
    }, sub {
        is(sql('SELECT count(*) FROM sessions'), 0);
        is(sql('SELECT count(*) FROM idempotency'), 0);
        is(sql('SELECT count(*) FROM outbox'), 0);
    });
};


subtest 'analytics' => sub {
    my $user = make_user(plan => 'pro', tokens => 1000);

    sql('INSERT INTO usage_events (id, user_id, kind, period_start, amount,'
        . ' created_at, recorded_at) SELECT gen_random_uuid(), user_id, kind,'
        . " period_start, 7, '2027-01-31T12:00Z', '2027-01-31T12:00Z'"
        . ' FROM accounts, generate_series(1, 5)'
        . " WHERE user_id = '$user' AND kind = 0");

    my %span = (analytics_daily => ['day', '2027-01-31'],
                analytics_monthly => ['month', '2027-01-01']);

    for my $kind (sort keys %span) {
        my ($span, $start) = @{ $span{$kind} };

        each_step(sub {
            sql('DELETE FROM analytics_usage; DELETE FROM analytics_people');
            scheduled($kind, '2027-02-01T00:15:00Z');
        }, sub {
            is(sql('SELECT span, start, requests, amount'
                   . ' FROM analytics_usage'), "$span|$start|5|35");
            is(sql('SELECT count(*) FROM analytics_people'), 1);
        });
    }
};


# A twin of a provider, and a payment that it took the money of.

my $twin = Pulse::Twin::ZainCashV1->start(%Pulse::Shop::secrets);
my $cards = Pulse::Twin::HyperPay->start(%Pulse::Shop::secrets);
my $payments = Pulse::Shop::configuration(
    providers => { zaincash_v1 => Pulse::Shop::zaincash_v1($twin->url),
                   hyperpay => Pulse::Shop::hyperpay($cards->url) },
    prices => { plans => { map { $_ => { IQD => 9250 } }
                               qw(starter pro creator) },
                addons => { map { $_ => { IQD => 1750 } }
                                qw(tokens images videos) } });
my ($buyer, $payment, $reference);

sub taken {
    $buyer = make_user(locale => 'en');
    $payment = uuid();

    my $token = Pulse::Twin::ZainCash::jwt(
        { amount => 9250, serviceType => 'twin', orderId => $payment,
          redirectUrl => 'https://studio.example/', iat => time,
          msisdn => $Pulse::Shop::secrets{msisdn}, exp => time + 60 },
        $Pulse::Shop::secrets{merchant_secret});

    $reference = http(POST => '/transaction/init', port => $twin->{port},
                      body => 'merchantId='
                              . "$Pulse::Shop::secrets{merchant_id}"
                              . "&token=$token")->{json}{id};
    $twin->tell(pay => { checkout => $reference });

    sql("SELECT * FROM payment_begin('$payment', '$buyer', 'zaincash_v1',"
        . " false, 'IQD', 1, 250, '4 hours', 'pro', NULL, NULL);"
        . " SELECT * FROM payment_opened('$payment', '$reference', 'x', NULL,"
        . ' NULL, NULL); DELETE FROM jobs; DELETE FROM outbox;'
        . " UPDATE payments SET ask_at = now() WHERE id = '$payment'");
}

# Paid, with all that belongs to it, and each thing of it once.

sub paid_once {
    is(sql("SELECT status, granted_at IS NOT NULL FROM payments"
           . " WHERE id = '$payment'"), 'paid|t');
    is(sql("SELECT count(*) FROM invoices WHERE payment_id = '$payment'"), 1);
    is(sql("SELECT count(*) FROM outbox WHERE kind = 'receipt'"), 1);
    is(sql("SELECT plan_id FROM subscription_running('$buyer')"), 'pro');
    is(sql('SELECT count(*), count(DISTINCT period_start) FROM subscriptions'
           . " WHERE user_id = '$buyer'"), '1|1');
    is(sql("SELECT count(*), count(applied_at) FROM payment_inbox"
           . " WHERE payment_id = '$payment'"), '1|1');
}


subtest 'a message of a provider' => sub {
    @options = ('--payments', $payments);

    my $steps = each_step(sub {
        taken();
        sql("SELECT payment_receive('zaincash_v1', false, '$reference|',"
            . " 'query', 'paid', '$payment', '$reference', '$reference', '',"
            . " 'completed', 9250, 'IQD', '{}'); UPDATE jobs SET due_at ="
            . " now() WHERE kind = 'payment_apply'; NOTIFY jobs");

        return sql("SELECT id FROM jobs WHERE kind = 'payment_apply'");
    }, \&paid_once);

    cmp_ok($steps, '>=', 3, "$steps steps");
};


subtest 'a provider is asked' => sub {
    my $steps = each_step(sub {
        taken();

        return sql("SELECT job_add('payment_ask',"
                   . " '{\"payment\": \"$payment\"}')");
    }, sub {

        # who was killed after it had taken its turn asks at the next one

        my $asked = wait_until {
            sql("UPDATE payments SET ask_at = now(), asked_at = NULL"
                . " WHERE id = '$payment' AND paid_at IS NULL;"
                . ' UPDATE jobs SET due_at = now() WHERE kind IN'
                . " ('payment_ask', 'payment_apply') AND state = 'waiting';"
                . ' NOTIFY jobs');

            return sql("SELECT 1 FROM payments WHERE id = '$payment'"
                       . ' AND paid_at IS NOT NULL');
        } 20;

        ok($asked, 'what was paid is found');
        paid_once();
    });

    cmp_ok($steps, '>=', 5, "$steps steps");
};


subtest 'a provider is asked for refunds' => sub {
    my $due = sub {
        sql("UPDATE payments SET refunds_at = NULL, paid_at = now()"
            . " - interval '2 hours' WHERE id = '$payment'");
    };

    my $steps = each_step(sub {
        $buyer = make_user(locale => 'en');
        $payment = uuid();

        my $secrets = \%Pulse::Shop::secrets;
        my $checkout = http(POST => '/v1/checkouts', port => $cards->{port},
            bearer => $secrets->{token}, body => join '&',
            "entityId=$secrets->{entity}", 'amount=5.00', 'currency=JOD',
            'paymentType=DB', "merchantTransactionId=$payment")->{json}{id};
        my $paid = $cards->tell(pay => { checkout => $checkout })
                       ->{payment}{id};

        $cards->tell(pay => { checkout => $checkout, type => 'RF',
                              parent => $paid });
        sql("SELECT * FROM payment_begin('$payment', '$buyer', 'hyperpay',"
            . " false, 'JOD', 10, 1, '30 minutes', 'pro', NULL, NULL);"
            . " SELECT * FROM payment_opened('$payment', '$checkout', 'x',"
            . ' NULL, NULL, NULL);'
            . " SELECT payment_apply(payment_receive('hyperpay', false,"
            . " '$paid', 'webhook', 'paid', '$payment', '', '$paid', '',"
            . " '000.000.000', 5000, 'JOD', '{}')); DELETE FROM jobs");
        $due->();

        return sql("SELECT job_add('payment_refunds',"
                   . " '{\"payment\": \"$payment\"}')");
    }, sub {

        # who was killed when it had taken its turn asks at the next one

        my $back = wait_until {
            $due->();
            sql('SELECT refunds_due(); UPDATE jobs SET due_at = now()'
                . " WHERE state = 'waiting' AND kind IN ('payment_refunds',"
                . " 'payment_apply'); NOTIFY jobs");

            return sql("SELECT 1 FROM payments WHERE id = '$payment'"
                       . " AND status = 'refunded'");
        };

        ok($back, 'what was given back is found');
        is(sql("SELECT count(*), sum(amount) FROM invoices WHERE kind ="
               . " 'credit_note' AND payment_id = '$payment'"), '1|5000');
        is(sql("SELECT id FROM subscription_running('$buyer')"), '');
    });

    cmp_ok($steps, '>=', 5, "$steps steps");
};


subtest 'a period that is over' => sub {
    my $user;

    my $steps = each_step(sub {
        $user = make_user(plan => 'pro');
        sql('UPDATE subscriptions SET period_start = now() - interval'
            . " '31 days', period_end = now() - interval '1 hour',"
            . " grace_until = NULL WHERE user_id = '$user';"
            . ' DELETE FROM jobs');

        return scheduled('subscriptions', '2027-01-01T00:00:00Z');
    }, sub {
        is(sql("SELECT status FROM subscriptions WHERE user_id = '$user'"),
           'expired');
        is(sql('SELECT count(*) FROM subscription_transitions t JOIN'
               . ' subscriptions s ON s.id = t.subscription_id WHERE'
               . " s.user_id = '$user' AND t.transition = 'expire'"), 1);
    });

    cmp_ok($steps, '>=', 3, "$steps steps");

    @options = ();
};


subtest 'files' => sub {
    my $user = make_user(plan => 'pro');
    my $files = suite_dir() . '/files';
    my ($old, $stray, $kept);

    my $put = sub {
        my ($id) = @_;

        my $shard = "$files/" . substr $id, -2;
        my $long_ago = time - 7200;

        mkdir $shard;
        open my $out, '>', "$shard/$id" or die "$shard/$id: $!";
        close $out;
        utime $long_ago, $long_ago, "$shard/$id";

        return "$shard/$id";
    };

    each_step(sub {
        sql('DELETE FROM files');

        my %expires = (old => '-1 hour', kept => '1 day');
        my %id = map { $_ => uuid() } 'old', 'stray', 'kept';

        ($old, $stray, $kept) = map { $put->($id{$_}) } 'old', 'stray', 'kept';

        sql("SELECT file_add('$id{$_}', '$user', 'upload', 'ready', 'x',"
            . " 'text/plain', 0, '$expires{$_}')") for keys %expires;

        scheduled('files', '2027-01-01T00:00:00Z');
    }, sub {
        is(sql('SELECT count(*) FROM files'), 1);

        # of a row that went without its file the next sweep takes the file

        is(join(' ', map { -e ? 1 : 0 } $old, $stray, $kept), '0 0 1');
    });
};


subtest 'a schedule' => sub {
    for my $when ('before', 'after') {
        sql("DELETE FROM jobs; UPDATE job_schedules SET next_at = 'infinity'");

        my $sidecar = sidecar();

        $wire->kill_at($sidecar->pid, when => $when,
                       match => 'jobs_schedule');
        sql("UPDATE job_schedules SET next_at = now() - interval '1 day'"
            . " WHERE kind = 'retention'");

        ok(wait_until { $wire->hit } 20);
        $sidecar->wait_gone;
        $wire->disarm;

        # another thread of it may have taken the job by then

        sql("UPDATE jobs SET due_at = now() WHERE state = 'running'");

        my @both = (sidecar(), Pulse::Sidecar->start(name => 'second'));

        my $done = wait_until {
            return sql("SELECT 1 FROM jobs WHERE kind = 'retention'"
                       . " AND state = 'done'");
        } 20;

        ok($done, "$when: it is done");
        is(sql("SELECT count(*) FROM jobs WHERE kind = 'retention'"), 1,
           'once');
        is(sql("SELECT next_at > now() FROM job_schedules"
               . " WHERE kind = 'retention'"), 't');
        $_->stop for @both;
    }
};


subtest 'leases of a node that is gone' => sub {
    for my $when ('before', 'after') {
        my $user = make_user(plan => 'pro', tokens => 1000);
        my ($node, $lease) = (uuid(), uuid());

        @options = ('--lease-ttl', '0 seconds');

        my $sidecar = sidecar();

        sql("SELECT node_seen('$node', 'gone');"
            . " SELECT * FROM lease_acquire('$node', 'gone', '$lease',"
            . " '$user', 0, 100, 100)");
        $wire->kill_at($sidecar->pid, when => $when, match => 'lease_sweep');

        ok(wait_until { $wire->hit } 20);
        $sidecar->wait_gone;
        $wire->disarm;
        $sidecar = sidecar();

        my $back = wait_until {
            sql("SELECT 1 FROM accounts WHERE user_id = '$user'"
                . ' AND kind = 0 AND leased = 0')
        } 20;

        ok($back, "$when: they come back");
        is(sql("SELECT closed_at IS NOT NULL, granted = returned + settled"
               . " FROM leases WHERE id = '$lease'"), 't|t');
        is_deeply([sql("SELECT * FROM usage_audit() WHERE what = 'leased'")],
                  [], 'once');
        $sidecar->stop;
    }
};


$wire->stop;

done_testing();
