//! A diagnosis has a bound, whatever it is given.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Cause, Diagnoser, Diagnosis, Hint};
use countersign::provider::{StandardWebhooks, Stripe, ThreeQpr};
use countersign::{Secret, Secrets, Webhook};

use super::tools::Tool::Python;
use super::{HEADER, caused, diagnose, eight, secret, sign};

/// JSON of exactly so many bytes, compact, with all that can happen to it.
fn long_body(len: usize) -> Vec<u8> {
    let item = |at| format!(r#"{{"id":"item-{at}","url":"https://ü/{at}","price":{at}.5,"count":7}},"#);
    let mut body = r#"{"event":"x","data":["#.to_owned();
    for at in 0.. {
        let item = item(at);
        if body.len() + item.len() + 20 > len {
            break;
        }
        body.push_str(&item);
    }
    let padding = "x".repeat(len - body.len() - 4);
    body.push_str(&format!("\"{padding}\"]}}"));
    assert_eq!(body.len(), len);
    body.into_bytes()
}

#[test]
fn the_work_is_bounded() {
    const MIB: usize = 1 << 20;
    assert_eq!((Diagnosis::MAX_HASHES, Diagnosis::MAX_HASHED_BYTES), (65_536, 1 << 29));
    assert_eq!((Diagnosis::MAX_BODY_LEN, Diagnosis::MAX_OTHERS), (MIB, 8));
    let diagnoser = Diagnoser::<ThreeQpr>::new(eight()).unwrap();
    let long = long_body(MIB);

    // One accident alone is found in the longest body, also the last one with the last secret.
    let with_others = (0..8).fold(Diagnoser::<ThreeQpr>::new(eight()).unwrap(), |diagnoser, at| {
        let others = (0..8).map(|year| secret(format!("whsec_of-other-{at}-{year}"))).collect::<Vec<_>>();
        diagnoser.with_other(format!("other {at}"), Secrets::try_from(others).unwrap())
    });
    let signed = String::from_utf8_lossy(&long).replace(".5", ".50").replace(":7}", ":7.00}");
    let diagnosis = with_others.diagnose([(HEADER, sign(signed.as_bytes()).as_bytes())], &long);
    println!("the last: {} hashes, {} bytes", diagnosis.hashes(), diagnosis.hashed_bytes());
    assert_eq!(diagnosis.causes(), [Cause::BodyNumbersRewritten]);

    // Without one, the search ends at the limit of bytes.
    let wrong = sign(b"another");
    let diagnosis = diagnoser.diagnose([(HEADER, wrong.as_bytes())], &long);
    println!("{} hashes, {} bytes", diagnosis.hashes(), diagnosis.hashed_bytes());
    assert_eq!((diagnosis.code(), diagnosis.hints()), ("no_known_cause", &[Hint::Unfinished][..]));
    assert!(diagnosis.hashed_bytes() <= Diagnosis::MAX_HASHED_BYTES);
    assert!(diagnosis.hashed_bytes() > Diagnosis::MAX_HASHED_BYTES - 4 * MIB as u64);
    assert!(diagnosis.hashed_bytes() > diagnosis.hashes() * (MIB - 64) as u64, "each is counted in full");

    // One byte more is not looked into, but whether it verifies is said.
    let longer = long_body(MIB + 1);
    let diagnosis = diagnoser.diagnose([(HEADER, wrong.as_bytes())], &longer);
    assert_eq!((diagnosis.hints(), diagnosis.hashes()), (&[Hint::BodyTooLong][..], 8));
    // Its bytes are counted all the same, and there is no limit but its own length.
    assert_eq!(diagnosis.hashed_bytes(), 8 * longer.len() as u64);
    assert!(diagnoser.diagnose([(HEADER, sign(&longer).as_bytes())], &longer).is_verified());
}

#[test]
fn one_accident_alone_is_found_in_the_longest_body_under_the_largest_scheme() {
    let long = long_body(Diagnosis::MAX_BODY_LEN);
    let signed = String::from_utf8_lossy(&long).replace(".5", ".50").replace(":7}", ":7.00}");
    let key =
        |text: String| Secret::new(format!("whsec_{}", STANDARD.encode(format!("{text:>24}")))).unwrap();
    let set = |name: &str| {
        let secrets: Vec<_> = (0..8).map(|year| key(format!("{name} {year}"))).collect();
        Secrets::try_from(secrets).unwrap()
    };
    let diagnoser = (0..8).fold(Diagnoser::<StandardWebhooks>::new(set("own")).unwrap(), |diagnoser, at| {
        diagnoser.with_other(format!("other {at}"), set(&format!("other {at}")))
    });
    // With the last of the webhook's secrets.
    let webhook = Webhook::<StandardWebhooks>::new(key("own 7".to_owned())).unwrap();
    let headers = webhook.signed_headers(signed.as_bytes());
    let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
    let diagnosis = diagnoser.diagnose(headers, &long);
    println!("{} hashes, {} bytes", diagnosis.hashes(), diagnosis.hashed_bytes());
    assert_eq!(diagnosis.causes(), [Cause::BodyNumbersRewritten]);
}

#[test]
fn a_body_that_was_much_longer_is_found() {
    let compact = long_body(50_000);
    let indented = Python("json.dumps(json.loads(body), ensure_ascii=False, indent=4)");
    let Some(signed) = indented.run(&compact) else { return };
    assert!(signed.len() > compact.len() * 3 / 2, "{}", signed.len());
    assert_eq!(caused(&diagnose(&sign(&signed), &compact)), ["body_reserialised: FourSpaces"]);
}

#[test]
fn the_number_of_hashes_is_bounded_with_any_number_of_secrets_and_headers() {
    // No two of these signatures are the same, or they would be tried once.
    let signatures: Vec<_> = (0..9).map(|number| sign(&[number])).collect();
    let joined = signatures[4..].join(",");
    let stripes = format!("t=1614265330{}", format!(",v1={}", "ab".repeat(32)).repeat(9));
    let mut headers: Vec<_> = signatures.iter().map(|value| (HEADER, value.as_bytes())).collect();
    headers.extend([("x-hub-signature", joined.as_bytes()), ("stripe-signature", stripes.as_bytes())]);
    let names = (0..50).map(|at| format!("x-signature-{at}")).collect::<Vec<_>>();
    headers.extend(names.iter().map(|name| (&**name, joined.as_bytes())));
    let mut diagnoser = Diagnoser::<ThreeQpr>::new(eight()).unwrap();
    for other in 0..9 {
        diagnoser = diagnoser.with_other(format!("other {other}"), eight());
    }
    let body = String::from_utf8(long_body(500)).unwrap().replace("item", "\\u00fc\\/<") + "\r\n";
    let diagnosis = diagnoser.diagnose(headers, body.as_bytes());
    assert_eq!(diagnosis.hashes(), Diagnosis::MAX_HASHES);
    assert_eq!(diagnosis.hints().len(), 7, "{:?}", diagnosis.hints());
    assert!(diagnosis.hints().ends_with(&[Hint::TooManyOthers, Hint::Unfinished]));
}

/// What is not read is said not to have been tried. Without a secret, nothing else ends the search.
#[test]
fn headers_beyond_the_limits_are_said_not_to_be_tried() {
    type Headers = Vec<(String, String)>;
    let tag = |number: usize| hex::encode([number as u8; 32]);
    let items = |numbers: Range<usize>, separator: &str, label: &str| {
        numbers.map(|number| format!("{label}{}", tag(number))).collect::<Vec<_>>().join(separator)
    };
    let stripe =
        |numbers| ("stripe-signature".to_owned(), format!("t=1614265330,{}", items(numbers, ",", "v1=")));
    let each = |name: fn(usize) -> String, count: usize| -> Headers {
        (0..count).map(|number| (name(number), format!("sha256={}", tag(number)))).collect()
    };
    let plain = |at| (format!("x-signature-{at}"), tag(at));
    let readings = vec![stripe(0..21), stripe(21..42), plain(42), plain(43)];
    let sha1 = ("x-signature-44".to_owned(), tag(44)[..40].to_owned());
    let cases: [(&str, Headers, Headers); 6] = [
        ("values", each(|_| HEADER.to_owned(), 4), each(|_| HEADER.to_owned(), 5)),
        ("headers", each(|at| format!("x-signature-{at}"), 4), each(|at| format!("x-signature-{at}"), 5)),
        ("bytes", vec![(HEADER.to_owned(), "a".repeat(8192))], vec![(HEADER.to_owned(), "a".repeat(8193))]),
        (
            "joined",
            vec![(HEADER.to_owned(), items(0..4, ", ", "sha256="))],
            vec![(HEADER.to_owned(), items(0..5, ", ", "sha256="))],
        ),
        ("items", vec![stripe(0..31)], vec![stripe(0..32)]),
        // A value with a time has six readings, one without has two, and an HMAC-SHA1 has one: 256, and one more.
        ("readings", readings.clone(), [readings, vec![sha1]].concat()),
    ];
    for (what, within, beyond) in cases {
        for (headers, is_cut) in [(within, false), (beyond, true)] {
            let of_stripe = headers[0].0 == "stripe-signature";
            let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
            let diagnosis = match of_stripe {
                true => Diagnoser::<Stripe>::new(Secrets::reject_all()).unwrap().diagnose(headers, b"x"),
                false => Diagnoser::<ThreeQpr>::new(Secrets::reject_all()).unwrap().diagnose(headers, b"x"),
            };
            assert_eq!(diagnosis.hints().contains(&Hint::Unfinished), is_cut, "{what} {diagnosis}");
        }
    }
}

/// Update the number when you add an accident. A larger one may mean that a body is hashed twice.
#[test]
fn no_body_is_hashed_twice_with_a_key() {
    let diagnosis = diagnose(&sign(b"another"), b"{}");
    assert_eq!(diagnosis.hashes(), 240);
}

#[test]
fn deep_nesting_is_borne() {
    for body in ["[".repeat(20_000), "{\"a\":".repeat(5_000), "[".repeat(10_000) + &"]".repeat(10_000)] {
        assert_eq!(diagnose(&sign(b"another"), body.as_bytes()).causes(), []);
    }
}
