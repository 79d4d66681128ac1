//! That a user who asks for AWS-LC's FIPS module, as the crate's documentation says, gets it.
//!
//! ```text
//! $ cargo run --locked --manifest-path checks/fips/Cargo.toml
//! ```
//!
//! It takes CMake, Go and some minutes to build, so `.ci/run` leaves it out. Last run on 2026-11-22, with
//! aws-lc-fips-sys 0.14.4.

use countersign::{Secret, Signature, Verifier};

fn main() {
    aws_lc_rs::try_fips_mode().expect("the FIPS module runs, and has passed its own tests");
    let secret = Secret::new("It's a Secret to Everybody").expect("long enough");
    // GitHub documents this vector.
    let signature = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signature = Signature::parse(signature).expect("well formed");
    assert_eq!(Signature::sign(&secret, b"Hello, World!"), signature);
    let verifier = Verifier::new(secret);
    assert!(verifier.verify(b"Hello, World!", &signature).is_ok());
    assert!(verifier.verify(b"Hello, World?", &signature).is_err());
    println!("the MAC is the FIPS module's");
}
