//! The requests: Quote3D's documented payload, each of a job of its own.

use compare::case::DOCUMENTED;
use compare::services::{Mix, SECRET};
use countersign::{Secret, Signature};

/// A request, and the answer and the effect that it must have.
pub struct Delivery {
    pub request: Vec<u8>,
    pub status: u16,
    /// Whether it is the first of its event, and not forged.
    pub is_new: bool,
}

/// The jobs of forged deliveries begin here, where those of others do not come.
const FORGED: u64 = 100_000_000_000_000;

/// How far back an event may be that is repeated.
const BACK: u64 = 10_000;

/// Makes so many deliveries for a service that has accepted `known` jobs. Repeated ones are of these, whose
/// deliveries have all been answered.
pub fn make(mix: Mix, count: usize, known: u64) -> Vec<Delivery> {
    let secret = Secret::new(SECRET).unwrap();
    let documented = std::str::from_utf8(DOCUMENTED).unwrap();
    let mut next = known;
    let delivery = |n: usize| {
        // A hundred in a row hold each number below a hundred once.
        let place = n * 37 % 100;
        let is_forged = place < mix.forged;
        let is_new = !is_forged && (place >= mix.forged + mix.repeated || known == 0);
        let job = if is_forged {
            FORGED + n as u64
        } else if is_new {
            next += 1;
            next - 1
        } else {
            known - 1 - (n as u64 * 7_919) % known.min(BACK)
        };
        let body = documented.replace("01HXYZ123456789", &format!("{job:015}"));
        let signed = if is_forged { "another body" } else { &body };
        let signature = Signature::sign(&secret, signed.as_bytes());
        let request = format!(
            "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Webhook-Event: quote.completed\r\nX-Webhook-Signature: {signature}\r\n\r\n{body}",
            body.len()
        );
        Delivery { request: request.into_bytes(), status: if is_forged { 401 } else { 200 }, is_new }
    };
    (0..count).map(delivery).collect()
}
