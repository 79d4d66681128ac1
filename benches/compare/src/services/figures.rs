//! The figures that whole services are held to.

use crate::figures::{Figure, Target};
use crate::record::Record;
use crate::services::{
    ACCEPTED, MEMORY, MEMORY_BY_HAND, MIXES_LEVEL, MOSTLY_FORGED, Mix, NEW, NODE, ONLY_READS, P50, P99,
    POSTGRES, POSTGRES_APART, POSTGRES_APART_BY_HAND, POSTGRES_BY_HAND, POSTGRES_ELSEWHERE,
    POSTGRES_ELSEWHERE_BY_HAND, PYTHON, RATE, REDIS, SPREAD, SQLITE, SQLITE_BY_HAND, record_name,
};

/// Two services, and by how many in flight, how much faster the first has to be.
type Rates = (&'static str, &'static str, &'static [(usize, Option<f64>)]);

/// All figures, of what was measured.
pub fn all(record: &Record) -> Vec<Figure> {
    let value = |service, mix: Mix, level, what| record.get(&record_name(service, mix, level, what));
    let ratio =
        |one, other, level, what| Some(value(one, NEW, level, what)? / value(other, NEW, level, what)?);
    let mut all = Vec::new();
    let mut push = |name: String, target, value| all.push(Figure { name, target, values: vec![value] });

    let rates: [Rates; 8] = [
        (MEMORY, MEMORY_BY_HAND, &[(32, Some(1.0))]),
        (MEMORY, ONLY_READS, &[(32, Some(0.7))]),
        (SQLITE, SQLITE_BY_HAND, &[(32, Some(2.0)), (128, Some(3.0))]),
        (POSTGRES, POSTGRES_BY_HAND, &[(32, Some(1.1)), (128, Some(1.1))]),
        (POSTGRES_APART, POSTGRES_APART_BY_HAND, &[(32, Some(2.0)), (128, Some(4.0))]),
        (POSTGRES_ELSEWHERE, POSTGRES_ELSEWHERE_BY_HAND, &[(32, Some(2.0)), (128, Some(4.0))]),
        (POSTGRES, NODE, &[(32, Some(2.0))]),
        (POSTGRES, PYTHON, &[(32, None)]),
    ];
    for (one, other, least) in rates {
        for &(level, least) in least {
            let name = format!("{one} / {other}, a second, {level}");
            push(name, least.map(Target::AtLeast), ratio(one, other, level, RATE));
        }
    }
    for (one, other) in [(SQLITE, SQLITE_BY_HAND), (POSTGRES, POSTGRES_BY_HAND)] {
        for what in [P50, P99] {
            let name = format!("{one} / {other}, {what}, 1");
            push(name, Some(Target::AtMost(1.0)), ratio(one, other, 1, what));
        }
    }
    for service in [SQLITE, POSTGRES, POSTGRES_APART, POSTGRES_ELSEWHERE, REDIS, MEMORY] {
        let accepted = |mix| value(service, mix, MIXES_LEVEL, ACCEPTED);
        let kept = accepted(MOSTLY_FORGED).zip(accepted(NEW)).map(|(forged, new)| forged / new);
        let name = format!("{service}, accepted a second, 90 % forged / none, {MIXES_LEVEL}");
        push(name, Some(Target::AtLeast(0.8)), kept);
    }
    let name = "control: a block's rate, apart from its median by";
    push(name.to_owned(), Some(Target::AtMost(1.25)), record.get(SPREAD));
    all
}
