//! The public API of each package with all features, as `tests/data/public_api` lists it.
//!
//! rustdoc's JSON changes with the compiler, so the compiler is named here; a stable one, told to
//! act as nightly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const COMPILER: &str = "1.95.0";
const UPDATE: &str = "UPDATE=1 cargo test --package public_api";

/// Whose types the API may name, and why. Any other is private, so that it can be replaced or raised to
/// its next major version without breaking a user.
const ALLOWED: [(&str, &str); 15] = [
    ("actix_http", "what actix-web's own traits name; feature `actix-web`"),
    ("actix_web", "its extractors and responders are what the feature `actix-web` is for"),
    ("axum_core", "its extractors and responses are what the feature `axum` is for"),
    ("bytes", "the pieces in which actix-web gives a body, as `actix_web::web::Bytes`"),
    ("futures_core", "the stream as which actix-web gives a body"),
    ("http", "its header types are what everybody has in hand; re-exported"),
    ("http_body", "the body of a request that is generic over it; feature `tower`"),
    ("countersign", "the stores keep its contract; their own major version follows its"),
    ("redis", "the connection is the user's own; re-exported by countersign-redis"),
    ("serde_core", "events and payloads are read and written with serde, by types of the user's too"),
    ("sqlx_core", "the pool and the transaction are the user's own; re-exported by countersign-sqlx"),
    ("sqlx_postgres", "as `sqlx_core`"),
    ("sqlx_sqlite", "as `sqlx_core`"),
    ("tower_layer", "a layer is what the feature `tower` is for"),
    ("tower_service", "and so is a service"),
];

/// The standard library, which every API may name.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

/// The packages that are published as libraries, and their crates.
const LIBRARIES: [(&str, &str); 3] = [
    ("countersign", "countersign"),
    ("countersign-redis", "countersign_redis"),
    ("countersign-sqlx", "countersign_sqlx"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// One item a line, without what every type has alike.
fn listing(package: &str, name: &str) -> String {
    let target = root().join("target");
    let status = Command::new("cargo")
        .arg(format!("+{COMPILER}"))
        .args(["rustdoc", "--locked", "--quiet", "--lib", "--all-features", "--package", package])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"])
        // rustdoc alone acts as nightly: what it reads is the documentation's own build.
        .env("RUSTDOC", root().join("checks/rustdoc_as_nightly"))
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "`rustup toolchain install {COMPILER} --profile minimal` first"
    );
    let api = public_api::Builder::from_rustdoc_json(target.join(format!("doc/{name}.json")))
        .omit_blanket_impls(true)
        .build()
        .unwrap();
    let mut listing = String::new();
    for item in api.items() {
        let line = item.to_string();
        // Of the traits that the compiler implements, those that people rely on.
        let trifle = [
            "marker::Freeze for",
            "marker::StructuralPartialEq for",
            "marker::UnsafeUnpin for",
            "UnwindSafe for",
        ];
        if !trifle.iter().any(|name| line.contains(name)) {
            writeln!(listing, "{line}").unwrap();
        }
    }
    listing
}

/// The crates that a line's paths begin with.
fn crates(line: &str) -> BTreeSet<&str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = line.as_bytes();
    line.match_indices("::")
        .filter_map(|(end, _)| {
            let start = (0..end).rev().take_while(|at| is_name(bytes[*at])).last()?;
            (!line[..start].ends_with("::")).then(|| &line[start..end])
        })
        // A generic's associated type, such as `Self::Error`.
        .filter(|name| !name.starts_with(char::is_uppercase))
        .collect()
}

#[test]
fn the_public_apis_are_as_listed_and_name_no_other_crates_types() {
    let mut named = BTreeMap::new();
    for (package, name) in LIBRARIES {
        let listing = listing(package, name);
        let path = root().join(format!("tests/data/public_api/{package}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &listing).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        if committed != listing {
            let [before, after]: [BTreeSet<_>; 2] = [&committed, &listing].map(|text| text.lines().collect());
            let removed = before.difference(&after).map(|line| format!("- {line}\n"));
            let added = after.difference(&before).map(|line| format!("+ {line}\n"));
            let changes: String = removed.chain(added).collect();
            panic!("the public API of {package} is another:\n{changes}If that is meant: {UPDATE}");
        }
        for line in listing.lines() {
            for other in crates(line).into_iter().filter(|other| *other != name && !STANDARD.contains(other))
            {
                named.entry(other.to_owned()).or_insert_with(|| line.to_owned());
            }
        }
    }
    for (name, line) in &named {
        assert!(ALLOWED.iter().any(|allowed| allowed.0 == *name), "the public API names `{name}`: {line}");
    }
    for (name, _) in ALLOWED {
        assert!(named.contains_key(name), "`{name}` is not named any more: take it off the list");
    }
}
