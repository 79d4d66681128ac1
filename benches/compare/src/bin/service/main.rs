//! One whole service, which `delivering` starts and delivers to: `service FORM ADDRESS`.
//!
//! FORM says how it was written, and ADDRESS where it keeps its keys: `memory`, `sqlite:PATH`, `redis://…` or
//! `postgres://…`. It listens on a free port, which it prints: `POST /webhook` takes a delivery, `GET /` answers when it
//! is ready, and `GET /effects` counts the effects that are in memory.

mod by_hand;
mod effects;
mod payload;
mod with_countersign;

use axum::Router;
use axum::routing::{MethodRouter, get};
use axum::serve::ListenerExt;
use countersign_redis::redis::Client;
use countersign_redis::redis::aio::ConnectionManager;
use effects::Effects;
use tokio::net::TcpListener;

pub const SECRET: &str = compare::services::SECRET;

/// Of a pool, to PostgreSQL.
pub const CONNECTIONS: u32 = 10;

async fn redis(address: &str) -> ConnectionManager {
    Client::open(address).unwrap().get_connection_manager().await.unwrap()
}

async fn service(form: &str, address: &str, effects: Effects) -> MethodRouter {
    use with_countersign as ours;
    let (kind, path) = address.split_once(':').unwrap_or((address, ""));
    match (form, kind) {
        ("only-reads", "memory") => by_hand::only_read(),
        ("by-hand", "memory") => by_hand::in_memory(effects),
        ("by-hand", "redis") => by_hand::in_redis(redis(address).await),
        ("by-hand", "sqlite") => by_hand::in_sqlite(path).await,
        ("by-hand", "postgres") => by_hand::in_postgres(address).await,
        ("by-hand-apart", "postgres") => by_hand::apart_in_postgres(address, None).await,
        ("by-hand-apart-elsewhere", "postgres") => by_hand::apart_in_postgres(address, Some(effects)).await,
        ("countersign", "memory") => ours::in_memory(effects),
        ("countersign", "redis") => ours::in_redis(redis(address).await),
        (form, "sqlite") => match form {
            "one-commit" => ours::one_commit_in_sqlite(ours::sqlite(path).await),
            "one-commit-not-shared" => {
                ours::one_commit_in_sqlite(ours::sqlite(path).await.without_shared_flush())
            }
            "apart" => ours::apart_in_sqlite(ours::sqlite_apart(path).await, None),
            "apart-not-shared" => {
                ours::apart_in_sqlite(ours::sqlite_apart(path).await.without_shared_flush(), None)
            }
            _ => panic!("no service has the form {form}"),
        },
        (form, "postgres") => {
            let store = ours::postgres(address).await;
            match form {
                "one-commit" => ours::one_commit_in_postgres(store),
                "apart" => ours::apart_in_postgres(store, None),
                "apart-not-shared" => ours::apart_in_postgres(store.without_shared_flush(), None),
                "apart-elsewhere" => ours::apart_in_postgres(store, Some(effects)),
                _ => panic!("no service has the form {form}"),
            }
        }
        _ => panic!("no service has the form {form} and its keys in {kind}"),
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [form, address] = &arguments[..] else { panic!("service FORM ADDRESS") };
    let effects = Effects::default();
    let count = effects.clone();
    let app = Router::new()
        .route("/webhook", service(form, address, effects).await)
        .route("/effects", get(async move || count.count()))
        .route("/", get(async || "ready"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    // As Node and uvicorn do it.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, app).await.unwrap();
}
