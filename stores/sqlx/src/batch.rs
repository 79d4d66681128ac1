//! The calls that one transaction writes.

use std::collections::BTreeMap;

use crate::call::{Answer, Kind, Waiting};

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

    /// Answers the calls of a key. If one has claimed it, it is in flight for the others. If its caller has hung up, the
    /// next call with the same lease duration gets the claim.
    pub(crate) fn answer(&mut self, key: &str, answer: Answer) {
        let mut calls = self.0.remove(key).unwrap_or_default().into_iter();
        let Some(first) = calls.next() else { return };
        let (lease, time) = (first.call.lease.clone(), first.call.time);
        let is_claimed = matches!(answer, Answer::Applied);
        let has_caller = first.answer(answer.clone());
        let mut is_free = is_claimed && !has_caller;
        for other in calls {
            if !is_claimed {
                other.answer(answer.clone());
            } else if is_free && other.call.time == time {
                is_free = !other.answer(Answer::Inherited(lease.clone()));
            } else {
                other.answer(Answer::InFlight(time));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign::store::{Lease, conformance};
    use tokio::sync::oneshot;

    use super::*;
    use crate::call::Call;

    #[test]
    fn the_claim_of_a_caller_that_has_hung_up_is_the_next_ones() {
        let key = conformance::fresh_key();
        let mut callers = Vec::new();
        let calls = [60, 30, 60, 60, 60].into_iter().enumerate().map(|(n, seconds)| {
            let (sender, receiver) = oneshot::channel();
            callers.push(receiver);
            let lease = Lease::new(key.clone(), [n as u8; 16]);
            Waiting::new(Call { kind: Kind::Claim, lease, time: Duration::from_secs(seconds) }, sender)
        });
        let mut batch = Batch::of(calls.collect());
        // The first and the third have hung up.
        drop(callers.remove(2));
        drop(callers.remove(0));
        batch.claims.answer(key.as_str(), Answer::Applied);
        let mut answers = callers.into_iter().map(|mut caller| caller.try_recv().unwrap());
        assert!(matches!(answers.next(), Some(Answer::InFlight(_))), "it asked for another time");
        let Some(Answer::Inherited(lease)) = answers.next() else { panic!() };
        assert_eq!(lease.token(), &[0; 16]);
        assert!(matches!(answers.next(), Some(Answer::InFlight(_))));
    }

    #[test]
    fn each_claim_of_a_key_that_is_not_acquired_is_answered() {
        let key = conformance::fresh_key();
        let (callers, answers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let calls = callers.into_iter().map(|caller| {
            let lease = Lease::new(key.clone(), [0; 16]);
            Waiting::new(Call { kind: Kind::Claim, lease, time: Duration::from_secs(60) }, caller)
        });
        let mut batch = Batch::of(calls.collect());
        batch.claims.answer(key.as_str(), Answer::Done);
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Answer::Done)));
        }
    }
}
