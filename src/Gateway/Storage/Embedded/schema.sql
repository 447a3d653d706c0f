-- The embedded store, schema version 1 (PRAGMA user_version). Times are milliseconds since 1970 by the machine's clock,
-- which is this store's clock. Answers are RecordFormat bytes.
CREATE TABLE IF NOT EXISTS records (
  id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
  state       INTEGER NOT NULL CHECK (state IN (1, 2, 3)),            -- 1 claimed, 2 uncertain, 3 settled
  token       BLOB    NOT NULL CHECK (length(token) = 16),            -- the owner; compared before every write
  fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 33),      -- algorithm version, then SHA-256
  lease_until INTEGER NOT NULL,                                       -- a claim past this reads as uncertain
  expires_at  INTEGER NOT NULL CHECK (expires_at >= lease_until),     -- a record past this reads as absent
  answer      BLOB    CHECK ((answer IS NOT NULL) = (state = 3))
) STRICT;

-- The sweeper deletes what is over in small batches, oldest first.
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);

-- The secret that record ids are made with; one row.
CREATE TABLE IF NOT EXISTS secrets (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  value BLOB    NOT NULL
) STRICT;

PRAGMA user_version = 1;
