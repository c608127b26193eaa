-- Accounts of this server: users, their tokens and devices, profiles, and what is under way for them.

CREATE TABLE users (
    user_id TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT,                     -- bcrypt, over password and pepper; null: no password
    created_ts BIGINT NOT NULL,             -- ms
    is_admin BOOLEAN NOT NULL,
    is_guest BOOLEAN NOT NULL,
    user_type TEXT,                         -- "support", "bot"; null for people
    app_service_id TEXT,                    -- application service that made the account
    is_deactivated BOOLEAN NOT NULL,        -- for good; the name stays taken
    is_erased BOOLEAN NOT NULL,             -- asked for erasure when leaving
    is_locked BOOLEAN NOT NULL              -- shut out until an administrator unlocks it
);
CREATE INDEX users_created ON users (created_ts);

-- Access tokens. Only hashes are here: who reads the database cannot act as a user.
CREATE TABLE access_tokens (
    token_id BIGINT NOT NULL PRIMARY KEY,   -- random; names the token where it must not be told
    token_hash TEXT NOT NULL,               -- SHA-256 of the token, in hex
    user_id TEXT NOT NULL,
    device_id TEXT,                         -- null for tokens of administrators acting as the user
    created_ts BIGINT NOT NULL,             -- ms
    expires_ts BIGINT                       -- ms; null: does not expire
);
CREATE UNIQUE INDEX access_tokens_hash ON access_tokens (token_hash);
CREATE INDEX access_tokens_user ON access_tokens (user_id, device_id);

CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_ts BIGINT NOT NULL,             -- ms
    last_seen_ts BIGINT,                    -- ms; kept here because user_ips forgets
    last_seen_ip TEXT,
    last_seen_user_agent TEXT,
    PRIMARY KEY (user_id, device_id)
);

-- Where requests came from; written behind, see handlers/client_ips.
CREATE TABLE user_ips (
    user_id TEXT NOT NULL,
    access_token_id BIGINT NOT NULL,        -- token_id; the token may be gone
    ip TEXT NOT NULL,
    device_id TEXT,
    user_agent TEXT NOT NULL,
    last_seen BIGINT NOT NULL,              -- ms
    PRIMARY KEY (user_id, access_token_id, ip)
);
CREATE INDEX user_ips_last_seen ON user_ips (last_seen);

-- What users say of themselves. A user of this server has a row unless the account was erased.
CREATE TABLE profiles (
    user_id TEXT NOT NULL PRIMARY KEY,
    displayname TEXT,
    avatar_url TEXT,                        -- mxc:// URI
    fields TEXT NOT NULL                    -- JSON object: all other fields
);

-- Work for an account that goes on after its request was answered, also over a restart.
CREATE TABLE account_tasks (
    user_id TEXT NOT NULL,
    task TEXT NOT NULL,                     -- what to do, see handlers/account_tasks
    version BIGINT NOT NULL,                -- rises when the task is asked for again
    progress TEXT NOT NULL,                 -- the last room that is done; empty at first
    PRIMARY KEY (user_id, task)
);

-- User-interactive authentication under way.
CREATE TABLE ui_auth_sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    operation TEXT NOT NULL,                -- what the session is for, and for whom
    request_digest TEXT,                    -- of the request body; null until a stage is completed
    created_ts BIGINT NOT NULL              -- ms
);
CREATE INDEX ui_auth_sessions_created ON ui_auth_sessions (created_ts);

-- Stages completed in a session.
CREATE TABLE ui_auth_stages (
    session_id TEXT NOT NULL,
    stage TEXT NOT NULL,                    -- "m.login.…"
    ordering BIGINT NOT NULL,               -- stages must be completed in the order of a flow
    result TEXT NOT NULL,                   -- JSON: what the stage found out
    PRIMARY KEY (session_id, stage)
);

-- Tokens that let people register (client-server API, "Token-authenticated registration").
CREATE TABLE registration_tokens (
    token TEXT NOT NULL PRIMARY KEY,
    uses_allowed BIGINT,                    -- null: no limit
    completed BIGINT NOT NULL,              -- registrations made with it
    expires_ts BIGINT,                      -- ms; null: does not expire
    created_ts BIGINT NOT NULL              -- ms
);
