//! A webhook on threads, without an async runtime.
//!
//! Put its server, `tiny_http` 0.12, behind a proxy that collects each request and limits its length, as nginx does
//! by default. Alone, the server waits for a slow sender without end, and when it drops an unread body it allocates
//! memory for the whole announced length, so that one request can end the process.
//!
//! ```text
//! export QUOTE3D_WEBHOOK_SECRET=whsec_only-to-try-this
//! cargo run --example sync
//! ```
//!
//! In another terminal, with the secret as above:
//!
//! ```text
//! body=tests/data/quote3d_quote_completed.json
//! signature=$(openssl dgst -sha256 -hmac "$QUOTE3D_WEBHOOK_SECRET" -r < $body | cut -d ' ' -f 1)
//! curl -i http://127.0.0.1:3000/webhooks/quote3d --data-binary @$body \
//!     -H "X-Webhook-Event: quote.completed" -H "X-Webhook-Signature: sha256=$signature"
//! ```

use std::{io, thread};

use countersign::provider::{Quote3d, quote3d};
use countersign::{Delivery, Error, MemoryStore, Outcome, Receiver, Secrets, Webhook};
use tiny_http::{Header, Method, Request, Response, Server};

mod report;
use report::Report;

fn handle(delivery: &Delivery<'_, Quote3d>) -> Result<(), Error> {
    match delivery.event()? {
        quote3d::Event::QuoteCompleted(quote) => {
            println!("{:?} costs {}", quote.quote_id, quote.result.total_price); // enqueue it here
        }
        other => println!("not ours: {:?}", other.name()),
    }
    Ok(())
}

/// Verifies a request while its body is read.
fn verify(webhook: &Webhook<Quote3d>, request: &mut Request) -> Result<Delivery<'static, Quote3d>, Error> {
    let pair = |header: &Header| (header.field.as_str().to_string(), header.value.to_string());
    let headers: Vec<_> = request.headers().iter().map(pair).collect();
    let mut partial = webhook.begin(&headers)?;
    let mut piece = [0; 8 * 1024];
    loop {
        match request.as_reader().read(&mut piece).map_err(Error::incomplete_body)? {
            0 => return partial.finish(),
            length => partial.update(&piece[..length])?,
        }
    }
}

fn receive(receiver: &Receiver<Quote3d, MemoryStore>, request: &mut Request) -> Outcome {
    let delivery = match verify(receiver.webhook(), request) {
        Ok(delivery) => delivery,
        Err(error) => return Outcome::Rejected(error),
    };
    // A store's calls are futures, because a store may wait. On a thread, `block_on` is enough of a runtime.
    // With a synchronous database, insert `delivery.idempotency_key()` in the effect's transaction.
    pollster::block_on(receiver.handle(delivery, async |delivery| handle(&delivery)))
}

fn respond(request: Request, outcome: &Outcome) -> io::Result<()> {
    let answer = outcome.to_response::<String>();
    let mut response =
        Response::from_data(answer.body().as_bytes()).with_status_code(answer.status().as_u16());
    for (name, value) in answer.headers() {
        response.add_header(Header::from_bytes(name.as_str(), value.as_bytes()).expect("a header of ASCII"));
    }
    request.respond(response)
}

fn main() -> Result<(), Report> {
    let webhook = Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)?;
    let receiver = Receiver::new(webhook, MemoryStore::new());
    let server = Server::http(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:3000"))?;
    println!("listening on http://{}", server.server_addr());
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for mut request in server.incoming_requests() {
                    let responded = match (request.method(), request.url()) {
                        (Method::Post, "/webhooks/quote3d") => {
                            let outcome = receive(&receiver, &mut request);
                            respond(request, &outcome)
                        }
                        _ => request.respond(Response::empty(404)),
                    };
                    if let Err(error) = responded {
                        eprintln!("{error}");
                    }
                }
            });
        }
    });
    Ok(())
}
