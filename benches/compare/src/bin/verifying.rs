//! How long verifying takes, side by side: `verifying NAME`, under which the times are recorded.
//!
//! `verifying NAME --quick` takes fewer rounds of fewer deliveries. `verifying --case WHAT TIMES` does
//! one thing so often and ends, for a program that counts what that takes.

use std::time::Duration;

use compare::candidates::{self, EVENT};
use compare::case::{Case, DOCUMENTED};
use compare::process;
use compare::record::put;
use compare::rounds::{Candidate, Time, measure, spread};

/// Measures for the record of one build.
struct Recorder<'a> {
    build: &'a str,
    times: Vec<Time>,
}

impl Recorder<'_> {
    fn record(&mut self, group: &str, mut candidates: Vec<Candidate<'_>>, rounds: usize) {
        let times = measure(&mut candidates, rounds, Duration::from_millis(1));
        for (candidate, time) in candidates.iter().zip(times) {
            put(format_args!("time/{}/{group}/{}", self.build, candidate.name), time.least);
            self.times.push(time);
        }
    }

    /// Deliveries of which each is a candidate under its own name, so that they take turns.
    fn record_curve(&mut self, group: &str, cases: &[(usize, Case)], rounds: usize) {
        let mut candidates = Vec::new();
        for (name, case) in cases {
            candidates.push(only(case, EVENT));
            candidates.last_mut().unwrap().name = name.to_string();
        }
        self.record(group, candidates, rounds);
    }
}

fn record_all(build: &str, quick: bool) {
    let mut recorder = Recorder { build, times: Vec::new() };
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
                recorder.record(&format!("{size}/{secrets}/{verdict}"), candidates, rounds);
            }
        }
    }
    let case = Case::new(documented, 1, true);
    recorder.record("refusal", candidates::refusals(&case), 400);
    let case = Case::new(64 << 10, 1, true);
    recorder.record("pieces", candidates::pieces(&case, 16 << 10), 200);
    if !quick {
        let cases: Vec<_> =
            (10..=20).map(|power| 1 << power).map(|size| (size, Case::new(size, 1, true))).collect();
        recorder.record_curve("by size", &cases, 60);
        let cases: Vec<_> = (1..=8).map(|secrets| (secrets, Case::new(documented, secrets, false))).collect();
        recorder.record_curve("by secrets", &cases, 200);
    }
    put(format_args!("spread/{build}"), spread(recorder.times));
}

fn only<'a>(case: &'a Case, name: &str) -> Candidate<'a> {
    let mut candidates = candidates::all(case).into_iter();
    candidates.find(|candidate| candidate.name == name).expect("a candidate of this name")
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--case", name, times] => {
            let case = Case::new(DOCUMENTED.len(), 1, true);
            only(&case, name).run(times.parse().unwrap());
        }
        [build] => record_all(build, false),
        [build, "--quick"] => record_all(build, true),
        _ => panic!("verifying NAME [--quick], or verifying --case WHAT TIMES"),
    }
}
