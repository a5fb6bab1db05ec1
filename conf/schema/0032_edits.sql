-- Edits of pictures and clips are tasks (0030_media.sql) that hold nothing: no
-- provider is asked.  What they make takes room as any other file does.

-- NULL while this user has any room and as much as is likely to be taken, else
-- what is known of the limit: the size of what is made is not known before.

CREATE FUNCTION file_full(p_user uuid, p_room bigint, p_likely bigint)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('resource', 'storage',
                             'used', taken,
                             'limit', p_room)
      FROM (SELECT coalesce(sum(size_bytes), 0) AS taken
              FROM files
             WHERE user_id = p_user
               AND expires_at > now()) f
     WHERE taken >= p_room
        OR taken + p_likely > p_room
$$;
