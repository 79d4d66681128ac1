//! Keeps the newest deliveries, up to a number and a size.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entry::Entry;
use crate::verdict::Verdict;

/// The most deliveries that are kept.
const MOST: usize = 1_000;
/// The most bytes of bodies, headers and answers that are kept.
const MOST_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Journal {
    kept: Mutex<Kept>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    /// Their numbers are consecutive.
    entries: VecDeque<Arc<Entry>>,
    /// The first kept delivery of each event.
    firsts: HashMap<String, u64>,
    bytes: usize,
    count: u64,
    revision: u64,
}

impl Journal {
    /// Adds a delivery, and sets its number and whether its event came before.
    pub(super) fn add(&self, mut entry: Entry) -> Arc<Entry> {
        let mut kept = self.kept();
        kept.count += 1;
        kept.revision += 1;
        entry.number = kept.count;
        entry.revision = kept.revision;
        if let Verdict::Accepted(accepted) = &entry.verdict {
            let first = *kept.firsts.entry(accepted.idempotency_key.clone()).or_insert(entry.number);
            entry.duplicate_of = Some(first).filter(|first| *first != entry.number);
        }
        kept.bytes += entry.bytes();
        let entry = Arc::new(entry);
        kept.entries.push_back(Arc::clone(&entry));
        kept.forget();
        self.tell(&kept);
        entry
    }

    /// Changes an entry, if it is still kept.
    pub(super) fn update(&self, number: u64, change: impl FnOnce(&mut Entry)) -> Option<Arc<Entry>> {
        let mut kept = self.kept();
        kept.revision += 1;
        let revision = kept.revision;
        let at = kept.place(number)?;
        let mut entry = Entry::clone(kept.entries.get(at)?);
        kept.bytes -= entry.bytes();
        change(&mut entry);
        entry.revision = revision;
        kept.bytes += entry.bytes();
        let entry = Arc::new(entry);
        kept.entries[at] = Arc::clone(&entry);
        kept.forget();
        self.tell(&kept);
        Some(entry)
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Entry>> {
        let kept = self.kept();
        kept.place(number).and_then(|at| kept.entries.get(at).cloned())
    }

    /// The entries that changed after a revision, the number of the oldest entry, and the present revision.
    pub(super) fn since(&self, revision: u64) -> (Vec<Arc<Entry>>, u64, u64) {
        let kept = self.kept();
        let changed = kept.entries.iter().filter(|entry| entry.revision > revision).cloned().collect();
        let oldest = kept.entries.front().map_or(kept.count + 1, |entry| entry.number);
        (changed, oldest, kept.revision)
    }

    /// Watches the revision.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn tell(&self, kept: &Kept) {
        self.revision.send_replace(kept.revision);
    }

    /// The state is consistent between any two statements here, so a panic elsewhere does no harm.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn place(&self, number: u64) -> Option<usize> {
        let oldest = self.entries.front()?.number;
        usize::try_from(number.checked_sub(oldest)?).ok()
    }

    /// Drops the oldest entries beyond the limits. The newest stays, whatever its size.
    fn forget(&mut self) {
        while self.entries.len() > 1 && (self.entries.len() > MOST || self.bytes > MOST_BYTES) {
            let Some(entry) = self.entries.pop_front() else { return };
            self.bytes -= entry.bytes();
            if let Verdict::Accepted(accepted) = &entry.verdict
                && self.firsts.get(&accepted.idempotency_key) == Some(&entry.number)
            {
                self.firsts.remove(&accepted.idempotency_key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use countersign::http::HeaderMap;

    use super::*;
    use crate::listen::entry::{Endpoint, Reason};
    use crate::provider::Provider;
    use crate::verdict::Accepted;

    fn entry(body: usize) -> Entry {
        Entry {
            number: 0,
            revision: 0,
            at: SystemTime::UNIX_EPOCH,
            provider: Provider::of_slug("3qpr").unwrap(),
            path_and_query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::from(vec![0; body]),
            verdict: Verdict::Unreadable { message: String::new() },
            claimed: None,
            reason: Reason::Known,
            duplicate_of: None,
            resend_of: None,
            endpoint: Endpoint::None,
            answered: None,
        }
    }

    #[test]
    fn no_more_deliveries_are_kept_than_the_limit() {
        let journal = Journal::default();
        for _ in 0..MOST + 10 {
            journal.add(entry(1));
        }
        let (entries, oldest, _) = journal.since(0);
        assert_eq!((entries.len(), oldest), (MOST, 11));
        assert!(journal.get(10).is_none() && journal.get(11).is_some());
        assert_eq!(journal.kept().bytes, MOST);
    }

    #[test]
    fn no_more_bytes_are_kept_than_the_limit_also_where_answers_grow() {
        let journal = Journal::default();
        for _ in 0..80 {
            journal.add(entry(1 << 20));
        }
        assert_eq!(journal.since(0).0.len(), 64);
        let answer =
            Endpoint::Answered { status: 200, ms: 1.0, cut: false, body: Bytes::from(vec![0; 1 << 20]) };
        journal.update(80, |entry| entry.endpoint = answer);
        assert_eq!(journal.since(0).0.len(), 63);
        assert!(journal.update(1, |_| ()).is_none());
    }

    /// Of a body that is a name alone, all is kept several times over.
    #[test]
    fn names_count_as_well() {
        let journal = Journal::default();
        let long = "x".repeat(1 << 20);
        for number in 0..80 {
            let mut entry = entry(0);
            entry.verdict = Verdict::Accepted(Accepted {
                event: Some(long.clone()),
                variant: "Unknown",
                id: Some(long.clone()),
                idempotency_key: format!("{number}"),
                secret: 0,
                secret_label: None,
                timestamp: Some(long.clone()),
                challenge_response: None,
                data: serde_json::from_str("null").unwrap(),
            });
            journal.add(entry);
        }
        assert_eq!(journal.since(0).0.len(), 21);
    }

    #[test]
    fn only_what_has_changed_is_told_again() {
        let journal = Journal::default();
        journal.add(entry(1));
        journal.add(entry(1));
        let (_, _, revision) = journal.since(0);
        assert!(journal.since(revision).0.is_empty());
        journal.update(1, |entry| entry.answered = Some(200));
        let (changed, _, _) = journal.since(revision);
        assert_eq!(changed.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1]);
    }
}
