//! What went wrong elsewhere, each as a test that fails where the defence against it is taken away.

use std::error::Error as StdError;

use crate::common::{NEWEST, NOWTOPRINT, OLDER, QUOTE3D, headers, rotating, signed, webhook};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{
    Delivery, Error, MemoryStore, Outcome, Provider, Receiver, Secret, SecretError, Secrets, Signature,
    Verifier, Webhook,
};

const BODY: &[u8] = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;

/// The code of the error, or `accepted`, for the body in one piece and in many.
#[track_caller]
fn told<P: Provider>(webhook: &Webhook<P>, signatures: &[&[u8]], body: &[u8]) -> &'static str {
    let code =
        |result: Result<Delivery<'_, P>, Error>| result.map_or_else(|error| error.code(), |_| "accepted");
    let headers: Vec<_> = signatures.iter().map(|value| (webhook.signature_header(), value)).collect();
    let whole = code(webhook.verify(&headers, body));
    let in_pieces = webhook.begin(&headers).and_then(|mut partial| {
        body.chunks(5).try_for_each(|piece| partial.update(piece))?;
        partial.finish()
    });
    assert_eq!(code(in_pieces), whole);
    whole
}

/// RUSTSEC-2024-0010, svix: tags were compared over the shorter one's length, so that an empty one passed.
#[test]
fn svix_rustsec_2024_0010_no_beginning_of_the_right_signature_is_enough() {
    let webhook = rotating::<ThreeQpr>();
    let right = webhook.sign(BODY).to_string();
    assert_eq!(told(&webhook, &[right.as_bytes()], BODY), "accepted");
    for length in 0..right.len() {
        assert_eq!(told(&webhook, &[&right.as_bytes()[..length]], BODY), "malformed_signature", "{length}");
    }
}

/// CVE-2023-50728, @octokit/webhooks: a bad request crashed the server.
#[tokio::test]
async fn octokit_cve_2023_50728_every_bad_request_has_an_answer() {
    let receiver = Receiver::new(webhook::<Quote3d>(), MemoryStore::new());
    let (signature, event) = ("x-webhook-signature", "x-webhook-event");
    let deep = "[".repeat(100_000);
    let bodies =
        ["", "{", "null", "[]", "{}", "\0", "\u{feff}", r#"{"event":7}"#, r#"{"event":"\ud800"}"#, &deep];
    let of_body = |body: &str| receiver.webhook().sign(body.as_bytes()).to_string();
    for body in bodies.into_iter().chain([QUOTE3D]) {
        let (right, other) = (&*of_body(body), &*of_body("other"));
        for signatures in
            [&[][..], &[""], &["sha256="], &["\u{ff}"], &["="], &[other], &[right], &[right, right]]
        {
            for events in [&[][..], &[""], &["quote.failed"], &["\u{ff}"], &["quote.failed", "quote.failed"]]
            {
                let pairs = signatures.iter().map(|value| (signature, *value));
                let pairs: Vec<_> = pairs.chain(events.iter().map(|value| (event, *value))).collect();
                let handler = async |_: Delivery<'_, Quote3d>| -> Result<(), Error> { panic!("it is bad") };
                let outcome = receiver.receive(&headers(&pairs), body.as_bytes(), handler).await;
                let response = outcome.to_response::<String>();
                assert!(matches!(response.status().as_u16(), 400 | 401), "{pairs:?} {body:.40}");
                assert!(response.body().starts_with(r#"{"error":""#));
            }
        }
    }
    // And the next is served.
    let headers = signed(receiver.webhook(), QUOTE3D.as_bytes());
    let outcome = receiver.receive(&headers, QUOTE3D.as_bytes(), async |_| Ok::<_, Error>(())).await;
    assert!(matches!(outcome, Outcome::Handled));
}

/// Every form in which a secret or a tag may show: as text, in hex, in Base64, and as numbers.
fn forms(bytes: &[u8]) -> [String; 4] {
    let numbers = format!("{bytes:?}").trim_matches(['[', ']']).replace(' ', "");
    [String::from_utf8_lossy(bytes).into_owned(), hex::encode(bytes), STANDARD.encode(bytes), numbers]
}

#[track_caller]
fn is_not_in(hidden: &[u8], shown: &str) {
    let dense: String = shown.split_whitespace().collect();
    for form in forms(hidden) {
        assert!(!shown.contains(&form) && !dense.contains(&form), "{shown}");
    }
}

/// RUSTSEC-2022-0087, slack-morphism: secrets were written to debug logs.
#[test]
fn slack_morphism_rustsec_2022_0087_no_debug_output_has_a_secret() {
    let secret = Secret::new(NEWEST).unwrap();
    let secrets = Secrets::new(secret.clone()).with_older(Secret::new(OLDER).unwrap()).unwrap();
    let (verifier, webhook) =
        (Verifier::new(secrets.clone()), Webhook::<ThreeQpr>::new(secrets.clone()).unwrap());
    let headers = signed(&webhook, BODY);
    let shown = format!(
        "{secret:?} {secret:#?} {secrets:?} {secrets:#?} {verifier:?} {verifier:#?} {webhook:?} {webhook:#?} {:?} {:?} {:?} {:?} {:?}",
        verifier.begin(webhook.sign(BODY).parse().unwrap()),
        webhook.begin(&headers).unwrap(),
        webhook.verify(&headers, BODY).unwrap(),
        Secret::new(format!("{NEWEST}\n")).unwrap_err(),
        Receiver::new(webhook.clone(), MemoryStore::new()),
    );
    for secret in [NEWEST, OLDER] {
        is_not_in(secret.as_bytes(), &shown);
        // Nor the half of one.
        is_not_in(&secret.as_bytes()[..secret.len() / 2], &shown);
    }
}

/// GHSA-gxhx-2686-5h9g, slack-go: an empty secret was accepted, under which anybody can sign.
#[test]
fn slack_go_ghsa_gxhx_2686_5h9g_an_empty_secret_is_none() {
    for made in [Secret::new(""), Secret::dangerously_allow_short(""), Secret::from_bytes(Vec::new())] {
        assert!(matches!(made, Err(SecretError::TooShort { .. })));
    }
    assert!(matches!(Secrets::try_from(Vec::new()), Err(SecretError::NoSecret)));
    // The tag of the empty key, made by hand, for a tenant that does not exist.
    let body = br#"{"event":"scan.created"}"#;
    let forged = "sha256=dd1f391100729cb16e1f862deb8758c656a38d3e572140ab69ee1577de2c4242";
    let nobody = Webhook::<ThreeQpr>::new(Secrets::reject_all()).unwrap();
    assert_eq!(told(&nobody, &[forged.as_bytes()], body), "signature_mismatch");
}

/// CVE-2025-53548, @clerk/backend: events that were not properly signed were accepted.
#[test]
fn clerk_cve_2025_53548_only_the_bodys_own_signature_by_a_valid_secret_is_accepted() {
    let webhook = rotating::<ThreeQpr>();
    let sign = |secret: &str, body: &[u8]| Signature::sign(&Secret::new(secret).unwrap(), body).to_string();
    for secret in [NEWEST, OLDER] {
        assert_eq!(told(&webhook, &[sign(secret, BODY).as_bytes()], BODY), "accepted");
    }
    let stranger = "whsec_that-nobody-here-has";
    let longer = [BODY, b" "].concat();
    for signature in [
        sign(stranger, BODY),
        sign(NEWEST, b""),
        sign(NEWEST, &longer),
        sign(NEWEST, &BODY[1..]),
        sign(OLDER, &BODY[..BODY.len() - 1]),
        format!("sha256={}", "0".repeat(64)),
    ] {
        assert_eq!(told(&webhook, &[signature.as_bytes()], BODY), "signature_mismatch");
        let signature: Signature = signature.parse().unwrap();
        let verifier = Verifier::new(Secret::new(NEWEST).unwrap());
        assert!(verifier.verify(BODY, &signature).is_err());
    }
}

/// Signatures that are right but for one bit, for each bit.
fn nearly_right<P: Provider>(webhook: &Webhook<P>, body: &[u8]) -> impl Iterator<Item = String> {
    let tag = hex::decode(&webhook.sign(body).to_string()[7..]).unwrap();
    (0..256).map(move |bit| {
        let mut tag = tag.clone();
        tag[bit / 8] ^= 1 << (bit % 8);
        format!("sha256={}", hex::encode(tag))
    })
}

/// All that a caller or a log could tell two errors apart by.
fn appearance(error: &Error) -> String {
    assert!(error.source().is_none());
    let response = error.to_response::<String>();
    format!("{error} {error:?} {} {} {response:?}", error.code(), error.status())
}

/// CVE-2022-43411, Jenkins' GitLab plugin: the comparison took the longer, the more was right.
///
/// `checks/constant_time` shows of the compiled program that nothing branches on a tag. Here is what it
/// cannot: that all 32 bytes are compared, and that no error tells how many were right.
#[test]
fn jenkins_cve_2022_43411_all_32_bytes_are_compared_and_every_mismatch_is_the_same() {
    let webhook = rotating::<ThreeQpr>();
    let mut appearances = Vec::new();
    for signature in nearly_right(&webhook, BODY).chain([format!("sha256={}", "0".repeat(64))]) {
        let headers = headers(&[("x-3qpr-signature", &signature)]);
        appearances.push(appearance(&webhook.verify(&headers, BODY).unwrap_err()));
        appearances.push(appearance(&webhook.verify_signature(&headers, BODY).unwrap_err()));
    }
    assert_eq!(appearances.len(), 2 * 257);
    assert!(appearances.iter().all(|appearance| *appearance == appearances[0]));
    assert!(appearances[0].contains("signature_mismatch"));
    // What that program checks is there, and alone.
    let tag = include_str!("../../src/mac/tag.rs");
    assert_eq!(tag.matches("ct_eq(").count(), 2);
    assert!(tag.contains("differences | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))"));
    assert!(tag.contains("differences.ct_eq(&0)"));
    assert!(tag.contains("#[derive(Clone, Copy)]\npub(crate) struct Tag("), "`PartialEq` is not derived");
    let signature = include_str!("../../src/mac/signature.rs");
    assert!(
        signature.contains("#[derive(Clone, Copy)]\npub struct Signature("),
        "`PartialEq` is not derived"
    );
}

/// Node's `timingSafeEqual` throws where lengths differ, so that code which calls it at once answers
/// any short header with a 500.
#[test]
fn nodes_timing_safe_equal_a_length_that_differs_is_a_refusal_like_any_other() {
    let webhook = webhook::<ThreeQpr>();
    let right = webhook.sign(BODY).to_string();
    for length in (0..=200).chain([1_000, 100_000]).filter(|length| *length != right.len()) {
        let signature: String = right.chars().chain(right[7..].chars().cycle()).take(length).collect();
        assert_eq!(told(&webhook, &[signature.as_bytes()], BODY), "malformed_signature", "{length}");
        assert_eq!(Error::from(Signature::parse(signature.as_bytes()).unwrap_err()).status(), 401);
    }
}

/// NowToPrint's own snippet compares with `===`, which stops at the first character that differs. The
/// verdict here is the same, and the comparison is that of every other provider.
#[test]
fn nowtoprints_triple_equals_no_provider_has_a_comparison_of_its_own() {
    let webhook = webhook::<NowToPrint>();
    let body = NOWTOPRINT.as_bytes();
    assert_eq!(told(&webhook, &[webhook.sign(body).to_string().as_bytes()], body), "accepted");
    for signature in nearly_right(&webhook, body) {
        assert_eq!(told(&webhook, &[signature.as_bytes()], body), "signature_mismatch");
    }
    let providers = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider");
    let files = std::fs::read_dir(providers).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.is_file()).collect();
    assert!(files.len() >= 12);
    for file in files {
        let source = std::fs::read_to_string(file).unwrap();
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for word in ["Signature", "verify", "secret", "=="] {
            assert!(code.clone().all(|line| !line.contains(word)), "{word}");
        }
    }
}

/// A mistake seen in code: the check is made only where the header is there.
#[test]
fn seen_in_code_a_request_without_the_header_is_refused() {
    let webhook = rotating::<ThreeQpr>();
    let right = &webhook.sign(BODY).to_string();
    assert_eq!(told(&webhook, &[], BODY), "missing_signature");
    assert_eq!(told(&webhook, &[b""], BODY), "malformed_signature");
    for pairs in [
        &[][..],
        &[("content-type", "application/json")],
        &[("x-signature", right)],
        &[("x-hub-signature-256", right), ("authorization", right), ("x-webhook-signature", right)],
    ] {
        let headers = headers(pairs);
        assert_eq!(webhook.verify(&headers, BODY).unwrap_err().code(), "missing_signature", "{pairs:?}");
        assert_eq!(webhook.verify_signature(&headers, BODY).unwrap_err().code(), "missing_signature");
        assert_eq!(webhook.begin(&headers).unwrap_err().code(), "missing_signature");
    }
}

/// A mistake seen in code: one copy of the body is verified, and another is parsed, which a framework
/// had read on its own.
#[test]
fn seen_in_code_what_is_parsed_is_what_was_verified() {
    let webhook = webhook::<ThreeQpr>();
    let headers = signed(&webhook, BODY);
    let received = BODY.to_vec();
    let within = |part: &str| received.as_ptr_range().contains(&part.as_ptr());
    let delivery = webhook.verify(&headers, &received).unwrap();
    assert!(std::ptr::eq(delivery.body(), &*received));
    assert!(within(delivery.event_name()) && within(delivery.id().unwrap()) && within(delivery.data()));

    // In pieces: a buffer that is used again holds another body by the end.
    let mut partial = webhook.begin(&headers).unwrap();
    let mut buffer = [0; 8];
    for piece in BODY.chunks(buffer.len()) {
        buffer[..piece.len()].copy_from_slice(piece);
        partial.update(&buffer[..piece.len()]).unwrap();
        buffer.fill(b'x');
    }
    let delivery = partial.finish().unwrap();
    assert_eq!((delivery.body(), delivery.event_name(), delivery.data()), (BODY, "scan.created", "{}"));

    // Nor is anything put right on the way: what is not UTF-8 is refused, not replaced.
    let body = b"{\"event\":\"scan.created\",\"id\":\"evt_\xff\"}";
    assert_eq!(told(&webhook, &[webhook.sign(body).to_string().as_bytes()], body), "malformed_payload");
}

/// A mistake seen in code: the value is cut at its `=`, and whatever hash it names is accepted.
#[test]
fn seen_in_code_another_hashs_prefix_is_refused() {
    let webhook = webhook::<ThreeQpr>();
    let right = webhook.sign(BODY).to_string();
    let tag = right.strip_prefix("sha256=").unwrap();
    for prefix in [
        "sha1=", "sha512=", "sha384=", "sha224=", "md5=", "sha=", "SHA256=", "sha-256=", "sha256:", "v1=",
        "=", "",
    ] {
        assert_eq!(told(&webhook, &[format!("{prefix}{tag}").as_bytes()], BODY), "malformed_signature");
    }
    let sha1 = format!("sha1={}", &tag[..40]);
    assert_eq!(told(&webhook, &[sha1.as_bytes()], BODY), "malformed_signature");
}

/// A mistake seen in code: hex digits are read in twos by a parser of integers, which takes `+f` for `0f`.
#[test]
fn seen_in_code_a_plus_is_no_hex_digit() {
    let webhook = webhook::<ThreeQpr>();
    // The first body whose tag has a byte from 00 to 0f at this place.
    for place in [0, 15, 31] {
        let at = 7 + 2 * place;
        let of = |n: usize| format!(r#"{{"event":"scan.created","data":{n}}}"#);
        let body =
            (0..).map(of).find(|body| webhook.sign(body.as_bytes()).to_string().as_bytes()[at] == b'0');
        let body = body.unwrap();
        let mut signature = webhook.sign(body.as_bytes()).to_string().into_bytes();
        assert_eq!(told(&webhook, &[&signature], body.as_bytes()), "accepted");
        for sign in b"+- xX_" {
            signature[at] = *sign;
            assert_eq!(told(&webhook, &[&signature], body.as_bytes()), "malformed_signature");
        }
    }
}

/// adnanh/webhook#85: the error told the caller the signature that would have been right.
#[tokio::test]
async fn adnanh_webhook_85_no_error_tells_the_right_signature() {
    let receiver = Receiver::new(rotating::<ThreeQpr>(), MemoryStore::new());
    let webhook = receiver.webhook();
    let tags = [NEWEST, OLDER].map(|secret| {
        let signature = Signature::sign(&Secret::new(secret).unwrap(), BODY).to_string();
        hex::decode(&signature[7..]).unwrap()
    });
    let wrong = webhook.sign(b"other").to_string();
    for signatures in [&[][..], &[""], &["sha256="], &["sha256=00"], &[&wrong], &[&wrong, &wrong]] {
        let pairs: Vec<_> = signatures.iter().map(|value| ("x-3qpr-signature", *value)).collect();
        let headers = headers(&pairs);
        let outcome = receiver.receive(&headers, BODY, async |_| Ok::<_, Error>(())).await;
        let response = outcome.to_response::<String>();
        let mut shown = format!("{outcome:?} {outcome:#?} {response:?}");
        let mut error: Option<&dyn StdError> = outcome.error().map(|error| error as _);
        while let Some(cause) = error {
            shown += &format!(" {cause} {cause:?}");
            error = cause.source();
        }
        for tag in &tags {
            is_not_in(tag, &shown);
            is_not_in(&tag[..8], &shown);
        }
        assert_eq!(response.status(), 401);
    }
}
