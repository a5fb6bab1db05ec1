-- Plans and add-ons as they are sold, and the functions behind pulsectl.
-- A refusal is an exception: its message is the one line the operator reads.

INSERT INTO plans (id, name_ar, name_en, amount, currency, period, once,
                   tokens, images, videos, features, position)
VALUES
    ('trial', 'تجريبية', 'Trial', 0, 'JOD', '14 days', true,
     20000, 2, 0, '{chat,cv_maker}', 0),
    ('starter', 'المبتدئة', 'Starter', 3000, 'JOD', '1 month', false,
     150000, 10, 2, '{chat,cv_maker}', 1),
    ('pro', 'الاحترافية', 'Pro', 5000, 'JOD', '1 month', false,
     400000, 30, 5, '{chat,cv_maker,slide_maker,pdf_summary}', 2),
    ('creator', 'المبدعة', 'Creator', 7000, 'JOD', '1 month', false,
     1000000, 60, 10, '{chat,cv_maker,slide_maker,pdf_summary,'
                      'advanced_editors,long_prompts}', 3);

INSERT INTO addons (id, kind, quantity, amount, currency, position)
VALUES
    ('tokens', 0, 200000, 1000, 'JOD', 0),
    ('images', 1, 10, 1000, 'JOD', 1),
    ('videos', 2, 1, 1000, 'JOD', 2);


-- Wakes the sidecar; should the message be lost, it looks by itself.

CREATE FUNCTION outbox_notify() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY outbox;
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_notify AFTER INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();


-- What was sent, or given up, is of interest for a while.

CREATE FUNCTION outbox_sweep() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM outbox
     WHERE created_at < now() - interval '30 days'
       AND (sent_at IS NOT NULL OR next_try_at = 'infinity')
$$;


CREATE FUNCTION admin_user(p_email text) RETURNS users
LANGUAGE plpgsql STABLE AS $$
DECLARE
    u  users;
BEGIN
    SELECT * INTO u FROM users WHERE lower(email) = lower(p_email);

    IF NOT FOUND THEN
        RAISE EXCEPTION 'no user has the address "%"', p_email;
    END IF;

    RETURN u;
END
$$;


CREATE FUNCTION admin_user_list()
RETURNS TABLE (id uuid, email text, locale text, status text, plan text,
               renews_at text, created_at text)
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.email, u.locale, u.status, s.plan_id,
           rfc3339(s.renews_at), rfc3339(u.created_at)
      FROM users u
      LEFT JOIN subscriptions s ON s.user_id = u.id
                                   AND s.status IN ('active', 'cancelled')
                                   AND s.period_end > now()
     ORDER BY u.created_at, u.id
$$;


CREATE FUNCTION admin_plan_start(p_user uuid, p_plan text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM plans WHERE id = p_plan AND active) THEN
        RAISE EXCEPTION 'there is no plan "%"', p_plan;
    END IF;

    IF subscription_start(p_user, p_plan) IS NULL THEN
        RAISE EXCEPTION 'the plan "%" is given once and was had', p_plan;
    END IF;
END
$$;


-- Makes a user, or takes the one there is; a plan that is named starts, if
-- it does not run already.

CREATE FUNCTION admin_user_add(p_id uuid, p_email text, p_locale text,
                               p_plan text)
RETURNS TABLE (id uuid, email text, locale text, status text, plan text,
               renews_at text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    person  uuid;
BEGIN
    IF p_email !~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]'
                  '{1,63}(\.[A-Za-z0-9-]{1,63})+$'
    THEN
        RAISE EXCEPTION '"%" is no address', p_email;
    END IF;

    IF p_locale NOT IN ('ar', 'en') THEN
        RAISE EXCEPTION 'the locale is "ar" or "en", not "%"', p_locale;
    END IF;

    person := user_create(p_id, p_email, coalesce(p_locale, 'ar'));

    IF p_locale IS NOT NULL THEN
        UPDATE users SET locale = p_locale WHERE id = person;
    END IF;

    IF p_plan IS NOT NULL THEN
        PERFORM admin_plan_start(person, p_plan);
    END IF;

    RETURN QUERY
        SELECT l.id, l.email, l.locale, l.status, l.plan, l.renews_at
          FROM admin_user_list() l
         WHERE l.id = person;
END
$$;


CREATE FUNCTION admin_identity_add(p_issuer text, p_subject text,
                                   p_email text)
RETURNS TABLE (issuer text, subject text, user_id uuid, email text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    u  users := admin_user(p_email);
BEGIN
    INSERT INTO identities (issuer, subject, user_id)
    VALUES (p_issuer, p_subject, u.id)
        ON CONFLICT (issuer, subject) DO UPDATE SET user_id = u.id;

    RETURN QUERY SELECT p_issuer, p_subject, u.id, u.email;
END
$$;


-- A key without a user is a service's.

CREATE FUNCTION admin_key_add(p_id uuid, p_email text, p_name text,
                              p_prefix text, p_hash bytea, p_expires interval,
                              p_internal boolean)
RETURNS TABLE (id uuid, email text, name text, prefix text, internal boolean,
               expires_at text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    u      users;
    until  timestamptz := now() + p_expires;
BEGIN
    IF p_email IS NOT NULL THEN
        u := admin_user(p_email);
    END IF;

    IF until <= now() THEN
        RAISE EXCEPTION 'the key would have expired already';
    END IF;

    PERFORM key_create(p_id, u.id, p_name, p_prefix, p_hash, until,
                       p_internal);

    RETURN QUERY SELECT p_id, u.email, p_name, p_prefix, p_internal,
                        rfc3339(until);
END
$$;


CREATE FUNCTION admin_key_list(p_email text)
RETURNS TABLE (id uuid, email text, name text, prefix text, internal boolean,
               created_at text, expires_at text, revoked_at text)
LANGUAGE sql STABLE AS $$
    SELECT k.id, u.email, k.name, k.prefix, k.internal,
           rfc3339(k.created_at), rfc3339(k.expires_at), rfc3339(k.revoked_at)
      FROM api_keys k LEFT JOIN users u ON u.id = k.user_id
     WHERE p_email IS NULL OR lower(u.email) = lower(p_email)
     ORDER BY k.created_at, k.id
$$;


-- "what" is a kind and "value" how much, or "plan" or "addon" and its id.

CREATE FUNCTION admin_grant(p_email text, p_what text, p_value text)
RETURNS TABLE (email text, what text, value text, limit_amount bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    u        users := admin_user(p_email);
    raised   bigint;
BEGIN
    CASE p_what

    WHEN 'plan' THEN
        PERFORM admin_plan_start(u.id, p_value);

    WHEN 'addon' THEN
        IF NOT EXISTS (SELECT FROM addons WHERE id = p_value) THEN
            RAISE EXCEPTION 'there is no add-on "%"', p_value;
        END IF;

        raised := addon_grant(u.id, p_value, 1);

    ELSE
        IF p_value !~ '^[1-9][0-9]{0,14}$' THEN
            RAISE EXCEPTION '"%" is no amount of %', p_value, p_what;
        END IF;

        raised := usage_grant(u.id, kind_number(p_what), p_value::bigint);
    END CASE;

    IF p_what <> 'plan' AND raised IS NULL THEN
        RAISE EXCEPTION '"%" has no plan in force', p_email;
    END IF;

    RETURN QUERY SELECT u.email, p_what, p_value, raised;
END
$$;


-- "kind" is user, key or session; a user is named by the address.

CREATE FUNCTION admin_revoke(p_kind text, p_name text)
RETURNS TABLE (kind text, id uuid, revoked boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    gone  uuid;
BEGIN
    IF p_kind = 'user' THEN
        gone := (admin_user(p_name)).id;

    ELSIF p_name !~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
    THEN
        RAISE EXCEPTION '"%" is no id of a %', p_name, p_kind;

    ELSE
        gone := p_name;
    END IF;

    IF NOT revoke(p_kind, gone) THEN
        RAISE EXCEPTION 'there is no % "%"', p_kind, p_name;
    END IF;

    RETURN QUERY SELECT p_kind, gone, true;
END
$$;
