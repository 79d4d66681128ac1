//! Reads the rest of a refused body, so that the sender sees the answer.
//!
//! A server closes a connection whose request was not read to its end. Most clients write the whole
//! request before they read, so they would see a broken pipe instead of the answer. The rest of a refused
//! body is therefore read and dropped, within bounds.

use std::future::poll_fn;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of the rest are read at most. If more are announced, none are read.
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// Reading ends after this time without a byte.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reading ends after this many intervals in any case.
const MAX_INTERVALS: u32 = 5;

/// Reads the rest of a body with `next`, which returns the length of each piece, and `None` at the end.
pub(super) async fn discard(mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<usize>>) {
    let mut left = MAX_BYTES;
    let (mut intervals, mut progressed) = (0, false);
    let mut alarm = None;
    poll_fn(|context| {
        loop {
            if let Poll::Ready(piece) = next(context) {
                // An empty piece counts too, or a sender could send empty pieces without end.
                left = left.saturating_sub(piece.map_or(u64::MAX, |length| length.max(1) as u64));
                if left == 0 {
                    return Poll::Ready(());
                }
                progressed = true;
                continue;
            }
            if alarm.is_none() {
                alarm = Alarm::set();
            }
            match alarm.as_ref().map(|alarm| alarm.poll(context)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) if progressed && intervals + 1 < MAX_INTERVALS => {
                    (intervals, progressed, alarm) = (intervals + 1, false, None);
                }
                // Without an alarm, there is no limit on the time, so do not wait.
                Some(Poll::Ready(())) | None => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// An alarm that rings after an [`INTERVAL`]. It works in any runtime, because its clock is a thread, which starts
/// with the first alarm. A dropped alarm keeps no task alive.
struct Alarm(Arc<Mutex<State>>);

enum State {
    Set(Waker),
    Rung,
}

impl Alarm {
    /// Sets an alarm, or returns `None` if no thread can be started.
    fn set() -> Option<Self> {
        static CLOCK: LazyLock<Option<Sender<(Instant, Weak<Mutex<State>>)>>> = LazyLock::new(|| {
            let (sender, alarms) = mpsc::channel::<(Instant, Weak<Mutex<State>>)>();
            // The alarms arrive in the order in which they are due, because all ring after the same time.
            let ring_each = move || {
                for (due, alarm) in alarms {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if let Some(alarm) = alarm.upgrade() {
                        let state = std::mem::replace(&mut *lock(&alarm), State::Rung);
                        if let State::Set(waker) = state {
                            waker.wake();
                        }
                    }
                }
            };
            let clock = thread::Builder::new().name("countersign-clock".to_owned());
            clock.spawn(ring_each).ok().map(|_| sender)
        });
        let clock = CLOCK.as_ref()?;
        let state = Arc::new(Mutex::new(State::Set(Waker::noop().clone())));
        clock.send((Instant::now() + INTERVAL, Arc::downgrade(&state))).ok()?;
        Some(Self(state))
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        match &mut *lock(&self.0) {
            State::Set(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            State::Rung => Poll::Ready(()),
        }
    }
}

/// Locks a state. A panic cannot leave it half-written, so a poisoned lock can be used.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// How long reading these pieces took, and how many were left. After them comes the end, or a stall.
    fn discarded(pieces: Vec<usize>, ends: bool) -> (Duration, usize) {
        let mut pieces = VecDeque::from(pieces);
        let start = Instant::now();
        pollster::block_on(discard(|_| match pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if ends => Poll::Ready(None),
            None => Poll::Pending,
        }));
        (start.elapsed(), pieces.len())
    }

    #[test]
    fn what_is_there_is_read_up_to_the_limit_and_without_waiting() {
        const MIB: usize = 1 << 20;
        for (pieces, left) in [(vec![], 0), (vec![MIB; 3], 0), (vec![MIB; 8], 0), (vec![MIB; 10], 2)] {
            let (took, is_left) = discarded(pieces, true);
            assert!(is_left == left && took < INTERVAL / 2, "{is_left} {took:?}");
        }
        // Empty pieces without end are not read without end.
        assert_eq!(discarded(vec![0; MAX_BYTES as usize + 3], false).1, 3);
    }

    #[test]
    fn a_sender_that_stalls_is_given_up_after_an_interval_without_anything() {
        for (pieces, intervals) in [(vec![], 1), (vec![1], 2)] {
            let took = discarded(pieces, false).0;
            let expected = INTERVAL * intervals;
            assert!((expected..expected + INTERVAL / 2).contains(&took), "{took:?}");
        }
    }

    #[test]
    fn a_sender_that_dribbles_is_given_up_after_all_intervals() {
        let start = Instant::now();
        let mut last = start;
        pollster::block_on(discard(|context| {
            if last.elapsed() < INTERVAL / 10 {
                let waker = context.waker().clone();
                thread::spawn(move || {
                    thread::sleep(INTERVAL / 10);
                    waker.wake();
                });
                return Poll::Pending;
            }
            last = Instant::now();
            Poll::Ready(Some(1))
        }));
        let (took, expected) = (start.elapsed(), INTERVAL * MAX_INTERVALS);
        assert!((expected..expected + INTERVAL).contains(&took), "{took:?}");
    }

    #[test]
    fn a_dropped_alarm_holds_no_waker() {
        let waker = Arc::new(NoWake);
        let alarm = Alarm::set().unwrap();
        assert!(alarm.poll(&Context::from_waker(&Waker::from(Arc::clone(&waker)))).is_pending());
        assert_eq!(Arc::strong_count(&waker), 2);
        drop(alarm);
        assert_eq!(Arc::strong_count(&waker), 1);
    }

    struct NoWake;

    impl std::task::Wake for NoWake {
        fn wake(self: Arc<Self>) {}
    }
}
