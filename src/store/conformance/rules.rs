//! The rules of the contract, one function each.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use crate::store::{Claim, IdempotencyKey, IdempotencyStore, Lease, LeaseStatus};

/// A lease or a retention that outlasts each test.
const LONG: Duration = Duration::from_secs(600);
/// A lease or a retention that ends during the test.
const SHORT: Duration = Duration::from_millis(150);
/// Longer than [`SHORT`], even on a coarse clock.
const PAST_SHORT: Duration = Duration::from_millis(400);
/// The number of claims in a race.
const RACERS: usize = 64;

/// Makes a key that no store has seen and no delivery has, for your own tests of a store.
#[must_use]
pub fn fresh_key() -> IdempotencyKey {
    key_of(&fresh_id())
}

/// Makes an id that no key has.
fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}-{count}", RandomState::new().hash_one(count))
}

fn key_of(id: &str) -> IdempotencyKey {
    IdempotencyKey::new("conformance", None, Some(id), None, b"")
}

/// The behaviour of a store that breaks a rule.
pub(super) struct Broken(pub(super) String);

impl<E: std::error::Error> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(format!("it failed: {error}"))
    }
}

pub(super) type Rule = Result<(), Broken>;

/// Checks a condition, and describes what was found if it does not hold.
fn hold(holds: bool, found: impl FnOnce() -> String) -> Rule {
    if holds { Ok(()) } else { Err(Broken(found())) }
}

fn expect<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Rule {
    hold(found == expected, || format!("{what} was {found:?} and not {expected:?}"))
}

fn is_acquired(claim: &Claim) -> bool {
    matches!(claim, Claim::Acquired(_))
}

fn is_in_flight(claim: &Claim) -> bool {
    matches!(claim, Claim::InFlight { .. })
}

pub(super) struct Suite<'a, S, C> {
    pub(super) store: &'a S,
    pub(super) pass: C,
}

impl<S: IdempotencyStore, C: AsyncFn(Duration)> Suite<'_, S, C> {
    async fn claim(&self, key: &IdempotencyKey) -> Result<Claim, Broken> {
        Ok(self.store.claim(key, LONG).await?)
    }

    /// Claims a key that must be free.
    async fn acquire(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Lease, Broken> {
        match self.store.claim(key, lease_duration).await? {
            Claim::Acquired(lease) => Ok(lease),
            other => Err(Broken(format!("the claim of a free key was {other:?}"))),
        }
    }

    /// Makes a lease that has lapsed.
    async fn lapsed(&self, key: &IdempotencyKey) -> Result<Lease, Broken> {
        let lease = self.acquire(key, SHORT).await?;
        (self.pass)(PAST_SHORT).await;
        Ok(lease)
    }

    /// Makes a lapsed lease that was taken over, and its successor.
    async fn taken_over(&self, key: &IdempotencyKey) -> Result<(Lease, Lease), Broken> {
        Ok((self.lapsed(key).await?, self.acquire(key, LONG).await?))
    }

    async fn expect_in_flight(&self, key: &IdempotencyKey) -> Rule {
        let claim = self.claim(key).await?;
        hold(is_in_flight(&claim), || format!("the claim of a claimed key was {claim:?}"))
    }

    async fn expect_done(&self, key: &IdempotencyKey) -> Rule {
        expect("the claim of a done key", self.claim(key).await?, Claim::Done)
    }

    async fn race(&self, key: &IdempotencyKey) -> Result<Vec<Claim>, Broken> {
        let claims = join_all((0..RACERS).map(|_| self.store.claim(key, LONG))).await;
        Ok(claims.into_iter().collect::<Result<_, _>>()?)
    }

    async fn race_for_one(&self, key: &IdempotencyKey) -> Rule {
        let claims = self.race(key).await?;
        let acquired = claims.iter().filter(|claim| is_acquired(claim)).count();
        let in_flight = claims.iter().filter(|claim| is_in_flight(claim)).count();
        hold((acquired, in_flight) == (1, RACERS - 1), || {
            format!("of {RACERS} claims at once, {acquired} were acquired and {in_flight} in flight")
        })
    }

    pub(super) async fn a_new_key_is_acquired_and_its_lease_is_for_that_key(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        expect("the lease's key", lease.key(), &key)
    }

    pub(super) async fn a_claimed_key_is_in_flight_for_no_longer_than_its_lease(&self) -> Rule {
        let key = fresh_key();
        let _lease = self.acquire(&key, LONG).await?;
        match self.claim(&key).await? {
            Claim::InFlight { retry_after } => hold(!retry_after.is_zero() && retry_after <= LONG, || {
                format!("a lease of {LONG:?} was in flight for {retry_after:?}")
            }),
            other => Err(Broken(format!("the claim of a claimed key was {other:?}"))),
        }
    }

    pub(super) async fn a_completed_key_is_done(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        expect("complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)?;
        self.expect_done(&key).await
    }

    pub(super) async fn keys_are_told_apart_byte_by_byte_up_to_the_longest(&self) -> Rule {
        let id = fresh_id();
        let ids = [
            id.clone(),
            format!("{id}a"),
            format!("{id}A"),
            format!("{id}%"),
            format!("{id}_"),
            format!("{id}'"),
            format!("{id};--"),
            format!("{id}{{}}"),
            format!("{id}:"),
        ];
        let mut keys = ids.map(|id| key_of(&id)).to_vec();
        // The longest keys: the longest provider's name, tenant and id, with different ends.
        for end in ["x", "y"] {
            let id = format!("{id}{}{end}", "x".repeat(149 - id.len()));
            keys.push(IdempotencyKey::new(&"n".repeat(32), Some("a tenant"), Some(&id), None, b""));
        }
        for key in &keys {
            let lease = self.acquire(key, LONG).await?;
            expect("complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)?;
        }
        for key in &keys {
            self.expect_done(key).await?;
        }
        Ok(())
    }

    pub(super) async fn of_many_claims_at_once_one_is_acquired(&self) -> Rule {
        for _ in 0..8 {
            self.race_for_one(&fresh_key()).await?;
        }
        Ok(())
    }

    pub(super) async fn of_many_claims_of_a_lapsed_key_at_once_one_is_acquired(&self) -> Rule {
        let key = fresh_key();
        let _lapsed = self.lapsed(&key).await?;
        self.race_for_one(&key).await
    }

    pub(super) async fn many_claims_of_a_done_key_at_once_are_all_done(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        let done = self.race(&key).await?.iter().filter(|claim| **claim == Claim::Done).count();
        expect("the number of done claims", done, RACERS)
    }

    pub(super) async fn a_lapsed_lease_is_taken_over(&self) -> Rule {
        let key = fresh_key();
        let _ = self.taken_over(&key).await?;
        self.expect_in_flight(&key).await
    }

    pub(super) async fn every_claim_has_a_token_of_its_own(&self) -> Rule {
        let key = fresh_key();
        let (old, new) = self.taken_over(&key).await?;
        let _ = self.store.release(&new).await?;
        let newest = self.acquire(&key, LONG).await?;
        let other = self.acquire(&fresh_key(), LONG).await?;
        let tokens = [old.token(), new.token(), newest.token(), other.token()];
        let distinct = tokens.iter().collect::<std::collections::HashSet<_>>().len();
        expect("the number of distinct tokens of four claims", distinct, tokens.len())
    }

    pub(super) async fn a_stale_lease_cannot_complete(&self) -> Rule {
        let key = fresh_key();
        let (stale, lease) = self.taken_over(&key).await?;
        expect("a stale complete", self.store.complete(&stale, LONG).await?, LeaseStatus::Lost)?;
        self.expect_in_flight(&key).await?;
        expect("the successor's complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)
    }

    pub(super) async fn a_stale_lease_cannot_renew(&self) -> Rule {
        let key = fresh_key();
        let stale = self.lapsed(&key).await?;
        let _lease = self.acquire(&key, SHORT).await?;
        expect("a stale renew", self.store.renew(&stale, LONG).await?, LeaseStatus::Lost)?;
        (self.pass)(PAST_SHORT).await;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn a_stale_lease_cannot_release(&self) -> Rule {
        let key = fresh_key();
        let (stale, _lease) = self.taken_over(&key).await?;
        expect("a stale release", self.store.release(&stale).await?, LeaseStatus::Lost)?;
        self.expect_in_flight(&key).await
    }

    pub(super) async fn a_lease_that_was_taken_over_stays_stale_when_its_successor_lapses(&self) -> Rule {
        let keys = [fresh_key(), fresh_key()];
        let mut stale = Vec::new();
        for key in &keys {
            stale.push(self.acquire(key, SHORT).await?);
        }
        (self.pass)(PAST_SHORT).await;
        let mut lapsed = Vec::new();
        for key in &keys {
            lapsed.push(self.acquire(key, SHORT).await?);
        }
        (self.pass)(PAST_SHORT).await;
        // Each on a key of its own, so that one call cannot hide the effect of the other.
        expect("a stale complete", self.store.complete(&stale[0], LONG).await?, LeaseStatus::Lost)?;
        expect("a stale renew", self.store.renew(&stale[1], LONG).await?, LeaseStatus::Lost)?;
        for stale in &stale {
            expect("a stale release", self.store.release(stale).await?, LeaseStatus::Lost)?;
        }
        expect("the successor's renew", self.store.renew(&lapsed[1], LONG).await?, LeaseStatus::Applied)?;
        for lapsed in &lapsed {
            let status = self.store.complete(lapsed, LONG).await?;
            expect("the successor's complete", status, LeaseStatus::Applied)?;
        }
        Ok(())
    }

    pub(super) async fn a_lease_that_was_taken_over_stays_stale_when_its_successor_ends(&self) -> Rule {
        let key = fresh_key();
        let (stale, lease) = self.taken_over(&key).await?;
        let _ = self.store.release(&lease).await?;
        expect(
            "a stale complete after a release",
            self.store.complete(&stale, LONG).await?,
            LeaseStatus::Lost,
        )?;
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, SHORT).await?;
        (self.pass)(PAST_SHORT).await;
        expect(
            "a stale complete after a retention",
            self.store.complete(&stale, LONG).await?,
            LeaseStatus::Lost,
        )?;
        expect("a stale renew after a retention", self.store.renew(&stale, LONG).await?, LeaseStatus::Lost)?;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn a_lapsed_lease_that_nobody_took_can_complete(&self) -> Rule {
        let key = fresh_key();
        let lease = self.lapsed(&key).await?;
        expect("complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)?;
        self.expect_done(&key).await
    }

    pub(super) async fn a_lapsed_lease_that_nobody_took_can_renew(&self) -> Rule {
        let key = fresh_key();
        let lease = self.lapsed(&key).await?;
        expect("renew", self.store.renew(&lease, LONG).await?, LeaseStatus::Applied)?;
        self.expect_in_flight(&key).await
    }

    pub(super) async fn a_released_key_is_acquired_at_once(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        expect("release", self.store.release(&lease).await?, LeaseStatus::Applied)?;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn a_released_lease_can_write_no_more(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.release(&lease).await?;
        expect("complete after release", self.store.complete(&lease, LONG).await?, LeaseStatus::Lost)?;
        expect("renew after release", self.store.renew(&lease, LONG).await?, LeaseStatus::Lost)?;
        expect("release after release", self.store.release(&lease).await?, LeaseStatus::Lost)?;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn release_never_frees_a_done_key(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        expect("release after complete", self.store.release(&lease).await?, LeaseStatus::Lost)?;
        self.expect_done(&key).await
    }

    pub(super) async fn renew_prolongs_a_lease(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, SHORT).await?;
        expect("renew", self.store.renew(&lease, LONG).await?, LeaseStatus::Applied)?;
        (self.pass)(PAST_SHORT).await;
        self.expect_in_flight(&key).await?;
        expect("complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)
    }

    pub(super) async fn renew_does_not_bring_back_a_done_key(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        expect("renew after complete", self.store.renew(&lease, SHORT).await?, LeaseStatus::Lost)?;
        (self.pass)(PAST_SHORT).await;
        self.expect_done(&key).await
    }

    pub(super) async fn complete_twice_is_applied_twice(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        expect("complete again", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)?;
        self.expect_done(&key).await
    }

    pub(super) async fn a_done_key_outlasts_its_lease(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, SHORT).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        (self.pass)(PAST_SHORT).await;
        self.expect_done(&key).await
    }

    pub(super) async fn a_done_key_is_forgotten_after_its_retention(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&lease, SHORT).await?;
        (self.pass)(PAST_SHORT).await;
        // The key is no longer done: the new claim is a claim like any other.
        let again = self.acquire(&key, LONG).await?;
        self.expect_in_flight(&key).await?;
        expect("the old lease's complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Lost)?;
        expect("release", self.store.release(&again).await?, LeaseStatus::Applied)?;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn a_stale_lease_cannot_complete_a_key_that_its_successor_completed(&self) -> Rule {
        let key = fresh_key();
        let (stale, lease) = self.taken_over(&key).await?;
        let _ = self.store.complete(&lease, LONG).await?;
        expect("a stale complete", self.store.complete(&stale, SHORT).await?, LeaseStatus::Lost)?;
        expect("a stale release", self.store.release(&stale).await?, LeaseStatus::Lost)?;
        (self.pass)(PAST_SHORT).await;
        self.expect_done(&key).await
    }

    pub(super) async fn a_forgotten_key_is_acquired_and_its_old_lease_is_stale(&self) -> Rule {
        let key = fresh_key();
        let done = self.acquire(&key, LONG).await?;
        let _ = self.store.complete(&done, LONG).await?;
        let _ = self.store.forget(key.as_str()).await?;
        let claimed = self.acquire(&key, LONG).await?;
        let _ = self.store.forget(key.as_str()).await?;
        expect("complete after forget", self.store.complete(&claimed, LONG).await?, LeaseStatus::Lost)?;
        let _newest = self.acquire(&key, LONG).await?;
        for stale in [&done, &claimed] {
            expect("a stale complete", self.store.complete(stale, LONG).await?, LeaseStatus::Lost)?;
            expect("a stale release", self.store.release(stale).await?, LeaseStatus::Lost)?;
        }
        self.expect_in_flight(&key).await
    }

    pub(super) async fn the_lease_of_a_forgotten_claim_cannot_complete_even_one_that_had_lapsed(
        &self,
    ) -> Rule {
        let key = fresh_key();
        let live = self.acquire(&key, LONG).await?;
        let _ = self.store.forget(key.as_str()).await?;
        expect("complete after forget", self.store.complete(&live, LONG).await?, LeaseStatus::Lost)?;
        let lapsed = self.lapsed(&key).await?;
        // For a lapsed claim, `forget` may return either.
        let _ = self.store.forget(key.as_str()).await?;
        expect(
            "a lapsed complete after forget",
            self.store.complete(&lapsed, LONG).await?,
            LeaseStatus::Lost,
        )?;
        expect("a lapsed renew after forget", self.store.renew(&lapsed, LONG).await?, LeaseStatus::Lost)?;
        self.acquire(&key, LONG).await.map(drop)
    }

    pub(super) async fn forget_says_whether_there_was_a_key(&self) -> Rule {
        let key = fresh_key();
        expect("forget of an unknown key", self.store.forget(key.as_str()).await?, false)?;
        let _lease = self.acquire(&key, LONG).await?;
        expect("forget of a claimed key", self.store.forget(key.as_str()).await?, true)?;
        expect("forget of a forgotten key", self.store.forget(key.as_str()).await?, false)
    }

    pub(super) async fn zero_durations_are_refused_and_nothing_is_written(&self) -> Rule {
        let key = fresh_key();
        let refused = self.store.claim(&key, Duration::ZERO).await.is_err();
        hold(refused, || "a claim for no time was taken".to_owned())?;
        let lease = self.acquire(&key, LONG).await?;
        let refused = self.store.renew(&lease, Duration::ZERO).await.is_err();
        hold(refused, || "a renewal for no time was taken".to_owned())?;
        let refused = self.store.complete(&lease, Duration::ZERO).await.is_err();
        hold(refused, || "a retention of no time was taken".to_owned())?;
        self.expect_in_flight(&key).await?;
        expect("complete", self.store.complete(&lease, LONG).await?, LeaseStatus::Applied)
    }

    pub(super) async fn the_longest_durations_are_taken(&self) -> Rule {
        let key = fresh_key();
        let lease = self.acquire(&key, Duration::MAX).await?;
        self.expect_in_flight(&key).await?;
        expect("renew", self.store.renew(&lease, Duration::MAX).await?, LeaseStatus::Applied)?;
        expect("complete", self.store.complete(&lease, Duration::MAX).await?, LeaseStatus::Applied)?;
        self.expect_done(&key).await
    }
}
