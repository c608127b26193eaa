-- Suspended accounts may read, and do little else, until an administrator lifts that.
ALTER TABLE users ADD COLUMN is_suspended BOOLEAN NOT NULL DEFAULT FALSE;
