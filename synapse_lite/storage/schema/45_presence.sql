-- Who is online: the last known presence of each user. The master works from memory and writes
-- behind, every few seconds and when it stops, so that a later master knows where to go on.
CREATE TABLE presence (
    user_id TEXT NOT NULL PRIMARY KEY,
    -- online, unavailable or offline
    state TEXT NOT NULL,
    -- times in ms since the epoch, 0 for never
    last_active_ts BIGINT NOT NULL,
    last_federation_update_ts BIGINT NOT NULL,
    last_user_sync_ts BIGINT NOT NULL,
    status_msg TEXT,
    currently_active BOOLEAN NOT NULL
);
-- what a master reads when it starts
CREATE INDEX presence_state ON presence (state, last_user_sync_ts);
