//! Under each scheme, each accident that can happen to it is named: it, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::kinds::{BODY, Hash, Kind, SECONDS, Sent, Spelling, kinds};
use super::{caused, hinted};

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
    let accidents: [Accident; 14] = [
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

#[test]
fn what_was_done_to_the_headers_is_named_under_each_scheme() {
    for kind in kinds() {
        let sent = kind.sent();
        assert!(kind.diagnosis(&sent).is_verified(), "{}", kind.name);
        let right = kind.headers(&sent);
        let with = |value: &dyn Fn(&str) -> String| {
            let mut headers = right.clone();
            headers[1].1 = value(&right[1].1);
            headers
        };
        let named = |headers, causes: &[&str]| {
            let diagnosis = kind.diagnosis_of(&sent, &headers);
            assert_eq!(caused(&diagnosis), causes, "{} {headers:?} {diagnosis}", kind.name);
        };
        named(with(&|value| format!("\"{value}\"")), &["signature_quoted"]);
        if kind.separator != Some(' ') {
            named(with(&|value| format!("{value} ")), &["signature_padded"]);
        }
        named([&right[..], &right[1..2]].concat(), &["signature_repeated"]);
        if kind.separator.is_none() {
            named(with(&|value| format!("{value}, {value}")), &["signature_joined"]);
        }
        if kind.separator == Some(' ') {
            named(with(&|value| format!("{value}, v1,AAAA")), &["signature_joined"]);
        }
        let mut renamed = right.clone();
        renamed[1].0 = "x-forwarded-signature".to_owned();
        named(renamed, &["signature_in_other_header: x-forwarded-signature"]);
    }
}

#[test]
fn the_headers_of_another_family_are_named() {
    let kinds = kinds();
    let of = |name: &str| kinds.iter().find(|kind| kind.name == name).unwrap();
    let renamed = |at: &[usize]| {
        let mut headers = of("one family").headers(&of("one family").sent());
        for at in at {
            headers[*at].0 = headers[*at].0.replace("webhook-", "svix-");
        }
        headers
    };
    for (name, headers, causes) in [
        ("standard-webhooks", renamed(&[1, 2, 3]), &[][..]),
        ("one family", renamed(&[1, 2, 3]), &["headers_of_other_family: svix-"]),
        ("one family", renamed(&[2, 3]), &["headers_mixed"]),
        ("standard-webhooks", renamed(&[2, 3]), &["headers_mixed"]),
        ("standard-webhooks", renamed(&[1]), &["headers_mixed"]),
        ("standard-webhooks", [renamed(&[1, 2, 3]), renamed(&[])].concat(), &["headers_mixed"]),
        // The webhook does not read the headers of the other.
        ("one family", [renamed(&[1, 2, 3]), renamed(&[])].concat(), &[]),
        // What is missing from both families cannot be found.
        ("standard-webhooks", renamed(&[2]), &[]),
    ] {
        let diagnosis = of(name).diagnosis_of(&of(name).sent(), &headers);
        assert_eq!(caused(&diagnosis), causes, "{name} {headers:?} {diagnosis}");
    }
}

#[test]
fn a_delivery_in_the_form_of_another_provider_is_named() {
    let kinds = kinds();
    for (theirs, cause) in [
        ("stripe", "signature_of_stripe"),
        ("standard-webhooks", "signature_of_standard_webhooks"),
        ("slack", "signature_of_slack"),
        ("zoom", "signature_of_zoom"),
        ("paddle", "signature_of_paddle"),
    ] {
        let theirs = kinds.iter().find(|kind| kind.name == theirs).unwrap();
        let headers = theirs.headers(&theirs.sent());
        for ours in kinds.iter().filter(|ours| ours.header != theirs.header && ours.name != "milliseconds") {
            let diagnosis = ours.diagnosis_of(&theirs.sent(), &headers);
            assert_eq!(caused(&diagnosis), [cause], "{} {diagnosis}", ours.name);
        }
    }
}

#[test]
fn a_time_beyond_the_tolerance_is_told_with_its_distance() {
    let mut judged = 0;
    for kind in kinds().into_iter().filter(Kind::has_time) {
        let at = |now, body: &str| {
            let sent = Sent { now, body: body.into(), ..kind.sent() };
            let diagnosis = kind.diagnosis(&sent);
            (diagnosis.is_verified(), hinted(&diagnosis))
        };
        for now in [SECONDS - 300, SECONDS, SECONDS + 300] {
            assert_eq!(at(now, BODY), (true, Vec::new()), "{}", kind.name);
        }
        // Zoom's has no tolerance.
        let hints = |hints: &[&str]| -> Vec<String> {
            if kind.name == "zoom" { Vec::new() } else { hints.iter().map(ToString::to_string).collect() }
        };
        for (now, hint) in [(SECONDS + 7_201, "time_in_past: 7201"), (SECONDS - 301, "time_in_future: 301")] {
            assert_eq!(at(now, BODY), (true, hints(&["refused_afterwards: stale", hint])), "{}", kind.name);
            // Also where the signature would have to be mended first.
            assert_eq!(at(now, &format!("{BODY}\n")), (false, hints(&[hint])), "{}", kind.name);
            // Nor does it matter what else is wrong with the body.
            let sent = Sent { now, signed_body: b"[]".to_vec(), body: b"[]".to_vec(), ..kind.sent() };
            let told = hinted(&kind.diagnosis(&sent));
            assert!(kind.name == "zoom" || told == hints(&["refused_afterwards: stale", hint]), "{told:?}");
            judged += 1;
        }
    }
    assert_eq!(judged, 16);
}

/// The webhook reads no signature of such a header, so no accident elsewhere explains the refusal.
#[test]
fn what_is_refused_for_its_form_as_well_is_not_explained_by_a_secret() {
    let kinds = kinds();
    let stripe = kinds.iter().find(|kind| kind.name == "stripe").unwrap();
    let mut sent = stripe.sent();
    sent.others = vec![("staging".to_owned(), sent.secret.clone())];
    sent.secret = "whsec_of-another-endpoint".to_owned();
    for (more, causes) in [(15, &["secret_of_other: staging"][..]), (16, &[])] {
        let mut headers = stripe.headers(&sent);
        headers[1].1 += &format!(",v1={}", "ab".repeat(32)).repeat(more);
        assert_eq!(caused(&stripe.diagnosis_of(&sent, &headers)), causes, "{more}");
    }
}

#[test]
fn an_id_that_has_the_separator_is_a_hint() {
    for kind in kinds().into_iter().filter(Kind::has_id) {
        for id in ["msg.1", ""] {
            let mut headers = kind.headers(&kind.sent());
            headers[3].1 = id.to_owned();
            let diagnosis = kind.diagnosis_of(&kind.sent(), &headers);
            assert_eq!(
                (caused(&diagnosis), hinted(&diagnosis)),
                (vec![], vec!["signed_header_ambiguous".into()])
            );
        }
    }
}

#[test]
fn a_header_that_is_missing_is_a_hint_with_its_name() {
    for kind in kinds() {
        let right = kind.headers(&kind.sent());
        for at in 1..right.len() {
            let mut headers = right.clone();
            let (name, _) = headers.remove(at);
            let diagnosis = kind.diagnosis_of(&kind.sent(), &headers);
            let hint = if at == 1 {
                "signature_missing".to_owned()
            } else {
                format!("signed_header_missing: {name}")
            };
            assert_eq!((caused(&diagnosis), hinted(&diagnosis)), (vec![], vec![hint]), "{}", kind.name);
        }
    }
}
