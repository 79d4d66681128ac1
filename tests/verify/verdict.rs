//! The verdict on a signature is that of the providers' own comparison, on every input.

use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, oracle};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Provider, Secret, Signature, Webhook};
use fastrand::Rng;

/// One header value and one body; a header's bytes are Latin-1, as Node shows them.
struct Case {
    provider: &'static str,
    secret: String,
    body: Vec<u8>,
    signature: Option<Vec<u8>>,
    event: Option<&'static str>,
    /// Whether the body is a delivery's, so that all but its signature is right.
    documented: bool,
}

/// How many generated cases there are.
const GENERATED: usize = 12_000;

/// Ways in which a header is not what the provider would send; the first is none.
const HEADERS: [fn(&str, &mut Rng) -> Option<Vec<u8>>; 24] = [
    |right, _| Some(right.into()),
    |_, _| None,
    |_, _| Some(Vec::new()),
    |right, _| Some(right[7..].into()),
    |right, _| Some(right.to_uppercase().into()),
    |right, _| Some(format!("sha256={}", right[7..].to_uppercase()).into()),
    |right, _| Some(right.replacen("sha256", "SHA256", 1).into()),
    |right, _| Some(right.replacen("sha256", "sha1", 1).into()),
    |right, _| Some(right.replacen("sha256", "sha512", 1).into()),
    |right, _| Some(right.replacen('=', ":", 1).into()),
    |right, _| Some(format!(" {right}").into()),
    |right, _| Some(format!("{right} ").into()),
    |right, _| Some(format!("{right}\n").into()),
    |right, _| Some(format!("{right}\0").into()),
    |right, _| Some(format!("\"{right}\"").into()),
    |right, _| Some(format!("{right}, {right}").into()),
    |right, _| Some(format!("{right}{}", &right[7..]).into()),
    |right, _| Some(format!("sha256=+{}", &right[8..]).into()),
    |right, rng| Some(right[..rng.usize(..right.len())].into()),
    |right, rng| {
        let mut flipped = right.as_bytes().to_vec();
        let at = rng.usize(..flipped.len());
        flipped[at] ^= 1 << rng.usize(..8);
        Some(flipped)
    },
    |right, rng| {
        let mut replaced = right.as_bytes().to_vec();
        let at = rng.usize(..replaced.len());
        replaced[at] = rng.u8(..);
        Some(replaced)
    },
    |right, rng| {
        let mut longer = right.as_bytes().to_vec();
        longer.insert(rng.usize(..right.len() + 1), rng.u8(..));
        Some(longer)
    },
    |_, rng| Some(bytes(rng, 100)),
    |_, rng| {
        let mut digits = b"sha256=".to_vec();
        digits.extend((0..64).map(|_| b"0123456789abcdef"[rng.usize(..16)]));
        Some(digits)
    },
];

fn bytes(rng: &mut Rng, bound: usize) -> Vec<u8> {
    let length = rng.usize(..bound);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

fn sign(secret: &str, body: &[u8]) -> String {
    Signature::sign(&Secret::new(secret).unwrap(), body).to_string()
}

fn cases() -> Vec<Case> {
    let documented = [
        (Quote3d::NAME, QUOTE3D, "quote.completed"),
        (NowToPrint::NAME, NOWTOPRINT, ""),
        (ThreeQpr::NAME, THREEQPR, ""),
    ];
    let mut rng = Rng::with_seed(2026);
    let mut cases = Vec::new();
    for (provider, body, event) in documented {
        for header in HEADERS {
            let secret = "whsec_of-the-documented-payloads".to_owned();
            let signature = header(&sign(&secret, body.as_bytes()), &mut rng);
            for event in [Some(event), None] {
                let (secret, signature) = (secret.clone(), signature.clone());
                cases.push(Case { provider, secret, body: body.into(), signature, event, documented: true });
            }
        }
    }
    for _ in 0..GENERATED {
        let (provider, documented, event) = documented[rng.usize(..3)];
        let secret: String = (0..16 + rng.usize(..100)).map(|_| char::from(rng.u8(b'!'..=b'~'))).collect();
        let signed = match rng.usize(..3) {
            0 => documented.as_bytes().to_vec(),
            1 => format!(r#"{{"event":"{event}","data":"{:?}"}}"#, rng.u64(..)).into(),
            _ => bytes(&mut rng, 300),
        };
        let header = HEADERS[rng.usize(..HEADERS.len() * 2).saturating_sub(HEADERS.len())];
        let signature = header(&sign(&secret, &signed), &mut rng);
        let mut body = signed;
        match rng.usize(..4) {
            0 if !body.is_empty() => {
                let at = rng.usize(..body.len());
                body[at] ^= 1 << rng.usize(..8);
            }
            1 if !body.is_empty() => {
                body.pop();
            }
            _ => {}
        }
        cases.push(Case { provider, secret, body, signature, event: Some(event), documented: false });
    }
    cases
}

/// Whether the signature is accepted: by the webhook, and so by the crate's layer below.
fn is_accepted(case: &Case) -> bool {
    fn verify<P: Provider + Default>(case: &Case) -> bool {
        let webhook = Webhook::<P>::new(Secret::new(case.secret.as_str()).unwrap()).unwrap();
        let event = case.event.map(|event| ("x-webhook-event", event.as_bytes()));
        let signature = case.signature.as_deref().map(|value| (webhook.signature_header().as_str(), value));
        let headers: Vec<_> = event.into_iter().chain(signature).collect();
        let verdict = webhook.verify(&headers, &case.body);
        // A generated body is mostly no envelope, which the references do not look at.
        verdict.map_or_else(|error| !case.documented && error.status() != 401, |_| true)
    }
    match case.provider {
        Quote3d::NAME => verify::<Quote3d>(case),
        NowToPrint::NAME => verify::<NowToPrint>(case),
        _ => verify::<ThreeQpr>(case),
    }
}

fn line(case: &Case) -> String {
    oracle::line(case.provider, case.secret.as_bytes(), &case.body, case.signature.as_deref(), case.event)
}

fn compare(program: &str, script: &str, is_compared: fn(&Case) -> bool) {
    let cases: Vec<_> = cases().into_iter().filter(is_compared).collect();
    let Some(answers) = oracle::answers(program, script, cases.iter().map(line).collect()) else { return };
    let mut accepted = 0;
    for (index, (case, answer)) in cases.iter().zip(answers).enumerate() {
        let reference = answer == "accepted";
        assert_eq!(is_accepted(case), reference, "case {index}: {}", line(case));
        accepted += usize::from(reference);
    }
    println!("{program}: {} cases, {accepted} accepted, 0 disagreements", cases.len());
    // A comparison that only ever says no would prove little.
    assert!(cases.len() > 10_000 && accepted > 1_000 && accepted < cases.len() / 2, "{accepted}");
}

#[test]
fn the_verdict_is_nodes() {
    compare("node", "reference.mjs", |_| true);
}

#[test]
fn the_verdict_is_pythons() {
    // The Python reference is 3QPR's, which knows no event header.
    compare("python3", "reference.py", |case| case.event.is_some());
}
