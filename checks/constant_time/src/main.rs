//! Whether what `verify` does depends on a secret, other than by its verdict.
//!
//! ```text
//! $ RUSTFLAGS='--cfg countersign_memcheck' cargo run --release --locked --package constant_time \
//!     --config checks/constant_time/judged.toml
//! ```
//!
//! and, for the other backend of the MAC, with `--features aws-lc-rs`. Without `--config`, all crates are optimised, which takes
//! twice as long to compile.
//!
//! It runs itself under valgrind's memcheck, which follows every bit that was derived from undefined
//! memory, and reports each branch and each index that depends on one. The secrets are marked
//! undefined, so what it reports is what a clock could tell of them, of the keyed MACs and of the
//! computed tags. There must be no report; and for each of the comparisons that do leak there must
//! be some, or the check itself is broken.
//!
//! `Secret` looks at what it is made of, once and at start-up: it is marked afterwards.
//! The verdict is the sender's to know: `KeyedSecret::is_matched`, where it falls, hands it to [`make_public`].
//!
//! Valgrind has no SHA instructions, so what runs here is `sha2`'s portable code, or AWS-LC's assembly for
//! other extensions, and not the one for processors that have them, whose time does not depend on data.

#[cfg(not(countersign_memcheck))]
compile_error!("build it with RUSTFLAGS='--cfg countersign_memcheck', so that verdicts are made public");
#[cfg(not(target_arch = "x86_64"))]
compile_error!("it knows how to talk to valgrind on x86_64 only");

mod schemes;
mod valgrind;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use countersign::provider::{Quote3d, ThreeQpr};
use countersign::{Secret, Secrets, Signature, Verifier, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use valgrind::{make_public, make_secret, reports};

const NEWEST: &str = "whsec_the-newest-secret-of-2026";
const OLDER: &str = "whsec_the-older-secret-of-2025";
/// Over a SHA-256 block, so that it is hashed before it is a key.
const LONG: &str = "whsec_a-secret-of-more-than-sixty-four-bytes-which-hmac-hashes-before-it-is-a-key";

/// Asks for the comparisons that leak.
const CONTROLS: &str = "controls";

const BODY: &[u8] = br#"{"event":"scan.created","id":"evt_1","timestamp":null,"data":{"id":"scan_1"}}"#;

/// A secret that memcheck follows from here on.
fn followed(value: &str) -> Secret {
    let bytes = value.as_bytes().to_vec();
    let (address, length) = (bytes.as_ptr() as u64, bytes.len());
    // It takes the buffer over without a copy; that it did is what the controls show.
    let secret = Secret::from_bytes(bytes).expect("a valid secret");
    make_secret(address, length);
    secret
}

fn rotating() -> Secrets {
    Secrets::new(followed(NEWEST)).with_older(followed(OLDER)).expect("two are not too many")
}

/// The right tag under a secret that nobody follows, so that nothing in it is secret.
fn right_tag(secret: &str) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("a key of any length")
        .chain_update(BODY)
        .finalize()
        .into_bytes()
        .into()
}

/// The right tag with so many right bytes at its start, and the others wrong.
fn with_right_bytes(secret: &str, right: usize) -> [u8; 32] {
    let mut tag = right_tag(secret);
    tag[right..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    tag
}

fn header(tag: [u8; 32]) -> String {
    let digits: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// What a comparison that leaks is tried on: a tag that memcheck follows, and one that is right but
/// for its last byte.
fn followed_tag() -> ([u8; 32], [u8; 32]) {
    let mut key = NEWEST.as_bytes().to_vec();
    make_secret(key.as_mut_ptr() as u64, key.len());
    let tag =
        Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length").chain_update(BODY).finalize();
    (black_box(tag.into_bytes().into()), black_box(with_right_bytes(NEWEST, 31)))
}

#[derive(Default)]
struct Check {
    failures: u32,
}

impl Check {
    fn run(&mut self, name: &str, is_right: impl Fn(u64) -> bool, case: impl FnOnce()) {
        let before = reports();
        case();
        let found = reports() - before;
        let verdict = if is_right(found) { "ok" } else { "FAILED" };
        println!("{verdict:6} {found:3} reports: {name}");
        self.failures += u32::from(!is_right(found));
    }

    /// Nothing may depend on a secret. The case says whether the delivery was accepted.
    fn silent(&mut self, name: &str, accepted: bool, case: impl FnOnce() -> bool) {
        self.run(name, |found| found == 0, || assert_eq!(case(), accepted, "{name}: the verdict"));
    }

    /// Something has to be reported.
    fn control(&mut self, name: &str, case: impl FnOnce()) {
        self.run(name, |found| found > 0, case);
    }
}

fn main() -> ExitCode {
    if !valgrind::is_running() {
        // What is reported of the library is shown; what is reported of the controls is counted.
        let is_right = under_valgrind(&[], &[]) & under_valgrind(&["--log-file=/dev/null"], &[CONTROLS]);
        return if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut check = Check::default();
    if std::env::args().nth(1).as_deref() == Some(CONTROLS) {
        controls(&mut check);
    } else {
        assert!(countersign::memcheck::MAKE_PUBLIC.set(make_public).is_ok());
        library(&mut check);
    }
    if check.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this program again, and says whether all went well.
fn under_valgrind(options: &[&str], arguments: &[&str]) -> bool {
    let program = std::env::current_exe().expect("a program knows where it is");
    let mut valgrind = Command::new("valgrind");
    let run = valgrind.args(["-q", "--tool=memcheck"]).args(options).arg(program).args(arguments).status();
    run.expect("valgrind is installed").success()
}

fn library(check: &mut Check) {
    for secret in [NEWEST, LONG] {
        for right in [0, 1, 31, 32] {
            verify_everywhere(check, secret, right);
        }
    }
    rotation(check);
    nobody(check);
    signatures(check);
    schemes::library(check);
}

/// Each way to a verdict, on a tag of which so many bytes are right.
fn verify_everywhere(check: &mut Check, secret: &str, right: usize) {
    let (length, accepted) = (secret.len(), right == 32);
    let about = |way: &str| format!("{way}, a secret of {length} bytes, {right} right bytes");
    let value = header(with_right_bytes(secret, right));
    let signature = Signature::parse(value.as_bytes()).expect("well formed");
    let headers = |name: &'static str| {
        HeaderMap::from_iter([
            (http::HeaderName::from_static(name), HeaderValue::from_str(&value).expect("ASCII")),
            (http::HeaderName::from_static("x-webhook-event"), HeaderValue::from_static("scan.created")),
        ])
    };

    check.silent(&about("Webhook::verify"), accepted, || {
        let webhook = Webhook::<ThreeQpr>::new(followed(secret)).unwrap();
        let delivery = webhook.verify(&headers("x-3qpr-signature"), BODY);
        delivery.is_ok_and(|delivery| delivery.id() == Some("evt_1") && delivery.event().is_ok())
    });
    check.silent(&about("Webhook::verify with an event header"), accepted, || {
        let webhook = Webhook::<Quote3d>::new(followed(secret)).unwrap();
        webhook.verify(&headers("x-webhook-signature"), BODY).is_ok()
    });
    check.silent(&about("Webhook::verify_signature"), accepted, || {
        let webhook = Webhook::<ThreeQpr>::new(followed(secret)).unwrap();
        webhook.verify_signature(&headers("x-3qpr-signature"), BODY).is_ok()
    });
    check.silent(&about("Verifier::verify"), accepted, || {
        Verifier::new(followed(secret)).verify(BODY, &signature).is_ok()
    });
    check.silent(&about("Verification"), accepted, || {
        let mut verification = Verifier::new(followed(secret)).begin(signature);
        BODY.chunks(7).for_each(|piece| verification.update(piece));
        verification.finish().is_ok()
    });
    check.silent(&about("PartialDelivery"), accepted, || {
        let webhook = Webhook::<ThreeQpr>::new(followed(secret)).unwrap();
        let mut incoming = webhook.begin(&headers("x-3qpr-signature")).expect("one signature");
        BODY.chunks(7).for_each(|piece| incoming.update(piece).expect("within the limit"));
        incoming.finish().is_ok()
    });
}

fn rotation(check: &mut Check) {
    for (name, tag, position) in [
        ("the newest of two secrets", right_tag(NEWEST), Some(0)),
        ("the second of two secrets", right_tag(OLDER), Some(1)),
        ("neither of two secrets", with_right_bytes(OLDER, 31), None),
    ] {
        let signature = Signature::parse(header(tag).as_bytes()).expect("well formed");
        check.silent(name, true, || {
            let matched = Verifier::new(rotating()).verify(BODY, &signature);
            matched.ok().map(|matched| matched.position()) == position
        });
        check.silent(&format!("{name}, in pieces"), true, || {
            let mut verification = Verifier::new(rotating()).begin(signature);
            BODY.chunks(64).for_each(|piece| verification.update(piece));
            verification.finish().ok().map(|matched| matched.position()) == position
        });
    }
}

/// They have no secret to follow, and refuse even the tag that the empty key makes.
fn nobody(check: &mut Check) {
    for (name, tag) in [("the empty key's tag", right_tag("")), ("another tag", right_tag(NEWEST))] {
        let signature = Signature::parse(header(tag).as_bytes()).expect("well formed");
        check.silent(&format!("secrets of nobody, {name}"), false, || {
            Verifier::new(Secrets::reject_all()).verify(BODY, &signature).is_ok()
        });
    }
}

fn signatures(check: &mut Check) {
    for right in [0, 1, 31, 32] {
        check.silent(&format!("Signature == Signature, {right} right bytes"), right == 32, || {
            let given =
                Signature::parse(header(with_right_bytes(NEWEST, right)).as_bytes()).expect("well formed");
            make_public(Signature::sign(&followed(NEWEST), BODY) == given)
        });
    }
}

/// What has to be reported.
fn controls(check: &mut Check) {
    check.control("control: `==` on slices", || {
        let (tag, given) = followed_tag();
        black_box(black_box(&tag[..]) == black_box(&given[..]));
    });
    check.control("control: a loop that ends at the first difference", || {
        let (tag, given) = followed_tag();
        black_box(differs_early(&tag, &given));
    });
    check.control("control: hex digits out of a table", || {
        let (tag, _) = followed_tag();
        let digit = |digit: u8| b"0123456789abcdef"[black_box(usize::from(digit))];
        black_box(tag.map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    });
    // Of the library's own: what a followed secret signs is followed, so `followed` works.
    check.control("control: a computed signature is displayed", || {
        black_box(Signature::sign(&followed(NEWEST), BODY).to_string());
    });
    schemes::controls(check);
}

#[inline(never)]
fn differs_early(tag: &[u8], given: &[u8]) -> bool {
    for at in 0..tag.len() {
        if black_box(tag[at]) != given[at] {
            return true;
        }
    }
    false
}
