//! Each accident of a secret or a header, made to happen by a tool, is named: it, and nothing else.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Cause, Diagnoser, Diagnosis};
use countersign::provider::{Quote3d, ThreeQpr};
use countersign::{Secrets, Signature};

use super::tools::Tool::{self, Node, Python, Shell};
use super::{HEADER, NONE, SECRET, caused, check_redacted, secret, sign};

const BODY: &[u8] = br#"{"event":"scan.created","id":"evt_1","data":{"city":"Z\u00fcrich"}}"#;
const HEX_SECRET: &str = "7f3e0c5da9b14e27886f1d2c3b4a59687f3e0c5da9b14e27886f1d2c3b4a5968";

/// What is known of secrets as files: `KEY="…"` with the quotes kept, and a line with its end.
const UNQUOTED_BY_NOBODY: Tool = Shell(
    "file=$(mktemp); printf 'HOOK=\"%s\"\\n' \"$(cat)\" >$file; grep ^HOOK= $file | cut -d= -f2- | tr -d '\\n'; rm $file",
);
const SINGLE_QUOTES: Tool = Shell(
    "file=$(mktemp); printf \"HOOK='%s'\\n\" \"$(cat)\" >$file; cut -d= -f2- $file | tr -d '\\n'; rm $file",
);
const LINE_OF_A_FILE: Tool = Shell("file=$(mktemp); echo \"$(cat)\" >$file; cat $file; rm $file");
const LINE_OF_WINDOWS: Tool = Shell("echo \"$(cat)\" | sed 's/$/\\r/'");
const ENV_FILE_READ_BY_A_SHELL: Tool = Shell(
    "file=$(mktemp); printf 'HOOK=\"%s\n\"\\n' \"$(cat)\" >$file; . $file; printf %s \"$HOOK\"; rm $file",
);

fn diagnose(diagnoser: &Diagnoser<ThreeQpr>, headers: &[(&str, &[u8])], signature: &str) -> Diagnosis {
    let diagnosis = diagnoser.diagnose(headers.iter().copied(), BODY);
    let shown = [format!("{diagnoser:?}"), format!("{diagnosis:?}"), diagnosis.to_string()];
    check_redacted(&shown, &[], signature, BODY);
    diagnosis
}

#[test]
fn what_was_done_to_the_secret_is_named() {
    const SAME: Tool = Shell("cat");
    // The provider's, of which one tool makes its key and another what we have.
    let cases: [(&str, Tool, Tool, &[&str]); 27] = [
        (SECRET, LINE_OF_A_FILE, SAME, &["secret_signed_with_whitespace"]),
        (SECRET, LINE_OF_WINDOWS, SAME, &["secret_signed_with_whitespace"]),
        (SECRET, ENV_FILE_READ_BY_A_SHELL, SAME, &["secret_signed_with_whitespace"]),
        (SECRET, Shell("cat; printf ' '"), SAME, &["secret_signed_with_whitespace"]),
        (SECRET, Shell("printf ' '; cat"), SAME, &["secret_signed_with_whitespace"]),
        (SECRET, SAME, Python("body.decode().encode('utf-8-sig')"), &["secret_padded"]),
        (SECRET, SAME, Node("body + '\\u200b'"), &["secret_padded"]),
        (SECRET, SAME, Python("' ' + body.decode() + '\\x01'"), &["secret_padded"]),
        (SECRET, SAME, UNQUOTED_BY_NOBODY, &["secret_quoted"]),
        (SECRET, SAME, SINGLE_QUOTES, &["secret_quoted"]),
        (SECRET, UNQUOTED_BY_NOBODY, SAME, &["secret_signed_with_quotes"]),
        (SECRET, SINGLE_QUOTES, SAME, &["secret_signed_with_quotes"]),
        (SECRET, Node("body.toString().replace('whsec_', '')"), SAME, &["secret_prefix_dropped"]),
        (SECRET, SAME, Node("body.toString().replace('whsec_', '')"), &["secret_prefix_missing"]),
        (
            SECRET,
            Node("Buffer.from(body.toString().replace('whsec_', ''), 'base64')"),
            SAME,
            &["secret_prefix_dropped", "secret_base64_decoded"],
        ),
        (
            SECRET,
            Node("Buffer.from(body.toString().replace('whsec_', '')).toString('hex')"),
            SAME,
            &["secret_prefix_dropped", "secret_hex_encoded"],
        ),
        (
            SECRET,
            Python("base64.b64decode(body.decode().removeprefix('whsec_'))"),
            Node("body.toString().replace('whsec_', '')"),
            &["secret_base64_decoded"],
        ),
        (&SECRET[6..], SAME, Node("Buffer.from(body.toString(), 'base64')"), &["secret_base64_encoded"]),
        (&SECRET[6..], Node("Buffer.from(body.toString(), 'base64')"), SAME, &["secret_base64_decoded"]),
        (
            "dGhl-W5ld2Vz_C1zZWNyZXQtb2Yt",
            Node("Buffer.from(body.toString(), 'base64url')"),
            SAME,
            &["secret_base64_decoded"],
        ),
        (HEX_SECRET, Python("bytes.fromhex(body.decode())"), SAME, &["secret_hex_decoded"]),
        (HEX_SECRET, SAME, Node("Buffer.from(body.toString(), 'hex')"), &["secret_hex_encoded"]),
        (
            SECRET,
            Node("body.toString().replace('whsec_', '')"),
            UNQUOTED_BY_NOBODY,
            &["secret_quoted", "secret_prefix_dropped"],
        ),
        (SECRET, LINE_OF_A_FILE, UNQUOTED_BY_NOBODY, &["secret_quoted", "secret_signed_with_whitespace"]),
        (
            HEX_SECRET,
            Python("bytes.fromhex(body.decode())"),
            SINGLE_QUOTES,
            &["secret_quoted", "secret_hex_decoded"],
        ),
        (
            SECRET,
            Node("Buffer.from(body.toString().replace('whsec_', ''), 'base64')"),
            Node("'\\ufeff' + body.toString().replace('whsec_', '')"),
            &["secret_padded", "secret_base64_decoded"],
        ),
        (SECRET, Shell("printf another-secret-altogether"), SAME, &[]),
    ];
    for (issued, theirs, ours, causes) in cases {
        let Some(key) = theirs.run(issued.as_bytes()) else { continue };
        let Some(ours) = ours.run(issued.as_bytes()) else { continue };
        let hex_key = hex::encode(&key);
        // Signed with another HMAC than this crate's, whose secrets have no white space at an end.
        let signing = "hmac.new(bytes.fromhex(body.decode().split()[0]), bytes.fromhex(body.decode().split()[1]), \
                       'sha256').hexdigest()";
        let Some(tag) = Python(signing).run(format!("{hex_key} {}", hex::encode(BODY)).as_bytes()) else {
            continue;
        };
        let signature = format!("sha256={}", String::from_utf8(tag).unwrap());
        let diagnoser = Diagnoser::new(secret(&*ours).with_label("HOOK")).unwrap();
        let diagnosis = diagnose(&diagnoser, &[(HEADER, signature.as_bytes())], &signature);
        let shown = [format!("{diagnoser:?}"), format!("{diagnosis:?}"), diagnosis.to_string()];
        check_redacted(&shown, &[&ours, &key], &signature, BODY);
        assert_eq!(caused(&diagnosis), causes, "{theirs:?}: {diagnosis}");
        assert_eq!(diagnosis.secret_label(), (!causes.is_empty()).then_some("HOOK"));
    }
}

#[test]
fn a_secret_of_another_is_named_by_the_name_it_was_given() {
    let ours = || {
        Secrets::new(secret("whsec_of-this-endpoint-1"))
            .with_older(secret("whsec_of-this-endpoint-0"))
            .unwrap()
    };
    let signature = sign(BODY);
    let headers = [(HEADER, signature.as_bytes())];
    let staging =
        Secrets::new(secret("whsec_of-staging-2026")).with_older(secret(SECRET).with_label("2025")).unwrap();
    let diagnoser = Diagnoser::<ThreeQpr>::new(ours())
        .unwrap()
        .with_other("quote3d", secret("whsec_of-quote3d-2026"))
        .with_other("staging", staging);
    let diagnosis = diagnose(&diagnoser, &headers, &signature);
    assert_eq!(caused(&diagnosis), ["secret_of_other: staging"]);
    assert_eq!(diagnosis.secret_label(), Some("2025"));
    assert!(diagnosis.to_string().contains("signed with the secret of staging\n  cure: "), "{diagnosis}");

    let quoted =
        Diagnoser::<ThreeQpr>::new(ours()).unwrap().with_other("old", secret(format!("\"{SECRET}\"")));
    let diagnosis = diagnose(&quoted, &headers, &signature);
    assert_eq!(caused(&diagnosis), ["secret_of_other: old", "secret_quoted"]);

    // Without the other, there is nothing to say.
    let diagnosis = diagnose(&Diagnoser::new(ours()).unwrap(), &headers, &signature);
    assert_eq!((diagnosis.code(), diagnosis.hints()), ("no_known_cause", &[][..]));
}

#[test]
fn what_was_done_to_the_header_is_named() {
    // A tool makes the value of the secret, a line end, and the body.
    const HMAC: &str = "hmac.new(body.split(b'\\n')[0], body.split(b'\\n')[1], ";
    let python = |rest: &str| {
        let expression = rest.replace("HMAC(", HMAC);
        Python(Box::leak(expression.into_boxed_str()))
    };
    let cases: Vec<(&str, Tool, &[&str])> = vec![
        (HEADER, python("'sha256=' + HMAC('sha256').hexdigest().upper()"), &["signature_upper_case"]),
        (HEADER, python("HMAC('sha256').hexdigest()"), &["signature_prefix_missing"]),
        (HEADER, python("'SHA256=' + HMAC('sha256').hexdigest()"), &["signature_prefix_other"]),
        (HEADER, python("'v1:' + HMAC('sha256').hexdigest()"), &["signature_prefix_other"]),
        (HEADER, python("b'sha256=' + base64.b64encode(HMAC('sha256').digest())"), &["signature_base64"]),
        (
            HEADER,
            python("b'sha256=' + base64.urlsafe_b64encode(HMAC('sha256').digest()).rstrip(b'=')"),
            &["signature_base64"],
        ),
        (
            HEADER,
            python("base64.b64encode(HMAC('sha256').digest())"),
            &["signature_base64", "signature_prefix_missing"],
        ),
        (
            HEADER,
            Node(
                "(([k, b]) => crypto.createHmac('sha256', k).update(b).digest('base64'))(body.toString().split('\\n'))",
            ),
            &["signature_base64", "signature_prefix_missing"],
        ),
        (HEADER, python("'sha1=' + HMAC('sha1').hexdigest()"), &["signature_sha1"]),
        (HEADER, python("'sha512=' + HMAC('sha512').hexdigest()"), &["signature_sha512"]),
        (HEADER, python("'sha256=' + HMAC('sha512').hexdigest()"), &["signature_sha512"]),
        (
            HEADER,
            Shell(
                "read -r key; printf sha1=; openssl dgst -sha1 -hmac \"$key\" | sed 's/.*= *//' | tr -d '\\n'",
            ),
            &["signature_sha1"],
        ),
        (
            HEADER,
            Shell("read -r key; openssl dgst -sha512 -hmac \"$key\" -binary | openssl base64 -A"),
            &["signature_base64", "signature_sha512", "signature_prefix_missing"],
        ),
        (
            HEADER,
            Shell("read -r key; printf sha256=; sha256sum | cut -c 1-64 | tr -d '\\n'"),
            &["signature_without_secret"],
        ),
        (HEADER, python("' sha256=' + HMAC('sha256').hexdigest() + ' '"), &["signature_padded"]),
        (HEADER, python("'sha256= ' + HMAC('sha256').hexdigest()"), &["signature_padded"]),
        (HEADER, python("'sha256=' + HMAC('sha256').hexdigest() + '\\n'"), &["signature_padded"]),
        (HEADER, python("json.dumps('sha256=' + HMAC('sha256').hexdigest())"), &["signature_quoted"]),
        (HEADER, python("'sha256=' + repr(HMAC('sha256').hexdigest())"), &["signature_quoted"]),
        (
            HEADER,
            Node(
                "(([k, b]) => { const h = new Headers(), tag = crypto.createHmac('sha256', k).update(b).digest('hex'); \
                 h.append('x', 'sha256=' + 'ab'.repeat(32)); h.append('x', 'sha256=' + tag); return h.get('x') }) \
                 (body.toString().split('\\n'))",
            ),
            &["signature_joined"],
        ),
        (HEADER, python("','.join(['sha256=' + HMAC('sha256').hexdigest()] * 2)"), &["signature_joined"]),
        ("X-Hub-Signature-256", python("'sha256=' + HMAC('sha256').hexdigest()"), &[]),
        ("HTTP_X_3QPR_SIGNATURE", python("'sha256=' + HMAC('sha256').hexdigest()"), &[]),
        (
            "X-Shopify-Hmac-SHA256",
            python("base64.b64encode(HMAC('sha256').digest())"),
            &["signature_base64", "signature_prefix_missing"],
        ),
        ("X-Hub-Signature", python("'sha1=' + HMAC('sha1').hexdigest()"), &["signature_sha1"]),
        (
            "Stripe-Signature",
            python(
                "'t=1614265330,v1=' + hmac.new(body.split(b'\\n')[0], b'1614265330.' + body.split(b'\\n')[1], \
                 'sha256').hexdigest() + ',v0=' + 'ab' * 32",
            ),
            &["signature_of_stripe"],
        ),
        (
            HEADER,
            python(
                "'t=1614265330, v1=' + hmac.new(body.split(b'\\n')[0], b'1614265330.' + body.split(b'\\n')[1], \
                 'sha256').hexdigest()",
            ),
            &["signature_of_stripe", "signature_padded"],
        ),
        (
            "webhook-signature",
            python(
                "b'v1,' + base64.b64encode(hmac.new(base64.b64decode(body.split(b'\\n')[0][6:]), \
                 b'msg_1.1614265330.' + body.split(b'\\n')[1], 'sha256').digest())",
            ),
            &["signature_of_standard_webhooks"],
        ),
        (
            "svix-signature",
            python(
                "b'v1a,AAAA v1,' + base64.b64encode(hmac.new(body.split(b'\\n')[0], \
                 b'msg_1.1614265330.' + body.split(b'\\n')[1], 'sha256').digest())",
            ),
            &["signature_of_standard_webhooks", "secret_undecoded"],
        ),
        (
            "X-Acme-Signature",
            python(
                "b'v1,' + base64.b64encode(hmac.new(body.split(b'\\n')[0], \
                 b'msg_1.1614265330.' + body.split(b'\\n')[1], 'sha256').digest())",
            ),
            &["signature_of_standard_webhooks", "secret_undecoded"],
        ),
    ];
    let input = [SECRET.as_bytes(), b"\n", BODY].concat();
    for (name, tool, causes) in cases {
        let Some(value) = tool.run(&input) else { continue };
        // The schemes that have headers of their own say so themselves.
        let is_other = ![HEADER, "Stripe-Signature", "webhook-signature", "svix-signature"].contains(&name);
        let name = name.to_owned();
        let other = is_other.then(|| format!("signature_in_other_header: {}", name.to_ascii_lowercase()));
        let causes: Vec<_> = other.into_iter().chain(causes.iter().map(ToString::to_string)).collect();
        let prefix = if name.starts_with("svix") { "svix" } else { "webhook" };
        let (id, time) = (format!("{prefix}-id"), format!("{prefix}-timestamp"));
        let headers = [("Host", &b"localhost"[..]), (&id, b"msg_1"), (&time, b"1614265330"), (&name, &value)];
        let signature = String::from_utf8(value.clone()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
        let diagnoser = Diagnoser::new(secret(SECRET)).unwrap().with_clock(move || at);
        let diagnosis = diagnose(&diagnoser, &headers, &signature);
        assert_eq!(caused(&diagnosis), causes, "{tool:?}: {diagnosis}");
        assert_eq!(diagnosis.hints(), [], "{tool:?}");
    }
}

#[test]
fn a_header_that_is_there_twice_is_named() {
    let right = sign(BODY);
    let wrong = sign(b"another");
    for values in [[&right, &right], [&wrong, &right], [&right, &wrong]] {
        let headers = values.map(|value| (HEADER, value.as_bytes()));
        let diagnosis = diagnose(&Diagnoser::new(secret(SECRET)).unwrap(), &headers, &right);
        assert_eq!(caused(&diagnosis), ["signature_repeated"], "{diagnosis}");
    }
}

/// Where the scheme signs more, a body alone is one only if it is JSON.
#[test]
fn a_hash_without_a_secret_is_named_of_any_body_that_is_signed_alone() {
    // `printf hello | sha256sum`
    let value = "sha256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let diagnosis =
        Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose([(HEADER, value.as_bytes())], b"hello");
    assert_eq!(caused(&diagnosis), ["signature_without_secret"], "{diagnosis}");
}

/// With the fewest accidents; of two such headers, the first.
#[test]
fn a_signature_that_is_in_two_headers_is_named_once() {
    let right = sign(BODY);
    let quoted = format!("\"{}\"", &right[7..]);
    let (own, a, b) = ((HEADER, &*quoted), ("x-a-signature", &*right), ("x-b-signature", &*right));
    for headers in [&[a, b][..], &[own, a], &[own, a, b]] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let diagnosis = diagnose(&Diagnoser::new(secret(SECRET)).unwrap(), &headers, &right);
        assert_eq!(caused(&diagnosis), ["signature_in_other_header: x-a-signature"], "{diagnosis}");
    }
}

#[test]
fn accidents_of_all_three_together_are_named() {
    let signature = sign(br#"{"event": "quote.failed"}"#)[7..].to_uppercase();
    let diagnoser = Diagnoser::<Quote3d>::new(secret(format!("'{SECRET}'"))).unwrap();
    let headers = [("x-webhook-signature", format!("sha256={signature}"))];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let diagnosis = diagnoser.diagnose(headers, br#"{"event":"quote.failed"}"#);
    let codes: Vec<_> = diagnosis.causes().iter().map(Cause::code).collect();
    assert_eq!(codes, ["signature_upper_case", "secret_quoted", "body_reserialised"]);
    assert_eq!(diagnosis.code(), "signature_upper_case");
}

#[test]
fn a_genuine_body_cut_in_two_is_of_no_scheme() {
    // A signature that whoever sent it has seen, of a body that is then cut where the scheme has a period.
    let genuine = br#"{"event":"scan.created","id":"evt_1.2"}"#;
    let tag = Signature::sign(&secret(SECRET), genuine).to_string().split_off("sha256=".len());
    let theirs = STANDARD.encode(hex::decode(&tag).unwrap());
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap();
    for at in (0..genuine.len()).filter(|at| genuine[*at] == b'.') {
        let (before, rest) = (&genuine[..at], &genuine[at + 1..]);
        let stripe = [b"t=", before, b",v1=", tag.as_bytes()].concat();
        let diagnosis = diagnoser.diagnose([("stripe-signature", &*stripe)], rest);
        assert_eq!(caused(&diagnosis), NONE, "{diagnosis}");
    }
    let [id, timestamp, rest] = genuine.splitn(3, |byte| *byte == b'.').collect::<Vec<_>>()[..] else {
        panic!("two periods")
    };
    let value = format!("v1,{theirs}");
    let headers =
        [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", value.as_bytes())];
    assert_eq!(caused(&diagnoser.diagnose(headers, rest)), NONE);
}

#[test]
fn an_id_and_a_time_are_what_the_schemes_say() {
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap();
    const TIME: &str = "1614265330";
    let ids = ["a".repeat(256), "a".repeat(257)];
    let cases = [
        ("msg_1", TIME, true),
        ("msg-1:a/b", "9999999999", true),
        (&*ids[0], TIME, true),
        ("msg_1", "1", false),
        ("msg_1", "16142653300", false),
        ("msg_1", "", false),
        ("msg_1", "-1", false),
        ("msg_1", "1614265330a", false),
        ("", TIME, false),
        ("msg 1", TIME, false),
        ("msg\"1", TIME, false),
        ("{msg", TIME, false),
        ("müg", TIME, false),
        (&*ids[1], TIME, false),
    ];
    for (id, time, is_theirs) in cases {
        let tag = |before: String| {
            let signature = Signature::sign(&secret(SECRET), &[before.as_bytes(), BODY].concat()).to_string();
            hex::decode(&signature["sha256=".len()..]).unwrap()
        };
        let value = format!("v1,{}", STANDARD.encode(tag(format!("{id}.{time}."))));
        let headers = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", &*value)];
        let diagnosis = diagnoser.diagnose(headers.map(|(name, value)| (name, value.as_bytes())), BODY);
        let causes = ["signature_of_standard_webhooks", "secret_undecoded"];
        assert_eq!(caused(&diagnosis), if is_theirs { &causes[..] } else { &[] }, "{id} {time}");

        let value = format!("t={time},v1={}", hex::encode(tag(format!("{time}."))));
        let diagnosis = diagnoser.diagnose([("stripe-signature", value.as_bytes())], BODY);
        let is_time = time.len() == 10 && time.bytes().all(|byte| byte.is_ascii_digit());
        assert_eq!(caused(&diagnosis), &["signature_of_stripe"][..usize::from(is_time)], "{time}");
    }
}
