//! `tests/claims.md` lists the promises of the project's pages, each with its tests.

use std::fs;
use std::ops::Range;
use std::path::Path;

const LIST: &str = include_str!("../claims.md");

/// Words that say that something holds without exception.
const STRONG: [&str; 8] =
    ["always", "every", "everything", "guarantee", "guaranteed", "guarantees", "never", "nothing"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page's prose on one line: Markdown without its code, or the documentation comments of a Rust file.
fn prose(path: &str) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let is_rust = path.ends_with(".rs");
    let mut is_code = false;
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = match line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            Some(comment) => comment.trim_start(),
            None if is_rust => continue,
            None => line,
        };
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            words.extend(line.split_whitespace());
        }
    }
    words.join(" ")
}

/// The cells of the list's rows: a page, its words, and the tests, if the words promise something.
fn rows() -> Vec<[&'static str; 3]> {
    let rows = LIST.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| page |"));
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let row = [(); 3].map(|()| cells.next().unwrap_or_else(|| panic!("{line}")));
        assert_eq!(cells.next(), None, "{line}");
        row
    })
    .collect()
}

/// Adds the guides and the Rust files in a folder, at any depth.
fn add_pages(folder: &str, pages: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            add_pages(&path, pages);
        } else if path.ends_with(".md") || path.ends_with(".rs") {
            pages.push(path);
        }
    }
}

/// The pages and the Rust files in which no strong word may be without a row.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["src", "stores/redis/src", "stores/sqlx/src"] {
        add_pages(folder, &mut pages);
    }
    for (kind, at_least) in [(".md", 10), (".rs", 100)] {
        let count = pages.iter().filter(|page| page.ends_with(kind)).count();
        assert!(count >= at_least, "{count} files {kind}");
    }
    pages.extend(
        ["README.md", "SECURITY.md", "cli/README.md", "stores/redis/README.md", "stores/sqlx/README.md"]
            .map(str::to_owned),
    );
    pages
}

/// Where the words of a page's rows stand.
fn listed(page: &str, prose: &str) -> Vec<Range<usize>> {
    let rows = rows().into_iter().filter(|row| row[0] == page);
    rows.flat_map(|[_, words, _]| prose.match_indices(words).map(|(at, _)| at..at + words.len())).collect()
}

#[test]
fn each_listed_promise_stands_on_its_page_and_each_of_its_tests_exists() {
    let mut tests = 0;
    for [page, words, checks] in rows() {
        assert!(prose(page).contains(words), "{page} does not say: {words}");
        for check in checks.split('`').skip(1).step_by(2) {
            let (file, name) = check.split_once("::").unwrap_or_else(|| panic!("{check}"));
            let source =
                fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            // A test, or an example that must not compile.
            let forms = [format!("fn {name}("), format!("fn {name}<"), format!("struct {name};")];
            assert!(forms.iter().any(|form| source.contains(form)), "`{check}` is not there");
            tests += 1;
        }
    }
    assert!(tests > 100, "{tests}");
}

#[test]
fn each_strong_word_of_a_page_is_in_the_list() {
    let mut unlisted = Vec::new();
    for page in pages() {
        let prose = prose(&page);
        let listed = listed(&page, &prose);
        let is_between = |letter: char| !(letter.is_alphanumeric() || letter == '_');
        let mut at = 0;
        for word in prose.split_inclusive(is_between) {
            let is_strong = STRONG.contains(&&*word.trim_end_matches(is_between).to_lowercase());
            if is_strong && !listed.iter().any(|range| range.contains(&at)) {
                let around =
                    prose.floor_char_boundary(at.saturating_sub(80))..prose.floor_char_boundary(at + 80);
                unlisted.push(format!("{page}: …{}…", &prose[around]));
            }
            at += word.len();
        }
    }
    assert!(unlisted.is_empty(), "tests/claims.md has no row for:\n{}", unlisted.join("\n"));
}
