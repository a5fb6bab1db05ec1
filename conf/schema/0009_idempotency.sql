-- Idempotency keys.  A key belongs to the first request that bore it; its
-- event is the reservation of that request, which the journal of its node
-- knows before the key is claimed.  So a claim ends as a row of the ledger or
-- as a cancel, whatever dies.

CREATE TABLE idempotency (
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    key           text NOT NULL,
    hash          bytea NOT NULL,
    event_id      uuid NOT NULL UNIQUE,
    created_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    status        integer,
    content_type  text,
    headers       text,
    body          bytea,
    PRIMARY KEY (user_id, key)
);

COMMENT ON COLUMN idempotency.hash IS 'of method, path and body';
COMMENT ON COLUMN idempotency.ended_at IS 'when the ledger got the event';
COMMENT ON COLUMN idempotency.status IS 'of the answer; NULL: not kept';

CREATE INDEX idempotency_created ON idempotency (created_at);

-- Events that were canceled before their claim was seen here.  A claim that
-- comes later, from a connection that was given up, is none.

CREATE TABLE idempotency_void (
    event_id      uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL
);

CREATE TYPE idempotency_reply AS (
    state         text,
    event_id      uuid,
    status        integer,
    content_type  text,
    headers       text,
    body          bytea
);

ALTER TYPE usage_entry ADD ATTRIBUTE claimed boolean;


-- A key is free again after a day.

CREATE FUNCTION idempotency_over(i idempotency) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT i.created_at <= studio_now() - interval '24 hours'
           OR EXISTS (SELECT
                        FROM idempotency_void
                       WHERE event_id = i.event_id)
$$;

-- What is known of a key: no state (it is free), mismatch, running, kept, or
-- spent (the answer is not there).  The ledger may hear of the end before the
-- answer comes, so it is waited for; an event that ended before its claim was
-- seen has no answer to come.

CREATE FUNCTION idempotency_find(p_user uuid, p_key text, p_hash bytea)
RETURNS idempotency_reply
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN i.hash <> p_hash THEN 'mismatch'
                WHEN i.status IS NOT NULL THEN 'kept'
                WHEN i.ended_at < now() - interval '3 seconds'
                     OR (i.ended_at IS NULL
                         AND EXISTS (SELECT
                                       FROM usage_events
                                      WHERE id = i.event_id))
                THEN 'spent'
                ELSE 'running' END,
           i.event_id, i.status, i.content_type, i.headers, i.body
      FROM idempotency i
     WHERE i.user_id = p_user
       AND i.key = p_key
       AND NOT idempotency_over(i)
$$;

-- Claims a key for an event: "claimed", or what is known of it.  The primary
-- key decides who is first.  A claim that was answered must outlive a crash,
-- since the provider is asked next.

CREATE FUNCTION idempotency_claim(p_user uuid, p_key text, p_hash bytea,
    p_event uuid)
RETURNS idempotency_reply
LANGUAGE plpgsql AS $$
DECLARE
    r  idempotency_reply;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    INSERT INTO idempotency AS i (user_id, key, hash, event_id, created_at)
    VALUES (p_user, p_key, p_hash, p_event, studio_now())
        ON CONFLICT (user_id, key)
        DO UPDATE SET hash = excluded.hash,
                      event_id = excluded.event_id,
                      created_at = excluded.created_at,
                      ended_at = NULL,
                      status = NULL,
                      content_type = NULL,
                      headers = NULL,
                      body = NULL
         WHERE idempotency_over(i);

    IF FOUND THEN
        r.state := 'claimed';
        RETURN r;
    END IF;

    RETURN idempotency_find(p_user, p_key, p_hash);
END
$$;

-- Keeps the answer; whether the ledger has its event already or not.

CREATE FUNCTION idempotency_keep(p_event uuid, p_status integer,
    p_content_type text, p_headers text, p_body bytea)
RETURNS void
LANGUAGE sql AS $$
    UPDATE idempotency
       SET status = p_status,
           content_type = p_content_type,
           headers = p_headers,
           body = p_body
     WHERE event_id = p_event
$$;

-- What the journals say of events that have a claim: one that was canceled
-- cost nothing, so that its key is free.

CREATE FUNCTION idempotency_end(p_events jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT p_events @? '$[*] ? (@.claimed == true)' THEN
        RETURN;
    END IF;

    UPDATE idempotency i
       SET ended_at = now()
      FROM jsonb_populate_recordset(NULL::usage_entry, p_events) e
     WHERE e.claimed
       AND e.canceled IS NOT TRUE
       AND i.event_id = e.id
       AND i.ended_at IS NULL;

    WITH canceled AS (
        SELECT id
          FROM jsonb_populate_recordset(NULL::usage_entry, p_events) e
         WHERE e.claimed
           AND e.canceled
    ), freed AS (
        DELETE FROM idempotency i
         USING canceled c
         WHERE i.event_id = c.id
        RETURNING i.event_id
    )
    INSERT INTO idempotency_void (event_id, created_at)
    SELECT id, now()
      FROM canceled
     WHERE id NOT IN (SELECT event_id FROM freed)
        ON CONFLICT DO NOTHING;
END
$$;

-- Forgets what is over; by the sidecar.

CREATE FUNCTION idempotency_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM idempotency
     WHERE created_at <= studio_now() - interval '24 hours';
    DELETE FROM idempotency_void
     WHERE created_at < now() - interval '25 hours';
$$;


-- Events and the claims on them end in one transaction.

ALTER FUNCTION usage_record(uuid, jsonb) RENAME TO usage_record_events;

CREATE FUNCTION usage_record(p_incarnation uuid, p_events jsonb)
RETURNS SETOF lease_totals
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM usage_record_events(p_incarnation, p_events);

    PERFORM idempotency_end(p_events);
END
$$;
