//! `countersign sign`: what a provider would send with a body.

use super::receiver::{Notes, genuine};
use super::support::*;

#[test]
fn the_headers_are_the_providers_own_and_verify() {
    for (provider, body, lines) in [
        (
            "quote3d",
            COMPLETED,
            vec![
                "content-type: application/json".to_owned(),
                "x-webhook-event: quote.completed".to_owned(),
                format!("x-webhook-signature: {}", sign(QUOTE3D, COMPLETED.as_bytes())),
            ],
        ),
        (
            "nowtoprint",
            RECEIVED,
            vec![
                "content-type: application/json".to_owned(),
                format!("x-webhook-signature: {}", sign(NOWTOPRINT, RECEIVED.as_bytes())),
            ],
        ),
        (
            "3qpr",
            SCANNED,
            vec![
                "content-type: application/json".to_owned(),
                format!("x-3qpr-signature: {}", sign(THREEQPR, SCANNED.as_bytes())),
            ],
        ),
    ] {
        let signed = run(&mut program(&["sign", "--provider", provider]), body.as_bytes());
        assert_eq!(signed.is(0).out.lines().collect::<Vec<_>>(), lines);
        let json = run(&mut program(&["sign", "--provider", provider, "--json"]), body.as_bytes());
        run(&mut program(&["verify", "--lines"]), json.is(0).out.as_bytes()).is(0).says("accepted");
    }
}

#[test]
fn a_body_is_signed_to_its_last_byte_whatever_it_is() {
    for body in [&b""[..], b"\n", b"\0\xff", b"{}\n"] {
        let signed = run(&mut program(&["sign", "--provider", "3qpr", "--json"]), body);
        assert!(signed.is(0).out.contains(&sign(THREEQPR, body)), "{body:?}");
        // It verifies, and is then no envelope.
        let verified = run(&mut program(&["verify", "--lines", "--json"]), signed.out.as_bytes());
        assert_eq!(verified.is(1).json()[0]["error"], "malformed_payload");
    }
    run(&mut program(&["sign", "--provider", "quote3d"]), b"{}").is(2).says("names no event");
    run(&mut program(&["sign", "--provider", "quote3d"]), br#"{"event":"a\nb"}"#)
        .is(2)
        .says("not valid in a header");
}

#[test]
fn the_previous_secret_and_another_header_can_be_asked_for() {
    let arguments = ["sign", "--provider", "3qpr", "--previous-secret", "--signature-header", "X-Other"];
    run(&mut program(&arguments), b"{}").is(0).says(&format!("x-other: {}", sign(PREVIOUS, b"{}")));
}

#[test]
fn the_curl_command_delivers_every_byte() {
    let address = genuine();
    let (notes, noted) = Notes::answering(200);
    let bodies =
        [COMPLETED, "{\"event\":\"a'b\",\"data\":\"$(id) `id` \\\\ ! \u{e9}\"}", "@{\"event\":\"x\"}\n\n"];
    for (at, body) in bodies.iter().enumerate() {
        let url = format!("http://{noted}/webhooks/nowtoprint");
        let command =
            run(&mut program(&["sign", "--provider", "nowtoprint", "--curl", &url]), body.as_bytes()).out;
        let ran = curl(&command);
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        let got = &notes.got()[at];
        assert_eq!(got.body, body.as_bytes());
        assert_eq!(got.headers["x-webhook-signature"], sign(NOWTOPRINT, body.as_bytes()));
        assert_eq!(got.headers["content-type"], "application/json");
    }
    let url = format!("http://{address}/webhooks/quote3d");
    let command =
        run(&mut program(&["sign", "--provider", "quote3d", "--curl", &url]), COMPLETED.as_bytes()).out;
    let command = command.replacen("curl", "curl -o /dev/null -w '%{http_code}'", 1);
    assert_eq!(curl(&command).stdout, b"200");
}
