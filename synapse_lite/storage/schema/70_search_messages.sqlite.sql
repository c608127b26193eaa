-- Messages, names and topics in the form in which they are searched. What is edited has the text
-- of its newest edit; what is redacted, or an edit itself, is not here.
CREATE TABLE search_messages (
    stream_ordering BIGINT NOT NULL PRIMARY KEY, -- of the event
    text TEXT NOT NULL                      -- folded, see util/folding
);

-- Its index: grams of the text, and the room as a label. Rows are named by stream_ordering.
CREATE VIRTUAL TABLE search_messages_grams USING fts5 (
    grams, content='', detail=none, columnsize=0, tokenize='ascii'
);
