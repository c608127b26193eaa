-- The few accounts that are guests, to find them among many.
CREATE INDEX users_guests ON users (user_id) WHERE is_guest;
