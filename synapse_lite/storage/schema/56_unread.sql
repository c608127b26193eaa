-- What counts of unread notifications are made of, besides the totals in the table "events".

-- Whose attention an event asks for by name. Nothing is stored for whom it merely notifies.
CREATE TABLE event_highlights (
    user_id TEXT NOT NULL,                  -- of this server; '' for all of the room
    room_id TEXT NOT NULL,
    stream_ordering BIGINT NOT NULL,        -- of the event
    thread_id TEXT NOT NULL,                -- "main", or the root of the event's thread
    is_counted BOOLEAN NOT NULL,            -- it notifies everybody, so the totals have it
    PRIMARY KEY (user_id, room_id, stream_ordering)
);

-- How far users of this server have read by what they did: by sending something into a thread, or
-- by joining the room (thread_id '').
CREATE TABLE implied_reads (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    stream_ordering BIGINT NOT NULL,        -- of the event that they sent
    PRIMARY KEY (user_id, room_id, thread_id)
);
