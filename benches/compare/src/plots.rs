//! The two plots that the README shows.

use crate::candidates::{
    BARE, BARE_VALUE, DATA_VALUE, EVENT, OCTOCRAB_VALUE, STANDARDWEBHOOKS_VALUE, WEBHOOK_VERIFY_VALUE,
};
use crate::case::DOCUMENTED;
use crate::diagram::{Bars, Curve, Diagram, Row};
use crate::figures::{ACCELERATED, AWS_ACCELERATED, AWS_PORTABLE, PORTABLE, accepted};
use crate::process::{NODE, PYTHON};
use crate::record::Record;
use crate::svg::{Anchor, Svg};

const WIDTH: f64 = 820.0;

/// What is drawn was measured on this machine, in words; what was not measured is noted, and left out.
pub struct Plotter<'a> {
    pub record: &'a Record,
    pub machine: &'a str,
    pub absent: Vec<String>,
}

impl Plotter<'_> {
    /// A time in microseconds.
    fn time(&mut self, name: &str) -> Option<f64> {
        let time = self.record.get(name).map(|nanoseconds| nanoseconds / 1e3);
        if time.is_none() {
            self.absent.push(name.to_owned());
        }
        time
    }

    /// Times in microseconds by the number in the middle of their names.
    fn times_by<'c>(&mut self, label: &'c str, prefix: &str, suffix: &str) -> Curve<'c> {
        let points = self.record.curve(prefix, suffix);
        if points.is_empty() {
            self.absent.push(format!("{prefix}…{suffix}"));
        }
        (label, points.into_iter().map(|(x, nanoseconds)| (x, nanoseconds / 1e3)).collect())
    }

    /// Bars: one delivery of the documented payload, verified and read, by everything that can do it.
    pub fn side_by_side(&mut self) -> String {
        const KINDS: [&str; 2] = ["SHA extensions left unused", "with SHA extensions"];
        const SHA2: [Option<&str>; 2] = [Some(PORTABLE), Some(ACCELERATED)];
        let rows = [
            ("countersign, feature aws-lc-rs", [Some(AWS_PORTABLE), Some(AWS_ACCELERATED)], EVENT),
            ("countersign", SHA2, EVENT),
            ("hmac, serde_json::Value", SHA2, BARE_VALUE),
            ("webhook-verify, serde_json::Value", SHA2, WEBHOOK_VERIFY_VALUE),
            // The sha2 that it takes has no switch for them.
            ("octocrab's verifier, serde_json::Value", [None, Some(ACCELERATED)], OCTOCRAB_VALUE),
            ("standardwebhooks, serde_json::Value", SHA2, STANDARDWEBHOOKS_VALUE),
            ("Node, JSON.parse", SHA2, NODE),
            ("Python, json.loads", SHA2, PYTHON),
        ];
        let mut words = format!("Measured on {}. Microseconds:", self.machine);
        let mut bars = Vec::new();
        for (label, builds, name) in rows {
            let mut row = Vec::new();
            for (kind, build) in builds.into_iter().enumerate() {
                let name = |build| accepted(build, DOCUMENTED.len(), name);
                if let Some(time) = build.and_then(|build| self.time(&name(build))) {
                    words += &format!(" {label}, {}: {time:.1}.", KINDS[kind]);
                    row.push((kind, time));
                }
            }
            bars.push((label, row));
        }
        let longest = bars.iter().flat_map(|(_, row)| row).map(|bar: &(_, f64)| bar.1).fold(0.0, f64::max);
        let bars = Bars { corner: (290.0, 42.0), kinds: KINDS, apart: 240.0, rows: bars };
        let mut svg =
            Svg::new(WIDTH, bars.end() + 10.0, "One delivery verified and parsed, side by side", &words);
        let title = "One delivery of 641 bytes: signature checked and body parsed, in microseconds";
        svg.text(20.0, 28.0, Anchor::Start, 15.0, title);
        bars.draw(&mut svg, |time| 450.0 * time / longest);
        svg.finish()
    }

    /// By the body's length, by the secrets, by the keys in a store, and while a store is purged.
    pub fn growth(&mut self) -> String {
        let words = format!(
            "Measured on {}. With logarithmic axes: a delivery by the bytes of its body, one that is \
             forged by the secrets, a claim by the keys in the store, and claims while a store is purged.",
            self.machine
        );
        let mut svg = Svg::new(WIDTH, 810.0, "How the costs grow", &words);
        let documented = DOCUMENTED.len();
        let by_size = |name: &str| (format!("time/{PORTABLE}/"), format!("/1/accepted/{name}"));
        let by_secrets = |name: &str| (format!("time/{PORTABLE}/{documented}/"), format!("/forged/{name}"));
        let by_keys = |store: &str| (format!("keys/{store}/"), "/p50".to_owned());
        let mut curve = |label, (prefix, suffix): (String, String)| self.times_by(label, &prefix, &suffix);
        let no_wait = "no wait for the disk";
        let diagrams = [
            Diagram {
                corner: (60.0, 50.0),
                title: "A delivery verified and parsed, µs",
                axis: "bytes of the body (SHA extensions left unused)",
                x: (2.0, 7.0),
                y: (0.0, 5.0),
                curves: vec![
                    curve("hmac, nothing parsed", by_size(BARE)),
                    curve("countersign's event", by_size(EVENT)),
                    curve("countersign, data as Value", by_size(DATA_VALUE)),
                    curve("webhook-verify, Value", by_size(WEBHOOK_VERIFY_VALUE)),
                    curve("Node, JSON.parse", by_size(NODE)),
                ],
            },
            Diagram {
                corner: (470.0, 50.0),
                title: "A forged delivery of 641 bytes, µs",
                axis: "secrets (SHA extensions left unused)",
                x: (0.0, 1.0),
                y: (0.0, 2.0),
                curves: vec![
                    curve("hmac", by_secrets(BARE)),
                    curve("countersign", by_secrets(EVENT)),
                    curve("webhook-verify", by_secrets(WEBHOOK_VERIFY_VALUE)),
                    curve("Node", by_secrets(NODE)),
                    curve("Python", by_secrets(PYTHON)),
                ],
            },
            Diagram {
                corner: (60.0, 450.0),
                title: "A claim, median, µs",
                axis: "keys in the store",
                x: (3.0, 7.0),
                y: (-1.0, 4.0),
                curves: vec![
                    curve("PostgreSQL", by_keys("postgres")),
                    curve("PostgreSQL, no disk wait", by_keys(&format!("postgres, {no_wait}"))),
                    curve("SQLite", by_keys("sqlite")),
                    curve("SQLite, no disk wait", by_keys(&format!("sqlite, {no_wait}"))),
                    curve("Redis", by_keys("redis")),
                    curve("memory", by_keys("memory")),
                ],
            },
        ];
        diagrams.into_iter().for_each(|diagram| diagram.draw(&mut svg));
        svg.text(430.0, 428.0, Anchor::Start, 14.0, "A claim while 200,000 of 1.2 M keys are purged, µs");
        let bars = Bars {
            corner: (580.0, 450.0),
            kinds: ["median", "99th percentile"],
            apart: 90.0,
            rows: self.purged(),
        };
        // By powers of ten, from 10 µs on.
        bars.draw(&mut svg, |time| 40.0 * (time / 10.0).log10());
        svg.finish()
    }

    /// Claims, median and 99th percentile, while a store is purged and while it is not.
    fn purged(&mut self) -> Vec<Row> {
        let rows = [
            ("PostgreSQL, not purged", "postgres/without"),
            ("PostgreSQL, purged", "postgres/during"),
            ("SQLite, not purged", "sqlite/without"),
            ("SQLite, purged", "sqlite/during"),
        ];
        let row = |(label, name): (&'static str, &str)| {
            let times = ["p50", "p99"].map(|percentile| self.time(&format!("purge/{name}/{percentile}")));
            (label, times.into_iter().enumerate().filter_map(|(kind, time)| Some((kind, time?))).collect())
        };
        rows.map(row).into()
    }
}
