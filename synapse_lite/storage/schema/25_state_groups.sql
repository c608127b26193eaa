-- The state of rooms after each event. Types, state keys and event ids are numbers here, and a
-- state group is one row: see docs/decisions/0008-state-groups.md for why it looks as it does.

-- The pairs of event type and state key that have ever been in a state, as numbers.
CREATE TABLE state_keys (
    nid BIGINT NOT NULL PRIMARY KEY,        -- the number
    type TEXT NOT NULL,
    state_key TEXT NOT NULL
);
CREATE UNIQUE INDEX state_keys_key ON state_keys (type, state_key);

-- A state that a room has had. Rows never change.
CREATE TABLE state_groups (
    id BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT,                           -- null where base_group leads to it
    prev_group BIGINT,                      -- the state that was changed into this one; null: none
    base_group BIGINT,                      -- the state that delta is applied to; null: the empty one
    generation BIGINT NOT NULL,             -- changes since the row without base_group
    delta BYTES NOT NULL                    -- numbers of keys and events, see storage/_state_rows.py
);
