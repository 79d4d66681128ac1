//! A scheme that is ready to read headers: the one path from headers to candidates and signed bytes.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use crate::error::Error;
use crate::mac::{Algorithm, Candidates, Tag, TagEncoding};
use crate::scheme::headers::{Headers, Occurrence, occurrence};
use crate::scheme::template::{self, MAX_HEADERS, MAX_PARTS, Summary, is_space};
use crate::scheme::{Form, Scheme, SchemeError, TimeSource, TimeUnit};

/// A scheme whose parts are checked, owned and split.
pub(crate) struct Reader {
    algorithm: Algorithm,
    encoding: TagEncoding,
    form: OwnedForm,
    pub(crate) families: Vec<Family>,
    parts: Vec<Part>,
    /// The place of the body among the parts.
    body: usize,
    /// The unit, and the key with its `=` if the time is a field of the signature header.
    time: Option<(Option<Box<[u8]>>, TimeUnit)>,
    summary: Summary,
}

enum OwnedForm {
    One {
        prefix: Box<[u8]>,
    },
    Each {
        separator: u8,
        version: Box<[u8]>,
    },
    /// The key with its `=`.
    Fields {
        separator: u8,
        key: Box<[u8]>,
    },
}

/// The names of one family's headers.
pub(crate) struct Family {
    pub(crate) signatures: Vec<HeaderName>,
    pub(crate) time: Option<HeaderName>,
    /// In the order of the template.
    pub(crate) signed: Vec<HeaderName>,
}

enum Part {
    Literal(Box<[u8]>),
    Time,
    /// The value of the family's header at this place.
    Header(usize),
    Body,
}

/// What the headers of a delivery say. It is unproven until a candidate has matched.
pub(crate) struct Head<'h> {
    pub(crate) candidates: Candidates,
    family: usize,
    time: Option<(&'h [u8], SystemTime)>,
    values: [&'h [u8]; MAX_HEADERS],
}

impl Head<'_> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { candidates: Candidates::new(), family: 0, time: None, values: [&[]; MAX_HEADERS] }
    }
}

impl<'h> Head<'h> {
    /// A head with this time and these values of the signed headers, and without candidates.
    pub(crate) fn of(text: &'h [u8], time: SystemTime, values: [&'h [u8]; MAX_HEADERS]) -> Self {
        Self { time: Some((text, time)), values, ..Self::new() }
    }

    /// The time of the signature.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        self.time.map(|(_, time)| time)
    }

    /// The value of the signed header at this place in the template.
    pub(crate) fn value(&self, at: usize) -> &'h [u8] {
        self.values[at]
    }
}

/// The signed bytes, in pieces.
pub(crate) struct Pieces<'p> {
    pieces: [&'p [u8]; MAX_PARTS],
    len: usize,
}

impl<'p> Pieces<'p> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { pieces: [&[]; MAX_PARTS], len: 0 }
    }

    /// Adds what these parts of a template stand for. The check of a template limits their number.
    fn add(&mut self, parts: &'p [Part], head: &Head<'p>, body: &'p [u8]) {
        for (piece, part) in self.pieces[self.len..].iter_mut().zip(parts) {
            *piece = match part {
                Part::Literal(literal) => literal,
                Part::Time => head.time.map_or(&[], |(text, _)| text),
                Part::Header(place) => head.values[*place],
                Part::Body => body,
            };
            self.len += 1;
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[&'p [u8]] {
        &self.pieces[..self.len]
    }
}

/// What a test's sender chooses.
pub(crate) struct Sent<'a> {
    pub(crate) time: SystemTime,
    /// The values of the signed headers, by their places.
    pub(crate) values: [&'a str; MAX_HEADERS],
}

impl Reader {
    /// Checks a scheme and takes it apart.
    pub(crate) fn new(scheme: &Scheme<'_>) -> Result<Self, SchemeError> {
        scheme.check()?;
        let summary = template::summary(scheme.signed)?;
        Self::split(scheme, summary)
    }

    /// Like [`new`](Reader::new), for a test of what the check is good for.
    #[cfg(test)]
    pub(super) fn unchecked(scheme: &Scheme<'_>) -> Result<Self, SchemeError> {
        Self::split(scheme, Summary { has_time: scheme.time.is_some(), needs_object: false })
    }

    fn split(scheme: &Scheme<'_>, summary: Summary) -> Result<Self, SchemeError> {
        let (parts, signed) = parts(scheme.signed)?;
        let body = parts.iter().position(|part| matches!(part, Part::Body)).ok_or(template::NO_BODY)?;
        let time_header = match scheme.time {
            Some((TimeSource::Header(name), _)) => Some(name),
            _ => None,
        };
        let family = |rename: &dyn Fn(&str) -> String| -> Result<Family, SchemeError> {
            let name = |name: &str| {
                HeaderName::try_from(rename(name))
                    .map_err(|_| SchemeError::new("signature.header", "this is no header's name"))
            };
            Ok(Family {
                signatures: scheme.headers.iter().map(name).collect::<Result<_, _>>()?,
                time: time_header.map(name).transpose()?,
                signed: signed.iter().map(|header| name(header)).collect::<Result<_, _>>()?,
            })
        };
        let mut families = vec![family(&str::to_owned)?];
        if let Some((beginning, other)) = scheme.family {
            families.push(family(&|name| format!("{other}{}", &name[beginning.len()..]))?);
        }
        let bytes = |text: &str| Box::from(text.as_bytes());
        let field = |key: &str| bytes(&format!("{key}="));
        Ok(Self {
            algorithm: scheme.algorithm,
            encoding: scheme.encoding,
            // A separator is ASCII.
            form: match scheme.form {
                Form::One { prefix } => OwnedForm::One { prefix: bytes(prefix) },
                Form::Each { separator, version } => {
                    OwnedForm::Each { separator: separator as u8, version: bytes(version) }
                }
                Form::Fields { separator, key } => {
                    OwnedForm::Fields { separator: separator as u8, key: field(key) }
                }
            },
            families,
            parts,
            body,
            time: scheme.time.map(|(source, unit)| match source {
                TimeSource::Header(_) => (None, unit),
                TimeSource::Field(key) => (Some(field(key)), unit),
            }),
            summary,
        })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether only a body that is one JSON object can be told from what stands beside it.
    pub(crate) fn needs_object(&self) -> bool {
        self.summary.needs_object
    }

    pub(crate) fn has_time(&self) -> bool {
        self.summary.has_time
    }

    /// The signature header, or the first of several.
    pub(crate) fn signature_header(&self) -> &HeaderName {
        &self.families[0].signatures[0]
    }

    /// The place of a signed header.
    pub(crate) fn place_of(&self, header: &str) -> Option<usize> {
        self.families[0].signed.iter().position(|name| name == header)
    }

    /// Reads the headers: the signature headers first, then the other headers that are signed. It does not allocate.
    pub(crate) fn read<'h>(
        &self,
        headers: &'h (impl Headers + ?Sized),
        head: &mut Head<'h>,
    ) -> Result<(), Error> {
        let mut found = None;
        for (at, family) in self.families.iter().enumerate() {
            for name in &family.signatures {
                match occurrence(headers, name) {
                    Occurrence::Never => {}
                    Occurrence::Repeated => return Err(Error::DuplicateSignature),
                    Occurrence::Once(_) if found.is_some_and(|family| family != at) => {
                        return Err(Error::MalformedSignature);
                    }
                    Occurrence::Once(value) => {
                        found = Some(at);
                        self.read_signature(value, head)?;
                    }
                }
            }
        }
        let Some(found) = found else { return Err(Error::MissingSignature) };
        head.family = found;
        let family = &self.families[head.family];
        let once = |name: &HeaderName| match occurrence(headers, name) {
            Occurrence::Never => Err(Error::MalformedSignature),
            Occurrence::Repeated => Err(Error::DuplicateSignature),
            Occurrence::Once(value) => Ok(value),
        };
        if let (Some(name), Some((_, unit))) = (&family.time, &self.time) {
            let text = once(name)?;
            let Some(time) = unit.read(text) else { return Err(Error::MalformedSignature) };
            head.time = Some((text, time));
        }
        if self.time.is_some() && head.time.is_none() {
            return Err(Error::MalformedSignature);
        }
        for (place, name) in head.values.iter_mut().zip(&family.signed) {
            *place = once(name)?;
        }
        if family.signed.is_empty() || self.are_distinct(head) {
            Ok(())
        } else {
            Err(Error::MalformedSignature)
        }
    }

    fn read_signature<'h>(&self, value: &'h [u8], head: &mut Head<'h>) -> Result<(), Error> {
        let before = head.candidates.len();
        let length = self.algorithm.tag_len();
        let mut add = |tag: &[u8]| match self.encoding.decode(tag, length) {
            Some(tag) if !head.candidates.push(tag) => Err(Error::MalformedSignature),
            _ => Ok(()),
        };
        match &self.form {
            OwnedForm::One { prefix } => {
                if let Some(tag) = value.strip_prefix(&**prefix) {
                    add(tag)?;
                }
            }
            OwnedForm::Each { separator, version } => {
                for item in items(value, *separator) {
                    if let Some(tag) = item.strip_prefix(&**version) {
                        add(tag)?;
                    }
                }
            }
            OwnedForm::Fields { separator, key } => {
                let mut time = None;
                for item in items(value, *separator) {
                    if let Some(tag) = item.strip_prefix(&**key) {
                        add(tag)?;
                    }
                    let Some((Some(time_key), unit)) = &self.time else { continue };
                    if let Some(text) = item.strip_prefix(&**time_key) {
                        // One that is repeated is ambiguous.
                        let read = unit.read(text).filter(|_| time.is_none());
                        time = Some((text, read.ok_or(Error::MalformedSignature)?));
                    }
                }
                // Two signature headers must not bring two times.
                if time.is_some() && head.time.is_some() {
                    return Err(Error::MalformedSignature);
                }
                head.time = head.time.or(time);
            }
        }
        if head.candidates.len() > before { Ok(()) } else { Err(Error::MalformedSignature) }
    }

    /// Whether each header's value can be told from what stands beside it, as the check of the template assumes.
    pub(crate) fn are_distinct(&self, head: &Head<'_>) -> bool {
        let mut is_after_body = false;
        let around =
            |at: usize| (at.checked_sub(1).and_then(|before| self.parts.get(before)), self.parts.get(at + 1));
        self.parts.iter().enumerate().all(|(at, part)| {
            is_after_body |= matches!(part, Part::Body);
            let Part::Header(place) = part else { return true };
            let value = head.values[*place];
            !value.is_empty()
                && match around(at) {
                    (Some(Part::Literal(literal)), _) if is_after_body => begins_once(value, literal),
                    (Some(Part::Body), _) => !is_space(value[0]),
                    (_, Some(Part::Literal(literal))) if !is_after_body => ends_once(value, literal),
                    (_, Some(Part::Body)) => !is_space(value[value.len() - 1]),
                    _ => true,
                }
        })
    }

    /// Whether the signed bytes are the body alone, as with most providers.
    #[inline]
    pub(crate) fn signs_body_alone(&self) -> bool {
        matches!(&*self.parts, [Part::Body])
    }

    /// The signed bytes, in this place.
    pub(crate) fn pieces<'b, 'p>(
        &'p self,
        head: &Head<'p>,
        body: &'p [u8],
        place: &'b mut Pieces<'p>,
    ) -> &'b [&'p [u8]] {
        place.add(&self.parts, head, body);
        place.as_slice()
    }

    /// The signed bytes before the body, and those after it.
    pub(crate) fn around<'p>(&'p self, head: &Head<'p>) -> (Pieces<'p>, Pieces<'p>) {
        let (mut before, mut after) = (Pieces::new(), Pieces::new());
        before.add(&self.parts[..self.body], head, &[]);
        after.add(&self.parts[self.body + 1..], head, &[]);
        (before, after)
    }

    /// Writes the headers of a delivery, for testing a receiver. `sign` returns the tag of the signed bytes.
    pub(crate) fn write(
        &self,
        sent: &Sent<'_>,
        body: &[u8],
        sign: impl FnOnce(&[&[u8]]) -> Tag,
    ) -> HeaderMap {
        let family = &self.families[0];
        let time = self.time.as_ref().map(|(_, unit)| unit.write(sent.time));
        let time = time.as_deref().unwrap_or_default();
        let head = Head::of(time.as_bytes(), sent.time, sent.values.map(str::as_bytes));
        let tag = sign(self.pieces(&head, body, &mut Pieces::new()));
        let tag = self.encoding.encode(tag.bytes(self.algorithm.tag_len()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let signature = match (&self.form, &self.time) {
            (OwnedForm::One { prefix: before } | OwnedForm::Each { version: before, .. }, _) => {
                text(before) + &tag
            }
            (OwnedForm::Fields { separator, key }, Some((Some(time_key), _))) => {
                format!("{}{time}{}{}{tag}", text(time_key), char::from(*separator), text(key))
            }
            (OwnedForm::Fields { key, .. }, _) => text(key) + &tag,
        };
        let mut headers = HeaderMap::new();
        let mut add = |name: &HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name.clone(), value);
            }
        };
        add(&family.signatures[0], &signature);
        family.time.iter().for_each(|name| add(name, time));
        family.signed.iter().zip(sent.values).for_each(|(name, value)| add(name, value));
        headers
    }
}

/// What the separators of a header's value separate. (`slice::split` would look at each byte.)
fn items(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr(separator, text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Splits a template that has passed its check. Runs of literals become one.
fn parts(template: &str) -> Result<(Vec<Part>, Vec<&str>), SchemeError> {
    let (mut parts, mut signed, mut at) = (Vec::new(), Vec::new(), 0);
    while at < template.len() {
        let (part, next) = template::part(template, at)?;
        match (part, parts.last_mut()) {
            (template::Part::Literal(text), Some(Part::Literal(before))) => {
                *before = [&**before, text].concat().into();
            }
            (template::Part::Literal(text), _) => parts.push(Part::Literal(text.into())),
            (template::Part::Time, _) => parts.push(Part::Time),
            (template::Part::Body, _) => parts.push(Part::Body),
            (template::Part::Header(name), _) => {
                parts.push(Part::Header(signed.len()));
                // The check has found ASCII.
                signed.extend(std::str::from_utf8(name));
            }
        }
        at = next;
    }
    Ok((parts, signed))
}

/// Whether the literal first ends what `value` begins: it occurs in the two together only at the end.
fn ends_once(value: &[u8], literal: &[u8]) -> bool {
    if let [separator] = literal {
        return memchr(*separator, value).is_none();
    }
    (0..value.len()).all(|at| !starts_with(&value[at..], literal, literal))
}

/// Whether the literal last begins what `value` ends: it occurs in the two together only at the start.
fn begins_once(value: &[u8], literal: &[u8]) -> bool {
    (1..=literal.len()).all(|at| !starts_with(&literal[at..], value, literal))
        && value.windows(literal.len()).all(|window| window != literal)
}

/// Whether the two together, one after the other, start with the literal.
fn starts_with(first: &[u8], second: &[u8], literal: &[u8]) -> bool {
    let at_first = first.len().min(literal.len());
    first[..at_first] == literal[..at_first] && second.starts_with(&literal[at_first..])
}
