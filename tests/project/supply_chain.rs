//! What the crate depends on, by `deny.toml`, and what its package holds.
//!
//! cargo-deny reads that file too. It takes longer to build than all of these tests to run, and what is
//! needed of it without an advisory database are these few lines.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    rust_version: Option<String>,
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    req: String,
}

/// The packages of this workspace that are published, in the order of their publication.
pub(crate) const PUBLISHED: [&str; 4] =
    ["countersign", "countersign-sqlx", "countersign-redis", "countersign-cli"];

/// All packages of this workspace.
pub(crate) const OURS: [&str; 6] = [
    "constant_time",
    "countersign",
    "countersign-cli",
    "countersign-redis",
    "countersign-sqlx",
    "public_api",
];

pub(crate) fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All packages in the lock file, for every platform.
fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]);
    serde_json::from_str::<Metadata>(&metadata).unwrap().packages
}

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A list of `deny.toml`, found by its section and its name.
fn list(section: &str, name: &str) -> Vec<String> {
    let file = file("deny.toml");
    let section = file.split(&format!("\n[{section}]\n")).nth(1).unwrap().split("\n[").next().unwrap();
    let list = section.split(&format!("\n{name} = [")).nth(1).unwrap();
    let uncommented = list.lines().filter(|line| !line.trim_start().starts_with('#'));
    let list = uncommented.collect::<Vec<_>>().join("\n");
    let list = list.split(']').next().unwrap();
    let list: Vec<_> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!list.is_empty());
    list
}

/// Whether a licence expression can be met by these licences alone.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // `/` is how `OR` was once written.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let is = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression}");
    is
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut is = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        is |= all_of(words, allowed);
    }
    is
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut is = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        is &= one(words, allowed);
    }
    is
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let is = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return is;
    }
    let mut licence = words.next().unwrap().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().unwrap());
    }
    allowed.contains(&licence)
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed_and_each_allowed_one_is_needed() {
    let allowed = list("licenses", "allow");
    let mut licences = Vec::new();
    for Package { name, version, license, .. } in packages() {
        let license = license.unwrap_or_else(|| panic!("{name} {version} names no licence"));
        assert!(is_allowed(&license, &allowed), "{name} {version}: {license}");
        licences.push(license);
    }
    for one in &allowed {
        let others: Vec<_> = allowed.iter().filter(|other| *other != one).cloned().collect();
        assert!(licences.iter().any(|license| !is_allowed(license, &others)), "{one} is not needed");
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for (expression, is) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND Zlib", true),
        ("(MIT OR GPL-3.0) AND BSD-3-Clause", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("GPL-3.0 OR MIT AND Zlib", true),
        ("MIT OR Zlib AND GPL-3.0", true),
        ("GPL-3.0 AND MIT OR GPL-2.0", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
}

#[test]
fn every_dependency_comes_from_the_registry_and_none_is_banned() {
    let (sources, banned) = (list("sources", "allow-registry"), list("bans", "deny"));
    for Package { name, version, source, dependencies, .. } in packages() {
        assert!(!banned.contains(&name), "{name} {version} is banned");
        match source {
            None => assert!(OURS.contains(&&*name), "{name}"),
            Some(source) => {
                let source = source.strip_prefix("registry+").unwrap_or(&source).to_owned();
                assert!(sources.contains(&source), "{name} {version} comes from {source}");
                continue;
            }
        }
        for dependency in dependencies {
            // A path alone is a dependency of tests, which the package leaves out.
            let of_tests = OURS.contains(&&*dependency.name) && dependency.kind.as_deref() == Some("dev");
            let of_a_check = !PUBLISHED.contains(&&*name) && OURS.contains(&&*dependency.name);
            assert!(dependency.req != "*" || of_tests || of_a_check, "{name}: {}", dependency.name);
        }
    }
}

/// The numbers of a version, of which the last may be missing (`1.88`).
fn release(version: &str) -> Vec<u32> {
    let mut numbers: Vec<_> = version.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

/// `checks/oldest` compiles the libraries with the oldest dependencies. A dependency that names no compiler
/// passes here.
#[test]
fn no_locked_dependency_names_a_newer_compiler_than_its_package() {
    let packages = packages();
    let oldest = |name: &str, version: &str| {
        let package = packages.iter().find(|package| package.name == name && package.version == version);
        package.unwrap_or_else(|| panic!("{name} {version}")).rust_version.as_deref().map(release)
    };
    for package in PUBLISHED {
        let tree = cargo(&[
            "tree",
            "--locked",
            "--all-features",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--target",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let mut dependencies = tree.lines().filter_map(|line| {
            let (name, version) = line.split_once(" v")?;
            Some((name, version.split(' ').next().unwrap()))
        });
        let (name, version) = dependencies.next().unwrap();
        assert_eq!(name, package);
        let its_own = oldest(name, version).unwrap();
        let dependencies: BTreeSet<_> = dependencies.collect();
        assert!(!dependencies.is_empty());
        for (name, version) in dependencies {
            let takes = oldest(name, version).unwrap_or_default();
            assert!(takes <= its_own, "{package}: {name} {version} takes Rust {takes:?}");
        }
    }
}

#[test]
fn each_package_holds_what_is_listed() {
    // Two are cargo's own, of which one comes from a clean repository only.
    let cargos_own = [".cargo_vcs_info.json", "Cargo.toml.orig"];
    let mut packaged = String::new();
    for package in PUBLISHED {
        let paths = cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", package]);
        for path in paths.lines().filter(|path| !cargos_own.contains(path)) {
            writeln!(packaged, "{package}/{path}").unwrap();
        }
    }
    let listed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/package.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(listed, &packaged).unwrap();
    }
    let listed = std::fs::read_to_string(listed).unwrap();
    let [packaged, listed]: [BTreeSet<_>; 2] = [&packaged, &listed].map(|list| list.lines().collect());
    assert!(
        packaged == listed,
        "new: {:?}, gone: {:?}. If that is meant: UPDATE=1 cargo test --test project each_package",
        &packaged - &listed,
        &listed - &packaged,
    );
}
