-- Documents: keys of requests that are answered once, room for files, and
-- tokens that the sidecar asks the gateway with.

-- Claims of requests that reserve nothing: no journal ends one that a crash
-- has left, so that its time does.

CREATE TABLE idempotency_document (
    event_id      uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL
);

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
$$;

CREATE FUNCTION document_claim(p_user uuid, p_key text, p_hash bytea,
                               p_event uuid)
RETURNS idempotency_reply
LANGUAGE plpgsql AS $$
DECLARE
    r  idempotency_reply;
BEGIN
    r := idempotency_claim(p_user, p_key, p_hash, p_event);

    IF r.state = 'claimed' THEN
        INSERT INTO idempotency_document VALUES (p_event, now());
    END IF;

    RETURN r;
END
$$;

-- Nothing was made: the key is free.

CREATE FUNCTION document_release(p_event uuid) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM idempotency WHERE event_id = p_event;
    DELETE FROM idempotency_document WHERE event_id = p_event;
$$;

CREATE OR REPLACE FUNCTION idempotency_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM idempotency
     WHERE created_at <= studio_now() - interval '24 hours';
    DELETE FROM idempotency_void
     WHERE created_at < now() - interval '25 hours';
    DELETE FROM idempotency_document
     WHERE created_at < now() - interval '25 hours';
$$;


-- A token of our own is made for a session, for a key, or, where a foreign
-- token vouched for its user, for nothing that could be revoked.

CREATE OR REPLACE FUNCTION auth_session(session_id uuid, user_id uuid)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT
          FROM users u
         WHERE u.id = auth_session.user_id
           AND u.status = 'active'
           AND (u.id = auth_session.session_id
                OR EXISTS (SELECT
                             FROM sessions s
                            WHERE s.id = auth_session.session_id
                              AND s.user_id = u.id
                              AND s.revoked_at IS NULL
                              AND s.expires_at > now())
                OR EXISTS (SELECT
                             FROM api_keys k
                            WHERE k.id = auth_session.session_id
                              AND k.user_id = u.id
                              AND k.revoked_at IS NULL
                              AND (k.expires_at IS NULL
                                   OR k.expires_at > now()))))
$$;


-- Takes a file in if there is room for it: NULL, or what is known of the
-- limit.  Rows of one user come one after the other.

CREATE FUNCTION file_take(p_id uuid, p_user uuid, p_kind text, p_status text,
                          p_filename text, p_content_type text, p_size bigint,
                          p_keep interval, p_room bigint) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    taken  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('files ' || p_user, 0));

    SELECT coalesce(sum(f.size_bytes), 0)
      INTO taken
      FROM files f
     WHERE f.user_id = p_user
       AND f.expires_at > now();

    IF taken + p_size > p_room THEN
        RETURN json_build_object('resource', 'storage',
                                 'used', taken,
                                 'limit', p_room,
                                 'size_bytes', p_size);
    END IF;

    PERFORM file_add(p_id, p_user, p_kind, p_status, p_filename,
                     p_content_type, p_size, p_keep);

    RETURN NULL;
END
$$;
