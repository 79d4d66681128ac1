//! The contract of a store, as a test suite for any store.
//!
//! Run [`check`] in a test of your own store. Its second argument lets time pass on the store's clock:
//! a sleep is enough, and a clock that is moved by hand is faster.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//! use std::time::Duration;
//! use countersign::{MemoryStore, store::conformance};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let millis = Arc::new(AtomicU64::new(0));
//! let clock = Arc::clone(&millis);
//! let store = MemoryStore::new().with_clock(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
//!
//! conformance::check(&store, async |time: Duration| {
//!     // For a store with a real clock: `tokio::time::sleep(time).await`.
//!     millis.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
//! })
//! .await;
//! # }
//! ```
//!
//! The suite uses fresh keys at every run, so it can run again on a store that keeps its data.
//! Its claims race on one task. Race yours on several threads and in several processes as well.

mod rules;

use std::fmt;
use std::time::Duration;

use crate::store::IdempotencyStore;

use rules::Suite;
pub use rules::fresh_key;

/// Runs all rules of the contract against `store`.
///
/// # Panics
/// If the store breaks a rule. The message names every broken rule.
pub async fn check<S: IdempotencyStore>(store: &S, pass: impl AsyncFn(Duration)) {
    let violations = violations(store, pass).await;
    let list: String = violations.iter().map(|violation| format!("\n- {violation}")).collect();
    assert!(violations.is_empty(), "the store breaks its contract:{list}");
}

/// Runs all rules of the contract against `store`, and returns those that it breaks.
pub async fn violations<S: IdempotencyStore>(store: &S, pass: impl AsyncFn(Duration)) -> Vec<Violation> {
    let mut violations = Vec::new();
    let suite = Suite { store, pass };
    macro_rules! rules {
        ($($rule:ident),+ $(,)?) => { $(
            if let Err(broken) = suite.$rule().await {
                let rule = stringify!($rule);
                violations.push(Violation { rule, found: broken.0 });
            }
        )+ };
    }
    rules!(
        a_new_key_is_acquired_and_its_lease_is_for_that_key,
        a_claimed_key_is_in_flight_for_no_longer_than_its_lease,
        a_completed_key_is_done,
        keys_are_told_apart_byte_by_byte_up_to_the_longest,
        of_many_claims_at_once_one_is_acquired,
        of_many_claims_of_a_lapsed_key_at_once_one_is_acquired,
        many_claims_of_a_done_key_at_once_are_all_done,
        a_lapsed_lease_is_taken_over,
        every_claim_has_a_token_of_its_own,
        a_stale_lease_cannot_complete,
        a_stale_lease_cannot_renew,
        a_stale_lease_cannot_release,
        a_lease_that_was_taken_over_stays_stale_when_its_successor_lapses,
        a_lease_that_was_taken_over_stays_stale_when_its_successor_ends,
        a_lapsed_lease_that_nobody_took_can_complete,
        a_lapsed_lease_that_nobody_took_can_renew,
        a_released_key_is_acquired_at_once,
        a_released_lease_can_write_no_more,
        release_never_frees_a_done_key,
        renew_prolongs_a_lease,
        renew_does_not_bring_back_a_done_key,
        complete_twice_is_applied_twice,
        a_done_key_outlasts_its_lease,
        a_done_key_is_forgotten_after_its_retention,
        a_stale_lease_cannot_complete_a_key_that_its_successor_completed,
        a_forgotten_key_is_acquired_and_its_old_lease_is_stale,
        the_lease_of_a_forgotten_claim_cannot_complete_even_one_that_had_lapsed,
        forget_says_whether_there_was_a_key,
        zero_durations_are_refused_and_nothing_is_written,
        the_longest_durations_are_taken,
    );
    violations
}

/// A rule of the contract that a store breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule, in snake case.
    pub rule: &'static str,
    /// What the store did instead.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.replace('_', " "), self.found)
    }
}
