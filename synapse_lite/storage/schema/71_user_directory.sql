-- Who can be found in the user directory. The users themselves are in
-- 71_user_directory_users.*.sql, because the databases index them differently (decision 0013).
-- There is no row for two users who share a room: that is looked up for those that are found.

-- How far the directory follows the changes of state. One row; without it all is built anew.
CREATE TABLE user_directory_position (
    position BIGINT NOT NULL                -- of the stream "current_state_deltas"
);

-- Users whose entry may not say what is so; it is made anew from the tables that know.
CREATE TABLE user_directory_stale (
    user_id TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL                 -- rises when it becomes stale again meanwhile
);

-- Rooms that everybody may join or read, and that somebody of this server is in.
CREATE TABLE user_directory_rooms (
    room_id TEXT NOT NULL PRIMARY KEY
);

-- The rooms that a user is in, of whichever server.
CREATE INDEX current_state_joined ON current_state_events (state_key, room_id)
    WHERE membership = 'join';
