-- Sign-in, sessions, API keys and revocation.
--
-- Functions behind an endpoint return (status, code, data): code NULL is a
-- success and "data" a JSON text, otherwise "data" is the error's details.
-- What nginx needs beside the answer comes in further columns; times there
-- are milliseconds of this server's clock, so that nodes never compare
-- their own.

-- Sequence numbers become visible out of order; transaction ids tell which
-- rows may still appear.  A reader that remembers the xmin of its snapshot
-- and starts from it the next time misses none, however long a writer took.

ALTER TABLE revocations
    ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE INDEX revocations_xact ON revocations (xact);
CREATE INDEX revocations_expires ON revocations (expires_at);
CREATE INDEX magic_links_expires ON magic_links (expires_at);


CREATE FUNCTION rfc3339(t timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;


CREATE FUNCTION unix_ms(t timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT floor(extract(epoch FROM t) * 1000)::bigint
$$;


-- {id, email, locale, created_at} and {plan, status, renews_at} or null.

CREATE FUNCTION auth_user_json(u users) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', u.id, 'email', u.email,
                             'locale', u.locale,
                             'created_at', rfc3339(u.created_at))
$$;


CREATE FUNCTION auth_subscription_json(user_id uuid) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('plan', s.plan_id, 'status', s.status,
                             'renews_at', rfc3339(s.renews_at))
      FROM subscriptions s
     WHERE s.user_id = auth_subscription_json.user_id
           AND (s.status = 'active'
                OR s.status = 'cancelled' AND s.period_end > now())
     ORDER BY s.created_at DESC
     LIMIT 1
$$;


-- The user with this address, made if there is none; the id of the user
-- comes back, which is another one if the address was known.

CREATE FUNCTION user_create(id uuid, email text, locale text) RETURNS uuid
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_id uuid;
BEGIN
    INSERT INTO users (id, email, locale)
    VALUES (user_create.id, lower(user_create.email), user_create.locale)
        ON CONFLICT (lower(email)) DO NOTHING;

    SELECT u.id INTO found_id
      FROM users u WHERE lower(u.email) = lower(user_create.email);

    RETURN found_id;
END
$$;


CREATE FUNCTION key_create(id uuid, user_id uuid, name text, prefix text,
                           hash bytea, expires_at timestamptz,
                           internal boolean) RETURNS uuid
LANGUAGE sql AS $$
    INSERT INTO api_keys (id, user_id, name, prefix, hash, expires_at,
                          internal)
    VALUES (key_create.id, key_create.user_id, key_create.name,
            key_create.prefix, key_create.hash, key_create.expires_at,
            key_create.internal)
    RETURNING api_keys.id
$$;


-- Ends a session, a key, or a user with all that is the user's.  The row in
-- "revocations" outlives whatever a node may have accepted or cached, and a
-- crash of a server that is set to forget; its
-- time is the clock's and not the transaction's, so that it is later than
-- anything the transaction waited for.  False if there is no such thing.

CREATE FUNCTION revoke(kind text, id uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    until timestamptz := now() + interval '1 hour';
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    CASE revoke.kind

    WHEN 'session' THEN
        UPDATE sessions s SET revoked_at = coalesce(s.revoked_at, now())
         WHERE s.id = revoke.id
        RETURNING greatest(s.expires_at, until) INTO until;

    WHEN 'key' THEN
        UPDATE api_keys k SET revoked_at = coalesce(k.revoked_at, now())
         WHERE k.id = revoke.id;

    WHEN 'user' THEN
        UPDATE users u SET status = 'inactive' WHERE u.id = revoke.id;

    ELSE
        RAISE EXCEPTION 'revoke: unknown kind "%"', revoke.kind;
    END CASE;

    IF NOT FOUND THEN
        RETURN false;
    END IF;

    IF revoke.kind = 'user' THEN
        SELECT greatest(max(s.expires_at), until) INTO until
          FROM sessions s WHERE s.user_id = revoke.id;

        UPDATE sessions s SET revoked_at = now()
         WHERE s.user_id = revoke.id AND s.revoked_at IS NULL;
    END IF;

    INSERT INTO revocations (kind, id, created_at, expires_at)
    VALUES (revoke.kind, revoke.id, clock_timestamp(), until);

    RETURN true;
END
$$;


-- Lets a user back in; what was revoked stays so.

CREATE FUNCTION user_activate(id uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users u SET status = 'active' WHERE u.id = user_activate.id;
    RETURN FOUND;
END
$$;


-- What has appeared since the snapshot whose xmin is "since" ('0': all that
-- is in force).  One row with kind NULL if there is nothing, because the
-- new xmin is wanted in any case.

CREATE FUNCTION auth_revocations(since xid8)
    RETURNS TABLE (snapshot text, kind text, id uuid, created bigint,
                   expires bigint)
LANGUAGE sql STABLE AS $$
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text, r.kind, r.id,
           unix_ms(r.created_at), unix_ms(r.expires_at)
      FROM (SELECT 1) AS one
           LEFT JOIN revocations r
           ON r.xact >= auth_revocations.since AND r.expires_at > now()
$$;


-- Whether a session is still good, for a node that has not got its
-- revocations yet.

CREATE FUNCTION auth_session(session_id uuid, user_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = auth_session.session_id
               AND s.user_id = auth_session.user_id
               AND s.revoked_at IS NULL AND s.expires_at > now()
               AND u.status = 'active')
$$;


-- The key or the foreign subject with its user; no row if it is no good.

CREATE FUNCTION auth_key(hash bytea)
    RETURNS TABLE (key_id uuid, user_id uuid, locale text,
                   internal boolean, expires bigint, checked bigint)
LANGUAGE sql STABLE AS $$
    SELECT k.id, k.user_id, u.locale, k.internal, unix_ms(k.expires_at),
           unix_ms(now())
      FROM api_keys k LEFT JOIN users u ON u.id = k.user_id
     WHERE k.hash = auth_key.hash AND k.revoked_at IS NULL
           AND (k.expires_at IS NULL OR k.expires_at > now())
           AND (k.user_id IS NULL OR u.status = 'active')
$$;


CREATE FUNCTION auth_identity(issuer text, subject text)
    RETURNS TABLE (user_id uuid, locale text, checked bigint)
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.locale, unix_ms(now())
      FROM identities i JOIN users u ON u.id = i.user_id
     WHERE i.issuer = auth_identity.issuer
           AND i.subject = auth_identity.subject AND u.status = 'active'
$$;


-- A limit that is reached, as details of the error, or NULL.  The window
-- slides: the oldest request that counts says when there is room again.

CREATE FUNCTION auth_link_limit(times timestamptz[], most integer)
    RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('limit', most, 'window_seconds', 3600,
               'reset_at', rfc3339(times[cardinality(times) - most + 1]
                                   + interval '1 hour'))::text
     WHERE cardinality(times) >= most
$$;


-- POST /v1/auth/magic-link.  Whether the address is known makes no
-- difference to the work or to the answer; "language" is that of the answer
-- and never the stored one, which would tell.  The locks make the counts
-- exact and are always taken in this order.

CREATE FUNCTION auth_magic_link(email text, hash bytea, locale text,
                                language text, network text, link text)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    hour        timestamptz := now() - interval '1 hour';
    address     text := lower(auth_magic_link.email);
    mail_locale text;
    details     text;
BEGIN
    PERFORM pg_advisory_xact_lock(1886153068, hashtext(address));
    PERFORM pg_advisory_xact_lock(1886153069,
                                  hashtext(auth_magic_link.network));

    SELECT auth_link_limit(array_agg(m.created_at ORDER BY m.created_at), 5)
      INTO details FROM magic_links m
     WHERE lower(m.email) = address AND m.created_at > hour;

    IF details IS NULL THEN
        SELECT auth_link_limit(array_agg(m.created_at
                                         ORDER BY m.created_at), 20)
          INTO details FROM magic_links m
         WHERE m.network = auth_magic_link.network AND m.created_at > hour;
    END IF;

    IF details IS NOT NULL THEN
        RETURN QUERY SELECT 429, 'RATE_LIMIT_EXCEEDED', details;
        RETURN;
    END IF;

    SELECT coalesce(auth_magic_link.locale,
                    (SELECT u.locale FROM users u
                      WHERE lower(u.email) = address),
                    auth_magic_link.language)
      INTO mail_locale;

    UPDATE magic_links m SET used_at = now()
     WHERE lower(m.email) = address AND m.used_at IS NULL;

    INSERT INTO magic_links (hash, email, locale, network, created_at,
                             expires_at)
    VALUES (auth_magic_link.hash, address, mail_locale,
            auth_magic_link.network, now(), now() + interval '10 minutes');

    INSERT INTO outbox (kind, recipient, locale, payload)
    VALUES ('magic_link', address, mail_locale,
            jsonb_build_object('link', auth_magic_link.link,
                'expires_at', rfc3339(now() + interval '10 minutes')));

    RETURN QUERY SELECT 200, NULL::text, json_build_object('message',
        CASE auth_magic_link.language
        WHEN 'en' THEN 'If the address is right, a sign-in link is on its'
                       ' way.'
        ELSE 'إذا كان العنوان صحيحًا فرابط الدخول في طريقه إليك.'
        END, 'expires_in', 600)::text;
END
$$;


-- POST /v1/auth/magic-link/verify.  One statement spends the link.  The row
-- of the user is locked, so that a session is either seen by the revocation
-- of the user or not made at all.

CREATE FUNCTION auth_verify(hash bytea, new_user_id uuid, session_id uuid,
                            seconds integer, network text, user_agent text,
                            redirect_url text)
    RETURNS TABLE (status integer, code text, data text, user_id uuid,
                   locale text, created bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    spent  magic_links;
    person users;
BEGIN
    UPDATE magic_links m SET used_at = now()
     WHERE m.hash = auth_verify.hash AND m.used_at IS NULL
           AND m.expires_at > now()
    RETURNING m.* INTO spent;

    IF NOT FOUND THEN
        RETURN QUERY SELECT 400, 'INVALID_REQUEST', NULL::text, NULL::uuid,
                            NULL::text, NULL::bigint;
        RETURN;
    END IF;

    PERFORM user_create(auth_verify.new_user_id, spent.email, spent.locale);

    SELECT u.* INTO person FROM users u
     WHERE lower(u.email) = lower(spent.email) FOR UPDATE;

    IF person.status <> 'active' THEN
        RETURN QUERY SELECT 403, 'FORBIDDEN', NULL::text, NULL::uuid,
                            NULL::text, NULL::bigint;
        RETURN;
    END IF;

    IF person.id = auth_verify.new_user_id
       AND EXISTS (SELECT 1 FROM plans p WHERE p.id = 'trial' AND p.active)
    THEN
        PERFORM subscription_start(person.id, 'trial');
    END IF;

    INSERT INTO sessions (id, user_id, expires_at, network, user_agent)
    VALUES (auth_verify.session_id, person.id,
            now() + make_interval(secs => auth_verify.seconds),
            auth_verify.network, auth_verify.user_agent);

    RETURN QUERY SELECT 200, NULL::text,
        json_build_object('user', auth_user_json(person),
            'subscription', auth_subscription_json(person.id),
            'redirect_url', auth_verify.redirect_url)::text,
        person.id, person.locale, unix_ms(now());
END
$$;


-- GET /v1/auth/me

CREATE FUNCTION auth_me(user_id uuid)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text,
           json_build_object('user', auth_user_json(u.*),
               'subscription', auth_subscription_json(u.id))::text
      FROM users u WHERE u.id = auth_me.user_id
    UNION ALL
    SELECT 401, 'UNAUTHORIZED', NULL
     WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = auth_me.user_id)
$$;


-- PATCH /v1/auth/me.  The session's times come along: its token bears the
-- locale and is written anew.

CREATE FUNCTION auth_me_update(user_id uuid, session_id uuid, locale text)
    RETURNS TABLE (status integer, code text, data text, created bigint,
                   expires bigint, language text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    chosen text;
BEGIN
    UPDATE users u SET locale = coalesce(auth_me_update.locale, u.locale)
     WHERE u.id = auth_me_update.user_id
    RETURNING u.locale INTO chosen;

    RETURN QUERY SELECT m.status, m.code, m.data, unix_ms(s.created_at),
                        unix_ms(s.expires_at), chosen
      FROM auth_me(auth_me_update.user_id) m
           LEFT JOIN sessions s ON s.id = auth_me_update.session_id;
END
$$;


-- GET /v1/auth/sessions

CREATE FUNCTION auth_sessions(user_id uuid, session_id uuid)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text, json_build_object('sessions',
           coalesce(json_agg(json_build_object('id', s.id,
               'created_at', rfc3339(s.created_at),
               'expires_at', rfc3339(s.expires_at),
               'network', s.network, 'user_agent', s.user_agent,
               'current', s.id IS NOT DISTINCT FROM auth_sessions.session_id)
               ORDER BY s.created_at DESC, s.id), '[]'))::text
      FROM (SELECT * FROM sessions
             WHERE sessions.user_id = auth_sessions.user_id
                   AND revoked_at IS NULL AND expires_at > now()
             ORDER BY created_at DESC LIMIT 100) s
$$;


-- DELETE of one session or key: 404 if there is none, 403 if it is somebody
-- else's, and as often as one likes if it is one's own.

CREATE FUNCTION auth_session_delete(user_id uuid, id uuid)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    owner uuid;
BEGIN
    SELECT s.user_id INTO owner
      FROM sessions s WHERE s.id = auth_session_delete.id;

    IF owner IS NULL THEN
        RETURN QUERY SELECT 404, 'NOT_FOUND', NULL::text;

    ELSIF owner <> auth_session_delete.user_id THEN
        RETURN QUERY SELECT 403, 'FORBIDDEN', NULL::text;

    ELSE
        PERFORM revoke('session', auth_session_delete.id);
        RETURN QUERY SELECT 200, NULL::text, json_build_object('id',
            auth_session_delete.id, 'revoked', true)::text;
    END IF;
END
$$;


CREATE FUNCTION auth_key_delete(user_id uuid, id uuid)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    key api_keys;
BEGIN
    SELECT k.* INTO key FROM api_keys k WHERE k.id = auth_key_delete.id;

    IF NOT FOUND THEN
        RETURN QUERY SELECT 404, 'NOT_FOUND', NULL::text;

    ELSIF key.user_id IS DISTINCT FROM auth_key_delete.user_id THEN
        RETURN QUERY SELECT 403, 'FORBIDDEN', NULL::text;

    ELSE
        PERFORM revoke('key', auth_key_delete.id);
        RETURN QUERY SELECT 200, NULL::text, json_build_object('id',
            auth_key_delete.id, 'revoked', true)::text;
    END IF;
END
$$;


-- DELETE /v1/auth/sessions: all but the caller's own.  "ids" are those that
-- ended, for the message to the other nodes.

CREATE FUNCTION auth_sessions_delete(user_id uuid, session_id uuid)
    RETURNS TABLE (status integer, code text, data text, ids text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ended uuid[];
BEGIN
    SELECT array_agg(s.id) INTO ended FROM sessions s
     WHERE s.user_id = auth_sessions_delete.user_id
           AND s.id IS DISTINCT FROM auth_sessions_delete.session_id
           AND s.revoked_at IS NULL AND s.expires_at > now();

    PERFORM revoke('session', e) FROM unnest(ended) e;

    RETURN QUERY SELECT 200, NULL::text, json_build_object('revoked',
        coalesce(cardinality(ended), 0))::text,
        array_to_string(ended, ',');
END
$$;


-- POST /v1/keys; the key itself never comes here.

CREATE FUNCTION auth_key_add(id uuid, user_id uuid, name text, prefix text,
                             hash bytea, expires_at text)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    until timestamptz;
BEGIN
    BEGIN
        until := auth_key_add.expires_at::timestamptz;

    EXCEPTION WHEN data_exception THEN
        RETURN QUERY SELECT 400, 'INVALID_REQUEST',
            '{"field": "/expires_at", "reason": "no such time"}';
        RETURN;
    END;

    IF until <= now() THEN
        RETURN QUERY SELECT 400, 'INVALID_REQUEST',
            '{"field": "/expires_at", "reason": "is in the past"}';
        RETURN;
    END IF;

    PERFORM 1 FROM users u WHERE u.id = auth_key_add.user_id FOR UPDATE;

    IF (SELECT count(*) FROM api_keys k
         WHERE k.user_id = auth_key_add.user_id AND k.revoked_at IS NULL
               AND (k.expires_at IS NULL OR k.expires_at > now())) >= 100
    THEN
        RETURN QUERY SELECT 400, 'INVALID_REQUEST',
            '{"field": "", "reason": "100 keys exist already"}';
        RETURN;
    END IF;

    PERFORM key_create(auth_key_add.id, auth_key_add.user_id,
                       auth_key_add.name, auth_key_add.prefix,
                       auth_key_add.hash, until, false);

    RETURN QUERY SELECT 201, NULL::text, json_build_object('id',
        auth_key_add.id, 'name', auth_key_add.name, 'prefix',
        auth_key_add.prefix, 'created_at', rfc3339(now()), 'expires_at',
        rfc3339(until))::text;
END
$$;


-- GET /v1/keys

CREATE FUNCTION auth_keys(user_id uuid)
    RETURNS TABLE (status integer, code text, data text)
LANGUAGE sql STABLE AS $$
    SELECT 200, NULL::text, json_build_object('keys',
           coalesce(json_agg(json_build_object('id', k.id, 'name', k.name,
               'prefix', k.prefix, 'created_at', rfc3339(k.created_at),
               'expires_at', rfc3339(k.expires_at))
               ORDER BY k.created_at DESC, k.id), '[]'))::text
      FROM api_keys k
     WHERE k.user_id = auth_keys.user_id AND k.revoked_at IS NULL
           AND (k.expires_at IS NULL OR k.expires_at > now())
$$;


-- Forgets what no answer depends on any more.

CREATE FUNCTION auth_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM revocations WHERE expires_at < now() - interval '1 day';
    DELETE FROM magic_links WHERE expires_at < now() - interval '1 day';
    DELETE FROM sessions WHERE expires_at < now() - interval '30 days';
$$;
