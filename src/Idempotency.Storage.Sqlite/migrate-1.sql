-- From schema version 1 to 2; see schema.sql.
ALTER TABLE records ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1);
ALTER TABLE records ADD COLUMN probe BLOB CHECK (probe IS NULL OR state <> 3);
ALTER TABLE records ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1));
CREATE INDEX records_with_probe ON records (id) WHERE probe IS NOT NULL AND state <> 3;
PRAGMA user_version = 2;
