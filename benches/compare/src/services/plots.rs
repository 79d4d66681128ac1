//! The plots of whole services. What was not measured is left out.

use crate::diagram::{Bars, Diagram};
use crate::record::Record;
use crate::services::{
    CPU, DATABASE_CPU, LEVELS, MIXES_LEVEL, NEW, NODE, POSTGRES, POSTGRES_APART, POSTGRES_APART_BY_HAND,
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

pub fn all(record: &Record, machine: &str) -> [Plot; 2] {
    [rates(record, machine), cpu(record, machine)]
}

/// The part of a service's name after its store.
fn label(service: &'static str) -> &'static str {
    service.split_once(": ").map_or(service, |(_, label)| label)
}

/// Deliveries a second by how many are in flight, with each durable store.
fn rates(record: &Record, machine: &str) -> Plot {
    let stores: [(&str, (f64, f64), &[&'static str]); 3] = [
        (
            "SQLite, deliveries a second",
            (60.0, 50.0),
            &[SQLITE_BY_HAND, SQLITE, SQLITE_NOT_SHARED, SQLITE_APART, SQLITE_APART_NOT_SHARED],
        ),
        (
            "PostgreSQL, deliveries a second",
            (470.0, 50.0),
            &[POSTGRES_BY_HAND, POSTGRES, POSTGRES_APART_BY_HAND, POSTGRES_APART, NODE, PYTHON],
        ),
        ("Redis, deliveries a second", (60.0, 450.0), &[REDIS_BY_HAND, REDIS]),
    ];
    let mut words =
        format!("Deliveries a second with 1, 8, 32 and 128 in flight, with logarithmic axes. On {machine}.");
    let mut diagrams = Vec::new();
    for (title, corner, services) in stores {
        let mut curves = Vec::new();
        for &service in services {
            let rate = |level| record.get(&record_name(service, NEW, level, RATE));
            let points: Vec<_> =
                LEVELS.iter().filter_map(|&level| Some((level as f64, rate(level)?))).collect();
            if !points.is_empty() {
                let rates: Vec<_> = points.iter().map(|(_, rate)| format!("{rate:.0}")).collect();
                words += &format!(" {service}: {}.", rates.join(", "));
                curves.push((label(service), points));
            }
        }
        let rates = || curves.iter().flat_map(|(_, points)| points).map(|(_, rate)| rate.log10());
        let y = (rates().fold(f64::INFINITY, f64::min).floor(), rates().fold(0.0, f64::max).ceil());
        if !curves.is_empty() {
            diagrams.push(Diagram { corner, title, axis: "deliveries in flight", x: (0.0, 2.2), y, curves });
        }
    }
    let mut svg = Svg::new(WIDTH, 800.0, "Whole services over HTTP", &words);
    diagrams.into_iter().for_each(|diagram| diagram.draw(&mut svg));
    Plot { name: "services", svg: svg.finish(), words }
}

/// The CPU time of a delivery.
fn cpu(record: &Record, machine: &str) -> Plot {
    const KINDS: [&str; 2] = ["the service", "its database server"];
    let mut words = format!(
        "CPU time a delivery with {MIXES_LEVEL} in flight, in microseconds, on {machine}. Of the service, and of its \
             database server:"
    );
    let mut rows = Vec::new();
    for service in &SERVICES {
        let value = |what| record.get(&record_name(service.name, NEW, MIXES_LEVEL, what));
        let values = [value(CPU), value(DATABASE_CPU)];
        let row: Vec<_> =
            values.into_iter().enumerate().filter_map(|(kind, time)| Some((kind, time?))).collect();
        if !row.is_empty() {
            let times: Vec<_> = row.iter().map(|(_, time)| format!("{time:.0}")).collect();
            words += &format!(" {} {}.", service.name, times.join(" and "));
            rows.push((service.name, row));
        }
    }
    let longest = rows.iter().flat_map(|(_, row)| row).map(|bar| bar.1).fold(0.0, f64::max);
    let bars = Bars { corner: (310.0, 42.0), kinds: KINDS, apart: 120.0, rows };
    let mut svg = Svg::new(WIDTH, bars.end() + 10.0, "CPU time a delivery, whole services over HTTP", &words);
    let title = format!("CPU time a delivery with {MIXES_LEVEL} in flight, in microseconds");
    svg.text(20.0, 28.0, Anchor::Start, 15.0, &title);
    bars.draw(&mut svg, |time| 440.0 * time / longest);
    Plot { name: "services_cpu", svg: svg.finish(), words }
}
