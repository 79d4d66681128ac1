//! The figures of a record with their targets, as a table. Fails if a target is missed or, without
//! `--quick`, something was not measured.
//!
//! `report RECORD --quick`, or `--forms` for what was measured and nothing else, or `report RECORD MACHINE DIRECTORY`
//! with a file that says in words what it was measured on, and where the plots go.

use std::path::Path;
use std::process::ExitCode;

use compare::figures::{self, Target};
use compare::plots::Plotter;
use compare::record::Record;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (record, plots) = match &arguments[..] {
        [record, part] if part == "--quick" || part == "--forms" => (record, None),
        [record, machine, directory] => (record, Some((machine, directory))),
        _ => panic!("report RECORD --quick or --forms, or report RECORD MACHINE DIRECTORY"),
    };
    let record = Record::read(Path::new(record)).expect("the record is readable");
    let (mut missed, mut absent) = (Vec::new(), Vec::new());
    if let Some((machine, directory)) = plots {
        let machine = std::fs::read_to_string(machine).expect("the machine is described");
        let mut plotter = Plotter { record: &record, machine: machine.trim(), absent };
        for (name, svg) in [("side_by_side", plotter.side_by_side()), ("growth", plotter.growth())] {
            std::fs::write(format!("{directory}/{name}.svg"), svg).expect("the plot can be written");
        }
        absent = plotter.absent;
    }

    println!("{:<64} {:>7}   {:<20} with SHA extensions", "", "target", "figure");
    let is_part = arguments[1] == "--forms";
    for figure in figures::all(&record) {
        if is_part && figure.values.iter().all(Option::is_none) {
            continue;
        }
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
    if missed.is_empty() && (plots.is_none() || absent.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn shown(value: f64) -> String {
    if value < 10.0 { format!("{value:>6.3}") } else { format!("{value:>6.0}") }
}
