//! The README's costs are those of `benches/compare/figures.tsv`, so that neither changes alone. (Neither the
//! record nor this is in the package.)

const README: &str = include_str!("../README.md");
const RECORD: &str = include_str!("../benches/compare/figures.tsv");

fn measured(name: &str) -> f64 {
    let value = RECORD.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    value.unwrap_or_else(|| panic!("{name} was not measured")).parse().unwrap()
}

#[test]
fn the_table_of_costs_is_that_of_the_record() {
    let sha2 = ["sha2, portable", "sha2"];
    let rows = [
        ("bare `hmac`", sha2, "hmac"),
        ("`Webhook::verify_signature`", sha2, "Webhook::verify_signature"),
        ("`Webhook::verify`:", sha2, "Webhook::verify"),
        ("`Webhook::verify` and `Delivery::event`", sha2, "Webhook::verify, event"),
        (
            "the same with the feature `aws-lc-rs`",
            ["aws-lc-rs, portable", "aws-lc-rs"],
            "Webhook::verify, event",
        ),
        ("for comparison: bare `hmac` and `serde_json::Value`", sha2, "hmac, Value"),
        ("webhook-verify 0.1 and `serde_json::Value`", sha2, "webhook-verify, Value"),
        ("Quote3D's snippet in Node 20, with `JSON.parse`", sha2, "Node, JSON.parse"),
    ];
    for (label, builds, candidate) in rows {
        let cells = builds.map(|build| {
            let time = |candidate: &str| measured(&format!("time/{build}/641/1/accepted/{candidate}"));
            format!("{:.2} µs ({:.2})", time(candidate) / 1e3, time(candidate) / time("hmac"))
        });
        let row = README.lines().find(|line| line.starts_with(&format!("| {label}"))).expect(label);
        let expected = format!("| {} | {} |", cells[0], cells[1]);
        assert!(row.ends_with(&expected), "{row}\nshould end in {expected}");
    }
}
