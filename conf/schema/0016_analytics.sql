-- What was used, by day and by month in UTC, summed up by jobs.  A span is
-- computed as a whole, so that to do it again changes nothing.

CREATE TABLE analytics_usage (
    span          text NOT NULL CHECK (span IN ('day', 'month')),
    start         date NOT NULL,
    kind          smallint NOT NULL,
    plan_id       text NOT NULL,
    provider      text NOT NULL,
    model         text NOT NULL,
    users         bigint NOT NULL,
    requests      bigint NOT NULL,
    estimated     bigint NOT NULL,
    amount        numeric NOT NULL,
    input         numeric NOT NULL,
    cached        numeric NOT NULL,
    output        numeric NOT NULL,
    reasoning     numeric NOT NULL,
    price         numeric NOT NULL,
    unpriced      bigint NOT NULL,
    PRIMARY KEY (span, start, kind, plan_id, provider, model)
);

COMMENT ON COLUMN analytics_usage.estimated IS 'of the requests';
COMMENT ON COLUMN analytics_usage.price IS 'nano-USD, what providers take';
COMMENT ON COLUMN analytics_usage.unpriced IS 'requests that price lacks';

CREATE TABLE analytics_people (
    span          text NOT NULL CHECK (span IN ('day', 'month')),
    start         date NOT NULL,
    active        bigint NOT NULL,
    sign_ups      bigint NOT NULL,
    sign_ins      bigint NOT NULL,
    PRIMARY KEY (span, start)
);

COMMENT ON COLUMN analytics_people.active IS 'have used something';

-- Rows come in about this order, so that a range of blocks stands for a range
-- of time; a B-tree would cost each request.

CREATE INDEX usage_events_created ON usage_events USING brin (created_at)
    WITH (pages_per_range = 32);
CREATE INDEX usage_events_recorded ON usage_events USING brin (recorded_at)
    WITH (pages_per_range = 32);


CREATE FUNCTION analytics_start(p_day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT p_day::timestamp AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION analytics_refresh(p_span text, p_start date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    since  timestamptz := analytics_start(p_start);
    until  timestamptz := analytics_start((p_start + CASE p_span
                                           WHEN 'day' THEN interval '1 day'
                                           ELSE interval '1 month'
                                           END)::date);
BEGIN
    -- two that compute one span take turns

    PERFORM pg_advisory_xact_lock(hashtext('analytics'), hashtext(p_span));

    DELETE FROM analytics_usage WHERE span = p_span AND start = p_start;

    INSERT INTO analytics_usage
    SELECT p_span, p_start, e.kind, a.plan_id,
           coalesce(e.provider, ''), coalesce(e.model, ''),
           count(DISTINCT e.user_id), count(*),
           count(*) FILTER (WHERE e.estimated),
           sum(e.amount), sum(e.input), sum(e.cached), sum(e.output),
           sum(e.reasoning), coalesce(sum(e.price), 0),
           count(*) FILTER (WHERE e.price IS NULL)
      FROM usage_events e
      JOIN accounts a USING (user_id, kind, period_start)
     WHERE e.created_at >= since
       AND e.created_at < until
     GROUP BY e.kind, a.plan_id, coalesce(e.provider, ''),
              coalesce(e.model, '');

    -- sessions are forgotten in time: of them the first count stays

    INSERT INTO analytics_people
    SELECT p_span, p_start,
           (SELECT count(DISTINCT user_id) FROM usage_events
             WHERE created_at >= since AND created_at < until),
           (SELECT count(*) FROM users
             WHERE created_at >= since AND created_at < until),
           (SELECT count(*) FROM sessions
             WHERE created_at >= since AND created_at < until)
        ON CONFLICT (span, start)
        DO UPDATE SET active = excluded.active;
END
$$;

-- The day before, and what journals brought late of those before it: nodes
-- that were away have their events.  "recorded" looks back for longer than
-- a transaction may have been open.

CREATE FUNCTION analytics_daily(p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    day    date := (p_at AT TIME ZONE 'UTC')::date - 1;
    late   date[];
    month  date;
BEGIN
    late := ARRAY(SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date
                    FROM usage_events
                   WHERE recorded_at >= analytics_start(day - 1)
                     AND created_at < analytics_start(day)
                   ORDER BY 1);

    PERFORM analytics_refresh('day', d) FROM unnest(late || day) d;

    FOR month IN
        SELECT DISTINCT date_trunc('month', d)::date
          FROM unnest(late) d
         WHERE date_trunc('month', d) < date_trunc('month', day)
    LOOP
        PERFORM analytics_refresh('month', month);
    END LOOP;
END
$$;

CREATE FUNCTION analytics_monthly(p_at timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT analytics_refresh('month',
               (date_trunc('month', p_at AT TIME ZONE 'UTC')
                - interval '1 month')::date)
$$;

INSERT INTO job_schedules (kind, every, next_at, catch_up)
SELECT kind, every::interval,
       date_trunc(unit, now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
       + every::interval + past::interval, true
  FROM (VALUES ('analytics_daily', 'day', '1 day', '15 minutes'),
               ('analytics_monthly', 'month', '1 month', '45 minutes'))
       v (kind, unit, every, past);


-- For pulsectl.

CREATE FUNCTION admin_analytics(p_span text, p_limit integer)
RETURNS TABLE (start date, active bigint, sign_ups bigint, sign_ins bigint,
               requests bigint, tokens numeric, images numeric,
               videos numeric)
LANGUAGE sql STABLE AS $$
    SELECT p.start, p.active, p.sign_ups, p.sign_ins,
           coalesce(sum(u.requests), 0)::bigint,
           coalesce(sum(u.amount) FILTER (WHERE u.kind = 0), 0),
           coalesce(sum(u.amount) FILTER (WHERE u.kind = 1), 0),
           coalesce(sum(u.amount) FILTER (WHERE u.kind = 2), 0)
      FROM analytics_people p
      LEFT JOIN analytics_usage u USING (span, start)
     WHERE p.span = p_span
     GROUP BY p.start, p.active, p.sign_ups, p.sign_ins
     ORDER BY p.start DESC
     LIMIT coalesce(p_limit, 31)
$$;
