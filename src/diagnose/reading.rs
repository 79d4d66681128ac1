//! What the headers say: which tags, how they were made, and what they cover.

use std::time::SystemTime;

use super::cause::Cause;
use super::found::{Found, MAX_VALUES, first};
use super::hash::Algorithm;
use super::lens::{Lens, algorithm_of};
use super::message::{Message, message_of, messages};
use super::sent::{Beside, Families, Sent};
use super::spelling::{bare, items, tag_of};
use crate::mac::KeyEncoding;
use crate::scheme::Tolerance;

/// The greatest length of a value that is read, in bytes.
const MAX_VALUE_LEN: usize = 8192;
/// The most readings. Each is tried with each key.
const MAX_READINGS: usize = 256;

/// A tag, what it covers beside the body, and the accidents that it would have had.
pub(super) struct Reading {
    pub(super) algorithm: Algorithm,
    /// How the secrets of its scheme spell their keys.
    pub(super) key: KeyEncoding,
    /// The signed bytes before the body, and those after it.
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    pub(super) time: Option<SystemTime>,
    /// That of its scheme.
    pub(super) tolerance: Option<Tolerance>,
    /// Whether the scheme signs more than the body, and this does not.
    pub(super) is_body_alone: bool,
    pub(super) tag: Vec<u8>,
    pub(super) causes: Vec<Cause>,
}

impl Reading {
    /// Whether it covers all that its scheme says, and not what may have been signed instead.
    pub(super) fn is_of_a_scheme(&self) -> bool {
        let is_other = |cause: &Cause| matches!(cause, Cause::SignedUnderOtherTemplate { .. });
        !self.is_body_alone && !self.causes.iter().any(is_other)
    }
}

/// The ways in which the headers can be read, and whether some were left out because they were too many or too long.
pub(super) fn readings(
    own: &Lens<'_>,
    known: &[(Cause, Lens<'static>)],
    found: &Found<'_>,
) -> (Vec<Reading>, bool) {
    let other = own.in_other_family(known);
    let families = Families::new(own, other.as_ref(), found);
    let mut readings = Readings { own, known, found, all: Vec::new(), is_cut: false };
    for sent in families.sent(found, &mut readings.is_cut) {
        if sent.value.len() <= MAX_VALUE_LEN {
            readings.of_own_scheme(&sent, &families);
            readings.of_known_schemes(&sent, &families);
        } else {
            readings.is_cut = true;
        }
    }
    (readings.all, readings.is_cut)
}

/// The scheme by which a value is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// That of the webhook, under which the sender may have signed something else.
    Own,
    /// That of a provider that is known. It shows by what stands before the tag.
    Known,
}

struct Readings<'r, 's> {
    own: &'r Lens<'s>,
    known: &'r [(Cause, Lens<'static>)],
    found: &'r Found<'r>,
    all: Vec<Reading>,
    is_cut: bool,
}

impl Readings<'_, '_> {
    /// Adds a reading, unless there is one of the same tag and message with fewer accidents.
    fn add(&mut self, reading: Reading) {
        let is_same = |other: &Reading| {
            (other.algorithm, other.key, &other.tag) == (reading.algorithm, reading.key, &reading.tag)
                && (&other.before, &other.after) == (&reading.before, &reading.after)
        };
        match self.all.iter().position(is_same) {
            Some(at) if self.all[at].causes.len() > reading.causes.len() => self.all[at] = reading,
            Some(_) => {}
            None if self.all.len() < MAX_READINGS => self.all.push(reading),
            None => self.is_cut = true,
        }
    }

    /// Reads a value in the form of the scheme, with each accident that can happen to it.
    fn of_own_scheme(&mut self, sent: &Sent<'_>, families: &Families<'_>) {
        let own = self.own;
        for (beside, of_family) in families.beside(sent, self.found) {
            let causes = [sent.causes(families.has(sent.header)), of_family].concat();
            self.of_scheme(own, Whose::Own, sent.value, &beside, &causes);
        }
    }

    /// Reads a value in the form of each provider that is known.
    fn of_known_schemes(&mut self, sent: &Sent<'_>, own: &Families<'_>) {
        for (cause, other) in self.known {
            let theirs = Families::new(other, None, self.found);
            let is_named = own.has(sent.header) || theirs.has(sent.header);
            for (beside, of_family) in theirs.beside(sent, self.found) {
                let causes = [sent.causes(is_named), of_family, vec![cause.clone()]].concat();
                self.of_scheme(other, Whose::Known, sent.value, &beside, &causes);
            }
        }
    }

    /// Reads a value in the form of a scheme. `causes` are those of its header.
    fn of_scheme(
        &mut self,
        lens: &Lens<'_>,
        whose: Whose,
        value: &[u8],
        beside: &Beside<'_>,
        causes: &[Cause],
    ) {
        let mut is_cut = false;
        let items = items(value, lens.separator(), &mut is_cut);
        let time_label = lens.time_label();
        for (time, of_time) in first(MAX_VALUES, times(lens, &items, beside), &mut is_cut) {
            let messages = match whose {
                Whose::Own => messages(lens, self.known, self.found, time, beside),
                Whose::Known => message_of(lens, time, beside).into_iter().collect(),
            };
            for (item, of_item) in &items {
                let text = bare(item, &mut Vec::new());
                let is_tag = match (whose, &time_label) {
                    (Whose::Own, None) => true,
                    (Whose::Own, Some(label)) => !text.starts_with(label.as_bytes()),
                    (Whose::Known, _) => text.starts_with(lens.label().as_bytes()),
                };
                if is_tag {
                    // A value in another form loses nothing.
                    self.is_cut |= is_cut;
                    let of_time = of_time.iter().filter(|cause| !of_item.contains(cause));
                    let causes = causes.iter().chain(of_time).chain(of_item).cloned().collect();
                    self.of_item(lens, whose, item, causes, &messages);
                }
            }
        }
    }

    fn of_item(
        &mut self,
        lens: &Lens<'_>,
        whose: Whose,
        item: &[u8],
        mut causes: Vec<Cause>,
        messages: &[Message],
    ) {
        let Some(tag) = tag_of(item, lens, &mut causes) else { return };
        let Some((algorithm, ..)) = algorithm_of(&tag) else { return };
        let (key, tolerance) = (lens.scheme.key, lens.scheme.tolerance);
        if whose == Whose::Own && tag.len() == 32 {
            let causes = [&*causes, &[Cause::SignatureWithoutSecret]].concat();
            self.add(Reading {
                algorithm: Algorithm::PlainSha256,
                key,
                before: Vec::new(),
                after: Vec::new(),
                time: None,
                tolerance,
                is_body_alone: !lens.is_body_alone(),
                tag: tag.clone(),
                causes,
            });
        }
        for message in messages {
            self.add(Reading {
                algorithm: Algorithm::Hmac(algorithm),
                key,
                before: message.before.clone(),
                after: message.after.clone(),
                time: message.time,
                tolerance,
                is_body_alone: message.is_body_alone,
                tag: tag.clone(),
                causes: [&*causes, &message.causes].concat(),
            });
        }
    }
}

/// The times that may have been signed, each with the accidents of its item.
fn times<'v>(
    lens: &Lens<'_>,
    items: &[(&'v [u8], Vec<Cause>)],
    beside: &Beside<'v>,
) -> Vec<(Option<&'v [u8]>, Vec<Cause>)> {
    let Some(label) = lens.time_label() else { return vec![(beside.time, Vec::new())] };
    let mut times = Vec::new();
    for (item, causes) in items {
        let mut causes = causes.clone();
        if let Some(time) = bare(item, &mut causes).strip_prefix(label.as_bytes()) {
            times.push((Some(time), causes));
        }
    }
    if times.len() > 1 {
        times.iter_mut().for_each(|(_, causes)| causes.push(Cause::SignatureJoined));
    }
    if times.is_empty() { vec![(None, Vec::new())] } else { times }
}
