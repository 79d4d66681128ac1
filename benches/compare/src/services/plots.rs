//! The plots of whole services. What was not measured is left out.

use crate::diagram::{Bars, Diagram};
use crate::record::Record;
use crate::services::{
    ACCEPTED, CPU, DATABASE_CPU, HALF_REPEATED, LEVELS, MEMORY, MEMORY_BY_HAND, MEMORY_PEAK, MIXES_LEVEL,
    MOSTLY_FORGED, Mix, NEW, NODE, ONLY_READS, P50, P99, POSTGRES, POSTGRES_APART, POSTGRES_APART_BY_HAND,
    POSTGRES_BY_HAND, PYTHON, RATE, REDIS, REDIS_BY_HAND, SERVICES, SQLITE, SQLITE_APART,
    SQLITE_APART_NOT_SHARED, SQLITE_BY_HAND, SQLITE_NOT_SHARED, record_name,
};
use crate::svg::{Anchor, Svg};

const WIDTH: f64 = 820.0;

/// A plot, and what it shows in words.
pub struct Plot {
    pub name: &'static str,
    pub svg: String,
    pub words: String,
}

pub fn all(record: &Record, machine: &str) -> [Plot; 6] {
    let curves = |name, title, what, unit| by_level(record, machine, name, title, what, unit);
    let bars = |name, title, kinds| by_service(record, machine, name, title, kinds);
    [
        curves("services", "deliveries a second", RATE, 1.0),
        curves("services_p50", "p50 of the answer, ms", P50, 1e-3),
        curves("services_p99", "p99 of the answer, ms", P99, 1e-3),
        bars(
            "services_cpu",
            "CPU time a delivery, in microseconds",
            [("the service", NEW, CPU), ("its database server", NEW, DATABASE_CPU)],
        ),
        bars(
            "services_memory",
            "Most memory of the service, in MiB",
            [("new events alone", NEW, MEMORY_PEAK), ("50 % repeated", HALF_REPEATED, MEMORY_PEAK)],
        ),
        bars(
            "services_mixes",
            "Deliveries a second",
            [("50 % repeated", HALF_REPEATED, RATE), ("accepted, 90 % forged", MOSTLY_FORGED, ACCEPTED)],
        ),
    ]
}

/// The part of a service's name after its store.
fn label(service: &'static str) -> &'static str {
    service.split_once(": ").map_or(service, |(_, label)| label)
}

/// A value by how many deliveries are in flight, with each store.
fn by_level(
    record: &Record,
    machine: &str,
    name: &'static str,
    what: &str,
    recorded_as: &str,
    unit: f64,
) -> Plot {
    let stores: [(&str, (f64, f64), &[&'static str]); 4] = [
        (
            "SQLite",
            (60.0, 50.0),
            &[SQLITE_BY_HAND, SQLITE, SQLITE_NOT_SHARED, SQLITE_APART, SQLITE_APART_NOT_SHARED],
        ),
        (
            "PostgreSQL",
            (470.0, 50.0),
            &[POSTGRES_BY_HAND, POSTGRES, POSTGRES_APART_BY_HAND, POSTGRES_APART, NODE, PYTHON],
        ),
        ("Redis", (60.0, 450.0), &[REDIS_BY_HAND, REDIS]),
        ("in memory", (470.0, 450.0), &[ONLY_READS, MEMORY_BY_HAND, MEMORY]),
    ];
    let mut words = format!("Whole services, {what}, with 1, 8, 32 and 128 in flight, on {machine}.");
    let titles = stores.map(|(store, ..)| format!("{store}, {what}"));
    let mut diagrams = Vec::new();
    for ((_, corner, services), title) in stores.into_iter().zip(&titles) {
        let mut curves = Vec::new();
        for &service in services {
            let value = |level| record.get(&record_name(service, NEW, level, recorded_as));
            let points: Vec<_> =
                LEVELS.iter().filter_map(|&level| Some((level as f64, unit * value(level)?))).collect();
            if !points.is_empty() {
                let values: Vec<_> = points.iter().map(|(_, value)| short(*value)).collect();
                words += &format!(" {service}: {}.", values.join(", "));
                curves.push((label(service), points));
            }
        }
        let powers = || curves.iter().flat_map(|(_, points)| points).map(|(_, value)| value.log10());
        let y = (
            powers().fold(f64::INFINITY, f64::min).floor(),
            powers().fold(f64::NEG_INFINITY, f64::max).ceil(),
        );
        if !curves.is_empty() {
            let axis = "deliveries in flight";
            diagrams.push(Diagram { corner, title, axis, x: (0.0, 2.2), y, curves });
        }
    }
    let mut svg = Svg::new(WIDTH, 830.0, "Whole services over HTTP", &words);
    diagrams.into_iter().for_each(|diagram| diagram.draw(&mut svg));
    Plot { name, svg: svg.finish(), words }
}

/// Two values of each service, as bars.
fn by_service(
    record: &Record,
    machine: &str,
    name: &'static str,
    what: &str,
    kinds: [(&'static str, Mix, &'static str); 2],
) -> Plot {
    let [first, second] = kinds.map(|(kind, ..)| kind);
    let mut words = format!(
        "Whole services with {MIXES_LEVEL} in flight, on {machine}. {what}, of {first} and of {second}:"
    );
    let mut rows = Vec::new();
    for service in &SERVICES {
        let values =
            kinds.map(|(_, mix, what)| record.get(&record_name(service.name, mix, MIXES_LEVEL, what)));
        let row: Vec<_> =
            values.into_iter().enumerate().filter_map(|(kind, value)| Some((kind, value?))).collect();
        if !row.is_empty() {
            let values: Vec<_> = row.iter().map(|(_, value)| format!("{value:.0}")).collect();
            words += &format!(" {} {}.", service.name, values.join(" and "));
            rows.push((service.name, row));
        }
    }
    let longest = rows.iter().flat_map(|(_, row)| row).map(|bar| bar.1).fold(0.0, f64::max);
    let bars = Bars { corner: (310.0, 42.0), kinds: [first, second], apart: 140.0, rows };
    let mut svg = Svg::new(WIDTH, bars.end() + 10.0, "Whole services over HTTP", &words);
    svg.text(20.0, 28.0, Anchor::Start, 15.0, &format!("{what}, with {MIXES_LEVEL} in flight"));
    bars.draw(&mut svg, |value| 440.0 * value / longest);
    Plot { name, svg: svg.finish(), words }
}

fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
