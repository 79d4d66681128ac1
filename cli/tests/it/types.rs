//! `countersign types`: what it writes compiles, and reads what it was made of without loss.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign::Json;
use serde_json::{Value, json};

use super::support::*;

/// The program that reads each data as its type and compares what it writes.
const ROUND: &str = r#"
use std::collections::BTreeMap;
use countersign::Json;

/// The same JSON in one layout, with numbers as they are spelt.
fn normal(text: &str) -> String {
    let text = text.trim();
    match text.as_bytes()[0] {
        b'{' => match serde_json::from_str::<BTreeMap<String, Json>>(text) {
            Ok(members) => {
                let member = |(name, value): (&String, &Json)| format!("{name:?}:{}", normal(value.as_str()));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
            Err(_) => text.to_owned(),
        },
        b'[' => {
            let items: Vec<Json> = serde_json::from_str(text).unwrap();
            format!("[{}]", items.iter().map(|item| normal(item.as_str())).collect::<Vec<_>>().join(","))
        }
        b'"' => serde_json::from_str::<String>(text).map_or_else(|_| text.to_owned(), |text| format!("{text:?}")),
        _ => text.to_owned(),
    }
}

fn round<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) {
    let value: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(normal(&serde_json::to_string(&value).unwrap()), normal(text));
}

fn main() {
    for line in std::io::stdin().lines() {
        let (module, event, text): (usize, String, Json) = serde_json::from_str(&line.unwrap()).unwrap();
        check(module, &event, text.as_str());
    }
}
"#;

/// Deliveries of one provider.
struct Captured {
    provider: String,
    /// The name of each event, its body, and the data that the body has.
    deliveries: Vec<(String, String, String)>,
}

fn spelt(value: &Value) -> String {
    value.to_string()
}

/// The journal of deliveries, which nobody verifies.
fn journal(captured: &Captured) -> String {
    let line = |(event, body, _): &(String, String, String)| {
        let headers = match &*captured.provider {
            "github" => json!([["x-github-event", event]]),
            "shopify" => json!([["x-shopify-topic", event]]),
            _ => json!([]),
        };
        spelt(&json!({ "provider": captured.provider, "headers": headers, "body": body })) + "\n"
    };
    captured.deliveries.iter().map(line).collect()
}

/// Writes the types of all, compiles them together in a package of this name, and reads each data as its type.
#[track_caller]
fn rounds(package: &str, all: &[Captured]) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("src");
    std::fs::create_dir(&source).unwrap();
    let (mut modules, mut arms, mut input) = (String::new(), String::new(), String::new());
    for (number, captured) in all.iter().enumerate() {
        let journal = journal(captured);
        for (at, form) in [&["types"][..], &["types", "--events"]].into_iter().enumerate() {
            let module = 2 * number + at;
            let written = run(&mut bare(form), journal.as_bytes());
            std::fs::write(source.join(format!("m{module}.rs")), &written.is(0).out).unwrap();
            let _ = writeln!(modules, "#[allow(dead_code)] mod m{module};");
            for (event, of) in types_in(&written.out) {
                let _ = writeln!(arms, "        ({module}, {event}) => round::<m{module}::{of}>(text),");
            }
            for (event, _, data) in &captured.deliveries {
                let event = spelt(&Value::from(&**event));
                let _ = writeln!(input, "[{module},{event},{}]", data.replace('\n', " "));
            }
        }
    }
    let main = format!(
        "{modules}{ROUND}\nfn check(module: usize, event: &str, text: &str) {{\n    match (module, event) {{\n{arms}        other => panic!(\"{{other:?}}\"),\n    }}\n}}\n"
    );
    std::fs::write(source.join("main.rs"), main).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = format!(
        "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\ncountersign = {{ path = {root:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    // Beside what is compiled already.
    let target = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet"]).current_dir(folder.path()).env("CARGO_TARGET_DIR", target);
    let built = cargo.env_remove("RUSTFLAGS").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut program = Command::new(target.join("debug").join(package));
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    run(&mut program, input.as_bytes()).is(0);
}

/// The literal of each event's name, and its type.
fn types_in(written: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = written.lines().map(str::trim).collect();
    let of_event = lines.windows(4).filter_map(|lines| {
        let event = match lines[0].strip_prefix("/// The data of ")?.strip_suffix('.')? {
            "a delivery" => "\"\"",
            event => event,
        };
        let declared = lines[1..]
            .iter()
            .find_map(|line| line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub type ")))?;
        Some((event.to_owned(), declared.split(' ').next()?.to_owned()))
    });
    of_event.collect()
}

/// Bodies whose provider's vectors have none with an event: the provider, the event, the member of the data, the body, and
/// the page that documents it.
const DOCUMENTED: [(&str, &str, Option<&str>, &str, &str); 5] = [
    (
        "standard-webhooks",
        "example.event",
        Some("data"),
        r#"{"type":"example.event","timestamp":"2022-11-03T20:26:10.344522Z","data":{"foo":"bar","fizzbuzz":2}}"#,
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure",
    ),
    (
        "standard-webhooks",
        "contact.created",
        Some("data"),
        r#"{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485","type":"contact","fullName":"John Smith","address":"800 W NASA Pkwy, Webster, TX 77598, USA","phoneNumber":"(281) 332-2575","birthday":"1980-04-19","occupation":"Engineer, ACME"}}"#,
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#thin-vs-full-payloads",
    ),
    (
        "standard-webhooks",
        "contact.created",
        Some("data"),
        r#"{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}"#,
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#thin-vs-full-payloads",
    ),
    (
        "slack",
        "",
        None,
        r#"{"token":"XXYYZZ","team_id":"TXXXXXXXX","api_app_id":"AXXXXXXXXX","event":{"type":"name_of_event","event_ts":"1234567890.123456","user":"UXXXXXXX1"},"type":"event_callback","authed_users":["UXXXXXXX1","UXXXXXXX2"],"event_id":"Ev08MFMKH6","event_time":1234567890}"#,
        "https://docs.slack.dev/reference/objects/event-object",
    ),
    (
        "slack",
        "",
        None,
        r#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#,
        "https://api.slack.com/events/url_verification",
    ),
];

/// The documented payloads of the built-in providers: those of the library's vectors, those above, and of the three.
#[test]
fn what_the_providers_document_is_read_without_loss() {
    let data = |body: &str, member: Option<&str>| {
        let members: HashMap<String, Json> = serde_json::from_str(body).unwrap();
        member.map_or(body, |member| members[member].as_str()).to_owned()
    };
    let mut all = Vec::new();
    for (provider, name, member) in [
        ("stripe", Some("type"), Some("data")),
        ("github", None, None),
        ("shopify", None, None),
        ("zoom", Some("event"), Some("payload")),
        ("paddle", Some("event_type"), Some("data")),
        ("linear", Some("type"), Some("data")),
        ("square", Some("type"), Some("data")),
    ] {
        let file = format!("../tests/data/vectors/{}.json", provider.replace('-', "_"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut deliveries = Vec::new();
        for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] == "accepted") {
            let Some(body) = case["body"].as_str() else { continue };
            let read: Value = serde_json::from_str(body).unwrap();
            let event = match name {
                Some(name) => read[name].as_str(),
                None => case["headers"].as_array().unwrap().iter().find_map(|pair| {
                    let is_event = ["x-github-event", "x-shopify-topic"]
                        .iter()
                        .any(|name| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
                    pair[1].as_str().filter(|_| is_event)
                }),
            };
            let Some(event) = event else { continue };
            deliveries.push((event.to_owned(), body.to_owned(), data(body, member)));
        }
        assert!(!deliveries.is_empty(), "{provider}");
        all.push(Captured { provider: provider.to_owned(), deliveries });
    }
    for provider in ["standard-webhooks", "slack"] {
        let of_provider = DOCUMENTED.iter().filter(|documented| documented.0 == provider);
        let deliveries = of_provider
            .map(|(_, event, member, body, _)| (event.to_string(), body.to_string(), data(body, *member)));
        all.push(Captured { provider: provider.to_owned(), deliveries: deliveries.collect() });
    }
    for (provider, event, body) in [
        ("quote3d", "quote.completed", COMPLETED),
        ("nowtoprint", "quote.received", RECEIVED),
        ("3qpr", "scan.created", SCANNED),
    ] {
        let deliveries = vec![(event.to_owned(), body.to_owned(), data(body, Some("data")))];
        all.push(Captured { provider: provider.to_owned(), deliveries });
    }
    // Every built-in provider is among them.
    assert_eq!(all.len(), run(&mut bare(&["providers", "--json"]), b"").is(0).json().len());
    rounds("types_of_documented", &all);
}

/// A linear congruential generator (Knuth's constants): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Any JSON, spelt in one of the ways that writers spell it.
    fn json(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => "null".to_owned(),
            1 => self.one(&["true", "false"]).to_owned(),
            2 => self.one(&["0", "-7", "42", "9223372036854775807", "-9223372036854775808"]).to_owned(),
            3 => self.one(&["1.10", "-0", "1e3", "2.50", "18446744073709551615", "1E-7"]).to_owned(),
            4 | 5 => {
                self.one(&["\"\"", "\"a\"", "\"\\u00e9\\n\\\"\"", "\"日本 \\u202e\"", "\"\\/\""]).to_owned()
            }
            6 => {
                let items: Vec<_> = (0..self.below(4)).map(|_| self.json(depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        const NAMES: [&str; 24] = [
            "id",
            "customerId",
            "customer_id",
            "customer-id",
            "type",
            "self",
            "Self",
            "crate",
            "extra",
            "data",
            "",
            "_",
            "1",
            "\\\"",
            "a\\\\",
            "\\n}",
            "größe",
            "日本",
            "Option",
            "T",
            "fn",
            "a.b",
            "r#type",
            "\\u202e",
        ];
        let mut names = NAMES.to_vec();
        let members: Vec<_> = (0..self.below(7))
            .map(|_| {
                let name = names.swap_remove(self.below(names.len()));
                format!("\"{name}\":{}", self.json(depth))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

#[test]
fn a_thousand_random_objects_are_read_without_loss() {
    let mut random = Random(26);
    let deliveries = (0..1_000).map(|number| {
        // Most events have several deliveries, and the last ones deep data.
        let (event, depth) = if number < 970 { (number % 40, 1) } else { (number, 3) };
        let event = format!("event.{event}");
        let data = random.object(depth);
        (event.clone(), format!(r#"{{"event":"{event}","data":{data}}}"#), data)
    });
    let random = Captured { provider: "nowtoprint".to_owned(), deliveries: deliveries.collect() };
    rounds("types_of_random", &[random]);
}

/// Names are the sender's, and must not become code.
#[test]
fn a_hostile_name_stays_a_name() {
    let names = [
        "a\"); std::process::exit(9); (\"",
        "*/ fn main() {} /*",
        "a\n}\nfn evil() {}\n//",
        "\u{202e}evil",
        "string",
        "Self",
        "event",
        "unknown",
        "",
        "{}",
        "a\\",
        "#[path = \"/etc/passwd\"] mod a;",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
    ];
    let deliveries = names.iter().map(|name| {
        let data = json!({ *name: 1, "nested": { *name: { *name: [null, { *name: 1.5 }] } } });
        (name.to_string(), spelt(&json!({ "event": name, "data": data })), spelt(&data))
    });
    let captured = [Captured { provider: "nowtoprint".to_owned(), deliveries: deliveries.collect() }];
    let written = run(&mut bare(&["types"]), journal(&captured[0]).as_bytes());
    assert_eq!(hidden_in(&written.is(0).out), [""; 0]);
    // What rustdoc makes a page of holds no markup.
    let comments = written.out.lines().filter(|line| line.trim_start().starts_with("//"));
    for comment in comments {
        assert!(!comment.contains(['<', '[', '*']), "{comment}");
    }
    rounds("types_of_hostile", &captured);
}

#[test]
fn bodies_are_read_from_files_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| written(folder.path(), name, text);
    let first = write("1.json", r#"{"type":"a.b","id":"evt_1","data":{"amount":10,"note":null}}"#);
    write("2.json", r#"{"type":"a.b","id":"evt_2","data":{"amount":10,"tip":1.50}}"#);
    let directory = folder.path().to_str().unwrap();
    let written = run(&mut bare(&["types", "-p", "stripe", directory]), b"");
    written.is(0).says("pub struct AB {\n    pub amount: i64,").says("pub tip: Option<countersign::Number>,");
    // The files are read by name, whatever the order of the directory.
    assert!(written.out.find("pub note") < written.out.find("pub tip"), "{}", written.out);
    let written = run(&mut bare(&["types", "--events", "-p", "stripe", directory]), b"");
    written.is(0).says("AB(AB) = \"a.b\",").says("required {").says("amount: i64 = \"amount\",");

    run(&mut bare(&["types", directory]), b"").is(2).says("Give --provider");
    run(&mut bare(&["types", "-p", "stripe", &first, "/no/such/file"]), b"").is(2).says("cannot be read");
    run(&mut bare(&["types", "-p", "stripe"]), b"[]").is(2).says("no JSON object");
    run(&mut bare(&["types", "-p", "stripe"]), b"{}").is(2).says("names no event");
    run(&mut bare(&["types"]), b"").is(2).says("no delivery");
}

/// A line of a journal that `types` accepts.
fn line_of(provider: &str) -> String {
    journal_line(provider, r#"{"type":"a.b","data":{}}"#)
}

/// A journal's line for a Stripe event with this data.
fn line_with_data(data: &str) -> String {
    journal_line("stripe", &format!(r#"{{"type":"charge.failed","data":{data}}}"#))
}

#[test]
fn a_journal_with_two_providers_needs_a_choice() {
    let both = line_of("stripe") + &line_of("linear");
    run(&mut bare(&["types"]), both.as_bytes()).is(2).says("line 2").says("Linear beside those of Stripe");
    run(&mut bare(&["types", "-p", "linear"]), both.as_bytes()).is(0).says("from 1 delivery");
}

#[test]
fn a_cut_line_of_a_journal_is_refused() {
    let cut = line_of("stripe") + &line_of("stripe")[..40];
    run(&mut bare(&["types"]), cut.as_bytes()).is(2).says("line 2");
}

#[test]
fn null_data_makes_the_type_optional() {
    let nullable = ["null", r#"{"fee":{"cents":5}}"#].map(line_with_data).concat();
    run(&mut bare(&["types"]), nullable.as_bytes())
        .is(0)
        .says("pub struct ChargeFailedFee {\n    pub cents: i64,\n}")
        .says("pub type ChargeFailed = Option<ChargeFailed2>;");
}

#[test]
fn data_beyond_2000_types_stays_json() {
    let parts = |part: &dyn Fn(usize) -> String| {
        let parts = (0..60).map(|number| format!("\"p{number}\":{}", part(number)));
        format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
    };
    let many = parts(&|one| parts(&|other| format!(r#"{{"p{one}_{other}":1}}"#)));
    let written = run(&mut bare(&["types"]), line_with_data(&many).as_bytes());
    let count = written.is(0).says("pub p59: countersign::Json,").out.matches("pub struct").count();
    assert!((2_000..2_010).contains(&count), "{count}");
}

#[test]
fn forged_deliveries_in_a_journal_are_skipped() {
    let forged = ["{}", r#"{"type":1,"data":{"a":1}}"#, "nonsense", "[]"];
    let text = line_of("stripe") + &forged.map(|body| journal_line("stripe", body)).concat();
    run(&mut bare(&["types"]), text.as_bytes()).is(0).says("from 1 delivery");
}

#[test]
fn more_than_2000_events_are_refused() {
    let many: String = (0..=2_000)
        .map(|number| journal_line("stripe", &format!(r#"{{"type":"e{number}","data":{{}}}}"#)))
        .collect();
    run(&mut bare(&["types"]), many.as_bytes()).is(2).says("line 2001").says("more than 2000 events");
}
