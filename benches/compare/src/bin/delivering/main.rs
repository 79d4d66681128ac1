//! Delivers to whole services over HTTP: `delivering [--quick] [--node PACKAGES] [--python PACKAGES]`.
//!
//! Each service is a process of its own, and takes turns with the others in short blocks, so that a noisy machine slows all
//! alike. The values are the medians of the blocks. Nothing is recorded unless every answer had the right status and each accepted
//! event its effect once.

mod candidate;
mod client;
mod database;
mod deliveries;
mod usage;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use candidate::{Candidate, Packages, Turn, median};
use compare::record::put;
use compare::services::{SERVICES, SPREAD, cells};
use database::Databases;

/// The rounds that count, and how long a block takes.
const ROUNDS: usize = 7;
const BLOCK: Duration = Duration::from_millis(800);
const QUICK_ROUNDS: usize = 3;
const QUICK_BLOCK: Duration = Duration::from_millis(250);

/// The services have to end before their databases do: what is bound last is dropped first.
async fn run(quick: bool, packages: &Packages) -> Result<(Databases, Vec<Candidate>), String> {
    let databases = Databases::start().await;
    let mut candidates = Vec::new();
    for (number, service) in SERVICES.iter().enumerate() {
        let started = Candidate::start(service, number, &databases, packages).await;
        match started.map_err(|error| format!("{}: {error}", service.name))? {
            Some(candidate) => candidates.push(candidate),
            None => eprintln!("{}: not measured, because something is not installed", service.name),
        }
    }
    let (rounds, time) = if quick { (QUICK_ROUNDS, QUICK_BLOCK) } else { (ROUNDS, BLOCK) };
    let start = Instant::now();
    // The first round finds out how many deliveries a block has.
    for round in 0..=rounds {
        let turn = match round {
            0 => Turn { time: QUICK_BLOCK, is_measured: false },
            _ => Turn { time, is_measured: true },
        };
        let most = SERVICES.iter().map(|service| cells(service).len()).max().unwrap_or_default();
        for cell in 0..most {
            // Each is first in its turn.
            let count = candidates.len();
            for at in (0..count).map(|at| (at + round) % count) {
                let candidate = &mut candidates[at];
                let Some(&cell) = cells(candidate.service).get(cell) else { continue };
                let delivered = candidate.deliver(cell, turn, &databases).await;
                let (mix, level) = (cell.0.name, cell.1);
                delivered.map_err(|error| {
                    format!("{}, {mix}, {level} in flight: {error}", candidate.service.name)
                })?;
            }
        }
        eprintln!("round {round} of {rounds} after {} s", start.elapsed().as_secs());
    }
    for candidate in &candidates {
        let checked = candidate.check_effects().await;
        checked.map_err(|error| format!("{}: {error}", candidate.service.name))?;
    }
    Ok((databases, candidates))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut quick, mut packages) = (false, Packages::default());
    while let Some(argument) = arguments.next() {
        let mut path = || Some(arguments.next().expect("a path").into());
        match &*argument {
            "--quick" => quick = true,
            "--node" => packages.node = path(),
            "--python" => packages.python = path(),
            _ => panic!("delivering [--quick] [--node PACKAGES] [--python PACKAGES]"),
        }
    }
    match run(quick, &packages).await {
        Ok((_databases, candidates)) => {
            candidates.iter().for_each(Candidate::put);
            let spreads: Vec<_> = candidates.iter().flat_map(Candidate::spreads).collect();
            put(SPREAD, median(&spreads));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}: nothing is recorded");
            ExitCode::FAILURE
        }
    }
}
