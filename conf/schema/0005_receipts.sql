-- Receipts: what an answer consisted of, what it cost us, and what of it the
-- reservation did not cover.

ALTER TABLE usage_events
    ADD COLUMN cache_write bigint NOT NULL DEFAULT 0,
    ADD COLUMN price bigint CHECK (price >= 0),
    ADD COLUMN debt bigint NOT NULL DEFAULT 0 CHECK (debt >= 0);

COMMENT ON COLUMN usage_events.price IS 'nano-USD; NULL: not known';
COMMENT ON COLUMN usage_events.debt IS
    'what the provider charged beyond the reservation, paid since or not';

ALTER TYPE usage_entry ADD ATTRIBUTE cache_write bigint;
ALTER TYPE usage_entry ADD ATTRIBUTE price bigint;
ALTER TYPE usage_entry ADD ATTRIBUTE canceled boolean;

-- Debt that a period could not pay is the next one's: it moves, and both
-- sides say so.

ALTER TABLE accounts
    ADD COLUMN carried_in bigint NOT NULL DEFAULT 0 CHECK (carried_in >= 0),
    ADD COLUMN carried_out bigint NOT NULL DEFAULT 0
        CHECK (carried_out >= 0);

CREATE INDEX accounts_debt ON accounts (user_id, kind) WHERE debt > 0;


CREATE OR REPLACE FUNCTION usage_record(p_incarnation uuid, p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
DECLARE
    entries  usage_entry[];
BEGIN
    entries := ARRAY(SELECT e
                       FROM jsonb_populate_recordset(NULL::usage_entry,
                                                     p_events) e
                      WHERE e.canceled IS NOT TRUE);

    PERFORM 1
       FROM accounts
      WHERE (user_id, kind, period_start)
            IN (SELECT e.user_id, e.kind, from_micros(e.period)
                  FROM unnest(entries) e)
      ORDER BY user_id, kind, period_start
        FOR NO KEY UPDATE;

    WITH added AS (
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

-- The account of a subscription's period, made at its first use.  What older
-- periods still owe comes along, also what turned up after they ended.

CREATE OR REPLACE FUNCTION account_open(p_subscription subscriptions,
    p_kind integer)
RETURNS accounts
LANGUAGE plpgsql AS $$
DECLARE
    a     accounts;
    owed  bigint;
BEGIN
    owed := account_settle_old(p_subscription, p_kind);

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

    IF owed > 0 THEN
        UPDATE accounts
           SET debt = debt + owed,
               carried_in = carried_in + owed
         WHERE user_id = a.user_id
           AND kind = a.kind
           AND period_start = a.period_start
        RETURNING * INTO a;
    END IF;

    RETURN a;
END
$$;

-- Takes what is owed out of the periods before this one; all accounts are
-- locked in the order of their keys, this one last.

CREATE FUNCTION account_settle_old(p_subscription subscriptions,
    p_kind integer)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    owed  bigint;
BEGIN
    IF NOT EXISTS (SELECT
                     FROM accounts
                    WHERE user_id = p_subscription.user_id
                      AND kind = p_kind
                      AND debt > 0
                      AND period_start < p_subscription.period_start)
    THEN
        RETURN 0;
    END IF;

    PERFORM 1
       FROM accounts
      WHERE user_id = p_subscription.user_id
        AND kind = p_kind
        AND period_start < p_subscription.period_start
      ORDER BY period_start
        FOR NO KEY UPDATE;

    WITH old AS (
        SELECT user_id, kind, period_start, debt AS part
          FROM accounts
         WHERE user_id = p_subscription.user_id
           AND kind = p_kind
           AND debt > 0
           AND period_start < p_subscription.period_start
    ), moved AS (
        UPDATE accounts a
           SET debt = 0,
               carried_out = a.carried_out + old.part
          FROM old
         WHERE a.user_id = old.user_id
           AND a.kind = old.kind
           AND a.period_start = old.period_start
        RETURNING old.part
    )
    SELECT coalesce(sum(part), 0) INTO owed FROM moved;

    RETURN owed;
END
$$;

-- Differences between the accounts and what they are made of; none is right.

CREATE OR REPLACE FUNCTION usage_audit()
RETURNS TABLE (what text, user_id uuid, kind smallint,
               period_start timestamptz, account bigint, parts bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'used', a.user_id, a.kind, a.period_start,
           a.used + a.debt + a.carried_out,
           coalesce(e.amount, 0)::bigint + a.carried_in
      FROM accounts a
      LEFT JOIN (SELECT user_id, kind, period_start, sum(amount) AS amount
                   FROM usage_events
                  GROUP BY user_id, kind, period_start) e
     USING (user_id, kind, period_start)
     WHERE a.used + a.debt + a.carried_out
           <> coalesce(e.amount, 0) + a.carried_in

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

     UNION ALL

    -- what left one period of a person came to another

    SELECT 'carried', c.user_id, c.kind, NULL, c.gone, c.come
      FROM (SELECT user_id, kind, sum(carried_out)::bigint AS gone,
                   sum(carried_in)::bigint AS come
              FROM accounts
             GROUP BY user_id, kind) c
     WHERE c.gone <> c.come
$$;

-- The audit for an operator: totals, differences, and who owes.

CREATE FUNCTION usage_audit_report(OUT status integer, OUT code text,
    OUT data text)
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
        'accounts', (SELECT count(*) FROM accounts),
        'events', (SELECT count(*) FROM usage_events),
        'estimated', (SELECT count(*) FROM usage_events WHERE estimated),
        'unpriced', (SELECT count(*) FROM usage_events
                      WHERE price IS NULL AND source = 'gateway'),
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


DROP FUNCTION usage_me(uuid, text, jsonb);
DROP FUNCTION usage_check(uuid, text, bigint, jsonb);
DROP FUNCTION usage_state(subscriptions, jsonb);

-- What a person has used of the running period.  The asking node passes the
-- totals of its leases, [{id, settled, free}], so that what it has not sent
-- yet is counted, once, and "reserved" is what requests hold and not what
-- nodes keep at hand.  "debt" is the part of "used" that nothing pays yet.

CREATE FUNCTION usage_state(p_subscription subscriptions, p_leases jsonb)
RETURNS TABLE (kind integer, used bigint, reserved bigint,
               limit_amount bigint, debt bigint, carried bigint)
LANGUAGE sql STABLE AS $$
    SELECT k.kind, u.used + n.unsent,
           greatest(coalesce(a.leased, 0) - n.unsent - n.free, 0),
           coalesce(a.limit_amount,
                    (ARRAY[p.tokens, p.images, p.videos])[k.kind + 1]),
           coalesce(a.debt, 0) + o.debt,
           coalesce(a.carried_in, 0) + o.debt
      FROM generate_series(0, 2) AS k(kind)
      JOIN plans p ON p.id = p_subscription.plan_id
      LEFT JOIN accounts a
        ON a.user_id = p_subscription.user_id
       AND a.kind = k.kind
       AND a.period_start = p_subscription.period_start
     CROSS JOIN LATERAL (
        SELECT coalesce(sum(old.debt), 0)::bigint AS debt
          FROM accounts old
         WHERE old.user_id = p_subscription.user_id
           AND old.kind = k.kind
           AND old.debt > 0
           AND old.period_start < p_subscription.period_start) o
     CROSS JOIN LATERAL (
        SELECT coalesce(a.used + a.debt, 0) + o.debt AS used) u
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
                                 ELSE 100 END,
                   'debt', u.debt,
                   'carried', u.carried)),
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

CREATE OR REPLACE FUNCTION event_json(e usage_events) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'id', e.id,
        'status', 'settled',
        'resource', kind_name(e.kind),
        'amount', e.amount,
        'reserved', e.reserved,
        'debt', e.debt,
        'input_tokens', e.input,
        'cached_tokens', e.cached,
        'cache_write_tokens', e.cache_write,
        'output_tokens', e.output,
        'reasoning_tokens', e.reasoning,
        'estimated', e.estimated,
        'price', CASE WHEN e.price IS NOT NULL
                 THEN json_build_object('amount', e.price,
                                        'unit', 'nano-USD') END,
        'model', e.model,
        'provider', e.provider,
        'trace_id', e.trace_id,
        'source', e.source,
        'period_start', rfc3339(e.period_start),
        'created_at', rfc3339(e.created_at))
$$;
