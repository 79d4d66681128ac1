//! The contract of a store, on stores that break it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore, PolicyError};

use crate::stores::LEASE;

/// How a store may break the contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flaw {
    None,
    CheckThenInsert,
    UnfencedComplete,
    UnfencedRenew,
    UnfencedRelease,
    ReleaseDeletesDone,
    RenewRevivesDone,
    IgnoredLease,
    IgnoredRetention,
    DoneOutlivesItsRetention,
    RetentionIsTheLease,
    LapsedCannotComplete,
    LapsedTokenIsForgotten,
    EndedTokenIsForgotten,
    CompleteOnce,
    ForgetDoesNothing,
    ForgetSkipsLapsed,
    OneTokenForAll,
    KeysWithoutCase,
    KeysCutShort,
    LosersGetDone,
    LosersNeedNotWait,
    LosersWaitTooLong,
    ZeroIsTaken,
}

/// A store with one flaw, by the system's clock.
pub(crate) struct Flawed {
    flaw: Flaw,
    entries: Mutex<HashMap<String, Entry>>,
    tokens: AtomicU64,
}

struct Entry {
    token: [u8; 16],
    done: bool,
    until: Option<Instant>,
}

impl Entry {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

/// A refusal, since an error type needs one.
#[derive(Debug)]
pub(crate) struct Zero;

impl std::fmt::Display for Zero {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no time")
    }
}

impl std::error::Error for Zero {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&PolicyError::ZeroLease)
    }
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, entries: Mutex::default(), tokens: AtomicU64::new(0) }
    }

    fn name(&self, key: &str) -> String {
        match self.flaw {
            Flaw::KeysWithoutCase => key.to_lowercase(),
            Flaw::KeysCutShort => key.chars().take(248).collect(),
            _ => key.to_owned(),
        }
    }

    fn refuse_zero(&self, time: Duration) -> Result<(), Zero> {
        if time.is_zero() && self.flaw != Flaw::ZeroIsTaken { Err(Zero) } else { Ok(()) }
    }

    /// What the store knows of the key: nothing, that it is claimed for yet a while, or done.
    fn look(&self, key: &str) -> Option<Claim> {
        let entries = self.entries.lock().unwrap();
        let entry = entries.get(key)?;
        let ignored = if entry.done { Flaw::IgnoredRetention } else { Flaw::IgnoredLease };
        if entry.is_over() && self.flaw != ignored {
            return None;
        }
        let left = entry
            .until
            .map_or(Duration::from_secs(1), |until| until.saturating_duration_since(Instant::now()));
        let retry_after = match self.flaw {
            Flaw::LosersNeedNotWait => Duration::ZERO,
            Flaw::LosersWaitTooLong => 2 * left,
            _ => left.max(Duration::from_millis(1)),
        };
        Some(match entry.done || self.flaw == Flaw::LosersGetDone {
            true => Claim::Done,
            false => Claim::InFlight { retry_after },
        })
    }

    fn write(
        &self,
        lease: &Lease,
        unfenced: bool,
        write: impl FnOnce(&mut HashMap<String, Entry>, String) -> bool,
    ) -> LeaseStatus {
        let mut entries = self.entries.lock().unwrap();
        let key = self.name(lease.key().as_str());
        // As if the key had gone with its end, and a write where there is no key were anybody's.
        let forgotten = |entry: &Entry| match self.flaw {
            Flaw::LapsedTokenIsForgotten => entry.is_over() && !entry.done,
            Flaw::EndedTokenIsForgotten => entry.is_over() && entry.done,
            _ => false,
        };
        if let Some(entry) = entries.get_mut(&key).filter(|entry| forgotten(entry)) {
            *entry = Entry { token: *lease.token(), done: false, until: entry.until };
        }
        let held = entries.get(&key).is_some_and(|entry| unfenced || entry.token == *lease.token());
        LeaseStatus::applied_if(held && write(&mut entries, key))
    }
}

impl IdempotencyStore for Flawed {
    type Error = Zero;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, Zero> {
        self.refuse_zero(lease_duration)?;
        let name = self.name(key.as_str());
        if let Some(claim) = self.look(&name) {
            return Ok(claim);
        }
        if self.flaw == Flaw::CheckThenInsert {
            tokio::task::yield_now().await;
        }
        let number =
            if self.flaw == Flaw::OneTokenForAll { 0 } else { self.tokens.fetch_add(1, Ordering::Relaxed) };
        let token = u128::from(number).to_be_bytes();
        let mut entries = self.entries.lock().unwrap();
        let done =
            self.flaw == Flaw::DoneOutlivesItsRetention && entries.get(&name).is_some_and(|entry| entry.done);
        entries.insert(name, Entry { token, done, until: Instant::now().checked_add(lease_duration) });
        Ok(Claim::Acquired(Lease::new(key.clone(), token)))
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, Zero> {
        self.refuse_zero(retention)?;
        Ok(self.write(lease, self.flaw == Flaw::UnfencedComplete, |entries, key| {
            let entry = entries.get_mut(&key).unwrap();
            let refused = match self.flaw {
                Flaw::LapsedCannotComplete => entry.is_over(),
                Flaw::CompleteOnce => entry.done,
                _ => false,
            };
            if !refused {
                entry.done = true;
                if self.flaw != Flaw::RetentionIsTheLease {
                    entry.until = Instant::now().checked_add(retention);
                }
            }
            !refused
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, Zero> {
        Ok(self.write(lease, self.flaw == Flaw::UnfencedRelease, |entries, key| {
            let free = !entries[&key].done || self.flaw == Flaw::ReleaseDeletesDone;
            free && entries.remove(&key).is_some()
        }))
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, Zero> {
        self.refuse_zero(lease_duration)?;
        Ok(self.write(lease, self.flaw == Flaw::UnfencedRenew, |entries, key| {
            let entry = entries.get_mut(&key).unwrap();
            let refused = entry.done && self.flaw != Flaw::RenewRevivesDone;
            if !refused {
                entry.done = false;
                entry.until = Instant::now().checked_add(lease_duration);
            }
            !refused
        }))
    }

    async fn forget(&self, key: &str) -> Result<bool, Zero> {
        let mut entries = self.entries.lock().unwrap();
        let name = self.name(key);
        let skipped = match self.flaw {
            Flaw::ForgetDoesNothing => true,
            Flaw::ForgetSkipsLapsed => entries.get(&name).is_some_and(Entry::is_over),
            _ => false,
        };
        Ok(!skipped && entries.remove(&name).is_some())
    }
}

#[tokio::test]
async fn the_suite_finds_every_flaw_and_names_its_rule() {
    let flaws = [
        (Flaw::None, ""),
        (Flaw::CheckThenInsert, "of_many_claims_at_once_one_is_acquired"),
        (Flaw::UnfencedComplete, "a_stale_lease_cannot_complete"),
        (Flaw::UnfencedRenew, "a_stale_lease_cannot_renew"),
        (Flaw::UnfencedRelease, "a_stale_lease_cannot_release"),
        (Flaw::ReleaseDeletesDone, "release_never_frees_a_done_key"),
        (Flaw::RenewRevivesDone, "renew_does_not_bring_back_a_done_key"),
        (Flaw::IgnoredLease, "a_lapsed_lease_is_taken_over"),
        (Flaw::IgnoredRetention, "a_done_key_is_forgotten_after_its_retention"),
        (Flaw::DoneOutlivesItsRetention, "a_done_key_is_forgotten_after_its_retention"),
        (Flaw::RetentionIsTheLease, "a_done_key_outlasts_its_lease"),
        (Flaw::LapsedCannotComplete, "a_lapsed_lease_that_nobody_took_can_complete"),
        (Flaw::LapsedTokenIsForgotten, "a_lease_that_was_taken_over_stays_stale_when_its_successor_lapses"),
        (Flaw::EndedTokenIsForgotten, "a_lease_that_was_taken_over_stays_stale_when_its_successor_ends"),
        (Flaw::CompleteOnce, "complete_twice_is_applied_twice"),
        (Flaw::ForgetDoesNothing, "forget_says_whether_there_was_a_key"),
        (Flaw::ForgetSkipsLapsed, "the_lease_of_a_forgotten_claim_cannot_complete_even_one_that_had_lapsed"),
        (Flaw::OneTokenForAll, "every_claim_has_a_token_of_its_own"),
        (Flaw::KeysWithoutCase, "keys_are_told_apart_byte_by_byte_up_to_the_longest"),
        (Flaw::KeysCutShort, "keys_are_told_apart_byte_by_byte_up_to_the_longest"),
        (Flaw::LosersGetDone, "a_claimed_key_is_in_flight_for_no_longer_than_its_lease"),
        (Flaw::LosersNeedNotWait, "a_claimed_key_is_in_flight_for_no_longer_than_its_lease"),
        (Flaw::LosersWaitTooLong, "a_claimed_key_is_in_flight_for_no_longer_than_its_lease"),
        (Flaw::ZeroIsTaken, "zero_durations_are_refused_and_nothing_is_written"),
    ];
    let judged = flaws.map(|(flaw, rule)| {
        tokio::spawn(async move {
            let pass = async |time| tokio::time::sleep(time).await;
            (flaw, rule, conformance::violations(&Flawed::new(flaw), pass).await)
        })
    });
    for judged in judged {
        let (flaw, rule, violations) = judged.await.unwrap();
        match flaw {
            Flaw::None => assert_eq!(violations, []),
            _ => {
                assert!(
                    violations.iter().any(|violation| violation.rule == rule),
                    "{flaw:?}: {violations:?}"
                );
            }
        }
    }
}

#[tokio::test]
#[should_panic(expected = "release never frees a done key: release after complete was Applied and not Lost")]
async fn a_check_that_fails_says_which_rule_was_broken_and_how() {
    let pass = async |time| tokio::time::sleep(time).await;
    conformance::check(&Flawed::new(Flaw::ReleaseDeletesDone), pass).await;
}

/// A user's error type may be any.
#[tokio::test]
async fn a_store_can_have_an_error_that_never_happens() {
    struct Never;

    impl IdempotencyStore for Never {
        type Error = Infallible;

        async fn claim(&self, _: &IdempotencyKey, _: Duration) -> Result<Claim, Infallible> {
            Ok(Claim::Done)
        }

        async fn complete(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Infallible> {
            Ok(LeaseStatus::Lost)
        }

        async fn release(&self, _: &Lease) -> Result<LeaseStatus, Infallible> {
            Ok(LeaseStatus::Lost)
        }

        async fn renew(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Infallible> {
            Ok(LeaseStatus::Lost)
        }

        async fn forget(&self, _: &str) -> Result<bool, Infallible> {
            Ok(false)
        }
    }

    let key = conformance::fresh_key();
    assert_eq!(Never.claim(&key, LEASE).await, Ok(Claim::Done));
}
