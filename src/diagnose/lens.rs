//! A scheme as a diagnosis reads by it: its own, or that of a provider that is known to sign more than the body.

use crate::mac::Algorithm;
use crate::provider::{Paddle, Provider, Slack, StandardWebhooks, Stripe, Zoom};
use crate::scheme::{Form, Reader, Scheme, TimeSource, TimeUnit};

use super::cause::Cause;

/// A scheme to read by.
pub(super) struct Lens<'s> {
    pub(super) scheme: Scheme<'s>,
    pub(super) reader: Reader,
}

impl<'s> Lens<'s> {
    /// Returns `None` if the scheme makes no sense.
    pub(super) fn new(scheme: Scheme<'s>) -> Option<Self> {
        Some(Self { reader: Reader::new(&scheme).ok()?, scheme })
    }

    /// What stands before a tag.
    pub(super) fn label(&self) -> String {
        match self.scheme.form {
            Form::One { prefix: label } | Form::Each { version: label, .. } => label.to_owned(),
            Form::Fields { key, .. } => format!("{key}="),
        }
    }

    /// What stands between two items, if there may be several.
    pub(super) fn separator(&self) -> Option<u8> {
        match self.scheme.form {
            Form::One { .. } => None,
            // A separator is ASCII.
            Form::Each { separator, .. } | Form::Fields { separator, .. } => Some(separator as u8),
        }
    }

    /// What stands before the time in the signature header, if it is there.
    pub(super) fn time_label(&self) -> Option<String> {
        match self.scheme.time {
            Some((TimeSource::Field(key), _)) => Some(format!("{key}=")),
            _ => None,
        }
    }

    /// How many signatures the webhook reads in a value.
    pub(super) fn candidates(&self, value: &[u8]) -> usize {
        let label = self.label();
        let length = self.scheme.algorithm.tag_len();
        let is_one = |item: &&[u8]| {
            let tag = item.strip_prefix(label.as_bytes());
            tag.is_some_and(|tag| self.scheme.encoding.decode(tag, length).is_some())
        };
        match self.separator() {
            None => usize::from(is_one(&value)),
            Some(separator) => value.split(|byte| *byte == separator).filter(is_one).count(),
        }
    }

    /// Whether a value has an item for the time.
    pub(super) fn has_time_in(&self, value: &[u8]) -> bool {
        let (Some(label), Some(separator)) = (self.time_label(), self.separator()) else { return false };
        value.split(|byte| *byte == separator).any(|item| item.starts_with(label.as_bytes()))
    }

    pub(super) fn unit(&self) -> Option<TimeUnit> {
        self.scheme.time.map(|(_, unit)| unit)
    }

    /// Whether only the body is signed.
    pub(super) fn is_body_alone(&self) -> bool {
        self.scheme.signed == "{body}"
    }

    /// The same scheme with the headers of another family, if the scheme has one family that is known to have a
    /// second. Returns it with how the headers of the other begin.
    pub(super) fn in_other_family(
        &self,
        known: &[(Cause, Lens<'static>)],
    ) -> Option<(Lens<'s>, &'static str)> {
        if self.scheme.family.is_some() {
            return None;
        }
        let pairs = known.iter().filter_map(|(_, known)| known.scheme.family);
        let pairs = pairs.flat_map(|(one, other)| [(one, other), (other, one)]);
        let mut others =
            pairs.filter_map(|(one, other)| Some((Lens::new(self.scheme.with_family(one, other))?, other)));
        others.next()
    }
}

/// The built-in providers that sign more than the body, each with the cause that names it.
pub(super) fn known() -> Vec<(Cause, Lens<'static>)> {
    let schemes = [
        (Cause::SignatureOfStripe, <Stripe>::SCHEME),
        (Cause::SignatureOfStandardWebhooks, <StandardWebhooks>::SCHEME),
        (Cause::SignatureOfSlack, <Slack>::SCHEME),
        (Cause::SignatureOfZoom, <Zoom>::SCHEME),
        (Cause::SignatureOfPaddle, <Paddle>::SCHEME),
    ];
    schemes.into_iter().filter_map(|(cause, scheme)| Some((cause, Lens::new(scheme)?))).collect()
}

/// The algorithm of a tag of this length, the prefix that is named after it, and the cause of a tag that it made
/// under a scheme with another algorithm.
pub(super) fn algorithm_of(tag: &[u8]) -> Option<(Algorithm, &'static str, Cause)> {
    let all = [
        (Algorithm::HmacSha256, "sha256=", Cause::SignatureSha256),
        (Algorithm::HmacSha1, "sha1=", Cause::SignatureSha1),
        (Algorithm::HmacSha512, "sha512=", Cause::SignatureSha512),
    ];
    all.into_iter().find(|(algorithm, ..)| algorithm.tag_len() == tag.len())
}
