//! What the headers say: which tags, how they were made, and what they cover.

use http::HeaderName;

use super::cause::Cause;
use super::found::{Found, MAX_VALUES};
use super::hash::Algorithm;
use super::lens::{Lens, algorithm_of};
use super::message::{Message, Values, around, is_id, is_time_of, messages};
use super::spelling::{bare, items, spelled, tag_of};
use crate::mac::KeyEncoding;
use crate::scheme::MAX_HEADERS;

/// The greatest length of a value that is read, in bytes.
const MAX_VALUE_LEN: usize = 2048;
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
    pub(super) time: Option<std::time::SystemTime>,
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

/// A value that may be a signature, and the headers that may be signed with it.
struct Sent<'h> {
    /// The header, unless it is one of the scheme's own.
    name: Option<&'h str>,
    value: &'h [u8],
    time: Option<&'h [u8]>,
    values: Option<Values<'h>>,
    causes: Vec<Cause>,
}

/// Every way in which the headers can be read.
pub(super) fn readings(own: &Lens<'_>, known: &[(Cause, Lens<'static>)], found: &Found<'_>) -> Vec<Reading> {
    let mut readings = Readings { own, known, found, all: Vec::new() };
    for sent in sent(own, known, found) {
        if sent.value.len() <= MAX_VALUE_LEN {
            readings.of_own_scheme(&sent);
            readings.of_known_schemes(&sent);
        }
    }
    readings.all
}

/// The names of the scheme's signature headers, in each of its families.
pub(super) fn signature_headers(lens: &Lens<'_>) -> Vec<HeaderName> {
    lens.reader.families.iter().flat_map(|family| family.signatures.iter().cloned()).collect()
}

/// What the headers of one family hold beside the signature.
#[derive(Clone, Copy)]
struct Beside<'h> {
    time: Option<&'h [u8]>,
    values: Option<Values<'h>>,
    /// Whether nothing is missing.
    is_whole: bool,
}

impl<'h> Beside<'h> {
    fn new(lens: &Lens<'_>, family: usize, found: &Found<'h>) -> Self {
        let family = &lens.reader.families[family];
        let time = family.time.as_ref().map(|name| found.once(name));
        let mut values = [&b""[..]; MAX_HEADERS];
        let mut places = values.iter_mut().zip(&family.signed);
        let are_there = places.all(|(place, name)| found.once(name).map(|value| *place = value).is_some());
        let is_whole = are_there && time != Some(None);
        Self { time: time.flatten(), values: are_there.then_some(values), is_whole }
    }
}

/// The values of the scheme's own signature headers, and of others that look like one.
fn sent<'h>(own: &Lens<'_>, known: &[(Cause, Lens<'static>)], found: &'h Found<'h>) -> Vec<Sent<'h>> {
    let other = own.in_other_family(known);
    let mut families: Vec<_> = (0..own.reader.families.len()).map(|at| (own, at, None)).collect();
    if let Some((other, beginning)) = &other {
        let cause = Cause::HeadersOfOtherFamily { beginning: (*beginning).to_owned() };
        families.push((other, 1, Some(cause)));
    }
    let beside: Vec<_> = families.iter().map(|(lens, at, _)| Beside::new(lens, *at, found)).collect();
    let first_whole = beside.iter().position(|beside| beside.is_whole);
    let names = |family: usize| {
        let (lens, at, _) = &families[family];
        &lens.reader.families[*at].signatures
    };
    let is_there = |family: &usize| names(*family).iter().any(|name| found.values(name).next().is_some());
    // The webhook does not read the headers of a family that is not its own.
    let are_two = (0..own.reader.families.len()).filter(is_there).count() > 1;
    let mut sent = Vec::new();
    for (family, (_, _, cause)) in families.iter().enumerate() {
        let signed = if beside[family].is_whole { family } else { first_whole.unwrap_or(family) };
        let mixed = (are_two || signed != family).then_some(Cause::HeadersMixed);
        let Beside { time, values, .. } = beside[signed];
        for name in names(family) {
            let repeated = (found.values(name).count() > 1).then_some(Cause::SignatureRepeated);
            let causes: Vec<_> =
                repeated.into_iter().chain(mixed.clone().or_else(|| cause.clone())).collect();
            for value in found.values(name).take(MAX_VALUES) {
                sent.push(Sent { name: None, value, time, values, causes: causes.clone() });
            }
        }
    }
    let Beside { time, values, .. } = beside[first_whole.unwrap_or_default()];
    let names: Vec<_> = (0..families.len()).flat_map(|family| names(family).iter().cloned()).collect();
    for (name, value) in found.signatures_beside(&names) {
        let causes = vec![Cause::SignatureInOtherHeader { name: name.to_owned() }];
        sent.push(Sent { name: Some(name), value, time, values, causes });
    }
    sent
}

struct Readings<'r, 's> {
    own: &'r Lens<'s>,
    known: &'r [(Cause, Lens<'static>)],
    found: &'r Found<'r>,
    all: Vec<Reading>,
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
            None if self.all.len() < MAX_READINGS => self.all.push(reading),
            _ => {}
        }
    }

    /// Reads a value in the form of the scheme, with each accident that can happen to it.
    fn of_own_scheme(&mut self, sent: &Sent<'_>) {
        let own = self.own;
        let items = items(sent.value, own.separator());
        let mut times = Vec::new();
        match own.time_label() {
            None => times.push((sent.time, Vec::new())),
            Some(label) => {
                for (item, causes) in &items {
                    let mut causes = causes.clone();
                    if let Some(time) = bare(item, &mut causes).strip_prefix(label.as_bytes()) {
                        times.push((Some(time), causes));
                    }
                }
                if times.len() > 1 {
                    times.iter_mut().for_each(|(_, causes)| causes.push(Cause::SignatureJoined));
                } else if times.is_empty() {
                    times.push((None, Vec::new()));
                }
            }
        }
        for (time, of_time) in times.iter().take(MAX_VALUES) {
            let messages = messages(own, self.known, self.found, *time, sent.values);
            for (item, of_item) in &items {
                if own.time_label().is_none_or(|label| !item.trim_ascii().starts_with(label.as_bytes())) {
                    let mut causes = sent.causes.clone();
                    causes.extend(of_time.iter().filter(|cause| !of_item.contains(cause)).cloned());
                    causes.extend(of_item.iter().cloned());
                    self.of_item(item, causes, &messages);
                }
            }
        }
    }

    fn of_item(&mut self, item: &[u8], mut causes: Vec<Cause>, messages: &[Message]) {
        let own = self.own;
        let Some(tag) = tag_of(item, own, &mut causes) else { return };
        let Some((algorithm, ..)) = algorithm_of(&tag) else { return };
        if tag.len() == 32 {
            let causes = [&*causes, &[Cause::SignatureWithoutSecret]].concat();
            self.add(Reading {
                algorithm: Algorithm::PlainSha256,
                key: own.scheme.key,
                before: Vec::new(),
                after: Vec::new(),
                time: None,
                is_body_alone: !own.is_body_alone(),
                tag: tag.clone(),
                causes,
            });
        }
        for message in messages {
            self.add(Reading {
                algorithm: Algorithm::Hmac(algorithm),
                key: own.scheme.key,
                before: message.before.clone(),
                after: message.after.clone(),
                time: message.time,
                is_body_alone: message.is_body_alone,
                tag: tag.clone(),
                causes: [&*causes, &message.causes].concat(),
            });
        }
    }

    /// Reads a value in the form of each provider that is known, unless its headers are the scheme's own.
    fn of_known_schemes(&mut self, sent: &Sent<'_>) {
        let own = self.own.reader.signature_header();
        for (cause, other) in self.known.iter().filter(|(_, other)| other.reader.signature_header() != own) {
            let is_theirs = |name: &str| signature_headers(other).iter().any(|header| header == name);
            let mut causes = if sent.name.is_none_or(is_theirs) { Vec::new() } else { sent.causes.clone() };
            causes.push(cause.clone());
            for reading in self.of_known(other, sent, &causes) {
                self.add(reading);
            }
        }
    }

    fn of_known(&self, other: &Lens<'_>, sent: &Sent<'_>, causes: &[Cause]) -> Vec<Reading> {
        let items: Vec<_> =
            items(sent.value, other.separator()).into_iter().map(|(item, _)| item.trim_ascii()).collect();
        let labelled =
            |label: String| items.iter().filter_map(move |item| item.strip_prefix(label.as_bytes()));
        let in_value = other.time_label().map(|label| labelled(label).next());
        let message = other.reader.families.iter().find_map(|family| {
            let in_header = || family.time.as_ref().and_then(|name| self.found.once(name));
            let time = in_value.unwrap_or_else(in_header).filter(|time| is_time_of(other, time))?;
            let mut values = [&b""[..]; MAX_HEADERS];
            for (place, name) in values.iter_mut().zip(&family.signed) {
                *place = self.found.once(name).filter(|id| is_id(id))?;
            }
            around(&other.reader, time, std::time::SystemTime::UNIX_EPOCH, values)
        });
        let Some((before, after)) = message else { return Vec::new() };
        let length = other.scheme.algorithm.tag_len();
        let tags = labelled(other.label()).filter_map(|text| spelled(text, other.scheme.encoding));
        let tags = tags.map(|(tag, _)| tag).filter(|tag| tag.len() == length).take(MAX_VALUES);
        let reading = |tag| Reading {
            algorithm: Algorithm::Hmac(other.scheme.algorithm),
            key: other.scheme.key,
            before: before.clone(),
            after: after.clone(),
            time: None,
            is_body_alone: false,
            tag,
            causes: causes.to_vec(),
        };
        tags.map(reading).collect()
    }
}
