-- Messages, names and topics in the form in which they are searched. What is edited has the text
-- of its newest edit; what is redacted, or an edit itself, is not here.
CREATE TABLE search_messages (
    stream_ordering BIGINT NOT NULL PRIMARY KEY, -- of the event
    text TEXT NOT NULL,                     -- folded, see util/folding
    grams TSVECTOR NOT NULL                 -- grams of the text, and the room as a label
);
CREATE INDEX search_messages_grams ON search_messages USING GIN (grams)
    -- what waits to be sorted in is looked through by each search
    WITH (gin_pending_list_limit = 256);
