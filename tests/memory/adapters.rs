//! What the adapters leave behind: requests with a forged signature that are read to their end, and some that
//! are dropped half way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use countersign::Webhook;
use countersign::provider::ThreeQpr;

use crate::search::Search;

const BODY: &[u8] = include_bytes!("../data/threeqpr_scan_created.json");

/// How a body arrives.
#[derive(Clone, Copy, PartialEq)]
enum Arrival {
    /// Its first piece, and then nothing for ever.
    Broken,
    /// In two pieces, between which nothing has come yet.
    InPieces,
    AtOnce,
}

const ARRIVALS: [Arrival; 3] = [Arrival::Broken, Arrival::InPieces, Arrival::AtOnce];

/// The pieces of a body that are yet to come, and whether it ends after them.
struct Pieces(VecDeque<Option<Bytes>>, bool);

impl Pieces {
    fn new(arrival: Arrival) -> Self {
        let (first, second) = BODY.split_at(7);
        let pieces = match arrival {
            Arrival::Broken => vec![Some(first)],
            Arrival::InPieces => vec![Some(first), None, Some(second)],
            Arrival::AtOnce => vec![Some(BODY)],
        };
        let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from_static));
        Self(pieces.collect(), arrival != Arrival::Broken)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.0.pop_front() {
            Some(Some(piece)) => Poll::Ready(Some(piece)),
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None if self.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Polls a future, on the heap, until it is ready, or twice and no further.
fn run<F: Future>(future: F, arrival: Arrival) -> Option<F::Output> {
    let whole = arrival != Arrival::Broken;
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            assert!(whole);
            return Some(output);
        }
    }
    assert!(!whole);
    None
}

fn header() -> String {
    "sha256=".to_owned() + &"0".repeat(64)
}

pub(crate) fn report(search: &mut Search, new: &dyn Fn() -> Webhook<ThreeQpr>) {
    #[cfg(feature = "tower")]
    tower::report(search, new);
    #[cfg(feature = "actix-web")]
    actix_web::report(search, new);
}

#[cfg(feature = "tower")]
mod tower {
    use std::convert::Infallible;

    use ::tower::{Layer, Service, service_fn};
    use countersign::tower::http_body::{Body, Frame};
    use countersign::tower::{Endpoint, Verified, VerifyLayer};
    use countersign::{Error, MemoryStore, Receiver};
    use http::{Request, Response};

    use super::*;

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.poll(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty() && self.1
        }
    }

    fn request(arrival: Arrival) -> Request<Pieces> {
        Request::post("/").header("x-3qpr-signature", header()).body(Pieces::new(arrival)).unwrap()
    }

    pub(super) fn report(search: &mut Search, new: &dyn Fn() -> Webhook<ThreeQpr>) {
        for arrival in ARRIVALS {
            let handler = async |_: Verified<ThreeQpr>| Ok::<_, Error>(());
            let mut endpoint = Endpoint::new(Receiver::new(new(), MemoryStore::new()), handler);
            let answer = run(endpoint.call(request(arrival)), arrival);
            assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
        }
        search.report("a dropped Endpoint");
        for arrival in ARRIVALS {
            let inner = service_fn(async |_: Request<Verified<ThreeQpr>>| {
                Ok::<_, Infallible>(Response::new(String::new()))
            });
            let mut service = VerifyLayer::new(new()).layer(inner);
            let answer = run(service.call(request(arrival)), arrival);
            assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
        }
        search.report("a dropped VerifyLayer");
        for arrival in ARRIVALS {
            let webhook = new();
            assert!(
                run(webhook.verify_request(request(arrival)), arrival).is_none_or(|result| result.is_err())
            );
        }
        search.report("a dropped verify_request");
        for arrival in ARRIVALS {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let webhook = new();
            runtime.block_on(async {
                let task =
                    tokio::spawn(async move { webhook.verify_request(request(arrival)).await.is_err() });
                if arrival != Arrival::Broken {
                    assert!(task.await.unwrap());
                } else {
                    tokio::task::yield_now().await;
                    task.abort();
                    assert!(task.await.unwrap_err().is_cancelled());
                }
            });
        }
        search.report("a spawned verify_request");
        #[cfg(feature = "axum")]
        {
            use ::axum::body::Body;
            use ::axum::extract::FromRequest;

            for arrival in ARRIVALS {
                let webhook = new();
                let request = request(arrival).map(Body::new);
                let extracted = run(Verified::<ThreeQpr>::from_request(request, &webhook), arrival);
                assert!(extracted.is_none_or(|result| result.is_err()));
            }
            search.report("a dropped extractor of axum");
        }
    }
}

#[cfg(feature = "actix-web")]
mod actix_web {
    use ::actix_web::dev::{Payload, Service};
    use ::actix_web::error::PayloadError;
    use ::actix_web::{App, FromRequest, test, web};
    use countersign::actix_web::{Verified, endpoint, verify_request};
    use countersign::{Error, MemoryStore, Receiver};
    use futures_util::Stream;

    use super::*;

    impl Stream for Pieces {
        type Item = Result<Bytes, PayloadError>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.poll(context).map(|piece| piece.map(Ok))
        }
    }

    fn payload(arrival: Arrival) -> Payload {
        Payload::Stream { payload: Box::pin(Pieces::new(arrival)) }
    }

    fn request() -> test::TestRequest {
        test::TestRequest::post().insert_header(("X-3QPR-Signature", header()))
    }

    pub(super) fn report(search: &mut Search, new: &dyn Fn() -> Webhook<ThreeQpr>) {
        for arrival in ARRIVALS {
            let request = request().app_data(web::Data::new(new())).to_http_request();
            let future = Verified::<ThreeQpr>::from_request(&request, &mut payload(arrival));
            assert!(run(future, arrival).is_none_or(|result| result.is_err()));
        }
        search.report("a dropped extractor of actix-web");
        for arrival in ARRIVALS {
            let receiver = Receiver::new(new(), MemoryStore::new());
            let handler = |_: Verified<ThreeQpr>| async { Ok::<_, Error>(()) };
            let app = std::pin::pin!(test::init_service(App::new().route("/", endpoint(receiver, handler))));
            let Poll::Ready(app) = app.poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
            let (request, _) = request().to_request().replace_payload(payload(arrival));
            let answer = run(app.call(request), arrival);
            assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
        }
        search.report("a dropped endpoint of actix-web");
        for arrival in ARRIVALS {
            let webhook = new();
            let request = request().to_http_request();
            let verified = run(verify_request(&webhook, &request, payload(arrival)), arrival);
            assert!(verified.is_none_or(|result| result.is_err()));
        }
        search.report("a dropped verify_request of actix-web");
    }
}
