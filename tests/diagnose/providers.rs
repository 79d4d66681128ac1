//! A delivery in the form of a provider that is known is named under each other scheme, with all that would still refuse
//! it.

use super::kinds::{Hash, Headers, Kind, SECONDS, Sent, Spelling, declared, kinds};
use super::{caused, hinted};

const KNOWN: [(&str, &str); 5] = [
    ("stripe", "signature_of_stripe"),
    ("standard-webhooks", "signature_of_standard_webhooks"),
    ("slack", "signature_of_slack"),
    ("zoom", "signature_of_zoom"),
    ("paddle", "signature_of_paddle"),
];

pub(crate) fn kind(name: &str) -> Kind {
    kinds().into_iter().find(|kind| kind.name == name).unwrap()
}

/// Each known provider, its cause, and each scheme that names the cause. The scheme in hex cannot have the secret.
fn each(check: impl Fn(&Kind, &str, &Kind)) {
    for (theirs, cause) in KNOWN {
        let theirs = kind(theirs);
        let is_other = |ours: &Kind| ours.header != theirs.header && ours.name != "milliseconds";
        kinds().iter().filter(|ours| is_other(ours)).for_each(|ours| check(&theirs, cause, ours));
    }
}

#[test]
fn a_delivery_in_the_form_of_another_provider_is_named() {
    each(|theirs, cause, ours| {
        let diagnosis = ours.diagnosis_of(&theirs.sent(), &theirs.headers(&theirs.sent()));
        assert_eq!(caused(&diagnosis), [cause], "{} {diagnosis}", ours.name);
        assert_eq!(diagnosis.hints(), [], "{}", ours.name);
    });
}

/// Also where the header is the scheme's own, and the scheme signs the body alone.
#[test]
fn the_form_is_named_in_its_own_header() {
    for (theirs, cause) in KNOWN {
        let theirs = kind(theirs);
        let row = format!(r#"{{"name":"a","signature":{{"header":"{}"}}}}"#, theirs.header);
        let diagnosis = declared(&row, &theirs.sent(), &theirs.headers(&theirs.sent()));
        assert_eq!(caused(&diagnosis), [cause], "{diagnosis}");
    }
}

#[test]
fn its_age_is_judged_by_the_other_provider() {
    each(|theirs, cause, ours| {
        for (now, hint) in [
            (SECONDS - 300, None),
            (SECONDS + 300, None),
            (SECONDS + 7_201, Some("time_in_past: 7201")),
            (SECONDS - 301, Some("time_in_future: 301")),
        ] {
            let sent = Sent { now, ..theirs.sent() };
            let diagnosis = ours.diagnosis_of(&sent, &theirs.headers(&sent));
            // Zoom's has no tolerance.
            let hint = hint.filter(|_| theirs.name != "zoom");
            assert_eq!(
                (caused(&diagnosis), hinted(&diagnosis)),
                (vec![cause.to_owned()], hint.into_iter().map(str::to_owned).collect()),
                "{}",
                ours.name
            );
        }
    });
}

#[test]
fn what_else_was_done_to_its_signature_is_named() {
    each(|theirs, cause, ours| {
        let right = theirs.headers(&theirs.sent());
        let check = |headers: Headers, causes: &[&str]| {
            let diagnosis = ours.diagnosis_of(&theirs.sent(), &headers);
            assert_eq!(caused(&diagnosis), causes, "{} {headers:?} {diagnosis}", ours.name);
        };
        check([&right[..], &right[1..2]].concat(), &["signature_repeated", cause]);
        let mut quoted = right.clone();
        quoted[1].1 = format!("\"{}\"", quoted[1].1);
        check(quoted, &[cause, "signature_quoted"]);
        if theirs.separator == Some(',') {
            let mut padded = right.clone();
            padded[1].1 = padded[1].1.replace(',', ", ");
            check(padded, &[cause, "signature_padded"]);
        }
        let (spelling, other) = match theirs.spelling {
            Spelling::Hex => (Spelling::Base64, "signature_base64"),
            _ => (Spelling::Hex, "signature_hex"),
        };
        check(theirs.headers(&Sent { spelling, ..theirs.sent() }), &[cause, other]);
        check(theirs.headers(&Sent { hash: Hash::Sha1, ..theirs.sent() }), &[cause, "signature_sha1"]);
        if let Some(separator) = theirs.separator {
            let mut many = right.clone();
            many[1].1 +=
                &format!("{separator}{}{}", theirs.label, super::kinds::spelled(&[7; 32], theirs.spelling))
                    .repeat(16);
            check(many, &["too_many_signatures", cause]);
        }
    });
}

#[test]
fn the_family_of_its_headers_is_named() {
    let (github, theirs) = (kind("github"), kind("standard-webhooks"));
    let renamed = |at: &[usize], beginning: &str, id: &str| {
        let mut headers = theirs.headers(&theirs.sent());
        at.iter().for_each(|at| headers[*at].0 = headers[*at].0.replace("webhook-", beginning));
        headers[3].1 = id.to_owned();
        headers
    };
    let in_acme = |id: &str, beginning: &str| {
        let mut headers = renamed(&[2, 3], beginning, id);
        headers[1].0 = "x-acme-signature".to_owned();
        headers
    };
    const FORM: &str = "signature_of_standard_webhooks";
    const ACME: &str = "signature_in_other_header: x-acme-signature";
    for (headers, causes) in [
        (renamed(&[1, 2, 3], "svix-", "msg_1"), &[FORM][..]),
        // The signature is in one family, and what it covers in the other.
        (renamed(&[1], "svix-", "msg_1"), &["headers_mixed", FORM]),
        (renamed(&[2, 3], "svix-", "msg_1"), &["headers_mixed", FORM]),
        // Both families are there.
        (
            [renamed(&[1, 2, 3], "svix-", "msg_1"), renamed(&[], "", "msg_1")].concat(),
            &["headers_mixed", FORM],
        ),
        // Both are there but for the signature, which covers one of them.
        (in_acme("msg_1", "svix-"), &[ACME, FORM]),
        ([in_acme("msg_1", "svix-"), renamed(&[], "", "msg_0")[2..].to_vec()].concat(), &[ACME, FORM]),
        (
            [in_acme("msg_1", "webhook-"), renamed(&[2, 3], "svix-", "msg_0")[2..].to_vec()].concat(),
            &[ACME, FORM],
        ),
    ] {
        let diagnosis = github.diagnosis_of(&theirs.sent(), &headers);
        assert_eq!(caused(&diagnosis), causes, "{headers:?} {diagnosis}");
    }
}
