-- What users keep on the server for themselves. All three tables share one counter.

-- Global account data, one row for each user and type.
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    -- type of the account data, such as m.direct
    data_type TEXT NOT NULL,
    -- position in the stream "account_data"; a change takes a new one
    stream_id BIGINT NOT NULL,
    -- content as JSON
    data TEXT NOT NULL,
    PRIMARY KEY (user_id, data_type)
);
CREATE UNIQUE INDEX account_data_stream ON account_data (stream_id);

-- Account data of one room.
CREATE TABLE room_account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    data_type TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (user_id, room_id, data_type)
);
CREATE UNIQUE INDEX room_account_data_stream ON room_account_data (stream_id);

-- Tags of rooms.
CREATE TABLE room_tags (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    -- content of the tag as JSON, such as {"order": 0.5}
    content TEXT NOT NULL,
    PRIMARY KEY (user_id, room_id, tag)
);

-- When the tags of a user in a room were last changed; the row stays when the last tag goes.
CREATE TABLE room_tag_revisions (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    -- position in the stream "tag_account_data"
    stream_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id)
);
CREATE UNIQUE INDEX room_tag_revisions_stream ON room_tag_revisions (stream_id);
