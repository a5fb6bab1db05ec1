-- Payments that a person looks at, what is counted for alerts, and messages
-- of providers that have been of use long enough.

-- What a person decided about a payment; never forgotten.

CREATE TABLE payment_reviews (
    id          bigserial PRIMARY KEY,
    payment_id  uuid NOT NULL REFERENCES payments,
    at          timestamptz NOT NULL,
    verdict     text NOT NULL CHECK (verdict IN ('paid', 'refunded',
                                                 'failed')),
    actor       text NOT NULL,
    why         text NOT NULL,
    old_status  text NOT NULL,
    old_reason  text,
    outcome     text
);

CREATE INDEX payment_reviews_of ON payment_reviews (payment_id, id);
CREATE INDEX payment_inbox_payment ON payment_inbox (payment_id)
    WHERE payment_id IS NOT NULL;


CREATE FUNCTION admin_payments_list(p_status text, p_provider text,
    p_limit integer)
RETURNS TABLE (id uuid, email text, provider text, mode text, status text,
               reason text, item text, price text, currency text,
               created_at text, paid_at text)
LANGUAGE sql STABLE AS $$
    SELECT p.id, u.email, p.provider,
           CASE WHEN p.live THEN 'live' ELSE 'test' END, p.status, p.reason,
           coalesce(p.plan_id, p.addon_id), price_text(p.amount, p.currency),
           p.currency, rfc3339(p.created_at), rfc3339(p.paid_at)
      FROM payments p
      JOIN users u ON u.id = p.user_id
     WHERE (p_status IS NULL OR p.status = p_status)
       AND (p_provider IS NULL OR p.provider = p_provider)
     ORDER BY p.id DESC
     LIMIT coalesce(p_limit, 100)
$$;

CREATE FUNCTION admin_payments_show(p_id uuid)
RETURNS TABLE (id uuid, email text, provider text, mode text, status text,
               reason text, purpose text, item text, quantity integer,
               price text, currency text, credit bigint, refunded bigint,
               reference text, provider_payment text, code text,
               created_at text, expires_at text, paid_at text,
               granted_at text, asked integer, asked_at text, ask_at text,
               invoice text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT p.id, u.email, p.provider,
           CASE WHEN p.live THEN 'live' ELSE 'test' END, p.status, p.reason,
           p.purpose, coalesce(p.plan_id, p.addon_id), p.quantity,
           price_text(p.amount, p.currency), p.currency, p.credit,
           p.refunded, p.reference, p.provider_payment, p.code,
           rfc3339(p.created_at), rfc3339(p.expires_at), rfc3339(p.paid_at),
           rfc3339(p.granted_at), p.asked, rfc3339(p.asked_at),
           rfc3339(p.ask_at),
           (SELECT number FROM invoices i
             WHERE i.payment_id = p.id AND kind = 'invoice')
      FROM payments p
      JOIN users u ON u.id = p.user_id
     WHERE p.id = p_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no payment %', p_id;
    END IF;
END
$$;

-- What was said of it and decided about it, in order; without the bodies,
-- which are personal.

CREATE FUNCTION admin_payments_messages(p_id uuid)
RETURNS TABLE (at text, source text, message bigint, state text, code text,
               amount bigint, currency text, outcome text, actor text,
               why text)
LANGUAGE sql STABLE AS $$
    SELECT rfc3339(m.at), m.source, m.message, m.state, m.code, m.amount,
           m.currency, m.outcome, m.actor, m.why
      FROM (SELECT i.received_at AS at, i.source, i.id AS message, i.state,
                   i.code, i.amount, i.currency, i.outcome,
                   i.provider AS actor, NULL::text AS why
              FROM payment_inbox i
             WHERE i.payment_id = p_id

             UNION ALL

            SELECT r.at, 'review', r.id, r.verdict, NULL, NULL, NULL,
                   r.outcome, r.actor, r.why
              FROM payment_reviews r
             WHERE r.payment_id = p_id) m
     ORDER BY m.at, m.message
$$;


-- It was paid, whole: what it is for is granted.  "i" is what the provider
-- would have said.

CREATE FUNCTION payment_review_paid(p payments, i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    refusal  text;
BEGIN
    IF p.status <> 'review' THEN
        RAISE EXCEPTION 'payment % is not in review: it is %', p.id, p.status;
    END IF;

    IF p.paid_at IS NULL THEN
        i.payment := coalesce((SELECT payment
                                 FROM payment_inbox
                                WHERE payment_id = p.id
                                  AND state IN ('paid', 'review')
                                ORDER BY id DESC
                                LIMIT 1), p.reference);

        RETURN payment_paid(p, i);
    END IF;

    refusal := payment_grant(p);

    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION 'payment % cannot be granted: %', p.id, refusal;
    END IF;

    UPDATE payments
       SET status = 'paid', reason = NULL, granted_at = studio_now()
     WHERE id = p.id;

    PERFORM payment_mail(p, 'receipt');

    RETURN 'granted';
END
$$;

-- All that was left of it was given back.

CREATE FUNCTION payment_review_refunded(p payments, i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    said  text;
BEGIN
    IF p.paid_at IS NULL
       OR p.status NOT IN ('paid', 'review', 'partly_refunded')
    THEN
        RAISE EXCEPTION 'payment % has nothing to give back: it is %', p.id,
                        p.status;
    END IF;

    i.amount := p.amount - (SELECT coalesce(sum(amount), 0)
                              FROM payment_refunds
                             WHERE payment_id = p.id);

    said := payment_refunded(p, i);

    UPDATE payments SET reason = NULL
     WHERE id = p.id AND reason IS DISTINCT FROM 'charged_back';

    RETURN said;
END
$$;

-- It was never paid, or given back before it was booked.

CREATE FUNCTION payment_review_failed(p payments) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p.status <> 'review' OR p.paid_at IS NOT NULL THEN
        RAISE EXCEPTION 'payment % is not in review unpaid: it is %', p.id,
                        p.status;
    END IF;

    UPDATE payments
       SET status = 'failed', reason = NULL, ask_at = NULL
     WHERE id = p.id;

    RETURN 'failed';
END
$$;

CREATE FUNCTION admin_payments_review(p_id uuid, p_verdict text,
    p_actor text, p_why text)
RETURNS TABLE (id uuid, status text, reason text, outcome text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p     payments;
    i     payment_inbox;
    n     bigint;
    said  text;
BEGIN
    IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_why), '') = ''
    THEN
        RAISE EXCEPTION 'who decides, and why?';
    END IF;

    IF p_verdict NOT IN ('paid', 'refunded', 'failed') THEN
        RAISE EXCEPTION 'a payment is paid, refunded or failed, not "%"',
                        p_verdict;
    END IF;

    -- the user's row first, as everywhere

    PERFORM 1 FROM users
      WHERE id = (SELECT user_id FROM payments WHERE id = p_id)
        FOR NO KEY UPDATE;

    SELECT * INTO p FROM payments WHERE id = p_id FOR UPDATE;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no payment %', p_id;
    END IF;

    INSERT INTO payment_reviews (payment_id, at, verdict, actor, why,
                                 old_status, old_reason)
    VALUES (p.id, clock_timestamp(), p_verdict, p_actor, p_why, p.status,
            p.reason)
    RETURNING id INTO n;

    PERFORM acting(p_actor, p_why);

    i.provider := p.provider;
    i.state := p_verdict;
    i.payment := 'review-' || n;
    i.amount := p.amount;
    i.currency := p.currency;
    i.code := p.code;

    said := CASE p_verdict
            WHEN 'paid' THEN payment_review_paid(p, i)
            WHEN 'refunded' THEN payment_review_refunded(p, i)
            ELSE payment_review_failed(p)
            END;

    UPDATE payment_reviews SET outcome = said WHERE id = n;

    RETURN QUERY
    SELECT id, status, reason, said FROM payments WHERE id = p_id;
END
$$;


-- What is counted in Postgres, as of now.

CREATE FUNCTION admin_metrics()
RETURNS TABLE (name text, labels text, value bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'pulse_jobs', format('kind="%s",state="%s"', kind, state),
           count(*)
      FROM jobs
     WHERE state <> 'done'
     GROUP BY kind, state

     UNION ALL

    SELECT 'pulse_jobs_late_seconds', '',
           coalesce(extract(epoch FROM max(now() - due_at))::bigint, 0)
      FROM jobs
     WHERE state = 'waiting' AND due_at < now()

     UNION ALL

    SELECT 'pulse_payment_messages',
           format('provider="%s",outcome="%s"', provider,
                  coalesce(outcome, 'waiting')),
           count(*)
      FROM payment_inbox
     GROUP BY provider, coalesce(outcome, 'waiting')

     UNION ALL

    SELECT 'pulse_payments',
           format('provider="%s",mode="%s",status="%s"', provider,
                  CASE WHEN live THEN 'live' ELSE 'test' END, status),
           count(*)
      FROM payments
     GROUP BY provider, live, status

     UNION ALL

    SELECT 'pulse_payments_review', '', count(*)
      FROM payments
     WHERE status = 'review' OR reason = 'refund'

     ORDER BY 1, 2
$$;


-- Half a year after a message was applied nobody asks for it any more, but
-- for one of a payment that is still looked at.  One that is said again then
-- changes nothing: what it did is in payments and payment_refunds.

CREATE FUNCTION payment_inbox_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM payment_inbox i
     WHERE applied_at < now() - interval '180 days'
       AND NOT EXISTS (SELECT
                         FROM payments p
                        WHERE p.id = i.payment_id
                          AND (p.status = 'review' OR p.reason = 'refund'))
$$;

CREATE OR REPLACE FUNCTION retention_sweep() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM auth_sweep();
    PERFORM outbox_sweep();
    PERFORM idempotency_sweep();
    PERFORM jobs_sweep();
    PERFORM payment_inbox_sweep();
END
$$;
