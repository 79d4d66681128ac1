#![doc = include_str!("../README.md")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::store::{Claim, Lease, LeaseStatus, check_lease_duration, check_retention};
use countersign::{IdempotencyKey, IdempotencyStore, PolicyError};
/// The `redis` crate, whose connection the store uses.
pub use redis;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind};

/// A store in Redis 7.0 or newer, or in Valkey, on one server or a cluster, for any number of instances.
///
/// It uses your connection: a [`ConnectionManager`], which reconnects by itself, or any other connection that is
/// cheap to clone. A call takes one round trip; claiming a key that is already claimed takes two. Loading a script
/// takes one more, and the first claim also tests the user's rights. Each command touches one
/// key, as a cluster requires. All times are the server's, and keys expire there by themselves.
///
/// For TLS (`rediss://`), add redis to your dependencies with its feature `tokio-rustls-comp`, and rustls with one
/// cryptography provider, such as `ring`. Without a provider, the first connection panics.
///
/// The [page of this crate](crate) lists what the server must provide, the rights of its user, and what the store
/// promises while Redis keeps its data. In short: `maxmemory-policy noeviction`, a
/// [prefix](RedisStore::with_prefix) for each service and environment, and the commands `GET`, `SET`, `DEL`, `PTTL`,
/// `EVAL` and `EVALSHA`. Before its first claim, a store tries all of them but `SET` on the key
/// `countersign:probe`; the claim itself is a `SET`. Until they succeed, every claim fails with the server's
/// reason, and no handler runs.
///
/// A key becomes done only after its handler has succeeded, so no event is acknowledged before it is handled. An event
/// that Redis forgets is handled again.
///
/// A lease that has lapsed can be completed or renewed for an hour, unless its key was claimed again,
/// released or forgotten. Therefore a lapsed claim stays in memory for an hour more, at about 240 bytes;
/// a released or forgotten key does not stay.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, Webhook, provider::Quote3d};
/// use countersign_redis::{RedisStore, redis};
///
/// let client = redis::Client::open("redis://localhost")?;
/// // The default retries for about 10 seconds while Redis is away. Most providers wait for less.
/// let config = redis::aio::ConnectionManagerConfig::new().set_number_of_retries(1);
/// let store = RedisStore::new(client.get_connection_manager_with_config(config).await?);
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?)?;
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
///
/// On a **cluster**, add the crate `redis` with its feature `cluster-async` to your dependencies:
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_redis::{RedisStore, redis::cluster::ClusterClient};
///
/// // The default retries for minutes while a node is away. Two retries are enough for a slot that moves.
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
    /// Whether the server has permitted the commands that the store needs.
    is_permitted: Arc<AtomicBool>,
}

/// Why a call of a [`RedisStore`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// Redis or its client failed: for example no connection, no answer in time, no memory, or no right to a command.
    #[error("the Redis store failed")]
    #[non_exhaustive]
    Redis {
        /// The client's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system returned no random bytes.
    #[error("no random token for a claim")]
    #[non_exhaustive]
    Random {
        /// The operating system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lease duration or the retention is zero.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl RedisStoreError {
    /// The error's code, which never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Redis { .. } | Self::Random { .. } => "store_failed",
            Self::Policy(error) => error.code(),
        }
    }
}

impl From<redis::RedisError> for RedisStoreError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis { source: error.into() }
    }
}

/// A key's value is a letter and the token of its newest claim: `P` while the key is claimed, `D` when it is
/// done. A claim's key outlives its lease by [`LINGER`](RedisStore::LINGER), so the claim has lapsed if the
/// key expires in less time than that. A lease is lost if the key has another token.
struct Scripts {
    claim: Lua,
    write: Lua,
}

/// Claims a key that may have been claimed before; ARGV: token, expiry, linger. Returns -1 if the key is done,
/// 0 if it was acquired, and otherwise for how many milliseconds the other lease lasts.
///
/// Without `#!lua`, a full server refuses the `SET`, but not the reads.
const CLAIM: &str = "local v = redis.call('GET', KEYS[1])
if v and v ~= 'P' .. ARGV[1] then
  local state = #v == 17 and v:sub(1, 1)
  if state == 'D' then return -1 end
  if state ~= 'P' then return redis.error_reply('ERR the key holds no claim of this store') end
  local left = redis.call('PTTL', KEYS[1]) - ARGV[3]
  if left > 0 then return left end
end
redis.call('SET', KEYS[1], 'P' .. ARGV[1], 'PX', ARGV[2])
return 0";

/// Writes to a key if it still has the lease's token; ARGV: the call, token, expiry. Returns whether it wrote.
///
/// A full server allows it too: it adds no key, and a handled event must be recorded.
const WRITE: &str = "#!lua flags=allow-oom
local call, v = ARGV[1], redis.call('GET', KEYS[1])
local claimed, done = 'P' .. ARGV[2], 'D' .. ARGV[2]
if call == 'complete' and (v == claimed or v == done) then
  redis.call('SET', KEYS[1], done, 'PX', ARGV[3])
  return 1
elseif call == 'renew' and v == claimed then
  redis.call('SET', KEYS[1], claimed, 'PX', ARGV[3])
  return 1
elseif call == 'release' and v == claimed then
  return redis.call('DEL', KEYS[1])
end
return 0";

impl Scripts {
    fn new() -> Self {
        Self { claim: Lua::new(CLAIM), write: Lua::new(WRITE) }
    }
}

/// A script and its hash.
struct Lua {
    code: &'static str,
    hash: String,
}

impl Lua {
    fn new(code: &'static str) -> Self {
        Self { code, hash: Script::new(code).get_hash().to_owned() }
    }

    fn by_code(&self, key: &str, args: &[&[u8]]) -> Cmd {
        redis::cmd("EVAL").arg(self.code).arg(1).arg(key).arg(args).take()
    }

    fn by_hash(&self, key: &str, args: &[&[u8]]) -> Cmd {
        redis::cmd("EVALSHA").arg(&self.hash).arg(1).arg(key).arg(args).take()
    }

    /// Runs the script. If the server does not know it, it is sent with `EVAL`: unlike `SCRIPT LOAD`, that goes to
    /// the key's node of a cluster, and needs no further right.
    async fn run<T: FromRedisValue>(
        &self,
        mut connection: impl ConnectionLike,
        key: &str,
        args: &[&[u8]],
    ) -> RedisResult<T> {
        match self.by_hash(key, args).query_async(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.by_code(key, args).query_async(&mut connection).await
            }
            result => result,
        }
    }
}

/// Makes a token that no other claim has.
fn random_token() -> Result<[u8; 16], RedisStoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| RedisStoreError::Random { source: error.into() })?;
    Ok(token)
}

impl<C: ConnectionLike + Clone + Send + Sync> RedisStore<C> {
    /// How long a claim's key outlives its lease. All instances must agree on it.
    const LINGER: Duration = Duration::from_secs(3600);

    /// The longest time that is stored: a thousand years, in milliseconds.
    const MAX_MILLIS: u64 = 1_000 * 365 * 86_400 * 1_000;

    /// Makes a store on your connection, whose keys begin with `countersign:`.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: "countersign:".into(),
            scripts: Arc::new(Scripts::new()),
            is_permitted: Arc::default(),
        }
    }

    /// Sets the prefix of the keys. Give each service and environment its own prefix: services that share one in the
    /// same database acknowledge each other's events.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        // A user's rights may depend on the prefix.
        self.is_permitted = Arc::default();
        self
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn millis(time: Duration) -> u64 {
        // Rounded up, so that a short time does not become zero.
        let millis = time.as_nanos().div_ceil(1_000_000);
        u64::try_from(millis).unwrap_or(u64::MAX).min(Self::MAX_MILLIS)
    }

    /// Checks, once, that a user who may claim may also complete: otherwise each retry would run the handler
    /// again. The claim checks the right to `SET`, because a full server would refuse it here.
    async fn probe(&self) -> Result<(), RedisStoreError> {
        if self.is_permitted.load(Ordering::Relaxed) {
            return Ok(());
        }
        // This is not a delivery's key: those contain a colon.
        let name = self.key("probe");
        let mut connection = self.connection.clone();
        for command in ["GET", "PTTL", "DEL"] {
            redis::cmd(command).arg(&name).exec_async(&mut connection).await?;
        }
        let write = &self.scripts.write;
        let args: [&[u8]; 2] = [b"probe", b""];
        write.by_code(&name, &args).exec_async(&mut connection).await?;
        write.by_hash(&name, &args).exec_async(&mut connection).await?;
        self.is_permitted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes to the lease's key, if the key still has the lease's token.
    async fn write(&self, call: &str, lease: &Lease, millis: u64) -> Result<LeaseStatus, RedisStoreError> {
        let name = self.key(lease.key().as_str());
        let millis = millis.to_string();
        let args: [&[u8]; 3] = [call.as_bytes(), lease.token(), millis.as_bytes()];
        let applied: bool = self.scripts.write.run(self.connection.clone(), &name, &args).await?;
        Ok(LeaseStatus::applied_if(applied))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> IdempotencyStore for RedisStore<C> {
    type Error = RedisStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, RedisStoreError> {
        check_lease_duration(lease_duration)?;
        self.probe().await?;
        let token = random_token()?;
        let name = self.key(key.as_str());
        let linger = Self::millis(Self::LINGER);
        let millis = Self::millis(lease_duration) + linger;
        let mut connection = self.connection.clone();
        // One command: a cluster that moves the key's slot could run only the first one of a pipeline.
        let before: RedisResult<Option<Vec<u8>>> = redis::cmd("SET")
            .arg(&name)
            .arg([&b"P"[..], &token].concat())
            .arg(&["NX", "GET", "PX"])
            .arg(millis)
            .query_async(&mut connection)
            .await;
        let acquired = || Claim::Acquired(Lease::new(key.clone(), token));
        match before {
            Ok(None) => return Ok(acquired()),
            // Claimed by another claim, or by this one, if the client has sent it twice.
            Ok(Some(_)) => {}
            // A full server refuses the command even if the key is there.
            Err(error) if error.code() == Some("OOM") => {}
            Err(error) => return Err(error.into()),
        }
        let (millis, linger) = (millis.to_string(), linger.to_string());
        let args: [&[u8]; 3] = [&token, millis.as_bytes(), linger.as_bytes()];
        let left: i64 = self.scripts.claim.run(connection, &name, &args).await?;
        Ok(match u64::try_from(left) {
            Err(_) => Claim::Done,
            Ok(0) => acquired(),
            Ok(left) => Claim::InFlight { retry_after: Duration::from_millis(left) },
        })
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, RedisStoreError> {
        check_retention(retention)?;
        self.write("complete", lease, Self::millis(retention)).await
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, RedisStoreError> {
        self.write("release", lease, 0).await
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, RedisStoreError> {
        check_lease_duration(lease_duration)?;
        self.write("renew", lease, Self::millis(lease_duration) + Self::millis(Self::LINGER)).await
    }

    async fn forget(&self, key: &str) -> Result<bool, RedisStoreError> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("DEL").arg(self.key(key)).query_async(&mut connection).await?)
    }
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
