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

#[cfg(any(feature = "tower", feature = "actix-web"))]
mod adapters;
mod search;

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{DeclaredProvider, ThreeQpr};
use countersign::{Secret, Secrets, Signature, Verifier, Webhook};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use crate::search::{MASK, Search};

/// Drawn at random, so that nothing of it is anywhere else.
const SHORT: &str = "m9QxT4vL0cZr8WbKyN2hJ6pE";
/// Over a block, so that HMAC hashes it first.
const LONG: &str = "Vt3Kq8ZyB1nRw6XfC0mHs5JdP9gLu2TaE7oQi4WxYvN8kMbG3rDz1FhS6cUj0ApLeOqT5yRw";

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

/// What AWS-LC is to believe that the CPU lacks: nothing, the SHA extensions, AVX2 as well. It hashes in another way
/// each time, with a stack of another size.
#[cfg(feature = "aws-lc-rs")]
const LACKS: &[Option<&str>] = &[None, Some(":~0x20000000"), Some(":~0x20000020")];
#[cfg(not(feature = "aws-lc-rs"))]
const LACKS: &[Option<&str>] = &[None];

/// What a child finds, one line a step: `the step: what was found, …`.
fn found_by_child(secret: &str, lacks: Option<&str>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.envs(lacks.map(|lacks| ("OPENSSL_ia32cap", lacks)));
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
    for (secret, lacks) in
        [SHORT, LONG].into_iter().flat_map(|secret| LACKS.iter().map(move |lacks| (secret, *lacks)))
    {
        let found = found_by_child(secret, lacks);
        println!("{found:#?}");
        let of_features = [
            (cfg!(feature = "diagnose"), 1),
            (cfg!(feature = "tower"), 4),
            (cfg!(feature = "axum"), 1),
            (cfg!(feature = "actix-web"), 3),
        ];
        let steps = of_features.iter().filter(|(enabled, _)| *enabled).map(|(_, steps)| steps).sum::<usize>();
        assert_eq!(found.len(), 16 + steps, "{found:?}");
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

/// Moves what lies below on the stack to the heap, as a future that is boxed carries its unused room.
#[inline(never)]
fn from_stack_to_heap() -> Box<[MaybeUninit<u8>; 4096]> {
    let mut below = [MaybeUninit::uninit(); 4096];
    black_box(&mut below);
    black_box(Box::new(below))
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
    let body = include_bytes!("../data/threeqpr_scan_created.json");
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
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap()).unwrap();
        search.report("a live Webhook");
        assert!(webhook.verify(&headers, body).is_err());
        drop(from_stack_to_heap());
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
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap()).unwrap();
        let mut partial = webhook.begin(&headers).unwrap();
        drop(from_stack_to_heap());
        partial.update(&body[..end]).unwrap();
        if end == body.len() {
            assert!(partial.finish().is_err());
        }
        drop(from_stack_to_heap());
    }
    search.report("a dropped PartialDelivery");
    for end in [7, body.len()] {
        let webhook = Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap()).unwrap();
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
    for algorithm in ["hmac-sha256", "hmac-sha1", "hmac-sha512"] {
        let encodings: [(&str, fn(&[u8]) -> String); 2] =
            [("hex", |key| hex::encode(key)), ("base64", |key| STANDARD.encode(key))];
        for (encoding, spelt) in encodings {
            let mut key = unmasked(&secret, 0);
            let text = spelt(&key);
            black_box(&mut key).fill(0);
            let json = format!(
                r#"{{"name":"a","algorithm":"{algorithm}","secret":"{encoding}","signature":{{"header":"x-s"}}}}"#
            );
            let provider: DeclaredProvider = serde_json::from_str(&json).unwrap();
            let webhook = Webhook::for_provider(provider, Secret::new(text).unwrap()).unwrap();
            let headers = webhook.signed_headers(b"another body");
            assert_eq!(webhook.verify(&headers, body).unwrap_err().code(), "signature_mismatch");
            let mut partial = webhook.begin(&headers).unwrap();
            drop(from_stack_to_heap());
            partial.update(body).unwrap();
            assert!(partial.finish().is_err());
            drop(from_stack_to_heap());
        }
    }
    search.report("a dropped Webhook of a decoded secret");
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    adapters::report(&mut search, &|| {
        Webhook::<ThreeQpr>::new(Secrets::new(new()).with_older(new()).unwrap()).unwrap()
    });
    #[cfg(feature = "diagnose")]
    {
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
            .unwrap()
            .with_other("other", new());
        let diagnosis = diagnoser.diagnose([("x-3qpr-signature", header.as_bytes())], b"");
        assert_eq!(diagnosis.code(), "no_known_cause");
        drop(diagnoser);
        search.report("a dropped Diagnoser");
    }
}
