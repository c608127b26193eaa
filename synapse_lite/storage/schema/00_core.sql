-- What the database machinery itself needs. This file runs first, on its own, because the master
-- takes its lease before it touches the rest of the schema. Portable SQL: BYTES is BLOB or BYTEA.

-- Which schema this database has. One row.
CREATE TABLE schema_version (
    -- the version of the code that last upgraded it
    version BIGINT NOT NULL,
    -- the oldest code (by its schema version) that may still open it
    compat_version BIGINT NOT NULL
);

-- Schema files that have run, so that files added later run too, and none twice.
CREATE TABLE applied_schema_files (
    -- 0 for base files, otherwise the delta's version
    version BIGINT NOT NULL,
    file TEXT NOT NULL,
    PRIMARY KEY (version, file)
);

-- Slow changes of existing data, done in small batches while the server runs.
CREATE TABLE background_updates (
    update_name TEXT NOT NULL PRIMARY KEY,
    -- where the next batch starts; what it means is the update's own business
    progress_json TEXT NOT NULL DEFAULT '{}',
    -- the update that must be finished first
    depends_on TEXT,
    -- order in which updates take turns
    ordering BIGINT NOT NULL DEFAULT 0,
    -- items done and time spent so far, to show progress
    items_done BIGINT NOT NULL DEFAULT 0,
    spent_ms BIGINT NOT NULL DEFAULT 0
);

-- Who does what only one process may do: being the master, and each duty.
CREATE TABLE leases (
    -- "master", or the name of a duty or of its shard
    name TEXT NOT NULL PRIMARY KEY,
    -- the process that holds it, as people know it; null when it was given back
    holder TEXT,
    -- rises each time the lease changes hands: who acts with an older number has lost it
    fencing BIGINT NOT NULL,
    -- rises with each renewal: a holder whose number stands still is gone
    renewals BIGINT NOT NULL,
    -- how long a renewal lasts, in ms, as the holder promised
    duration_ms BIGINT NOT NULL,
    -- when it was taken and last renewed, in ms by the holder's clock
    acquired_ts BIGINT NOT NULL,
    renewed_ts BIGINT NOT NULL,
    -- which process: lets a process on the same machine see at once that the holder has died
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid_namespace TEXT NOT NULL,
    pid BIGINT NOT NULL,
    -- when the process started, in clock ticks since boot, because pids are used again
    pid_started BIGINT NOT NULL
);

-- Every process says here that it is alive.
CREATE TABLE process_heartbeats (
    -- "master" or the worker's name
    name TEXT NOT NULL PRIMARY KEY,
    -- which program: master, client_reader, …
    kind TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    version TEXT NOT NULL,
    started_ts BIGINT NOT NULL,
    last_seen_ts BIGINT NOT NULL,
    -- JSON list of base URLs at which other processes reach it
    addresses TEXT NOT NULL,
    -- JSON object: stream -> {"rows": n, "ms": n} behind the master
    lag TEXT NOT NULL
);

-- Raised at each start of the master: positions that live in memory begin at epoch * 2^32. One row.
CREATE TABLE replication_epoch (
    epoch BIGINT NOT NULL
);

INSERT INTO replication_epoch (epoch) VALUES (0);
