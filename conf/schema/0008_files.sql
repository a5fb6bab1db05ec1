-- People's files.  The bytes are on the disk, under the id; a row comes after
-- its file and goes before it, so that what a crash leaves is a file without
-- a row, which the sidecar sweeps.

CREATE TABLE files (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('upload', 'cv', 'slides')),
    status        text NOT NULL CHECK (status IN ('pending', 'ready')),
    filename      text NOT NULL,
    content_type  text NOT NULL,
    size_bytes    bigint NOT NULL CHECK (size_bytes >= 0),
    width         integer,
    height        integer,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);

-- ids begin with their time, so that this is also the order of making

CREATE INDEX files_user ON files (user_id, id DESC);
CREATE INDEX files_expired ON files (expires_at);


-- NULL if the plan in force has the feature, else the code of the refusal.

CREATE FUNCTION feature_refusal(p_user uuid, p_feature text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p.id IS NULL THEN 'NO_SUBSCRIPTION'
                WHEN p_feature <> ALL (p.features) THEN 'FEATURE_NOT_IN_PLAN'
           END
      FROM subscription_running(p_user) s
      LEFT JOIN plans p ON p.id = s.plan_id
$$;


CREATE FUNCTION file_json(f files) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'file_id', f.id,
        'kind', f.kind,
        'status', f.status,
        'filename', f.filename,
        'content_type', f.content_type,
        'size_bytes', f.size_bytes,
        'width', f.width,
        'height', f.height,
        'created_at', rfc3339(f.created_at),
        'expires_at', rfc3339(f.expires_at))
$$;


CREATE FUNCTION file_add(p_id uuid, p_user uuid, p_kind text, p_status text,
                         p_filename text, p_content_type text, p_size bigint,
                         p_keep interval) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO files (id, user_id, kind, status, filename, content_type,
                       size_bytes, expires_at)
    VALUES (p_id, p_user, p_kind, p_status, p_filename, p_content_type,
            p_size, now() + p_keep)
$$;


-- An upload was looked at: it is kept as long as all else.

CREATE FUNCTION file_ready(p_id uuid, p_width integer, p_height integer,
                           p_keep interval) RETURNS void
LANGUAGE sql AS $$
    UPDATE files
       SET status = 'ready',
           width = p_width,
           height = p_height,
           expires_at = now() + p_keep
     WHERE id = p_id
$$;


-- The newest first, 50 at a time; the cursor is the id of the last one seen,
-- which need not be there any more.

CREATE FUNCTION file_page(p_user uuid, p_cursor uuid) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
               'files', coalesce(json_agg(file_json(f) ORDER BY n)
                                 FILTER (WHERE n <= 50), '[]'),
               'next_cursor', CASE WHEN count(*) > 50
                                   THEN (array_agg((f).id ORDER BY n))[50]
                              END)
      FROM (SELECT f, row_number() OVER (ORDER BY f.id DESC) AS n
              FROM files f
             WHERE f.user_id = p_user
               AND f.expires_at > now()
               AND (p_cursor IS NULL OR f.id < p_cursor)
             ORDER BY f.id DESC
             LIMIT 51) AS page (f, n)
$$;


-- The file, if it is this user's and its time has not come.

CREATE FUNCTION file_of(p_user uuid, p_id uuid) RETURNS SETOF files
LANGUAGE sql STABLE AS $$
    SELECT *
      FROM files
     WHERE id = p_id
       AND user_id = p_user
       AND expires_at > now()
$$;


-- Which of these ids have no row: the files of a crash, of users that are
-- gone and of rows that were deleted.

CREATE FUNCTION file_strays(p_ids uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT id FROM unnest(p_ids) AS t (id)
     WHERE NOT EXISTS (SELECT FROM files f WHERE f.id = t.id)
$$;


-- Takes away a batch of what is past its time.

CREATE FUNCTION file_expire() RETURNS SETOF uuid
LANGUAGE sql AS $$
    DELETE FROM files
     WHERE id IN (SELECT id FROM files WHERE expires_at <= now()
                   ORDER BY expires_at LIMIT 500
                     FOR UPDATE SKIP LOCKED)
    RETURNING id
$$;
