//! The verdict on a delivery, by the documentation's rules.

use std::collections::BTreeSet;

use super::parts::are_told_apart;
use super::{Model, Part, Place};
use crate::json::is_object;

/// A request's headers.
pub(crate) type Pairs = Vec<(String, Vec<u8>)>;

/// Everything that is wrong, by its code. Which of several the crate tells is its own choice.
pub(crate) type Problems = BTreeSet<&'static str>;

/// One problem.
pub(crate) fn one(code: &'static str) -> Problems {
    BTreeSet::from([code])
}

impl Model {
    /// The names of the headers that are read: signatures, the time and what is signed, of each family.
    pub(crate) fn names(&self) -> Vec<String> {
        let time = self.time.iter().filter_map(|time| match &time.place {
            Place::Header(name) => Some(name.clone()),
            Place::Field(_) => None,
        });
        let own: Vec<_> =
            self.headers.iter().cloned().chain(time).chain(self.signed().map(str::to_owned)).collect();
        let others: Vec<_> = own.iter().filter_map(|name| self.in_other_family(name)).collect();
        [own, others].concat()
    }

    fn in_other_family(&self, name: &str) -> Option<String> {
        let (beginning, other) = self.family?;
        Some(name.replacen(beginning, other, 1))
    }

    /// The bytes that are signed.
    pub(crate) fn signed_bytes<'v>(
        &self,
        time: &[u8],
        value_of: impl Fn(&str) -> &'v [u8],
        body: &[u8],
    ) -> Vec<u8> {
        let each = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Time => time.to_vec(),
            Part::Header(name) => value_of(name).to_vec(),
            Part::Body => body.to_vec(),
        };
        self.parts.iter().flat_map(each).collect()
    }

    /// Whether these values of the signed headers can be told apart from what stands beside them.
    pub(crate) fn are_told_apart<'v>(&self, value_of: impl Fn(&str) -> &'v [u8]) -> bool {
        are_told_apart(&self.parts, value_of)
    }

    /// The tags and the times in a signature header.
    fn items<'h>(&self, header: &'h [u8]) -> (Vec<Vec<u8>>, Vec<&'h [u8]>) {
        let items: Vec<&[u8]> = match self.separator {
            Some(separator) => header.split(|byte| char::from(*byte) == separator).collect(),
            None => vec![header],
        };
        let after = |before: &str| {
            let items: Vec<&'h [u8]> =
                items.iter().filter_map(|item| item.strip_prefix(before.as_bytes())).collect();
            items
        };
        let is_long = |tag: &Vec<u8>| tag.len() == self.algorithm.length();
        let tags =
            after(&self.before).into_iter().filter_map(|text| self.encoding.read(text)).filter(is_long);
        let times = match self.time.as_ref().map(|time| &time.place) {
            Some(Place::Field(key)) => after(key),
            _ => Vec::new(),
        };
        (tags.collect(), times)
    }

    /// Which key made a signature of this body, or what is wrong. The clock is in seconds.
    pub(crate) fn verdict(
        &self,
        keys: &[Vec<u8>],
        headers: &Pairs,
        body: &[u8],
        now: u64,
    ) -> Result<usize, Problems> {
        let all = |name: &str| -> Vec<&[u8]> {
            let is_it = |(other, _): &&(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
            headers.iter().filter(is_it).map(|(_, value)| &value[..]).collect()
        };
        let mut problems = Problems::new();
        let (mut candidates, mut times) = (Vec::new(), Vec::new());
        let mut families = BTreeSet::new();
        let other_names = self.headers.iter().filter_map(|name| self.in_other_family(name));
        let names = self.headers.iter().map(|name| (0, name.clone()));
        for (family, name) in names.chain(other_names.map(|name| (1, name))) {
            let values = all(&name);
            if values.len() > 1 {
                problems.insert("duplicate_signature");
            }
            for value in values {
                families.insert(family);
                let (tags, own_times) = self.items(value);
                if tags.is_empty() {
                    problems.insert("malformed_signature");
                }
                candidates.extend(tags);
                times.extend(own_times);
            }
        }
        if families.is_empty() {
            return Err(one("missing_signature"));
        }
        if families.len() > 1 || candidates.len() > 16 {
            problems.insert("malformed_signature");
        }
        let is_other = families.contains(&1);
        let of_family = |name: &str| {
            if is_other { self.in_other_family(name).unwrap_or_default() } else { name.to_owned() }
        };
        let mut only = |name: &str| {
            let values = all(&of_family(name));
            match values[..] {
                [value] => return value,
                [] => problems.insert("malformed_signature"),
                _ => problems.insert("duplicate_signature"),
            };
            &b""[..]
        };
        if let Some(Place::Header(name)) = self.time.as_ref().map(|time| &time.place) {
            times.push(only(name));
        }
        let values: Vec<(&str, &[u8])> = self.signed().map(|name| (name, only(name))).collect();
        let value_of =
            |name: &str| values.iter().find(|(other, _)| *other == name).map_or(&b""[..], |each| each.1);
        let time = self.time.as_ref().map(|time| match times[..] {
            [text] => time.unit.nanoseconds(text).ok_or("malformed_signature"),
            _ => Err("malformed_signature"),
        });
        if let Some(Err(problem)) = time {
            problems.insert(problem);
        }
        if !self.are_told_apart(value_of) {
            problems.insert("malformed_signature");
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let message = self.signed_bytes(times.first().copied().unwrap_or_default(), value_of, body);
        let made = |key: &Vec<u8>| candidates.contains(&self.algorithm.sign(key, &message));
        let position = keys.iter().position(made).ok_or_else(|| one("signature_mismatch"))?;
        if let (Some(Ok(time)), Some(limit)) = (time, self.time.as_ref().and_then(|time| time.tolerance))
            && (i128::from(now) * 1_000_000_000 - time).unsigned_abs() > 1_000_000_000 * u128::from(limit)
        {
            problems.insert("stale");
        }
        if self.needs_object() && !is_object(body) {
            problems.insert("malformed_payload");
        }
        if problems.is_empty() { Ok(position) } else { Err(problems) }
    }
}
