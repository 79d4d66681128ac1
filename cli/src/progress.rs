//! A progress bar on standard error, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::failure::Failure;

/// The fewest deliveries that have a bar. Fewer are done before one could be read.
const MANY: usize = 20;

/// A bar. indicatif clears it when it is dropped, and the output says the same.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn of_many(count: usize, quiet: bool) -> Self {
        if quiet || count < MANY {
            return Self(ProgressBar::hidden());
        }
        // A bar draws on standard error, and only on a terminal.
        let bar = ProgressBar::new(count as u64);
        Self(bar.with_style(style("{bar:30} {pos} of {len} answered, {eta} left")))
    }

    /// A bar for a wait, with a text that says what for.
    pub(crate) fn of_wait(wait: Duration, what: &str, quiet: bool) -> Self {
        if quiet || wait < Duration::from_secs(1) {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(wait.as_millis().try_into().unwrap_or(u64::MAX));
        Self(bar.with_style(style("{bar:30} {msg}")).with_message(what.to_owned()))
    }

    /// Hides the bar while something is written to standard output.
    pub(crate) fn around(&self, write: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        self.0.suspend(write)
    }

    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    pub(crate) async fn wait_until(&self, until: Instant) {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        let started = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                _ = ticks.tick() => {
                    self.0.set_position(started.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
                }
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid").progress_chars("━╸ ")
}
