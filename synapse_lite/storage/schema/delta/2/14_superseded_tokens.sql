-- Whether the refresh token of an access token was revoked. The few such tokens are soon deleted,
-- and the index finds them without looking at all the others.
ALTER TABLE access_tokens ADD COLUMN is_superseded BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX access_tokens_superseded ON access_tokens (expires_ts) WHERE is_superseded;
