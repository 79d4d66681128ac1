//! The bytes that may have been signed, beside the body: those of a scheme's template, and of others.

use std::time::SystemTime;

use http::HeaderName;

use super::cause::Cause;
use super::found::Found;
use super::lens::Lens;
use super::sent::{Beside, Values};
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

/// What stands before and after the body. Returns `None` if a value is missing, or could not be told from what stands
/// beside it.
fn around(reader: &Reader, time: &[u8], at: SystemTime, values: Values<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
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
    beside: &Beside<'_>,
) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut add = |lens: &Lens<'_>, time: &SignedTime, values, cause: Option<Cause>| {
        if let Some((before, after)) = around(&lens.reader, &time.text, time.at, values) {
            let causes = cause.into_iter().chain(time.causes.iter().cloned()).collect();
            let at = lens.reader.has_time().then_some(time.at);
            messages.push(Message { before, after, time: at, is_body_alone: false, causes });
        }
    };
    let times = time.map(|text| signed_times(text, own.unit())).unwrap_or_default();
    if let Some(values) = beside.values {
        if own.reader.has_time() {
            times.iter().for_each(|time| add(own, time, values, None));
        } else {
            add(own, &SignedTime::NONE, values, None);
        }
    }
    let sent = times.into_iter().next();
    let sent = sent.or_else(|| signed_times(found.time()?, None).into_iter().next());
    let mut templates = vec![own.scheme.signed];
    for (_, other) in known {
        let template = other.scheme.signed;
        let (Some(time), false) = (&sent, templates.contains(&template)) else { continue };
        templates.push(template);
        for (template, values) in filled(other, found, beside) {
            add(other, time, values, Some(Cause::SignedUnderOtherTemplate { template }));
        }
    }
    if !own.is_body_alone() {
        let causes = vec![Cause::SignedBodyAlone];
        let (before, after) = (Vec::new(), Vec::new());
        messages.push(Message { before, after, time: None, is_body_alone: true, causes });
    }
    messages
}

/// The template of another scheme for each header that may hold its id, and the values of its headers.
fn filled<'h>(other: &Lens<'_>, found: &Found<'h>, beside: &Beside<'h>) -> Vec<(String, Values<'h>)> {
    let template = other.scheme.signed;
    let names = || other.reader.families.iter().filter_map(|family| family.signed.first());
    let Some(theirs) = names().next() else { return vec![(template.to_owned(), [&b""[..]; MAX_HEADERS])] };
    // The scheme's first signed header, or else each of the other's own.
    let own = beside.signed.zip(beside.values.map(|values| values[0]));
    let ids: Vec<_> = match own {
        Some(own) => vec![own],
        None => names().filter_map(|name| Some((name, found.once(name)?))).collect(),
    };
    let place = |name: &HeaderName| format!("{{header:{name}}}");
    let filled = |(name, id)| (template.replace(&place(theirs), &place(name)), [id; MAX_HEADERS]);
    ids.into_iter().filter(|(_, id)| is_id(id)).map(filled).collect()
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

/// What a scheme signs with a body. Returns `None` if the time or an id is not in the scheme's form.
///
/// The sender chooses what stands before the body. If it could be any text, an attacker could cut a genuine body at a
/// period and call its first part a time, and its signature would seem to belong to another scheme. A JSON object begins
/// with neither.
pub(super) fn message_of(lens: &Lens<'_>, time: Option<&[u8]>, beside: &Beside<'_>) -> Option<Message> {
    let time = time?;
    let at = lens.unit()?.read(time)?;
    let values = beside.values?;
    let signed = lens.reader.families.first()?.signed.len();
    if !values.iter().take(signed).all(|id| is_id(id)) {
        return None;
    }
    let (before, after) = around(&lens.reader, time, at, values)?;
    Some(Message { before, after, time: Some(at), is_body_alone: false, causes: Vec::new() })
}

fn is_id(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"{\"".contains(byte);
    (1..=256).contains(&value.len()) && value.iter().all(is_allowed)
}
