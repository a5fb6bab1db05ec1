-- The meter with a million accounts, a wait for what others hold that is
-- sure to be long enough, and events that are never to be charged.

-- Who pays what is asked of each first request: without this the plans of
-- all people are read for it.

CREATE INDEX subscriptions_user ON subscriptions (user_id, period_start);

-- Rows that change with each request stay on their pages, beside the indexes.

ALTER TABLE leases SET (fillfactor = 70);
ALTER TABLE accounts SET (fillfactor = 80);

-- Somebody was short of what others hold: until then nobody takes more than
-- the request at hand needs.

ALTER TABLE accounts ADD COLUMN short_until timestamptz;

-- Events that cost nothing for good, though a journal says that they began:
-- the end of one could not be written there, or its key was taken over from
-- a node that was given up.  That journal may be found at any time.

CREATE TABLE usage_void (
    event_id      uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL DEFAULT now()
);


-- Moves an amount from free to leased: "need", and up to "want" while that
-- is no more than an eighth of what is free, so that the last of an account
-- is not stranded on one node.  Where less than "need" is free it takes that;
-- less than "least" serves nobody and stays, for whoever it does serve.

CREATE FUNCTION lease_acquire(p_incarnation uuid, p_node text, p_lease uuid,
    p_user uuid, p_kind integer, p_need bigint, p_want bigint,
    p_least bigint)
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

    r.taken := CASE WHEN free < p_least THEN 0
               WHEN a.short_until > now() THEN least(free, p_need)
               ELSE least(free, greatest(p_need, least(p_want, free / 8)))
               END;
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
    END IF;

    IF r.taken < p_need AND r.elsewhere > 0 THEN
        UPDATE leases
           SET recalled_at = now()
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
           AND closed_at IS NULL
           AND id <> p_lease;

        a.short_until := now() + interval '3 seconds';
    END IF;

    IF r.taken > 0 OR a.short_until > now() THEN
        UPDATE accounts
           SET leased = leased + r.taken,
               short_until = a.short_until
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
        RETURNING * INTO a;
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

-- As nodes of an older version ask.

CREATE OR REPLACE FUNCTION lease_acquire(p_incarnation uuid, p_node text,
    p_lease uuid, p_user uuid, p_kind integer, p_need bigint, p_want bigint)
RETURNS lease_reply
LANGUAGE sql AS $$
    SELECT lease_acquire(p_incarnation, p_node, p_lease, p_user, p_kind,
                         p_need, p_want, 1)
$$;


-- A sign of life.  The first row is what the store thinks of the node (new,
-- seen, or reopened) and how often it gave the node up, whose leases of
-- before are gone then; the others are leases to give back, with whose they
-- are, the longest recalled first.

DROP FUNCTION node_seen(uuid, text);

CREATE FUNCTION node_seen(p_incarnation uuid, p_name text)
RETURNS TABLE (state text, given_up integer, lease_id uuid, user_id uuid)
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
    given_up := coalesce(n.given_up, 0);
    RETURN NEXT;

    -- it holds no account, so it must not wait for a lease

    RETURN QUERY
    UPDATE leases l
       SET recalled_at = NULL
     WHERE l.id IN (SELECT o.id
                      FROM leases o
                     WHERE o.incarnation = p_incarnation
                       AND o.recalled_at IS NOT NULL
                       AND o.closed_at IS NULL
                     ORDER BY o.recalled_at
                     LIMIT 1000
                       FOR UPDATE SKIP LOCKED)
    RETURNING 'recalled', 0, l.id, l.user_id;
END
$$;


-- What is added to accounts is summed up by account, no list of a batch is
-- joined with another, and leases are asked for by their ids alone: where
-- they are asked to be open too, all that are open are read.  So the time of
-- a statement is that of its events.

CREATE OR REPLACE FUNCTION usage_record_events(p_incarnation uuid,
    p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
DECLARE
    entries  usage_entry[];
    added    uuid[];
BEGIN
    entries := ARRAY(SELECT DISTINCT ON (e.id) e
                       FROM jsonb_populate_recordset(NULL::usage_entry,
                                                     p_events) e
                      WHERE e.canceled IS NOT TRUE
                        AND NOT EXISTS (SELECT
                                          FROM usage_void v
                                         WHERE v.event_id = e.id));

    PERFORM 1
       FROM accounts
      WHERE (user_id, kind, period_start)
            IN (SELECT e.user_id, e.kind, from_micros(e.period)
                  FROM unnest(entries) e)
      ORDER BY user_id, kind, period_start
        FOR NO KEY UPDATE;

    WITH new AS (
        INSERT INTO usage_events (id, lease_id, user_id, kind, period_start,
                                  amount, reserved, input, cached,
                                  cache_write, output, reasoning, estimated,
                                  price, debt, model, provider, trace_id,
                                  created_at)
        SELECT e.id, e.lease_id, a.user_id, a.kind, a.period_start,
               e.amount, e.reserved, e.input, e.cached,
               coalesce(e.cache_write, 0), e.output, e.reasoning,
               e.estimated, e.price, greatest(e.amount - e.reserved, 0),
               e.model, e.provider, e.trace_id,
               from_micros(e.created * 1000)
          FROM unnest(entries) e
          JOIN accounts a
            ON a.user_id = e.user_id
           AND a.kind = e.kind
           AND a.period_start = from_micros(e.period)
            ON CONFLICT (id) DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO added FROM new;

    WITH fresh AS (
        SELECT *
          FROM unnest(entries) e
         WHERE e.id = ANY (added)
    ), parts AS (
        UPDATE leases l
           SET settled = l.settled + s.part,
               changed_at = now()
          FROM (SELECT o.id,
                       CASE WHEN o.closed_at IS NULL
                       THEN least(f.settled,
                                  o.granted - o.returned - o.settled)
                       ELSE 0 END AS part
                  FROM (SELECT lease_id, sum(settled)::bigint AS settled
                          FROM fresh
                         GROUP BY lease_id) f
                  JOIN leases o ON o.id = f.lease_id) s
         WHERE l.id = s.id
           AND s.part > 0
        RETURNING l.user_id, l.kind, l.period_start, s.part
    )
    UPDATE accounts a
       SET used = a.used + t.part,
           leased = a.leased - t.part,
           debt = a.debt + t.amount - t.part
      FROM (SELECT u.user_id, u.kind, u.period_start,
                   sum(u.amount)::bigint AS amount,
                   sum(u.part)::bigint AS part
              FROM (SELECT f.user_id, f.kind,
                           from_micros(f.period) AS period_start,
                           f.amount, 0 AS part
                      FROM fresh f
                     UNION ALL
                    SELECT p.user_id, p.kind, p.period_start, 0, p.part
                      FROM parts p) u
             GROUP BY u.user_id, u.kind, u.period_start) t
     WHERE a.user_id = t.user_id
       AND a.kind = t.kind
       AND a.period_start = t.period_start;

    RETURN QUERY
    SELECT *
      FROM lease_read(ARRAY(SELECT e.lease_id FROM unnest(entries) e));
END
$$;

-- Takes in a node's totals of what it gave back: [{id, user_id, returned,
-- close}].  "close" ends a lease with which nothing is open any more.

CREATE OR REPLACE FUNCTION lease_return(p_incarnation uuid, p_leases jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
DECLARE
    ids  uuid[];
BEGIN
    ids := ARRAY(SELECT (e ->> 'id')::uuid
                   FROM jsonb_array_elements(p_leases) e);

    PERFORM lease_lock(ids);

    WITH found AS MATERIALIZED (
        SELECT l.*,
               least(greatest(l.returned, g.returned),
                     l.granted - l.settled) AS total,
               g.close
          FROM jsonb_to_recordset(p_leases)
               AS g(id uuid, returned bigint, close boolean)
          JOIN leases l USING (id)
    ), given AS MATERIALIZED (
        SELECT *
          FROM found
         WHERE incarnation = p_incarnation
           AND closed_at IS NULL
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
                   sum(total - returned)::bigint AS part
              FROM given
             GROUP BY user_id, kind, period_start) g
     WHERE a.user_id = g.user_id
       AND a.kind = g.kind
       AND a.period_start = g.period_start
       AND g.part > 0;

    RETURN QUERY SELECT * FROM lease_read(ids);
END
$$;


-- What the audit compares, summed up by what is metered: an operator sees
-- what was looked at, and not only that nothing was found.

CREATE FUNCTION usage_audit_totals()
RETURNS TABLE (resource text, accounts bigint, limit_amount bigint,
               used bigint, leased bigint, debt bigint, carried_in bigint,
               carried_out bigint, open_leases bigint, in_leases bigint,
               events bigint, amount bigint)
LANGUAGE sql STABLE AS $$
    SELECT kind_name(k.kind), a.accounts, a.limit_amount, a.used, a.leased,
           a.debt, a.carried_in, a.carried_out, l.leases, l.amount, e.events,
           e.amount
      FROM generate_series(0, 2) AS k(kind)
     CROSS JOIN LATERAL (
        SELECT count(*) AS accounts,
               coalesce(sum(limit_amount), 0)::bigint AS limit_amount,
               coalesce(sum(used), 0)::bigint AS used,
               coalesce(sum(leased), 0)::bigint AS leased,
               coalesce(sum(debt), 0)::bigint AS debt,
               coalesce(sum(carried_in), 0)::bigint AS carried_in,
               coalesce(sum(carried_out), 0)::bigint AS carried_out
          FROM accounts
         WHERE kind = k.kind) a
     CROSS JOIN LATERAL (
        SELECT count(*) AS leases,
               coalesce(sum(granted - returned - settled), 0)::bigint
                   AS amount
          FROM leases
         WHERE kind = k.kind
           AND closed_at IS NULL) l
     CROSS JOIN LATERAL (
        SELECT count(*) AS events,
               coalesce(sum(amount), 0)::bigint AS amount
          FROM usage_events
         WHERE kind = k.kind) e
     ORDER BY k.kind
$$;

-- The audit for an operator: totals, differences, and who owes; with what
-- the node that was asked has reserved, which the store does not know.

CREATE FUNCTION usage_audit_report(p_node text, p_open bigint,
    p_reserved bigint, OUT status integer, OUT code text, OUT data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text, json_build_object(
        'differences', (SELECT coalesce(json_agg(d), '[]')
                          FROM (SELECT what, user_id,
                                       kind_name(kind) AS resource,
                                       rfc3339(period_start) AS period_start,
                                       account, parts
                                  FROM usage_audit()
                                 ORDER BY 1, 2, 3, 4
                                 LIMIT 1000) d),
        'totals', (SELECT json_agg(t) FROM usage_audit_totals() t),
        'reservations', CASE WHEN p_node IS NOT NULL
                        THEN json_build_object('node', p_node,
                                               'open', p_open,
                                               'reserved', p_reserved) END,
        'accounts', (SELECT count(*) FROM accounts),
        'events', (SELECT count(*) FROM usage_events),
        'estimated', (SELECT count(*) FROM usage_events WHERE estimated),
        'unpriced', (SELECT count(*) FROM usage_events
                      WHERE price IS NULL AND source = 'gateway'),
        'void', (SELECT count(*) FROM usage_void),
        'open_leases', (SELECT count(*) FROM leases
                         WHERE closed_at IS NULL),
        'leased', (SELECT coalesce(sum(leased), 0) FROM accounts),
        'debt', (SELECT coalesce(sum(debt), 0) FROM accounts),
        'debtors', (SELECT coalesce(json_agg(d), '[]')
                      FROM (SELECT user_id, kind_name(kind) AS resource,
                                   rfc3339(period_start) AS period_start,
                                   debt
                              FROM accounts
                             WHERE debt > 0
                             ORDER BY debt DESC, user_id
                             LIMIT 100) d))::text
$$;


-- What a node that ends could not write to its journal: it says it here.
-- Its journal has only that these events began, and what never is to be
-- charged must outlive that.

CREATE FUNCTION usage_leave(p_incarnation uuid, p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_void (event_id)
    SELECT e.id
      FROM jsonb_populate_recordset(NULL::usage_entry, p_events) e
     WHERE e.canceled
        ON CONFLICT DO NOTHING;

    RETURN QUERY SELECT * FROM usage_record(p_incarnation, p_events);
END
$$;


-- The key of a node that was given up is taken over: whoever asks again need
-- not wait for a journal that may never be found.  What its event has cost is
-- nobody's then.

ALTER TABLE idempotency ADD COLUMN incarnation uuid;

CREATE FUNCTION idempotency_given_up(i idempotency) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT i.ended_at IS NULL
           AND i.status IS NULL
           AND EXISTS (SELECT
                         FROM nodes
                        WHERE incarnation = i.incarnation
                          AND closed_at IS NOT NULL)
           AND NOT EXISTS (SELECT
                             FROM usage_events
                            WHERE id = i.event_id)
$$;

CREATE OR REPLACE FUNCTION idempotency_over(i idempotency) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT i.created_at <= studio_now() - interval '24 hours'
           OR EXISTS (SELECT
                        FROM idempotency_void
                       WHERE event_id = i.event_id)
           OR (i.status IS NULL
               AND EXISTS (SELECT
                             FROM idempotency_document
                            WHERE event_id = i.event_id
                              AND created_at < now()
                                               - interval '10 minutes'))
           OR idempotency_given_up(i)
$$;

-- Claims a key for an event of a node: "claimed", or what is known of it.
-- The primary key decides who is first, the lock of its row who takes over.
-- A claim that was answered must outlive a crash, since the provider is
-- asked next.

CREATE FUNCTION idempotency_claim(p_user uuid, p_key text, p_hash bytea,
    p_event uuid, p_incarnation uuid)
RETURNS idempotency_reply
LANGUAGE plpgsql AS $$
DECLARE
    i  idempotency;
    r  idempotency_reply;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    INSERT INTO idempotency (user_id, key, hash, event_id, created_at,
                             incarnation)
    VALUES (p_user, p_key, p_hash, p_event, studio_now(), p_incarnation)
        ON CONFLICT (user_id, key) DO NOTHING;

    IF FOUND THEN
        r.state := 'claimed';
        RETURN r;
    END IF;

    SELECT * INTO i
      FROM idempotency
     WHERE user_id = p_user
       AND key = p_key
       FOR UPDATE;

    IF FOUND AND idempotency_over(i) THEN

        INSERT INTO usage_void (event_id)
        SELECT i.event_id
         WHERE idempotency_given_up(i)
            ON CONFLICT DO NOTHING;

        UPDATE idempotency
           SET hash = p_hash,
               event_id = p_event,
               created_at = studio_now(),
               incarnation = p_incarnation,
               ended_at = NULL,
               status = NULL,
               content_type = NULL,
               headers = NULL,
               body = NULL
         WHERE user_id = p_user
           AND key = p_key;

        r.state := 'claimed';
        RETURN r;
    END IF;

    RETURN idempotency_find(p_user, p_key, p_hash);
END
$$;

CREATE OR REPLACE FUNCTION idempotency_claim(p_user uuid, p_key text,
    p_hash bytea, p_event uuid)
RETURNS idempotency_reply
LANGUAGE sql AS $$
    SELECT idempotency_claim(p_user, p_key, p_hash, p_event, NULL)
$$;

-- Before events are looked at, so that none is charged whose key is taken
-- over at the same time.

CREATE FUNCTION idempotency_lock(p_events jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT p_events @? '$[*] ? (@.claimed == true)' THEN
        RETURN;
    END IF;

    PERFORM 1
       FROM idempotency
      WHERE event_id IN (SELECT e.id
                           FROM jsonb_populate_recordset(NULL::usage_entry,
                                                         p_events) e
                          WHERE e.claimed)
      ORDER BY user_id, key
        FOR UPDATE;
END
$$;

CREATE OR REPLACE FUNCTION usage_record(p_incarnation uuid, p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM idempotency_lock(p_events);

    RETURN QUERY SELECT * FROM usage_record_events(p_incarnation, p_events);

    PERFORM idempotency_end(p_events);
END
$$;
