//! The figures that the crate is held to: ratios of what was measured, each with its target.

use crate::candidates::{BARE, BARE_AWS_LC, EVENT, SIGNATURE, VERIFIER, WEBHOOK_VERIFY_VALUE};
use crate::case::DOCUMENTED;
use crate::forms::{self, ASYNC_STRIPE, FORGED, GITHUB, STANDARD_WEBHOOKS, STANDARDWEBHOOKS, STRIPE, SVIX};
use crate::process::NODE;
use crate::record::Record;

/// A figure: by builds, with the CPU's SHA extensions left unused and with them, or one alone where that
/// makes no difference.
pub struct Figure {
    pub name: String,
    /// None for what is there to compare with.
    pub target: Option<Target>,
    /// None where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// How a figure has to be.
#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    /// Whether a value meets it.
    pub fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// The builds: the crate's backend, and whether SHA extensions are left unused.
pub const PORTABLE: &str = "sha2, portable";
pub const ACCELERATED: &str = "sha2";
pub const AWS_PORTABLE: &str = "aws-lc-rs, portable";
pub const AWS_ACCELERATED: &str = "aws-lc-rs";

/// Ends the name of a figure with one value, measured with SHA extensions.
const WITH: &str = ", with SHA extensions";

const SHA2: [&str; 2] = [PORTABLE, ACCELERATED];
const AWS: [&str; 2] = [AWS_PORTABLE, AWS_ACCELERATED];

/// All figures, of what was measured.
pub fn all(record: &Record) -> Vec<Figure> {
    let figures = Figures { record, all: Vec::new() };
    figures.of_verifying().of_forms().of_memory().of_growth().of_the_machine().all
}

struct Figures<'a> {
    record: &'a Record,
    all: Vec<Figure>,
}

impl Figures<'_> {
    fn push(&mut self, name: impl Into<String>, target: Option<Target>, value: Option<f64>) {
        self.all.push(Figure { name: name.into(), target, values: vec![value] });
    }

    fn push_builds(
        &mut self,
        name: impl Into<String>,
        target: impl Into<Option<Target>>,
        builds: [&str; 2],
        value: impl Fn(&Self, &str) -> Option<f64>,
    ) {
        let values = builds.map(|build| value(self, build)).to_vec();
        self.all.push(Figure { name: name.into(), target: target.into(), values });
    }

    /// A figure for each build, with the SHA extensions left unused and with them, which has its own target.
    fn push_each_build(&mut self, name: &str, most: [f64; 2], value: impl Fn(&Self, &str) -> Option<f64>) {
        for ((build, most), with) in SHA2.into_iter().zip(most).zip(["", WITH]) {
            let value = value(self, build);
            self.push(format!("{name}{with}"), Some(Target::AtMost(most)), value);
        }
    }

    fn ratio(&self, one: &str, other: &str) -> Option<f64> {
        Some(self.record.get(one)? / self.record.get(other)?)
    }

    /// Of two candidates, for a delivery of this length that is accepted.
    fn of_times(&self, build: &str, size: usize, one: &str, other: &str) -> Option<f64> {
        self.ratio(&accepted(build, size, one), &accepted(build, size, other))
    }

    /// Of one candidate in two builds, for the documented payload.
    fn of_builds(&self, [one, other]: [&str; 2], name: &str) -> Option<f64> {
        let time = |build| accepted(build, DOCUMENTED.len(), name);
        self.ratio(&time(one), &time(other))
    }

    /// How many instructions more one takes than another.
    fn instructions_more(&self, one: &str, other: &str) -> Option<f64> {
        let instructions = |name: &str| self.record.get(&format!("instructions/{name}"));
        Some(instructions(one)? - instructions(other)?)
    }

    fn of_verifying(mut self) -> Self {
        let documented = DOCUMENTED.len();
        for (what, name) in [("verify", SIGNATURE), ("verify, without headers", VERIFIER)] {
            // With SHA extensions, the bare MAC takes a quarter of the time.
            self.push_each_build(&format!("{what} / bare hmac"), [1.05, 1.08], |all, build| {
                all.of_times(build, documented, name, BARE)
            });
        }
        let more = self.instructions_more(SIGNATURE, BARE);
        self.push("verify, instructions more than bare hmac", Some(Target::AtMost(600.0)), more);
        for (name, most_allocations) in [(BARE, None), (SIGNATURE, Some(Target::AtMost(0.0))), (EVENT, None)]
        {
            for (what, target) in [("instructions", None), ("allocations", most_allocations)] {
                self.push(format!("{name}, {what}"), target, self.record.get(&format!("{what}/{name}")));
            }
        }
        for (kind, most) in [
            ("forged", Some(Target::AtMost(1.02))),
            ("malformed", None),
            ("upper case", None),
            ("missing", None),
        ] {
            self.push_builds(format!("{kind} / accepted"), most, SHA2, |all, build| {
                let time = |kind: &str| format!("time/{build}/refusal/{kind}");
                all.ratio(&time(kind), &time("accepted"))
            });
        }
        for other in [WEBHOOK_VERIFY_VALUE, NODE] {
            for (builds, backend) in [(SHA2, ""), (AWS, ", aws-lc-rs")] {
                let name = format!("verify, event{backend} / {other}");
                self.push_builds(name, None, builds, |all, build| {
                    all.of_times(build, documented, EVENT, other)
                });
            }
        }
        for (size, most) in [(documented, 1.1), (64 << 10, 1.01)] {
            let name = format!("verify, aws-lc-rs / bare aws-lc-rs, {size} bytes");
            self.push_builds(name, Target::AtMost(most), AWS, |all, build| {
                all.of_times(build, size, SIGNATURE, BARE_AWS_LC)
            });
        }
        self.push_builds(
            "64 KiB in 4 pieces and in one, apart by",
            Target::AtMost(1.03),
            SHA2,
            |all, build| {
                let time = |which: &str| format!("time/{build}/pieces/{which}");
                all.ratio(&time("pieces"), &time("whole")).map(apart)
            },
        );
        self
    }

    /// Verifying alone, in the forms of the built-in providers.
    fn of_forms(mut self) -> Self {
        for form in forms::ALL {
            let of = |name: &str| format!("forms/{form}/{name}");
            let most = (form == GITHUB).then_some(Target::AtMost(600.0));
            let more = self.instructions_more(&of(SIGNATURE), &of(BARE));
            self.push(format!("{form}: verify, instructions more than bare hmac"), most, more);
            let allocations = self.record.get(&format!("allocations/{}", of(SIGNATURE)));
            self.push(format!("{form}: verify, allocations"), Some(Target::AtMost(0.0)), allocations);
            let most = [if form == GITHUB { 1.05 } else { 1.1 }, 1.08];
            self.push_times(form, SIGNATURE, BARE, most);
        }
        self.push_times(STRIPE, FORGED, ASYNC_STRIPE, [0.5; 2]);
        self.push_times(STANDARD_WEBHOOKS, SIGNATURE, STANDARDWEBHOOKS, [0.5; 2]);
        self.push_times(STANDARD_WEBHOOKS, SIGNATURE, SVIX, [0.5; 2]);
        self
    }

    /// Of two candidates in a form.
    fn push_times(&mut self, form: &str, ours: &str, other: &str, most: [f64; 2]) {
        self.push_each_build(&format!("{form}: verify / {other}"), most, |all, build| {
            let time = |name: &str| format!("time/{build}/forms/{form}/{name}");
            all.ratio(&time(ours), &time(other))
        });
    }

    fn of_memory(mut self) -> Self {
        let memory =
            |one: &str, other: &str| self.ratio(&format!("memory/{one}"), &format!("memory/{other}"));
        let (store, two) = ("MemoryStore", "MemoryStore, two threads");
        let figures = [
            (
                "MemoryStore, claim and complete / Mutex<HashMap<String, _>>",
                Some(Target::AtMost(2.5)),
                memory(store, "Mutex<HashMap>"),
            ),
            (
                "the same / a map that need not own its keys",
                None,
                memory(store, "Mutex<HashMap>, keys borrowed"),
            ),
            ("MemoryStore, two threads / twice one", Some(Target::AtLeast(0.7)), memory(store, two)),
            ("the same with a store each", None, memory(store, "MemoryStore, two threads with a store each")),
            ("the same, hashing and nothing shared", None, memory("hashing", "hashing, two threads")),
        ];
        for (name, target, value) in figures {
            self.push(name, target, value);
        }
        // Of the second, the tables have doubled not long before.
        for (keys, name) in [("100000", "100,000"), ("1000000", "1,000,000")] {
            let bytes = self.record.get(&format!("bytes a key/memory/{keys}"));
            self.push(format!("MemoryStore, bytes a key, of {name}"), Some(Target::AtMost(200.0)), bytes);
        }
        self
    }

    fn of_growth(mut self) -> Self {
        for (what, group) in [("byte of the body", "by size"), ("secret", "by secrets")] {
            let name = format!("a {what}, of more / of fewer, at the most");
            self.push_builds(name, Target::AtMost(1.1), SHA2, |all, build| {
                steepest(&all.record.curve(&format!("time/{build}/{group}/"), ""))
            });
        }
        // Memory is left out: from a CPU's cache to the memory outside it is a factor of its own.
        for store in
            ["postgres", "postgres, no wait for the disk", "sqlite", "sqlite, no wait for the disk", "redis"]
        {
            let claims = self.record.curve(&format!("keys/{store}/"), "/p50");
            let is_whole =
                claims.first().zip(claims.last()).is_some_and(|ends| (ends.0.0, ends.1.0) == (1e3, 1e7));
            let times = || claims.iter().map(|point| point.1);
            let spread = times().fold(0.0, f64::max) / times().fold(f64::INFINITY, f64::min);
            let spread = is_whole.then_some(spread);
            let name = format!("{store}, median claim, 10³ to 10⁷ keys, slowest / fastest");
            self.push(name, Some(Target::AtMost(2.0)), spread);
        }
        self
    }

    /// Whether it did as it was told, and how quiet it was: otherwise the rest says little.
    fn of_the_machine(mut self) -> Self {
        let documented = DOCUMENTED.len();
        for (builds, name, least) in [(SHA2, BARE, 1.5), (AWS, BARE_AWS_LC, 1.5), (SHA2, NODE, 1.05)] {
            let ratio = self.of_builds(builds, name);
            let name = format!("control: {name}, SHA extensions unused / used");
            self.push(name, Some(Target::AtLeast(least)), ratio);
        }
        let name = "control: webhook-verify in the builds of both backends, apart by";
        let pairs = [[PORTABLE, AWS_PORTABLE], [ACCELERATED, AWS_ACCELERATED]];
        let values = pairs.map(|builds| self.of_builds(builds, WEBHOOK_VERIFY_VALUE).map(apart)).into();
        self.all.push(Figure { name: name.into(), target: Some(Target::AtMost(1.1)), values });
        for (builds, backend) in [(SHA2, ""), (AWS, ", aws-lc-rs")] {
            let name = format!("control: the same hashing twice{backend}, apart by");
            self.push_builds(name, Target::AtMost(1.05), builds, |all, build| {
                let time = |verdict: &str| format!("time/{build}/{documented}/1/{verdict}/{VERIFIER}");
                all.ratio(&time("forged"), &time("accepted")).map(apart)
            });
            let name = format!("control: a time's median / its least{backend}");
            self.push_builds(name, Target::AtMost(1.25), builds, |all, build| {
                all.record.get(&format!("spread/{build}"))
            });
        }
        let name = "control: a time's median / its least, the forms";
        self.push_builds(name, Target::AtMost(1.25), SHA2, |all, build| {
            all.record.get(&format!("spread/{build}, forms"))
        });
        let name = "control: a time's median / its least, MemoryStore";
        self.push(name, Some(Target::AtMost(1.25)), self.record.get("spread/memory"));
        self
    }
}

/// What the time of an accepted delivery, with one secret, is recorded under.
pub fn accepted(build: &str, size: usize, name: &str) -> String {
    format!("time/{build}/{size}/1/accepted/{name}")
}

/// By what factor two that should be the same differ, whichever is the larger.
fn apart(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// How much dearer each of many is than each of fewer, at the most: 1 at most where the cost is a
/// fixed part and one that grows linearly.
fn steepest(points: &[(f64, f64)]) -> Option<f64> {
    let each: Vec<_> = points.iter().map(|(count, time)| time / count).collect();
    let ratios =
        each.iter().enumerate().flat_map(|(at, fewer)| each[at + 1..].iter().map(move |more| more / fewer));
    ratios.reduce(f64::max)
}
