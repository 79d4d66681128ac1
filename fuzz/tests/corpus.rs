//! Every seed, what was found since, and changed seeds: on any toolchain and without the fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Changed seeds for each target. A fuzzer is guided by what it covers, and these are not: they only tell
/// early what it would find soon.
const CHANGED: usize = 20_000;

/// What a change puts in: what JSON, headers and lengths are made of.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"null",
    b"0",
    b"-1.50e9",
    b"\n",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"sha256=",
    b"\\ud800",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    // A folder has no order, and each run is to be the same.
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One to four changes: a byte, a piece put in, a part taken out, or the end of another seed.
fn changed(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.choice(seeds).unwrap().clone();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(0..=bytes.len());
        match random.u8(0..4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap().iter().copied())),
            2 => drop(bytes.drain(at..random.usize(at..=bytes.len().min(at + 16)))),
            _ => {
                let other = random.choice(seeds).unwrap();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.usize(0..=other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn every_seed_holds() {
    for (name, target) in countersign_fuzz::TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 3, "{name} has no seeds");
        for seed in seeds {
            println!("{name}: {:?}", seed.escape_ascii().to_string());
            target(&seed);
        }
    }
}

#[test]
fn a_changed_seed_holds() {
    for (name, target) in countersign_fuzz::TARGETS {
        let seeds = seeds(name);
        let mut random = fastrand::Rng::with_seed(20_261_122);
        for _ in 0..CHANGED {
            let input = changed(&mut random, &seeds);
            let held = catch_unwind(|| target(&input));
            assert!(held.is_ok(), "{name}, as a seed: {:?}", input.escape_ascii().to_string());
        }
    }
}
