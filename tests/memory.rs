//! Nothing of a secret stays in memory once all that held it is dropped.
//!
//! The test reads its own process's memory, all that can be written to: the heap with what was freed,
//! and the stack with what was left behind. It searches for the secret, for the two blocks that
//! HMAC makes of it (the key XOR `0x36` and XOR `0x5c`), and for the two SHA-256 states after those
//! blocks, which a MAC keeps in place of the key, and with which signatures could be made as well.
//!
//! Of these states a copy may be left on the stack, in the frame of whoever moved a MAC or what holds
//! one; Rust has no way to follow it. All else must be gone.
//!
//! A process that knew what it looks for would find it in itself, so a child looks, which is told the
//! patterns under a mask.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;

use countersign::provider::ThreeQpr;
use countersign::{Secret, Secrets, Signature, Verifier, Webhook};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Drawn at random, so that nothing of it is anywhere else.
const SHORT: &str = "m9QxT4vL0cZr8WbKyN2hJ6pE";
/// Over a block, so that HMAC hashes it first.
const LONG: &str = "Vt3Kq8ZyB1nRw6XfC0mHs5JdP9gLu2TaE7oQi4WxYvN8kMbG3rDz1FhS6cUj0ApLeOqT5yRw";

/// What a byte is masked with: where it is stored, and where it is told.
const MASK: u8 = 0xa5;
/// So much of a pattern in one piece is a find. A half of a state, or of a block's used part.
const PIECE: usize = 16;

fn masked(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ MASK).collect()
}

/// The patterns by name.
fn patterns(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut key = secret.as_bytes().to_vec();
    if key.len() > 64 {
        key = Sha256::digest(&key).to_vec();
    }
    let block = |pad: u8| -> [u8; 64] { std::array::from_fn(|at| key.get(at).unwrap_or(&0) ^ pad) };
    let state = |pad: u8| -> Vec<u8> {
        // The initial state is that of FIPS 180-4.
        let mut state = [
            0x6a09_e667_u32,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        compress256(&mut state, &[block(pad)]);
        state.iter().flat_map(|word| word.to_ne_bytes()).collect()
    };
    vec![
        ("secret", secret.as_bytes().to_vec()),
        ("key", key.clone()),
        ("ipad", block(0x36)[..key.len()].to_vec()),
        ("opad", block(0x5c)[..key.len()].to_vec()),
        ("inner state", state(0x36)),
        ("outer state", state(0x5c)),
    ]
}

/// What a child finds, one line a step: `the step: what was found, …`.
fn found_by_child(secret: &str) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads", "1"]);
    command.env("COUNTERSIGN_SECRET", hex::encode(masked(secret.as_bytes())));
    for (name, pattern) in patterns(secret) {
        command.env(format!("COUNTERSIGN_PATTERN_{name}"), hex::encode(masked(&pattern)));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    output.lines().filter_map(|line| Some(line.split_once("found: ")?.1.to_owned())).collect()
}

#[test]
fn nothing_of_a_secret_is_left_after_its_drop() {
    for secret in [SHORT, LONG] {
        let found = found_by_child(secret);
        println!("{found:#?}");
        let of_features = [
            (cfg!(feature = "diagnose"), 1),
            (cfg!(feature = "tower"), 4),
            (cfg!(feature = "axum"), 1),
            (cfg!(feature = "actix-web"), 3),
        ];
        let steps = of_features.iter().filter(|(enabled, _)| *enabled).map(|(_, steps)| steps).sum::<usize>();
        assert_eq!(found.len(), 15 + steps, "{found:?}");
        for line in &found {
            let (step, what) = line.split_once(": ").unwrap();
            let expected = match step {
                "a live Secret" => "secret",
                "a live ipad block" => "ipad",
                "a live opad block" => "opad",
                "a live Webhook" | "a live Verification" => "inner state, outer state",
                _ => "",
            };
            // A short secret is the key.
            let what: Vec<_> = what.split(", ").filter(|what| *what != "key" || secret == LONG).collect();
            assert_eq!(what.join(", "), expected, "{step}");
        }
    }
}

/// A process of its own that looks for the patterns it is told of. Run without any, it does nothing.
#[test]
fn child() {
    let Ok(secret) = std::env::var("COUNTERSIGN_SECRET") else { return };
    let mut search = Search::new();
    let secret = hex::decode(secret).unwrap();
    // Unmasked where it is then owned, and nowhere else.
    let unmasked =
        |masked: &[u8], pad: u8| -> Vec<u8> { masked.iter().map(|byte| byte ^ MASK ^ pad).collect() };
    let new = || Secret::from_bytes(unmasked(&secret, 0)).unwrap();
    let body = include_bytes!("data/threeqpr_scan_created.json");
    let forged = Signature::parse(format!("sha256={}", "0".repeat(64)).as_bytes()).unwrap();
    let header = "sha256=".to_owned() + &"0".repeat(64);
    let headers = [("x-3qpr-signature", &header)];

    search.report("nothing yet");
    {
        let secret = new();
        search.report("a live Secret");
        drop(secret.clone());
    }
    search.report("a dropped Secret");
    for (step, pad) in [("a live ipad block", 0x36), ("a live opad block", 0x5c)] {
        let mut block = unmasked(&search.patterns[1].1, pad);
        search.report(step);
        black_box(&mut block).fill(0);
    }
    drop(Secrets::new(new()).with_older(new()).unwrap().clone());
    search.report("dropped Secrets");
    let padded: Vec<u8> = secret.iter().map(|byte| byte ^ MASK).chain([b' ']).collect();
    // Each refused at a later check than the one before.
    assert!(Secret::new(String::from_utf8(padded).unwrap()).is_err());
    for around in [b"\"\"", b"<>"] {
        let text: Vec<u8> =
            [around[0]].into_iter().chain(secret.iter().map(|byte| byte ^ MASK)).chain([around[1]]).collect();
        assert!(Secret::new(String::from_utf8(text).unwrap()).is_err());
    }
    search.report("a refused value");
    black_box(Signature::sign(&new(), body));
    search.report("a signature made");
    {
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap());
        search.report("a live Webhook");
        assert!(webhook.verify(&headers, body).is_err());
    }
    search.report("a dropped Webhook");
    drop(Verifier::new(new()));
    search.report("a dropped Verifier");
    {
        let mut verification = Verifier::new(new()).begin(forged);
        verification.update(&body[..7]);
        search.report("a live Verification");
    }
    let mut verification = Verifier::new(new()).begin(forged);
    verification.update(body);
    assert!(verification.finish().is_err());
    search.report("a dropped Verification");
    for end in [7, body.len()] {
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap());
        let mut partial = webhook.begin(&headers).unwrap();
        partial.update(&body[..end]).unwrap();
        if end == body.len() {
            assert!(partial.finish().is_err());
        }
    }
    search.report("a dropped PartialDelivery");
    for end in [7, body.len()] {
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap());
        // From one place on the heap to another, as in futures and collections.
        let boxed = black_box(Box::new(webhook.begin(&headers).unwrap()));
        let mut moved = black_box(vec![*boxed]);
        moved[0].update(&body[..end]).unwrap();
        let again = black_box(Box::new(moved.remove(0)));
        if end == body.len() {
            assert!(again.finish().is_err());
        }
    }
    search.report("a dropped PartialDelivery that was moved");
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    adapters::report(&mut search, &|| {
        Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap())
    });
    #[cfg(feature = "diagnose")]
    {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        use countersign::diagnose::Diagnoser;
        // Of a length that the allocator gives to nothing else here, and with the secret within, since it writes
        // to the ends of what was freed: what is not wiped is not overwritten by chance.
        let written = |as_text: fn(&[u8]) -> String| {
            let mut plain = vec![b'-'; 520];
            for (byte, masked) in plain[40..].iter_mut().zip(&secret) {
                *byte = masked ^ MASK;
            }
            let text = as_text(&plain);
            black_box(&mut plain).fill(0);
            Secret::from_bytes(text).unwrap()
        };
        // Of which two are the secret once something is undone.
        let as_it_is = |plain: &[u8]| String::from_utf8(plain.to_vec()).unwrap();
        let secrets =
            [written(as_it_is), written(|plain| hex::encode(plain)), written(|plain| STANDARD.encode(plain))];
        let diagnoser = Diagnoser::<ThreeQpr>::new(Secrets::try_from(Vec::from(secrets)).unwrap())
            .with_other("other", new());
        let diagnosis = diagnoser.diagnose([("x-3qpr-signature", header.as_bytes())], b"");
        assert_eq!(diagnosis.code(), "no_known_cause");
        drop(diagnoser);
        search.report("a dropped Diagnoser");
    }
}

/// The masked patterns, and what memory is read into.
struct Search {
    patterns: Vec<(&'static str, Vec<u8>)>,
    page: Vec<u8>,
    /// Has its room from the start: a new one would lie where something was freed, and overwrite it.
    maps: String,
}

impl Search {
    fn new() -> Self {
        let names = ["secret", "key", "ipad", "opad", "inner state", "outer state"];
        let pattern =
            |name| hex::decode(std::env::var(format!("COUNTERSIGN_PATTERN_{name}")).unwrap()).unwrap();
        Self {
            patterns: names.map(|name| (name, pattern(name))).into(),
            page: vec![0; 1 << 16],
            maps: String::with_capacity(1 << 16),
        }
    }

    /// Prints what is found of the patterns, but for states on the stack.
    #[inline(never)]
    fn report(&mut self, step: &str) {
        let local = 0_u8;
        let stack = (&raw const local).addr() as u64;
        let mut found = BTreeSet::new();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let mut maps = std::mem::take(&mut self.maps);
        maps.clear();
        File::open("/proc/self/maps").unwrap().read_to_string(&mut maps).unwrap();
        for map in maps.lines() {
            let (range, access) = map.split_once(' ').unwrap();
            if !access.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            let is_stack = (start..end).contains(&stack);
            let mut at = start;
            while at < end {
                let length = self.page.len().min((end - at) as usize);
                memory.seek(SeekFrom::Start(at)).unwrap();
                if memory.read_exact(&mut self.page[..length]).is_err() {
                    break;
                }
                self.search(length, |pattern| {
                    if !(is_stack && self.patterns[pattern].0.ends_with("state")) {
                        found.insert(pattern);
                    }
                });
                // A piece may lie across the end.
                at += if at + length as u64 == end { length } else { length - PIECE } as u64;
            }
        }
        self.maps = maps;
        // What was read is a copy of it.
        black_box(&mut self.page).fill(0);
        let names: Vec<_> = found.iter().map(|pattern| self.patterns[*pattern].0).collect();
        println!("found: {step}: {}", names.join(", "));
    }

    /// Says which patterns the page holds, of which it is enough to hold the first or the last piece.
    fn search(&self, length: usize, mut found: impl FnMut(usize)) {
        let mut firsts = [false; 256];
        let mut pieces = Vec::new();
        for (at, (_, pattern)) in self.patterns.iter().enumerate() {
            for piece in [&pattern[..PIECE], &pattern[pattern.len() - PIECE..]] {
                firsts[usize::from(piece[0] ^ MASK)] = true;
                pieces.push((at, piece));
            }
        }
        for window in self.page[..length].windows(PIECE) {
            if firsts[usize::from(window[0])] {
                let is = |piece: &[u8]| window.iter().zip(piece).all(|(byte, masked)| *byte == masked ^ MASK);
                pieces.iter().filter(|(_, piece)| is(piece)).for_each(|(at, _)| found(*at));
            }
        }
    }
}

/// What the adapters leave behind: requests with a forged signature that are read to their end, and some that
/// are dropped half way.
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod adapters {
    use std::collections::VecDeque;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::*;

    const BODY: &[u8] = include_bytes!("data/threeqpr_scan_created.json");

    /// Pieces of a body, between which nothing has come yet. Where there is no second, it never ends.
    struct Pieces(VecDeque<Option<Bytes>>, bool);

    impl Pieces {
        fn new(whole: bool) -> Self {
            let (first, second) = BODY.split_at(7);
            let pieces = [Some(first), None, Some(second)].into_iter().take(if whole { 3 } else { 1 });
            Self(pieces.map(|piece| piece.map(Bytes::from_static)).collect(), whole)
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
    fn run<F: Future>(future: F, whole: bool) -> Option<F::Output> {
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
        }

        fn request(whole: bool) -> Request<Pieces> {
            Request::post("/").header("x-3qpr-signature", header()).body(Pieces::new(whole)).unwrap()
        }

        pub(super) fn report(search: &mut Search, new: &dyn Fn() -> Webhook<ThreeQpr>) {
            for whole in [false, true] {
                let handler = async |_: Verified<ThreeQpr>| Ok::<_, Error>(());
                let mut endpoint = Endpoint::new(Receiver::new(new(), MemoryStore::new()), handler);
                let answer = run(endpoint.call(request(whole)), whole);
                assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
            }
            search.report("a dropped Endpoint");
            for whole in [false, true] {
                let inner = service_fn(async |_: Request<Verified<ThreeQpr>>| {
                    Ok::<_, Infallible>(Response::new(String::new()))
                });
                let mut service = VerifyLayer::new(new()).layer(inner);
                let answer = run(service.call(request(whole)), whole);
                assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
            }
            search.report("a dropped VerifyLayer");
            for whole in [false, true] {
                let webhook = new();
                assert!(
                    run(webhook.verify_request(request(whole)), whole).is_none_or(|result| result.is_err())
                );
            }
            search.report("a dropped verify_request");
            for whole in [false, true] {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let webhook = new();
                runtime.block_on(async {
                    let task =
                        tokio::spawn(async move { webhook.verify_request(request(whole)).await.is_err() });
                    if whole {
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

                for whole in [false, true] {
                    let webhook = new();
                    let request = request(whole).map(Body::new);
                    let extracted = run(Verified::<ThreeQpr>::from_request(request, &webhook), whole);
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

        fn payload(whole: bool) -> Payload {
            Payload::Stream { payload: Box::pin(Pieces::new(whole)) }
        }

        fn request() -> test::TestRequest {
            test::TestRequest::post().insert_header(("X-3QPR-Signature", header()))
        }

        pub(super) fn report(search: &mut Search, new: &dyn Fn() -> Webhook<ThreeQpr>) {
            for whole in [false, true] {
                let request = request().app_data(web::Data::new(new())).to_http_request();
                let future = Verified::<ThreeQpr>::from_request(&request, &mut payload(whole));
                assert!(run(future, whole).is_none_or(|result| result.is_err()));
            }
            search.report("a dropped extractor of actix-web");
            for whole in [false, true] {
                let receiver = Receiver::new(new(), MemoryStore::new());
                let handler = |_: Verified<ThreeQpr>| async { Ok::<_, Error>(()) };
                let app = pin!(test::init_service(App::new().route("/", endpoint(receiver, handler))));
                let Poll::Ready(app) = app.poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
                let (request, _) = request().to_request().replace_payload(payload(whole));
                let answer = run(app.call(request), whole);
                assert!(answer.is_none_or(|answer| answer.unwrap().status() == 401));
            }
            search.report("a dropped endpoint of actix-web");
            for whole in [false, true] {
                let webhook = new();
                let request = request().to_http_request();
                let verified = run(verify_request(&webhook, &request, payload(whole)), whole);
                assert!(verified.is_none_or(|result| result.is_err()));
            }
            search.report("a dropped verify_request of actix-web");
        }
    }
}
