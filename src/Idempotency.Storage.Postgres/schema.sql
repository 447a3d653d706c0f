-- The PostgreSQL store, schema version 1 (table idempotency_schema). The gateway runs this file itself on its first start; where policy
-- forbids that, an administrator runs it once (psql -f schema.sql), in the schema that comes first in the gateway's search path, and grants:
--   GRANT USAGE ON SCHEMA ... TO gateway;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records, idempotency_secret TO gateway;
--   GRANT USAGE ON SEQUENCE idempotency_version TO gateway;
--   GRANT SELECT ON idempotency_schema TO gateway;
-- It may be run again; it changes nothing that is there. All times are by this server's clock, which is the store's clock.
CREATE TABLE IF NOT EXISTS idempotency_schema (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL
);
INSERT INTO idempotency_schema (version) VALUES (1) ON CONFLICT DO NOTHING;

-- Numbers every write, so that a writer sees whether a row is still the one that it read.
CREATE SEQUENCE IF NOT EXISTS idempotency_version;

-- One row per key. What others keep in clear is here as follows: the key with its policy and scope is id, method, path, query and body are
-- fingerprint (neither can be turned back), the recovery point is state.
CREATE TABLE IF NOT EXISTS idempotency_records (
  id            bytea       PRIMARY KEY CHECK (octet_length(id) = 32),                 -- HMAC-SHA256 of policy, scope and key
  state         text        NOT NULL CHECK (state IN ('claimed', 'uncertain', 'settled')),
  token         uuid        NOT NULL,                                                  -- the owner; compared before every write
  fingerprint   bytea       NOT NULL CHECK (octet_length(fingerprint) = 33),           -- algorithm version, then a digest of the request
  lease_until   timestamptz NOT NULL,                                                  -- a claim past this reads as uncertain
  expires_at    timestamptz NOT NULL CHECK (expires_at >= lease_until),                -- end of the retention: a record past this reads as absent
  answer        bytea       CHECK ((answer IS NOT NULL) = (state = 'settled')),        -- status, headers and body (RecordFormat), perhaps sealed
  response_code integer     GENERATED ALWAYS AS (                                      -- for people; null of a sealed answer
                              CASE WHEN octet_length(answer) >= 14 AND get_byte(answer, 0) IN (1, 2)
                                   THEN get_byte(answer, 2) * 256 + get_byte(answer, 3) END) STORED,
  attempt       integer     NOT NULL DEFAULT 1 CHECK (attempt >= 1),                   -- one more for every take-over
  probe         bytea       CHECK (probe IS NULL OR state <> 'settled'),               -- for the sweeper, until settled
  forgotten     boolean     NOT NULL DEFAULT false,                                    -- deleted by an operator: reads as absent, keeps the owner out
  watched       boolean     NOT NULL DEFAULT false,                                    -- somebody waits for the end of this claim
  version       bigint      NOT NULL DEFAULT nextval('idempotency_version')            -- another with every write
) WITH (
  fillfactor = 80,                         -- room to settle a claim on its own page, without touching an index
  autovacuum_vacuum_scale_factor = 0.02,   -- every row dies soon
  toast.autovacuum_vacuum_scale_factor = 0.02
);

-- The sweeper deletes what is over in small batches, oldest first.
CREATE INDEX IF NOT EXISTS idempotency_records_by_expiry ON idempotency_records (expires_at);

-- Open claims that the sweeper of outcomes may resolve. Only claims of policies with a probe are in it: an index over state would cost every
-- settle an entry in each index.
CREATE INDEX IF NOT EXISTS idempotency_records_open ON idempotency_records (id) WHERE probe IS NOT NULL;

-- The secret that record ids are made with; one row.
CREATE TABLE IF NOT EXISTS idempotency_secret (
  one   boolean PRIMARY KEY DEFAULT true CHECK (one),
  value bytea   NOT NULL CHECK (octet_length(value) = 32)
);
