-- How far the positions of each counter are reserved. A position that was handed out may have left
-- no row behind, yet workers and clients know it; the next master begins after all of them.
CREATE TABLE reserved_positions (
    -- the counter's name
    name TEXT NOT NULL PRIMARY KEY,
    -- no position above this has ever been handed out
    reserved BIGINT NOT NULL
);
