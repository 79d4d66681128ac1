//! Under each scheme, each accident that can happen to it is named: it, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::caused;
use super::kinds::{BODY, Hash, Kind, SECONDS, Sent, Spelling, kinds};

/// Spoils a delivery. Returns the causes, or `None` if it cannot happen under this scheme.
type Accident = fn(&Kind, &mut Sent) -> Option<&'static [&'static str]>;

#[test]
fn what_was_done_to_the_signature_is_named_under_each_scheme() {
    let accidents: [Accident; 15] = [
        |kind, sent| {
            sent.spelling = Spelling::Upper;
            (kind.spelling == Spelling::Hex).then_some(&["signature_upper_case"])
        },
        |kind, sent| {
            sent.spelling = Spelling::Hex;
            (kind.spelling != Spelling::Hex).then_some(&["signature_hex"])
        },
        |kind, sent| {
            sent.spelling = Spelling::Base64;
            (kind.spelling == Spelling::Hex).then_some(&["signature_base64"])
        },
        |kind, sent| {
            sent.spelling = Spelling::UrlBare;
            (kind.spelling != Spelling::Hex).then_some(&["signature_base64_other"])
        },
        |kind, sent| {
            sent.hash = Hash::Sha1;
            (kind.hash != Hash::Sha1).then_some(&["signature_sha1"])
        },
        |kind, sent| {
            sent.hash = Hash::Sha256;
            (kind.hash != Hash::Sha256).then_some(&["signature_sha256"])
        },
        |kind, sent| {
            sent.hash = Hash::Sha512;
            (kind.hash != Hash::Sha512).then_some(&["signature_sha512"])
        },
        |kind, sent| {
            sent.hash = Hash::Plain;
            sent.template = "{body}".to_owned();
            (kind.hash == Hash::Sha256).then_some(&["signature_without_secret"])
        },
        |kind, sent| {
            sent.label.clear();
            (!kind.label.is_empty()).then_some(&["signature_prefix_missing"])
        },
        |kind, sent| {
            sent.label = "v9=".to_owned();
            (!kind.label.is_empty() && kind.separator.is_none()).then_some(&["signature_prefix_other"])
        },
        |kind, sent| {
            sent.label = "sha256=".to_owned();
            kind.label.is_empty().then_some(&["signature_prefix_added"])
        },
        |kind, sent| {
            sent.label = if kind.separator == Some(' ') { "v2," } else { "v0=" }.to_owned();
            kind.separator.map(|_| &["signature_version_other"][..])
        },
        |kind, sent| {
            sent.template = "{body}".to_owned();
            (kind.template != "{body}").then_some(&["signed_body_alone"])
        },
        |kind, sent| {
            sent.template = "{timestamp}:{body}".to_owned();
            (kind.has_time() && kind.name != "paddle")
                .then_some(&["signed_under_other_template: {timestamp}:{body}"])
        },
        |kind, sent| {
            sent.template = "v0:{timestamp}:{body}".to_owned();
            (kind.has_time() && !kind.template.starts_with("v0"))
                .then_some(&["signed_under_other_template: v0:{timestamp}:{body}"])
        },
    ];
    each_is_named(&accidents);
}

#[test]
fn what_was_done_to_the_time_is_named_under_each_scheme() {
    fn is_in_seconds(kind: &Kind) -> bool {
        kind.has_time() && !["milliseconds", "rfc3339"].contains(&kind.name)
    }
    let accidents: [Accident; 5] = [
        |kind, sent| {
            sent.time = format!("{SECONDS}123");
            sent.signed_time.clone_from(&sent.time);
            (kind.has_time() && kind.name != "milliseconds").then_some(&["time_in_milliseconds"])
        },
        |kind, sent| {
            sent.time = SECONDS.to_string();
            sent.signed_time.clone_from(&sent.time);
            (kind.has_time() && !is_in_seconds(kind)).then_some(&["time_in_seconds"])
        },
        |kind, sent| {
            sent.time = "2021-02-25T15:02:10Z".to_owned();
            sent.signed_time.clone_from(&sent.time);
            (kind.has_time() && kind.name != "rfc3339").then_some(&["time_in_rfc3339"])
        },
        |kind, sent| {
            sent.signed_time = format!("{SECONDS}000");
            is_in_seconds(kind).then_some(&["time_signed_in_milliseconds"])
        },
        |kind, sent| {
            sent.signed_time = SECONDS.to_string();
            (kind.name == "milliseconds").then_some(&["time_signed_in_seconds"])
        },
    ];
    each_is_named(&accidents);
}

#[test]
fn what_was_done_to_the_secret_is_named_under_each_scheme() {
    let accidents: [Accident; 16] = [
        |kind, sent| {
            sent.key = sent.secret.clone().into();
            (!kind.is_text()).then_some(&["secret_undecoded"])
        },
        |kind, sent| {
            let bare = sent.secret.replace("whsec_", "");
            let causes: &[&str] = match bare == sent.secret {
                true => &["secret_undecoded"],
                false => &["secret_undecoded", "secret_prefix_dropped"],
            };
            sent.key = bare.into();
            (!kind.is_text()).then_some(causes)
        },
        |kind, sent| {
            sent.key = format!("{}\n", sent.secret).into();
            (!kind.is_text()).then_some(&["secret_undecoded", "secret_signed_with_whitespace"])
        },
        // The secrets of the kinds spell hex digits in base64, and hex.
        |kind, sent| {
            sent.key = hex::decode(&sent.key).unwrap_or_default();
            (kind.separator == Some(' ')).then_some(&["secret_decoded_twice"])
        },
        // A secret that was encoded once more, as it stands in a manifest of Kubernetes.
        |kind, sent| {
            sent.secret = STANDARD.encode(&sent.secret);
            (kind.separator == Some(' ')).then_some(&["secret_decoded_twice"])
        },
        |kind, sent| {
            sent.secret = STANDARD.encode(&sent.secret);
            kind.is_text().then_some(&["secret_base64_decoded"])
        },
        |kind, sent| {
            sent.key = STANDARD.decode(&sent.secret).unwrap_or_default();
            (kind.name == "milliseconds").then_some(&["secret_base64_decoded"])
        },
        |kind, sent| {
            sent.key = STANDARD.decode(sent.secret.replace("whsec_", "")).unwrap();
            kind.is_text().then_some(&["secret_prefix_dropped", "secret_base64_decoded"])
        },
        |kind, sent| {
            sent.secret = sent.secret.replace("whsec_", "");
            sent.key = STANDARD.decode(&sent.secret).unwrap();
            kind.is_text().then_some(&["secret_base64_decoded"])
        },
        |kind, sent| {
            sent.secret = hex::encode(&sent.secret);
            kind.is_text().then_some(&["secret_hex_decoded"])
        },
        |kind, sent| {
            sent.key = sent.secret.replace("whsec_", "").into();
            kind.is_text().then_some(&["secret_prefix_dropped"])
        },
        |kind, sent| {
            sent.secret = sent.secret.replace("whsec_", "");
            kind.is_text().then_some(&["secret_prefix_missing"])
        },
        |kind, sent| {
            sent.key.push(b'\n');
            kind.is_text().then_some(&["secret_signed_with_whitespace"])
        },
        |kind, sent| {
            sent.secret = format!("\"{}\"", sent.secret);
            kind.is_text().then_some(&["secret_quoted"])
        },
        |kind, sent| {
            sent.key = format!("'{}'", sent.secret).into();
            kind.is_text().then_some(&["secret_signed_with_quotes"])
        },
        |kind, sent| {
            sent.others = vec![("staging".to_owned(), sent.secret.clone())];
            sent.secret = match kind.secret.strip_prefix("whsec_") {
                None => hex::encode(BODY),
                Some(_) => format!("whsec_{}", STANDARD.encode(BODY)),
            };
            Some(&["secret_of_other: staging"])
        },
    ];
    each_is_named(&accidents);
}

#[test]
fn what_was_done_to_the_body_is_named_under_each_scheme() {
    let accidents: [Accident; 8] = [
        |_, sent| {
            sent.body.push(b'\n');
            Some(&["body_newline_added"])
        },
        |_, sent| {
            sent.signed_body.push(b'\n');
            Some(&["body_newline_lost"])
        },
        |_, sent| {
            sent.body.splice(..0, *b"\xef\xbb\xbf");
            Some(&["body_bom_added"])
        },
        |_, sent| {
            sent.signed_body = BODY.replace("\":", "\": ").replace(",\"", ", \"").into();
            Some(&["body_reserialised: Spaced"])
        },
        |_, sent| {
            sent.signed_body = BODY.replace("12}", "12.00}").into();
            Some(&["body_numbers_rewritten"])
        },
        |_, sent| {
            sent.body = STANDARD.encode(&sent.body).into();
            Some(&["body_base64"])
        },
        |_, sent| {
            sent.body = serde_json::to_vec(BODY).unwrap();
            Some(&["body_double_encoded"])
        },
        // One of the body and one of the secret.
        |kind, sent| {
            sent.body.push(b'\n');
            sent.key = sent.secret.clone().into();
            (!kind.is_text()).then_some(&["secret_undecoded", "body_newline_added"])
        },
    ];
    each_is_named(&accidents);
}

#[track_caller]
fn each_is_named(accidents: &[Accident]) {
    let kinds = kinds();
    let mut failures = Vec::new();
    for (at, accident) in accidents.iter().enumerate() {
        let mut tried = 0;
        for kind in &kinds {
            let mut sent = kind.sent();
            let Some(causes) = accident(kind, &mut sent) else { continue };
            tried += 1;
            let diagnosis = kind.diagnosis(&sent);
            if caused(&diagnosis) != causes || diagnosis.is_verified() {
                failures.push(format!("{} {at}: {causes:?} {diagnosis:?}", kind.name));
            }
        }
        assert!(tried > 0, "{at} happens under no scheme");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
