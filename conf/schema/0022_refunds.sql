-- Refunds and chargebacks: those that no webhook told are asked for, one that
-- a person wrote down before it is told is the same one, and the refund of an
-- upgrade brings back what it was credited for.

-- When a payment that has money in it is asked about next: every day for the
-- period that it pays for, then every week, for as long as cards are charged
-- back.

ALTER TABLE payments ADD COLUMN refunds_at timestamptz;

COMMENT ON COLUMN payments.refunds_at IS 'when to ask for refunds next';

CREATE INDEX payments_refundable ON payments (paid_at)
    WHERE status IN ('paid', 'review', 'partly_refunded');

-- The day's turn: a job for each payment, two seconds apart for a provider.

CREATE FUNCTION refunds_due() RETURNS bigint
LANGUAGE sql AS $$
    WITH due AS (
        SELECT id,
               row_number() OVER (PARTITION BY provider ORDER BY paid_at) AS n
          FROM payments
         WHERE status IN ('paid', 'review', 'partly_refunded')
           AND paid_at < studio_now() - interval '1 hour'
           AND paid_at > studio_now() - interval '180 days'
           AND (refunds_at IS NULL OR refunds_at <= studio_now())
    )
    SELECT count(job_add('payment_refunds',
                         jsonb_build_object('payment', id), NULL, -5,
                         now() + n * interval '2 seconds'))
      FROM due
$$;

-- Takes one for its question; nothing if it was asked about meanwhile.

CREATE FUNCTION refunds_ask(p_id uuid) RETURNS SETOF payments
LANGUAGE sql AS $$
    UPDATE payments
       SET refunds_at = studio_now()
                        + CASE WHEN paid_at > studio_now()
                                              - interval '31 days'
                          THEN interval '23 hours'
                          ELSE interval '7 days' - interval '1 hour' END
     WHERE id = p_id
       AND status IN ('paid', 'review', 'partly_refunded')
       AND (refunds_at IS NULL OR refunds_at <= studio_now())
    RETURNING *
$$;

INSERT INTO job_schedules (kind, every, next_at)
SELECT 'payment_refunds_due', '1 day',
       date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
       + interval '1 day 2 hours';


-- What a person said was given back is of nobody's number: when the provider
-- tells of it, it is that one.  More than this is another one.

CREATE FUNCTION payment_refund_told(p payments, i payment_inbox, p_part bigint)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    m  payment_refunds;
BEGIN
    SELECT * INTO m FROM payment_refunds
     WHERE payment_id = p.id
       AND id LIKE 'review-%'
       AND amount >= p_part;

    IF NOT FOUND THEN
        RETURN false;
    END IF;

    DELETE FROM payment_refunds
     WHERE provider = m.provider AND id = m.id AND m.amount = p_part;

    UPDATE payment_refunds SET amount = amount - p_part
     WHERE provider = m.provider AND id = m.id;

    INSERT INTO payment_refunds (provider, id, payment_id, amount)
    VALUES (i.provider, i.payment, p.id, p_part);

    UPDATE payments
       SET status = 'charged_back', reason = 'charged_back'
     WHERE id = p.id AND i.state = 'charged_back';

    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION payment_refunded(p payments, i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    part  bigint := coalesce(i.amount, p.amount);
BEGIN
    IF EXISTS (SELECT FROM payment_refunds
                WHERE provider = i.provider AND id = i.payment)
    THEN
        RETURN 'known';
    END IF;

    IF i.currency IS NOT DISTINCT FROM p.currency AND part > 0
       AND i.payment NOT LIKE 'review-%'
       AND payment_refund_told(p, i, part)
    THEN
        RETURN 'known';
    END IF;

    IF i.currency <> p.currency OR part <= 0
       OR part > p.amount - (SELECT coalesce(sum(amount), 0)
                               FROM payment_refunds
                              WHERE payment_id = p.id)
    THEN
        UPDATE payments SET reason = 'refund' WHERE id = p.id;
        RETURN 'another refund than was paid';
    END IF;

    INSERT INTO payment_refunds (provider, id, payment_id, amount)
    VALUES (i.provider, i.payment, p.id, part);

    IF i.state = 'charged_back' THEN
        UPDATE payments SET reason = 'charged_back' WHERE id = p.id
        RETURNING * INTO p;
    END IF;

    -- one that comes before its payment waits for it

    IF p.paid_at IS NOT NULL THEN
        PERFORM payment_reduced(p);
    END IF;

    RETURN i.state;
END
$$;

-- All that was left of it was given back; or nothing was left, and a person
-- has seen why the provider told of more.

CREATE OR REPLACE FUNCTION payment_review_refunded(p payments,
    i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    said  text := 'seen';
BEGIN
    i.amount := p.amount - (SELECT coalesce(sum(amount), 0)
                              FROM payment_refunds
                             WHERE payment_id = p.id);

    IF p.paid_at IS NOT NULL
       AND p.status IN ('paid', 'review', 'partly_refunded')
    THEN
        said := payment_refunded(p, i);

    ELSIF p.reason IS DISTINCT FROM 'refund' THEN
        RAISE EXCEPTION 'payment % has nothing to give back: it is %', p.id,
                        p.status;
    END IF;

    UPDATE payments SET reason = NULL
     WHERE id = p.id AND reason IS DISTINCT FROM 'charged_back';

    RETURN said;
END
$$;


-- Who is given back an upgrade has the plan again whose days were credited for
-- it: for what is left of its period, with what was left of its accounts, and
-- with the next period if that was paid for.

CREATE FUNCTION subscription_restore(p payments) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
BEGIN
    SELECT u.* INTO s
      FROM subscriptions u
      LEFT JOIN payments b ON b.id = u.payment_id
     WHERE u.id = p.replaces
       AND u.period_start = p.replaces_start
       AND u.status = 'expired'
       AND (u.period_end > studio_now() OR u.next_payment IS NOT NULL)
       AND coalesce(b.status, '') NOT IN ('refunded', 'charged_back');

    IF NOT FOUND THEN
        RETURN;
    END IF;

    UPDATE subscriptions
       SET status = coalesce((SELECT old_status
                                FROM subscription_transitions
                               WHERE subscription_id = s.id
                                 AND transition = 'expire'
                               ORDER BY id DESC
                               LIMIT 1), 'active'),
           renews_at = period_end
     WHERE id = s.id;

    PERFORM subscription_follow(s.id);
END
$$;

CREATE OR REPLACE FUNCTION payment_revoke(p payments) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions := subscription_running(p.user_id);
    a  addons;
BEGIN
    IF p.purpose = 'addon' THEN
        SELECT * INTO a FROM addons WHERE id = p.addon_id;

        -- what was used or is out on a lease stays

        UPDATE accounts
           SET limit_amount = greatest(used + leased, limit_amount
                                                      - a.quantity
                                                        * p.quantity)
         WHERE user_id = p.user_id
           AND kind = a.kind
           AND period_start <= p.granted_at
           AND period_end > p.granted_at
           AND period_start = s.period_start;

    ELSIF s.payment_id = p.id THEN
        UPDATE subscriptions
           SET status = 'expired', renews_at = NULL
         WHERE id = s.id;

        IF p.purpose = 'upgrade' THEN
            PERFORM subscription_restore(p);
        END IF;

    ELSE
        UPDATE subscriptions
           SET next_payment = NULL, next_plan = NULL
         WHERE id = s.id AND next_payment = p.id;
        RETURN;
    END IF;

    PERFORM leases_recall(p.user_id, 'infinity');
END
$$;

CREATE OR REPLACE FUNCTION subscriptions_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    what  text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        what := 'start';

    ELSE
        what := CASE
                WHEN OLD.status = 'expired' AND NEW.status <> 'expired'
                THEN 'restore'
                WHEN NEW.period_start <> OLD.period_start THEN 'renew'
                WHEN NEW.status = 'expired' AND OLD.status <> 'expired'
                THEN 'expire'
                WHEN NEW.status = 'cancelled' AND OLD.status = 'active'
                THEN 'cancel'
                WHEN NEW.status = 'active' AND OLD.status = 'cancelled'
                THEN 'resume'
                WHEN NEW.payment_id IS NOT DISTINCT FROM OLD.next_payment
                THEN NULL
                WHEN NEW.next_payment IS DISTINCT FROM OLD.next_payment
                THEN CASE WHEN NEW.next_payment IS NULL THEN 'unprepay'
                     ELSE 'prepay' END
                WHEN NEW.next_plan IS DISTINCT FROM OLD.next_plan
                THEN 'plan_change'
                WHEN NEW.overdue_at IS NOT NULL AND OLD.overdue_at IS NULL
                THEN 'overdue'
                END;

        IF what IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;

    INSERT INTO subscription_transitions
           (subscription_id, at, transition, old_status, new_status,
            old_plan, new_plan, period_start, period_end, actor, reason,
            payment_id)
    VALUES (NEW.id, studio_now(), what, OLD.status, NEW.status, OLD.plan_id,
            coalesce(NEW.next_plan, NEW.plan_id), NEW.period_start,
            NEW.period_end,
            coalesce(nullif(current_setting('pulse.actor', true), ''),
                     session_user),
            coalesce(nullif(current_setting('pulse.reason', true), ''),
                     'direct'),
            coalesce(NEW.next_payment, NEW.payment_id));

    RETURN NULL;
END
$$;
