-- Mail as jobs: a row of the outbox is what is to be said, its job says when.

ALTER TABLE outbox
    ADD COLUMN message_id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sent', 'expired', 'suppressed',
                         'refused'));

COMMENT ON COLUMN outbox.message_id IS
    'of the Message-ID: a mail that is sent twice is seen to be one';

UPDATE outbox
   SET state = CASE WHEN sent_at IS NOT NULL THEN 'sent'
                    WHEN next_try_at = 'infinity' THEN 'refused'
                    ELSE 'queued' END;

ALTER TABLE outbox
    DROP COLUMN tries,
    DROP COLUMN next_try_at;

DROP TRIGGER outbox_notify ON outbox;
DROP FUNCTION outbox_notify();

-- Addresses that a server refused for good.  After their time they are tried
-- once more, since mailboxes come back.

CREATE TABLE mail_suppressions (
    address       text PRIMARY KEY CHECK (address = lower(address)),
    reason        text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);


-- Somebody waits for a link; of the rest nobody waits.  The last of 16
-- attempts comes after nine hours or more.

CREATE FUNCTION mail_job(p_mail outbox) RETURNS bigint
LANGUAGE sql AS $$
    SELECT job_add('mail', jsonb_build_object('outbox', p_mail.id),
                   p_mail.id::text,
                   CASE p_mail.kind WHEN 'magic_link' THEN 10 ELSE 0 END,
                   now(), 16)
$$;

CREATE FUNCTION outbox_job() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mail_job(NEW);
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_job AFTER INSERT ON outbox
    FOR EACH ROW EXECUTE FUNCTION outbox_job();

SELECT mail_job(o) FROM outbox o WHERE state = 'queued' ORDER BY id;


-- The mail of a job: what became of it, or would now.  A link that has
-- expired is of no use to anybody.

CREATE FUNCTION mail_load(p_job jsonb)
RETURNS TABLE (id bigint, message_id uuid, kind text, recipient text,
               locale text, payload jsonb, state text)
LANGUAGE sql STABLE AS $$
    SELECT o.id, o.message_id, o.kind, o.recipient, o.locale, o.payload,
           CASE WHEN o.state <> 'queued' THEN o.state
                WHEN (o.payload ->> 'expires_at')::timestamptz <= now()
                THEN 'expired'
                WHEN EXISTS (SELECT
                               FROM mail_suppressions s
                              WHERE s.address = lower(o.recipient)
                                AND s.expires_at > now())
                THEN 'suppressed'
                ELSE 'queued' END
      FROM outbox o
     WHERE o.id = (p_job ->> 'outbox')::bigint
$$;

-- What became of it.  A secret is not kept longer than the mail is.

CREATE FUNCTION mail_end(p_id bigint, p_state text, p_error text)
RETURNS void
LANGUAGE sql AS $$
    UPDATE outbox
       SET state = p_state,
           sent_at = CASE p_state WHEN 'sent' THEN now() END,
           error = p_error,
           payload = payload - 'link'
     WHERE id = p_id
$$;

-- Why it is still not sent.

CREATE FUNCTION mail_failed(p_id bigint, p_error text) RETURNS void
LANGUAGE sql AS $$
    UPDATE outbox SET error = p_error WHERE id = p_id
$$;

CREATE FUNCTION mail_suppress(p_address text, p_reason text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO mail_suppressions (address, reason, expires_at)
    VALUES (lower(p_address), p_reason, now() + interval '30 days')
        ON CONFLICT (address)
        DO UPDATE SET reason = excluded.reason,
                      expires_at = excluded.expires_at
$$;


-- What was sent, or given up, is of interest for a while; what waits for
-- somebody to look at its job is so for longer, but no link is.

CREATE OR REPLACE FUNCTION outbox_sweep() RETURNS void
LANGUAGE sql AS $$
    SELECT mail_end(id, 'expired', error)
      FROM outbox
     WHERE state = 'queued'
       AND payload ? 'link'
       AND (payload ->> 'expires_at')::timestamptz <= now();
    DELETE FROM outbox o
     WHERE created_at < now() - interval '30 days'
       AND (state <> 'queued'
            OR NOT EXISTS (SELECT
                             FROM jobs
                            WHERE kind = 'mail'
                              AND key = o.id::text));
    DELETE FROM mail_suppressions WHERE expires_at < now();
$$;


-- For pulsectl.

CREATE FUNCTION admin_mail_list(p_limit integer)
RETURNS TABLE (id bigint, kind text, recipient text, state text,
               created_at text, sent_at text, error text)
LANGUAGE sql STABLE AS $$
    SELECT id, kind, recipient, state, rfc3339(created_at), rfc3339(sent_at),
           error
      FROM outbox
     ORDER BY id DESC
     LIMIT coalesce(p_limit, 100)
$$;

CREATE FUNCTION admin_mail_suppressed()
RETURNS TABLE (address text, reason text, created_at text, expires_at text)
LANGUAGE sql STABLE AS $$
    SELECT address, reason, rfc3339(created_at), rfc3339(expires_at)
      FROM mail_suppressions
     WHERE expires_at > now()
     ORDER BY address
$$;

CREATE FUNCTION admin_mail_suppress(p_address text)
RETURNS TABLE (address text, expires_at text)
LANGUAGE plpgsql AS $$
BEGIN
    IF p_address !~ '^[^[:space:]@]+@[^[:space:]@]+$' THEN
        RAISE EXCEPTION '"%" is no address', p_address;
    END IF;

    PERFORM mail_suppress(p_address, 'by an operator');

    RETURN QUERY
    SELECT s.address, rfc3339(s.expires_at)
      FROM mail_suppressions s
     WHERE s.address = lower(p_address);
END
$$;

CREATE FUNCTION admin_mail_allow(p_address text)
RETURNS TABLE (address text)
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM mail_suppressions s
     WHERE s.address = lower(p_address)
    RETURNING s.address INTO address;

    IF NOT FOUND THEN
        RAISE EXCEPTION '"%" is not suppressed', p_address;
    END IF;

    RETURN NEXT;
END
$$;


-- 80 % and 100 % are each said once for an account, in the transaction of the
-- update that gets there; all else as before.

ALTER TABLE accounts ADD COLUMN exhausted_at timestamptz;

CREATE FUNCTION account_mail(p_account accounts, p_kind text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (kind, recipient, locale, payload)
    SELECT p_kind, email, locale,
           jsonb_build_object('resource', kind_name(p_account.kind),
                              'used', p_account.used + p_account.debt,
                              'limit', p_account.limit_amount,
                              'reset_at', rfc3339(p_account.period_end))
      FROM users
     WHERE id = p_account.user_id
$$;

CREATE OR REPLACE FUNCTION accounts_before_update() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    part  bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    IF NEW.debt > 0 THEN
        part := least(NEW.debt, NEW.limit_amount - NEW.used - NEW.leased);

        IF part > 0 THEN
            NEW.used := NEW.used + part;
            NEW.debt := NEW.debt - part;
        END IF;
    END IF;

    IF NEW.warned_at IS NULL
       AND NEW.limit_amount > 0
       AND NEW.used + NEW.debt >= NEW.limit_amount - NEW.limit_amount / 5
    THEN
        NEW.warned_at := now();
        PERFORM account_mail(NEW, 'usage_warning');
    END IF;

    IF NEW.exhausted_at IS NULL
       AND NEW.limit_amount > 0
       AND NEW.used + NEW.debt >= NEW.limit_amount
    THEN
        NEW.exhausted_at := now();
        PERFORM account_mail(NEW, 'usage_exhausted');
    END IF;

    RETURN NEW;
END
$$;
