//! How long verifying takes, side by side: `verifying NAME`, under which the times are recorded.
//!
//! `verifying NAME --quick` takes fewer rounds of fewer deliveries. `verifying --case WHAT TIMES` does
//! one thing so often and ends, for a program that counts what that takes.

use std::time::Duration;

use compare::candidates;
use compare::case::{Case, DOCUMENTED};
use compare::process;
use compare::record::put;
use compare::rounds::{Candidate, smallest};

const SLICE: Duration = Duration::from_millis(1);

fn record(name: &str, mut candidates: Vec<Candidate<'_>>, rounds: usize) {
    let times = smallest(&mut candidates, rounds, SLICE);
    for (candidate, time) in candidates.iter().zip(times) {
        put(format_args!("time/{name}/{}", candidate.name), time);
    }
}

fn measure(build: &str, quick: bool) {
    let documented = DOCUMENTED.len();
    let sizes: &[usize] =
        if quick { &[documented, 64 << 10] } else { &[300, documented, 4 << 10, 64 << 10, 1 << 20] };
    let secrets: &[usize] = if quick { &[1] } else { &[1, 2, 8] };
    for &size in sizes {
        for &secrets in secrets {
            for is_accepted in [true, false] {
                let case = Case::new(size, secrets, is_accepted);
                let mut candidates = candidates::all(&case);
                candidates.extend(process::candidates(&case));
                let verdict = if is_accepted { "accepted" } else { "forged" };
                // The figures that are held against a target are those of one secret.
                let rounds = match (size, secrets) {
                    (1_048_576, _) => 20,
                    (_, 1) => 200,
                    _ => 30,
                };
                record(&format!("{build}/{size}/{secrets}/{verdict}"), candidates, rounds);
            }
        }
    }
    let case = Case::new(documented, 1, true);
    record(&format!("{build}/refusal"), candidates::refusals(&case), 400);
    let case = Case::new(64 << 10, 1, true);
    record(&format!("{build}/pieces"), candidates::pieces(&case, 16 << 10), 200);
    if quick {
        return;
    }
    // For the curves, what a service does: verify and read the event.
    for size in (10..=20).map(|power| 1 << power) {
        let case = Case::new(size, 1, true);
        record(&format!("{build}/by size/{size}"), only(&case, EVENT), 60);
    }
    for secrets in 1..=8 {
        let case = Case::new(documented, secrets, false);
        record(&format!("{build}/by secrets/{secrets}"), only(&case, EVENT), 200);
    }
}

const EVENT: &str = "Webhook::verify, event";

fn only<'a>(case: &'a Case, name: &str) -> Vec<Candidate<'a>> {
    candidates::all(case).into_iter().filter(|candidate| candidate.name == name).collect()
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--case", name, times] => {
            let case = Case::new(DOCUMENTED.len(), 1, true);
            let mut candidates = only(&case, name);
            candidates[0].run(times.parse().unwrap());
        }
        [build] => measure(build, false),
        [build, "--quick"] => measure(build, true),
        _ => panic!("verifying NAME [--quick], or verifying --case WHAT TIMES"),
    }
}
