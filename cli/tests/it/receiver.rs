//! A receiver as the library's users have it, and one that only notes what it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use countersign::axum::Verified;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Error, MemoryStore, Outcome, Provider, Receiver, Secrets, Webhook};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::support::{NOWTOPRINT, PREVIOUS, QUOTE3D, THREEQPR};

fn secrets(newest: &str) -> Secrets {
    let secret = |text: &str| countersign::Secret::new(text).unwrap();
    Secrets::new(secret(newest)).with_older(secret(PREVIOUS)).unwrap()
}

fn endpoint<P: Provider + Default>(secret: &str, turns: &Arc<Semaphore>) -> MethodRouter {
    let receiver =
        Arc::new(Receiver::new(Webhook::<P>::new(secrets(secret)).unwrap(), Arc::new(MemoryStore::new())));
    let turns = Arc::clone(turns);
    let handler = move |State(receiver): State<Arc<Receiver<P, Arc<MemoryStore>>>>,
                        Verified(delivery): Verified<P>| async move {
        let handle = async |delivery: Delivery<'_, P>| {
            delivery.event()?;
            drop(turns.acquire().await.unwrap());
            Ok::<_, Error>(())
        };
        match receiver.handle(delivery, handle).await {
            // What is signed and not as documented is the sender's, not the handler's.
            Outcome::Failed(error) => match error.downcast::<Error>() {
                Ok(error) => Outcome::Rejected(*error),
                Err(error) => Outcome::Failed(error),
            },
            outcome => outcome,
        }
    };
    post(handler).with_state(receiver)
}

fn serve(router: Router) -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    receiver.recv().unwrap()
}

/// A receiver made with the library.
pub(crate) fn genuine() -> SocketAddr {
    genuine_in_turn(&Arc::new(Semaphore::new(1)))
}

/// A receiver made with the library, whose handler waits for its turn.
pub(crate) fn genuine_in_turn(turns: &Arc<Semaphore>) -> SocketAddr {
    serve(
        Router::new()
            .route("/webhooks/quote3d", endpoint::<Quote3d>(QUOTE3D, turns))
            .route("/webhooks/nowtoprint", endpoint::<NowToPrint>(NOWTOPRINT, turns))
            .route("/webhooks/3qpr", endpoint::<ThreeQpr>(THREEQPR, turns)),
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Answers = Arc<dyn Fn(usize) -> Response + Send + Sync>;

/// Notes all that it gets, and gives the first, second … request these answers.
#[derive(Clone)]
pub(crate) struct Notes {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Answers,
}

impl Notes {
    pub(crate) fn start<R: IntoResponse>(
        answer: impl Fn(usize) -> R + Send + Sync + 'static,
    ) -> (Self, SocketAddr) {
        let answers: Answers = Arc::new(move |count| answer(count).into_response());
        let notes = Self { got: Arc::default(), answers };
        let router = Router::new().fallback(note).with_state(notes.clone());
        (notes, serve(router))
    }

    /// Answers every request with this status.
    pub(crate) fn answering(status: u16) -> (Self, SocketAddr) {
        Self::start(move |_| StatusCode::from_u16(status).unwrap())
    }

    /// Answers every request with this status and text.
    pub(crate) fn saying(status: u16, text: &'static str) -> (Self, SocketAddr) {
        Self::start(move |_| (StatusCode::from_u16(status).unwrap(), text))
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn note(State(notes): State<Notes>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let count = {
        let mut got = notes.got.lock().unwrap();
        got.push(Got { uri: uri.to_string(), headers, body });
        got.len()
    };
    (notes.answers)(count)
}
