//! The figures that the crate is held to: ratios of what was measured, each with its target.

use crate::case::DOCUMENTED;
use crate::record::Record;

/// A figure, with the CPU's SHA extensions left unused and with them, where that makes a difference.
pub struct Figure {
    pub name: String,
    pub target: Target,
    /// What the target is for: portable code, or whatever has no other.
    pub judged: Option<f64>,
    /// The same where SHA-256 is done by the CPU, as information.
    pub accelerated: Option<f64>,
}

/// How a figure has to be.
#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    /// Whether the target is met; none where nothing was measured.
    pub fn passes(&self) -> Option<bool> {
        self.judged.map(|figure| match self.target {
            Target::AtMost(most) => figure <= most,
            Target::AtLeast(least) => figure >= least,
        })
    }
}

/// The builds: the crate's backend, and whether SHA extensions are left unused.
pub const PORTABLE: &str = "sha2, portable";
pub const ACCELERATED: &str = "sha2";
pub const AWS_PORTABLE: &str = "aws-lc-rs, portable";
pub const AWS_ACCELERATED: &str = "aws-lc-rs";

pub const EVENT: &str = "Webhook::verify, event";
const SIGNATURE: &str = "Webhook::verify_signature";

/// All figures, of what was measured.
pub fn all(record: &Record) -> Vec<Figure> {
    let documented = DOCUMENTED.len();
    let ratio = |one: String, other: String| Some(record.get(&one)? / record.get(&other)?);
    let accepted = |build: &str, size: usize, name: &str| format!("time/{build}/{size}/1/accepted/{name}");
    let by_build = |name: String, target, builds: [&str; 2], of: &dyn Fn(&str) -> Option<f64>| Figure {
        name,
        target,
        judged: of(builds[0]),
        accelerated: of(builds[1]),
    };
    let plain =
        |name: &str, target, judged| Figure { name: name.to_owned(), target, judged, accelerated: None };
    let sha2 = [PORTABLE, ACCELERATED];
    let aws = [AWS_PORTABLE, AWS_ACCELERATED];
    let mut figures = Vec::new();

    let names = [("verify", SIGNATURE), ("verify, without headers", "Verifier::verify")];
    for (what, name) in names {
        figures.push(by_build(format!("{what} / bare hmac"), Target::AtMost(1.05), sha2, &|build| {
            ratio(accepted(build, documented, name), accepted(build, documented, "hmac"))
        }));
    }
    let instructions = |name: &str| record.get(&format!("instructions/{name}"));
    let more = instructions(SIGNATURE).zip(instructions("hmac")).map(|(ours, bare)| ours - bare);
    figures.push(plain("verify, instructions more than bare hmac", Target::AtMost(1_000.0), more));
    let allocations = record.get(&format!("allocations/{SIGNATURE}"));
    figures.push(plain("verify, allocations", Target::AtMost(0.0), allocations));
    for (kind, most) in [("forged", 1.02), ("malformed", 0.02), ("upper case", 0.02), ("missing", 0.02)] {
        figures.push(by_build(format!("{kind} / accepted"), Target::AtMost(most), sha2, &|build| {
            ratio(format!("time/{build}/refusal/{kind}"), format!("time/{build}/refusal/accepted"))
        }));
    }
    let others = [("webhook-verify, Value", 0.75, 0.57), ("Node, JSON.parse", 0.5, 0.4)];
    for (other, most, most_with_aws) in others {
        for (builds, most, backend) in [(sha2, most, ""), (aws, most_with_aws, ", aws-lc-rs")] {
            let name = format!("verify, event{backend} / {other}");
            figures.push(by_build(name, Target::AtMost(most), builds, &|build| {
                ratio(accepted(build, documented, EVENT), accepted(build, documented, other))
            }));
        }
    }
    for (size, most) in [(documented, 1.1), (64 << 10, 1.01)] {
        let name = format!("verify, aws-lc-rs / bare aws-lc-rs, {size} bytes");
        figures.push(by_build(name, Target::AtMost(most), aws, &|build| {
            ratio(accepted(build, size, SIGNATURE), accepted(build, size, "aws-lc-rs"))
        }));
    }
    figures.push(by_build("64 KiB in 4 pieces / in one".to_owned(), Target::AtMost(1.03), sha2, &|build| {
        ratio(format!("time/{build}/pieces/pieces"), format!("time/{build}/pieces/whole"))
    }));

    let memory = |one: &str, other: &str| ratio(format!("memory/{one}"), format!("memory/{other}"));
    figures.push(plain(
        "MemoryStore, claim and complete / Mutex<HashMap>",
        Target::AtMost(2.5),
        memory("MemoryStore", "Mutex<HashMap>"),
    ));
    figures.push(plain(
        "MemoryStore, two threads / twice one",
        Target::AtLeast(0.7),
        memory("MemoryStore", "two threads"),
    ));
    // What the machine has for two threads that share nothing is as much as one can ask of those that do.
    figures.push(plain(
        "MemoryStore, two threads / two with a store each",
        Target::AtLeast(0.7),
        memory("two threads, a store each", "two threads"),
    ));
    // Of the second, the tables have doubled not long before.
    for (keys, name) in [("100000", "100,000"), ("1000000", "1,000,000")] {
        let bytes = record.get(&format!("bytes a key/memory/{keys}"));
        figures.push(plain(&format!("MemoryStore, bytes a key, of {name}"), Target::AtMost(200.0), bytes));
    }

    for (what, group) in [("the body's length", "by size"), ("the number of secrets", "by secrets")] {
        figures.push(by_build(format!("linear in {what}, R²"), Target::AtLeast(0.99), sha2, &|build| {
            linearity(&record.curve(&format!("time/{build}/{group}/"), &format!("/{EVENT}")))
        }));
    }
    // Memory is left out: from a CPU's cache to the memory outside it is a factor of its own.
    for store in ["postgres", "sqlite", "redis"] {
        let claims = record.curve(&format!("keys/{store}/"), "/p50");
        let times = || claims.iter().map(|point| point.1);
        let spread = times().fold(0.0, f64::max) / times().fold(f64::INFINITY, f64::min);
        let most = claims.last().map_or(0.0, |point| point.0);
        let spread = (claims.len() > 1).then_some(spread);
        figures.push(plain(
            &format!("{store}, a claim, slowest / fastest, 1,000 to {most:e} keys"),
            Target::AtMost(2.0),
            spread,
        ));
    }
    figures
}

/// How much of what the points differ by a straight line explains: R², of the least squares.
fn linearity(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
    let together = mean(&|point| (point.0 - x) * (point.1 - y));
    let (of_x, of_y) = (mean(&|point| (point.0 - x).powi(2)), mean(&|point| (point.1 - y).powi(2)));
    (points.len() > 2).then_some(together.powi(2) / (of_x * of_y))
}
