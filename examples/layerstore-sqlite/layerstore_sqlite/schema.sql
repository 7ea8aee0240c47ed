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
