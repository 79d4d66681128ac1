-- The keys of countersign's SqliteStore: what `migrate` runs, to be put into migrations of your own.
CREATE TABLE IF NOT EXISTS "countersign_keys" (
    key        TEXT    NOT NULL PRIMARY KEY,
    token      BLOB    NOT NULL, -- of the newest claim; every later write has to know it
    done       INTEGER NOT NULL, -- 0 while claimed, 1 when handled
    expires_at INTEGER NOT NULL  -- milliseconds since 1970: the end of the lease, or of the retention
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS "countersign_keys_expires_at" ON "countersign_keys" (expires_at);
