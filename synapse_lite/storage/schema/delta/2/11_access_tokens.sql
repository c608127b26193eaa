-- The refresh token that an access token was issued with (token_id); null for sessions without.
-- It stays when that refresh token is revoked: then the access token has been superseded.
ALTER TABLE access_tokens ADD COLUMN refresh_token_id BIGINT;
CREATE INDEX access_tokens_refresh ON access_tokens (refresh_token_id)
    WHERE refresh_token_id IS NOT NULL;
