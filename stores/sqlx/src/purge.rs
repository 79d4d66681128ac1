//! The purge that runs again and again.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use crate::claim::random_token;
use crate::error::SqlStoreError;

/// Purges once per `interval`, without end. The first purge comes after a random part of the interval or of a minute,
/// whichever is shorter.
pub(crate) async fn purge_every<F: Future<Output = Result<u64, SqlStoreError>>>(
    interval: Duration,
    purge: impl Fn() -> F,
    mut on_error: impl FnMut(SqlStoreError),
) -> Infallible {
    let interval = interval.max(Duration::from_secs(1));
    // The whole of it, if there is no random number.
    let part = random_token().map_or(u8::MAX, |token| token[0]);
    let mut pause = interval.min(Duration::from_secs(60)).mul_f64(f64::from(part) / f64::from(u8::MAX));
    loop {
        tokio::time::sleep(pause).await;
        pause = interval;
        if let Err(error) = purge().await {
            on_error(error);
        }
    }
}
