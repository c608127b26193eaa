-- Rooms whose create event is here.
--
-- The row is written in the transaction that persists the create event, and never changes.
CREATE TABLE rooms (
    room_id TEXT NOT NULL PRIMARY KEY,
    room_version TEXT NOT NULL,             -- by which all of its events are read
    creator TEXT NOT NULL,                  -- sender of the create event
    create_event_id TEXT NOT NULL,
    created_ts BIGINT NOT NULL              -- ms, as the create event says
);
CREATE INDEX rooms_created ON rooms (created_ts, room_id);
