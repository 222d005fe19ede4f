-- Contact data, sealed with a key that is not in this file. It waits at the conversation until there is a ticket for it.
ALTER TABLE conversations ADD COLUMN contact BLOB;
ALTER TABLE tickets ADD COLUMN contact BLOB;

-- For erasing: without it each erased conversation is looked for among all tickets.
CREATE INDEX tickets_conversation ON tickets (conversation);
CREATE INDEX conversations_customer ON conversations (customer) WHERE customer IS NOT NULL;

-- Who erased how much, and when. Nothing of what was erased: `subject` is a hash.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY NOT NULL,
    at_ms   INTEGER NOT NULL,
    who     TEXT NOT NULL,
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    counts  TEXT NOT NULL -- JSON object, name to number
) STRICT;
