//! Tells the page of changes, by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use countersign::http::HeaderMap;
use futures_util::{Stream, stream};

use super::App;
use crate::json;

/// The time in which changes are collected, so a burst costs the page one rendering.
const TOGETHER: Duration = Duration::from_millis(30);

/// Streams every change after the last one that this page has seen. An event's id names this process and a revision.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.strip_prefix(&*app.instance)?.strip_prefix('-')?.parse().ok());
    let changes = stream::unfold((app, seen), async |(app, seen)| {
        let event = next(&app, seen).await?;
        let (event, seen) = event;
        Some((Ok(event), (app, Some(seen))))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// The next event and its revision. `None` when the program ends.
async fn next(app: &App, seen: Option<u64>) -> Option<(Event, u64)> {
    let mut ending = app.ending.clone();
    if let Some(seen) = seen {
        let mut revision = app.intake.journal.watch();
        tokio::select! {
            _ = ending.wait_for(|ending| *ending) => return None,
            changed = revision.wait_for(|revision| *revision > seen) => drop(changed.ok()?),
        }
        tokio::time::sleep(TOGETHER).await;
    }
    let changes = app.intake.journal.since(seen.unwrap_or(0));
    let revision = changes.revision;
    let deliveries: Vec<_> = changes.entries.iter().map(|entry| entry.summary()).collect();
    let data = serde_json::json!({
        "oldest": { "accepted": changes.oldest_accepted, "refused": changes.oldest_refused },
        "deliveries": deliveries,
    });
    let event = Event::default()
        .id(format!("{}-{revision}", app.instance))
        .retry(Duration::from_secs(1))
        .event("deliveries")
        .data(json::line(&data));
    Some((event, revision))
}
