//! `README.md` lists the SDKs, and every verdict in which one differs. `UPDATE=1` writes the lists anew.

use std::path::Path;

use crate::malformed::differences;
use crate::sdks::SDKS;

#[test]
fn the_readme_lists_the_sdks_and_where_they_differ() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let sdks = SDKS.iter().map(|sdk| {
        let directions = if sdk.signs { "both" } else { "it only verifies" };
        format!("| {} | {} | {} | {} | {directions} |", sdk.provider, sdk.name, sdk.registry, sdk.version())
    });
    let listed = with_rows(&written, "| provider | SDK |", sdks.collect());
    let listed = with_rows(&listed, "| delivery | provider |", differences());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, listed).unwrap();
    } else {
        assert_eq!(written, listed, "UPDATE=1 writes README.md anew: judge what has changed");
    }
}

/// The text with other rows in the table that begins like this.
fn with_rows(text: &str, head: &str, rows: Vec<String>) -> String {
    let mut lines = Vec::new();
    let mut rest = text.lines().peekable();
    while let Some(line) = rest.next() {
        lines.push(line.to_owned());
        if line.starts_with(head) {
            lines.extend(rest.next().map(str::to_owned));
            while rest.next_if(|line| line.starts_with('|')).is_some() {}
            lines.extend(rows.clone());
        }
    }
    lines.join("\n") + "\n"
}
