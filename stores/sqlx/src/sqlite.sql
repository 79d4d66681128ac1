-- The keys of countersign's SqliteStore: what `migrate` runs, to be put into migrations of your own.
CREATE TABLE IF NOT EXISTS "countersign_keys" (
    key        TEXT    NOT NULL PRIMARY KEY,
    token      BLOB    NOT NULL, -- of the newest claim; every later write has to know it
    done       INTEGER NOT NULL, -- 0 while claimed, 1 when handled
    expires_at INTEGER NOT NULL  -- milliseconds since 1970: the end of the lease, or of the retention
) STRICT, WITHOUT ROWID;

-- For `advance`: the newest handled version of each object.
CREATE TABLE IF NOT EXISTS "countersign_keys_versions" (
    object     TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL  -- milliseconds since 1970: the end of the retention
) STRICT, WITHOUT ROWID;

-- There is no index on `expires_at`: each claim and each completion would have to write it. `purge` reads the table.
