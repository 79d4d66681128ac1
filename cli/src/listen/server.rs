//! Accepts connections, up to a limit, and closes silent ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The most connections. Others wait to be accepted.
const CONNECTIONS: usize = 512;
/// How long a connection may take to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long requests in flight may take after the program was told to end.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// Serves until `ended`.
pub(super) async fn serve(listener: TcpListener, router: Router, ended: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = GracefulShutdown::new();
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                // An error such as too many open files may pass.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Without this, an answer waits for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let router = router.clone().layer(Extension(ConnectInfo::<SocketAddr>(peer)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // An error here only ends this connection.
                let _ = connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = ended => {}
    }
    drop(listener);
    let _ = tokio::time::timeout(IN_FLIGHT, connections.shutdown()).await;
}
