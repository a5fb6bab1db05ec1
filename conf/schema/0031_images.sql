-- Pictures: what came of a request is kept with its thumbnail, and said of
-- its hold (0030_media.sql), in one step: what its owner finds is charged, and
-- what is charged is there.

ALTER TABLE files
    ADD COLUMN thumbnail_of uuid REFERENCES files ON DELETE CASCADE;

CREATE INDEX files_thumbnail ON files (thumbnail_of)
    WHERE thumbnail_of IS NOT NULL;


-- A picture, "p_file" {id, filename, content_type, size_bytes, width, height}
-- and its "thumbnail", the same or null, as the p_came-th of a hold.  False:
-- the hold has ended, and nothing is kept.  Error 53100 with details as JSON:
-- the owner has no room for it.  Done again, for whoever has lost the answer,
-- it changes nothing.

CREATE FUNCTION image_keep(p_hold uuid, p_came bigint, p_lasts interval,
                           p_user uuid, p_file jsonb, p_keep interval,
                           p_room bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    f     record;
    full_ json;
BEGIN
    IF NOT media_came(p_hold, p_came, p_lasts) THEN
        RETURN false;
    END IF;

    IF EXISTS (SELECT
                 FROM files
                WHERE id = (p_file ->> 'id')::uuid
                  AND user_id = p_user)
    THEN
        RETURN true;
    END IF;

    FOR f IN
        SELECT x.*, n
          FROM jsonb_array_elements(jsonb_build_array(
                   p_file, p_file -> 'thumbnail')) WITH ORDINALITY AS e (j, n)
         CROSS JOIN jsonb_to_record(j)
               AS x (id uuid, filename text, content_type text,
                     size_bytes bigint, width integer, height integer)
         WHERE jsonb_typeof(j) = 'object'
         ORDER BY n
    LOOP
        full_ := file_take(f.id, p_user,
                           CASE f.n WHEN 1 THEN 'image' ELSE 'thumbnail' END,
                           'ready', f.filename, f.content_type, f.size_bytes,
                           p_keep, p_room);

        IF full_ IS NOT NULL THEN
            RAISE disk_full USING MESSAGE = full_::text;
        END IF;

        UPDATE files
           SET width = f.width,
               height = f.height,
               thumbnail_of = CASE WHEN f.n > 1
                                   THEN (p_file ->> 'id')::uuid END
         WHERE id = f.id;
    END LOOP;

    RETURN true;
END
$$;


-- As in 0008_files.sql; thumbnails are seen with what they are of.

CREATE OR REPLACE FUNCTION file_page(p_user uuid, p_cursor uuid) RETURNS json
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
               AND f.kind <> 'thumbnail'
               AND f.expires_at > now()
               AND (p_cursor IS NULL OR f.id < p_cursor)
             ORDER BY f.id DESC
             LIMIT 51) AS page (f, n)
$$;
