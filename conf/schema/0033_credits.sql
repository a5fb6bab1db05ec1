-- Credits of payments that are given back.  What was given back was never
-- paid, so that what is credited for it is taken back too: an upgrade runs for
-- as long as was truly paid for it.  Nothing of this depends on the order in
-- which it is told.

ALTER TABLE payments
    ADD COLUMN credit_lost bigint NOT NULL DEFAULT 0,
    ADD COLUMN raised timestamptz,
    ADD CHECK (credit_lost BETWEEN 0 AND credit);

COMMENT ON COLUMN payments.credit_lost IS 'of the credit, given back by now';
COMMENT ON COLUMN payments.raised IS 'start of the period that an add-on is of';

ALTER TABLE subscriptions ADD COLUMN full_end timestamptz;

COMMENT ON COLUMN subscriptions.full_end IS
    'when the period would end, had nothing of it been given back';


CREATE FUNCTION payment_kept(p_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT
                         FROM payments
                        WHERE id = p_id
                          AND status IN ('refunded', 'charged_back'))
$$;

-- What a subscription is credited with: what is left of its period by then,
-- and the next one if that was paid for.  Play money buys no real plan.

CREATE FUNCTION subscription_credit(s subscriptions, p_currency text,
    p_live boolean, p_at timestamptz)
RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE
           WHEN s.value_currency = p_currency
                AND s.period_end > p_at
                AND payment_kept(s.payment_id)
                AND NOT EXISTS (SELECT FROM payments
                                 WHERE id = s.payment_id AND live <> p_live)
           THEN floor(s.value
                      * extract(epoch FROM s.period_end - p_at)
                      / extract(epoch FROM s.period_end - s.period_start))
                ::bigint
           ELSE 0
           END
           + coalesce((SELECT price FROM payments
                        WHERE id = s.next_payment
                          AND currency = p_currency
                          AND live = p_live), 0)
$$;

DROP FUNCTION plan_quote(uuid, text, text);

CREATE FUNCTION plan_quote(p_user uuid, p_plan text, p_currency text,
    p_live boolean)
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
        q.credit := subscription_credit(s, p_currency, p_live, studio_now());

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

CREATE OR REPLACE FUNCTION payment_begin(p_id uuid, p_user uuid,
    p_provider text, p_live boolean, p_currency text, p_step bigint,
    p_minimum bigint, p_lives interval, p_plan text, p_addon text,
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
        q := plan_quote(p_user, p_plan, p_currency, p_live);
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


-- The end of a period that was not all paid for, or that another one follows
-- at once.

CREATE FUNCTION subscription_end_at(s subscriptions, p_end timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE subscriptions u
       SET period_end = p_end,
           full_end = coalesce(u.full_end, u.period_end),
           renews_at = CASE WHEN u.renews_at IS NOT NULL THEN p_end END,
           grace_until = p_end + l.grace
      FROM plans l
     WHERE u.id = s.id
       AND l.id = u.plan_id;

    -- nodes are told of the end with the account; its owner's are locked

    UPDATE accounts SET period_end = p_end
     WHERE user_id = s.user_id AND period_start = s.period_start;

    PERFORM job_add('subscriptions', '{}', NULL, 0, turn)
       FROM plans l,
            LATERAL (VALUES (p_end), (p_end + l.grace)) AS turns (turn)
      WHERE l.id = s.plan_id;
END
$$;

-- An upgrade stands on the subscription that it was credited for or, where
-- that was an upgrade itself and was given back, on what that one stood on.

CREATE FUNCTION payment_standing(p payments) RETURNS payments
LANGUAGE plpgsql AS $$
DECLARE
    below  payments;
BEGIN
    LOOP
        SELECT id INTO p.replaces_next FROM payments
         WHERE id = p.replaces_next
           AND status IN ('paid', 'partly_refunded');

        SELECT b.* INTO below
          FROM subscriptions s
          JOIN payments b ON b.id = s.payment_id
         WHERE s.id = p.replaces
           AND s.period_start = p.replaces_start
           AND b.replaces IS NOT NULL
           AND b.status IN ('refunded', 'charged_back');

        EXIT WHEN NOT FOUND;

        p.replaces := below.replaces;
        p.replaces_start := below.replaces_start;
        p.replaces_next := coalesce(p.replaces_next, below.replaces_next);
    END LOOP;

    UPDATE payments
       SET replaces = p.replaces,
           replaces_start = p.replaces_start,
           replaces_next = p.replaces_next
     WHERE id = p.id;

    RETURN p;
END
$$;

CREATE FUNCTION subscription_replaced(p payments) RETURNS subscriptions
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM subscriptions
     WHERE id = p.replaces
       AND period_start = p.replaces_start
$$;

-- Counts anew what a running upgrade, and those that it stands on, were
-- credited for.  What is gone is taken from the end of its period, at what the
-- period costs: the price is for the whole, what is left of the price for the
-- same part.

CREATE FUNCTION subscription_settle(p_subscription uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s      subscriptions;
    below  subscriptions;
    p      payments;
    lost   bigint;
    worth  bigint;
    whole  numeric;
BEGIN
    SELECT * INTO s FROM subscriptions WHERE id = p_subscription;
    SELECT * INTO p FROM payments
     WHERE id = s.payment_id
       AND credit > 0
       AND status NOT IN ('refunded', 'charged_back');

    IF NOT FOUND THEN
        RETURN;
    END IF;

    p := payment_standing(p);
    below := subscription_replaced(p);

    IF below.id IS NULL THEN
        RETURN;
    END IF;

    PERFORM subscription_settle(below.id);
    below := subscription_replaced(p);

    lost := p.credit - subscription_credit(below, p.currency, p.live,
                                           p.created_at);

    IF lost <= p.credit_lost THEN
        RETURN;
    END IF;

    -- a credit may have been more than the price

    worth := least(p.price, greatest(p.price, p.amount + p.credit) - lost);
    whole := to_micros(coalesce(s.full_end, s.period_end))
             - to_micros(s.period_start);

    UPDATE payments SET credit_lost = lost WHERE id = p.id;

    IF worth = s.value THEN
        RETURN;
    END IF;

    UPDATE subscriptions SET value = worth WHERE id = s.id;

    PERFORM subscription_end_at(s, from_micros(to_micros(s.period_start)
                                   + ceil(whole * worth / p.price)::bigint));
    PERFORM subscription_follow(s.id);
END
$$;


-- The next period was paid for, and the one before it was not, after all.

CREATE FUNCTION subscription_next_now(p_subscription uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
BEGIN
    SELECT * INTO s FROM subscriptions WHERE id = p_subscription;

    IF s.period_end > studio_now() THEN
        PERFORM subscription_end_at(s, greatest(studio_now(),
                                                s.period_start + interval
                                                '1 microsecond'));
    END IF;

    PERFORM subscription_follow(s.id);
END
$$;

-- The next period of an upgrade that is given back follows what runs instead.
-- Where that has one of its own a person has to look.

CREATE FUNCTION subscription_next_moved(s subscriptions, p_to subscriptions)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE subscriptions
       SET next_payment = NULL, next_plan = NULL
     WHERE id = s.id;

    IF p_to.next_payment IS NULL THEN
        UPDATE subscriptions
           SET next_payment = s.next_payment,
               next_plan = nullif(coalesce(s.next_plan, s.plan_id), plan_id)
         WHERE id = p_to.id;

    ELSE
        UPDATE payments
           SET status = 'review',
               reason = 'the next period is paid for',
               granted_at = NULL
         WHERE id = s.next_payment;
    END IF;
END
$$;

CREATE FUNCTION subscription_left(s subscriptions) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(s.status = 'expired', false)
           AND (s.next_payment IS NOT NULL
                OR (s.period_end > studio_now()
                    AND payment_kept(s.payment_id)))
$$;

DROP FUNCTION subscription_restore(payments);

-- Who is given back an upgrade has the plan again whose days were credited for
-- it: for what is left of its period, with what was left of its accounts, and
-- with the next period if that was paid for.

CREATE FUNCTION subscription_restore(s subscriptions) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT subscription_left(s) THEN
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

    IF payment_kept(s.payment_id) THEN
        PERFORM subscription_follow(s.id);

    ELSE
        PERFORM subscription_next_now(s.id);
    END IF;
END
$$;

-- The payment of a subscription's period was given back.

CREATE FUNCTION subscription_unpaid(s subscriptions, p payments)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    below  subscriptions;
BEGIN
    p := payment_standing(p);
    below := subscription_replaced(p);

    IF s.next_payment IS NOT NULL AND s.status <> 'expired'
       AND NOT subscription_left(below)
    THEN
        PERFORM subscription_next_now(s.id);
        RETURN;
    END IF;

    IF s.next_payment IS NOT NULL AND below.id IS NOT NULL THEN
        PERFORM subscription_next_moved(s, below);
        below := subscription_replaced(p);
    END IF;

    -- under another upgrade it was over already

    IF s.status = 'expired' THEN
        RETURN;
    END IF;

    UPDATE subscriptions
       SET status = 'expired', renews_at = NULL
     WHERE id = s.id;

    PERFORM subscription_restore(below);
END
$$;

-- All accounts of who pays, in the order of all that locks them and before any
-- lease: periods are shortened from the oldest on.

CREATE FUNCTION accounts_lock(p_user uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
       FROM accounts
      WHERE user_id = p_user
      ORDER BY user_id, kind, period_start
        FOR NO KEY UPDATE;
END
$$;

CREATE OR REPLACE FUNCTION payment_revoke(p payments) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions := subscription_running(p.user_id);
    a  addons;
BEGIN
    PERFORM accounts_lock(p.user_id);

    IF p.purpose = 'addon' THEN
        SELECT * INTO a FROM addons WHERE id = p.addon_id;

        -- what was used or is out on a lease stays; the period may be one
        -- that an upgrade ended and that comes back

        UPDATE accounts
           SET limit_amount = greatest(used + leased, limit_amount
                                                      - a.quantity
                                                        * p.quantity)
         WHERE user_id = p.user_id
           AND kind = a.kind
           AND period_start = coalesce(p.raised,
                                       CASE WHEN period_start <= p.granted_at
                                                 AND period_end > p.granted_at
                                       THEN s.period_start END);

    ELSE
        UPDATE subscriptions
           SET next_payment = NULL, next_plan = NULL
         WHERE user_id = p.user_id AND next_payment = p.id;

        SELECT * INTO s FROM subscriptions
         WHERE user_id = p.user_id AND payment_id = p.id
           FOR NO KEY UPDATE;

        IF FOUND THEN
            PERFORM subscription_unpaid(s, p);
        END IF;

        PERFORM subscription_settle((subscription_running(p.user_id)).id);
    END IF;

    PERFORM leases_recall(p.user_id, 'infinity');
END
$$;


-- Whether what an upgrade was credited for is there to be credited: it runs,
-- or nothing does, since its payment was given back and no other upgrade has
-- spent what else was credited.

CREATE FUNCTION payment_creditable(p payments, s subscriptions)
RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    below  subscriptions := subscription_replaced(p);
BEGIN
    RETURN below.id IS NOT NULL
           AND below.next_payment IS NOT DISTINCT FROM p.replaces_next
           AND (below.id IS NOT DISTINCT FROM s.id
                OR (s.id IS NULL
                    AND NOT payment_kept(below.payment_id)
                    AND NOT EXISTS (SELECT
                                      FROM payments o
                                     WHERE o.replaces = p.replaces
                                       AND o.replaces_start
                                           = p.replaces_start
                                       AND o.granted_at IS NOT NULL
                                       AND o.id <> p.id
                                       AND payment_kept(o.id))));
END
$$;

CREATE OR REPLACE FUNCTION payment_grant(p payments) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    s     subscriptions := subscription_running(p.user_id);
    mine  plans;
BEGIN
    PERFORM accounts_lock(p.user_id);

    SELECT * INTO mine FROM plans WHERE id = s.plan_id;

    IF p.purpose = 'addon' THEN
        IF addon_grant(p.user_id, p.addon_id, p.quantity) IS NULL THEN
            RETURN 'no subscription';
        END IF;

        UPDATE payments SET raised = s.period_start WHERE id = p.id;
        RETURN NULL;
    END IF;

    -- what was credited must not have been spent otherwise

    IF p.credit > 0 THEN
        p := payment_standing(p);

        IF NOT payment_creditable(p, s) THEN
            RETURN 'credit is gone';
        END IF;
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

    -- what ends without a credit comes back all the same

    IF p.credit = 0 THEN
        UPDATE payments
           SET replaces = CASE WHEN mine.amount > 0 THEN s.id END,
               replaces_start = s.period_start,
               replaces_next = s.next_payment
         WHERE id = p.id;
    END IF;

    s.id := subscription_start(p.user_id, p.plan_id);

    PERFORM subscription_paid(s.id, p);
    PERFORM subscription_settle(s.id);

    RETURN NULL;
END
$$;


-- A period that ended before its time counts from there.

CREATE OR REPLACE FUNCTION subscription_renew(p_subscription uuid,
    p_ended timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    s       subscriptions;
    p       plans;
    finish  timestamptz;
BEGIN
    SELECT * INTO s FROM subscriptions WHERE id = p_subscription;
    PERFORM 1 FROM users WHERE id = s.user_id FOR NO KEY UPDATE;

    SELECT * INTO s
      FROM subscriptions
     WHERE id = p_subscription
       AND status = 'active'
       AND period_end = p_ended
       AND period_end <= studio_now()
       FOR NO KEY UPDATE;

    SELECT * INTO p FROM plans WHERE id = coalesce(s.next_plan, s.plan_id);

    IF s.id IS NULL OR p.once THEN
        RETURN NULL;
    END IF;

    s.anchor := coalesce(s.anchor, s.period_start);

    -- another plan counts from the day it begins

    IF p.id <> s.plan_id THEN
        s.zone := p.zone;
    END IF;

    IF p.id <> s.plan_id OR s.full_end IS NOT NULL THEN
        s.anchor := s.period_end;
        s.period := -1;
    END IF;

    finish := period_end_of(s.anchor, p.period, s.zone, s.period + 1);

    IF finish <= studio_now() THEN
        s.anchor := studio_now();
        s.period := -1;
        s.period_end := s.anchor;
        finish := period_end_of(s.anchor, p.period, s.zone, 0);
    END IF;

    UPDATE subscriptions
       SET plan_id = p.id,
           next_plan = NULL,
           anchor = s.anchor,
           period = s.period + 1,
           zone = s.zone,
           period_start = s.period_end,
           period_end = finish,
           full_end = NULL,
           renews_at = finish
     WHERE id = s.id
    RETURNING * INTO s;

    FOR kind IN 0 .. 2 LOOP
        PERFORM account_open(s, kind);
    END LOOP;

    RETURN s.period_end;
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
                WHEN NEW.full_end IS NOT NULL
                     AND NEW.period_end <> OLD.period_end
                THEN 'shorten'
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


-- A credit note has the rate of its invoice, whatever the configuration says
-- by then, and all notes together the tax of what was given back: a sum is
-- rounded, not its parts.

CREATE OR REPLACE FUNCTION invoice_issue(p payments, p_kind text,
    p_amount bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    settings  jsonb := (SELECT invoices FROM billing);
    series    text;
    n         bigint;
    rate      integer := coalesce((settings ->> 'vat_rate')::integer, 0);
    noted     bigint := 0;
    taxed     bigint := 0;
    tax       bigint;
BEGIN
    series := coalesce(settings ->> 'prefix', '')
              || CASE WHEN p.live THEN '' ELSE 'TEST-' END
              || CASE p_kind WHEN 'invoice' THEN 'INV-' ELSE 'CRN-' END;

    INSERT INTO invoice_numbers AS i VALUES (series, 1)
        ON CONFLICT ON CONSTRAINT invoice_numbers_pkey
        DO UPDATE SET last = i.last + 1
    RETURNING last INTO n;

    IF p_kind = 'credit_note' THEN
        rate := coalesce((SELECT vat_rate FROM invoices
                           WHERE payment_id = p.id AND kind = 'invoice'),
                         rate);

        SELECT coalesce(sum(amount), 0), coalesce(sum(vat), 0)
          INTO noted, taxed
          FROM invoices
         WHERE payment_id = p.id AND kind = 'credit_note';
    END IF;

    -- those of before were taxed as it was then

    tax := (noted + p_amount) * rate / (10000 + rate) - taxed;
    tax := greatest(0, least(p_amount, tax));

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


-- Differences between payments and what they are made of; none is right.

CREATE FUNCTION payments_audit()
RETURNS TABLE (what text, payment_id uuid, payment bigint, parts bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'refunded', p.id, p.refunded, coalesce(r.amount, 0)::bigint
      FROM payments p
      LEFT JOIN (SELECT payment_id, sum(amount) AS amount
                   FROM payment_refunds GROUP BY payment_id) r
        ON r.payment_id = p.id
     WHERE p.paid_at IS NOT NULL
       AND p.refunded <> coalesce(r.amount, 0)

     UNION ALL

    SELECT i.kind, p.id,
           CASE i.kind WHEN 'invoice' THEN p.amount ELSE p.refunded END,
           i.amount::bigint
      FROM payments p
      JOIN (SELECT payment_id, kind, sum(amount) AS amount
              FROM invoices GROUP BY payment_id, kind) i
        ON i.payment_id = p.id
     WHERE i.amount <> CASE i.kind WHEN 'invoice' THEN p.amount
                       ELSE p.refunded END

     UNION ALL

    -- what a period is worth: what was paid for it, and what was credited
    -- and is still kept

    SELECT 'value', p.id, s.value,
           least(p.price, greatest(p.price, p.amount + p.credit)
                          - p.credit_lost)
      FROM subscriptions s
      JOIN payments p ON p.id = s.payment_id
     WHERE s.value <> least(p.price, greatest(p.price, p.amount + p.credit)
                                     - p.credit_lost)
$$;


-- What of a credit is gone is said with the payment.

CREATE OR REPLACE FUNCTION payment_json(p payments) RETURNS json
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
        'credit_lost', p.credit_lost,
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

DROP FUNCTION admin_payments_show(uuid);

CREATE FUNCTION admin_payments_show(p_id uuid)
RETURNS TABLE (id uuid, email text, provider text, mode text, status text,
               reason text, purpose text, item text, quantity integer,
               price text, currency text, credit bigint, credit_lost bigint,
               refunded bigint, reference text, provider_payment text,
               code text, created_at text, expires_at text, paid_at text,
               granted_at text, asked integer, asked_at text, ask_at text,
               invoice text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT p.id, u.email, p.provider,
           CASE WHEN p.live THEN 'live' ELSE 'test' END, p.status, p.reason,
           p.purpose, coalesce(p.plan_id, p.addon_id), p.quantity,
           price_text(p.amount, p.currency), p.currency, p.credit,
           p.credit_lost, p.refunded, p.reference, p.provider_payment, p.code,
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


-- What was given back before this is settled once, or the next upgrade would
-- be credited with it.

DO $$
BEGIN
    PERFORM set_config('pulse.actor', 'studio', true),
            set_config('pulse.reason', 'a payment given back before', true);

    PERFORM accounts_lock(user_id), subscription_settle(id)
       FROM (SELECT id, user_id
               FROM subscriptions
              WHERE status <> 'expired'
                AND payment_id IN (SELECT id FROM payments WHERE credit > 0)
              ORDER BY user_id) s;
END
$$;
