-- Aliases of this server.
CREATE TABLE room_aliases (
    room_alias TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL,                  -- where it leads
    creator TEXT NOT NULL,                  -- who made it, and may delete it
    created_ts BIGINT NOT NULL              -- ms
);
CREATE INDEX room_aliases_room ON room_aliases (room_id);

-- Servers by which a room can be joined, as known when its alias was made.
CREATE TABLE room_alias_servers (
    room_alias TEXT NOT NULL,
    server TEXT NOT NULL,
    PRIMARY KEY (room_alias, server)
);

-- Rooms on the public list of this server.
CREATE TABLE public_rooms (
    room_id TEXT NOT NULL PRIMARY KEY
);

-- Changes of public lists.
CREATE TABLE public_room_list_stream (
    stream_id BIGINT NOT NULL PRIMARY KEY,  -- position in the stream "public_rooms"
    room_id TEXT NOT NULL,
    visibility BOOLEAN NOT NULL,            -- whether the room is on the list from here on
    appservice_id TEXT,                     -- whose list it is; null for the server's own
    network_id TEXT                         -- which list of that application service
);
