//! The template of the signed bytes: its parts, and the check that they can be taken apart in one way only.

use crate::scheme::SchemeError;
use crate::scheme::names::is_header_name;

/// The most headers that a template may name.
pub(crate) const MAX_HEADERS: usize = 4;

/// The most parts of a template: the headers, the time and the body, with a literal before, between and after them.
pub(crate) const MAX_PARTS: usize = 2 * (MAX_HEADERS + 2) + 1;

/// A part of a template.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// Bytes that stand as they are.
    Literal(&'a [u8]),
    /// The text of the signature's time.
    Time,
    /// The value of a header.
    Header(&'a [u8]),
    /// The raw body.
    Body,
}

/// Reads the part that begins at this place, and returns the place after it. `{{` is a literal brace, which is a part
/// of its own.
pub(crate) const fn part(template: &str, at: usize) -> Result<(Part<'_>, usize), SchemeError> {
    let bytes = template.as_bytes();
    let mut end = at;
    if bytes[at] != b'{' {
        while end < bytes.len() && bytes[end] != b'{' {
            end += 1;
        }
        return Ok((Part::Literal(slice(bytes, at, end)), end));
    }
    if at + 1 < bytes.len() && bytes[at + 1] == b'{' {
        return Ok((Part::Literal(slice(bytes, at, at + 1)), at + 2));
    }
    while end < bytes.len() && bytes[end] != b'}' {
        end += 1;
    }
    if end == bytes.len() {
        return Err(error("a brace is not closed (`{{` is a literal brace)"));
    }
    let name = slice(bytes, at + 1, end);
    let part = if is_equal(name, b"body") {
        Part::Body
    } else if is_equal(name, b"timestamp") {
        Part::Time
    } else if name.len() > 7 && is_equal(slice(name, 0, 7), b"header:") {
        let name = slice(name, 7, name.len());
        if !is_header_name(name) {
            return Err(error("a header's name has an upper-case letter or a character that none may have"));
        }
        Part::Header(name)
    } else {
        return Err(error(
            "only `{timestamp}`, `{header:NAME}` and `{body}` may be in braces (`{{` is a brace)",
        ));
    };
    Ok((part, end + 1))
}

/// What a template contains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) has_time: bool,
    /// Whether only a body that is one JSON object can be told from what stands beside it.
    pub(crate) needs_object: bool,
}

/// Checks that a template has one body, and that no two different messages have the same signed bytes.
///
/// The bytes are taken apart from both ends. From the left, a literal and a time have a known end, and a header's value
/// ends at the literal after it, which it does not contain. From the right, the same holds in reverse: a value begins
/// at the literal before it. If one value is left that has no such literal, it lies between what was taken off and the
/// body, and the body shows where it begins (on the left) or ends (on the right) if it is one JSON object: no proper
/// prefix and no proper suffix of a JSON object is one.
pub(crate) const fn summary(template: &str) -> Result<Summary, SchemeError> {
    if template.is_empty() {
        return Err(error("the template is empty, or does not begin with a URL"));
    }
    let mut state = State::START;
    let mut at = 0;
    while at < template.len() {
        let (part, next) = match part(template, at) {
            Ok(read) => read,
            Err(error) => return Err(error),
        };
        match state.after(part) {
            Ok(after) => state = after,
            Err(error) => return Err(error),
        }
        at = next;
    }
    if !state.is_after_body {
        return Err(NO_BODY);
    }
    if state.headers > MAX_HEADERS {
        return Err(error("there are more than 4 headers"));
    }
    if has_repeated_header(template) {
        return Err(error("a header occurs twice"));
    }
    Ok(Summary { has_time: state.has_time, needs_object: state.is_open_left || state.is_open_right })
}

/// The check's state between two parts.
#[derive(Clone, Copy)]
struct State {
    last: Last,
    is_after_body: bool,
    has_time: bool,
    headers: usize,
    /// Whether a value on the left has no literal after it.
    is_open_left: bool,
    /// Whether a value on the right has no literal before it.
    is_open_right: bool,
    /// Whether there is a value on the right.
    has_value_right: bool,
    /// Whether a literal on the right begins with white space, and stands beside the body.
    has_space_right: bool,
}

/// The last part.
#[derive(Clone, Copy)]
enum Last {
    Value,
    /// Anything that can be told from a body: the start, a time, or a literal that does not end with white space.
    Distinct,
    /// A literal. It ends with white space or not.
    Literal {
        is_space: bool,
    },
    Body,
}

impl State {
    const START: Self = Self {
        last: Last::Distinct,
        is_after_body: false,
        has_time: false,
        headers: 0,
        is_open_left: false,
        is_open_right: false,
        has_value_right: false,
        has_space_right: false,
    };

    const fn after(mut self, part: Part<'_>) -> Result<Self, SchemeError> {
        match part {
            Part::Literal(text) => {
                if matches!(self.last, Last::Value) && !self.is_after_body {
                    self.is_open_left = false;
                }
                self.has_space_right |= matches!(self.last, Last::Body) && is_space(text[0]);
                self.last = Last::Literal { is_space: is_space(text[text.len() - 1]) };
            }
            Part::Time => {
                if self.has_time {
                    return Err(error("`{timestamp}` occurs twice"));
                }
                self.has_time = true;
                self.last = Last::Distinct;
            }
            Part::Body => {
                if self.is_after_body {
                    return Err(error("`{body}` occurs twice"));
                }
                if self.is_open_left && matches!(self.last, Last::Literal { is_space: true }) {
                    return Err(error(SPACE));
                }
                self.is_after_body = true;
                self.last = Last::Body;
            }
            Part::Header(_) => {
                self.headers += 1;
                let is_separated = matches!(self.last, Last::Literal { .. });
                if self.is_after_body {
                    if !is_separated && (self.has_value_right || self.is_open_left) {
                        return Err(error(TWO_VALUES));
                    }
                    if !is_separated && self.has_space_right {
                        return Err(error(SPACE));
                    }
                    self.is_open_right |= !is_separated;
                    self.has_value_right = true;
                } else if self.is_open_left {
                    return Err(error(TWO_VALUES));
                } else {
                    self.is_open_left = true;
                }
                self.last = Last::Value;
            }
        }
        Ok(self)
    }
}

const TWO_VALUES: &str = "two headers' values cannot be told apart, because no literal separates them";
const SPACE: &str = "white space beside the body cannot be told from the body's own";

pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn has_repeated_header(template: &str) -> bool {
    let mut at = 0;
    while at < template.len() {
        let Ok((read, next)) = part(template, at) else { return false };
        if let Part::Header(name) = read
            && has_header_from(template, next, name)
        {
            return true;
        }
        at = next;
    }
    false
}

/// Whether the template names this header.
pub(crate) const fn has_header(template: &str, name: &[u8]) -> bool {
    has_header_from(template, 0, name)
}

/// Whether the template names this header at this place or later.
const fn has_header_from(template: &str, mut at: usize, name: &[u8]) -> bool {
    while at < template.len() {
        let Ok((read, next)) = part(template, at) else { return false };
        if let Part::Header(other) = read
            && is_equal(name, other)
        {
            return true;
        }
        at = next;
    }
    false
}

/// The error of a template that does not sign the body.
pub(super) const NO_BODY: SchemeError = error("`{body}` is missing");

const fn error(problem: &'static str) -> SchemeError {
    SchemeError::new("signed", problem)
}

pub(crate) const fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.split_at(to).0.split_at(from).1
}

pub(crate) const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
