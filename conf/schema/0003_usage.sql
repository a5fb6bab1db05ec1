-- The meter in the store.  Every function that changes an account locks its
-- row first, several in ascending order of their keys, and only then touches
-- leases: so they wait for each other and never deadlock.  One that ends a
-- node locks the node before all accounts.

-- Another node's request found nothing free: give back what is idle.

ALTER TABLE leases ADD COLUMN recalled_at timestamptz;

CREATE INDEX leases_recalled ON leases (incarnation)
    WHERE recalled_at IS NOT NULL AND closed_at IS NULL;

-- What a node is told of a lease; closed: nothing may be spent from it.

CREATE TYPE lease_totals AS (
    lease_id      uuid,
    user_id       uuid,
    granted       bigint,
    returned      bigint,
    settled       bigint,
    closed        boolean,
    used          bigint,
    limit_amount  bigint
);

CREATE TYPE lease_reply AS (
    status        text,
    taken         bigint,
    elsewhere     bigint,
    granted       bigint,
    returned      bigint,
    settled       bigint,
    used          bigint,
    limit_amount  bigint,
    period_start  bigint,
    period_end    bigint,
    plan          text
);

-- An event as the journal has it; "settled" is what it takes from its lease,
-- the rest of "amount" is debt.

CREATE TYPE usage_entry AS (
    id            uuid,
    lease_id      uuid,
    user_id       uuid,
    kind          smallint,
    period        bigint,
    created       bigint,
    reserved      bigint,
    settled       bigint,
    amount        bigint,
    input         bigint,
    cached        bigint,
    output        bigint,
    reasoning     bigint,
    estimated     boolean,
    model         text,
    provider      text,
    trace_id      text
);


-- Periods travel as microseconds: they are part of a key and must come back
-- as they went.

CREATE FUNCTION to_micros(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE STRICT AS $$
    SELECT (extract(epoch FROM t) * 1000000)::bigint
$$;

CREATE FUNCTION from_micros(n bigint) RETURNS timestamptz
LANGUAGE sql STABLE STRICT AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00'
           + n / 1000000 * interval '1 second'
           + n % 1000000 * interval '1 microsecond'
$$;

CREATE FUNCTION kind_name(kind integer) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (ARRAY['tokens', 'images', 'videos'])[kind + 1]
$$;

CREATE FUNCTION kind_number(name text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT array_position(ARRAY['tokens', 'images', 'videos'], name) - 1
$$;

-- The same day next month is the same day in UTC, whatever the session's
-- time zone does in between.

CREATE FUNCTION period_after(t timestamptz, period interval)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (t AT TIME ZONE 'UTC' + period) AT TIME ZONE 'UTC'
$$;


-- Debt is paid from whatever becomes free, and 80 % is noticed by the update
-- that crosses it: both belong to the row, whoever changes it.  So does that
-- the change outlives a crash: a node drops from its journal what the server
-- says it has, and spends what the server says it granted.

CREATE FUNCTION accounts_before_update() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    part  bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    IF NEW.debt > 0 THEN
        part := least(NEW.debt, NEW.limit_amount - NEW.used - NEW.leased);

        IF part > 0 THEN
            NEW.used := NEW.used + part;
            NEW.debt := NEW.debt - part;
        END IF;
    END IF;

    IF NEW.warned_at IS NULL
       AND NEW.limit_amount > 0
       AND NEW.used + NEW.debt >= NEW.limit_amount - NEW.limit_amount / 5
    THEN
        NEW.warned_at := now();

        INSERT INTO outbox (kind, recipient, locale, payload)
        SELECT 'usage_warning', email, locale,
               jsonb_build_object('resource', kind_name(NEW.kind),
                                  'used', NEW.used + NEW.debt,
                                  'limit', NEW.limit_amount,
                                  'reset_at', rfc3339(NEW.period_end))
          FROM users
         WHERE id = NEW.user_id;
    END IF;

    RETURN NEW;
END
$$;

CREATE TRIGGER accounts_before_update BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_before_update();


-- The subscription in force; a cancelled one is until its period ends.

CREATE FUNCTION subscription_running(p_user uuid) RETURNS subscriptions
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM subscriptions
     WHERE user_id = p_user
       AND status IN ('active', 'cancelled')
       AND period_end > now()
     ORDER BY period_start DESC
     LIMIT 1
$$;

-- The account of a subscription's period, made at its first use.

CREATE FUNCTION account_open(p_subscription subscriptions, p_kind integer)
RETURNS accounts
LANGUAGE plpgsql AS $$
DECLARE
    a  accounts;
BEGIN
    FOR i IN 1 .. 2 LOOP
        SELECT *
          INTO a
          FROM accounts
         WHERE user_id = p_subscription.user_id
           AND kind = p_kind
           AND period_start = p_subscription.period_start
           FOR NO KEY UPDATE;

        EXIT WHEN FOUND;

        INSERT INTO accounts (user_id, kind, period_start, period_end,
                              plan_id, limit_amount)
        SELECT p_subscription.user_id, p_kind, p_subscription.period_start,
               p_subscription.period_end, id,
               (ARRAY[tokens, images, videos])[p_kind + 1]
          FROM plans
         WHERE id = p_subscription.plan_id
            ON CONFLICT DO NOTHING;
    END LOOP;

    RETURN a;
END
$$;

-- Starts a plan now; what runs before it ends.  The same plan running is
-- left alone.  NULL if there is no such plan or it was had already and is
-- given once.

CREATE FUNCTION subscription_start(p_user uuid, p_plan text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    p      plans;
    s      subscriptions;
    start  timestamptz;
BEGIN
    PERFORM 1 FROM users WHERE id = p_user FOR NO KEY UPDATE;

    SELECT * INTO p FROM plans WHERE id = p_plan AND active;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    s := subscription_running(p_user);

    IF s.plan_id = p_plan THEN
        RETURN s.id;
    END IF;

    IF p.once AND EXISTS (SELECT FROM subscriptions
                           WHERE user_id = p_user AND plan_id = p_plan)
    THEN
        RETURN NULL;
    END IF;

    UPDATE subscriptions
       SET status = 'expired'
     WHERE user_id = p_user
       AND status IN ('active', 'cancelled');

    -- the start names the period's accounts: two plans of one transaction
    -- must not share them

    SELECT greatest(now(), max(period_start) + interval '1 microsecond')
      INTO start
      FROM subscriptions
     WHERE user_id = p_user;

    INSERT INTO subscriptions (id, user_id, plan_id, status, period_start,
                               period_end, renews_at)
    VALUES (gen_random_uuid(), p_user, p_plan, 'active', start,
            period_after(start, p.period),
            CASE WHEN NOT p.once THEN period_after(start, p.period) END)
    RETURNING * INTO s;

    FOR kind IN 0 .. 2 LOOP
        PERFORM account_open(s, kind);
    END LOOP;

    RETURN s.id;
END
$$;

-- Raises the limit of the running period; the new one, or NULL without a
-- subscription.

CREATE FUNCTION usage_grant(p_user uuid, p_kind integer, p_amount bigint)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
    a  accounts;
BEGIN
    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        RETURN NULL;
    END IF;

    a := account_open(s, p_kind);

    UPDATE accounts
       SET limit_amount = limit_amount + p_amount
     WHERE user_id = a.user_id
       AND kind = a.kind
       AND period_start = a.period_start
    RETURNING * INTO a;

    RETURN a.limit_amount;
END
$$;

CREATE FUNCTION addon_grant(p_user uuid, p_addon text, p_quantity integer)
RETURNS bigint
LANGUAGE sql AS $$
    SELECT usage_grant(p_user, kind, quantity * p_quantity)
      FROM addons
     WHERE id = p_addon
$$;


-- Nodes and leases.

-- A sign of life.  The first row is what the store thinks of the node: new,
-- seen, or reopened (its leases were taken while it was away, none may be
-- used); the others are leases to give back.

CREATE FUNCTION node_seen(p_incarnation uuid, p_name text)
RETURNS TABLE (state text, lease_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    n  nodes;
BEGIN
    -- a sweep that is about to give the node up is waited for: it is told

    SELECT * INTO n FROM nodes WHERE incarnation = p_incarnation
       FOR NO KEY UPDATE;

    INSERT INTO nodes (incarnation, name)
    VALUES (p_incarnation, p_name)
        ON CONFLICT (incarnation)
        DO UPDATE SET seen_at = now(), closed_at = NULL, name = p_name;

    state := CASE WHEN n.incarnation IS NULL THEN 'new'
                  WHEN n.closed_at IS NOT NULL THEN 'reopened'
                  ELSE 'seen' END;
    RETURN NEXT;

    -- it holds no account, so it must not wait for a lease

    RETURN QUERY
    UPDATE leases
       SET recalled_at = NULL
     WHERE id IN (SELECT id
                    FROM leases
                   WHERE incarnation = p_incarnation
                     AND recalled_at IS NOT NULL
                     AND closed_at IS NULL
                     FOR UPDATE SKIP LOCKED)
    RETURNING 'recalled', id;
END
$$;

-- Moves an amount from free to leased: "need", and up to "want" while that
-- is no more than an eighth of what is free, so that the last of an account
-- is not stranded on one node.  Where less than "need" is free it takes that.

CREATE FUNCTION lease_acquire(p_incarnation uuid, p_node text, p_lease uuid,
    p_user uuid, p_kind integer, p_need bigint, p_want bigint)
RETURNS lease_reply
LANGUAGE plpgsql AS $$
DECLARE
    s     subscriptions;
    a     accounts;
    l     leases;
    r     lease_reply;
    free  bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM users
                    WHERE id = p_user AND status = 'active')
    THEN
        r.status := 'inactive';
        RETURN r;
    END IF;

    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        r.status := 'no_subscription';
        RETURN r;
    END IF;

    a := account_open(s, p_kind);

    SELECT * INTO l FROM leases WHERE id = p_lease;

    IF l.closed_at IS NOT NULL OR l.period_start <> a.period_start THEN
        r.status := 'retired';
        RETURN r;
    END IF;

    free := a.limit_amount - a.used - a.leased;

    r.taken := least(free, greatest(p_need, least(p_want, free / 8)));
    r.elsewhere := a.leased
                   - coalesce(l.granted - l.returned - l.settled, 0);

    IF r.taken > 0 THEN
        IF l.id IS NULL THEN
            INSERT INTO nodes (incarnation, name)
            VALUES (p_incarnation, p_node)
                ON CONFLICT DO NOTHING;
        END IF;

        INSERT INTO leases (id, incarnation, user_id, kind, period_start,
                            granted)
        VALUES (p_lease, p_incarnation, a.user_id, a.kind, a.period_start,
                r.taken)
            ON CONFLICT (id)
            DO UPDATE SET granted = leases.granted + r.taken,
                          changed_at = now()
        RETURNING * INTO l;

        UPDATE accounts
           SET leased = leased + r.taken
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
        RETURNING * INTO a;
    END IF;

    IF r.taken < p_need AND r.elsewhere > 0 THEN
        UPDATE leases
           SET recalled_at = now()
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
           AND closed_at IS NULL
           AND id <> p_lease;
    END IF;

    r.status := 'ok';
    r.granted := coalesce(l.granted, 0);
    r.returned := coalesce(l.returned, 0);
    r.settled := coalesce(l.settled, 0);
    r.used := a.used + a.debt;
    r.limit_amount := a.limit_amount;
    r.period_start := to_micros(a.period_start);
    r.period_end := to_micros(a.period_end);
    r.plan := a.plan_id;

    RETURN r;
END
$$;

-- Totals of leases as they are now; one that is not there is closed.

CREATE FUNCTION lease_read(p_leases uuid[]) RETURNS SETOF lease_totals
LANGUAGE sql STABLE AS $$
    SELECT g.id, l.user_id, coalesce(l.granted, 0), coalesce(l.returned, 0),
           coalesce(l.settled, 0), l.id IS NULL OR l.closed_at IS NOT NULL,
           a.used + a.debt, a.limit_amount
      FROM (SELECT DISTINCT unnest(p_leases) AS id) g
      LEFT JOIN leases l USING (id)
      LEFT JOIN accounts a USING (user_id, kind, period_start)
$$;

CREATE FUNCTION lease_lock(p_leases uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
       FROM accounts
      WHERE (user_id, kind, period_start)
            IN (SELECT user_id, kind, period_start
                  FROM leases
                 WHERE id = ANY (p_leases))
      ORDER BY user_id, kind, period_start
        FOR NO KEY UPDATE;
END
$$;

-- Takes in a node's totals of what it gave back: [{id, user_id, returned,
-- close}].  "close" ends a lease with which nothing is open any more.

CREATE FUNCTION lease_return(p_incarnation uuid, p_leases jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
DECLARE
    ids  uuid[];
BEGIN
    ids := ARRAY(SELECT (e ->> 'id')::uuid
                   FROM jsonb_array_elements(p_leases) e);

    PERFORM lease_lock(ids);

    WITH given AS (
        SELECT l.*,
               least(greatest(l.returned, g.returned),
                     l.granted - l.settled) AS total,
               g.close
          FROM jsonb_to_recordset(p_leases)
               AS g(id uuid, returned bigint, close boolean)
          JOIN leases l USING (id)
         WHERE l.incarnation = p_incarnation
           AND l.closed_at IS NULL
    ), changed AS (
        UPDATE leases l
           SET returned = g.total,
               changed_at = now(),
               closed_at = CASE WHEN g.close AND l.granted
                                               = g.total + l.settled
                                THEN now() END
          FROM given g
         WHERE l.id = g.id
    )
    UPDATE accounts a
       SET leased = a.leased - g.part
      FROM (SELECT user_id, kind, period_start,
                   sum(total - returned) AS part
              FROM given
             GROUP BY user_id, kind, period_start) g
     WHERE a.user_id = g.user_id
       AND a.kind = g.kind
       AND a.period_start = g.period_start
       AND g.part > 0;

    RETURN QUERY SELECT * FROM lease_read(ids);
END
$$;

-- Closes leases: all that is not settled goes back.  Events that come later
-- find no lease and are used or debt.

CREATE FUNCTION lease_close(p_leases uuid[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint;
BEGIN
    PERFORM lease_lock(p_leases);

    WITH given AS (
        SELECT *, granted - returned - settled AS part
          FROM leases
         WHERE id = ANY (p_leases)
           AND closed_at IS NULL
    ), closed AS (
        UPDATE leases l
           SET returned = l.returned + g.part,
               changed_at = now(),
               closed_at = now()
          FROM given g
         WHERE l.id = g.id
        RETURNING l.id
    ), given_back AS (
        UPDATE accounts a
           SET leased = a.leased - g.part
          FROM (SELECT user_id, kind, period_start, sum(part) AS part
                  FROM given
                 GROUP BY user_id, kind, period_start) g
         WHERE a.user_id = g.user_id
           AND a.kind = g.kind
           AND a.period_start = g.period_start
           AND g.part > 0
    )
    SELECT count(*) INTO n FROM closed;

    RETURN n;
END
$$;

-- Open leases of a node that nothing has touched for a while, for a node to
-- compare with what it knows.

CREATE FUNCTION node_leases(p_incarnation uuid) RETURNS SETOF lease_totals
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM lease_read(ARRAY(SELECT id
                              FROM leases
                             WHERE incarnation = p_incarnation
                               AND closed_at IS NULL
                               AND changed_at < now() - interval '20 seconds'
                             ORDER BY changed_at
                             LIMIT 1000))
$$;

-- The journal of a dead node was replayed to its end.

CREATE FUNCTION node_close(p_incarnation uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint;
BEGIN
    PERFORM 1 FROM nodes WHERE incarnation = p_incarnation
        FOR NO KEY UPDATE;

    n := lease_close(ARRAY(SELECT id
                             FROM leases
                            WHERE incarnation = p_incarnation
                              AND closed_at IS NULL));

    UPDATE nodes SET closed_at = now() WHERE incarnation = p_incarnation;

    RETURN n;
END
$$;

-- Closes the leases of nodes that gave no sign of life for "ttl".  A node
-- stops spending before that by itself (pulse_lease_ttl).  While the store
-- was away nobody could be seen, so the clock starts with it.

CREATE FUNCTION lease_sweep(ttl interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone  uuid[];
    n     bigint;
BEGIN
    IF pg_postmaster_start_time() > now() - ttl THEN
        RETURN 0;
    END IF;

    -- one that is seen while its leases go must hear of it

    gone := ARRAY(SELECT incarnation
                    FROM nodes
                   WHERE seen_at < now() - ttl
                   ORDER BY incarnation
                     FOR NO KEY UPDATE);

    n := lease_close(ARRAY(SELECT id
                             FROM leases
                            WHERE incarnation = ANY (gone)
                              AND closed_at IS NULL));

    UPDATE nodes
       SET closed_at = now()
     WHERE incarnation = ANY (gone)
       AND closed_at IS NULL;

    RETURN n;
END
$$;


-- Records a batch of events: each once, whatever is sent how often.  Those
-- of accounts that are gone with their user are left out.

CREATE FUNCTION usage_record(p_incarnation uuid, p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
DECLARE
    entries  usage_entry[];
BEGIN
    entries := ARRAY(SELECT e
                       FROM jsonb_populate_recordset(NULL::usage_entry,
                                                     p_events) e);

    PERFORM 1
       FROM accounts
      WHERE (user_id, kind, period_start)
            IN (SELECT e.user_id, e.kind, from_micros(e.period)
                  FROM unnest(entries) e)
      ORDER BY user_id, kind, period_start
        FOR NO KEY UPDATE;

    WITH added AS (
        INSERT INTO usage_events (id, lease_id, user_id, kind, period_start,
                                  amount, reserved, input, cached, output,
                                  reasoning, estimated, model, provider,
                                  trace_id, created_at)
        SELECT e.id, e.lease_id, a.user_id, a.kind, a.period_start,
               e.amount, e.reserved, e.input, e.cached, e.output,
               e.reasoning, e.estimated, e.model, e.provider, e.trace_id,
               from_micros(e.created * 1000)
          FROM unnest(entries) e
          JOIN accounts a
            ON a.user_id = e.user_id
           AND a.kind = e.kind
           AND a.period_start = from_micros(e.period)
            ON CONFLICT (id) DO NOTHING
        RETURNING id, user_id, kind, period_start, amount
    ), spent AS (
        SELECT e.lease_id, sum(e.settled) AS settled
          FROM added
          JOIN (SELECT DISTINCT ON (id) * FROM unnest(entries)) e USING (id)
         GROUP BY e.lease_id
    ), parts AS (
        UPDATE leases l
           SET settled = l.settled
                         + least(s.settled,
                                 l.granted - l.returned - l.settled),
               changed_at = now()
          FROM (SELECT s.settled, o.id, o.settled AS before
                  FROM spent s
                  JOIN leases o ON o.id = s.lease_id) s
         WHERE l.id = s.id
           AND l.closed_at IS NULL
        RETURNING l.user_id, l.kind, l.period_start,
                  l.settled - s.before AS part
    )
    UPDATE accounts a
       SET used = a.used + t.part,
           leased = a.leased - t.part,
           debt = a.debt + t.amount - t.part
      FROM (SELECT n.user_id, n.kind, n.period_start, n.amount,
                   coalesce(p.part, 0) AS part
              FROM (SELECT user_id, kind, period_start,
                           sum(amount)::bigint AS amount
                      FROM added
                     GROUP BY user_id, kind, period_start) n
              LEFT JOIN (SELECT user_id, kind, period_start,
                                sum(part)::bigint AS part
                           FROM parts
                          GROUP BY user_id, kind, period_start) p
             USING (user_id, kind, period_start)) t
     WHERE a.user_id = t.user_id
       AND a.kind = t.kind
       AND a.period_start = t.period_start;

    RETURN QUERY
    SELECT *
      FROM lease_read(ARRAY(SELECT e.lease_id FROM unnest(entries) e));
END
$$;

-- Differences between the accounts and what they are made of; none is right.

CREATE FUNCTION usage_audit()
RETURNS TABLE (what text, user_id uuid, kind smallint,
               period_start timestamptz, account bigint, parts bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'used', a.user_id, a.kind, a.period_start, a.used + a.debt,
           coalesce(e.amount, 0)::bigint
      FROM accounts a
      LEFT JOIN (SELECT user_id, kind, period_start, sum(amount) AS amount
                   FROM usage_events
                  GROUP BY user_id, kind, period_start) e
     USING (user_id, kind, period_start)
     WHERE a.used + a.debt <> coalesce(e.amount, 0)

     UNION ALL

    SELECT 'leased', a.user_id, a.kind, a.period_start, a.leased,
           coalesce(l.amount, 0)::bigint
      FROM accounts a
      LEFT JOIN (SELECT user_id, kind, period_start,
                        sum(granted - returned - settled) AS amount
                   FROM leases
                  WHERE closed_at IS NULL
                  GROUP BY user_id, kind, period_start) l
     USING (user_id, kind, period_start)
     WHERE a.leased <> coalesce(l.amount, 0)
$$;


-- Endpoints: each is one row (status, code, data), see
-- ngx_http_pulse_call_pg().

-- A printed price; currencies differ in their minor units (ISO 4217).

CREATE FUNCTION price_text(amount bigint, currency text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE
           WHEN currency IN ('JOD', 'KWD', 'BHD', 'OMR', 'TND', 'LYD', 'IQD')
           THEN amount / 1000 || '.' || lpad((amount % 1000)::text, 3, '0')
           WHEN currency IN ('JPY', 'KRW')
           THEN amount::text
           ELSE amount / 100 || '.' || lpad((amount % 100)::text, 2, '0')
           END
$$;

CREATE FUNCTION plan_json(p plans, p_locale text) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', p.id,
        'name', CASE p_locale WHEN 'en' THEN p.name_en ELSE p.name_ar END,
        'amount', p.amount,
        'currency', p.currency,
        'price', price_text(p.amount, p.currency),
        'period', CASE WHEN p.period = interval '1 month' THEN 'month'
                  ELSE extract(day FROM p.period) || ' days' END,
        'once', p.once,
        'limits', json_build_object('tokens', p.tokens, 'images', p.images,
                                    'videos', p.videos),
        'features', p.features)
$$;

CREATE FUNCTION usage_plans(p_locale text,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text, json_build_object(
        'plans', (SELECT coalesce(json_agg(plan_json(p, p_locale)
                                           ORDER BY position), '[]')
                    FROM plans p
                   WHERE active),
        'addons', (SELECT coalesce(json_agg(json_build_object(
                              'id', id,
                              'type', kind_name(kind),
                              'quantity', quantity,
                              'amount', amount,
                              'currency', currency,
                              'price', price_text(amount, currency))
                              ORDER BY position), '[]')
                     FROM addons))::text
$$;

CREATE FUNCTION usage_plan(p_id text, p_locale text,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p  plans;
BEGIN
    SELECT * INTO p FROM plans WHERE id = p_id AND active;

    IF NOT FOUND THEN
        status := 404;
        code := 'NOT_FOUND';
        RETURN;
    END IF;

    status := 200;
    data := plan_json(p, p_locale)::text;
END
$$;

-- What a person has used of the running period.  The asking node passes the
-- totals of its leases, [{id, settled, free}], so that what it has not sent
-- yet is counted, once, and "reserved" is what requests hold and not what
-- nodes keep at hand.

CREATE FUNCTION usage_state(p_subscription subscriptions, p_leases jsonb)
RETURNS TABLE (kind integer, used bigint, reserved bigint, limit_amount bigint)
LANGUAGE sql STABLE AS $$
    SELECT k.kind, u.used + n.unsent,
           greatest(coalesce(a.leased, 0) - n.unsent - n.free, 0),
           coalesce(a.limit_amount,
                    (ARRAY[p.tokens, p.images, p.videos])[k.kind + 1])
      FROM generate_series(0, 2) AS k(kind)
      JOIN plans p ON p.id = p_subscription.plan_id
      LEFT JOIN accounts a
        ON a.user_id = p_subscription.user_id
       AND a.kind = k.kind
       AND a.period_start = p_subscription.period_start
     CROSS JOIN LATERAL (SELECT coalesce(a.used + a.debt, 0) AS used) u
     CROSS JOIN LATERAL (
        SELECT coalesce(sum(greatest(g.settled - l.settled, 0)), 0)::bigint
                   AS unsent,
               coalesce(sum(g.free), 0)::bigint AS free
          FROM jsonb_to_recordset(p_leases)
               AS g(id uuid, settled bigint, free bigint)
          JOIN leases l USING (id)
         WHERE l.user_id = a.user_id
           AND l.kind = a.kind
           AND l.period_start = a.period_start
           AND l.closed_at IS NULL) n
     ORDER BY k.kind
$$;

CREATE FUNCTION usage_me(p_user uuid, p_locale text, p_leases jsonb,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s  subscriptions;
BEGIN
    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        status := 402;
        code := 'NO_SUBSCRIPTION';
        RETURN;
    END IF;

    SELECT 200,
           json_build_object(
               'period', json_build_object('start', rfc3339(s.period_start),
                                           'end', rfc3339(s.period_end)),
               'plan', (SELECT json_build_object(
                                   'id', p.id,
                                   'name', CASE p_locale WHEN 'en'
                                           THEN p.name_en
                                           ELSE p.name_ar END,
                                   'limits', json_object_agg(
                                       kind_name(u.kind), u.limit_amount))
                          FROM plans p
                         WHERE p.id = s.plan_id),
               'usage', json_object_agg(kind_name(u.kind), json_build_object(
                   'used', u.used,
                   'reserved', u.reserved,
                   'remaining', greatest(u.limit_amount - u.used, 0),
                   'limit', u.limit_amount,
                   'percentage', CASE WHEN u.limit_amount > 0
                                 THEN round(100.0 * u.used / u.limit_amount,
                                            1)
                                 ELSE 100 END)),
               'warnings', json_object_agg(kind_name(u.kind),
                   u.limit_amount > 0
                   AND u.used >= u.limit_amount - u.limit_amount / 5)
           )::text
      INTO status, data
      FROM usage_state(s, p_leases) u;
END
$$;

-- Whether an amount could be spent now; it reserves nothing.

CREATE FUNCTION usage_check(p_user uuid, p_resource text, p_amount bigint,
    p_leases jsonb, OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s  subscriptions;
    u  record;
BEGIN
    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        status := 200;
        data := json_build_object('allowed', false, 'used', 0, 'limit', 0,
                                  'remaining', 0,
                                  'reason', 'NO_SUBSCRIPTION')::text;
        RETURN;
    END IF;

    SELECT *, greatest(limit_amount - used, 0) AS remaining
      INTO u
      FROM usage_state(s, p_leases)
     WHERE kind = kind_number(p_resource);

    status := 200;
    data := json_strip_nulls(json_build_object(
                'allowed', p_amount <= u.remaining,
                'used', u.used,
                'limit', u.limit_amount,
                'remaining', u.remaining,
                'reason', CASE WHEN p_amount > u.remaining
                          THEN 'QUOTA_EXCEEDED' END))::text;
END
$$;

-- Use that was metered elsewhere: straight into the store, once for each
-- event.  It has happened, so what passes the limit is debt.

CREATE FUNCTION usage_log(p_user uuid, p_resource text, p_amount bigint,
    p_model text, p_event uuid, p_metadata jsonb,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql AS $$
DECLARE
    s      subscriptions;
    a      accounts;
    e      usage_events;
    added  boolean;
BEGIN
    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        status := CASE WHEN EXISTS (SELECT FROM users WHERE id = p_user)
                  THEN 402 ELSE 404 END;
        code := CASE status WHEN 402 THEN 'NO_SUBSCRIPTION'
                ELSE 'NOT_FOUND' END;
        RETURN;
    END IF;

    a := account_open(s, kind_number(p_resource));

    INSERT INTO usage_events (id, user_id, kind, period_start, amount, model,
                              source, metadata)
    VALUES (p_event, p_user, a.kind, a.period_start, p_amount, p_model,
            'log', p_metadata)
        ON CONFLICT (id) DO NOTHING;

    added := FOUND;

    IF added THEN
        UPDATE accounts
           SET debt = debt + p_amount
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
        RETURNING * INTO a;

    ELSE
        SELECT * INTO e FROM usage_events WHERE id = p_event;

        IF e.user_id <> p_user OR e.kind <> a.kind OR e.amount <> p_amount
        THEN
            status := 409;
            code := 'IDEMPOTENCY_MISMATCH';
            RETURN;
        END IF;
    END IF;

    status := 200;
    data := json_build_object(
                'event_id', p_event,
                'duplicate', NOT added,
                'used', a.used + a.debt,
                'limit', a.limit_amount,
                'remaining', greatest(a.limit_amount - a.used - a.debt, 0)
            )::text;
END
$$;

-- A time of a query string: NULL where it is none.

CREATE FUNCTION time_argument(p_text text) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_text !~ ('^\d{4}-\d\d-\d\d'
                  '(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$')
    THEN
        RETURN NULL;
    END IF;

    RETURN CASE length(p_text) WHEN 10 THEN (p_text || 'T00:00Z')
           ELSE p_text END::timestamptz;

EXCEPTION
    WHEN data_exception THEN
        RETURN NULL;
END
$$;

-- Sums by UTC day or by model; the 30 days up to now where nothing is said.

CREATE FUNCTION usage_history(p_user uuid, p_from text, p_to text,
    p_by text, OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    until  timestamptz := coalesce(time_argument(p_to), now());
    since  timestamptz := coalesce(time_argument(p_from),
                                   until - interval '30 days');
    field  text;
BEGIN
    field := CASE
             WHEN p_from IS NOT NULL AND time_argument(p_from) IS NULL
             THEN '/from'
             WHEN p_to IS NOT NULL AND time_argument(p_to) IS NULL
             THEN '/to'
             WHEN coalesce(p_by, 'day') NOT IN ('day', 'model')
             THEN '/by'
             WHEN since >= until OR until - since > interval '366 days'
             THEN '/from'
             END;

    IF field IS NOT NULL THEN
        status := 400;
        code := 'INVALID_REQUEST';
        data := json_build_object('field', field)::text;
        RETURN;
    END IF;

    SELECT 200, json_build_object(
               'from', rfc3339(since),
               'to', rfc3339(until),
               'by', coalesce(p_by, 'day'),
               'series', coalesce(json_agg(h ORDER BY h.key), '[]'))::text
      INTO status, data
      FROM (SELECT CASE p_by WHEN 'model' THEN coalesce(model, 'unknown')
                   ELSE to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                   END AS key,
                   count(*) AS requests,
                   coalesce(sum(amount) FILTER (WHERE kind = 0), 0) AS tokens,
                   coalesce(sum(amount) FILTER (WHERE kind = 1), 0) AS images,
                   coalesce(sum(amount) FILTER (WHERE kind = 2), 0) AS videos,
                   coalesce(sum(input), 0) AS input_tokens,
                   coalesce(sum(output), 0) AS output_tokens
              FROM usage_events
             WHERE user_id = p_user
               AND created_at >= since
               AND created_at < until
             GROUP BY 1) h;
END
$$;

CREATE FUNCTION event_json(e usage_events) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', e.id,
        'resource', kind_name(e.kind),
        'amount', e.amount,
        'input_tokens', e.input,
        'cached_tokens', e.cached,
        'output_tokens', e.output,
        'reasoning_tokens', e.reasoning,
        'estimated', e.estimated,
        'model', e.model,
        'provider', e.provider,
        'trace_id', e.trace_id,
        'source', e.source,
        'period_start', rfc3339(e.period_start),
        'created_at', rfc3339(e.created_at))
$$;

-- The ledger's rows, the newest first, 50 at a time; the cursor is the id
-- of the last one seen.

CREATE FUNCTION usage_events_page(p_user uuid, p_cursor uuid,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c  usage_events;
BEGIN
    IF p_cursor IS NOT NULL THEN
        SELECT * INTO c FROM usage_events
         WHERE id = p_cursor AND user_id = p_user;

        IF NOT FOUND THEN
            status := 400;
            code := 'INVALID_REQUEST';
            data := '{"field":"/cursor"}';
            RETURN;
        END IF;
    END IF;

    WITH page AS (
        SELECT e, row_number() OVER (ORDER BY created_at DESC, id DESC) AS n
          FROM usage_events e
         WHERE user_id = p_user
           AND (c.id IS NULL OR (created_at, id) < (c.created_at, c.id))
         ORDER BY created_at DESC, id DESC
         LIMIT 51
    )
    SELECT 200, json_build_object(
               'events', coalesce(json_agg(event_json(e) ORDER BY n)
                                  FILTER (WHERE n <= 50), '[]'),
               'next_cursor', CASE WHEN count(*) > 50
                              THEN (SELECT (e).id FROM page WHERE n = 50)
                              END)::text
      INTO status, data
      FROM page;
END
$$;

CREATE FUNCTION usage_event(p_user uuid, p_id uuid,
    OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    e  usage_events;
BEGIN
    SELECT * INTO e FROM usage_events WHERE id = p_id AND user_id = p_user;

    IF NOT FOUND THEN
        status := 404;
        code := 'NOT_FOUND';
        RETURN;
    END IF;

    status := 200;
    data := event_json(e)::text;
END
$$;
