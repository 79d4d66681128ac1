//! Candidates that take turns, so that a noisy machine slows all of them alike. (criterion and divan measure
//! one after the other.)

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

/// How long a candidate took for doing its work once, in nanoseconds, of all rounds.
#[derive(Clone, Copy)]
pub struct Time {
    /// What disturbs a machine only ever adds time, so that the least of many rounds is what repeats.
    pub least: f64,
    pub median: f64,
}

/// Measures the candidates, round by round, each for `slice` or once.
pub fn measure(candidates: &mut [Candidate<'_>], rounds: usize, slice: Duration) -> Vec<Time> {
    let mut times = vec![1_u32; candidates.len()];
    for (candidate, times) in candidates.iter_mut().zip(&mut times) {
        // Doubled until it takes a slice, however often: one long run may be the machine's doing. An
        // interpreter's compiler is warm by then.
        while *times < 1 << 20 && (0..5).any(|_| candidate.run(*times) < slice) {
            *times *= 2;
        }
    }
    let count = candidates.len();
    let mut measured = vec![Vec::with_capacity(rounds); count];
    for round in 0..rounds {
        for at in (0..count).map(|at| (at + round) % count) {
            // Not measured: it finds the caches as the one before has left them.
            candidates[at].run(1);
            let time = candidates[at].run(times[at]);
            measured[at].push(time.as_nanos() as f64 / f64::from(times[at]));
        }
    }
    let time = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        Time { least: times[0], median: times[times.len() / 2] }
    };
    measured.into_iter().map(time).collect()
}

/// How far the medians were above the least times: the median of the ratios. 1 is a quiet machine.
pub fn spread(times: impl IntoIterator<Item = Time>) -> f64 {
    let mut ratios: Vec<_> = times.into_iter().map(|time| time.median / time.least).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
