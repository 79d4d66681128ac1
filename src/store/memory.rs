//! Keys in the memory of this process.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

// `tests/interleavings.rs` has every interleaving of the lock tried.
#[cfg(countersign_loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(countersign_loom))]
use std::sync::{Mutex, MutexGuard};

use crate::error::PolicyError;
use crate::key::IdempotencyKey;
use crate::store::{Claim, Fenced, IdempotencyStore, Lease, check_lease, check_retention};

/// A store in the memory of this process: for tests, and for a service of one process for which it
/// is no harm to handle an event again after a restart.
///
/// It holds at most its capacity in keys, and **refuses** a new one when full
/// ([`MemoryStoreError::Full`], which a receiver answers with 503): to forget a claim or a done key
/// early would be to handle an event twice. What has expired makes place at once when place is
/// needed, and an hour after otherwise. A key takes some 250 bytes, so that the default of a million
/// keys is 250 MB at the most, and suffices for 1.6 events a second at a retention of a week.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// let receiver = Receiver::new(webhook, MemoryStore::new());
/// # Ok(()) }
/// ```
pub struct MemoryStore {
    keys: Mutex<Keys>,
    capacity: usize,
    /// Half of every token, so that a lease of another store is not one of this.
    instance: u64,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Why a [`MemoryStore`] refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryStoreError {
    /// It is full of keys that have not expired.
    #[error("the store is full with {capacity} keys")]
    #[non_exhaustive]
    Full {
        /// How many keys it may hold.
        capacity: usize,
    },
    /// A lease or a retention of no time.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl MemoryStoreError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store_full",
            Self::Policy(error) => error.code(),
        }
    }

    /// Always 503: nothing was claimed, so nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }
}

#[derive(Default)]
struct Keys {
    entries: HashMap<Arc<str>, Entry>,
    /// Every entry by its deadline; the number tells equal deadlines apart.
    deadlines: BTreeMap<(Duration, u64), Arc<str>>,
    /// How many claims there were, which numbers them.
    claims: u64,
}

struct Entry {
    done: bool,
    /// The claim that holds it, or held it when it was done.
    claim: u64,
    /// When the lease lapses or the retention ends.
    deadline: Duration,
}

impl MemoryStore {
    /// How many keys it holds unless told otherwise.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// How long an expired key stays while there is place. A lapsed lease can be completed as
    /// long as its key is there.
    const LINGER: Duration = Duration::from_secs(3600);

    /// An empty store of [`DEFAULT_CAPACITY`](MemoryStore::DEFAULT_CAPACITY).
    #[must_use]
    pub fn new() -> Self {
        // Read at the first call, since there are platforms without such a clock.
        let start = OnceLock::new();
        Self {
            keys: Mutex::new(Keys::default()),
            capacity: Self::DEFAULT_CAPACITY,
            instance: RandomState::new().hash_one(()),
            clock: Box::new(move || start.get_or_init(Instant::now).elapsed()),
        }
    }

    /// The same store with another clock: the time since any fixed point, never going back. For
    /// tests, and for platforms without `std::time::Instant`.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// use std::time::Duration;
    /// use countersign::MemoryStore;
    ///
    /// let seconds = Arc::new(AtomicU64::new(0));
    /// let clock = Arc::clone(&seconds);
    /// let store = MemoryStore::new().with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    /// seconds.fetch_add(30, Ordering::Relaxed); // half a minute later
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets how many keys it may hold.
    #[must_use]
    pub fn with_capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// How many keys it holds, expired ones that linger included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // No panic can leave the keys half-written, so a poisoned lock is as good as another.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self, key: &IdempotencyKey, claim: u64) -> Lease {
        let token = (u128::from(self.instance) << 64) | u128::from(claim);
        Lease::new(key.clone(), token.to_be_bytes())
    }

    /// The number of the claim that a lease of this store is for.
    fn claim_of(&self, lease: &Lease) -> Option<u64> {
        let token = u128::from_be_bytes(*lease.token());
        ((token >> 64) as u64 == self.instance).then_some(token as u64)
    }

    /// Does `write` to the lease's entry, if it still is the lease's.
    fn fenced(&self, lease: &Lease, write: impl FnOnce(&mut Keys, Duration) -> Fenced) -> Fenced {
        let mut keys = self.lock();
        let now = (self.clock)();
        let claim = self.claim_of(lease);
        match keys.entries.get(lease.key().as_str()) {
            Some(entry) if Some(entry.claim) == claim => write(&mut keys, now),
            _ => Fenced::Lost,
        }
    }
}

impl Keys {
    fn insert(&mut self, key: Arc<str>, entry: Entry) {
        self.deadlines.insert((entry.deadline, entry.claim), Arc::clone(&key));
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &str) -> Option<(Arc<str>, Entry)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.deadlines.remove(&(entry.deadline, entry.claim));
        Some((key, entry))
    }

    /// Drops up to `at_most` entries whose deadline was at `time` or before.
    fn drop_expired(&mut self, time: Duration, at_most: usize) {
        for _ in 0..at_most {
            match self.deadlines.first_entry() {
                Some(first) if first.key().0 <= time => {
                    let key = first.remove();
                    self.entries.remove(&key);
                }
                _ => return,
            }
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl IdempotencyStore for MemoryStore {
    type Error = MemoryStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, MemoryStoreError> {
        check_lease(lease)?;
        let mut keys = self.lock();
        let now = (self.clock)();
        match keys.entries.get(key.as_str()) {
            Some(entry) if entry.deadline > now => {
                return Ok(if entry.done {
                    Claim::Done
                } else {
                    Claim::InFlight { retry_after: entry.deadline - now }
                });
            }
            Some(_) => {
                keys.remove(key.as_str());
            }
            None if keys.entries.len() >= self.capacity => {
                keys.drop_expired(now, usize::MAX);
                if keys.entries.len() >= self.capacity {
                    return Err(MemoryStoreError::Full { capacity: self.capacity });
                }
            }
            // Two for each that comes, so that the expired ones become fewer.
            None => keys.drop_expired(now.saturating_sub(Self::LINGER), 2),
        }
        keys.claims += 1;
        let claim = keys.claims;
        keys.insert(key.as_str().into(), Entry { done: false, claim, deadline: now.saturating_add(lease) });
        Ok(Claim::Acquired(self.lease(key, claim)))
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, MemoryStoreError> {
        check_retention(retain)?;
        Ok(self.fenced(lease, |keys, now| match keys.remove(lease.key().as_str()) {
            Some((key, entry)) => {
                keys.insert(key, Entry { done: true, deadline: now.saturating_add(retain), ..entry });
                Fenced::Applied
            }
            None => Fenced::Lost,
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, MemoryStoreError> {
        Ok(self.fenced(lease, |keys, _| match keys.entries.get(lease.key().as_str()) {
            Some(entry) if !entry.done => {
                keys.remove(lease.key().as_str());
                Fenced::Applied
            }
            _ => Fenced::Lost,
        }))
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, MemoryStoreError> {
        check_lease(lease_for)?;
        Ok(self.fenced(lease, |keys, now| match keys.remove(lease.key().as_str()) {
            Some((key, entry)) => {
                let applied = !entry.done;
                let deadline = if applied { now.saturating_add(lease_for) } else { entry.deadline };
                keys.insert(key, Entry { deadline, ..entry });
                Fenced::applied_if(applied)
            }
            None => Fenced::Lost,
        }))
    }

    async fn forget(&self, key: &str) -> Result<bool, MemoryStoreError> {
        Ok(self.lock().remove(key).is_some())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
