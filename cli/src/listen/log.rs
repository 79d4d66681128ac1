//! A line on the terminal for each delivery.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::journal::{Endpoint, Entry};
use super::page::summary;
use crate::terminal::{self, Colour, paint, visible};
use crate::verdict::{Reasons, Verdict};

pub(super) struct Log {
    json: bool,
    /// To end the program when nobody reads its output any more.
    end: watch::Sender<bool>,
    is_closed: AtomicBool,
}

impl Log {
    pub(super) fn new(json: bool, end: watch::Sender<bool>) -> Self {
        Self { json, end, is_closed: AtomicBool::new(false) }
    }

    /// Whether nobody reads the output any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn delivery(&self, entry: &Entry) {
        let line = if self.json { summary(entry).to_string() } else { to_text(entry) };
        if terminal::line(&line).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
            // Its only error is that the program is ending.
            let _ = self.end.send(true);
        }
    }
}

fn to_text(entry: &Entry) -> String {
    let provider = entry.provider.slug();
    let mut line = match &entry.verdict {
        Verdict::Accepted(accepted) => {
            let event = visible(&accepted.event);
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
        }
        (Endpoint::Unreachable { message, .. }, _) => {
            line += &paint(Colour::Red, &format!("  your endpoint: {}", visible(message)));
        }
        (_, Some(status)) => line += &format!("  {status}"),
        _ => {}
    }
    if let Verdict::Rejected(rejected) = &entry.verdict {
        let Reasons { finding, causes, .. } = &rejected.reasons;
        if causes.is_empty() {
            let why = finding.as_deref().unwrap_or(&rejected.message);
            line += &format!("\n      {}", visible(why));
        }
        for cause in causes {
            let cure = paint(Colour::Dim, &format!("-> {}", visible(&cause.cure)));
            line += &format!("\n      {}\n      {cure}", visible(&cause.message));
        }
    }
    line
}
