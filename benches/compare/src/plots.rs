//! The two plots that the README shows.

use crate::candidates::{
    BARE, BARE_VALUE, DATA_VALUE, EVENT, OCTOCRAB_VALUE, STANDARDWEBHOOKS_VALUE, WEBHOOK_VERIFY_VALUE,
};
use crate::case::DOCUMENTED;
use crate::figures::{ACCELERATED, AWS_ACCELERATED, AWS_PORTABLE, PORTABLE};
use crate::process::{NODE, PYTHON};
use crate::record::Record;
use crate::svg::{Anchor, COLOURS, FAINT, Svg};

/// Bars: one delivery of the documented payload, verified and read, by everything that can do it.
pub fn side_by_side(record: &Record) -> String {
    let rows = [
        ("countersign, feature aws-lc-rs", [AWS_PORTABLE, AWS_ACCELERATED], EVENT),
        ("countersign", [PORTABLE, ACCELERATED], EVENT),
        ("hmac, serde_json::Value", [PORTABLE, ACCELERATED], BARE_VALUE),
        ("webhook-verify, serde_json::Value", [PORTABLE, ACCELERATED], WEBHOOK_VERIFY_VALUE),
        ("octocrab's verifier, serde_json::Value", [PORTABLE, ACCELERATED], OCTOCRAB_VALUE),
        ("standardwebhooks, serde_json::Value", [PORTABLE, ACCELERATED], STANDARDWEBHOOKS_VALUE),
        ("Node, JSON.parse", [PORTABLE, ACCELERATED], NODE),
        ("Python, json.loads", [PORTABLE, ACCELERATED], PYTHON),
    ];
    let time =
        |build: &str, name: &str| record.get(&format!("time/{build}/{}/1/accepted/{name}", DOCUMENTED.len()));
    let times: Vec<_> =
        rows.iter().map(|(label, builds, name)| (label, builds.map(|build| time(build, name)))).collect();
    let longest = times.iter().flat_map(|row| row.1).flatten().fold(0.0, f64::max);
    let (left, width, row) = (290.0, 450.0, 40.0);
    let height = 92.0 + row * times.len() as f64;
    let shown = times.iter().map(|(label, times)| {
        let times =
            times.map(|time| time.map_or("not measured".to_owned(), |time| format!("{:.1}", time / 1e3)));
        format!("{label}: {}", times.join(" and "))
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    let mut svg = Svg::new(
        820.0,
        height,
        "One delivery verified and parsed, side by side",
        &format!("Microseconds with the CPU's SHA extensions left unused, and with them. {shown}."),
    );
    svg.text(
        20.0,
        28.0,
        Anchor::Start,
        15.0,
        "One delivery of 641 bytes: signature checked and body parsed, in microseconds",
    );
    for (at, label) in ["SHA extensions left unused", "with SHA extensions"].iter().enumerate() {
        let x = left + 240.0 * at as f64;
        svg.bar(x, 42.0, 12.0, 12.0, COLOURS[at]);
        svg.text(x + 18.0, 53.0, Anchor::Start, 13.0, label);
    }
    for (at, (label, times)) in times.iter().enumerate() {
        let y = 72.0 + row * at as f64;
        svg.text(left - 10.0, y + 19.0, Anchor::End, 13.0, label);
        for (which, time) in times.iter().enumerate() {
            let y = y + 15.0 * which as f64;
            let Some(time) = time else {
                svg.text(left + 4.0, y + 11.0, Anchor::Start, 11.0, "not measured");
                continue;
            };
            let length = width * time / longest;
            svg.bar(left, y, length, 13.0, COLOURS[which]);
            svg.text(left + length + 6.0, y + 11.0, Anchor::Start, 11.0, &format!("{:.1}", time / 1e3));
        }
    }
    svg.finish()
}

/// Two diagrams with logarithmic axes: by the body's length, and by the keys in a store.
pub fn growth(record: &Record) -> String {
    let by_size = |name: &str| {
        let sizes = record.under("time/").filter_map(|(rest, time)| {
            let mut parts = rest.split('/');
            let is = parts.next() == Some(PORTABLE);
            let size: f64 = parts.next()?.parse().ok()?;
            (is && parts.next() == Some("1")
                && parts.next() == Some("accepted")
                && parts.next() == Some(name))
            .then_some((size, time / 1e3))
        });
        let mut points: Vec<_> = sizes.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    };
    let by_keys = |store: &str| {
        let points = record.curve(&format!("keys/{store}/"), "/p50");
        points.into_iter().map(|(keys, time)| (keys, time / 1e3)).collect::<Vec<_>>()
    };
    let mut svg = Svg::new(
        820.0,
        430.0,
        "How the costs grow",
        "Two diagrams with logarithmic axes: what a delivery costs by the bytes of its body, and what a claim \
         costs by the keys in the store.",
    );
    Diagram {
        left: 60.0,
        title: "A delivery verified and parsed, in µs",
        axis: "bytes of the body",
        x: (2.0, 7.0),
        y: (0.0, 5.0),
        curves: vec![
            ("hmac, nothing parsed", by_size(BARE)),
            ("countersign's event", by_size(EVENT)),
            ("countersign, data as Value", by_size(DATA_VALUE)),
            ("webhook-verify, Value", by_size(WEBHOOK_VERIFY_VALUE)),
            ("Node, JSON.parse", by_size(NODE)),
        ],
    }
    .draw(&mut svg);
    Diagram {
        left: 470.0,
        title: "A claim, in µs",
        axis: "keys in the store",
        x: (3.0, 7.0),
        y: (-1.0, 4.0),
        curves: vec![
            ("PostgreSQL", by_keys("postgres")),
            ("PostgreSQL, no wait for the disk", by_keys("postgres, no wait for the disk")),
            ("SQLite", by_keys("sqlite")),
            ("SQLite, no wait for the disk", by_keys("sqlite, no wait for the disk")),
            ("Redis", by_keys("redis")),
            ("memory", by_keys("memory")),
        ],
    }
    .draw(&mut svg);
    svg.finish()
}

/// A diagram whose axes are powers of ten.
struct Diagram<'a> {
    left: f64,
    title: &'a str,
    axis: &'a str,
    x: (f64, f64),
    y: (f64, f64),
    curves: Vec<(&'a str, Vec<(f64, f64)>)>,
}

impl Diagram<'_> {
    fn draw(self, svg: &mut Svg) {
        const WIDTH: f64 = 320.0;
        const TOP: f64 = 50.0;
        const HEIGHT: f64 = 240.0;
        let at_x = |power: f64| self.left + WIDTH * (power - self.x.0) / (self.x.1 - self.x.0);
        let at_y = |power: f64| TOP + HEIGHT * (self.y.1 - power) / (self.y.1 - self.y.0);
        svg.text(self.left - 40.0, 28.0, Anchor::Start, 14.0, self.title);
        for power in self.x.0 as i32..=self.x.1 as i32 {
            let x = at_x(f64::from(power));
            svg.line(&[(x, TOP), (x, TOP + HEIGHT)], FAINT, 1.0);
            svg.text(x, TOP + HEIGHT + 18.0, Anchor::Middle, 11.0, &power_of_ten(power));
        }
        for power in self.y.0 as i32..=self.y.1 as i32 {
            let y = at_y(f64::from(power));
            svg.line(&[(self.left, y), (self.left + WIDTH, y)], FAINT, 1.0);
            svg.text(self.left - 6.0, y + 4.0, Anchor::End, 11.0, &power_of_ten(power));
        }
        svg.text(at_x((self.x.0 + self.x.1) / 2.0), TOP + HEIGHT + 36.0, Anchor::Middle, 12.0, self.axis);
        let measured = self.curves.iter().filter(|(_, points)| !points.is_empty());
        for (at, (label, points)) in measured.enumerate() {
            let colour = COLOURS[at];
            let points: Vec<_> = points.iter().map(|(x, y)| (at_x(x.log10()), at_y(y.log10()))).collect();
            svg.line(&points, colour, 2.0);
            points.iter().for_each(|(x, y)| svg.dot(*x, *y, colour));
            let (x, y) =
                (self.left - 40.0 + 195.0 * (at % 2) as f64, TOP + HEIGHT + 66.0 + 22.0 * (at / 2) as f64);
            svg.bar(x, y - 10.0, 12.0, 12.0, colour);
            svg.text(x + 18.0, y, Anchor::Start, 12.0, label);
        }
    }
}

fn power_of_ten(power: i32) -> String {
    match power {
        -1 => "0.1".to_owned(),
        0..=3 => 10_i32.pow(power as u32).to_string(),
        4..=5 => format!("{}k", 10_i32.pow(power as u32 - 3)),
        _ => format!("{}M", 10_i32.pow(power as u32 - 6)),
    }
}
