-- Filters that clients have uploaded for /sync and /messages. Rows never change.
CREATE TABLE user_filters (
    user_id TEXT NOT NULL,
    filter_id BIGINT NOT NULL,              -- counted up for each user from 0
    filter_json TEXT NOT NULL,              -- the definition in canonical JSON
    PRIMARY KEY (user_id, filter_id)
);
