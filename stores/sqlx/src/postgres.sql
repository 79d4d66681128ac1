-- The keys of countersign's PostgresStore: what `migrate` runs, to be put into migrations of your own.
CREATE TABLE IF NOT EXISTS "countersign_keys" (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    token      bytea            NOT NULL, -- of the newest claim; every later write has to know it
    done       boolean          NOT NULL, -- false while claimed, true when handled
    expires_at timestamptz      NOT NULL  -- the end of the lease, or of the retention
);

CREATE INDEX IF NOT EXISTS "countersign_keys_expires_at" ON "countersign_keys" (expires_at);
