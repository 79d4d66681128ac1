-- The keys of countersign's PostgresStore: what `migrate` runs, to be put into migrations of your own.
CREATE TABLE IF NOT EXISTS "countersign_keys" (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    token      bytea            NOT NULL, -- of the newest claim; every later write has to know it
    done       boolean          NOT NULL, -- false while claimed, true when handled
    expires_at timestamptz      NOT NULL  -- the end of the lease, or of the retention
);

-- For `purge`: what is done, and what was only claimed, which is kept for an hour longer.
CREATE INDEX IF NOT EXISTS "countersign_keys_done" ON "countersign_keys" (expires_at) WHERE done;
CREATE INDEX IF NOT EXISTS "countersign_keys_claimed" ON "countersign_keys" (expires_at) WHERE NOT done;

-- For `advance`: the newest handled version of each object.
CREATE TABLE IF NOT EXISTS "countersign_keys_versions" (
    object     text COLLATE "C" NOT NULL PRIMARY KEY,
    version    bigint           NOT NULL,
    expires_at timestamptz      NOT NULL  -- the end of the retention
);
CREATE INDEX IF NOT EXISTS "countersign_keys_versions_end" ON "countersign_keys_versions" (expires_at);
