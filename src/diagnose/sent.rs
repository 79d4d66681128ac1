//! The values that may be signatures, and the headers that may be signed with each.

use http::HeaderName;

use super::cause::Cause;
use super::found::{Found, MAX_VALUES, first};
use super::lens::Lens;
use super::spelling::{bare, items};
use crate::mac::Candidates;
use crate::scheme::MAX_HEADERS;

/// A value that may be a signature.
pub(super) struct Sent<'h> {
    /// The header, in lower case.
    pub(super) header: &'h str,
    pub(super) value: &'h [u8],
    /// Whether the header occurs more than once.
    pub(super) is_repeated: bool,
}

impl Sent<'_> {
    /// The accidents of the header, which may be one that the scheme names.
    pub(super) fn causes(&self, is_named: bool) -> Vec<Cause> {
        let repeated = self.is_repeated.then_some(Cause::SignatureRepeated);
        let other = || Cause::SignatureInOtherHeader { name: self.header.to_owned() };
        repeated.into_iter().chain((!is_named).then(other)).collect()
    }
}

/// The values of a template's headers.
pub(super) type Values<'h> = [&'h [u8]; MAX_HEADERS];

/// What the headers of one family hold beside the signature.
#[derive(Clone, Copy)]
pub(super) struct Beside<'f> {
    pub(super) time: Option<&'f [u8]>,
    pub(super) values: Option<Values<'f>>,
    /// The first header that is signed, if there is one.
    pub(super) signed: Option<&'f HeaderName>,
    /// Whether the time and all values are there.
    is_whole: bool,
}

/// The headers of a scheme's families, as they arrived.
pub(super) struct Families<'f>(Vec<Family<'f>>);

struct Family<'f> {
    lens: &'f Lens<'f>,
    signatures: &'f [HeaderName],
    beside: Beside<'f>,
    /// The accident by which the sender writes this family, if the scheme does not name it.
    cause: Option<Cause>,
}

impl<'f> Family<'f> {
    fn new(lens: &'f Lens<'f>, at: usize, cause: Option<Cause>, found: &'f Found<'_>) -> Self {
        let family = &lens.reader.families[at];
        let time = family.time.as_ref().map(|name| found.once(name));
        let mut values = [&b""[..]; MAX_HEADERS];
        let mut places = values.iter_mut().zip(&family.signed);
        let are_there = places.all(|(place, name)| found.once(name).map(|value| *place = value).is_some());
        let beside = Beside {
            time: time.flatten(),
            values: are_there.then_some(values),
            signed: family.signed.first(),
            is_whole: are_there && time != Some(None),
        };
        Self { lens, signatures: &family.signatures, beside, cause }
    }

    fn has_signature(&self, found: &Found<'_>) -> bool {
        self.signatures.iter().any(|name| found.values(name).next().is_some())
    }

    fn has(&self, header: &str) -> bool {
        self.signatures.iter().any(|name| name == header)
    }

    /// The family's other signature headers, if the value is in one of its own.
    fn others(&self, sent: &Sent<'_>) -> impl Iterator<Item = &'f HeaderName> {
        self.signatures.iter().filter(|name| self.has(sent.header) && *name != sent.header)
    }

    /// Whether another signature header is there and holds no signature. The webhook demands one in each.
    fn is_malformed_beside(&self, sent: &Sent<'_>, found: &Found<'_>) -> bool {
        let mut each = self.others(sent).flat_map(|name| found.values(name));
        each.any(|value| self.lens.candidates(value) == 0)
    }

    /// Whether another signature header brings a time, too. The webhook takes one from all of them. A header that holds no
    /// signature, or is repeated, has to be left out anyway.
    fn has_time_beside(&self, sent: &Sent<'_>, found: &Found<'_>) -> bool {
        let Some(label) = self.lens.time_label() else { return false };
        let is_time = |item: &[u8]| bare(item, &mut Vec::new()).starts_with(label.as_bytes());
        let items = items(sent.value, self.lens.separator(), &mut false);
        let mut each = self.others(sent).filter_map(|name| found.once(name));
        items.iter().any(|(item, _)| is_time(item))
            && each.any(|value| self.lens.candidates(value) > 0 && self.lens.has_time_in(value))
    }

    /// Whether there would be too many signatures with this value in one of the headers, or in another header.
    fn is_exceeded_with(&self, sent: &Sent<'_>, found: &Found<'_>) -> bool {
        let beside: usize = self.others(sent).map(|name| most_candidates(self.lens, name, found)).sum();
        beside + self.lens.candidates(sent.value) > Candidates::MAX
    }
}

/// How many signatures the webhook reads in a header; the most if it occurs more than once.
fn most_candidates(lens: &Lens<'_>, name: &HeaderName, found: &Found<'_>) -> usize {
    found.values(name).map(|value| lens.candidates(value)).max().unwrap_or_default()
}

impl<'f> Families<'f> {
    /// The families of a scheme, and another that the scheme does not name.
    pub(super) fn new(
        lens: &'f Lens<'f>,
        other: Option<&'f (Lens<'f>, &'static str)>,
        found: &'f Found<'_>,
    ) -> Self {
        let own = (0..lens.reader.families.len()).map(|at| Family::new(lens, at, None, found));
        let other = other.map(|(lens, beginning)| {
            let cause = Cause::HeadersOfOtherFamily { beginning: (*beginning).to_owned() };
            Family::new(lens, 1, Some(cause), found)
        });
        Self(own.chain(other).collect())
    }

    pub(super) fn have_signature(&self, found: &Found<'_>) -> bool {
        self.0.iter().any(|family| family.has_signature(found))
    }

    /// Whether a signature header occurs more than once.
    pub(super) fn are_repeated(&self, found: &Found<'_>) -> bool {
        let mut names = self.0.iter().flat_map(|family| family.signatures);
        names.any(|name| found.values(name).nth(1).is_some())
    }

    /// Whether two families that the webhook reads have signatures.
    pub(super) fn are_mixed(&self, found: &Found<'_>) -> bool {
        let own = self.0.iter().filter(|family| family.cause.is_none());
        own.filter(|family| family.has_signature(found)).count() > 1
    }

    /// Whether two signature headers of one family bring a time each.
    pub(super) fn have_two_times(&self, found: &Found<'_>) -> bool {
        self.0.iter().any(|family| {
            let has_time =
                |name: &&HeaderName| found.values(name).any(|value| family.lens.has_time_in(value));
            family.signatures.iter().filter(has_time).count() > 1
        })
    }

    /// How many signatures the webhook reads, in the family that has the most.
    pub(super) fn candidates(&self, found: &Found<'_>) -> usize {
        let of = |family: &Family<'_>| {
            let each = family.signatures.iter().map(|name| most_candidates(family.lens, name, found));
            each.sum()
        };
        self.0.iter().map(of).max().unwrap_or_default()
    }

    /// Whether this is a signature header of one of the families.
    pub(super) fn has(&self, header: &str) -> bool {
        self.0.iter().any(|family| family.has(header))
    }

    /// What may be signed with a value, each with its accidents. With the value of a signature header, these are the
    /// headers of the same family, unless some are missing; with that of another header, the headers of any family.
    pub(super) fn beside(&self, sent: &Sent<'_>, found: &Found<'_>) -> Vec<(Beside<'f>, Vec<Cause>)> {
        let whole = || self.0.iter().filter(|family| family.beside.is_whole);
        let named = self.0.iter().find(|family| family.has(sent.header));
        let signed: Vec<_> = match named {
            Some(family) if family.beside.is_whole => vec![family],
            Some(family) => vec![whole().next().unwrap_or(family)],
            None if whole().next().is_none() => self.0.iter().take(1).collect(),
            None => whole().collect(),
        };
        let are_mixed = self.are_mixed(found);
        let of = |family: &Family<'f>| {
            let is_mixed = named.is_some_and(|named| are_mixed || !std::ptr::eq(named, family));
            let of_family = if is_mixed { Some(Cause::HeadersMixed) } else { family.cause.clone() };
            let signed = named.unwrap_or(family);
            let of_others = [
                signed.is_malformed_beside(sent, found).then_some(Cause::SignatureBesideMalformed),
                signed.has_time_beside(sent, found).then_some(Cause::TimeRepeated),
                signed.is_exceeded_with(sent, found).then_some(Cause::TooManySignatures),
            ];
            (family.beside, of_others.into_iter().flatten().chain(of_family).collect())
        };
        signed.into_iter().map(of).collect()
    }

    /// The values of the signature headers, and those of other headers that look like one.
    pub(super) fn sent<'h>(&'h self, found: &'h Found<'_>, is_cut: &mut bool) -> Vec<Sent<'h>> {
        let mut sent = Vec::new();
        for name in self.0.iter().flat_map(|family| family.signatures) {
            let is_repeated = found.values(name).nth(1).is_some();
            for value in first(MAX_VALUES, found.values(name), is_cut) {
                sent.push(Sent { header: name.as_str(), value, is_repeated });
            }
        }
        let others = found.signatures().filter(|(name, _)| !self.has(name));
        for (header, value) in first(MAX_VALUES, others, is_cut) {
            let is_repeated = found.signatures().filter(|(name, _)| *name == header).nth(1).is_some();
            sent.push(Sent { header, value, is_repeated });
        }
        sent
    }
}
