//! The databases of the services: servers that are started here, and files. Each service has one of its own.

use std::collections::HashSet;
use std::time::Duration;

use compare::servers::Server;
use compare::services::{Service, Store};
use countersign_redis::redis::{self, Client};
use countersign_sqlx::sqlx::postgres::PgConnection;
use countersign_sqlx::sqlx::sqlite::SqliteConnection;
use countersign_sqlx::sqlx::{self, AssertSqlSafe, Connection};
use tempfile::TempDir;

use crate::usage;

pub struct Databases {
    directory: TempDir,
    postgres: Option<(Server, u32)>,
    redis: Option<(Server, u32)>,
}

/// A service's own database.
pub struct Database {
    /// For the service.
    pub address: String,
    kind: Kind,
}

enum Kind {
    /// The service itself counts its effects.
    Memory,
    Sqlite,
    Postgres,
    Redis,
}

/// What those by hand take, in Node and Python too, and the effects of all.
const POSTGRES_TABLES: &str = r#"
    CREATE TABLE inbox (key text COLLATE "C" PRIMARY KEY, received_at timestamptz NOT NULL);
    CREATE TABLE claims (key text COLLATE "C" PRIMARY KEY, done boolean NOT NULL, expires_at timestamptz NOT NULL);
    CREATE TABLE effects (job_id text NOT NULL, total_price double precision NOT NULL);"#;

impl Databases {
    /// Starts the servers that are installed: PostgreSQL with its default settings, except that it takes the connections of
    /// all services at once, and Redis with a log that it flushes before it answers.
    pub async fn start() -> Self {
        let postgres = match Server::postgres() {
            None => None,
            Some(mut server) => {
                let connect = async |server: &Server| PgConnection::connect(&server.url()).await.unwrap();
                let sql = "ALTER SYSTEM SET max_connections = 250";
                sqlx::raw_sql(sql).execute(&mut connect(&server).await).await.unwrap();
                server.stop();
                server.start();
                let pid = "SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int";
                let pid: i32 = sqlx::query_scalar(pid).fetch_one(&mut connect(&server).await).await.unwrap();
                Some((server, pid.unsigned_abs()))
            }
        };
        let redis = Server::redis().map(|server| {
            server.redis_cli(&["config", "set", "appendfsync", "always"]);
            server.redis_cli(&["config", "set", "appendonly", "yes"]);
            let info = server.redis_cli(&["info", "server"]);
            let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
            (server, pid.trim().parse().unwrap())
        });
        Self { directory: tempfile::tempdir().unwrap(), postgres, redis }
    }

    /// A database for a service, with a number of its own; none without its server.
    pub async fn make(&self, service: &Service, number: usize) -> Option<Database> {
        let (address, kind) = match service.store {
            Store::Memory => ("memory".to_owned(), Kind::Memory),
            Store::Sqlite => {
                (format!("sqlite:{}/{number}.db", self.directory.path().display()), Kind::Sqlite)
            }
            Store::Redis => (format!("{}/{}", self.redis.as_ref()?.0.url(), number % 16), Kind::Redis),
            Store::Postgres => {
                let server = &self.postgres.as_ref()?.0;
                let mut connection = PgConnection::connect(&server.url()).await.unwrap();
                let create = AssertSqlSafe(format!("CREATE DATABASE service_{number}"));
                sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
                let address = format!("postgres://postgres@127.0.0.1:{}/service_{number}", server.port());
                let mut connection = PgConnection::connect(&address).await.unwrap();
                sqlx::raw_sql(POSTGRES_TABLES).execute(&mut connection).await.unwrap();
                (address, Kind::Postgres)
            }
        };
        let kind = if service.has_effects_in_memory { Kind::Memory } else { kind };
        Some(Database { address, kind })
    }

    /// The time that the server of a store has taken.
    pub fn cpu(&self, store: Store) -> Option<Duration> {
        match store {
            Store::Memory | Store::Sqlite => None,
            Store::Redis => Some(usage::cpu(self.redis.as_ref()?.1)),
            Store::Postgres => Some(usage::cpu_with_children(self.postgres.as_ref()?.1)),
        }
    }
}

impl Database {
    /// How many effects there are, and of how many jobs; none where the service has to be asked.
    pub async fn effects(&self) -> Option<(u64, u64)> {
        const COUNT: &str = "SELECT count(*), count(DISTINCT job_id) FROM effects";
        let (all, jobs): (i64, i64) = match self.kind {
            Kind::Memory => return None,
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.address).await.unwrap();
                sqlx::query_as(COUNT).fetch_one(&mut connection).await.unwrap()
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.address).await.unwrap();
                sqlx::query_as(COUNT).fetch_one(&mut connection).await.unwrap()
            }
            Kind::Redis => {
                let client = Client::open(&*self.address).unwrap();
                let mut connection = client.get_connection_manager().await.unwrap();
                let mut list = redis::cmd("LRANGE");
                list.arg("effects").arg(0).arg(-1);
                let all: Vec<String> = list.query_async(&mut connection).await.unwrap();
                let jobs: HashSet<_> = all.iter().collect();
                return Some((all.len() as u64, jobs.len() as u64));
            }
        };
        Some((all.unsigned_abs(), jobs.unsigned_abs()))
    }
}
