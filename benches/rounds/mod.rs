//! Candidates that take turns, so that a noisy machine slows all of them alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A piece of work with a name, that says how long so many times took it.
pub struct Candidate<'a> {
    pub name: String,
    run: Box<dyn FnMut(u32) -> Duration + 'a>,
}

impl<'a> Candidate<'a> {
    /// Work in this process.
    pub fn new<T>(name: impl Into<String>, mut work: impl FnMut() -> T + 'a) -> Self {
        Self::timed(name, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                black_box(work());
            }
            start.elapsed()
        })
    }

    /// Work that is measured where it is done, such as in another process.
    pub fn timed(name: impl Into<String>, run: impl FnMut(u32) -> Duration + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// Does the work so many times.
    pub fn run(&mut self, times: u32) -> Duration {
        (self.run)(times)
    }
}

/// The least that each candidate took for doing its work once, in nanoseconds.
///
/// They take turns, round by round, each for `slice` or once. What disturbs a machine only ever adds
/// time, so that the smallest of many rounds is what repeats.
pub fn smallest(candidates: &mut [Candidate<'_>], rounds: usize, slice: Duration) -> Vec<f64> {
    let mut times = vec![1_u32; candidates.len()];
    for (candidate, times) in candidates.iter_mut().zip(&mut times) {
        // Doubled until it takes a slice, however often: one long run may be the machine's doing. An
        // interpreter's compiler is warm by then.
        while *times < 1 << 20 && (0..5).any(|_| candidate.run(*times) < slice) {
            *times *= 2;
        }
    }
    let mut best = vec![f64::INFINITY; candidates.len()];
    for _ in 0..rounds {
        for ((candidate, times), best) in candidates.iter_mut().zip(&times).zip(&mut best) {
            *best = best.min(candidate.run(*times).as_nanos() as f64 / f64::from(*times));
        }
    }
    best
}
