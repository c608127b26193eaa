-- Relations in the order in which clients page through them: by graph, then by arrival.
DROP INDEX events_relates_to;
CREATE INDEX events_relates_to ON events (relates_to, depth, stream_ordering)
    WHERE relates_to IS NOT NULL;
-- Those that are told with the event, without the events of its thread, which may be very many.
CREATE INDEX events_bundled ON events (relates_to) WHERE rel_type IN ('m.replace', 'm.reference');

-- What has happened in each thread, altogether and by each sender. A thread has a row of sender ''
-- for everybody together, and one for each who has sent events into it; the sender of its root has
-- one even without. So the threads of a room by newest activity, and those that a user took part in,
-- cost no look at the events of the threads.
CREATE TABLE thread_activity (
    root_id TEXT NOT NULL,                  -- the event that the thread starts from; may be missing
    sender TEXT NOT NULL,                   -- '' for everybody
    room_id TEXT NOT NULL,                  -- of the events of the thread
    events BIGINT NOT NULL,                 -- how many; redacted ones do not count
    depth BIGINT,                           -- of the newest of them; null if there is none
    stream_ordering BIGINT,                 -- likewise
    event_id TEXT,                          -- likewise
    PRIMARY KEY (root_id, sender, room_id)
);
CREATE INDEX thread_activity_newest ON thread_activity (room_id, sender, depth, stream_ordering);

-- The threads that are here already. One pass: the index above finds them.
INSERT INTO thread_activity (root_id, sender, room_id, events, depth, stream_ordering, event_id)
    SELECT relates_to, '', room_id, events, depth, stream_ordering, event_id
    FROM (
        SELECT relates_to, room_id, event_id, depth, stream_ordering,
            COUNT(*) OVER (PARTITION BY relates_to, room_id) AS events,
            ROW_NUMBER() OVER (
                PARTITION BY relates_to, room_id ORDER BY depth DESC, stream_ordering DESC
            ) AS place
        FROM events
        WHERE relates_to IS NOT NULL AND rel_type = 'm.thread' AND in_timeline
            AND redacted_by IS NULL
    ) AS newest
    WHERE place = 1;
INSERT INTO thread_activity (root_id, sender, room_id, events, depth, stream_ordering, event_id)
    SELECT relates_to, sender, room_id, events, depth, stream_ordering, event_id
    FROM (
        SELECT relates_to, sender, room_id, event_id, depth, stream_ordering,
            COUNT(*) OVER (PARTITION BY relates_to, room_id, sender) AS events,
            ROW_NUMBER() OVER (
                PARTITION BY relates_to, room_id, sender
                ORDER BY depth DESC, stream_ordering DESC
            ) AS place
        FROM events
        WHERE relates_to IS NOT NULL AND rel_type = 'm.thread' AND in_timeline
            AND redacted_by IS NULL
    ) AS newest
    WHERE place = 1;
INSERT INTO thread_activity (root_id, sender, room_id, events)
    SELECT t.root_id, e.sender, t.room_id, 0
    FROM thread_activity t CROSS JOIN events e  -- in this order
    WHERE e.event_id = t.root_id AND e.room_id = t.room_id AND t.sender = ''
    ON CONFLICT DO NOTHING;
