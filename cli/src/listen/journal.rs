//! Keeps the newest deliveries, up to a number and a size.

use std::collections::{BTreeMap, HashMap};
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
    /// By number.
    entries: BTreeMap<u64, Arc<Entry>>,
    /// The first kept delivery of each event.
    firsts: HashMap<String, u64>,
    accepted: Share,
    refused: Share,
    count: u64,
    revision: u64,
}

/// What the deliveries of one kind take of the room.
#[derive(Clone, Copy, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

/// What has changed after a revision.
pub(super) struct Changes {
    pub(super) entries: Vec<Arc<Entry>>,
    /// The oldest number that is kept of the accepted deliveries, and of the others.
    pub(super) oldest_accepted: u64,
    pub(super) oldest_refused: u64,
    /// The present revision.
    pub(super) revision: u64,
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
        let entry = Arc::new(entry);
        kept.put(Arc::clone(&entry));
        kept.forget();
        self.tell(&kept);
        entry
    }

    /// Changes an entry, if it is still kept.
    pub(super) fn update(&self, number: u64, change: impl FnOnce(&mut Entry)) -> Option<Arc<Entry>> {
        let mut kept = self.kept();
        kept.revision += 1;
        let revision = kept.revision;
        let mut entry = Entry::clone(&*kept.remove(number)?);
        change(&mut entry);
        entry.revision = revision;
        let entry = Arc::new(entry);
        kept.put(Arc::clone(&entry));
        kept.forget();
        self.tell(&kept);
        Some(entry)
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Entry>> {
        self.kept().entries.get(&number).cloned()
    }

    pub(super) fn since(&self, revision: u64) -> Changes {
        let kept = self.kept();
        let oldest = |is_accepted| kept.oldest(is_accepted).unwrap_or(kept.count + 1);
        Changes {
            entries: kept.entries.values().filter(|entry| entry.revision > revision).cloned().collect(),
            oldest_accepted: oldest(true),
            oldest_refused: oldest(false),
            revision: kept.revision,
        }
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
    fn share(&mut self, entry: &Entry) -> &mut Share {
        if entry.verdict.is_accepted() { &mut self.accepted } else { &mut self.refused }
    }

    fn put(&mut self, entry: Arc<Entry>) {
        let share = self.share(&entry);
        share.count += 1;
        share.bytes += entry.bytes();
        self.entries.insert(entry.number, entry);
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(&number)?;
        let share = self.share(&entry);
        share.count -= 1;
        share.bytes -= entry.bytes();
        Some(entry)
    }

    /// The number of the oldest delivery of a kind.
    fn oldest(&self, is_accepted: bool) -> Option<u64> {
        let mut of_kind = self.entries.iter().filter(|(_, entry)| entry.verdict.is_accepted() == is_accepted);
        of_kind.next().map(|(number, _)| *number)
    }

    /// Drops the oldest entries beyond the limits, of the kind that takes more: forged deliveries leave half of the room
    /// to genuine ones. The newest stays, whatever its size.
    fn forget(&mut self) {
        loop {
            let (accepted, refused) = (self.accepted, self.refused);
            let is_accepted = if accepted.count + refused.count > MOST {
                accepted.count > refused.count
            } else if accepted.bytes + refused.bytes > MOST_BYTES {
                accepted.bytes > refused.bytes
            } else {
                return;
            };
            let Some(number) = self.oldest(is_accepted).filter(|oldest| *oldest < self.count) else { return };
            if let Some(entry) = self.remove(number)
                && let Verdict::Accepted(accepted) = &entry.verdict
                && self.firsts.get(&accepted.idempotency_key) == Some(&number)
            {
                self.firsts.remove(&accepted.idempotency_key);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use countersign::http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::listen::entry::{Endpoint, Reason};
    use crate::provider::Provider;
    use crate::verdict::Accepted;

    pub(in crate::listen) fn entry(body: usize) -> Entry {
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
        let changes = journal.since(0);
        assert_eq!((changes.entries.len(), changes.oldest_refused), (MOST, 11));
        assert_eq!(changes.oldest_accepted, 1_011);
        assert!(journal.get(10).is_none() && journal.get(11).is_some());
        assert_eq!(journal.kept().refused.bytes, MOST);
    }

    #[test]
    fn no_more_bytes_are_kept_than_the_limit_also_where_answers_grow() {
        let journal = Journal::default();
        for _ in 0..80 {
            journal.add(entry(1 << 20));
        }
        assert_eq!(journal.since(0).entries.len(), 64);
        let answer =
            Endpoint::Answered { status: 200, ms: 1.0, cut: false, body: Bytes::from(vec![0; 1 << 20]) };
        journal.update(80, |entry| entry.endpoint = answer);
        assert_eq!(journal.since(0).entries.len(), 63);
        assert!(journal.update(1, |_| ()).is_none());
    }

    pub(in crate::listen) fn accepted(body: usize, key: u64, name: &str) -> Entry {
        let verdict = Verdict::Accepted(Accepted {
            event: Some(name.to_owned()),
            variant: "Unknown",
            id: Some(name.to_owned()),
            idempotency_key: key.to_string(),
            secret: 0,
            secret_label: None,
            timestamp: Some(name.to_owned()),
            challenge_response: None,
            data: serde_json::from_str("null").unwrap(),
        });
        Entry { verdict, ..entry(body) }
    }

    /// Each kind takes what the other leaves, and has its half whatever the other does.
    #[test]
    fn forged_deliveries_leave_half_of_the_room_to_genuine_ones() {
        for (body, most) in [(1, 1_000), (1 << 20, 64)] {
            let journal = Journal::default();
            let kept = || {
                let Changes { entries, oldest_accepted, oldest_refused, .. } = journal.since(0);
                let accepted: Vec<_> = entries.iter().map(|entry| entry.verdict.is_accepted()).collect();
                let count = accepted.iter().filter(|is_accepted| **is_accepted).count();
                (count, accepted.len() - count, oldest_accepted, oldest_refused)
            };
            // A key counts for two bytes: the room is that much smaller.
            let room = most as usize - usize::from(body > 1);
            (1..=most).for_each(|key| drop(journal.add(accepted(body, key, ""))));
            let (count, others, oldest, _) = kept();
            assert_eq!((count, others, oldest), (room, 0, most - room as u64 + 1));
            (0..10 * most).for_each(|_| drop(journal.add(entry(body))));
            let (count, others, oldest, oldest_refused) = kept();
            assert!(count.abs_diff(room / 2) <= 1 && others.abs_diff(room / 2) <= 1, "{count} {others}");
            assert_eq!((oldest, oldest_refused), (most - count as u64 + 1, 11 * most - others as u64 + 1));
            assert!(journal.get(oldest - 1).is_none() && journal.get(oldest).is_some());
            assert!(journal.get(most + 1).is_none() && journal.get(11 * most).is_some());
            // The first of a duplicate is one that is kept.
            let is_duplicate = |key| journal.add(accepted(0, key, "")).duplicate_of;
            assert_eq!((is_duplicate(1), is_duplicate(most)), (None, Some(most)));
            (1..=10 * most).for_each(|key| drop(journal.add(accepted(body, key + most, ""))));
            let (count, others, ..) = kept();
            assert!(count.abs_diff(room / 2) <= 1 && others.abs_diff(room / 2) <= 1, "{count} {others}");
        }
    }

    #[test]
    fn a_forged_delivery_goes_before_a_genuine_one_and_the_newest_stays() {
        let journal = Journal::default();
        // Its key counts for two bytes.
        journal.add(accepted((33 << 20) - 2, 1, ""));
        journal.add(entry(30 << 20));
        journal.add(entry(3 << 20));
        let kept = |journal: &Journal| {
            let numbers: Vec<_> = journal.since(0).entries.iter().map(|entry| entry.number).collect();
            numbers
        };
        assert_eq!(kept(&journal), [1, 3]);
        let journal = Journal::default();
        journal.add(entry(65 << 20));
        assert_eq!(kept(&journal), [1]);
    }

    #[test]
    fn all_that_is_kept_of_a_delivery_counts() {
        let mut entry = accepted(7, 123, "name");
        entry.path_and_query = "/a?b".to_owned();
        entry.headers.insert("x-abc", HeaderValue::from_static("value-7"));
        entry.endpoint =
            Endpoint::Answered { status: 200, ms: 1.0, cut: false, body: Bytes::from(vec![0; 11]) };
        let others = 7 + "/a?b".len() + "x-abc".len() + "value-7".len() + 11;
        assert_eq!(entry.bytes(), others + 2 * "123".len() + 3 * "name".len());
        entry.verdict = Verdict::Unreadable { message: String::new() };
        entry.claimed = Some("claim".to_owned());
        assert_eq!(entry.bytes(), others + "claim".len());
    }

    /// A body that is nothing but a name is kept several times.
    #[test]
    fn names_count_as_well() {
        let journal = Journal::default();
        let long = "x".repeat(1 << 20);
        for number in 0..80 {
            journal.add(accepted(0, number, &long));
        }
        assert_eq!(journal.since(0).entries.len(), 21);
    }

    #[test]
    fn only_what_has_changed_is_told_again() {
        let journal = Journal::default();
        journal.add(entry(1));
        journal.add(entry(1));
        let revision = journal.since(0).revision;
        assert!(journal.since(revision).entries.is_empty());
        journal.update(1, |entry| entry.answered = Some(200));
        let changed = journal.since(revision).entries;
        assert_eq!(changed.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1]);
    }
}
