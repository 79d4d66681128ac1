//! The figures with their targets, of the records that are named, as a table; and the plots, into the
//! directory that `--plots` names. Fails if a target is missed or, without `--quick`, a figure not measured.

use std::path::Path;
use std::process::ExitCode;

use compare::figures::{self, Target};
use compare::plots;
use compare::record::Record;

fn main() -> ExitCode {
    let mut record = Record::default();
    let mut directory = None;
    let mut quick = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--plots" => directory = arguments.next(),
            "--quick" => quick = true,
            path => record.read(Path::new(path)).expect("a record is readable"),
        }
    }
    if let Some(directory) = directory {
        for (name, svg) in
            [("side_by_side", plots::side_by_side(&record)), ("growth", plots::growth(&record))]
        {
            std::fs::write(format!("{directory}/{name}.svg"), svg).expect("the plot can be written");
        }
    }

    println!("{:<64} {:>7}   {:<20} with SHA extensions", "", "target", "figure");
    let (mut missed, mut absent) = (Vec::new(), Vec::new());
    for figure in figures::all(&record) {
        let target = match figure.target {
            None => String::new(),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
        };
        let mut line = format!("{:<64} {target:>7}", figure.name);
        for (value, with) in figure.values.iter().zip(["", ", with SHA extensions"]) {
            let name = format!("{}{with}", figure.name);
            let verdict = match (value, figure.target) {
                (None, _) => {
                    absent.push(name);
                    "not measured".to_owned()
                }
                (Some(value), None) => shown(*value),
                (Some(value), Some(target)) if target.is_met_by(*value) => format!("{} pass", shown(*value)),
                (Some(value), _) => {
                    missed.push(name);
                    format!("{} FAIL", shown(*value))
                }
            };
            line += &format!("   {verdict:<18}");
        }
        println!("{}", line.trim_end());
    }
    println!("\nA figure in the first column is with the CPU's SHA extensions left unused, if it has two.");
    for (what, names) in [("missed", &missed), ("not measured", &absent)] {
        if !names.is_empty() {
            println!("{what}: {}", names.join("; "));
        }
    }
    if missed.is_empty() && (quick || absent.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn shown(value: f64) -> String {
    if value < 10.0 { format!("{value:>6.3}") } else { format!("{value:>6.0}") }
}
