//! What is exact: instructions, by valgrind's callgrind, and allocations, of one delivery of the
//! documented payload. callgrind knows no SHA extensions, so that it counts the portable code.
//!
//! `counting --forms` counts for the forms of the built-in providers alone.

use std::ops::Range;
use std::process::Command;

use allocation_counter::measure;
use compare::candidates;
use compare::case::{Case, DOCUMENTED};
use compare::claims::claim_and_complete_at_once;
use compare::forms;
use compare::keys::{keys, short_keys};
use compare::record::put;
use compare::rounds::Candidate;
use countersign::{IdempotencyKey, MemoryStore};

/// The instructions of `times` times, of a program beside this one.
fn instructions(program: &str, what: &str, times: u32) -> f64 {
    let program = std::env::current_exe().unwrap().with_file_name(program);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--case", what, &times.to_string()])
        .output()
        .expect("valgrind starts");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    collected.expect("callgrind says what it counted").1.trim().parse().unwrap()
}

/// Counts for candidates that this program has under these names.
fn count(program: &str, group: &str, candidates: &mut [Candidate<'_>]) {
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !has_valgrind {
        eprintln!("valgrind is not installed: no instructions are counted");
    }
    for candidate in candidates {
        let allocations = measure(|| {
            candidate.run(1);
        });
        let name = &candidate.name;
        put(format_args!("allocations/{group}{name}"), allocations.count_total as f64);
        if has_valgrind {
            let more = instructions(program, name, 1_200) - instructions(program, name, 200);
            put(format_args!("instructions/{group}{name}"), more / 1_000.0);
        }
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--forms") {
        return count("forms", "forms/", &mut forms::all());
    }
    let case = Case::new(DOCUMENTED.len(), 1, true);
    count("verifying", "", &mut candidates::all(&case));
    count("forms", "forms/", &mut forms::all());
    let bytes_a_key = |number: u64, keys: fn(Range<u64>) -> Vec<IdempotencyKey>| {
        let store = MemoryStore::new();
        // The keys are made in here too: the store keeps what they are made of.
        let allocations = measure(|| {
            for from in (0..number).step_by(1_000) {
                keys(from..from + 1_000).iter().for_each(|key| claim_and_complete_at_once(&store, key));
            }
        });
        allocations.bytes_current as f64 / number as f64
    };
    for number in [100_000, 1_000_000] {
        put(format_args!("bytes a key/memory/{number}"), bytes_a_key(number, keys));
        put(format_args!("bytes a key/memory, short id/{number}"), bytes_a_key(number, short_keys));
    }
}
