-- Entries of cached reads that no other stream's rows make stale (stream "caches").
-- Rows are written in the transaction that makes the entry stale and removed after a day.
CREATE TABLE cache_invalidation_stream (
    stream_id BIGINT NOT NULL PRIMARY KEY,  -- position in the stream
    cache_func TEXT NOT NULL,               -- name of the cached read
    keys TEXT,                              -- JSON array of its key; null: every entry
    invalidation_ts BIGINT NOT NULL         -- when, in ms; what clean-up goes by
);
