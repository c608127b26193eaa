-- Email addresses and phone numbers that users have confirmed. An address belongs to one account.
CREATE TABLE user_threepids (
    medium TEXT NOT NULL,                   -- "email", "msisdn"
    address TEXT NOT NULL,                  -- in canonical form, see types/threepids
    user_id TEXT NOT NULL,
    validated_ts BIGINT NOT NULL,           -- ms
    added_ts BIGINT NOT NULL,               -- ms
    PRIMARY KEY (medium, address)
);
CREATE INDEX user_threepids_user ON user_threepids (user_id);
