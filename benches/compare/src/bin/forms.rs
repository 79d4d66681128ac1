//! How long verifying alone takes in the forms of the built-in providers: `forms NAME`, under which the
//! times are recorded.
//!
//! `forms --case WHAT TIMES` does one thing so often and ends, for a program that counts what that takes.

use std::time::Duration;

use compare::forms;
use compare::record::put;
use compare::rounds::{measure, spread};

fn main() {
    let mut candidates = forms::all();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--case", name, times] => {
            let candidate = candidates.iter_mut().find(|candidate| candidate.name == *name);
            candidate.expect("a candidate of this name").run(times.parse().unwrap());
        }
        [build] => {
            let times = measure(&mut candidates, 200, Duration::from_millis(1));
            for (candidate, time) in candidates.iter().zip(&times) {
                put(format_args!("time/{build}/forms/{}", candidate.name), time.least);
            }
            put(format_args!("spread/{build}, forms"), spread(times));
        }
        _ => panic!("forms NAME, or forms --case WHAT TIMES"),
    }
}
