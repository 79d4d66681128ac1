//! The costs in `docs/performance.md` and in the README are those of `benches/compare/figures.tsv`, so that none of
//! them changes alone. (Neither the record nor this test is in the package.)

const PERFORMANCE: &str = include_str!("../../docs/performance.md");
const README: &str = include_str!("../../README.md");
const RECORD: &str = include_str!("../../benches/compare/figures.tsv");

fn measured(name: &str) -> f64 {
    let value = RECORD.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    value.unwrap_or_else(|| panic!("{name} was not measured")).parse().unwrap()
}

fn time(build: &str, candidate: &str) -> f64 {
    measured(&format!("time/{build}/641/1/accepted/{candidate}"))
}

const SHA2: [&str; 2] = ["sha2, portable", "sha2"];
const AWS: [&str; 2] = ["aws-lc-rs, portable", "aws-lc-rs"];
const EVENT: &str = "Webhook::verify, event";

#[test]
fn the_table_of_costs_is_that_of_the_record() {
    let rows = [
        ("bare `hmac`", SHA2, "hmac"),
        ("`Webhook::verify_signature`", SHA2, "Webhook::verify_signature"),
        ("`Webhook::verify`:", SHA2, "Webhook::verify"),
        ("`Webhook::verify` and `Delivery::event`", SHA2, EVENT),
        ("the same with the feature `aws-lc-rs`", AWS, EVENT),
        ("for comparison: bare `hmac` and `serde_json::Value`", SHA2, "hmac, Value"),
        ("webhook-verify 0.1 and `serde_json::Value`", SHA2, "webhook-verify, Value"),
        ("Quote3D's snippet in Node 20, with `JSON.parse`", SHA2, "Node, JSON.parse"),
    ];
    for (label, builds, candidate) in rows {
        let cells = builds.map(|build| {
            let time = |candidate| time(build, candidate);
            format!("{:.2} µs ({:.2})", time(candidate) / 1e3, time(candidate) / time("hmac"))
        });
        let row = PERFORMANCE.lines().find(|line| line.starts_with(&format!("| {label}"))).expect(label);
        let expected = format!("| {} | {} |", cells[0], cells[1]);
        assert!(row.ends_with(&expected), "{row}\nshould end in {expected}");
    }
}

#[test]
fn what_the_plot_shows_is_said_in_words() {
    let rows = [
        ("countersign with aws-lc-rs", AWS, EVENT),
        ("countersign", SHA2, EVENT),
        ("hmac with serde_json", SHA2, "hmac, Value"),
        ("webhook-verify", SHA2, "webhook-verify, Value"),
        ("standardwebhooks", SHA2, "standardwebhooks, Value"),
        ("Node", SHA2, "Node, JSON.parse"),
        ("Python", SHA2, "Python, json.loads"),
    ];
    let words = rows.map(|(label, builds, candidate)| {
        let [unused, used] = builds.map(|build| format!("{:.1}", time(build, candidate) / 1e3));
        format!("{label} {unused} and {used}")
    });
    for page in [PERFORMANCE, README] {
        assert!(page.contains(&words.join(", ")), "the alternative text should say: {}", words.join(", "));
    }
}

#[test]
fn the_two_costs_in_the_readme_are_those_of_the_record() {
    let micros = |candidate| format!("{:.1} µs", time(SHA2[1], candidate) / 1e3);
    let section = README.split("## Performance\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for cost in [micros(EVENT), micros("Webhook::verify_signature")] {
        assert!(section.contains(&cost), "{cost}");
    }
}
