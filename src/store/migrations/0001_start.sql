-- Times are Unix milliseconds. Ids of conversations and messages are UUIDs as text, so that a dump can be read.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

-- Every revision that was ever published stays: a citation of last month must still open.
CREATE TABLE documents (
    id           TEXT NOT NULL,
    lang         TEXT NOT NULL,
    revision     TEXT NOT NULL,
    kind         TEXT NOT NULL,
    audience     TEXT NOT NULL,
    title        TEXT NOT NULL,
    aliases      TEXT NOT NULL, -- JSON list
    body         TEXT NOT NULL,
    tags         TEXT NOT NULL, -- JSON list
    product      TEXT,
    valid_from   TEXT,          -- YYYY-MM-DD
    valid_until  TEXT,
    source       TEXT,
    current      INTEGER NOT NULL,
    generation   INTEGER NOT NULL, -- the last publication that held it
    published_ms INTEGER NOT NULL,
    PRIMARY KEY (id, lang, revision)
) STRICT;

CREATE UNIQUE INDEX documents_current ON documents (id, lang) WHERE current = 1;

CREATE TABLE conversations (
    id         TEXT PRIMARY KEY NOT NULL,
    lang       TEXT,
    channel    TEXT NOT NULL,
    customer   TEXT,
    state      TEXT NOT NULL CHECK (state IN ('bot', 'person', 'closed')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    -- The last numbers given out. Counters and not max(seq): events are pruned, and their numbers never return.
    messages   INTEGER NOT NULL DEFAULT 0,
    events     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX conversations_updated ON conversations (updated_ms);

CREATE TABLE messages (
    id           TEXT PRIMARY KEY NOT NULL,
    conversation TEXT NOT NULL REFERENCES conversations (id),
    seq          INTEGER NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('customer', 'bot', 'agent', 'system')),
    text         TEXT NOT NULL,
    details      TEXT, -- JSON
    key          TEXT, -- idempotency key
    answered     INTEGER NOT NULL, -- 0 only while the bot owes a reply
    created_ms   INTEGER NOT NULL,
    UNIQUE (conversation, seq),
    UNIQUE (conversation, key)
) STRICT;

CREATE INDEX messages_unanswered ON messages (conversation) WHERE answered = 0;

CREATE TABLE events (
    conversation TEXT NOT NULL REFERENCES conversations (id),
    seq          INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    json         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_created ON events (created_ms);

CREATE TABLE tickets (
    number         INTEGER PRIMARY KEY NOT NULL,
    conversation   TEXT NOT NULL REFERENCES conversations (id),
    state          TEXT NOT NULL CHECK (state IN ('open', 'taken', 'closed')),
    priority       INTEGER NOT NULL,
    reason         TEXT NOT NULL,
    agent          TEXT,
    case_json      TEXT NOT NULL,
    created_ms     INTEGER NOT NULL,
    updated_ms     INTEGER NOT NULL,
    first_reply_ms INTEGER,
    closed_ms      INTEGER
) STRICT;

CREATE UNIQUE INDEX tickets_one_open ON tickets (conversation) WHERE state <> 'closed';
CREATE INDEX tickets_queue ON tickets (state, priority DESC, created_ms);
