-- Events, the graph that they form, the current state of rooms, and memberships.
--
-- One row per event, because events are read whole and by id. Room order and graph order have
-- partial indexes over what clients can be shown, so that the many state events of a room that was
-- joined over federation weigh nothing there. Edges to earlier events are in the event's JSON.
CREATE TABLE events (
    nid BIGINT NOT NULL PRIMARY KEY,        -- internal number: the first stream_ordering it had
    event_id TEXT NOT NULL,
    stream_ordering BIGINT NOT NULL,        -- order of arrival; negative for history fetched later
    room_id TEXT NOT NULL,
    room_version TEXT NOT NULL,             -- by which its JSON is read
    type TEXT NOT NULL,
    state_key TEXT,                         -- null unless a state event
    sender TEXT NOT NULL,
    depth BIGINT NOT NULL,                  -- graph order, as the event says
    origin_server_ts BIGINT NOT NULL,       -- ms, as the event says
    received_ts BIGINT NOT NULL,            -- ms, when it was persisted here
    state_group BIGINT,                     -- state AFTER the event; null for outliers
    replaces_state TEXT,                    -- state event that it replaced, in the state before it
    membership TEXT,                        -- of an m.room.member event
    redacts TEXT,                           -- event that an m.room.redaction names
    redacted_by TEXT,                       -- the redaction that applies to this event
    relates_to TEXT,                        -- event that it has a relation to
    rel_type TEXT,                          -- kind of that relation
    contains_url BOOLEAN NOT NULL,          -- its content has a "url" (filter "contains_url")
    outlier BOOLEAN NOT NULL,               -- the state before it is not known
    soft_failed BOOLEAN NOT NULL,           -- valid, but against the current state: never shown
    rejected_reason TEXT,                   -- why the authorisation rules refuse it
    in_timeline BOOLEAN NOT NULL,           -- none of the three above
    out_of_band BOOLEAN NOT NULL,           -- outlier that is the membership of a user of ours
    txn_id TEXT,                            -- transaction id of the client that sent it
    device_id TEXT,                         -- device that sent it
    json TEXT NOT NULL                      -- the PDU in canonical JSON
);
CREATE UNIQUE INDEX events_event_id ON events (event_id);
CREATE UNIQUE INDEX events_stream_ordering ON events (stream_ordering);
-- the timeline of a room in the order of arrival: /sync
CREATE INDEX events_room_stream ON events (room_id, stream_ordering) WHERE in_timeline;
-- the timeline of a room in the order of its graph: /messages
CREATE INDEX events_room_depth ON events (room_id, depth, stream_ordering) WHERE in_timeline;
-- relations of an event
CREATE INDEX events_relates_to ON events (relates_to, stream_ordering) WHERE relates_to IS NOT NULL;

-- Which events authorise a state event: for auth chains. Other events name theirs in their JSON.
CREATE TABLE event_auth (
    nid BIGINT NOT NULL,                    -- a state event
    auth_nid BIGINT NOT NULL,               -- one of its auth events
    PRIMARY KEY (nid, auth_nid)
);

-- Events that no other event of their room follows: new events are built upon them.
CREATE TABLE event_forward_extremities (
    room_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (room_id, event_id)
);

-- Events that are named as predecessors and are not here: where history has gaps.
CREATE TABLE event_backward_extremities (
    room_id TEXT NOT NULL,
    event_id TEXT NOT NULL,                 -- the missing event
    depth BIGINT NOT NULL,                  -- depth of an event that names it
    PRIMARY KEY (room_id, event_id)
);

-- Redactions that came before what they redact.
CREATE TABLE pending_redactions (
    redacts TEXT NOT NULL,                  -- the event that is not here yet
    event_id TEXT NOT NULL,                 -- the redaction
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,                   -- of the redaction
    any_sender BOOLEAN NOT NULL,            -- it may redact events of others
    PRIMARY KEY (redacts, event_id)
);

-- The current state of each room.
CREATE TABLE current_state_events (
    room_id TEXT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event_id TEXT NOT NULL,
    membership TEXT,                        -- of m.room.member events
    PRIMARY KEY (room_id, type, state_key)
);

-- Changes of the current state. Replayed from the start they give current_state_events.
CREATE TABLE current_state_delta_stream (
    stream_id BIGINT NOT NULL,              -- stream_ordering of the event that caused the change
    room_id TEXT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event_id TEXT,                          -- null when the key went away
    prev_event_id TEXT,                     -- what was there before
    membership TEXT,                        -- of m.room.member events
    PRIMARY KEY (stream_id, room_id, type, state_key)
);
CREATE INDEX current_state_delta_room ON current_state_delta_stream (room_id, stream_id);

-- What each user of this server is in each room, also by invites into rooms that we are not in.
CREATE TABLE local_current_membership (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    membership TEXT NOT NULL,
    event_id TEXT NOT NULL,
    sender TEXT NOT NULL,                   -- of that event
    stream_ordering BIGINT NOT NULL,        -- when it took effect
    forgotten BOOLEAN NOT NULL,             -- the user wants to hear no more of the room
    PRIMARY KEY (user_id, room_id)
);
CREATE INDEX local_current_membership_room ON local_current_membership (room_id);

-- Every change of the memberships of users of this server, in order.
CREATE TABLE local_membership_changes (
    user_id TEXT NOT NULL,
    stream_id BIGINT NOT NULL,              -- when it took effect
    room_id TEXT NOT NULL,
    membership TEXT,                        -- null when state resolution took it away
    event_id TEXT,                          -- likewise
    sender TEXT,                            -- likewise
    PRIMARY KEY (user_id, stream_id, room_id)
);

-- Transaction ids of clients, so that a repeated request gives the first event. Kept for a day.
CREATE TABLE event_txn_ids (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,                -- '' for application services without device
    room_id TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    inserted_ts BIGINT NOT NULL,            -- ms
    PRIMARY KEY (user_id, device_id, room_id, txn_id)
);
CREATE INDEX event_txn_ids_inserted ON event_txn_ids (inserted_ts);
