//! The search through a process's memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};

/// What a byte is masked with: where it is stored, and where it is told.
pub(crate) const MASK: u8 = 0xa5;
/// So much of a pattern in one piece is a find. A half of a state, or of a block's used part.
const PIECE: usize = 16;

/// The masked patterns, and what memory is read into.
pub(crate) struct Search {
    pub(crate) patterns: Vec<(&'static str, Vec<u8>)>,
    page: Vec<u8>,
    /// Has its room from the start: a new one would lie where something was freed, and overwrite it.
    maps: String,
}

impl Search {
    pub(crate) fn new() -> Self {
        let names = ["secret", "key", "ipad", "opad", "inner state", "outer state"];
        let pattern =
            |name| hex::decode(std::env::var(format!("COUNTERSIGN_PATTERN_{name}")).unwrap()).unwrap();
        Self {
            patterns: names.map(|name| (name, pattern(name))).into(),
            page: vec![0; 1 << 16],
            maps: String::with_capacity(1 << 16),
        }
    }

    /// Prints what is found of the patterns, but for states on the stack.
    #[inline(never)]
    pub(crate) fn report(&mut self, step: &str) {
        let local = 0_u8;
        let stack = (&raw const local).addr() as u64;
        let mut found = BTreeSet::new();
        let mut memory = File::open("/proc/self/mem").unwrap();
        let mut maps = std::mem::take(&mut self.maps);
        maps.clear();
        File::open("/proc/self/maps").unwrap().read_to_string(&mut maps).unwrap();
        for map in maps.lines() {
            let (range, access) = map.split_once(' ').unwrap();
            if !access.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            let is_stack = (start..end).contains(&stack);
            let mut at = start;
            while at < end {
                let length = self.page.len().min((end - at) as usize);
                memory.seek(SeekFrom::Start(at)).unwrap();
                if memory.read_exact(&mut self.page[..length]).is_err() {
                    break;
                }
                self.search(length, |pattern| {
                    if !(is_stack && self.patterns[pattern].0.ends_with("state")) {
                        found.insert(pattern);
                    }
                });
                // A piece may lie across the end.
                at += if at + length as u64 == end { length } else { length - PIECE } as u64;
            }
        }
        self.maps = maps;
        // What was read is a copy of it.
        black_box(&mut self.page).fill(0);
        let names: Vec<_> = found.iter().map(|pattern| self.patterns[*pattern].0).collect();
        println!("found: {step}: {}", names.join(", "));
    }

    /// Says which patterns the page holds, of which it is enough to hold the first or the last piece.
    fn search(&self, length: usize, mut found: impl FnMut(usize)) {
        let mut firsts = [false; 256];
        let mut pieces = Vec::new();
        for (at, (_, pattern)) in self.patterns.iter().enumerate() {
            for piece in [&pattern[..PIECE], &pattern[pattern.len() - PIECE..]] {
                firsts[usize::from(piece[0] ^ MASK)] = true;
                pieces.push((at, piece));
            }
        }
        for window in self.page[..length].windows(PIECE) {
            if firsts[usize::from(window[0])] {
                let is = |piece: &[u8]| window.iter().zip(piece).all(|(byte, masked)| *byte == masked ^ MASK);
                pieces.iter().filter(|(_, piece)| is(piece)).for_each(|(at, _)| found(*at));
            }
        }
    }
}
