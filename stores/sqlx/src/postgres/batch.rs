//! Claims and completions of many keys in one statement.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Postgres, Row};

use super::PostgresStore;
use super::statements::Argument;
use crate::batch::{Batch, Calls};
use crate::call::Answer;
use crate::flush::Batches;

impl Batches for PostgresStore {
    type Connection = PoolConnection<Postgres>;

    fn alone(&self) -> usize {
        // The server itself lets a few transactions share a flush.
        8.min(self.pool.options().get_max_connections() as usize)
    }

    fn acquire_timeout(&self) -> Duration {
        self.pool.options().get_acquire_timeout()
    }

    async fn connection(&self) -> Result<Self::Connection, sqlx::Error> {
        self.pool.acquire().await
    }

    async fn write(&self, mut connection: Self::Connection, mut batch: Batch) {
        let Ok(rows) = self.ask_for_all(&mut connection, &batch).await else {
            // Until the server has rolled back, the calls would find their own keys in flight.
            let _gone = connection.ping().await;
            return;
        };
        for row in rows {
            let Ok((state, key, left)) = read(&row) else { return };
            let claims = &mut batch.claims;
            match state {
                "claimed" => claims.answer(key, Answer::Applied),
                "done" => claims.answer(key, Answer::Done),
                "in flight" => claims.answer(key, Answer::InFlight(left)),
                "uncommitted" => {
                    let left = claims.get(key).map_or(left, |claim| Self::until_committed(claim.call.time));
                    claims.answer(key, Answer::InFlight(left));
                }
                "completed" => batch.completions.answer(key, Answer::Applied),
                _ => {}
            }
        }
    }
}

impl PostgresStore {
    async fn ask_for_all(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let (claims, completions) = (columns(&batch.claims), columns(&batch.completions));
        let arguments: [Argument<'_>; 7] = [
            &claims.0,
            &claims.1,
            &claims.2,
            &completions.0,
            &completions.1,
            &completions.2,
            &self.lock_timeout(),
        ];
        let statement = &self.sql.batch;
        self.ask_alone(connection, statement, statement.arguments(&arguments)?).await
    }
}

/// The keys, tokens and times of the calls.
fn columns(calls: &Calls) -> (Vec<String>, Vec<Vec<u8>>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for call in calls.iter().map(|waiting| &waiting.call) {
        columns.0.push(call.lease.key().as_str().to_owned());
        columns.1.push(call.lease.token().to_vec());
        columns.2.push(PostgresStore::micros(call.time));
    }
    columns
}

/// The state of a key, the key, and how long the state still lasts.
fn read(row: &PgRow) -> Result<(&str, &str, Duration), sqlx::Error> {
    let left: Option<f64> = row.try_get(3)?;
    let left = Duration::try_from_secs_f64(left.unwrap_or_default()).unwrap_or_default();
    Ok((row.try_get(1)?, row.try_get(2)?, left))
}
