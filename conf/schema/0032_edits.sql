-- Edits of pictures and clips are tasks (0030_media.sql) that hold nothing: no
-- provider is asked.  What they make takes room as any other file does.

-- NULL while this user has room for one more file, else what is known of the
-- limit: the size of what is made is not known before.

CREATE FUNCTION file_full(p_user uuid, p_room bigint) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('resource', 'storage',
                             'used', sum(size_bytes),
                             'limit', p_room)
      FROM files
     WHERE user_id = p_user
       AND expires_at > now()
    HAVING sum(size_bytes) >= p_room
$$;
