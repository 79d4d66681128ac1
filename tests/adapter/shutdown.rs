//! A server that is told to end answers the streams that are open, over HTTP/2, and opens no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign::provider::NowToPrint;
use countersign::tower::{Endpoint, Verified};
use countersign::{Error, MemoryStore, Receiver};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::common::{NOWTOPRINT, until, webhook, within_30_s};
use crate::http2::Connection;
use crate::rules::{SIGNATURE, sign};

const OTHER: &str = r#"{"event":"quote.updated","id":"evt_other","data":{}}"#;

/// What a server needs whose handler waits for a permit.
struct Waiting {
    receiver: Arc<Receiver<NowToPrint, MemoryStore>>,
    go: Arc<Semaphore>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Waiting {
    async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Arc::new(Receiver::new(webhook(), MemoryStore::new()));
        Self { receiver, go: Arc::new(Semaphore::new(0)), listener, address }
    }
}

macro_rules! endpoint {
    ($waiting:expr) => {{
        let go = Arc::clone(&$waiting.go);
        Endpoint::new(Arc::clone(&$waiting.receiver), move |_: Verified<NowToPrint>| {
            let go = Arc::clone(&go);
            async move {
                go.acquire().await.unwrap().forget();
                Ok::<_, Error>(())
            }
        })
    }};
}

#[tokio::test]
async fn axum_answers_the_streams_that_are_open() {
    let waiting = Waiting::new().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let router = axum::Router::new().route("/", axum::routing::post_service(endpoint!(waiting)));
    let Waiting { receiver, go, listener, address } = waiting;
    let server = axum::serve(listener, router).with_graceful_shutdown(async { stopped.await.unwrap() });
    let server = tokio::spawn(async { server.await.unwrap() });
    open_streams_are_answered(&receiver, &go, address, stop, server).await;
}

#[tokio::test]
async fn hyper_answers_the_streams_that_are_open() {
    use hyper::server::conn::http2::Builder;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::graceful::GracefulShutdown;
    use hyper_util::service::TowerToHyperService;

    let waiting = Waiting::new().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let service = TowerToHyperService::new(endpoint!(waiting));
    let Waiting { receiver, go, listener, address } = waiting;
    let server = tokio::spawn(async move {
        let connections = GracefulShutdown::new();
        let accept = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                let _connection = tokio::spawn(connections.watch(connection));
            }
        };
        tokio::select! {
            () = accept => {}
            stopped = stopped => stopped.unwrap(),
        }
        drop(listener);
        connections.shutdown().await;
    });
    open_streams_are_answered(&receiver, &go, address, stop, server).await;
}

async fn open_streams_are_answered(
    receiver: &Receiver<NowToPrint, MemoryStore>,
    go: &Semaphore,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
) {
    let connection = Connection::open(address).await;
    let mut handled = connection.head("/", &[(SIGNATURE, &sign(NOWTOPRINT))]).await.unwrap();
    handled.end(NOWTOPRINT);
    let mut arriving = connection.head("/", &[(SIGNATURE, &sign(OTHER))]).await.unwrap();
    arriving.piece(&OTHER[..20]);
    until("the first event is claimed", || !receiver.store().is_empty()).await;
    stop.send(()).unwrap();
    // The server says so (GOAWAY): what is opened before that counts as open.
    let mut opened = Vec::new();
    let refusal = within_30_s("a stream is refused", async {
        loop {
            match connection.head("/", &[]).await {
                Ok(mut stream) => {
                    stream.end("");
                    opened.push(stream);
                }
                Err(error) => break error,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(refusal.is_go_away() && refusal.is_remote(), "{refusal:?}");
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!server.is_finished());

    arriving.end(&OTHER[20..]);
    until("the second event is claimed", || receiver.store().len() == 2).await;
    go.add_permits(2);
    for stream in [handled, arriving] {
        stream.answer().await.unwrap().is(200, "");
    }
    for stream in opened {
        stream.answer().await.unwrap().is_error(401, "missing_signature");
    }
    within_30_s("the server ends", server).await.unwrap();
    assert_eq!(receiver.store().len(), 2);
}
