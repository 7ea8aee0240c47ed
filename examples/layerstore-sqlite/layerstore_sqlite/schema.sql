-- auto_vacuum keeps a map of the pages, by which SQLite deletes an object of any size without reading it.
PRAGMA page_size = 32768;
PRAGMA auto_vacuum = INCREMENTAL;

-- edition counts what was published; 0: nothing yet. version and writer are random, so that none comes twice, not even in
-- a store that is made anew (clause S2). writer is the handle that is not fenced.
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, edition INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL DEFAULT 0, modified REAL, version TEXT, writer TEXT DEFAULT (hex(randomblob(16)))
);

-- An object is made of its newest chunk of each number; zeros where there is none, or it ends early. Chunks of the next
-- edition are its writer's draft: to publish it is to count the edition up. No draft outlives any other update.
CREATE TABLE IF NOT EXISTS chunks (
    object INTEGER REFERENCES objects ON DELETE CASCADE, number INTEGER, edition INTEGER, data BLOB NOT NULL,
    PRIMARY KEY (object, number, edition)
);
CREATE TRIGGER IF NOT EXISTS settled AFTER UPDATE ON objects BEGIN
    DELETE FROM chunks WHERE object = new.id AND (edition > new.edition OR edition < new.edition
        AND number IN (SELECT number FROM chunks WHERE object = new.id AND edition = new.edition));
END;

-- If another program changes a published object, it gets another version, and its writer is fenced (X1 and X2).
CREATE TRIGGER IF NOT EXISTS altered AFTER UPDATE OF edition, size ON objects WHEN new.version IS old.version BEGIN
    UPDATE objects SET version = hex(randomblob(16)), writer = NULL WHERE id = new.id; END;
CREATE TRIGGER IF NOT EXISTS made AFTER INSERT ON objects WHEN new.version NOTNULL OR new.edition BEGIN
    UPDATE objects SET size = size WHERE id = new.id; END;
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON chunks BEGIN
    UPDATE objects SET size = size WHERE id = new.object AND edition >= new.edition; END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON chunks BEGIN
    UPDATE objects SET size = size WHERE id IN (old.object, new.object) AND edition >= min(old.edition, new.edition); END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON chunks BEGIN
    UPDATE objects SET size = size WHERE id = old.object AND edition >= old.edition AND NOT EXISTS (SELECT 1 FROM chunks
        WHERE object = id AND number = old.number AND chunks.edition BETWEEN old.edition AND objects.edition); END;
