//! Claims and completions of many keys in one transaction.

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, SqlStr, Sqlite, SqliteConnection};
use std::time::Duration;

use countersign::store::Lease;

use super::{Failure, SqliteStore, millis};
use crate::batch::{Batch, Calls};
use crate::call::{Answer, Waiting};
use crate::error::Shared;
use crate::flush::{Batches, MAX_BATCH};
use crate::table::TableName;

/// How many rows the statements have. SQLite reads the rows without values as NULL, and the statements skip them.
pub(super) const SIZES: [usize; 3] = [8, 32, MAX_BATCH];

/// The statements for a batch of up to `size` keys of each kind.
pub(super) struct Statements {
    size: usize,
    live: SqlStr,
    claim: SqlStr,
    complete: SqlStr,
    recorded: SqlStr,
}

/// Makes the statements for this table.
pub(super) fn statements(table: &TableName, size: usize) -> Statements {
    // The first parameter is the time; then come each row's.
    let rows = |columns: usize| {
        let row = |row| {
            let parameters = (2..2 + columns).map(|column| format!("?{}", row * columns + column));
            format!("({})", parameters.collect::<Vec<_>>().join(", "))
        };
        (0..size).map(row).collect::<Vec<_>>().join(", ")
    };
    let sql = |columns, text: &str| table.in_sql(&text.replace("[rows]", &rows(columns)));
    Statements {
        size,
        live: sql(
            1,
            r#"SELECT key, token, done, expires_at FROM "countersign_keys"
             WHERE key IN (VALUES [rows]) AND expires_at > ?1"#,
        ),
        claim: sql(
            3,
            r#"INSERT INTO "countersign_keys" AS k (key, token, done, expires_at)
             SELECT column1, column2, 0, column3 FROM (VALUES [rows]) WHERE column1 IS NOT NULL
             ON CONFLICT (key) DO UPDATE SET
                 token = iif(k.expires_at > ?1, k.token, excluded.token),
                 done = iif(k.expires_at > ?1, k.done, excluded.done),
                 expires_at = iif(k.expires_at > ?1, k.expires_at, excluded.expires_at)
             RETURNING key, token, done, expires_at"#,
        ),
        complete: sql(
            3,
            r#"UPDATE "countersign_keys" SET done = 1, expires_at = column3 FROM (VALUES [rows])
             WHERE key = column1 AND token = column2
             RETURNING key"#,
        ),
        recorded: sql(2, r#"SELECT count(*) FROM "countersign_keys" WHERE (key, token) IN (VALUES [rows])"#),
    }
}

/// A key's text and token, whether it is done, and when that ends.
type KeyRow = (String, Vec<u8>, bool, i64);

impl Batches for SqliteStore {
    type Connection = PoolConnection<Sqlite>;

    fn alone(&self) -> usize {
        // SQLite has one writer at a time.
        1
    }

    fn acquire_timeout(&self) -> Duration {
        self.pool.options().get_acquire_timeout()
    }

    async fn connection(&self) -> Result<Self::Connection, sqlx::Error> {
        self.pool.acquire().await
    }

    async fn write(&self, mut connection: Self::Connection, mut batch: Batch) {
        // What is live is only read, which does not wait for a writer.
        if !batch.claims.is_empty() {
            match self.live_of(&mut connection, &batch.claims).await {
                Ok(live) => self.answer(&mut batch.claims, live),
                Err(error) => return fail_if_locked(batch, error),
            }
        }
        if batch.is_empty() {
            return;
        }
        let mut transaction = match connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction,
            Err(error) => return fail_if_locked(batch, error),
        };
        let written = async {
            // The completions first: a claim of a lapsed key must not take over one that is completed here.
            let completed = self.complete_all(&mut transaction, &batch.completions).await?;
            let claimed = self.claim_all(&mut transaction, &batch.claims).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>((claimed, completed))
        };
        let Ok((claimed, completed)) = written.await else { return };
        self.answer(&mut batch.claims, claimed);
        for (key,) in completed {
            batch.completions.answer(&key, Answer::Applied);
        }
    }
}

/// Answers all calls if another writer holds the file, because each of them would wait for it again.
fn fail_if_locked(batch: Batch, error: sqlx::Error) {
    if let Some(error) = Shared::if_locked(error) {
        batch.answer_all(&Answer::Failed(error));
    }
}

impl SqliteStore {
    /// The statements for so many keys.
    fn batch(&self, keys: usize) -> &Statements {
        let [small, medium, large] = &self.sql.batches;
        [small, medium].into_iter().find(|batch| keys <= batch.size).unwrap_or(large)
    }

    async fn live_of(
        &self,
        connection: &mut SqliteConnection,
        claims: &Calls,
    ) -> Result<Vec<KeyRow>, sqlx::Error> {
        let mut query = sqlx::query_as(self.batch(claims.len()).live.clone()).bind(millis((self.clock)()));
        for claim in claims.iter() {
            query = query.bind(claim.call.lease.key().as_str());
        }
        query.fetch_all(connection).await
    }

    async fn claim_all(
        &self,
        transaction: &mut SqliteConnection,
        claims: &Calls,
    ) -> Result<Vec<KeyRow>, sqlx::Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        self.bind(&self.batch(claims.len()).claim, claims).fetch_all(transaction).await
    }

    async fn complete_all(
        &self,
        transaction: &mut SqliteConnection,
        completions: &Calls,
    ) -> Result<Vec<(String,)>, sqlx::Error> {
        if completions.is_empty() {
            return Ok(Vec::new());
        }
        self.bind(&self.batch(completions.len()).complete, completions).fetch_all(transaction).await
    }

    /// The time, and each call's key, token and end.
    fn bind<'q, O>(
        &self,
        sql: &SqlStr,
        calls: &'q Calls,
    ) -> sqlx::query::QueryAs<'q, Sqlite, O, SqliteArguments>
    where
        O: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
    {
        let mut query = sqlx::query_as(sql.clone()).bind(millis((self.clock)()));
        for Waiting { call, .. } in calls.iter() {
            let (_, end) = self.now_and(call.time);
            query = query.bind(call.lease.key().as_str()).bind(&call.lease.token()[..]).bind(end);
        }
        query
    }

    /// Whether these keys are all in the transaction, with these tokens: a handler may have undone its own.
    pub(super) async fn all_are_recorded(
        &self,
        transaction: &mut SqliteConnection,
        records: &[Lease],
    ) -> Result<bool, Failure> {
        let count = records.len();
        // The first parameter is not used.
        let mut query = sqlx::query_scalar(self.batch(count).recorded.clone()).bind(0);
        for record in records {
            query = query.bind(record.key().as_str()).bind(&record.token()[..]);
        }
        let found: i64 = query.fetch_one(transaction).await?;
        Ok(usize::try_from(found) == Ok(count))
    }

    /// Answers the claims of these keys.
    fn answer(&self, claims: &mut Calls, rows: Vec<KeyRow>) {
        for (key, token, done, expires_at) in rows {
            let is_ours = claims.get(&key).is_some_and(|claim| claim.call.lease.token()[..] == token);
            let answer = match (is_ours, done) {
                (true, _) => Answer::Applied,
                (false, true) => Answer::Done,
                (false, false) => Answer::InFlight(self.left_until(expires_at)),
            };
            claims.answer(&key, answer);
        }
    }
}
