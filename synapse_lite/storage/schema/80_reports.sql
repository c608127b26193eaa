-- What users have reported to those who run this server.
CREATE TABLE reports (
    report_id BIGINT NOT NULL PRIMARY KEY,  -- drawn at random
    received_ts BIGINT NOT NULL,            -- ms
    reporter TEXT NOT NULL,                 -- user of this server
    room_id TEXT,                           -- of the room, or of the event's room; null for a user
    event_id TEXT,                          -- null unless an event is reported
    reported_user TEXT,                     -- the user, or the event's sender; null for a room
    reason TEXT,                            -- in the reporter's words
    score BIGINT                            -- older clients: from -100, most offensive, to 0
);
CREATE INDEX reports_received ON reports (received_ts, report_id);
