-- Push rules that users made, and what they changed of the rules that everybody has.

CREATE TABLE push_rules (
    user_id TEXT NOT NULL,
    -- override, content, room, sender, underride
    kind TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    -- place within the kind: the lowest is asked first; gaps and negative places are usual
    place BIGINT NOT NULL,
    -- JSON list; empty for kinds that have none
    conditions TEXT NOT NULL,
    -- glob of a content rule
    pattern TEXT,
    -- JSON list
    actions TEXT NOT NULL,
    PRIMARY KEY (user_id, kind, rule_id)
);

-- Whether a rule is on, where a user has set that; also for the rules that everybody has.
CREATE TABLE push_rules_enabled (
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, kind, rule_id)
);

-- What one of the rules that everybody has does for a user instead.
CREATE TABLE push_rules_actions (
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    -- JSON list
    actions TEXT NOT NULL,
    PRIMARY KEY (user_id, kind, rule_id)
);

-- Changes of push rules (stream "push_rules"): the latest of each user.
CREATE TABLE push_rules_stream (
    user_id TEXT NOT NULL PRIMARY KEY,
    stream_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX push_rules_stream_id ON push_rules_stream (stream_id);
