//! What crates.io and docs.rs are told about each package: `checks/publish` relies on it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::supply_chain::{OURS, PUBLISHED, cargo};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    description: Option<String>,
    license: Option<String>,
    readme: Option<String>,
    keywords: Vec<String>,
    categories: Vec<String>,
    rust_version: Option<String>,
    publish: Option<Vec<String>>,
    manifest_path: PathBuf,
    metadata: Option<serde_json::Value>,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    req: String,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap()
    }

    fn readme(&self) -> String {
        std::fs::read_to_string(self.folder().join(self.readme.as_ref().unwrap())).unwrap()
    }
}

/// The packages of this workspace that are published.
fn published() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--locked", "--no-deps"]);
    let packages = serde_json::from_str::<Metadata>(&metadata).unwrap().packages;
    let (published, private): (Vec<_>, Vec<_>) =
        packages.into_iter().partition(|package| PUBLISHED.contains(&&*package.name));
    assert_eq!((published.len(), private.len()), (PUBLISHED.len(), OURS.len() - PUBLISHED.len()));
    for Package { name, publish, .. } in private {
        assert_eq!(publish, Some(Vec::new()), "{name} may be published");
    }
    published
}

#[test]
fn each_manifest_says_what_crates_io_shows() {
    // These are in crates.io's list of categories, which refuses any other.
    let categories = [
        "authentication",
        "command-line-utilities",
        "cryptography",
        "database",
        "development-tools",
        "web-programming",
    ];
    for package in published() {
        let name = &package.name;
        assert!(package.description.as_ref().is_some_and(|text| (20..=100).contains(&text.len())), "{name}");
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{name}");
        assert!(package.rust_version.is_some(), "{name}");
        // What crates.io takes.
        assert!((1..=5).contains(&package.keywords.len()), "{name}");
        for keyword in &package.keywords {
            let is_plain =
                keyword.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789-".contains(&byte));
            assert!(is_plain && keyword.len() <= 20, "{name}: {keyword}");
        }
        assert!((1..=5).contains(&package.categories.len()), "{name}");
        for category in &package.categories {
            assert!(categories.contains(&&**category), "{name}: {category}");
        }
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            assert!(package.folder().join(licence).exists(), "{name} has no {licence}");
        }
    }
}

#[test]
fn docs_rs_builds_each_library_with_all_features_and_marks_them() {
    for package in published() {
        let is_library = package.targets.iter().any(|target| target.kind == ["lib"]);
        let settings = package.metadata.as_ref().map(|metadata| &metadata["docs"]["rs"]);
        let expected = serde_json::json!({ "all-features": true, "rustdoc-args": ["--cfg", "docsrs"] });
        assert_eq!(settings, is_library.then_some(&expected), "{}", package.name);
    }
}

#[test]
fn a_package_needs_the_version_of_another_that_is_beside_it() {
    let packages = published();
    let mut before: Vec<&str> = Vec::new();
    for name in PUBLISHED {
        let package = packages.iter().find(|package| package.name == name).unwrap();
        for dependency in &package.dependencies {
            let Some(other) = packages.iter().find(|other| other.name == dependency.name) else { continue };
            if dependency.kind.as_deref() == Some("dev") {
                continue;
            }
            assert_eq!(dependency.req, format!("^{}", other.version), "{name}: {}", other.name);
            assert!(before.contains(&&*other.name), "{name} is published before {}", other.name);
        }
        before.push(name);
    }
}

#[test]
fn each_link_of_a_readme_leads_to_a_file_or_an_address() {
    // crates.io and docs.rs resolve a relative link in the repository, from the folder of the README.
    let mut count = 0;
    for package in published() {
        let readme = package.readme();
        for link in readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            count += 1;
            if link.starts_with("https://") {
                continue;
            }
            if let Some(heading) = link.strip_prefix('#') {
                let titles = readme.lines().filter_map(|line| line.strip_prefix("## "));
                let mut slugs = titles.map(|title| title.to_lowercase().replace(' ', "-"));
                assert!(slugs.any(|slug| slug == heading), "{}: {link}", package.name);
                continue;
            }
            assert!(package.folder().join(link).exists(), "{}: {link}", package.name);
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_changelog_has_a_section_for_the_next_version_and_one_for_each_published_one() {
    let changelog = include_str!("../../CHANGELOG.md");
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## ["));
    assert_eq!(headings.next(), Some("Unreleased]"));
    let headings: Vec<_> = headings.collect();
    for Package { name, version, .. } in published() {
        let mine = [format!("{version}] - "), format!("{name} {version}] - ")];
        assert!(
            headings.iter().any(|heading| mine.iter().any(|mine| heading.starts_with(mine))),
            "CHANGELOG.md has no section for {name} {version}"
        );
    }
    for heading in headings {
        let date = heading.split_once("] - ").unwrap().1;
        let is_date = date.split('-').map(str::len).eq([4, 2, 2])
            && date.bytes().all(|b| b == b'-' || b.is_ascii_digit());
        assert!(is_date || date == "unreleased", "{heading}");
    }
}
