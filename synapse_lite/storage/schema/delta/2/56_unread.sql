-- Whether an event notifies those who have no push rules of their own, and running totals of such
-- events, so that the unread ones in a range are a difference of two rows. Events that were stored
-- before have 0 in all of them: they count as read.

-- the root of the thread that the event is in; null in the main timeline
ALTER TABLE events ADD COLUMN thread_id TEXT;
-- the rules that everybody has say "notify"
ALTER TABLE events ADD COLUMN notifies BOOLEAN NOT NULL DEFAULT FALSE;
-- such events in the room's main timeline up to this event, redacted ones included
ALTER TABLE events ADD COLUMN main_total BIGINT NOT NULL DEFAULT 0;
-- the same for all threads of the room together
ALTER TABLE events ADD COLUMN thread_total BIGINT NOT NULL DEFAULT 0;

-- what is to be taken off the totals of the main timeline
CREATE INDEX events_notified_redacted ON events (room_id, stream_ordering)
    WHERE notifies AND thread_id IS NULL AND redacted_by IS NOT NULL;
-- what notifies in each thread
CREATE INDEX events_notified_threads ON events (room_id, thread_id, stream_ordering)
    WHERE notifies AND thread_id IS NOT NULL AND redacted_by IS NULL;
