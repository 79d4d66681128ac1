//! Decides which refused deliveries are diagnosed, and in which order. A diagnosis may hash 512 MiB, so senders must
//! not be able to cause many.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::verdict::Reasons;

/// The longest body that is diagnosed unasked, in bytes.
const LONGEST_UNASKED: usize = 64 << 10;
/// The most diagnoses that wait: as many unasked, and as many on request.
const MOST_WAITING: usize = 64;
/// The most bytes that unasked diagnoses hash in each [`PERIOD`]. The last of them may exceed it by one diagnosis.
const UNASKED_BYTES: u64 = 2 << 30;
const PERIOD: Duration = Duration::from_secs(60);

/// Whether a person asked for the diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes,
}

/// Why a diagnosis waits until somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PutOff {
    TooLong,
    TooMany,
}

impl fmt::Display for PutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the body is longer than {} KiB", LONGEST_UNASKED >> 10),
            Self::TooMany => f.write_str("too many deliveries were refused at once"),
        }
    }
}

type Work = Box<dyn FnOnce() -> Reasons + Send>;

/// Runs one diagnosis at a time: first those on request, then the one with the shortest body.
#[derive(Default)]
pub(super) struct Diagnoses(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// In the order of arrival.
    jobs: Vec<Job>,
    is_running: bool,
    /// The bytes that unasked diagnoses have hashed since the period began.
    hashed: u64,
    period: Option<Instant>,
}

struct Job {
    asked: Asked,
    len: usize,
    work: Work,
    done: oneshot::Sender<Result<Reasons, PutOff>>,
}

impl Diagnoses {
    /// Waits for a turn, and returns the reasons that the work finds for a body of `len` bytes.
    pub(super) async fn reasons(
        self: &Arc<Self>,
        asked: Asked,
        len: usize,
        work: Work,
    ) -> Result<Reasons, PutOff> {
        if asked == Asked::No && len > LONGEST_UNASKED {
            return Err(PutOff::TooLong);
        }
        let (done, found) = oneshot::channel();
        if self.queue().add(Job { asked, len, work, done }) {
            tokio::spawn(Arc::clone(self).run());
        }
        found.await.unwrap_or(Err(PutOff::TooMany))
    }

    /// Runs until nothing waits.
    async fn run(self: Arc<Self>) {
        loop {
            let Some(Job { asked, work, done, .. }) = self.queue().next(Instant::now()) else { return };
            let reasons = tokio::task::spawn_blocking(work).await.unwrap_or_default();
            if asked == Asked::No {
                self.queue().hashed += reasons.hashed_bytes;
            }
            // This fails only if the program is ending.
            let _ = done.send(Ok(reasons));
        }
    }

    /// The queue is consistent between any two statements here, so a panic elsewhere does no harm.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Adds a job, and puts off the longest of its kind if too many wait. Returns whether a runner is needed.
    fn add(&mut self, job: Job) -> bool {
        let asked = job.asked;
        self.jobs.push(job);
        let alike = || self.jobs.iter().enumerate().filter(|(_, job)| job.asked == asked);
        if alike().count() > MOST_WAITING
            && let Some((at, _)) = alike().max_by_key(|(_, job)| job.len)
        {
            self.jobs.remove(at).put_off();
        }
        !std::mem::replace(&mut self.is_running, true)
    }

    /// Takes the next job. `None` if none waits: then the runner ends.
    fn next(&mut self, now: Instant) -> Option<Job> {
        if self.period.is_none_or(|period| now.duration_since(period) >= PERIOD) {
            self.period = Some(now);
            self.hashed = 0;
        }
        if self.hashed >= UNASKED_BYTES {
            for job in self.jobs.extract_if(.., |job| job.asked == Asked::No) {
                job.put_off();
            }
        }
        let order = |(_, job): &(usize, &Job)| match job.asked {
            Asked::Yes => (0, 0),
            Asked::No => (1, job.len),
        };
        let first = self.jobs.iter().enumerate().min_by_key(order).map(|(at, _)| at);
        self.is_running = first.is_some();
        first.map(|at| self.jobs.remove(at))
    }
}

impl Job {
    fn put_off(self) {
        // This fails only if the program is ending.
        let _ = self.done.send(Err(PutOff::TooMany));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job, and whether it was put off.
    fn job(asked: Asked, len: usize) -> (Job, oneshot::Receiver<Result<Reasons, PutOff>>) {
        let (done, found) = oneshot::channel();
        (Job { asked, len, work: Box::new(Reasons::default), done }, found)
    }

    fn lens(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.next(Instant::now())).map(|job| job.len).collect()
    }

    #[test]
    fn what_is_asked_for_comes_first_and_then_the_shortest() {
        let mut queue = Queue::default();
        for (asked, len) in
            [(Asked::No, 3), (Asked::Yes, 9), (Asked::No, 1), (Asked::No, 2), (Asked::Yes, 8), (Asked::No, 1)]
        {
            queue.add(job(asked, len).0);
        }
        assert_eq!(lens(&mut queue), [9, 8, 1, 1, 2, 3]);
        assert!(!queue.is_running);
    }

    #[test]
    fn one_runner_is_enough() {
        let mut queue = Queue::default();
        assert!(queue.add(job(Asked::No, 1).0));
        assert!(!queue.add(job(Asked::No, 1).0));
        assert_eq!(lens(&mut queue), [1, 1]);
        assert!(queue.add(job(Asked::No, 1).0));
    }

    #[test]
    fn of_too_many_the_longest_is_put_off() {
        let mut queue = Queue::default();
        let mut found: Vec<_> = (0..MOST_WAITING)
            .map(|len| {
                let (job, found) = job(Asked::No, len);
                queue.add(job);
                found
            })
            .collect();
        let (short, mut kept) = job(Asked::No, 0);
        queue.add(short);
        assert_eq!(found.pop().unwrap().try_recv().unwrap().unwrap_err(), PutOff::TooMany);
        let (asked, mut also_kept) = job(Asked::Yes, 1 << 20);
        queue.add(asked);
        assert!(found.iter_mut().all(|found| found.try_recv().is_err()));
        assert!(kept.try_recv().is_err() && also_kept.try_recv().is_err());
        assert_eq!(lens(&mut queue).len(), MOST_WAITING + 1);
    }

    /// Each of these hashes as much as one diagnosis may.
    #[tokio::test]
    async fn no_more_is_hashed_unasked_than_the_limit_and_what_is_asked_for_is() {
        const EACH: u64 = countersign::diagnose::Diagnosis::MAX_HASHED_BYTES;
        let diagnoses = Arc::new(Diagnoses::default());
        let work = || Box::new(|| Reasons { hashed_bytes: EACH, ..Reasons::default() });
        let mut done = 0;
        for _ in 0..480 {
            done += u64::from(diagnoses.reasons(Asked::No, 1, work()).await.is_ok());
        }
        assert_eq!(done, UNASKED_BYTES / EACH);
        assert!(diagnoses.reasons(Asked::Yes, 1 << 20, work()).await.is_ok());
        assert_eq!(diagnoses.reasons(Asked::No, 1, work()).await.unwrap_err(), PutOff::TooMany);
        // In the next period there is as much again.
        diagnoses.queue().period = Instant::now().checked_sub(PERIOD);
        assert!(diagnoses.reasons(Asked::No, 1, work()).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_is_diagnosed_unasked_up_to_its_limit() {
        let diagnoses = Arc::new(Diagnoses::default());
        for (asked, len, is_done) in [
            (Asked::No, LONGEST_UNASKED, true),
            (Asked::No, LONGEST_UNASKED + 1, false),
            (Asked::Yes, LONGEST_UNASKED + 1, true),
        ] {
            let found = diagnoses.reasons(asked, len, Box::new(Reasons::default)).await;
            assert_eq!(found.is_ok(), is_done, "{len}");
        }
        assert_eq!(PutOff::TooLong.to_string(), "the body is longer than 64 KiB");
    }
}
