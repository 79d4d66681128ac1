//! Both stores, as the rules use them.

use std::any::Any;
use std::future::Future;
use std::time::Duration;

use countersign::provider::ThreeQpr;
use countersign::store::TransactionalStore;
use countersign::{Delivery, Outcome, Receiver};
use countersign_sqlx::sqlx::postgres::PgPoolOptions;
use countersign_sqlx::sqlx::{self, AssertSqlSafe};
use countersign_sqlx::{
    Advance, PostgresStore, PostgresTransaction, SqlStoreError, SqliteStore, SqliteTransaction, Version,
};

use crate::common::servers::Server;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Scan = Delivery<'static, ThreeQpr>;

/// A store, and what a handler and a test do with its database. Effects are rows of a table without a unique index.
pub(crate) trait Backend: TransactionalStore<Error = SqlStoreError> + Clone + 'static {
    fn run(
        transaction: &mut Self::Transaction,
        sql: impl Into<String> + Send,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs the statement in a savepoint, and ignores its error.
    fn attempt(transaction: &mut Self::Transaction, sql: &'static str) -> impl Future<Output = ()> + Send;

    fn advance(
        transaction: &mut Self::Transaction,
        object: &str,
        version: Version,
    ) -> impl Future<Output = Result<Advance, SqlStoreError>> + Send;

    /// Runs SQL outside of any transaction.
    fn run_alone(&self, sql: &str) -> impl Future<Output = ()> + Send;

    fn number(&self, sql: &str) -> impl Future<Output = i64> + Send;

    fn purge_all(&self) -> impl Future<Output = u64> + Send;

    fn close(&self) -> impl Future<Output = ()> + Send;
}

macro_rules! backend {
    ($store:ty, $transaction:ty) => {
        impl Backend for $store {
            async fn run(
                transaction: &mut $transaction,
                sql: impl Into<String> + Send,
            ) -> Result<(), sqlx::Error> {
                sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut **transaction).await.map(drop)
            }

            async fn attempt(transaction: &mut $transaction, sql: &'static str) {
                let mut savepoint = sqlx::Connection::begin(&mut **transaction).await.unwrap();
                match sqlx::raw_sql(sql).execute(&mut *savepoint).await {
                    Ok(_) => savepoint.commit().await.unwrap(),
                    Err(_) => savepoint.rollback().await.unwrap(),
                }
            }

            async fn advance(
                transaction: &mut $transaction,
                object: &str,
                version: Version,
            ) -> Result<Advance, SqlStoreError> {
                transaction.advance(object, version).await
            }

            async fn run_alone(&self, sql: &str) {
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.pool()).await.unwrap();
            }

            async fn number(&self, sql: &str) -> i64 {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(self.pool()).await.unwrap()
            }

            async fn purge_all(&self) -> u64 {
                self.purge().await.unwrap()
            }

            async fn close(&self) {
                self.pool().close().await;
            }
        }
    };
}

backend!(SqliteStore, SqliteTransaction);
backend!(PostgresStore, PostgresTransaction);

/// Two instances of a service on one database.
pub(crate) struct Service<S> {
    pub(crate) receivers: [Receiver<ThreeQpr, S>; 2],
    _database: Box<dyn Any + Send + Sync>,
}

const EFFECTS: &str = "CREATE TABLE effects (id BIGINT NOT NULL)";

impl Service<SqliteStore> {
    pub(crate) async fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let open = async || SqliteStore::open(directory.path().join("webhooks.db")).await.unwrap();
        let stores = [open().await, open().await];
        stores[0].run_alone(EFFECTS).await;
        Some(Self::on(stores, directory))
    }
}

impl Service<PostgresStore> {
    pub(crate) async fn new() -> Option<Self> {
        Self::with_pools(PostgresStore::pool_options().max_connections(16)).await
    }

    pub(crate) async fn with_pools(pool: PgPoolOptions) -> Option<Self> {
        let server = Server::postgres()?;
        let connect =
            async || PostgresStore::connect_with(pool.clone(), server.url().parse().unwrap()).await.unwrap();
        let stores = [connect().await, connect().await];
        stores[0].migrate().await.unwrap();
        stores[0].run_alone(EFFECTS).await;
        Some(Self::on(stores, server))
    }
}

impl<S: Backend> Service<S> {
    pub(crate) fn on(stores: [S; 2], database: impl Any + Send + Sync) -> Self {
        let receivers = stores.map(|store| Receiver::new(crate::common::webhook(), store));
        Self { receivers, _database: Box::new(database) }
    }

    pub(crate) fn receiver(&self) -> &Receiver<ThreeQpr, S> {
        &self.receivers[0]
    }

    pub(crate) fn store(&self) -> &S {
        self.receiver().store()
    }

    /// Delivers an event whose handler has one effect, to the first instance.
    pub(crate) async fn deliver(&self, id: u32) -> Outcome {
        self.receiver().handle_in_transaction(delivery(id), with_effect::<S>).await
    }

    /// Delivers an event until it is acknowledged, as a provider does.
    pub(crate) async fn deliver_until_acknowledged(&self, id: u32) {
        for _ in 0..500 {
            if self.deliver(id).await.is_acknowledged() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.deliver(id).await);
    }

    pub(crate) async fn effects(&self, id: u32) -> i64 {
        self.store().number(&format!("SELECT count(*) FROM effects WHERE id = {id}")).await
    }
}

/// A verified delivery with this id.
pub(crate) fn delivery(id: u32) -> Scan {
    let webhook = crate::common::webhook::<ThreeQpr>();
    let body = format!(r#"{{"event":"scan.created","id":"evt_{id}"}}"#);
    let headers = crate::common::signed(&webhook, body.as_bytes());
    webhook.verify(&headers, body.as_bytes()).unwrap().into_owned()
}

fn insert(delivery: &Scan) -> String {
    let id = delivery.id().unwrap().trim_start_matches("evt_");
    format!("INSERT INTO effects VALUES ({id})")
}

/// The handler of most tests: one effect.
pub(crate) async fn with_effect<S: Backend>(
    delivery: Scan,
    mut transaction: S::Transaction,
) -> Result<S::Transaction, BoxError> {
    S::run(&mut transaction, insert(&delivery)).await?;
    Ok(transaction)
}

/// Makes a test of a rule for each store: a function that takes a service.
macro_rules! on_both_stores {
    ($($rule:ident),+ $(,)?) => { $(
        mod $rule {
            use crate::backend::Service;
            use countersign_sqlx::{PostgresStore, SqliteStore};

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let Some(service) = Service::<SqliteStore>::new().await else { return };
                super::$rule(service).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let Some(service) = Service::<PostgresStore>::new().await else { return };
                super::$rule(service).await;
            }
        }
    )+ };
}

pub(crate) use on_both_stores;
