-- One store. A content is a numbered set of pieces: the bytes of an object, or what a writer has not published yet.
-- Who drops a row hands on what it held: the triggers see to it, so that nothing can be forgotten.

PRAGMA page_size = 32768;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;

-- The last number given out: to versions, contents and writers alike, and never twice.
CREATE TABLE ticket (last INTEGER NOT NULL);
-- It begins at the time, so that a store that is deleted and made anew does not repeat itself (clause S2).
INSERT INTO ticket VALUES (CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER));

-- What is published. modified is in nanoseconds since 1970.
CREATE TABLE objects (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, content INTEGER NOT NULL, size INTEGER NOT NULL,
    modified INTEGER NOT NULL
) WITHOUT ROWID;

-- The one writer of each key that is not fenced; draft is the content that it writes to.
CREATE TABLE writers (key TEXT PRIMARY KEY, draft INTEGER NOT NULL) WITHOUT ROWID;

-- Which chunk lies where. Publishing renumbers rows of this table, and copies no bytes. Where no piece is, or its chunk
-- ends early, there are zeros.
CREATE TABLE pieces (
    content INTEGER, number INTEGER, chunk INTEGER NOT NULL, PRIMARY KEY (content, number)
) WITHOUT ROWID;
CREATE TABLE chunks (id INTEGER PRIMARY KEY, data BLOB NOT NULL);

-- Contents that nothing holds any more, as long as they have pieces; these are deleted a few at a time.
CREATE TABLE garbage (content INTEGER PRIMARY KEY);
CREATE VIEW swept AS SELECT pieces.content, number FROM garbage CROSS JOIN pieces USING (content);

CREATE TRIGGER object_dropped AFTER DELETE ON objects BEGIN
    INSERT INTO garbage SELECT content FROM pieces WHERE content = old.content LIMIT 1;
END;
CREATE TRIGGER writer_dropped AFTER DELETE ON writers BEGIN
    INSERT INTO garbage SELECT content FROM pieces WHERE content = old.draft LIMIT 1;
END;
CREATE TRIGGER piece_dropped AFTER DELETE ON pieces BEGIN
    DELETE FROM chunks WHERE id = old.chunk;
    DELETE FROM garbage WHERE content = old.content
        AND NOT EXISTS (SELECT 1 FROM pieces WHERE content = old.content);
END;
