//! Writes a line to the terminal for each delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Endpoint, Entry, LONGEST_NAME, Reason};
use crate::json;
use crate::terminal::{self, Colour, paint, visible_line};
use crate::verdict::{Reasons, Verdict};

/// The most lines that wait to be written. Further lines are only counted.
const WAITING: usize = 256;

/// A thread writes the lines, so output that nobody reads, such as a paused terminal, blocks only that thread.
pub(super) struct Log {
    json: bool,
    lines: SyncSender<String>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The number of lines that are not written yet.
    waiting: AtomicUsize,
    /// The number of lines dropped since the last report.
    dropped: AtomicUsize,
    is_closed: AtomicBool,
}

impl Log {
    /// Creates a log that ends the program when its output is closed.
    pub(super) fn new(json: bool, end: watch::Sender<bool>) -> Self {
        let (lines, written) = sync_channel(WAITING);
        let state = Arc::new(State::default());
        let of_thread = Arc::clone(&state);
        // The thread is not joined, because a write may never return.
        thread::spawn(move || {
            if write(&written, &of_thread, json).is_err() {
                of_thread.is_closed.store(true, Ordering::SeqCst);
                // This fails only if the program is ending.
                let _ = end.send(true);
            }
        });
        Self { json, lines, state }
    }

    /// Whether the output is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::SeqCst)
    }

    pub(super) fn delivery(&self, entry: &Entry) {
        let line = if self.json { json::line(&entry.summary()) } else { to_text(entry) };
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        if self.lines.try_send(line).is_err() {
            self.state.waiting.fetch_sub(1, Ordering::SeqCst);
            self.state.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits a moment for the last lines to be written.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            if self.is_closed() || self.state.waiting.load(Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn write(lines: &Receiver<String>, state: &State, json: bool) -> std::io::Result<()> {
    for line in lines {
        terminal::line(&line)?;
        let dropped = state.dropped.swap(0, Ordering::SeqCst);
        if dropped > 0 {
            terminal::line(&match json {
                true => json::line(&serde_json::json!({ "lines_dropped": dropped })),
                false => format!("… {dropped} deliveries are missing here, because nobody read the output"),
            })?;
        }
        state.waiting.fetch_sub(1, Ordering::SeqCst);
    }
    Ok(())
}

fn to_text(entry: &Entry) -> String {
    let provider = entry.provider.slug();
    let mut line = match &entry.verdict {
        Verdict::Accepted(accepted) => {
            let event = visible_line(&terminal::cut(accepted.name(), LONGEST_NAME));
            format!("#{:<4} {}  {provider:<10}  {event}", entry.number, paint(Colour::Green, "accepted"))
        }
        Verdict::Rejected(rejected) => {
            let error = rejected.error;
            format!("#{:<4} {}  {provider:<10}  {error}", entry.number, paint(Colour::Red, "rejected"))
        }
        Verdict::Unreadable { .. } => format!("#{:<4} unreadable  {provider}", entry.number),
    };
    if let Some(first) = entry.duplicate_of {
        line += &paint(Colour::Yellow, &format!("  duplicate of #{first}"));
    }
    match (&entry.endpoint, entry.answered) {
        (Endpoint::Answered { status, ms, .. }, _) => {
            line += &format!("  your endpoint: {status} in {ms:.1} ms");
            if let Some(patience) =
                entry.provider.patience().filter(|patience| *ms > patience.as_secs_f64() * 1e3)
            {
                let late = format!(", and {} waits {} s", entry.provider, patience.as_secs());
                line += &paint(Colour::Red, &late);
            }
        }
        (Endpoint::Unreachable { message, .. }, _) => {
            line += &paint(Colour::Red, &format!("  your endpoint: {}", visible_line(message)));
        }
        (_, Some(status)) => line += &format!("  {status}"),
        _ => {}
    }
    if let Verdict::Rejected(rejected) = &entry.verdict {
        let Reasons { finding, causes, .. } = &rejected.reasons;
        if causes.is_empty() {
            let why = finding.as_deref().unwrap_or(&rejected.message);
            line += &format!("\n      {}", visible_line(why));
            if entry.reason == Reason::OnRequest {
                line += "; the page finds the reason on request";
            }
        }
        for cause in causes {
            let cure = paint(Colour::Dim, &format!("-> {}", visible_line(&cause.cure)));
            line += &format!("\n      {}\n      {cure}", visible_line(&cause.message));
        }
    }
    line
}
