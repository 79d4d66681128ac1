//! What was measured of whole services, as tables in Markdown.

use crate::record::Record;
use crate::services::{
    ACCEPTED, CPU, DATABASE_CPU, HALF_REPEATED, LEVELS, MEMORY_PEAK, MIXES_LEVEL, MOSTLY_FORGED, Mix, NEW,
    P50, P99, RATE, SERVICES, Service, TENTH_REPEATED, record_name,
};

/// All tables.
pub fn all(record: &Record) -> String {
    let value =
        |service: &Service, mix: Mix, level, what| record.get(&record_name(service.name, mix, level, what));
    let rate = |service: &Service, level| {
        let own = value(service, NEW, level, RATE)?;
        let name = |baseline| record_name(baseline, NEW, level, RATE);
        Some(match service.baseline.and_then(|baseline| record.get(&name(baseline))) {
            Some(baseline) => format!("{own:.0} ({:.2})", own / baseline),
            None => format!("{own:.0}"),
        })
    };
    let times = |service: &Service, level| {
        let [p50, p99] = [P50, P99].map(|what| value(service, NEW, level, what));
        Some(format!("{}; {}", millis(p50?), millis(p99?)))
    };
    let mut text = String::new();
    let in_flight = LEVELS.map(|level| format!("{level} in flight"));
    table(&mut text, "deliveries a second (/ by hand)", &in_flight, |service| {
        LEVELS.map(|level| rate(service, level))
    });
    table(&mut text, "p50; p99 of the answer, ms", &in_flight, |service| {
        LEVELS.map(|level| times(service, level))
    });
    let columns = ["service, µs", "database, µs", "most memory, MiB"].map(str::to_owned);
    let title = format!("CPU time a delivery, and memory, {MIXES_LEVEL} in flight");
    table(&mut text, &title, &columns, |service| {
        let value = |what| value(service, NEW, MIXES_LEVEL, what).map(|value| format!("{value:.0}"));
        [CPU, DATABASE_CPU, MEMORY_PEAK].map(value)
    });
    let columns = [TENTH_REPEATED.name, HALF_REPEATED.name, MOSTLY_FORGED.name, "accepted of these"];
    let title = format!("deliveries a second, {MIXES_LEVEL} in flight");
    table(&mut text, &title, &columns.map(str::to_owned), |service| {
        let value = |(mix, what)| value(service, mix, MIXES_LEVEL, what).map(|value| format!("{value:.0}"));
        let mixes = [TENTH_REPEATED, HALF_REPEATED, MOSTLY_FORGED].map(|mix| value((mix, RATE)));
        let [tenth, half, forged] = mixes;
        [tenth, half, forged, value((MOSTLY_FORGED, ACCEPTED))]
    });
    text
}

fn millis(micros: f64) -> String {
    if micros < 1_000.0 { format!("{:.2}", micros / 1e3) } else { format!("{:.1}", micros / 1e3) }
}

/// A table with a row for each service that was measured.
fn table<const N: usize>(
    text: &mut String,
    title: &str,
    columns: &[String; N],
    row: impl Fn(&Service) -> [Option<String>; N],
) {
    *text += &format!("| {title} | {} |\n|{}\n", columns.join(" | "), "---|".repeat(N + 1));
    for service in &SERVICES {
        let row = row(service);
        if row.iter().any(Option::is_some) {
            let row = row.map(Option::unwrap_or_default);
            *text += &format!("| {} | {} |\n", service.name, row.join(" | "));
        }
    }
    *text += "\n";
}
