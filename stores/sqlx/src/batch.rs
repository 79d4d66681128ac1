//! The calls that one transaction writes.

use std::collections::BTreeMap;

use crate::flush::{Answer, Kind, Waiting};

/// Calls in the order of their keys, each key once among the claims and once among the completions. Transactions that
/// lock keys in the same order do not wait for each other in a circle.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) claims: Calls,
    pub(crate) completions: Calls,
}

/// Calls of one kind.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<String, Vec<Waiting>>);

impl Batch {
    pub(crate) fn of(calls: Vec<Waiting>) -> Self {
        let mut batch = Self::default();
        for waiting in calls {
            let calls = match waiting.call.kind {
                Kind::Claim => &mut batch.claims,
                Kind::Complete => &mut batch.completions,
            };
            calls.0.entry(waiting.call.lease.key().as_str().to_owned()).or_default().push(waiting);
        }
        // A second completion of one key is repeated alone: that is rare.
        for calls in batch.completions.0.values_mut() {
            calls.truncate(1);
        }
        batch
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.completions.is_empty()
    }

    /// Answers all calls.
    pub(crate) fn answer_all(self, answer: &Answer) {
        for calls in [self.claims, self.completions] {
            for waiting in calls.0.into_values().flatten() {
                waiting.answer(answer.clone());
            }
        }
    }
}

impl Calls {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The calls that are written: the first of each key, in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.0.values().filter_map(|calls| calls.first())
    }

    /// The call that is written for this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Waiting> {
        self.0.get(key)?.first()
    }

    /// Answers the calls of a key. If the first one has claimed it, it is in flight for the others.
    pub(crate) fn answer(&mut self, key: &str, answer: Answer) {
        let mut calls = self.0.remove(key).unwrap_or_default().into_iter();
        let Some(first) = calls.next() else { return };
        let others = match answer {
            Answer::Applied => Answer::InFlight(first.call.time),
            ref answer => answer.clone(),
        };
        first.answer(answer);
        for other in calls {
            other.answer(others.clone());
        }
    }
}
