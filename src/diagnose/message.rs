//! The bytes that may have been signed, beside the body: those of a scheme's template, and of others.

use std::time::SystemTime;

use super::cause::Cause;
use super::found::Found;
use super::lens::Lens;
use crate::scheme::{Head, MAX_HEADERS, Reader, TimeUnit};

/// What is signed with a body.
pub(super) struct Message {
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    pub(super) time: Option<SystemTime>,
    /// Whether the scheme signs more than the body, and this does not.
    pub(super) is_body_alone: bool,
    pub(super) causes: Vec<Cause>,
}

/// The values of a template's headers.
pub(super) type Values<'h> = [&'h [u8]; MAX_HEADERS];

/// What stands before and after the body. Returns `None` if a value is missing, or could not be told from what stands
/// beside it.
pub(super) fn around(
    reader: &Reader,
    time: &[u8],
    at: SystemTime,
    values: Values<'_>,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let head = Head::of(time, at, values);
    reader.are_distinct(&head).then(|| {
        let (before, after) = reader.around(&head);
        (before.as_slice().concat(), after.as_slice().concat())
    })
}

/// Lists the messages that a sender may have signed in place of the scheme's, whose own comes first.
pub(super) fn messages(
    own: &Lens<'_>,
    known: &[(Cause, Lens<'static>)],
    found: &Found<'_>,
    time: Option<&[u8]>,
    values: Option<Values<'_>>,
) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut add = |lens: &Lens<'_>, time: &SignedTime, values, causes: &[Cause]| {
        if let Some((before, after)) = around(&lens.reader, &time.text, time.at, values) {
            let causes = [causes, &time.causes].concat();
            let at = lens.reader.has_time().then_some(time.at);
            messages.push(Message { before, after, time: at, is_body_alone: false, causes });
        }
    };
    let times = time.map(|text| signed_times(text, own.unit())).unwrap_or_default();
    if let Some(values) = values {
        if own.reader.has_time() {
            times.iter().for_each(|time| add(own, time, values, &[]));
        } else {
            add(own, &SignedTime::NONE, values, &[]);
        }
    }
    let sent = times.into_iter().next();
    let sent = sent.or_else(|| signed_times(found.time()?, None).into_iter().next());
    let mut templates = vec![own.scheme.signed];
    for (_, other) in known {
        let template = other.scheme.signed;
        let (Some(time), false) = (&sent, templates.contains(&template)) else { continue };
        templates.push(template);
        // The scheme's first signed header, or else the other's own.
        let id = values.map(|values| values[0]).filter(|id| !id.is_empty());
        let families = &other.reader.families;
        let id = id.or_else(|| families.iter().find_map(|family| found.once(family.signed.first()?)));
        let values = id.filter(|id| is_id(id)).map_or([&b""[..]; MAX_HEADERS], |id| [id; MAX_HEADERS]);
        add(other, time, values, &[Cause::SignedUnderOtherTemplate { template }]);
    }
    if !own.is_body_alone() {
        let causes = vec![Cause::SignedBodyAlone];
        let (before, after) = (Vec::new(), Vec::new());
        messages.push(Message { before, after, time: None, is_body_alone: true, causes });
    }
    messages
}

/// A time as it may have been signed.
struct SignedTime {
    text: Vec<u8>,
    at: SystemTime,
    causes: Vec<Cause>,
}

impl SignedTime {
    const NONE: Self = Self { text: Vec::new(), at: SystemTime::UNIX_EPOCH, causes: Vec::new() };
}

/// The time as it was sent, which may be in another unit than the scheme's, and as it may have been signed instead.
fn signed_times(text: &[u8], scheme: Option<TimeUnit>) -> Vec<SignedTime> {
    const UNITS: [(TimeUnit, Cause); 3] = [
        (TimeUnit::Seconds, Cause::TimeInSeconds),
        (TimeUnit::Milliseconds, Cause::TimeInMilliseconds),
        (TimeUnit::Rfc3339, Cause::TimeInRfc3339),
    ];
    let read = |(unit, cause): (TimeUnit, Cause)| Some((unit, cause, unit.read(text)?));
    let Some((unit, cause, at)) = UNITS.into_iter().find_map(read) else { return Vec::new() };
    let is_other = scheme.is_some_and(|scheme| scheme != unit);
    let sent =
        SignedTime { text: text.to_vec(), at, causes: is_other.then_some(cause).into_iter().collect() };
    let other = match unit {
        TimeUnit::Seconds => Some(([text, b"000"].concat(), Cause::TimeSignedInMilliseconds)),
        TimeUnit::Milliseconds => Some((text[..text.len() - 3].to_vec(), Cause::TimeSignedInSeconds)),
        TimeUnit::Rfc3339 => None,
    };
    let other = other.map(|(text, cause)| SignedTime { text, at, causes: vec![cause] });
    std::iter::once(sent).chain(other).collect()
}

/// The sender chooses what stands before the body. If it could be any text, an attacker could cut a genuine body at a
/// period and call its first part a time, and its signature would seem to belong to another scheme. A JSON object begins
/// with neither.
pub(super) fn is_time_of(lens: &Lens<'_>, value: &[u8]) -> bool {
    lens.unit().is_some_and(|unit| unit.read(value).is_some())
}

pub(super) fn is_id(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"{\"".contains(byte);
    (1..=256).contains(&value.len()) && value.iter().all(is_allowed)
}
