-- The keys of countersign's PostgresStore: what `migrate` runs, to be put into migrations of your own.
CREATE TABLE IF NOT EXISTS "countersign_keys" (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    token      bytea            NOT NULL, -- of the newest claim; every later write has to know it
    done       boolean          NOT NULL, -- false while claimed, true when handled
    expires_at timestamptz      NOT NULL  -- the end of the lease, or of the retention
) WITH (fillfactor = 50); -- room for the completion beside its claim, which then changes no index

-- For `advance`: the newest handled version of each object.
CREATE TABLE IF NOT EXISTS "countersign_keys_versions" (
    object     text COLLATE "C" NOT NULL PRIMARY KEY,
    version    bigint           NOT NULL,
    expires_at timestamptz      NOT NULL  -- the end of the retention
) WITH (fillfactor = 75);

-- There is no index on `expires_at`: each claim and each completion would have to write it. `purge` reads the table.
