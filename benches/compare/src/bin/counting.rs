//! What is exact: instructions, by valgrind's callgrind, and allocations, of one delivery of the
//! documented payload. callgrind knows no SHA extensions, so that it counts the portable code.

use std::process::Command;

use allocation_counter::measure;
use compare::candidates;
use compare::case::{Case, DOCUMENTED};
use compare::keys::keys;
use compare::memory::claim_and_complete;
use compare::record::put;
use countersign::MemoryStore;

/// The instructions of `times` times, of the program beside this one.
fn instructions(what: &str, times: u32) -> Option<u64> {
    let program = std::env::current_exe().unwrap().with_file_name("verifying");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--case", what, &times.to_string()])
        .output()
        .ok()?;
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn main() {
    let case = Case::new(DOCUMENTED.len(), 1, true);
    for candidate in &mut candidates::all(&case) {
        let allocations = measure(|| {
            candidate.run(1);
        });
        put(format_args!("allocations/{}", candidate.name), allocations.count_total as f64);
        let counts = (instructions(&candidate.name, 200), instructions(&candidate.name, 1_200));
        match counts {
            (Some(few), Some(many)) => {
                put(format_args!("instructions/{}", candidate.name), (many - few) as f64 / 1_000.0);
            }
            _ => eprintln!("valgrind is not installed: no instructions were counted"),
        }
    }
    for number in [100_000, 1_000_000] {
        let store = MemoryStore::new();
        // The keys are made in here too: the store keeps what they are made of.
        let allocations = measure(|| {
            for from in (0..number).step_by(1_000) {
                keys(from..from + 1_000).iter().for_each(|key| claim_and_complete(&store, key));
            }
        });
        put(format_args!("bytes a key/memory/{number}"), allocations.bytes_current as f64 / number as f64);
    }
}
