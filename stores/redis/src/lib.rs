//! [countersign](https://docs.rs/countersign)'s idempotency store in Redis or Valkey: [`RedisStore`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign::store::{Claim, Fenced, Lease, check_lease_duration, check_retention};
use countersign::{IdempotencyKey, IdempotencyStore, PolicyError};
/// The `redis` crate, whose connection the store takes.
pub use redis;
use redis::Script;
use redis::aio::{ConnectionLike, ConnectionManager};

/// A store in Redis 7 or newer, or in Valkey, on one server or a cluster, for any number of instances.
///
/// It takes a connection of yours: a [`ConnectionManager`], which reconnects by itself, or any
/// other that is cloned cheaply. A claim is one round trip (a second one for a key that is in flight,
/// was given back or was forgotten), and so is every other call; each is a command on one key, as a
/// cluster wants it. All times are the server's, and keys expire there by themselves. That a key was
/// given back or forgotten is known for an hour, in which a lease from before cannot complete.
///
/// For TLS (`rediss://`), add redis to your dependencies with one of its TLS features.
///
/// **It must not evict**: set `maxmemory-policy noeviction`, or a full server forgets keys of its
/// own accord. And what Redis forgets is handled again: a server that restarts without its data, or
/// a replica that is promoted before it had the last writes, knows nothing of the keys lost. Nothing
/// is acknowledged that was not handled, but there may be duplicates. Where that is not good enough,
/// take a SQL store, in a transaction with the effect.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, Webhook, provider::Quote3d};
/// use countersign_redis::{RedisStore, redis};
///
/// let client = redis::Client::open("redis://localhost")?;
/// // By default it retries for some 10 seconds while Redis is away, and a provider waits for less.
/// let config = redis::aio::ConnectionManagerConfig::new().set_number_of_retries(1);
/// let store = RedisStore::new(client.get_connection_manager_with_config(config).await?);
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
///
/// On a **cluster**, with the feature `cluster-async` of the crate `redis` among your dependencies:
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_redis::{RedisStore, redis::cluster::ClusterClient};
///
/// // By default it retries for minutes while a node is away. Twice is enough for a slot that moves.
/// let client = ClusterClient::builder(["redis://one.internal", "redis://two.internal"])
///     .retries(2)
///     .response_timeout(Duration::from_secs(2))
///     .build()?;
/// let store = RedisStore::new(client.get_async_connection().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore<C = ConnectionManager> {
    connection: C,
    prefix: Arc<str>,
    scripts: Arc<Scripts>,
}

/// Why a [`RedisStore`] could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// Redis or its client failed: no connection, no answer in time, no memory.
    #[error("the Redis store failed")]
    #[non_exhaustive]
    Redis {
        /// The client's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system has no random bytes to give.
    #[error("no random token for a claim")]
    #[non_exhaustive]
    Random {
        /// The operating system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A lease or a retention of no time.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl RedisStoreError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Redis { .. } | Self::Random { .. } => "store_failed",
            Self::Policy(error) => error.code(),
        }
    }

    /// Always 503: nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }
}

impl From<redis::RedisError> for RedisStoreError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis { source: error.into() }
    }
}

/// A key's value is a letter and, but for a free key, the token of its newest claim: `P` while it is
/// claimed, `D` when it is done, `F` for a while after it was given back, so that leases from before
/// are told apart from one that has only lapsed. A claim that has lapsed is no key at all.
struct Scripts {
    claim: Script,
    complete: Script,
    release: Script,
    renew: Script,
    forget: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            claim: Script::new(
                "local v = redis.call('GET', KEYS[1])
                 if v and v ~= 'F' and v ~= 'P' .. ARGV[1] then return {v, redis.call('PTTL', KEYS[1])} end
                 redis.call('SET', KEYS[1], 'P' .. ARGV[1], 'PX', ARGV[2]) return false",
            ),
            complete: Script::new(
                "local v = redis.call('GET', KEYS[1])
                 if v and v ~= 'P' .. ARGV[1] and v ~= 'D' .. ARGV[1] then return 0 end
                 redis.call('SET', KEYS[1], 'D' .. ARGV[1], 'PX', ARGV[2]) return 1",
            ),
            release: Script::new(
                "if redis.call('GET', KEYS[1]) ~= 'P' .. ARGV[1] then return 0 end
                 redis.call('SET', KEYS[1], 'F', 'PX', ARGV[2]) return 1",
            ),
            renew: Script::new(
                "local v = redis.call('GET', KEYS[1])
                 if v and v ~= 'P' .. ARGV[1] then return 0 end
                 redis.call('SET', KEYS[1], 'P' .. ARGV[1], 'PX', ARGV[2]) return 1",
            ),
            // Where there is no key, there may be a lapsed lease, which is to end too.
            forget: Script::new(
                "local v = redis.call('SET', KEYS[1], 'F', 'GET', 'PX', ARGV[1])
                 if not v or v == 'F' then return 0 end
                 return 1",
            ),
        }
    }
}

/// A token for a claim, which no other claim has.
fn random_token() -> Result<[u8; 16], RedisStoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| RedisStoreError::Random { source: error.into() })?;
    Ok(token)
}

impl<C: ConnectionLike + Clone + Send + Sync> RedisStore<C> {
    /// How long a key that was given back is told apart from one that was never claimed.
    const LINGER: Duration = Duration::from_secs(3600);

    /// The longest time that is stored: a thousand years, in milliseconds.
    const MAX_MILLIS: u64 = 1_000 * 365 * 86_400 * 1_000;

    /// A store on a connection of yours, whose keys begin with `countersign:`.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self { connection, prefix: "countersign:".into(), scripts: Arc::new(Scripts::new()) }
    }

    /// Sets what the keys begin with, which tells them apart from others in the same database.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn millis(time: Duration) -> u64 {
        // Rounded up, so that no time becomes none.
        let millis = time.as_nanos().div_ceil(1_000_000);
        u64::try_from(millis).unwrap_or(u64::MAX).min(Self::MAX_MILLIS)
    }

    /// Runs a script on the lease's key and token.
    async fn fenced(
        &self,
        script: &Script,
        lease: &Lease,
        time: Duration,
    ) -> Result<Fenced, RedisStoreError> {
        let mut connection = self.connection.clone();
        let applied: bool = script
            .key(self.key(lease.key().as_str()))
            .arg(lease.token())
            .arg(Self::millis(time))
            .invoke_async(&mut connection)
            .await?;
        Ok(Fenced::applied_if(applied))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> IdempotencyStore for RedisStore<C> {
    type Error = RedisStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, RedisStoreError> {
        check_lease_duration(lease)?;
        let token = random_token()?;
        let name = self.key(key.as_str());
        let millis = Self::millis(lease);
        let mut connection = self.connection.clone();
        // One command: in a pipeline, a cluster that moves the key's slot would do the first alone.
        let before: Option<Vec<u8>> = redis::cmd("SET")
            .arg(&name)
            .arg([&b"P"[..], &token].concat())
            .arg(&["NX", "GET", "PX"])
            .arg(millis)
            .query_async(&mut connection)
            .await?;
        let found: Option<(Vec<u8>, i64)> = match before {
            Some(value) if value.starts_with(b"D") => return Ok(Claim::Done),
            // Claimed or given back, or by this very claim, if the client has sent it twice.
            Some(_) => {
                let claim = &self.scripts.claim;
                claim.key(name).arg(&token).arg(millis).invoke_async(&mut connection).await?
            }
            None => None,
        };
        Ok(match found {
            Some((value, _)) if value.starts_with(b"D") => Claim::Done,
            Some((_, left)) => {
                let left = u64::try_from(left).unwrap_or(0).max(1);
                Claim::InFlight { retry_after: Duration::from_millis(left) }
            }
            None => Claim::Acquired(Lease::new(key.clone(), token)),
        })
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, RedisStoreError> {
        check_retention(retain)?;
        self.fenced(&self.scripts.complete, lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, RedisStoreError> {
        self.fenced(&self.scripts.release, lease, Self::LINGER).await
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, RedisStoreError> {
        check_lease_duration(lease_for)?;
        self.fenced(&self.scripts.renew, lease, lease_for).await
    }

    async fn forget(&self, key: &str) -> Result<bool, RedisStoreError> {
        let mut connection = self.connection.clone();
        let forget = &self.scripts.forget;
        Ok(forget.key(self.key(key)).arg(Self::millis(Self::LINGER)).invoke_async(&mut connection).await?)
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
