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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::listen::journal::tests::{accepted, entry};
    use crate::verdict::{Cause, Rejected};

    /// The text without the colours that it has on a terminal.
    fn line(entry: &Entry) -> String {
        let text = to_text(entry);
        let mut parts = text.split("\x1b[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn a_line_says_what_came_of_a_genuine_delivery() {
        let answered = |status, ms| Endpoint::Answered { status, ms, cut: false, body: Vec::new().into() };
        let unreachable = Endpoint::Unreachable { message: "no\nway".to_owned(), ms: 1.0 };
        for (duplicate_of, endpoint, status, rest) in [
            (None, Endpoint::None, Some(200), "  200"),
            (Some(3), Endpoint::None, Some(200), "  duplicate of #3  200"),
            (None, Endpoint::Waiting, None, ""),
            (None, answered(202, 5_000.0), Some(202), "  your endpoint: 202 in 5000.0 ms"),
            (None, answered(202, 5_000.1), None, "  your endpoint: 202 in 5000.1 ms, and 3QPR waits 5 s"),
            (None, unreachable, Some(502), "  your endpoint: no\\u{a}way"),
        ] {
            let genuine = accepted(0, 1, "scan.created");
            let entry = Entry { number: 7, duplicate_of, endpoint, answered: status, ..genuine };
            assert_eq!(line(&entry), format!("#7    accepted  3qpr        scan.created{rest}"));
        }
    }

    #[test]
    fn a_line_says_why_a_delivery_was_refused() {
        let cause =
            || Cause { code: "a", message: "it was written again".to_owned(), cure: "keep it".to_owned() };
        for (finding, causes, reason, rest) in [
            (None, vec![], Reason::Known, "it does not match"),
            (Some("no cause"), vec![], Reason::Known, "no cause"),
            (Some("later"), vec![], Reason::OnRequest, "later; the page finds the reason on request"),
            (Some("a cause"), vec![cause()], Reason::Known, "it was written again\n      -> keep it"),
        ] {
            let finding = finding.map(str::to_owned);
            let verdict = Verdict::Rejected(Rejected {
                error: "signature_mismatch",
                status: 401,
                message: "it does not match".to_owned(),
                reasons: Reasons { finding, causes, ..Reasons::default() },
            });
            let entry = Entry { number: 1_234, verdict, reason, answered: Some(401), ..entry(0) };
            assert_eq!(
                line(&entry),
                format!("#1234 rejected  3qpr        signature_mismatch  401\n      {rest}")
            );
        }
    }

    #[tokio::test]
    async fn the_last_lines_are_waited_for_unless_nobody_reads_them() {
        let log = Log::new(false, watch::channel(false).0);
        assert!(log.settle().now_or_never().is_some());
        log.state.waiting.store(1, Ordering::SeqCst);
        let settled = async {
            log.settle().await;
            log.state.waiting.load(Ordering::SeqCst)
        };
        let written = async {
            tokio::task::yield_now().await;
            log.state.waiting.store(0, Ordering::SeqCst);
        };
        assert_eq!(tokio::join!(settled, written).0, 0);
        log.state.waiting.store(1, Ordering::SeqCst);
        log.state.is_closed.store(true, Ordering::SeqCst);
        assert!(log.settle().now_or_never().is_some());
    }
}
