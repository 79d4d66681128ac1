//! The receiver and the worker in one process. Start as many as you like on one database.
//!
//! `DATABASE_URL=postgres://… NOWTOPRINT_WEBHOOK_SECRET=… cargo run`, in this folder.

use std::time::Duration;

use countersign::{Secrets, Webhook};
use countersign_sqlx::{PostgresStore, sqlx::PgPool};
use job_queue::{BoxError, Inbox, worker};
use tokio::net::TcpListener;
use tokio::time::sleep;

#[path = "../../report/mod.rs"]
mod report;
use report::Report;

#[tokio::main]
async fn main() -> Result<(), Report> {
    let store = PostgresStore::connect(&std::env::var("DATABASE_URL")?).await?;
    let pool = store.pool().clone();
    let webhook = Webhook::new(Secrets::from_env("NOWTOPRINT_WEBHOOK_SECRET")?)?;
    let inbox = Inbox::new(webhook, store).await?;
    let hour = Duration::from_secs(3600);
    tokio::spawn(inbox.store().clone().purge_every(hour, |error| eprintln!("not purged: {error}")));
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
