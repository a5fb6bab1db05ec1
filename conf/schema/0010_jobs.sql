-- Background work.  A job is a row that is written in the transaction of what
-- it follows from, taken by one worker at a time and ended in the transaction
-- of what it did.  A worker that dies leaves its job to the next one, when its
-- lease has run out.

CREATE TABLE jobs (
    id            bigserial PRIMARY KEY,
    kind          text NOT NULL,
    key           text,
    payload       jsonb NOT NULL DEFAULT '{}',
    priority      smallint NOT NULL DEFAULT 0,
    state         text NOT NULL DEFAULT 'waiting'
                  CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    due_at        timestamptz NOT NULL DEFAULT now(),
    attempt       integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    attempts      integer NOT NULL DEFAULT 10 CHECK (attempts > 0),
    token         uuid,
    error         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    UNIQUE (kind, key)
);

COMMENT ON COLUMN jobs.key IS 'two of one kind and key are one job';
COMMENT ON COLUMN jobs.priority IS 'the larger goes first';
COMMENT ON COLUMN jobs.due_at IS 'of one that runs: when its lease ends';
COMMENT ON COLUMN jobs.attempt IS 'which one runs, or ran last';
COMMENT ON COLUMN jobs.token IS 'of the worker that runs it';

CREATE INDEX jobs_due ON jobs (kind, priority DESC, due_at, id)
    WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (id) WHERE state = 'dead';

-- What is done at its times.  "next_at" moves on in the transaction that adds
-- the job: one for each time, however many look.  With "catch_up" each time
-- that was missed gets a job of its own, else all of them get one.

CREATE TABLE job_schedules (
    kind          text PRIMARY KEY,
    every         interval NOT NULL CHECK (every > '0'),
    next_at       timestamptz NOT NULL,
    catch_up      boolean NOT NULL DEFAULT false
);


-- Wakes the sidecars; should the message be lost, they look by themselves.

CREATE FUNCTION jobs_notify() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY jobs;
    RETURN NULL;
END
$$;

CREATE TRIGGER jobs_notify AFTER INSERT ON jobs
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_notify();


-- Adds a job; NULL if there is one of this kind and key already, in whatever
-- state: a key is remembered for 30 days after its job has ended.

CREATE FUNCTION job_add(p_kind text, p_payload jsonb,
    p_key text DEFAULT NULL, p_priority integer DEFAULT 0,
    p_due timestamptz DEFAULT now(), p_attempts integer DEFAULT 10)
RETURNS bigint
LANGUAGE sql AS $$
    INSERT INTO jobs (kind, key, payload, priority, due_at, attempts)
    VALUES (p_kind, p_key, p_payload, p_priority, p_due, p_attempts)
        ON CONFLICT (kind, key) DO NOTHING
    RETURNING id
$$;

-- The most urgent job of these kinds, for as long as the lease lasts.  One
-- whose last attempt never came to an end is dead.

CREATE FUNCTION job_take(p_kinds text[], p_lease interval)
RETURNS SETOF jobs
LANGUAGE plpgsql AS $$
DECLARE
    wanted  text;
    j       jobs;
BEGIN
    FOR wanted IN
        SELECT k
          FROM unnest(p_kinds) k
         CROSS JOIN LATERAL (
               SELECT priority, due_at
                 FROM jobs
                WHERE kind = k
                  AND state IN ('waiting', 'running')
                  AND due_at <= now()
                ORDER BY priority DESC, due_at, id
                LIMIT 1) best
         ORDER BY best.priority DESC, best.due_at
    LOOP
        LOOP
            SELECT *
              INTO j
              FROM jobs
             WHERE kind = wanted
               AND state IN ('waiting', 'running')
               AND due_at <= now()
             ORDER BY priority DESC, due_at, id
             LIMIT 1
               FOR UPDATE SKIP LOCKED;

            EXIT WHEN NOT FOUND;

            IF j.attempt < j.attempts THEN
                RETURN QUERY
                UPDATE jobs
                   SET state = 'running',
                       attempt = jobs.attempt + 1,
                       token = gen_random_uuid(),
                       due_at = now() + p_lease
                 WHERE id = j.id
                RETURNING *;

                RETURN;
            END IF;

            UPDATE jobs
               SET state = 'dead',
                   token = NULL,
                   ended_at = now(),
                   error = 'its last attempt did not end'
             WHERE id = j.id;
        END LOOP;
    END LOOP;
END
$$;

-- How long until one of these kinds is due, in ms, a day at the most.

CREATE FUNCTION jobs_wait(p_kinds text[]) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT greatest(0, ceil(1000 * extract(epoch FROM
               least(min(due_at), clock_timestamp() + interval '1 day')
               - clock_timestamp())))::integer
      FROM jobs
     WHERE kind = ANY (p_kinds)
       AND state IN ('waiting', 'running')
$$;

-- The end of an attempt, by the worker that holds the lease.  Of one that has
-- lost it an exception takes back what else is in the transaction, so that
-- two that did the same work have one effect.

CREATE FUNCTION job_end(p_id bigint, p_token uuid, p_state text,
    p_error text DEFAULT NULL, p_due timestamptz DEFAULT now())
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs
       SET state = p_state,
           token = NULL,
           due_at = p_due,
           error = p_error,
           ended_at = CASE WHEN p_state <> 'waiting' THEN now() END
     WHERE id = p_id
       AND token = p_token;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of job % is gone', p_id;
    END IF;
END
$$;

CREATE FUNCTION job_done(p_id bigint, p_token uuid) RETURNS void
LANGUAGE sql AS $$
    SELECT job_end(p_id, p_token, 'done')
$$;

CREATE FUNCTION job_fail(p_id bigint, p_token uuid, p_error text)
RETURNS void
LANGUAGE sql AS $$
    SELECT job_end(p_id, p_token, 'dead', p_error)
$$;

-- Comes again after the delay; with none, after 2, 4, 8 ... seconds, an hour
-- at the most, and up to as much again, so that what failed together does not
-- come back together.  The state it is left in: after its last attempt dead.

CREATE FUNCTION job_retry(p_id bigint, p_token uuid, p_error text,
    p_delay interval DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    j      jobs;
    state  text;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = p_id;

    state := CASE WHEN j.attempt < j.attempts THEN 'waiting' ELSE 'dead' END;

    PERFORM job_end(p_id, p_token, state, p_error,
                    now() + coalesce(p_delay,
                    least(2 ^ least(j.attempt, 12), 3600) * (1 + random())
                    * interval '1 second'));

    RETURN state;
END
$$;

-- Given back as it was: the worker ends.

CREATE FUNCTION job_release(p_id bigint, p_token uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE jobs
       SET state = 'waiting',
           attempt = attempt - 1,
           token = NULL,
           due_at = now()
     WHERE id = p_id
       AND token = p_token
$$;


-- Adds the jobs whose time has come, with the time in their payload: {"at"}.

CREATE FUNCTION jobs_schedule() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s     job_schedules;
    turn  timestamptz;
BEGIN
    FOR s IN
        SELECT *
          FROM job_schedules
         WHERE next_at <= studio_now()
         ORDER BY kind
           FOR UPDATE SKIP LOCKED
    LOOP
        WHILE s.next_at <= studio_now() LOOP
            turn := s.next_at;
            s.next_at := period_after(s.next_at, s.every);

            IF s.catch_up THEN
                PERFORM job_add(s.kind, jsonb_build_object('at',
                                                           rfc3339(turn)));
            END IF;
        END LOOP;

        -- one that still waits is enough

        IF NOT s.catch_up
           AND NOT EXISTS (SELECT FROM jobs
                            WHERE kind = s.kind
                              AND state IN ('waiting', 'running'))
        THEN
            PERFORM job_add(s.kind, jsonb_build_object('at', rfc3339(turn)));
        END IF;

        UPDATE job_schedules SET next_at = s.next_at WHERE kind = s.kind;
    END LOOP;
END
$$;

-- Forgets what has ended; what is dead waits for somebody to look.

CREATE FUNCTION jobs_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM jobs
     WHERE state = 'done'
       AND ended_at < now() - CASE WHEN key IS NULL THEN interval '1 day'
                              ELSE interval '30 days' END
$$;


-- For pulsectl.

CREATE FUNCTION admin_jobs_list(p_state text, p_kind text, p_limit integer)
RETURNS TABLE (id bigint, kind text, state text, key text, attempt integer,
               attempts integer, due_at text, error text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_state NOT IN ('waiting', 'running', 'done', 'dead') THEN
        RAISE EXCEPTION 'jobs are waiting, running, done or dead, not "%"',
                        p_state;
    END IF;

    RETURN QUERY
    SELECT j.id, j.kind, j.state, j.key, j.attempt, j.attempts,
           rfc3339(j.due_at), j.error
      FROM jobs j
     WHERE (p_state IS NULL AND j.state <> 'done' OR j.state = p_state)
       AND (p_kind IS NULL OR j.kind = p_kind)
     ORDER BY j.id DESC
     LIMIT coalesce(p_limit, 100);
END
$$;

CREATE FUNCTION admin_job(p_id bigint) RETURNS jobs
LANGUAGE plpgsql AS $$
DECLARE
    j  jobs;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = p_id FOR UPDATE;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', p_id;
    END IF;

    RETURN j;
END
$$;

CREATE FUNCTION admin_jobs_show(p_id bigint)
RETURNS TABLE (id bigint, kind text, state text, key text, payload text,
               priority smallint, attempt integer, attempts integer,
               due_at text, created_at text, ended_at text, error text)
LANGUAGE sql AS $$
    SELECT j.id, j.kind, j.state, j.key, j.payload::text, j.priority,
           j.attempt, j.attempts, rfc3339(j.due_at), rfc3339(j.created_at),
           rfc3339(j.ended_at), j.error
      FROM admin_job(p_id) j
$$;

-- One job, or all that are dead of one kind or of any, from the first attempt.
-- One that runs is left to its worker.

CREATE FUNCTION admin_jobs_retry(p_id bigint, p_kind text)
RETURNS TABLE (retried bigint)
LANGUAGE plpgsql AS $$
DECLARE
    j  jobs;
BEGIN
    IF p_id IS NOT NULL THEN
        j := admin_job(p_id);

        IF j.state IN ('running', 'done') THEN
            RAISE EXCEPTION 'job % is %', p_id, j.state;
        END IF;
    END IF;

    UPDATE jobs
       SET state = 'waiting',
           attempt = 0,
           due_at = now(),
           ended_at = NULL
     WHERE id = p_id
        OR (p_id IS NULL AND state = 'dead'
            AND (p_kind IS NULL OR kind = p_kind));

    GET DIAGNOSTICS retried = ROW_COUNT;

    NOTIFY jobs;

    RETURN NEXT;
END
$$;

CREATE FUNCTION admin_jobs_drop(p_id bigint) RETURNS TABLE (dropped bigint)
LANGUAGE plpgsql AS $$
DECLARE
    j  jobs := admin_job(p_id);
BEGIN
    IF j.state = 'running' AND j.due_at > now() THEN
        RAISE EXCEPTION 'job % is running', p_id;
    END IF;

    DELETE FROM jobs WHERE id = p_id;

    dropped := p_id;
    RETURN NEXT;
END
$$;

-- A scheduled kind now, whatever its next time.

CREATE FUNCTION admin_jobs_run(p_kind text) RETURNS TABLE (id bigint)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM job_schedules WHERE kind = p_kind) THEN
        RAISE EXCEPTION 'nothing is scheduled as "%"', p_kind;
    END IF;

    id := job_add(p_kind, jsonb_build_object('at', rfc3339(studio_now())));
    RETURN NEXT;
END
$$;


-- What nobody needs any more.  Rows of the ledger are never among it.

CREATE FUNCTION retention_sweep() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM auth_sweep();
    PERFORM outbox_sweep();
    PERFORM idempotency_sweep();
    PERFORM jobs_sweep();
END
$$;

INSERT INTO job_schedules (kind, every, next_at)
VALUES ('retention', '1 hour', date_trunc('hour', now())),
       ('files', '10 minutes', date_trunc('hour', now()));
