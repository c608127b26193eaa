-- What has been indexed for search, and how far. The messages themselves are in
-- 70_search_messages.*.sql, because the databases index them differently (decision 0013).

-- How far the index of messages follows the streams. One row, once indexing has begun.
CREATE TABLE search_position (
    events BIGINT NOT NULL,                 -- position of the stream "events" that is indexed
    backfill BIGINT NOT NULL,               -- likewise of the stream "backfill"
    -- older events, from the newest to the oldest: those from here on are indexed; null: all are
    past BIGINT
);
