//! What a forger sends has no cause under any scheme.

use fastrand::Rng;

use super::kinds::{BODY, Hash, SECONDS, Sent, Spelling, Time, kinds};
use super::{NONE, caused};

#[test]
fn a_genuine_message_is_no_body_that_was_signed_alone() {
    for kind in
        kinds().into_iter().filter(|kind| kind.has_time() && !["slack", "rfc3339"].contains(&kind.name))
    {
        let sent = kind.sent();
        let message =
            sent.template.replace("{header:webhook-id}", "msg_1").replace("{timestamp}", &sent.time);
        let body = message.replace("{body}", BODY).into_bytes();
        assert_eq!(caused(&kind.diagnosis(&Sent { body, ..sent })), NONE, "{}", kind.name);
    }
}

#[test]
fn a_forgery_has_no_cause_under_any_scheme() {
    let mut rng = Rng::with_seed(20_261_128);
    let mut hashes = 0;
    for kind in kinds() {
        for round in 0..12 {
            let mut sent = kind.sent();
            let length = [32, 20, 64, if kind.hash == Hash::Sha512 { 64 } else { 32 }][round % 4];
            sent.tag = Some((0..length).map(|_| rng.u8(..)).collect());
            let spellings =
                [Spelling::Hex, Spelling::Base64, Spelling::UrlBare, Spelling::Upper, kind.spelling];
            sent.spelling = spellings[round % 5];
            if round % 3 == 1 {
                sent.label = ["", "v0=", "sha256=", "v2,"][rng.usize(..4)].to_owned();
            }
            if round % 3 == 2 {
                sent.time = [format!("{SECONDS}000"), "2021-02-25T15:02:10Z".into()][rng.usize(..2)].clone();
            }
            let mut headers = kind.headers(&sent);
            if kind.time == Time::None {
                headers.push(("x-timestamp".to_owned(), SECONDS.to_string()));
            }
            let diagnosis = kind.diagnosis_of(&sent, &headers);
            assert_eq!(diagnosis.code(), "no_known_cause", "{} {round} {diagnosis:?}", kind.name);
            hashes += diagnosis.hashes();
        }
    }
    println!("{hashes} hashes");
    assert!(hashes > 30_000, "{hashes}: the search has shrunk");
}
