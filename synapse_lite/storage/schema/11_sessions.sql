-- Tokens beside the access tokens: those that renew a session, and those that begin one elsewhere.
-- Only hashes are here: who reads the database cannot act as a user.

-- Refresh tokens. A log-in that can be refreshed has one, and for a while two: the one that was
-- used last stays good until its successor has been used, because the client may never have heard
-- of that.
CREATE TABLE refresh_tokens (
    token_id BIGINT NOT NULL PRIMARY KEY,   -- random
    token_hash TEXT NOT NULL,               -- SHA-256 of the token, in hex
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    created_ts BIGINT NOT NULL,             -- ms
    used_ts BIGINT,                         -- ms; when it was last refreshed
    expires_ts BIGINT,                      -- ms; null: does not expire
    session_ends_ts BIGINT,                 -- ms; when the whole session ends, however often refreshed
    replaces BIGINT                         -- token_id of the predecessor; null once that is revoked
);
CREATE UNIQUE INDEX refresh_tokens_hash ON refresh_tokens (token_hash);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, device_id);
CREATE INDEX refresh_tokens_replaces ON refresh_tokens (replaces) WHERE replaces IS NOT NULL;

-- Tokens with which somebody logs in once (`m.login.token`).
CREATE TABLE login_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,   -- SHA-256 of the token, in hex
    user_id TEXT NOT NULL,
    expires_ts BIGINT NOT NULL              -- ms
);
CREATE INDEX login_tokens_user ON login_tokens (user_id);
CREATE INDEX login_tokens_expires ON login_tokens (expires_ts);

-- Tokens by which other services ask who somebody is (client-server API, "OpenID").
CREATE TABLE openid_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,   -- SHA-256 of the token, in hex
    user_id TEXT NOT NULL,
    expires_ts BIGINT NOT NULL              -- ms
);
CREATE INDEX openid_tokens_user ON openid_tokens (user_id);
CREATE INDEX openid_tokens_expires ON openid_tokens (expires_ts);
