//! The README, as its readers see it. (Its code is compiled and run with the doc tests.)

use std::path::Path;

#[test]
fn no_line_of_code_is_hidden_from_those_who_read_it_elsewhere() {
    let mut in_code = false;
    let mut blocks = 0;
    for line in include_str!("../../README.md").lines() {
        if line.starts_with("```") {
            in_code = line.starts_with("```rust");
            blocks += usize::from(in_code);
        }
        assert!(!(in_code && line.starts_with("# ")), "{line}");
    }
    // The first example, the receiver, and the provider.
    assert_eq!(blocks, 3);
}

#[test]
fn the_readme_is_at_most_1200_words() {
    let words = include_str!("../../README.md").split_whitespace().count();
    assert!(words <= 1_200, "{words} words");
}

#[test]
fn every_guide_is_linked_from_the_first_page_and_from_the_list_of_guides() {
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = include_str!("../../src/guide/mod.rs");
        assert!(
            include_str!("../../src/lib.rs").contains(&format!("(guide::{name})")),
            "{name} is not in lib.rs"
        );
        assert!(module.contains(&format!("//! | [`{name}`] |")), "{name} is not in the list of guides");
        assert!(module.contains(&format!("pub mod {name} {{}}")), "{name} is not a module");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_receiver_to_start_from_is_short() {
    let readme = include_str!("../../README.md");
    // It also purges its store, and ends with a message if it cannot start.
    let receiver = readme.split("```rust,no_run\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(receiver.lines().filter(|line| !line.is_empty()).count() <= 30);
}

#[test]
fn the_features_of_the_manifest_are_documented() {
    let manifest = include_str!("../../Cargo.toml");
    let features = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names =
        features.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).filter(|name| *name != "default");
    let mut count = 0;
    for name in names.filter(|name| !name.starts_with('#')) {
        assert!(
            include_str!("../../README.md").contains(&format!("| `{name}` |")),
            "{name} is not in the README"
        );
        assert!(
            include_str!("../../src/lib.rs").contains(&format!("//! | `{name}` |")),
            "{name} is not in the docs"
        );
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn the_checks_that_the_security_page_names_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    // A name is that of a file, or of a folder of them, at any depth.
    fn sources(folder: &Path, name: &str, named: bool, found: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let named = named || path.file_stem().is_some_and(|stem| stem == name);
            if path.is_dir() {
                sources(&path, name, named, found);
            } else if named && path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    // What is written like a test's name and is something else.
    let others = [
        "constant_time",
        "invalid_event",
        "serde_json",
        "sha2",
        "subtle",
        "unsafe",
        "with_body_limit",
        "with_max_age",
    ];
    let mut count = 0;
    for code in include_str!("../../SECURITY.md").split('`').skip(1).step_by(2) {
        let words: Vec<_> = code.split(' ').collect();
        let is_name = |word: &&str| word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let (name, filter) = match *words {
            [name] if is_name(&name) && !others.contains(&name) => (name, ""),
            [name, filter] if is_name(&name) && is_name(&filter) => (name, filter),
            _ => continue,
        };
        let mut source = String::new();
        sources(&tests, name, false, &mut source);
        assert!(source.contains(&format!("fn {filter}")), "`{code}` in SECURITY.md finds no test");
        count += 1;
    }
    assert!(count > 30, "{count}");
}
