-- Payments, and what they do to subscriptions.  What providers say is stored
-- as it comes (payment_inbox) and then applied, each thing once, whatever
-- comes how often and in what order.  Money is minor units beside its
-- currency; live money and a provider's play money never meet.
--
-- Locks: the user's row, then the payment's, then accounts.

CREATE OR REPLACE FUNCTION price_text(amount bigint, currency text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE
           WHEN currency IN ('JOD', 'KWD', 'BHD', 'OMR', 'TND', 'LYD')
           THEN amount / 1000 || '.' || lpad((amount % 1000)::text, 3, '0')
           WHEN currency IN ('IQD', 'JPY', 'KRW')
           THEN amount::text
           ELSE amount / 100 || '.' || lpad((amount % 100)::text, 2, '0')
           END
$$;


-- Subscriptions: what the running period is worth, by which payment; the
-- payment of the next one; how long what was paid for goes on unpaid.

ALTER TABLE plans
    ADD COLUMN grace interval NOT NULL DEFAULT '0',
    ADD CHECK (grace >= interval '0');

UPDATE plans SET grace = '3 days' WHERE NOT once;

CREATE TABLE payments (
    id                uuid PRIMARY KEY,
    user_id           uuid NOT NULL REFERENCES users,
    provider          text NOT NULL,
    live              boolean NOT NULL,
    status            text NOT NULL DEFAULT 'created'
                      CHECK (status IN ('created', 'pending', 'paid',
                                        'review', 'failed', 'expired',
                                        'partly_refunded', 'refunded',
                                        'charged_back')),
    purpose           text NOT NULL
                      CHECK (purpose IN ('start', 'upgrade', 'renewal',
                                         'addon')),
    plan_id           text REFERENCES plans,
    addon_id          text REFERENCES addons,
    quantity          integer NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    amount            bigint NOT NULL CHECK (amount > 0),
    currency          text NOT NULL,
    price             bigint NOT NULL CHECK (price > 0),
    credit            bigint NOT NULL DEFAULT 0 CHECK (credit >= 0),
    replaces          uuid,
    replaces_start    timestamptz,
    replaces_next     uuid,
    refunded          bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    reference         text,
    provider_payment  text,
    url               text,
    script            text,
    integrity         text,
    brands            text,
    code              text,
    reason            text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL,
    paid_at           timestamptz,
    granted_at        timestamptz,
    asked_at          timestamptz,
    asked             integer NOT NULL DEFAULT 0,
    ask_at            timestamptz,
    CHECK ((plan_id IS NULL) <> (addon_id IS NULL))
);

COMMENT ON COLUMN payments.replaces IS 'the subscription that is credited';
COMMENT ON COLUMN payments.reference IS 'the provider''s id of the checkout';
COMMENT ON COLUMN payments.reason IS 'why it is for a person to look at';
COMMENT ON COLUMN payments.ask_at IS 'when to ask the provider next';

CREATE INDEX payments_user ON payments (user_id, id DESC);
CREATE INDEX payments_reference ON payments (provider, reference);
CREATE INDEX payments_provider ON payments (provider, provider_payment);

ALTER TABLE subscriptions
    ADD COLUMN payment_id uuid REFERENCES payments,
    ADD COLUMN next_payment uuid REFERENCES payments,
    ADD COLUMN value bigint NOT NULL DEFAULT 0,
    ADD COLUMN value_currency text,
    ADD COLUMN grace_until timestamptz,
    ADD COLUMN overdue_at timestamptz,
    ADD COLUMN reminded_at timestamptz;

CREATE INDEX subscriptions_due ON subscriptions (period_end)
    WHERE status IN ('active', 'cancelled');


-- What providers say, by webhooks and in answers.  The key is the same when
-- they say the same thing again.

CREATE TABLE payment_inbox (
    id            bigserial PRIMARY KEY,
    provider      text NOT NULL,
    live          boolean NOT NULL,
    key           text NOT NULL,
    source        text NOT NULL CHECK (source IN ('webhook', 'query')),
    state         text NOT NULL,
    order_id      text,
    reference     text,
    payment       text,
    parent        text,
    code          text,
    amount        bigint,
    currency      text,
    body          text NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    applied_at    timestamptz,
    outcome       text,
    payment_id    uuid,
    UNIQUE (provider, live, key)
);

COMMENT ON COLUMN payment_inbox.body IS 'as it was received';

CREATE INDEX payment_inbox_waiting ON payment_inbox (id)
    WHERE applied_at IS NULL;

CREATE TABLE payment_refunds (
    provider      text NOT NULL,
    id            text NOT NULL,
    payment_id    uuid NOT NULL REFERENCES payments,
    amount        bigint NOT NULL CHECK (amount > 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, id)
);


-- Who changed a subscription, how and why.  By a trigger, so that no way of
-- changing one is left out; the two settings say who and why.

CREATE TABLE subscription_transitions (
    id               bigserial PRIMARY KEY,
    subscription_id  uuid NOT NULL REFERENCES subscriptions
                     ON DELETE CASCADE,
    at               timestamptz NOT NULL,
    transition       text NOT NULL,
    old_status       text,
    new_status       text NOT NULL,
    old_plan         text,
    new_plan         text NOT NULL,
    period_start     timestamptz NOT NULL,
    period_end       timestamptz NOT NULL,
    actor            text NOT NULL,
    reason           text NOT NULL,
    payment_id       uuid
);

CREATE INDEX subscription_transitions_of
    ON subscription_transitions (subscription_id, id);

CREATE FUNCTION acting(p_actor text, p_reason text) RETURNS void
LANGUAGE sql AS $$
    SELECT set_config('pulse.actor', p_actor, true),
           set_config('pulse.reason', p_reason, true)
$$;

CREATE FUNCTION subscriptions_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    what  text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        what := 'start';

    ELSE
        what := CASE
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

CREATE TRIGGER subscriptions_audit AFTER INSERT OR UPDATE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION subscriptions_audit();


-- In force, also while its next period is overdue: what is left of the last
-- one may be used.

CREATE OR REPLACE FUNCTION subscription_running(p_user uuid)
RETURNS subscriptions
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM subscriptions
     WHERE user_id = p_user
       AND status IN ('active', 'cancelled')
       AND CASE WHEN status = 'active' OR next_payment IS NOT NULL
                THEN greatest(grace_until, period_end)
                ELSE period_end END > studio_now()
     ORDER BY period_start DESC
     LIMIT 1
$$;

-- Has nodes give back what they hold idle of periods before this one, within
-- a second.  One that is locked is being told by somebody else that it is
-- over.

CREATE FUNCTION leases_recall(p_user uuid, p_before timestamptz)
RETURNS void
LANGUAGE sql AS $$
    UPDATE leases
       SET recalled_at = now()
     WHERE id IN (SELECT id
                    FROM leases
                   WHERE user_id = p_user
                     AND closed_at IS NULL
                     AND period_start < p_before
                     FOR UPDATE SKIP LOCKED)
$$;

-- Marks the running period as paid for.

CREATE FUNCTION subscription_paid(p_subscription uuid, p payments)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
BEGIN
    UPDATE subscriptions u
       SET payment_id = p.id,
           next_payment = NULL,
           value = p.price,
           value_currency = p.currency,
           overdue_at = NULL,
           reminded_at = NULL,
           grace_until = u.period_end + l.grace
      FROM plans l
     WHERE u.id = p_subscription
       AND l.id = u.plan_id
    RETURNING u.* INTO s;

    -- and with it what nodes think the limits are

    PERFORM leases_recall(s.user_id, s.period_start);

    -- to be looked at when it ends

    PERFORM job_add('subscriptions', '{}', NULL, 0, turn)
       FROM (VALUES (s.period_end), (s.grace_until)) AS turns (turn);
END
$$;


-- What the configuration says; one row.

CREATE TABLE billing (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    url           text NOT NULL,
    invoices      jsonb NOT NULL,
    prices        jsonb NOT NULL
);

COMMENT ON TABLE billing IS 'what the configuration of payments says';

INSERT INTO billing (url, invoices, prices) VALUES ('', '{}', '{}');

-- Prices: those of the configuration in a currency, or the plan's own.

CREATE FUNCTION price_of(p_kind text, p_id text, p_currency text)
RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT (prices #>> ARRAY[p_kind, p_id, p_currency])
                            ::bigint FROM billing),
                    CASE p_kind
                    WHEN 'plans'
                    THEN (SELECT amount FROM plans
                           WHERE id = p_id AND currency = p_currency)
                    ELSE (SELECT amount FROM addons
                           WHERE id = p_id AND currency = p_currency)
                    END)
$$;

-- All that is sold, with its price in a currency, NULL: it has none.

CREATE FUNCTION prices_in(p_currency text)
RETURNS TABLE (kind text, id text, amount bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'plans', id, price_of('plans', id, p_currency)
      FROM plans
     WHERE active
       AND amount > 0

     UNION ALL

    SELECT 'addons', id, price_of('addons', id, p_currency)
      FROM addons
$$;

CREATE FUNCTION field_refusal(p_field text, p_reason text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT json_build_object('field', p_field, 'reason', p_reason)::text
$$;

-- What a plan costs somebody now: from the first day, or the difference to
-- what runs, of which the days to come are credited, or the next period.  A
-- row with "refused" says why it cannot be had.

CREATE TYPE payment_quote AS (
    purpose         text,
    price           bigint,
    credit          bigint,
    replaces        uuid,
    replaces_start  timestamptz,
    replaces_next   uuid,
    refused         text
);

CREATE FUNCTION plan_quote(p_user uuid, p_plan text, p_currency text)
RETURNS payment_quote
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p     plans;
    mine  plans;
    s     subscriptions := subscription_running(p_user);
    q     payment_quote;
BEGIN
    SELECT * INTO p FROM plans
     WHERE id = p_plan AND active AND amount > 0;
    SELECT * INTO mine FROM plans WHERE id = s.plan_id;

    q.price := price_of('plans', p.id, p_currency);
    q.credit := 0;

    IF q.price IS NULL THEN
        q.refused := 'is no plan that is sold';

    ELSIF s.id IS NULL OR mine.amount = 0 THEN
        q.purpose := 'start';

    ELSIF p.amount > mine.amount THEN
        q.purpose := 'upgrade';
        q.replaces := s.id;
        q.replaces_start := s.period_start;
        q.replaces_next := s.next_payment;

        IF s.value_currency = p_currency AND s.period_end > studio_now() THEN
            q.credit := floor(s.value
                              * extract(epoch FROM s.period_end
                                                   - studio_now())
                              / extract(epoch FROM s.period_end
                                                   - s.period_start));
        END IF;

        q.credit := q.credit + coalesce((SELECT n.price FROM payments n
                                          WHERE n.id = s.next_payment
                                            AND n.currency = p_currency), 0);

    ELSIF s.next_payment IS NOT NULL THEN
        q.refused := 'the next period is paid for already';

    ELSIF s.period_end - studio_now() > interval '7 days' THEN
        q.refused := 'the next period can be paid for in its last 7 days';

    ELSE
        q.purpose := 'renewal';
    END IF;

    RETURN q;
END
$$;

CREATE FUNCTION addon_quote(p_user uuid, p_kind text, p_quantity integer,
    p_currency text, OUT addon text, OUT price bigint, OUT refused text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT a.id, price_of('addons', a.id, p_currency) * p_quantity
      INTO addon, price
      FROM addons a
     WHERE a.id = p_kind OR a.kind = kind_number(p_kind)
     ORDER BY a.position
     LIMIT 1;

    IF price IS NULL THEN
        refused := 'is no add-on that is sold';
    END IF;
END
$$;

CREATE FUNCTION payment_json(p payments) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'payment_id', p.id,
        'status', p.status,
        'provider', p.provider,
        'test', NOT p.live,
        'purpose', p.purpose,
        'plan_id', p.plan_id,
        'addon', CASE WHEN p.addon_id IS NOT NULL
                 THEN json_build_object('type', p.addon_id,
                                        'quantity', p.quantity) END,
        'amount', p.amount,
        'currency', p.currency,
        'price', price_text(p.amount, p.currency),
        'list_amount', p.price,
        'credit', p.credit,
        'refunded', p.refunded,
        'checkout_id', p.reference,
        'checkout_url', p.url,
        'widget', CASE WHEN p.script IS NOT NULL
                            AND p.status IN ('pending', 'failed')
                            AND p.expires_at > studio_now()
                  THEN json_build_object('script', p.script,
                                         'integrity', p.integrity,
                                         'brands', p.brands) END,
        'code', p.code,
        'created_at', rfc3339(p.created_at),
        'expires_at', rfc3339(p.expires_at),
        'paid_at', rfc3339(p.paid_at))
$$;

-- Invoices.  Their numbers have no gaps: the counter is a row that is
-- locked until the invoice is there.  One keeps all that is on it, whatever
-- the configuration says later.

CREATE TABLE invoice_numbers (
    series        text PRIMARY KEY,
    last          bigint NOT NULL
);

CREATE TABLE invoices (
    number        text PRIMARY KEY,
    payment_id    uuid NOT NULL REFERENCES payments,
    kind          text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    amount        bigint NOT NULL CHECK (amount > 0),
    net           bigint NOT NULL,
    vat           bigint NOT NULL,
    vat_rate      integer NOT NULL CHECK (vat_rate BETWEEN 0 AND 10000),
    currency      text NOT NULL,
    issued_at     timestamptz NOT NULL,
    details       jsonb NOT NULL,
    CHECK (net + vat = amount)
);

COMMENT ON COLUMN invoices.vat_rate IS 'in hundredths of a percent';

CREATE INDEX invoices_payment ON invoices (payment_id);
CREATE UNIQUE INDEX invoices_one ON invoices (payment_id)
    WHERE kind = 'invoice';

-- Prices have the tax in them; what is not even goes to the net.

CREATE FUNCTION invoice_issue(p payments, p_kind text, p_amount bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    settings  jsonb := (SELECT invoices FROM billing);
    series     text;
    n          bigint;
    rate       integer := coalesce((settings ->> 'vat_rate')::integer, 0);
    tax        bigint;
BEGIN
    series := coalesce(settings ->> 'prefix', '')
              || CASE WHEN p.live THEN '' ELSE 'TEST-' END
              || CASE p_kind WHEN 'invoice' THEN 'INV-' ELSE 'CRN-' END;

    INSERT INTO invoice_numbers AS i VALUES (series, 1)
        ON CONFLICT ON CONSTRAINT invoice_numbers_pkey
        DO UPDATE SET last = i.last + 1
    RETURNING last INTO n;

    tax := p_amount * rate / (10000 + rate);

    INSERT INTO invoices (number, payment_id, kind, amount, net, vat,
                          vat_rate, currency, issued_at, details)
    SELECT series || lpad(n::text, greatest(6, length(n::text)), '0'),
           p.id, p_kind, p_amount, p_amount - tax, tax, rate, p.currency,
           studio_now(),
           jsonb_build_object(
               'seller', coalesce(settings -> 'seller', '{}'),
               'vat_number', settings ->> 'vat_number',
               'buyer', u.email,
               'item_ar', coalesce(l.name_ar, a.id),
               'item_en', coalesce(l.name_en, a.id),
               'addon', a.kind,
               'addon_quantity', a.quantity,
               'quantity', p.quantity,
               'list', p.price,
               'credit', p.price - p.amount,
               'provider', p.provider,
               'of', (SELECT number FROM invoices
                       WHERE payment_id = p.id AND kind = 'invoice'))
      FROM users u
      LEFT JOIN plans l ON l.id = p.plan_id
      LEFT JOIN addons a ON a.id = p.addon_id
     WHERE u.id = p.user_id;
END
$$;


-- Begins a payment; the provider is asked after this has been committed.
-- "step" is the least that the provider can express, of which a credit leaves
-- a multiple, in the favor of who pays.

CREATE FUNCTION payment_begin(p_id uuid, p_user uuid, p_provider text,
    p_live boolean, p_currency text, p_step bigint, p_minimum bigint,
    p_lives interval, p_plan text, p_addon text,
    p_quantity integer,
    OUT status integer, OUT code text, OUT data text, OUT amount bigint,
    OUT email text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    q      payment_quote;
    a      record;
    pay    bigint;
    addon  text;
BEGIN
    SELECT u.email INTO email FROM users u
     WHERE u.id = p_user AND u.status = 'active'
       FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        status := 403;
        code := 'FORBIDDEN';
        RETURN;
    END IF;

    IF p_plan IS NOT NULL THEN
        q := plan_quote(p_user, p_plan, p_currency);
        data := field_refusal('/plan_id', q.refused);

    ELSE
        a := addon_quote(p_user, p_addon, p_quantity, p_currency);
        q := ROW('addon', a.price, 0, NULL, NULL, NULL, a.refused);
        addon := a.addon;
        data := field_refusal('/addon/type', q.refused);
    END IF;

    IF q.refused IS NOT NULL THEN
        status := 400;
        code := 'INVALID_REQUEST';
        RETURN;
    END IF;

    IF addon IS NOT NULL AND (subscription_running(p_user)).id IS NULL THEN
        status := 402;
        code := 'NO_SUBSCRIPTION';
        data := NULL;
        RETURN;
    END IF;

    pay := greatest(q.price - q.credit, p_step, p_minimum);
    pay := pay - pay % p_step;

    INSERT INTO payments (id, user_id, provider, live, purpose, plan_id,
                          addon_id, quantity, amount, currency, price,
                          credit, replaces, replaces_start, replaces_next,
                          created_at, expires_at)
    VALUES (p_id, p_user, p_provider, p_live, q.purpose, p_plan, addon,
            coalesce(p_quantity, 1), pay, p_currency, q.price, q.credit,
            q.replaces, q.replaces_start, q.replaces_next, studio_now(),
            studio_now() + p_lives);

    status := 201;
    data := NULL;
    amount := pay;
END
$$;

-- The job that asks the provider next.

CREATE FUNCTION payment_ask_later(p_id uuid) RETURNS bigint
LANGUAGE sql AS $$
    SELECT job_add('payment_ask', jsonb_build_object('payment', id), NULL, 0,
                   greatest(ask_at, asked_at + interval '31 seconds'))
      FROM payments
     WHERE id = p_id
       AND ask_at IS NOT NULL
       AND paid_at IS NULL
$$;

-- The provider made its checkout, or did not: then nobody was shown a page,
-- so that nobody can have paid.

CREATE FUNCTION payment_opened(p_id uuid, p_reference text, p_url text,
    p_script text, p_integrity text, p_brands text,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE sql AS $$
    UPDATE payments
       SET status = 'pending',
           reference = p_reference,
           url = p_url,
           script = p_script,
           integrity = p_integrity,
           brands = p_brands,
           ask_at = studio_now() + interval '1 minute'
     WHERE id = p_id;

    SELECT payment_ask_later(p_id);

    SELECT 201, NULL::text, payment_json(p)::text
      FROM payments p
     WHERE p.id = p_id
$$;

CREATE FUNCTION payment_not_opened(p_id uuid, p_reason text) RETURNS void
LANGUAGE sql AS $$
    UPDATE payments
       SET status = 'failed',
           reason = p_reason
     WHERE id = p_id AND status = 'created'
$$;


-- Takes a payment to ask about, for one asker: when the next one may is
-- written first.  By its owner at any time, by a job when it is due: more and
-- more rarely for three days, so that money that comes late is found.  Not
-- more than twice a minute, which is what HyperPay takes.

CREATE FUNCTION payment_ask(p_id uuid, p_user uuid)
RETURNS SETOF payments
LANGUAGE sql AS $$
    UPDATE payments
       SET asked = asked + 1,
           asked_at = studio_now(),
           ask_at = CASE WHEN created_at > studio_now() - interval '3 days'
                    THEN studio_now()
                         + least(interval '1 minute' * 2 ^ least(asked, 10),
                                 interval '6 hours') END
     WHERE id = p_id
       AND status IN ('pending', 'failed', 'expired', 'review')
       AND paid_at IS NULL
       AND ask_at IS NOT NULL
       AND (asked_at IS NULL
            OR asked_at <= studio_now() - interval '30 seconds')
       AND CASE WHEN p_user IS NULL THEN ask_at <= studio_now()
           ELSE user_id = p_user END
    RETURNING *
$$;

-- Its browser is back: the job may ask now.

CREATE FUNCTION payment_hurry(p_id uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payments SET ask_at = studio_now()
     WHERE id = p_id AND paid_at IS NULL AND ask_at > studio_now();

    UPDATE jobs SET due_at = now()
     WHERE kind = 'payment_ask' AND state = 'waiting'
       AND payload ->> 'payment' = p_id::text;

    NOTIFY jobs;
END
$$;

-- Asked in vain ("uncertain"), or told that nothing is known: a checkout that
-- is over is expired, and one of which nobody can say after three days
-- whether it took money is for a person to look at.

CREATE FUNCTION payment_waits(p_id uuid, p_uncertain boolean) RETURNS void
LANGUAGE sql AS $$
    UPDATE payments
       SET status = CASE WHEN p_uncertain THEN 'review' ELSE 'expired' END,
           reason = CASE WHEN p_uncertain THEN 'uncertain' END
     WHERE id = p_id
       AND status = 'pending'
       AND expires_at <= studio_now()
       AND (NOT p_uncertain OR ask_at IS NULL)
$$;


-- Keeps what a provider said: its number in the inbox, or NULL if it was
-- said before and applied.  A state that changes nothing may be said again.

CREATE FUNCTION payment_receive(p_provider text, p_live boolean, p_key text,
    p_source text, p_state text, p_order text, p_reference text,
    p_payment text, p_parent text, p_code text, p_amount bigint,
    p_currency text, p_body text)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint;
BEGIN
    -- what was acknowledged must outlive a crash

    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    INSERT INTO payment_inbox (provider, live, key, source, state, order_id,
                               reference, payment, parent, code, amount,
                               currency, body)
    VALUES (p_provider, p_live, p_key, p_source, p_state, p_order,
            p_reference, p_payment, p_parent, p_code, p_amount, p_currency,
            p_body)
        ON CONFLICT (provider, live, key) DO NOTHING
    RETURNING id INTO n;

    -- who received it applies it at once; should that fail, the job does

    IF n IS NOT NULL THEN
        PERFORM job_add('payment_apply', jsonb_build_object('inbox', n), NULL,
                        5, now() + interval '5 seconds');

    ELSE
        SELECT id INTO n
          FROM payment_inbox
         WHERE provider = p_provider AND live = p_live AND key = p_key
           AND applied_at IS NULL;
    END IF;

    RETURN n;
END
$$;

-- Which payment it is of: refunds name the payment that they are of, all
-- else our own id, or the checkout.

CREATE FUNCTION payment_found(i payment_inbox) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT id
      FROM (SELECT 0 AS rank, id
              FROM payments
             WHERE provider = i.provider
               AND provider_payment = nullif(i.parent, '')

             UNION ALL

            SELECT 1, id
              FROM payments
             WHERE provider = i.provider
               AND id = CASE WHEN i.order_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}'
                                                '-[0-9a-f]{12}$'
                        THEN i.order_id::uuid END

             UNION ALL

            SELECT 2, id
              FROM payments
             WHERE provider = i.provider
               AND reference = nullif(i.reference, '')) AS candidates
     ORDER BY rank
     LIMIT 1
$$;

-- Applies what is in the inbox, once.  The outcome is for the log; NULL:
-- it was applied before, or waits for a lock: the next look takes it.

CREATE FUNCTION payment_apply(p_inbox bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    i     payment_inbox;
    p     payments;
    said  text;
BEGIN
    PERFORM set_config('lock_timeout', '400ms', true);

    SELECT * INTO i FROM payment_inbox
     WHERE id = p_inbox AND applied_at IS NULL
       FOR UPDATE;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    SELECT * INTO p FROM payments WHERE id = payment_found(i);

    IF p.id IS NULL THEN
        said := 'unknown payment';

    ELSIF p.live <> i.live THEN
        said := 'other mode';

    ELSE
        PERFORM 1 FROM users WHERE id = p.user_id FOR NO KEY UPDATE;
        SELECT * INTO p FROM payments WHERE id = p.id FOR UPDATE;

        PERFORM acting(i.provider, i.source || ' ' || i.id);

        said := CASE i.state
                WHEN 'paid' THEN payment_paid(p, i)
                WHEN 'review' THEN payment_held(p, i)
                WHEN 'failed' THEN payment_failed(p, i)
                WHEN 'refunded' THEN payment_refunded(p, i)
                WHEN 'charged_back' THEN payment_refunded(p, i)
                ELSE 'unchanged'
                END;
    END IF;

    UPDATE payment_inbox
       SET applied_at = clock_timestamp(), outcome = said, payment_id = p.id
     WHERE id = i.id;

    RETURN said;

EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;

-- The same by a job, which fails while it waits.

CREATE FUNCTION payment_apply_job(p_job jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint := (p_job ->> 'inbox')::bigint;
BEGIN
    PERFORM payment_apply(n);

    IF EXISTS (SELECT FROM payment_inbox
                WHERE id = n AND applied_at IS NULL)
    THEN
        RAISE EXCEPTION 'message % of a provider waits for a lock', n;
    END IF;
END
$$;

CREATE FUNCTION payment_paid(p payments, i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    refusal  text;
    back     bigint;
BEGIN
    -- a second payment by one checkout is somebody's money too

    IF p.paid_at IS NOT NULL THEN
        RETURN CASE WHEN p.provider_payment = i.payment THEN 'known'
               ELSE 'paid twice' END;
    END IF;

    IF i.amount IS DISTINCT FROM p.amount
       OR i.currency IS DISTINCT FROM p.currency
    THEN
        UPDATE payments
           SET status = 'review', reason = 'amount', code = i.code
         WHERE id = p.id;
        RETURN 'another amount';
    END IF;

    UPDATE payments
       SET status = 'paid',
           reason = CASE reason WHEN 'charged_back' THEN reason END,
           code = i.code,
           paid_at = studio_now(),
           provider_payment = i.payment,
           ask_at = NULL
     WHERE id = p.id
    RETURNING * INTO p;

    PERFORM invoice_issue(p, 'invoice', p.amount);

    -- a refund may have come before it

    SELECT sum(amount) INTO back FROM payment_refunds
     WHERE payment_id = p.id;

    IF back >= p.amount THEN
        PERFORM payment_reduced(p);
        RETURN 'refunded before';
    END IF;

    refusal := payment_grant(p);

    IF refusal IS NOT NULL THEN
        UPDATE payments SET status = 'review', reason = refusal
         WHERE id = p.id;
        RETURN 'paid, not granted: ' || refusal;
    END IF;

    UPDATE payments SET granted_at = studio_now() WHERE id = p.id
    RETURNING * INTO p;

    IF back > 0 THEN
        PERFORM payment_reduced(p);
    END IF;

    PERFORM payment_mail(p, 'receipt');

    RETURN 'paid';
END
$$;

-- What was paid for.  NULL, or why it cannot be given any more.

CREATE FUNCTION payment_grant(p payments) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    s     subscriptions := subscription_running(p.user_id);
    mine  plans;
BEGIN
    SELECT * INTO mine FROM plans WHERE id = s.plan_id;

    IF p.purpose = 'addon' THEN
        RETURN CASE WHEN addon_grant(p.user_id, p.addon_id, p.quantity)
                         IS NULL THEN 'no subscription' END;
    END IF;

    -- what was credited must not have been spent otherwise

    IF p.credit > 0
       AND (p.replaces, p.replaces_start, p.replaces_next)
           IS DISTINCT FROM (s.id, s.period_start, s.next_payment)
    THEN
        RETURN 'credit is gone';
    END IF;

    IF s.id IS NOT NULL AND mine.amount > 0
       AND (p.purpose = 'renewal' OR s.plan_id = p.plan_id)
    THEN
        RETURN payment_prepay(p, s);
    END IF;

    -- never down by what was meant as a start

    IF mine.amount > (SELECT amount FROM plans WHERE id = p.plan_id) THEN
        RETURN 'a dearer plan runs';
    END IF;

    PERFORM subscription_paid(subscription_start(p.user_id, p.plan_id), p);

    RETURN NULL;
END
$$;

-- The next period: when this one ends, or now if it has.

CREATE FUNCTION payment_prepay(p payments, s subscriptions) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF s.next_payment IS NOT NULL THEN
        RETURN 'the next period is paid for';
    END IF;

    UPDATE subscriptions
       SET status = 'active',
           next_payment = p.id,
           next_plan = nullif(p.plan_id, plan_id),
           renews_at = period_end
     WHERE id = s.id;

    PERFORM subscription_follow(s.id);

    RETURN NULL;
END
$$;

CREATE FUNCTION payment_held(p payments, i payment_inbox) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p.status NOT IN ('pending', 'failed', 'expired') THEN
        RETURN 'known';
    END IF;

    UPDATE payments
       SET status = 'review', reason = 'provider', code = i.code
     WHERE id = p.id;

    RETURN 'held';
END
$$;

-- A checkout may be tried again until it is over, so that it goes on being
-- asked about; what was paid stays so.

CREATE FUNCTION payment_failed(p payments, i payment_inbox) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (p.status IN ('pending', 'expired')
            OR (p.status = 'review' AND p.reason = 'provider'))
    THEN
        RETURN 'known';
    END IF;

    UPDATE payments
       SET status = 'failed', reason = NULL, code = i.code
     WHERE id = p.id;

    PERFORM payment_mail(p, 'payment_failed');

    RETURN 'failed';
END
$$;

CREATE FUNCTION payment_refunded(p payments, i payment_inbox)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    part  bigint := coalesce(i.amount, p.amount);
BEGIN
    IF i.currency <> p.currency OR part <= 0
       OR part > p.amount - (SELECT coalesce(sum(amount), 0)
                               FROM payment_refunds
                              WHERE payment_id = p.id
                                AND id <> i.payment)
    THEN
        UPDATE payments SET reason = 'refund' WHERE id = p.id;
        RETURN 'another refund than was paid';
    END IF;

    INSERT INTO payment_refunds (provider, id, payment_id, amount)
    VALUES (i.provider, i.payment, p.id, part)
        ON CONFLICT DO NOTHING;

    IF NOT FOUND THEN
        RETURN 'known';
    END IF;

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

-- Brings a payment up to its refunds; the whole of it ends what it granted.

CREATE FUNCTION payment_reduced(p payments) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    back  bigint;
BEGIN
    SELECT sum(amount) INTO back FROM payment_refunds
     WHERE payment_id = p.id;

    UPDATE payments
       SET refunded = back,
           status = CASE WHEN p.reason = 'charged_back' THEN 'charged_back'
                         WHEN back < p.amount THEN 'partly_refunded'
                         ELSE 'refunded' END
     WHERE id = p.id;

    PERFORM invoice_issue(p, 'credit_note', back - p.refunded);

    IF p.granted_at IS NOT NULL
       AND (back >= p.amount OR p.reason = 'charged_back')
    THEN
        PERFORM payment_revoke(p);
    END IF;
END
$$;

CREATE FUNCTION payment_revoke(p payments) RETURNS void
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

    ELSE
        UPDATE subscriptions
           SET next_payment = NULL, next_plan = NULL
         WHERE id = s.id AND next_payment = p.id;
        RETURN;
    END IF;

    PERFORM leases_recall(p.user_id, 'infinity');
END
$$;

CREATE FUNCTION day_text(t timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD')
$$;

-- What a plan or an add-on is called.

CREATE FUNCTION item_name(p_plan text, p_addon text, p_locale text)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT CASE p_locale WHEN 'en' THEN name_en
                            ELSE name_ar END
                       FROM plans WHERE id = p_plan), p_addon)
$$;

CREATE FUNCTION payment_mail(p payments, p_kind text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (kind, recipient, locale, payload)
    SELECT p_kind, u.email, u.locale,
           jsonb_build_object(
               'price', price_text(p.amount, p.currency),
               'currency', p.currency,
               'item', item_name(p.plan_id, p.addon_id, u.locale),
               'number', coalesce((SELECT number FROM invoices
                                    WHERE payment_id = p.id
                                      AND kind = 'invoice'), ''),
               'paid_at', coalesce(day_text(p.paid_at), ''),
               'link', b.url || '/pay?payment=' || p.id)
      FROM users u, billing b
     WHERE u.id = p.user_id
$$;


-- A subscription whose period is over: it goes on if that is paid for, stays
-- for a while if it is not, and ends.

CREATE FUNCTION subscription_follow(p_subscription uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
    p  payments;
BEGIN
    SELECT * INTO s FROM subscriptions
     WHERE id = p_subscription
       AND status IN ('active', 'cancelled')
       AND period_end <= studio_now()
       FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF s.next_payment IS NOT NULL THEN
        SELECT * INTO p FROM payments WHERE id = s.next_payment;

        -- who canceled gets what was paid for before, and no more

        UPDATE subscriptions SET status = 'active'
         WHERE id = s.id AND status <> 'active';
        PERFORM subscription_renew(s.id, s.period_end);
        PERFORM subscription_paid(s.id, p);
        UPDATE subscriptions SET status = s.status
         WHERE id = s.id AND status <> s.status;

    ELSIF s.status = 'active' AND s.grace_until > studio_now() THEN
        UPDATE subscriptions
           SET overdue_at = studio_now()
         WHERE id = s.id AND overdue_at IS NULL;

    ELSE
        UPDATE subscriptions
           SET status = 'expired', renews_at = NULL
         WHERE id = s.id;

        PERFORM leases_recall(s.user_id, 'infinity');
    END IF;
END
$$;

-- Takes what is due, a batch at a time; how many were.

CREATE FUNCTION subscriptions_follow() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    due  record;
    n    integer := 0;
BEGIN
    PERFORM acting('studio', 'the period ended');

    FOR due IN
        SELECT id, user_id
          FROM subscriptions
         WHERE status IN ('active', 'cancelled')
           AND period_end <= studio_now()
           AND (overdue_at IS NULL OR next_payment IS NOT NULL
                OR grace_until <= studio_now() OR status = 'cancelled')
         ORDER BY period_end
         LIMIT 100
    LOOP
        PERFORM 1 FROM users WHERE id = due.user_id
           FOR NO KEY UPDATE SKIP LOCKED;

        IF FOUND THEN
            PERFORM subscription_follow(due.id);
            n := n + 1;
        END IF;
    END LOOP;

    -- three days before, once

    WITH soon AS (
        UPDATE subscriptions s
           SET reminded_at = studio_now()
         WHERE status = 'active'
           AND reminded_at IS NULL
           AND next_payment IS NULL
           AND payment_id IS NOT NULL
           AND period_end BETWEEN studio_now()
                              AND studio_now() + interval '3 days'
        RETURNING s.*
    )
    INSERT INTO outbox (kind, recipient, locale, payload)
    SELECT 'renewal', u.email, u.locale,
           jsonb_build_object(
               'plan', item_name(p.id, NULL, u.locale),
               'period_end', day_text(s.period_end),
               'price', price_text(price_of('plans', p.id, s.value_currency),
                                   s.value_currency),
               'currency', s.value_currency,
               'link', b.url || '/plans')
      FROM billing b, soon s
      JOIN users u ON u.id = s.user_id
      JOIN plans p ON p.id = coalesce(s.next_plan, s.plan_id);

    RETURN n;
END
$$;


-- The caller's own.

CREATE FUNCTION subscription_json(s subscriptions) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', s.id,
        'plan', s.plan_id,
        'status', CASE WHEN s.status = 'active'
                            AND s.period_end <= studio_now()
                  THEN 'past_due' ELSE s.status END,
        'period', json_build_object('start', rfc3339(s.period_start),
                                    'end', rfc3339(s.period_end)),
        'renews_at', CASE WHEN s.status = 'active'
                     THEN rfc3339(s.renews_at) END,
        'next_plan', s.next_plan,
        'next_period_paid', s.next_payment IS NOT NULL,
        'grace_until', CASE WHEN s.status = 'active'
                                 AND s.grace_until > s.period_end
                       THEN rfc3339(s.grace_until) END)
$$;

CREATE FUNCTION subscription_get(p_user uuid,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text,
           json_build_object('subscription', CASE WHEN s.id IS NOT NULL
                             THEN subscription_json(s) END)::text
      FROM (SELECT 1) AS one
      LEFT JOIN subscription_running(p_user) s ON s.id IS NOT NULL
$$;

-- "what" is cancel or resume: at the end of the period, and not after all;
-- or change, to a plan that costs less.

CREATE FUNCTION subscription_act(p_user uuid, p_what text, p_plan text,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
BEGIN
    PERFORM 1 FROM users WHERE id = p_user FOR NO KEY UPDATE;

    PERFORM acting('user', p_what);

    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        status := 402;
        code := 'NO_SUBSCRIPTION';
        RETURN;
    END IF;

    IF p_what = 'change' THEN
        IF NOT EXISTS (SELECT
                         FROM plans p, plans mine
                        WHERE p.id = p_plan AND p.active AND NOT p.once
                          AND mine.id = s.plan_id
                          AND p.amount <= mine.amount
                          AND s.next_payment IS NULL)
        THEN
            status := 400;
            code := 'INVALID_REQUEST';
            data := field_refusal('/plan_id', 'is no plan to go down to;'
                                  ' a dearer one begins with a payment');
            RETURN;
        END IF;

        PERFORM subscription_change(p_user, p_plan);

    ELSE
        UPDATE subscriptions u
           SET status = CASE p_what WHEN 'cancel' THEN 'cancelled'
                        ELSE 'active' END
         WHERE u.id = s.id
           AND u.status <> CASE p_what WHEN 'cancel' THEN 'cancelled'
                           ELSE 'active' END;
    END IF;

    SELECT * INTO s FROM subscriptions u WHERE u.id = s.id;

    status := 200;
    data := json_build_object('subscription', subscription_json(s))::text;
END
$$;

CREATE FUNCTION payment_get(p_user uuid, p_id uuid,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p.id IS NULL THEN 404 ELSE 200 END,
           CASE WHEN p.id IS NULL THEN 'NOT_FOUND' END,
           CASE WHEN p.id IS NOT NULL THEN payment_json(p)::text END
      FROM (SELECT 1) AS one
      LEFT JOIN payments p ON p.id = p_id AND p.user_id = p_user
$$;

CREATE FUNCTION payment_history(p_user uuid, p_cursor uuid,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text, json_build_object(
               'payments', coalesce(json_agg(payment_json(p) ORDER BY n)
                                    FILTER (WHERE n <= 50), '[]'),
               'next_cursor', CASE WHEN count(*) > 50
                              THEN (array_agg((p).id ORDER BY n))[50]
                              END)::text
      FROM (SELECT p, row_number() OVER (ORDER BY p.id DESC) AS n
              FROM payments p
             WHERE p.user_id = p_user
               AND p.status <> 'created'
               AND (p_cursor IS NULL OR p.id < p_cursor)
             ORDER BY p.id DESC
             LIMIT 51) AS page (p, n)
$$;


-- What of this has its times; those that are paid for have jobs of their own
-- for the moment.

INSERT INTO job_schedules (kind, every, next_at)
VALUES ('subscriptions', '1 minute', now());
