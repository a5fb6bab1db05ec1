-- That a node was given up is told as a total, like all that store and node
-- tell each other: the answer that told it first may be lost, and a node that
-- never hears of it spends from leases that others have got meanwhile.

ALTER TABLE nodes ADD COLUMN given_up integer NOT NULL DEFAULT 0;


-- A sign of life.  The first row is what the store thinks of the node (new,
-- seen, or reopened) and how often it gave the node up, whose leases of
-- before are gone then; the others are leases to give back.

DROP FUNCTION node_seen(uuid, text);

CREATE FUNCTION node_seen(p_incarnation uuid, p_name text)
RETURNS TABLE (state text, given_up integer, lease_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    n  nodes;
BEGIN
    -- a sweep that is about to give the node up is waited for: it is told

    SELECT * INTO n FROM nodes WHERE incarnation = p_incarnation
       FOR NO KEY UPDATE;

    INSERT INTO nodes (incarnation, name)
    VALUES (p_incarnation, p_name)
        ON CONFLICT (incarnation)
        DO UPDATE SET seen_at = now(), closed_at = NULL, name = p_name;

    state := CASE WHEN n.incarnation IS NULL THEN 'new'
                  WHEN n.closed_at IS NOT NULL THEN 'reopened'
                  ELSE 'seen' END;
    given_up := coalesce(n.given_up, 0);
    RETURN NEXT;

    -- it holds no account, so it must not wait for a lease

    RETURN QUERY
    UPDATE leases
       SET recalled_at = NULL
     WHERE id IN (SELECT id
                    FROM leases
                   WHERE incarnation = p_incarnation
                     AND recalled_at IS NOT NULL
                     AND closed_at IS NULL
                     FOR UPDATE SKIP LOCKED)
    RETURNING 'recalled', 0, id;
END
$$;

-- The journal of a dead node was replayed to its end.

CREATE OR REPLACE FUNCTION node_close(p_incarnation uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint;
BEGIN
    PERFORM 1 FROM nodes WHERE incarnation = p_incarnation
        FOR NO KEY UPDATE;

    n := lease_close(ARRAY(SELECT id
                             FROM leases
                            WHERE incarnation = p_incarnation
                              AND closed_at IS NULL));

    UPDATE nodes
       SET closed_at = now(),
           given_up = given_up + 1
     WHERE incarnation = p_incarnation
       AND (n > 0 OR closed_at IS NULL);

    RETURN n;
END
$$;

-- Closes the leases of nodes that gave no sign of life for "ttl".  A node
-- stops spending before that by itself (pulse_lease_ttl).  While the store
-- was away nobody could be seen, so the clock starts with it.

CREATE OR REPLACE FUNCTION lease_sweep(ttl interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone  uuid[];
    n     bigint;
BEGIN
    IF pg_postmaster_start_time() > now() - ttl THEN
        RETURN 0;
    END IF;

    -- one that is seen while its leases go must hear of it; one that is
    -- closed may have taken leases since, without being seen

    gone := ARRAY(SELECT incarnation
                    FROM nodes
                   WHERE seen_at < now() - ttl
                     AND (closed_at IS NULL
                          OR EXISTS (SELECT
                                       FROM leases
                                      WHERE leases.incarnation
                                            = nodes.incarnation
                                        AND leases.closed_at IS NULL))
                   ORDER BY incarnation
                     FOR NO KEY UPDATE);

    n := lease_close(ARRAY(SELECT id
                             FROM leases
                            WHERE incarnation = ANY (gone)
                              AND closed_at IS NULL));

    UPDATE nodes
       SET closed_at = now(),
           given_up = given_up + 1
     WHERE incarnation = ANY (gone);

    RETURN n;
END
$$;
