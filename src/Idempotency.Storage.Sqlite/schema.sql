-- The embedded store, schema version 2 (PRAGMA user_version); migrate-1.sql brings a file of version 1 here. Times are milliseconds
-- since 1970 by the machine's clock, which is this store's clock. Answers are RecordFormat bytes.
CREATE TABLE IF NOT EXISTS records (
  id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
  state       INTEGER NOT NULL CHECK (state IN (1, 2, 3)),            -- 1 claimed, 2 uncertain, 3 settled
  token       BLOB    NOT NULL CHECK (length(token) = 16),            -- the owner; compared before every write
  fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 33),      -- algorithm version, then a digest of the request
  lease_until INTEGER NOT NULL,                                       -- a claim past this reads as uncertain; of an uncertain one: since when nothing of it is sent
  expires_at  INTEGER NOT NULL CHECK (expires_at >= lease_until),     -- a record past this reads as absent
  answer      BLOB    CHECK ((answer IS NOT NULL) = (state = 3)),
  attempt     INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),        -- one more for every take-over
  probe       BLOB    CHECK (probe IS NULL OR state <> 3),            -- for the sweeper, until settled
  forgotten   INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1))  -- 1: deleted by an operator; reads as absent, keeps the owner out
) STRICT;

-- The sweeper deletes what is over in small batches, oldest first.
CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at);

-- Open claims with a probe, to be walked through in the order of their ids.
CREATE INDEX IF NOT EXISTS records_with_probe ON records (id) WHERE probe IS NOT NULL AND state <> 3;

-- The secret that record ids are made with; one row.
CREATE TABLE IF NOT EXISTS secrets (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  value BLOB    NOT NULL
) STRICT;

PRAGMA user_version = 2;
