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
    IF p_amount < 1 OR p_kind NOT IN (1, 2) THEN
        RAISE EXCEPTION 'a hold of % of kind % is none', p_amount, p_kind;
    END IF;

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


-- What a person has asked for and comes later, as GET /v1/jobs/{id} shows it.
-- A task is worked on by a job of the queue, of its kind and with its id as
-- key, and ends once: by that job, by its owner, or by its deadline.  What it
-- has held, under its own id, ends in the same transaction.

CREATE TABLE tasks (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind          text NOT NULL,
    status        text NOT NULL DEFAULT 'queued'
                  CHECK (status IN ('queued', 'processing', 'completed',
                                    'failed', 'cancelled')),
    progress      smallint NOT NULL DEFAULT 0
                  CHECK (progress BETWEEN 0 AND 100),
    request       jsonb NOT NULL,
    result        jsonb,
    error         text,
    trace_id      text,
    deadline      timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz
);

COMMENT ON COLUMN tasks.request IS 'never shown, and forgotten when it ends';
COMMENT ON COLUMN tasks.result IS
    '{NAME: {file_id, thumbnail_id, ...}}: links are made when it is shown';
COMMENT ON COLUMN tasks.error IS 'a code of the API';

-- ids begin with their time

CREATE INDEX tasks_user ON tasks (user_id, id DESC);
CREATE INDEX tasks_open ON tasks (user_id, kind)
    WHERE status IN ('queued', 'processing');
CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE files
    DROP CONSTRAINT files_kind_check,
    ADD CONSTRAINT files_kind_check
        CHECK (kind IN ('upload', 'cv', 'slides', 'image', 'video',
                        'thumbnail', 'edit'));


-- Begins one, with its job.  429 where the person has "most" of this kind
-- that have not ended: two requests of one person come one after the other.

CREATE FUNCTION task_begin(p_id uuid, p_user uuid, p_kind text,
    p_request jsonb, p_lasts interval, p_most integer, p_attempts integer,
    p_trace text)
RETURNS media_reply
LANGUAGE plpgsql AS $$
DECLARE
    n  integer;
    r  media_reply;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tasks ' || p_user, 0));

    SELECT count(*) INTO n
      FROM tasks
     WHERE user_id = p_user
       AND kind = p_kind
       AND status IN ('queued', 'processing');

    IF n >= p_most THEN
        r.status := 429;
        r.code := 'RATE_LIMIT_EXCEEDED';
        r.data := json_build_object('limit', p_most, 'open', n);
        RETURN r;
    END IF;

    INSERT INTO tasks (id, user_id, kind, request, trace_id, deadline)
    VALUES (p_id, p_user, p_kind, jsonb_strip_nulls(p_request), p_trace,
            now() + p_lasts);

    PERFORM job_add(p_kind, jsonb_build_object('task', p_id), p_id::text, 0,
                    now(), p_attempts);

    r.status := 202;

    RETURN r;
END
$$;

-- The task of a job, which is processing from here on if it has not ended.

CREATE FUNCTION task_load(p_job jsonb) RETURNS SETOF tasks
LANGUAGE plpgsql AS $$
DECLARE
    p_id  uuid := (p_job ->> 'task')::uuid;
BEGIN
    UPDATE tasks
       SET status = 'processing'
     WHERE id = p_id
       AND status = 'queued';

    RETURN QUERY SELECT * FROM tasks WHERE id = p_id;
END
$$;

-- False if it has ended: then there is nothing more to do for it.

CREATE FUNCTION task_progress(p_id uuid, p_progress integer)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks
       SET progress = greatest(progress, p_progress)
     WHERE id = p_id
       AND status = 'processing';

    RETURN FOUND;
END
$$;

CREATE FUNCTION task_end(p_id uuid, p_status text, p_error text)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks
       SET status = p_status,
           request = '{}',
           error = p_error,
           progress = CASE p_status WHEN 'completed' THEN 100
                      ELSE progress END,
           ended_at = now()
     WHERE id = p_id
       AND status IN ('queued', 'processing');

    RETURN FOUND;
END
$$;

-- It came: its files, [{id, kind, filename, content_type, size_bytes, width,
-- height}], are kept so long, what it has held is charged, once.  False if it
-- had ended before, or what was held is gone: nothing is kept then, and the
-- files are to be taken away.

CREATE FUNCTION task_complete(p_id uuid, p_result jsonb, p_files jsonb,
    p_keep interval, p_amount bigint DEFAULT 0, p_details jsonb DEFAULT '{}')
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    m  media_reply;
BEGIN
    IF NOT task_end(p_id, 'completed', NULL) THEN
        RETURN false;
    END IF;

    IF p_amount > 0 THEN
        m := media_settle(p_id, p_amount, p_details);

        IF m.state <> 'settled' THEN
            UPDATE tasks
               SET status = 'failed',
                   error = 'GATEWAY_TIMEOUT'
             WHERE id = p_id;
            RETURN false;
        END IF;
    END IF;

    INSERT INTO files (id, user_id, kind, status, filename, content_type,
                       size_bytes, width, height, expires_at)
    SELECT f.id, t.user_id, f.kind, 'ready', f.filename, f.content_type,
           f.size_bytes, f.width, f.height, now() + p_keep
      FROM tasks t
     CROSS JOIN jsonb_to_recordset(p_files)
           AS f(id uuid, kind text, filename text, content_type text,
                size_bytes bigint, width integer, height integer)
     WHERE t.id = p_id;

    UPDATE tasks SET result = p_result WHERE id = p_id;

    RETURN true;
END
$$;

-- It did not come: what it has held goes back.  False if it had ended.

CREATE FUNCTION task_fail(p_id uuid, p_error text,
    p_status text DEFAULT 'failed')
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT task_end(p_id, p_status, p_error) THEN
        RETURN false;
    END IF;

    PERFORM media_release(p_id);

    RETURN true;
END
$$;

-- By its owner; its job is woken, who may have somebody to tell.

CREATE FUNCTION task_cancel(p_user uuid, p_id uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    t  tasks;
BEGIN
    SELECT * INTO t FROM tasks WHERE id = p_id AND user_id = p_user;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF NOT task_fail(p_id, NULL, 'cancelled') THEN
        RETURN false;
    END IF;

    PERFORM task_wake(t.kind, p_id);

    RETURN true;
END
$$;

CREATE FUNCTION task_wake(p_kind text, p_id uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs
       SET due_at = now()
     WHERE kind = p_kind
       AND key = p_id::text
       AND state = 'waiting'
       AND due_at > now();

    IF FOUND THEN
        NOTIFY jobs;
    END IF;
END
$$;

-- Ends what its deadline has passed for, or whose job is no more: none stays
-- open for ever, whatever becomes of the sidecars.  One that is being ended
-- is left alone.  What ended long ago is forgotten.

CREATE FUNCTION task_sweep() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    t  tasks;
    n  bigint := 0;
BEGIN
    FOR t IN
        SELECT *
          FROM tasks
         WHERE status IN ('queued', 'processing')
           AND (deadline <= now()
                OR NOT EXISTS (SELECT
                                 FROM jobs
                                WHERE jobs.kind = tasks.kind
                                  AND key = tasks.id::text
                                  AND state IN ('waiting', 'running')))
         ORDER BY user_id, id
         LIMIT 1000
           FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM task_fail(t.id, CASE WHEN t.deadline <= now()
                                THEN 'GATEWAY_TIMEOUT'
                                ELSE 'INTERNAL_ERROR' END);
        PERFORM task_wake(t.kind, t.id);

        n := n + 1;
    END LOOP;

    DELETE FROM tasks WHERE ended_at < now() - interval '30 days';

    RETURN n;
END
$$;

INSERT INTO job_schedules (kind, every, next_at)
VALUES ('tasks', '1 minute', date_trunc('hour', now()));


-- What is shown, but for links: those of a file are made by who signs them.

CREATE FUNCTION task_json(t tasks) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'job_id', t.id,
        'kind', t.kind,
        'status', t.status,
        'progress', t.progress,
        'created_at', rfc3339(t.created_at),
        'ended_at', rfc3339(t.ended_at))
$$;

CREATE FUNCTION task_files(t tasks)
RETURNS TABLE (name text, data text, file_id uuid, content_type text,
               filename text, thumbnail_id uuid, thumbnail_type text,
               thumbnail_name text)
LANGUAGE sql STABLE AS $$
    SELECT m.key, (m.value - 'thumbnail_id')::text, f.id, f.content_type,
           f.filename, p.id, p.content_type, p.filename
      FROM jsonb_each(t.result) m
      LEFT JOIN files f
        ON f.id = (m.value ->> 'file_id')::uuid
       AND f.user_id = t.user_id
       AND f.expires_at > now()
      LEFT JOIN files p
        ON p.id = (m.value ->> 'thumbnail_id')::uuid
       AND p.user_id = t.user_id
       AND p.expires_at > now()
     ORDER BY m.key
$$;

-- The newest first, 50 at a time; the cursor is the id of the last one seen.

CREATE FUNCTION task_page(p_user uuid, p_cursor uuid) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
               'jobs', coalesce(json_agg(task_json(t) ORDER BY n)
                                FILTER (WHERE n <= 50), '[]'),
               'next_cursor', CASE WHEN count(*) > 50
                                   THEN (array_agg((t).id ORDER BY n))[50]
                              END)
      FROM (SELECT t, row_number() OVER (ORDER BY t.id DESC) AS n
              FROM tasks t
             WHERE t.user_id = p_user
               AND (p_cursor IS NULL OR t.id < p_cursor)
             ORDER BY t.id DESC
             LIMIT 51) AS page (t, n)
$$;


-- Videos: tasks of kind "video", and how far a provider is with them.
--
--     new --> submitting --> running --> ended
--      ^          |
--      +----------+  the provider refused for load, or was not reached
--
-- A provider has no key by which the same video asked for twice is one.  So
-- "submitting" is written before it is asked, and its own name of the
-- operation after: one that is found "submitting" by the next attempt may
-- have been begun or not, and is given up, once, rather than made twice.

CREATE TABLE videos (
    task_id       uuid PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    provider      text NOT NULL,
    model         text NOT NULL,
    step          text NOT NULL DEFAULT 'new'
                  CHECK (step IN ('new', 'submitting', 'running', 'ended')),
    operation     text,
    faults        integer NOT NULL DEFAULT 0,
    UNIQUE (provider, operation)
);

COMMENT ON COLUMN videos.faults IS 'answers of no use, one after the other';

-- What providers tell: stored before it is answered, read by the job.  It may
-- come before the name of its operation is known here.

CREATE TABLE video_inbox (
    provider      text NOT NULL,
    key           text NOT NULL,
    operation     text NOT NULL,
    body          text NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, key)
);

CREATE INDEX video_inbox_operation ON video_inbox (provider, operation);
CREATE INDEX video_inbox_received ON video_inbox (received_at);


CREATE FUNCTION video_begin(p_id uuid, p_user uuid, p_provider text,
    p_model text, p_request jsonb, p_lasts interval, p_most integer,
    p_trace text)
RETURNS media_reply
LANGUAGE plpgsql AS $$
DECLARE
    r     media_reply;
    held  media_reply;
BEGIN
    r := task_begin(p_id, p_user, 'video', p_request, p_lasts, p_most,
                    1000000, p_trace);

    IF r.code IS NOT NULL THEN
        RETURN r;
    END IF;

    -- it lasts longer than the task, which ends it

    held := media_take(p_id, p_user, 2, 1, p_lasts + interval '1 hour',
                       p_model, p_provider, p_trace);

    IF held.code IS NOT NULL THEN
        DELETE FROM tasks WHERE id = p_id;
        DELETE FROM jobs WHERE kind = 'video' AND key = p_id::text;
        RETURN held;
    END IF;

    INSERT INTO videos (task_id, provider, model)
    VALUES (p_id, p_provider, p_model);

    held.status := r.status;

    RETURN held;
END
$$;

-- A video and the last that its provider told of it.

CREATE FUNCTION video_load(p_task uuid)
RETURNS TABLE (provider text, model text, step text, operation text,
               faults integer, told text)
LANGUAGE sql STABLE AS $$
    SELECT v.provider, v.model, v.step, v.operation, v.faults,
           (SELECT body
              FROM video_inbox i
             WHERE i.provider = v.provider
               AND i.operation = v.operation
             ORDER BY received_at DESC
             LIMIT 1)
      FROM videos v
     WHERE task_id = p_task
$$;

-- False if its task has ended: then nobody is asked.

CREATE FUNCTION video_submitting(p_task uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    PERFORM 1
       FROM tasks
      WHERE id = p_task
        AND status = 'processing'
        FOR SHARE;

    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE videos
       SET step = 'submitting'
     WHERE task_id = p_task
       AND step = 'new';

    RETURN FOUND;
END
$$;

-- What came of it: the operation, or NULL if it was not begun for certain.

CREATE FUNCTION video_submitted(p_task uuid, p_operation text)
RETURNS void
LANGUAGE sql AS $$
    UPDATE videos
       SET step = CASE WHEN p_operation IS NULL THEN 'new' ELSE 'running' END,
           operation = p_operation,
           faults = CASE WHEN p_operation IS NULL THEN faults + 1 ELSE 0 END
     WHERE task_id = p_task
       AND step = 'submitting'
$$;

CREATE FUNCTION video_fault(p_task uuid, p_fault boolean) RETURNS void
LANGUAGE sql AS $$
    UPDATE videos
       SET faults = CASE WHEN p_fault THEN faults + 1 ELSE 0 END
     WHERE task_id = p_task
       AND (p_fault OR faults > 0)
$$;

-- There is nothing more to say to the provider.

CREATE FUNCTION video_ended(p_task uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE videos SET step = 'ended' WHERE task_id = p_task
$$;

-- Stores what a provider tells, once, and wakes who waits for it.

CREATE FUNCTION video_told(p_provider text, p_key text, p_operation text,
    p_body text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO video_inbox (provider, key, operation, body)
    VALUES (p_provider, p_key, p_operation, p_body)
        ON CONFLICT DO NOTHING;

    PERFORM task_wake('video', task_id)
       FROM videos
      WHERE provider = p_provider
        AND operation = p_operation
        AND step = 'running';
END
$$;

CREATE FUNCTION video_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM video_inbox WHERE received_at < now() - interval '7 days'
$$;
