//! The figures of a record with their targets, as a table. Fails if a target is missed or, without
//! `--quick`, something was not measured.
//!
//! `report RECORD --quick`, or `--forms` for what was measured and nothing else, or `report RECORD MACHINE DIRECTORY`
//! with a file that says in words what it was measured on, and where the plots go. `report --services RECORD MACHINE DIRECTORY`
//! is that for whole services.

use std::path::Path;
use std::process::ExitCode;

use compare::figures::{self, Figure, Target};
use compare::plots::Plotter;
use compare::record::Record;
use compare::services;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (record, plots) = match &arguments[..] {
        [services, record, machine, directory] if services == "--services" => {
            return of_services(record, machine, directory);
        }
        [record, part] if part == "--quick" || part == "--forms" => (record, None),
        [record, machine, directory] => (record, Some((machine, directory))),
        _ => panic!("report RECORD --quick or --forms, or report [--services] RECORD MACHINE DIRECTORY"),
    };
    let record = read(record);
    let mut absent = Vec::new();
    if let Some((machine, directory)) = plots {
        let machine = std::fs::read_to_string(machine).expect("the machine is described");
        let mut plotter = Plotter { record: &record, machine: machine.trim(), absent };
        for (name, svg) in [("side_by_side", plotter.side_by_side()), ("growth", plotter.growth())] {
            std::fs::write(format!("{directory}/{name}.svg"), svg).expect("the plot can be written");
        }
        absent = plotter.absent;
    }

    println!("{:<64} {:>7}   {:<20} with SHA extensions", "", "target", "figure");
    let mut figures = figures::all(&record);
    if arguments[1] == "--forms" {
        figures.retain(|figure| figure.values.iter().any(Option::is_some));
    }
    let verdicts = print(figures);
    absent.extend(verdicts.absent);
    println!("\nA figure in the first column is with the CPU's SHA extensions left unused, if it has two.");
    print_names(&verdicts.missed, &absent);
    exit_code(verdicts.missed.is_empty() && (plots.is_none() || absent.is_empty()))
}

/// Whole services: the plots with what they show in words, all that was measured, and the figures.
fn of_services(record: &str, machine: &str, directory: &str) -> ExitCode {
    let record = read(record);
    let machine = std::fs::read_to_string(machine).expect("the machine is described");
    print!("{machine}\n{}", services::tables::all(&record));
    for plot in services::plots::all(&record, machine.trim()) {
        let path = format!("{directory}/{}.svg", plot.name);
        std::fs::write(&path, plot.svg).expect("the plot can be written");
        println!("{path}: {}\n", plot.words);
    }
    println!("{:<64} {:>7}   figure", "", "target");
    let verdicts = print(services::figures::all(&record));
    println!(
        "\nBy hand has sqlx's default pool, which pings a connection at each acquire: a round trip, which countersign's own \
         check replaces.\nThe client shares the cores with the services, so the ratios of services that the CPU limits are \
         nearer to 1 than the\nservices' own: the CPU time a delivery, in its column, shows those."
    );
    print_names(&verdicts.missed, &verdicts.absent);
    exit_code(verdicts.missed.is_empty() && verdicts.absent.is_empty())
}

fn read(record: &str) -> Record {
    Record::read(Path::new(record)).expect("the record is readable")
}

fn exit_code(is_right: bool) -> ExitCode {
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The names of the figures that miss their targets, and of those that were not measured.
#[derive(Default)]
struct Verdicts {
    missed: Vec<String>,
    absent: Vec<String>,
}

fn print(figures: Vec<Figure>) -> Verdicts {
    let Verdicts { mut missed, mut absent } = Verdicts::default();
    for figure in figures {
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
    Verdicts { missed, absent }
}

fn print_names(missed: &[String], absent: &[String]) {
    for (what, names) in [("missed", missed), ("not measured", absent)] {
        if !names.is_empty() {
            println!("{what}: {}", names.join("; "));
        }
    }
}

fn shown(value: f64) -> String {
    if value < 10.0 { format!("{value:>6.3}") } else { format!("{value:>6.0}") }
}
