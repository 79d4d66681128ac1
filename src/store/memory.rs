//! Keys in the memory of this process.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

// `tests/interleavings.rs` tries every interleaving of the locks and of the count.
#[cfg(countersign_loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(countersign_loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

use crate::store::IdempotencyKey;
use crate::store::PolicyError;
use crate::store::{Claim, IdempotencyStore, Lease, LeaseStatus, check_lease_duration, check_retention};

/// A store in the memory of this process: for tests, and for a service of one process that may
/// handle an event again after a restart.
///
/// The store **refuses** a new key when it is full ([`MemoryStoreError::Full`], which a receiver answers with 503),
/// because forgetting a key early could handle an event twice. Expired keys are removed when their place is needed, a
/// few for each claim, and after an hour otherwise.
///
/// A key takes about 200 bytes: 188 to 214 if it is a body's hash, depending on how full the tables are, and 56 fewer
/// with an id of 12 characters. The default capacity of a million keys is 250 MB at most. It is enough for 1.6 events
/// per second with a retention of a week. The keys are spread over many locks, so threads seldom wait for each other.
///
/// **A tenant can fill the store**, because whoever has a secret can sign any number of events. A million events take
/// seconds; after that, the events of every other tenant are refused until those keys expire. Give each tenant a
/// store of its own, with its share of the capacity. An empty store takes 33 kB.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use countersign::{MemoryStore, Receiver, Secrets, SetupError, Webhook, provider::ThreeQpr};
///
/// #[derive(Default)]
/// struct Stores(Mutex<HashMap<String, Arc<MemoryStore>>>);
///
/// impl Stores {
///     /// The store of a tenant that exists: a name from a request's path is looked up first.
///     fn of(&self, tenant: &str) -> Arc<MemoryStore> {
///         let mut stores = self.0.lock().unwrap();
///         let new = || Arc::new(MemoryStore::new().with_capacity(10_000));
///         Arc::clone(stores.entry(tenant.to_owned()).or_insert_with(new))
///     }
/// }
///
/// type Tenant = Receiver<ThreeQpr, Arc<MemoryStore>>;
///
/// fn receiver(tenant: &str, secrets: Secrets, stores: &Stores) -> Result<Tenant, SetupError> {
///     Ok(Receiver::new(Webhook::new(secrets)?.with_tenant(tenant), stores.of(tenant)))
/// }
/// # let stores = Stores::default();
/// # assert!(Arc::ptr_eq(&stores.of("acme"), &stores.of("acme")));
/// # assert!(!Arc::ptr_eq(&stores.of("acme"), &stores.of("globex")));
/// ```
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// let receiver = Receiver::new(webhook, MemoryStore::new());
/// # Ok(()) }
/// ```
pub struct MemoryStore {
    /// The key's hash selects its shard.
    shards: Box<[Apart<Mutex<Keys>>]>,
    /// The number of keys in all shards.
    len: Apart<AtomicUsize>,
    capacity: usize,
    /// Half of each token, so that a lease of another store is not valid here.
    instance: u64,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// A value on cache lines of its own, so that a write by one thread does not slow the readers of the value beside it.
#[repr(align(128))]
struct Apart<T>(T);

/// Why a [`MemoryStore`] refused a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryStoreError {
    /// The store is full of keys that have not expired.
    #[error("the store is full with {capacity} keys")]
    #[non_exhaustive]
    Full {
        /// The greatest number of keys in the store.
        capacity: usize,
    },
    /// The lease duration or the retention is zero.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl MemoryStoreError {
    /// The error's code, which never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store_full",
            Self::Policy(error) => error.code(),
        }
    }
}

#[derive(Default)]
struct Keys {
    entries: HashMap<Arc<str>, Entry>,
    deadlines: Deadlines,
    /// The number of the newest claim. No other shard uses this number.
    newest: u64,
}

/// The keys, sorted by deadline.
#[derive(Default)]
struct Deadlines {
    all: BTreeSet<(Nanos, Arc<str>)>,
    /// No deadline is earlier. While it is in the future, `all` need not be read, which is seldom in a cache.
    not_before: Nanos,
}

impl Deadlines {
    fn insert(&mut self, deadline: Nanos, key: Arc<str>) {
        self.not_before = self.not_before.min(deadline);
        self.all.insert((deadline, key));
    }

    fn remove(&mut self, deadline: Nanos, key: Arc<str>) {
        self.all.remove(&(deadline, key));
    }

    fn change(&mut self, key: &IdempotencyKey, from: Nanos, to: Nanos) {
        self.remove(from, key.shared());
        self.insert(to, key.shared());
    }

    /// Takes out the key with the first deadline, unless that is after `time`.
    fn pop_until(&mut self, time: Nanos) -> Option<Arc<str>> {
        if self.not_before > time {
            return None;
        }
        self.not_before = self.all.first()?.0;
        if self.not_before > time { None } else { self.all.pop_first().map(|(_, key)| key) }
    }
}

/// Nanoseconds: half the size of a `Duration`, and enough for five hundred years.
type Nanos = u64;

struct Entry {
    /// When the lease lapses or the retention ends.
    deadline: Nanos,
    /// The claim that holds the key, or held it when it was done. [`DONE`](Entry::DONE) is a bit of it: a field of
    /// its own would take eight bytes.
    claim: u64,
}

impl Entry {
    /// No claim has such a high number: the numbers of a shard rise by 256, so one claim per microsecond reaches it
    /// after a thousand years.
    const DONE: u64 = 1 << 63;

    fn is_done(&self) -> bool {
        self.claim & Self::DONE != 0
    }
}

impl MemoryStore {
    /// The default capacity, in keys.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// How long an expired key stays if its place is not needed. A lapsed lease can be completed while
    /// its key is there.
    const LINGER: Duration = Duration::from_secs(3600);

    /// How many expired keys a claim removes when the store is full: more than it needs, so that the next claims
    /// find place at once, and few enough for a thread of an async executor.
    const AT_ONCE: usize = 16;

    /// The number of shards: many times the cores of most machines, because waiting for a lock takes longer than
    /// the work under it. Loom tries all orders of locking, so it gets fewer.
    const SHARDS: u64 = if cfg!(countersign_loom) { 32 } else { 256 };

    /// Makes an empty store with the [`DEFAULT_CAPACITY`](MemoryStore::DEFAULT_CAPACITY).
    #[must_use]
    pub fn new() -> Self {
        // Read at the first call, because some platforms have no such clock.
        let start = OnceLock::new();
        Self {
            shards: (0..Self::SHARDS)
                .map(|newest| Apart(Mutex::new(Keys { newest, ..Keys::default() })))
                .collect(),
            len: Apart(AtomicUsize::new(0)),
            capacity: Self::DEFAULT_CAPACITY,
            instance: RandomState::new().hash_one(()),
            clock: Box::new(move || start.get_or_init(Instant::now).elapsed()),
        }
    }

    /// Sets the clock: the time since any fixed point, which must not go back. It is for tests, and for
    /// platforms without `std::time::Instant`.
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
        // Counted from the first reading, because the fixed point may be longer ago than `Nanos` can hold.
        let first = OnceLock::new();
        self.clock = Box::new(move || {
            let now = clock();
            now.saturating_sub(*first.get_or_init(|| now))
        });
        self
    }

    /// Sets the capacity, in keys: [`DEFAULT_CAPACITY`](MemoryStore::DEFAULT_CAPACITY) by default.
    #[must_use]
    pub fn with_capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// The number of keys in the store, including expired ones that were not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.0.load(Ordering::Relaxed)
    }

    /// Whether the store holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Locks the key's shard.
    fn keys_with(&self, key: &str) -> MutexGuard<'_, Keys> {
        lock(&self.shards[(spread(key) % Self::SHARDS) as usize])
    }

    /// The time. Read it under the lock, so that no thread sees an entry written later than its own now.
    fn now(&self) -> Nanos {
        nanos((self.clock)())
    }

    /// Claims the key, unless the key is new and the store is full.
    fn try_claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Option<Claim> {
        let mut guard = self.keys_with(key.as_str());
        let keys = &mut *guard;
        let now = self.now();
        // More than one for each claim, so that the expired keys become fewer.
        self.drop_expired(keys, now.saturating_sub(nanos(Self::LINGER)), 4);
        let claim = keys.newest + Self::SHARDS;
        let deadline = now.saturating_add(nanos(lease_duration));
        let claimed = Entry { deadline, claim };
        match keys.entries.entry(key.shared()) {
            Occupied(place) if place.get().deadline > now => {
                let entry = place.get();
                return Some(if entry.is_done() {
                    Claim::Done
                } else {
                    Claim::InFlight { retry_after: Duration::from_nanos(entry.deadline - now) }
                });
            }
            Occupied(mut place) => {
                let expired = place.insert(claimed);
                keys.deadlines.change(key, expired.deadline, deadline);
            }
            Vacant(place) => {
                self.take_place()?;
                place.insert(claimed);
                keys.deadlines.insert(deadline, key.shared());
            }
        }
        keys.newest = claim;
        let token = (u128::from(self.instance) << 64) | u128::from(claim);
        Some(Claim::Acquired(Lease::new(key.clone(), token.to_be_bytes())))
    }

    /// Counts one key more, unless the store is full.
    fn take_place(&self) -> Option<()> {
        let mut len = self.len.0.load(Ordering::Relaxed);
        while len < self.capacity {
            match self.len.0.compare_exchange_weak(len, len + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(()),
                Err(now) => len = now,
            }
        }
        None
    }

    /// Whether the entry still has the lease's token.
    fn is_held(&self, entry: &Entry, lease: &Lease) -> bool {
        let token = u128::from_be_bytes(*lease.token());
        (token >> 64) as u64 == self.instance && token as u64 == entry.claim & !Entry::DONE
    }

    /// Applies `write` to the lease's entry, if the entry still has the lease's token.
    fn write_if_held(
        &self,
        lease: &Lease,
        write: impl FnOnce(&mut Entry, Nanos) -> LeaseStatus,
    ) -> LeaseStatus {
        let mut guard = self.keys_with(lease.key().as_str());
        let keys = &mut *guard;
        match keys.entries.get_mut(lease.key().as_str()) {
            Some(entry) if self.is_held(entry, lease) => {
                let before = entry.deadline;
                let status = write(entry, self.now());
                keys.deadlines.change(lease.key(), before, entry.deadline);
                status
            }
            _ => LeaseStatus::Lost,
        }
    }

    /// Removes up to `at_most` keys whose deadline is not after `time`, and returns how many.
    fn drop_expired(&self, keys: &mut Keys, time: Nanos, at_most: usize) -> usize {
        for dropped in 0..at_most {
            let Some(key) = keys.deadlines.pop_until(time) else { return dropped };
            keys.entries.remove(&key);
            self.len.0.fetch_sub(1, Ordering::Relaxed);
        }
        at_most
    }

    /// Removes a few expired keys of the first shard that has one, and returns whether any shard had one. The search
    /// starts at the key's own shard, so that claims of different keys start at different shards.
    fn make_place(&self, key: &IdempotencyKey) -> bool {
        let (before, from) = self.shards.split_at((spread(key.as_str()) % Self::SHARDS) as usize);
        from.iter().chain(before).any(|shard| {
            let mut keys = lock(shard);
            self.drop_expired(&mut keys, self.now(), Self::AT_ONCE) > 0
        })
    }

    fn remove(&self, keys: &mut Keys, key: &str) -> bool {
        let Some((key, entry)) = keys.entries.remove_entry(key) else { return false };
        keys.deadlines.remove(entry.deadline, key);
        self.len.0.fetch_sub(1, Ordering::Relaxed);
        true
    }
}

/// The number of the key's shard, below 256. The map in the shard uses another hash, which is keyed with a secret.
fn spread(key: &str) -> u64 {
    let (words, rest) = key.as_bytes().as_chunks();
    let rest = rest.iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    let sum = words.iter().fold(rest, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    // 2⁶⁴ divided by the golden ratio, as in Knuth's multiplicative hashing: every byte changes the uppermost one.
    sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

fn lock(shard: &Apart<Mutex<Keys>>) -> MutexGuard<'_, Keys> {
    // A panic cannot leave the keys half-written, so a poisoned lock can be used.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl IdempotencyStore for MemoryStore {
    type Error = MemoryStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, MemoryStoreError> {
        check_lease_duration(lease_duration)?;
        loop {
            // First, because a claim of a known key needs no place.
            if let Some(claim) = self.try_claim(key, lease_duration) {
                return Ok(claim);
            }
            // Another claim may take the place. Each round removes a key, so the loop ends.
            if !self.make_place(key) {
                let claim = self.try_claim(key, lease_duration);
                return claim.ok_or(MemoryStoreError::Full { capacity: self.capacity });
            }
        }
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, MemoryStoreError> {
        check_retention(retention)?;
        Ok(self.write_if_held(lease, |entry, now| {
            entry.claim |= Entry::DONE;
            entry.deadline = now.saturating_add(nanos(retention));
            LeaseStatus::Applied
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, MemoryStoreError> {
        let mut keys = self.keys_with(lease.key().as_str());
        let entry = keys.entries.get(lease.key().as_str());
        let released = entry.is_some_and(|entry| !entry.is_done() && self.is_held(entry, lease));
        if released {
            self.remove(&mut keys, lease.key().as_str());
        }
        Ok(LeaseStatus::applied_if(released))
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, MemoryStoreError> {
        check_lease_duration(lease_duration)?;
        Ok(self.write_if_held(lease, |entry, now| {
            if !entry.is_done() {
                entry.deadline = now.saturating_add(nanos(lease_duration));
            }
            LeaseStatus::applied_if(!entry.is_done())
        }))
    }

    async fn forget(&self, key: &str) -> Result<bool, MemoryStoreError> {
        Ok(self.remove(&mut self.keys_with(key), key))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "it hashes much")]
    fn keys_are_spread_over_the_shards_whatever_tells_them_apart() {
        fn key(tenant: Option<&str>, id: Option<&str>, body: u32) -> IdempotencyKey {
            IdempotencyKey::new("3qpr", tenant, id, None, &body.to_be_bytes())
        }
        let uuid = |n| {
            let hash = key(None, None, n);
            let digits = &hash.as_str()["3qpr:sha256:".len()..];
            let parts = [&digits[..8], &digits[8..12], &digits[12..15], &digits[15..18], &digits[18..30]];
            format!("{}-{}-4{}-a{}-{}", parts[0], parts[1], parts[2], parts[3], parts[4])
        };
        let kinds: [(&str, &dyn Fn(u32) -> IdempotencyKey); 6] = [
            ("hashes of bodies", &|n| key(None, None, n)),
            ("numbers", &|n| key(None, Some(&n.to_string()), 0)),
            ("numbers of one length", &|n| key(None, Some(&format!("evt_{n:012}")), 0)),
            ("numbers before a text", &|n| key(None, Some(&format!("{n}-of-the-farm-in-the-cellar")), 0)),
            ("tenants", &|n| key(Some(&format!("tenant-{n}")), Some("evt_1"), 0)),
            ("UUIDs", &|n| key(None, Some(&uuid(n)), 0)),
        ];
        const EACH: u32 = 100;
        for (kind, key) in kinds {
            let mut counts = vec![0; MemoryStore::SHARDS as usize];
            for n in 0..EACH * MemoryStore::SHARDS as u32 {
                counts[(spread(key(n).as_str()) % MemoryStore::SHARDS) as usize] += 1;
            }
            let most = counts.into_iter().max().unwrap();
            assert!(most <= 2 * EACH, "{kind}: {most} in a shard, where {EACH} would be even");
        }
    }
}
