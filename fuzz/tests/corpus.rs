//! Every seed, and what was found since, on any toolchain and without the fuzzer.

use std::fs;
use std::path::Path;

#[test]
fn every_seed_holds() {
    for (name, target) in countersign_fuzz::TARGETS {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let seeds = fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display()));
        let mut run = 0;
        for seed in seeds {
            let seed = seed.unwrap().path();
            println!("{}", seed.display());
            target(&fs::read(seed).unwrap());
            run += 1;
        }
        assert!(run >= 3, "{name} has no seeds");
    }
}
