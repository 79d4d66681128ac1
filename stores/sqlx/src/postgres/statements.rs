//! The statements of the store, and their parameters.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, SqlStr, Type};

use crate::error::BoxError;
use crate::table::TableName;

/// The store's statements, for its table.
pub(crate) struct Statements {
    pub(crate) is_migrated: SqlStr,
    pub(crate) migrate: SqlStr,
    pub(crate) claim: Statement,
    pub(crate) complete: Statement,
    pub(crate) release: Statement,
    pub(crate) renew: Statement,
    pub(crate) forget: Statement,
    /// For each table, what finds the expired keys in a part of it, and what deletes those of them that it is given.
    pub(crate) purges: [[Statement; 2]; 2],
    pub(crate) record: Statement,
    pub(crate) advance: Statement,
    pub(crate) newest: Statement,
    pub(crate) batch: Statement,
}

/// A statement that answers with its name, has its own number of parameters, and requires its table's name as the last
/// of them.
///
/// A pooler that passes a session from client to client may run another statement than the requested one,
/// because sqlx names statements by number. The server refuses a statement with the wrong number of parameters
/// before it runs it, so no statement of a table does the work of another. The same statement of another table divides
/// by zero, which undoes it. The answer of another client's statement lacks the name, and is rejected.
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) sql: SqlStr,
    /// The same statement, to be prepared without a name: sqlx finds a name by the text.
    pub(crate) unnamed: SqlStr,
    /// The same statement, to be prepared again once the table is large.
    pub(crate) large: SqlStr,
    /// The parameters between those in the SQL and the last one are ignored.
    parameters: usize,
    table: String,
    /// Whether a connection keeps the statement and its plan, also while the table is small.
    pub(crate) is_persistent: bool,
}

/// Makes the statements for this table.
pub(crate) fn statements(table: &TableName) -> Statements {
    let sql = |text: &str| table.in_sql(text);
    // PostgreSQL computes a condition without columns once, before it reads a row.
    let statement = |name, parameters, text: &str| {
        let is_own = format!("1 / (${parameters} = 'countersign_keys')::int = 1");
        let text = text.replace("[is own]", &is_own);
        let large = sql(&format!("{} -- large", text.replace("[is large]", "true")));
        // Whether the new row is beyond the first 1,024 pages (8 MB): its place costs nothing, and the table's size would cost a sixth of
        // the transaction.
        let text = text.replace("[is large]", "ctid >= '(1024,0)'");
        let unnamed = sql(&format!("{text} -- unnamed"));
        let table = table.as_str().to_owned();
        Statement { name, sql: sql(&text), unnamed, large, parameters, table, is_persistent: true }
    };
    Statements {
        is_migrated: sql(
            "SELECT to_regclass('\"countersign_keys\"') IS NOT NULL
             AND to_regclass('\"countersign_keys_versions\"') IS NOT NULL",
        ),
        migrate: sql(include_str!("../postgres.sql")),
        forget: statement(
            "forget",
            2,
            r#"DELETE FROM "countersign_keys" WHERE key = $1 AND [is own] RETURNING 'forget'"#,
        ),
        release: statement(
            "release",
            3,
            r#"DELETE FROM "countersign_keys" WHERE key = $1 AND token = $2 AND NOT done AND [is own]
             RETURNING 'release'"#,
        ),
        complete: statement(
            "complete",
            4,
            r#"UPDATE "countersign_keys"
             SET done = true, expires_at = clock_timestamp() + $3 * interval '1 microsecond'
             WHERE key = $1 AND token = $2 AND [is own]
             RETURNING 'complete'"#,
        ),
        renew: statement(
            "renew",
            5,
            r#"UPDATE "countersign_keys"
             SET expires_at = clock_timestamp() + $3 * interval '1 microsecond'
             WHERE key = $1 AND token = $2 AND NOT done AND [is own]
             RETURNING 'renew'"#,
        ),
        // A live key is only read, which waits for nobody and writes nothing. Of the transactions that insert
        // a key at once, the others do not wait for the first one's end either: they find its lock on the
        // key's hash, and there is no row then.
        // Otherwise always a row: `DO UPDATE … WHERE` would give the losers of a race none. The time is read
        // once, before a wait for another's transaction: so a claim that lapses meanwhile is still live.
        // A transaction keeps its own `lock_timeout`; 0 means that it has none.
        claim: statement(
            "claim",
            6,
            r#"WITH live AS MATERIALIZED (
                 SELECT token = $2 AS is_ours, done, extract(epoch FROM expires_at - clock_timestamp())::float8 AS lasts
                 FROM "countersign_keys" WHERE key = $1 AND expires_at > clock_timestamp() AND [is own]
             ), taken AS (
                 INSERT INTO "countersign_keys" AS k (key, token, done, expires_at)
                 SELECT $1, $2, $5, clock_timestamp() + $3 * interval '1 microsecond'
                 FROM (SELECT set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), $4), true)) AS setting
                 WHERE NOT EXISTS (SELECT FROM live)
                   AND pg_try_advisory_xact_lock(hashtextextended('countersign_keys ' || $1, 7205759403792793601))
                 ON CONFLICT (key) DO UPDATE SET
                     token = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.token ELSE excluded.token END,
                     done = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.done ELSE excluded.done END,
                     expires_at = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.expires_at ELSE excluded.expires_at END
                 RETURNING token = $2 AS acquired, done, extract(epoch FROM expires_at - clock_timestamp())::float8 AS lasts,
                     [is large] AS is_large
             )
             SELECT 'claim', acquired, done, lasts, is_large FROM taken
             UNION ALL SELECT 'claim', is_ours, done, lasts, false FROM live"#,
        ),
        purges: [
            ("key", "countersign_keys", "CASE WHEN done THEN interval '0' ELSE interval '1 hour' END", [7, 9]),
            ("object", "countersign_keys_versions", "interval '0'", [10, 12]),
        ]
        .map(|(key, name, after, [search, delete])| {
            // The time as a subquery, which is computed once. One row says how many pages the table has.
            let expired = format!("expires_at <= (SELECT clock_timestamp()) - {after}");
            let search = statement(
                "search",
                search,
                &format!(
                    r#"SELECT 'search', NULL AS key,
                         pg_relation_size('"{name}"'::regclass) / current_setting('block_size')::bigint AS pages WHERE [is own]
                     UNION ALL
                     SELECT 'search', {key}, NULL FROM "{name}"
                     WHERE ctid >= $1::text::tid AND ctid < $2::text::tid AND {expired}"#
                ),
            );
            let delete = statement(
                "delete",
                delete,
                &format!(
                    r#"WITH deleted AS (DELETE FROM "{name}" WHERE {key} IN (
                         SELECT {key} FROM "{name}" WHERE {key} = ANY($1::text[]) AND {expired} FOR UPDATE SKIP LOCKED
                     ) RETURNING 1)
                     SELECT 'delete', count(*) FROM deleted WHERE [is own]"#
                ),
            );
            [search, delete].map(|statement| Statement { is_persistent: false, ..statement })
        }),
        // A row if the key is new. It waits for nobody, and is simpler than `claim`, which
        // must read every other state.
        record: statement(
            "record",
            11,
            r#"INSERT INTO "countersign_keys" (key, token, done, expires_at)
             SELECT $1, $2, true, clock_timestamp() + $3 * interval '1 microsecond'
             WHERE [is own] AND NOT EXISTS (SELECT FROM "countersign_keys" WHERE key = $1)
               AND pg_try_advisory_xact_lock(hashtextextended('countersign_keys ' || $1, 7205759403792793601))
             ON CONFLICT (key) DO NOTHING
             RETURNING 'record', [is large] AS is_large"#,
        ),
        // No row if the version is not newer; the object's row is locked all the same.
        advance: statement(
            "advance",
            8,
            r#"INSERT INTO "countersign_keys_versions" AS v (object, version, expires_at)
             SELECT $1, $2, clock_timestamp() + $3 * interval '1 microsecond' WHERE [is own]
             ON CONFLICT (object) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at
             WHERE v.version < excluded.version
             RETURNING 'advance'"#,
        ),
        newest: statement(
            "newest",
            13,
            r#"SELECT 'newest', version FROM "countersign_keys_versions" WHERE object = $1 AND [is own]"#,
        ),
        // On a small table, any plan is fast, but a kept one is slow once the table has grown.
        batch: Statement { is_persistent: false, ..statement("batch", 14, BATCH) },
    }
}

/// Claims and completions of many keys: arrays of keys, tokens and times for either, each key once and in order. No table
/// has the names in upper case.
///
/// It waits for no other transaction, and so never for the keys of one. A key that another transaction has locked, that
/// has lapsed or that has just changed gets no row, and its call is repeated alone. (A transaction that inserts
/// keys without an advisory lock is no store's; for that, there is the `lock_timeout`.)
const BATCH: &str = r#"WITH "ASKED" AS MATERIALIZED (
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::int8[]) AS asked (key, token, micros)
     ), "FOUND" AS MATERIALIZED (
         SELECT k.key, k.done, extract(epoch FROM k.expires_at - clock_timestamp())::float8 AS lasts
         FROM "ASKED" AS asked JOIN "countersign_keys" AS k ON k.key = asked.key
     ), "NEW" AS MATERIALIZED (
         SELECT asked.*, pg_try_advisory_xact_lock(hashtextextended('countersign_keys ' || asked.key, 7205759403792793601)) AS is_free
         FROM (SELECT set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), $7), true)) AS setting,
             "ASKED" AS asked
         WHERE NOT EXISTS (SELECT FROM "FOUND" AS found WHERE found.key = asked.key)
     ), "CLAIMED" AS (
         INSERT INTO "countersign_keys" (key, token, done, expires_at)
         SELECT key, token, false, clock_timestamp() + micros * interval '1 microsecond' FROM "NEW" WHERE is_free
         ON CONFLICT (key) DO NOTHING
         RETURNING key, [is large] AS is_large
     ), "HELD" AS MATERIALIZED (
         SELECT k.key, held.micros
         FROM unnest($4::text[], $5::bytea[], $6::int8[]) AS held (key, token, micros)
         JOIN "countersign_keys" AS k ON k.key = held.key AND k.token = held.token
         FOR UPDATE OF k SKIP LOCKED
     ), "COMPLETED" AS (
         UPDATE "countersign_keys" AS k
         SET done = true, expires_at = clock_timestamp() + held.micros * interval '1 microsecond'
         FROM "HELD" AS held WHERE k.key = held.key
         RETURNING k.key
     )
     SELECT 'batch', 'claimed', key, NULL::float8 AS lasts, is_large FROM "CLAIMED" WHERE [is own]
     UNION ALL SELECT 'batch', CASE WHEN done THEN 'done' ELSE 'in flight' END, key, lasts, false FROM "FOUND" WHERE lasts > 0
     UNION ALL SELECT 'batch', 'uncommitted', key, NULL, false FROM "NEW" WHERE NOT is_free
     UNION ALL SELECT 'batch', 'completed', key, NULL, false FROM "COMPLETED""#;

/// What a parameter of a statement can be.
pub(crate) trait Value: Sync {
    fn add_to(&self, arguments: &mut PgArguments) -> Result<(), BoxError>;
}

impl<T> Value for T
where
    T: for<'q> Encode<'q, Postgres> + Type<Postgres> + Clone + Sync,
{
    fn add_to(&self, arguments: &mut PgArguments) -> Result<(), BoxError> {
        arguments.add(self.clone())
    }
}

pub(crate) type Argument<'a> = &'a dyn Value;

impl Statement {
    pub(crate) fn arguments(&self, values: &[Argument<'_>]) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for value in values {
            value.add_to(&mut arguments).map_err(sqlx::Error::Encode)?;
        }
        while arguments.len() < self.parameters - 1 {
            arguments.add(true).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(&*self.table).map_err(sqlx::Error::Encode)?;
        Ok(arguments)
    }
}
