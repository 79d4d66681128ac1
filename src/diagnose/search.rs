//! The search for the fewest accidents that explain a reading.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use super::body;
use super::cause::Cause;
use super::hash::{self, Algorithm, Work};
use super::reading::Reading;
use super::secret::TriedKey;
use super::tokens;
use crate::mac::WipedStack;
use crate::scheme::Tolerance;

/// The most accidents that are tried together.
const MAX_ACCIDENTS: usize = 3;
/// The most of them in the body.
const MAX_BODY_ACCIDENTS: usize = 2;

/// What explains a reading.
pub(super) struct Explanation {
    pub(super) causes: Vec<Cause>,
    pub(super) secret_label: Option<Arc<str>>,
    /// The time of the signature, as it was sent.
    pub(super) time: Option<SystemTime>,
    /// How far the time may lie from the clock, under the scheme that the signature was read by.
    pub(super) tolerance: Option<Tolerance>,
    /// The body that was signed.
    pub(super) body: Vec<u8>,
}

pub(super) struct Search<'s> {
    stack: &'s WipedStack,
    readings: &'s [Reading],
    /// By the number of their accidents.
    keys: [Vec<&'s TriedKey>; MAX_ACCIDENTS + 1],
    is_opaque: bool,
    /// The hash of each body that was tried, with its own number of accidents, and with that of all.
    tried: HashMap<u64, (usize, usize)>,
    pub(super) work: Work,
    pub(super) explanation: Option<Explanation>,
}

impl<'s> Search<'s> {
    pub(super) fn new(
        stack: &'s WipedStack,
        keys: &'s [TriedKey],
        readings: &'s [Reading],
        is_opaque: bool,
        work: Work,
    ) -> Self {
        let with = |accidents| keys.iter().filter(|key| key.causes.len() == accidents).collect();
        let keys = std::array::from_fn(with);
        Self { stack, readings, keys, is_opaque, tried: HashMap::new(), work, explanation: None }
    }

    /// Breaks when it has an explanation, or reaches a limit.
    pub(super) fn run(&mut self, body: &[u8]) -> ControlFlow<()> {
        for accidents in 1..=MAX_ACCIDENTS {
            for of_body in 0..=accidents.min(MAX_BODY_ACCIDENTS) {
                let elsewhere = accidents - of_body;
                if self.readings.iter().any(|reading| !self.keys_for(reading, elsewhere).is_empty()) {
                    body::visit_each(body, of_body, &mut |body, causes| {
                        if self.is_tried(body, (of_body, accidents)) {
                            return ControlFlow::Continue(());
                        }
                        self.try_body(body, causes, elsewhere)
                    })?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The keys that have this many accidents together with the reading.
    fn keys_for(&self, reading: &Reading, accidents: usize) -> &[&'s TriedKey] {
        let of_key = accidents.checked_sub(reading.causes.len());
        let keys = of_key.and_then(|of_key| self.keys.get(of_key)).map_or(&[][..], Vec::as_slice);
        match (reading.algorithm, of_key) {
            // A hash without a key is the same with each.
            (Algorithm::PlainSha256, Some(0)) => &keys[..keys.len().min(1)],
            (Algorithm::PlainSha256, _) => &[],
            (Algorithm::Hmac(_), _) => keys,
        }
    }

    /// Whether this body was tried before, with fewer accidents or with as many.
    fn is_tried(&mut self, body: &[u8], accidents: (usize, usize)) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(body);
        let hash = hasher.finish();
        let is_tried = |before: &(usize, usize)| before.0 < accidents.0 || *before == accidents;
        self.tried.get(&hash).is_some_and(is_tried) || {
            self.tried.insert(hash, accidents);
            false
        }
    }

    /// Tries a body with each reading and key that have this many accidents together.
    fn try_body(&mut self, body: &[u8], of_body: &[Cause], accidents: usize) -> ControlFlow<()> {
        // A genuine message, with what stands before its body, could otherwise pass for a body that was signed alone.
        let may_be_alone = self.is_opaque || tokens::document(body).is_some();
        for reading in self.readings.iter().filter(|reading| may_be_alone || !reading.is_body_alone) {
            let message = [&*reading.before, body, &*reading.after];
            for at in 0..self.keys_for(reading, accidents).len() {
                let key = self.keys_for(reading, accidents)[at];
                if key.encoding != reading.key {
                    continue;
                }
                if !self.work.spend(message.iter().map(|piece| piece.len()).sum()) {
                    return ControlFlow::Break(());
                }
                if hash::makes(self.stack, reading.algorithm, &key.bytes, &message, &reading.tag) {
                    let is_keyed = reading.algorithm != Algorithm::PlainSha256;
                    let of_key = if is_keyed { &*key.causes } else { &[] };
                    self.explanation = Some(Explanation {
                        causes: [&*reading.causes, of_key, of_body].concat(),
                        secret_label: key.label.clone().filter(|_| is_keyed),
                        time: reading.time,
                        tolerance: reading.tolerance,
                        body: body.to_vec(),
                    });
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
