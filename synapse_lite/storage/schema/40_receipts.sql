-- Who has read what. One row for each user, kind of receipt and thread of a room.
CREATE TABLE receipts (
    -- position in the stream "receipts"; a newer receipt takes a new one
    stream_id BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL,
    -- m.read or m.read.private
    receipt_type TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- root event of a thread, "main", or empty for a receipt of no thread
    thread_id TEXT NOT NULL,
    -- the event up to which the user has read
    event_id TEXT NOT NULL,
    -- where that event stands, so that receipts only move forward
    event_stream_ordering BIGINT NOT NULL,
    -- content of the receipt as JSON, such as {"ts": ms}
    data TEXT NOT NULL,
    UNIQUE (room_id, receipt_type, user_id, thread_id)
);
CREATE INDEX receipts_user ON receipts (user_id, room_id);
