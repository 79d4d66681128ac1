//! Finds the file of svix's crate that signs and verifies, where cargo unpacked it.

use std::path::Path;
use std::process::Command;

fn main() {
    let cargo = std::env::var_os("CARGO").unwrap();
    let output = Command::new(cargo).args(["metadata", "--locked", "--format-version=1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = String::from_utf8(output.stdout).unwrap();
    let is_svix = |path: &&str| path.contains("/svix-") && path.ends_with("/src/lib.rs");
    let library = metadata.split('"').find(is_svix).expect("svix is a dependency");
    let webhooks = Path::new(library).with_file_name("webhooks.rs");
    println!("cargo:rustc-env=SVIX_WEBHOOKS={}", webhooks.display());
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed={}", webhooks.display());
}
