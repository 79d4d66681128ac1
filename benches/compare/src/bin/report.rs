//! The figures with their targets, of the records that are named, as a table; and the plots, into the
//! directory that `--plots` names. Fails if a target is missed.

use std::path::Path;
use std::process::ExitCode;

use compare::figures::{self, Target};
use compare::plots;
use compare::record::Record;

fn main() -> ExitCode {
    let mut record = Record::default();
    let mut directory = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--plots" {
            directory = arguments.next();
        } else {
            record.read(Path::new(&argument)).expect("a record is readable");
        }
    }
    if let Some(directory) = directory {
        for (name, svg) in
            [("side_by_side", plots::side_by_side(&record)), ("growth", plots::growth(&record))]
        {
            std::fs::write(format!("{directory}/{name}.svg"), svg).expect("the plot can be written");
        }
    }

    println!("{:<62} {:>9} {:>9} {:>9}", "", "figure", "target", "with SHA");
    let mut missed = Vec::new();
    for figure in figures::all(&record) {
        let passes = figure.passes();
        let (sign, bound) = match figure.target {
            Target::AtMost(most) => ('≤', most),
            Target::AtLeast(least) => ('≥', least),
        };
        let verdict = match passes {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "not measured",
        };
        println!(
            "{:<62} {:>9} {:>9} {:>9}  {verdict}",
            figure.name,
            shown(figure.judged),
            format!("{sign} {bound}"),
            shown(figure.accelerated),
        );
        if passes == Some(false) {
            missed.push(figure.name);
        }
    }
    println!(
        "\nA figure is with the CPU's SHA extensions left unused, which is what is judged; \"with SHA\" is the same with them."
    );
    if missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmissed: {}", missed.join("; "));
    ExitCode::FAILURE
}

fn shown(figure: Option<f64>) -> String {
    match figure {
        None => String::new(),
        Some(figure) if figure < 10.0 => format!("{figure:.3}"),
        Some(figure) => format!("{figure:.0}"),
    }
}
