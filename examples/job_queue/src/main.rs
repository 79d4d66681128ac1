//! The receiver and the worker in one process. Start as many as you like on one database.
//!
//! `DATABASE_URL=postgres://… NOWTOPRINT_WEBHOOK_SECRET=… cargo run`, in this folder.

use std::time::Duration;

use countersign_sqlx::sqlx::PgPool;
use countersign::{Secrets, Webhook};
use countersign_sqlx::PostgresStore;
use job_queue::{BoxError, Inbox, worker};
use tokio::net::TcpListener;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let store = PostgresStore::connect(&std::env::var("DATABASE_URL")?).await?;
    let pool = store.pool().clone();
    let webhook = Webhook::new(Secrets::from_env("NOWTOPRINT_WEBHOOK_SECRET")?);
    let inbox = Inbox::new(webhook, store).await?;
    tokio::spawn(purge(inbox.store().clone()));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    tokio::select! {
        served = async { axum::serve(listener, inbox.router()).await } => served?,
        // It ends on SIGTERM. A delivery in hand is rolled back then, and retried by the provider.
        () = work(&pool) => {}
    }
    Ok(())
}

/// Works until the process is told to stop. A worker ends with an error when the database is away:
/// then another takes its place.
async fn work(pool: &PgPool) {
    loop {
        let ended = async { Ok::<_, BoxError>(worker(pool).init().await?.run().await?) }.await;
        let Err(error) = ended else { return };
        eprintln!("the worker starts again: {error}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Deletes the keys whose retention has ended.
async fn purge(store: PostgresStore) {
    loop {
        if let Err(error) = store.purge().await {
            eprintln!("not purged: {error}");
        }
        sleep(Duration::from_secs(3_600)).await;
    }
}
