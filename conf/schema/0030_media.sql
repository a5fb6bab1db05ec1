-- The meter of images and videos.  The sidecar, which makes them, knows the
-- amount only when it has read the request, and a video outlives its request:
-- so no node reserves them.  A hold is a lease of its own whose id is the
-- event's, so that accounts, ledger and audit are those of tokens.

-- Holders are of no life that could end: no sweep of nodes takes their leases.

CREATE FUNCTION media_incarnation() RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT uuid '00000000-0000-4000-8000-006d65646961'
$$;

INSERT INTO nodes (incarnation, name, seen_at)
VALUES (media_incarnation(), 'media', 'infinity');

-- One row while the hold is open.

CREATE TABLE media_holds (
    id            uuid PRIMARY KEY REFERENCES leases ON DELETE CASCADE,
    deadline      timestamptz NOT NULL,
    came          bigint NOT NULL DEFAULT 0 CHECK (came >= 0),
    model         text,
    provider      text,
    trace_id      text
);

COMMENT ON COLUMN media_holds.came IS
    'how many its owner has for certain: what a sweep charges';

CREATE INDEX media_holds_deadline ON media_holds (deadline);

-- "state" of a settlement: settled, now or before; released, by whoever was
-- first, so that what came later is nobody's; gone with its user.

CREATE TYPE media_reply AS (
    status        integer,
    code          text,
    data          text,
    state         text,
    amount        bigint,
    used          bigint,
    limit_amount  bigint,
    warning       text
);


-- The kinds at or past 80 % of the period, as X-Usage-Warning has them.

CREATE FUNCTION usage_warning(p_user uuid, p_period timestamptz)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg(kind_name(kind), ', ' ORDER BY kind)
      FROM accounts
     WHERE user_id = p_user
       AND period_start = p_period
       AND limit_amount > 0
       AND used + debt >= limit_amount - limit_amount / 5
$$;

CREATE FUNCTION media_reply_usage(r media_reply, a accounts)
RETURNS media_reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    r.used := a.used + a.debt;
    r.limit_amount := a.limit_amount;
    r.warning := usage_warning(a.user_id, a.period_start);

    RETURN r;
END
$$;

-- Holds the whole amount or nothing.  The same hold taken again is the first
-- one, for whoever has lost the answer.

CREATE FUNCTION media_take(p_id uuid, p_user uuid, p_kind integer,
    p_amount bigint, p_lasts interval, p_model text, p_provider text,
    p_trace text)
RETURNS media_reply
LANGUAGE plpgsql AS $$
DECLARE
    s  subscriptions;
    a  accounts;
    r  media_reply;
BEGIN
    IF NOT EXISTS (SELECT FROM users
                    WHERE id = p_user AND status = 'active')
    THEN
        r.status := 403;
        r.code := 'FORBIDDEN';
        RETURN r;
    END IF;

    s := subscription_running(p_user);

    IF s.id IS NULL THEN
        r.status := 402;
        r.code := 'NO_SUBSCRIPTION';
        r.data := '{}';
        RETURN r;
    END IF;

    a := account_open(s, p_kind);

    IF EXISTS (SELECT FROM leases WHERE id = p_id AND user_id = p_user) THEN
        r.status := 200;
        RETURN media_reply_usage(r, a);
    END IF;

    IF p_amount > a.limit_amount - a.used - a.leased - a.debt THEN
        r.status := 402;
        r.code := 'QUOTA_EXCEEDED';
        r.data := json_build_object('resource', kind_name(p_kind),
                                    'used', a.used + a.debt,
                                    'reserved', a.leased,
                                    'limit', a.limit_amount,
                                    'reset_at', rfc3339(a.period_end));
        RETURN media_reply_usage(r, a);
    END IF;

    INSERT INTO leases (id, incarnation, user_id, kind, period_start, granted)
    VALUES (p_id, media_incarnation(), a.user_id, a.kind, a.period_start,
            p_amount);

    INSERT INTO media_holds (id, deadline, model, provider, trace_id)
    VALUES (p_id, now() + p_lasts, p_model, p_provider, p_trace);

    UPDATE accounts
       SET leased = leased + p_amount
     WHERE user_id = a.user_id
       AND kind = a.kind
       AND period_start = a.period_start
    RETURNING * INTO a;

    r.status := 200;

    RETURN media_reply_usage(r, a);
END
$$;

-- So many have come for certain, and the holder lives: false if the hold has
-- ended.

CREATE FUNCTION media_came(p_id uuid, p_came bigint, p_lasts interval)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    UPDATE media_holds
       SET came = greatest(came, p_came),
           deadline = now() + p_lasts
     WHERE id = p_id;

    RETURN FOUND;
END
$$;

-- Charges what came, never more than is held, and gives the rest back, once.
-- "details" are of the event: model, provider, price, input, output,
-- estimated and metadata, each of which may be missing.

CREATE FUNCTION media_settle(p_id uuid, p_amount bigint,
    p_details jsonb DEFAULT '{}')
RETURNS media_reply
LANGUAGE plpgsql AS $$
DECLARE
    l  leases;
    a  accounts;
    h  media_holds;
    r  media_reply;
BEGIN
    SELECT * INTO l FROM leases WHERE id = p_id;

    SELECT * INTO a
      FROM accounts
     WHERE user_id = l.user_id
       AND kind = l.kind
       AND period_start = l.period_start
       FOR NO KEY UPDATE;

    IF NOT FOUND THEN
        r.state := 'gone';
        RETURN r;
    END IF;

    SELECT * INTO l FROM leases WHERE id = p_id;
    DELETE FROM media_holds WHERE id = p_id RETURNING * INTO h;

    IF l.closed_at IS NOT NULL THEN
        r.state := CASE WHEN l.settled > 0 THEN 'settled'
                   ELSE 'released' END;
        r.amount := l.settled;
        RETURN media_reply_usage(r, a);
    END IF;

    r.amount := least(p_amount, l.granted);
    r.state := CASE WHEN r.amount > 0 THEN 'settled' ELSE 'released' END;

    INSERT INTO usage_events (id, lease_id, user_id, kind, period_start,
                              amount, reserved, input, output, estimated,
                              price, source, model, provider, trace_id,
                              metadata)
    SELECT p_id, p_id, l.user_id, l.kind, l.period_start, r.amount,
           l.granted, coalesce(d.input, 0), coalesce(d.output, 0),
           coalesce(d.estimated, false), d.price, 'media',
           coalesce(d.model, h.model), coalesce(d.provider, h.provider),
           h.trace_id, d.metadata
      FROM jsonb_to_record(p_details)
           AS d(model text, provider text, price bigint, input bigint,
                output bigint, estimated boolean, metadata jsonb)
     WHERE r.amount > 0;

    UPDATE leases
       SET settled = r.amount,
           returned = l.granted - r.amount,
           changed_at = now(),
           closed_at = now()
     WHERE id = p_id;

    UPDATE accounts
       SET leased = leased - l.granted,
           used = used + r.amount
     WHERE user_id = a.user_id
       AND kind = a.kind
       AND period_start = a.period_start
    RETURNING * INTO a;

    RETURN media_reply_usage(r, a);
END
$$;

CREATE FUNCTION media_release(p_id uuid) RETURNS media_reply
LANGUAGE sql AS $$
    SELECT media_settle(p_id, 0)
$$;

-- Ends holds whose deadline has passed: what is known to have come is
-- charged, since its owner has it, and nothing else.  Whoever held them is
-- told so when it settles, and hands out nothing.

CREATE FUNCTION media_sweep() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    h  record;
    n  bigint := 0;
BEGIN
    FOR h IN
        SELECT l.id, l.user_id, l.kind, l.period_start
          FROM (SELECT id
                  FROM media_holds
                 WHERE deadline <= now()
                 ORDER BY deadline
                 LIMIT 1000) d
          JOIN leases l USING (id)
         ORDER BY l.user_id, l.kind, l.period_start, l.id
    LOOP
        PERFORM 1
           FROM accounts
          WHERE user_id = h.user_id
            AND kind = h.kind
            AND period_start = h.period_start
            FOR NO KEY UPDATE;

        -- its holder may have moved the deadline meanwhile

        PERFORM media_settle(id, came, '{"estimated": true}')
           FROM (SELECT id, came
                   FROM media_holds
                  WHERE id = h.id
                    AND deadline <= now()
                    FOR UPDATE) late;

        IF FOUND THEN
            n := n + 1;
        END IF;
    END LOOP;

    RETURN n;
END
$$;

INSERT INTO job_schedules (kind, every, next_at)
VALUES ('holds', '1 minute', date_trunc('hour', now()));
