//! Documentation that is tested and not shown.

/// The README's code compiles, and runs where it can.
#[cfg(feature = "axum")]
#[doc = include_str!("../README.md")]
struct Readme;

/// Bytes from the wire become a delivery, an event or a key only by verifying. These must not compile:
///
/// ```compile_fail,E0451
/// # use countersign::{Delivery, provider::Quote3d};
/// fn forge(real: Delivery<'_, Quote3d>) -> Delivery<'_, Quote3d> {
///     Delivery { ..real }
/// }
/// ```
/// ```compile_fail,E0624
/// # use countersign::{Delivery, provider::Quote3d};
/// let delivery = Delivery::<'_, Quote3d>::new(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData::new("quote.failed", "{}"));
/// ```
/// ```compile_fail,E0451
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData { name: "quote.failed", text: "{}" });
/// ```
/// ```compile_fail,E0599
/// # use countersign::{Secret, Webhook, provider::Quote3d};
/// # let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard").unwrap())?;
/// let event = webhook.event(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey::new("quote3d", None, b"{}");
/// ```
/// ```compile_fail,E0423
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey("quote3d:sha256:".into());
/// ```
/// ```compile_fail,E0277
/// # use countersign::IdempotencyKey;
/// let key: IdempotencyKey = "quote3d:sha256:".parse().unwrap();
/// ```
struct OnlyByVerifying;

/// What the one-commit form refuses at compile time. A handler whose future is `Send` compiles:
///
/// ```
/// # use countersign::{Delivery, Outcome, Receiver, provider::Quote3d};
/// # use countersign_sqlx::{SqlStoreError, SqliteStore};
/// async fn receive(receiver: &Receiver<Quote3d, SqliteStore>, delivery: Delivery<'_, Quote3d>) -> Outcome {
///     let handler = async |_, transaction| {
///         let text = std::sync::Arc::new("");
///         std::future::ready(()).await;
///         drop(text);
///         Ok::<_, SqlStoreError>(transaction)
///     };
///     receiver.handle_in_transaction(delivery, handler).await
/// }
/// ```
/// With an `Rc`, "future cannot be sent between threads safely" names the value and the await:
///
/// ```compile_fail
/// # use countersign::{Delivery, Outcome, Receiver, provider::Quote3d};
/// # use countersign_sqlx::{SqlStoreError, SqliteStore};
/// async fn receive(receiver: &Receiver<Quote3d, SqliteStore>, delivery: Delivery<'_, Quote3d>) -> Outcome {
///     let handler = async |_, transaction| {
///         let text = std::rc::Rc::new("");
///         std::future::ready(()).await;
///         drop(text);
///         Ok::<_, SqlStoreError>(transaction)
///     };
///     receiver.handle_in_transaction(delivery, handler).await
/// }
/// ```
/// A store in memory has no transaction that a handler could share:
///
/// ```compile_fail,E0599
/// # use countersign::{Delivery, MemoryStore, Outcome, Receiver, provider::Quote3d};
/// async fn receive(receiver: &Receiver<Quote3d, MemoryStore>, delivery: Delivery<'_, Quote3d>) -> Outcome {
///     let handler = async |_, transaction| Ok::<_, countersign::Error>(transaction);
///     receiver.handle_in_transaction(delivery, handler).await
/// }
/// ```
/// Nor has Redis:
///
/// ```compile_fail,E0599
/// # use countersign::{Delivery, Outcome, Receiver, provider::Quote3d};
/// # use countersign_redis::RedisStore;
/// async fn receive(receiver: &Receiver<Quote3d, RedisStore>, delivery: Delivery<'_, Quote3d>) -> Outcome {
///     let handler = async |_, transaction| Ok::<_, countersign::Error>(transaction);
///     receiver.handle_in_transaction(delivery, handler).await
/// }
/// ```
/// A handler cannot commit or roll back by itself:
///
/// ```compile_fail,E0599
/// # use countersign_sqlx::SqliteTransaction;
/// async fn handle(transaction: SqliteTransaction) {
///     transaction.commit().await;
/// }
/// ```
/// ```compile_fail,E0599
/// # use countersign_sqlx::PostgresTransaction;
/// async fn handle(transaction: PostgresTransaction) {
///     transaction.rollback().await;
/// }
/// ```
struct OneCommit;
