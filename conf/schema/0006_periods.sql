-- Periods: counted from the day of activation, in the time zone of the plan.

-- The clock of the billing.  A test may set it, for its session alone, as
-- SET pulse.now = '2027-02-28T12:00Z'; nothing else sets it.

CREATE FUNCTION studio_now() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('pulse.now', true), '')
                    ::timestamptz, now())
$$;

CREATE FUNCTION zone_valid(p_zone text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = p_zone)
$$;

ALTER TABLE plans ADD COLUMN zone text NOT NULL DEFAULT 'UTC'
    CHECK (zone_valid(zone));

-- "anchor" is when the first period of a row began (NULL: this one did) and
-- "period" which one runs, from 0.  Each end is the anchor and so many months, never the last
-- end and one: 31 January, 28 February, 31 March.

ALTER TABLE subscriptions
    ADD COLUMN anchor timestamptz,
    ADD COLUMN period integer NOT NULL DEFAULT 0 CHECK (period >= 0),
    ADD COLUMN zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN next_plan text REFERENCES plans;

-- The end of period "n" of those that began at the anchor.  A day and an hour
-- of the zone's clock; one that a change of the clocks leaves out or repeats
-- is taken as Postgres takes it.

CREATE FUNCTION period_end_of(p_anchor timestamptz, p_period interval,
    p_zone text, n integer)
RETURNS timestamptz
LANGUAGE sql STABLE STRICT AS $$
    SELECT (p_anchor AT TIME ZONE p_zone + p_period * (n + 1))
           AT TIME ZONE p_zone
$$;

CREATE OR REPLACE FUNCTION subscription_running(p_user uuid)
RETURNS subscriptions
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM subscriptions
     WHERE user_id = p_user
       AND status IN ('active', 'cancelled')
       AND period_end > studio_now()
     ORDER BY period_start DESC
     LIMIT 1
$$;

-- Starts a plan now; what runs before it ends.  The same plan running is
-- left alone.  NULL if there is no such plan or it was had already and is
-- given once.

CREATE OR REPLACE FUNCTION subscription_start(p_user uuid, p_plan text)
RETURNS uuid
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

    SELECT greatest(studio_now(),
                    max(period_start) + interval '1 microsecond')
      INTO start
      FROM subscriptions
     WHERE user_id = p_user;

    INSERT INTO subscriptions (id, user_id, plan_id, status, anchor, zone,
                               period_start, period_end, renews_at)
    VALUES (gen_random_uuid(), p_user, p_plan, 'active', start, p.zone,
            start, period_end_of(start, p.period, p.zone, 0),
            CASE WHEN NOT p.once
            THEN period_end_of(start, p.period, p.zone, 0) END)
    RETURNING * INTO s;

    FOR kind IN 0 .. 2 LOOP
        PERFORM account_open(s, kind);
    END LOOP;

    RETURN s.id;
END
$$;

-- The period after the one that ended, of the plan that was chosen for it.
-- Called when it is paid for; once for each period, however often: "ended"
-- is the end of the one before.  One that would be over by now already
-- starts now instead, so that nobody pays for days that are gone.  NULL: no
-- such subscription, it was canceled, has not ended, or moved on before.

CREATE FUNCTION subscription_renew(p_subscription uuid, p_ended timestamptz)
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
        s.anchor := s.period_end;
        s.period := -1;
        s.zone := p.zone;
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
           renews_at = finish
     WHERE id = s.id
    RETURNING * INTO s;

    FOR kind IN 0 .. 2 LOOP
        PERFORM account_open(s, kind);
    END LOOP;

    RETURN s.period_end;
END
$$;

-- A change of plan: up at once, in a period of its own; down when what was
-- paid for ends.  "now", "later", or NULL where it cannot be had.

CREATE FUNCTION subscription_change(p_user uuid, p_plan text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    p     plans;
    mine  plans;
    s     subscriptions;
BEGIN
    PERFORM 1 FROM users WHERE id = p_user FOR NO KEY UPDATE;

    s := subscription_running(p_user);

    SELECT * INTO p FROM plans WHERE id = p_plan AND active;
    SELECT * INTO mine FROM plans WHERE id = s.plan_id;

    IF p.id IS NULL OR (p.once AND s.plan_id IS DISTINCT FROM p.id
                        AND EXISTS (SELECT FROM subscriptions
                                     WHERE user_id = p_user
                                       AND plan_id = p_plan))
    THEN
        RETURN NULL;
    END IF;

    IF s.plan_id = p.id THEN
        UPDATE subscriptions SET next_plan = NULL WHERE id = s.id;
        RETURN 'now';
    END IF;

    IF s.id IS NULL OR p.amount > mine.amount THEN
        RETURN CASE WHEN subscription_start(p_user, p_plan) IS NOT NULL
               THEN 'now' END;
    END IF;

    UPDATE subscriptions SET next_plan = p.id WHERE id = s.id;

    RETURN 'later';
END
$$;


-- Sums by day of the plan's time zone, or by model; the 30 days up to now
-- where nothing is said.

CREATE OR REPLACE FUNCTION usage_history(p_user uuid, p_from text,
    p_to text, p_by text, OUT status integer, OUT code text, OUT data text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    until  timestamptz := coalesce(time_argument(p_to), now());
    since  timestamptz := coalesce(time_argument(p_from),
                                   until - interval '30 days');
    clock  text := coalesce((subscription_running(p_user)).zone, 'UTC');
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
               'zone', clock,
               'series', coalesce(json_agg(h ORDER BY h.key), '[]'))::text
      INTO status, data
      FROM (SELECT CASE p_by WHEN 'model' THEN coalesce(model, 'unknown')
                   ELSE to_char(created_at AT TIME ZONE clock, 'YYYY-MM-DD')
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
