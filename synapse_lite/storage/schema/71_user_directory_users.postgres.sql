-- Users of this server, and those of others who are in a room with one.
CREATE TABLE user_directory (
    id BIGINT NOT NULL PRIMARY KEY,         -- by which the index knows the entry
    text TEXT NOT NULL,                     -- local part, name and domain, folded, see util/folding
    user_id TEXT NOT NULL,
    display_name TEXT,
    avatar_url TEXT,                        -- mxc:// URI
    is_local BOOLEAN NOT NULL,
    in_open_room BOOLEAN NOT NULL,          -- is in a room of user_directory_rooms
    grams TSVECTOR NOT NULL                 -- grams of the text, beginnings of its words as labels
);
CREATE UNIQUE INDEX user_directory_user ON user_directory (user_id);
CREATE INDEX user_directory_grams ON user_directory USING GIN (grams)
    -- what waits to be sorted in is looked through by each search
    WITH (gin_pending_list_limit = 256);
