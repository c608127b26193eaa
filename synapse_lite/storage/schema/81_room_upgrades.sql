-- Upgrades of rooms by users of this server. A row is there before the new room is, so that an
-- upgrade that a crash has cut short is completed and not begun a second time.
CREATE TABLE room_upgrades (
    old_room_id TEXT NOT NULL PRIMARY KEY,
    new_room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,                  -- who upgrades
    room_version TEXT NOT NULL,             -- of the new room
    tombstone TEXT NOT NULL,                -- JSON: the event for the old room, ready to be sent
    finished BOOLEAN NOT NULL               -- whether all is done
);

-- Which room a room says that it replaces. Only the old room's m.room.tombstone makes that true.
CREATE TABLE room_predecessors (
    room_id TEXT NOT NULL PRIMARY KEY,
    predecessor TEXT NOT NULL
);

-- Users of this server who have joined a room that says so: their tags, push rules and direct
-- chats of the old room are carried over, once.
CREATE TABLE room_followers (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    predecessor TEXT NOT NULL,
    done BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, room_id)
);
CREATE INDEX room_followers_waiting ON room_followers (predecessor) WHERE NOT done;
