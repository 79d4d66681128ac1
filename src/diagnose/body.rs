//! The bodies that may have been signed, before an accident changed them.

use std::ops::ControlFlow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::cause::Cause;
use super::json::rewrite;
use super::secret::base64_decoded;
use super::style::styles_of;

/// The longest body that is searched, in bytes: the default limit of [`Webhook`](crate::Webhook).
pub(super) const MAX_LEN: usize = 1 << 20;
/// The longest body that is made, in bytes. An accident makes a body at most three times as long, and two follow each other.
const MAX_MADE_LEN: usize = 4 * MAX_LEN;
/// The longest text that is made by another layout of one of this length: indenting could square it.
fn max_restyled_len(len: usize) -> usize {
    (1024 + 8 * len).min(MAX_MADE_LEN)
}
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Undoes an accident. Returns `None` if the accident cannot have happened.
type Undo = fn(&[u8]) -> Option<Vec<u8>>;

/// The outermost wrapping of the body comes first.
static UNWRAP: [(Cause, Undo); 9] = [
    (Cause::BodyBase64, |body| {
        let text: Vec<_> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        base64_decoded(&text).map(|bytes| bytes.to_vec())
    }),
    (Cause::BodyDoubleEncoded, |body| serde_json::from_slice::<String>(body).ok().map(String::into_bytes)),
    (Cause::BodyFormEncoded, |body| form_decoded(body, true)),
    (Cause::BodyFormEncoded, |body| form_decoded(body, false)),
    (Cause::BodyLatin1, |body| {
        std::str::from_utf8(body).ok()?.chars().map(|character| u8::try_from(character).ok()).collect()
    }),
    (Cause::BodyLatin1, |body| match std::str::from_utf8(body) {
        Ok(_) => None,
        Err(_) => Some(body.iter().copied().map(char::from).collect::<String>().into()),
    }),
    (Cause::BodyLatin1, |body| std::str::from_utf8(body).ok()?.chars().map(to_windows_1252).collect()),
    (Cause::BodyLatin1, |body| match std::str::from_utf8(body) {
        Ok(_) => None,
        Err(_) => Some(body.iter().copied().map(of_windows_1252).collect::<String>().into()),
    }),
    (Cause::BodySignedLossy, |body| Some(String::from_utf8_lossy(body).into_owned().into())),
];

/// The bytes from 0x80 to 0x9f, as browsers read them: an unassigned byte stays a control character.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn of_windows_1252(byte: u8) -> char {
    byte.checked_sub(0x80).and_then(|at| WINDOWS_1252.get(usize::from(at))).copied().unwrap_or(byte.into())
}

fn to_windows_1252(character: char) -> Option<u8> {
    let byte = u8::try_from(character).ok().filter(|byte| of_windows_1252(*byte) == character);
    byte.or_else(|| (0x80..=0x9f).find(|byte| of_windows_1252(*byte) == character))
}

static STRIP: [(Cause, Undo); 4] = [
    (Cause::BodyNewlineAdded, |body| {
        body.strip_suffix(b"\r\n").or(body.strip_suffix(b"\n")).map(<[u8]>::to_vec)
    }),
    (Cause::BodyBomAdded, |body| body.strip_prefix(BOM).map(<[u8]>::to_vec)),
    (Cause::BodyCrlfAdded, |body| replaced(body, b"\r\n", b"\n")),
    (Cause::BodyPadded, |body| Some(body.trim_ascii().to_vec())),
];

static APPEND: [(Cause, Undo); 11] = [
    (Cause::BodyNewlineLost, |body| Some(around(b"", body, b"\n"))),
    (Cause::BodyNewlineLost, |body| Some(around(b"", body, b"\r\n"))),
    (Cause::BodyBomLost, |body| Some(around(BOM, body, b""))),
    (Cause::BodyCrlfLost, |body| {
        // Line ends that are CRLF already stay so.
        let unix = replaced(body, b"\r\n", b"\n");
        replaced(unix.as_deref().unwrap_or(body), b"\n", b"\r\n")
    }),
    (Cause::BodyTrimmed, |body| Some(around(b"", body, b" "))),
    (Cause::BodyTrimmed, |body| Some(around(b" ", body, b""))),
    (Cause::BodyTrimmed, |body| Some(around(b"\n", body, b""))),
    (Cause::BodyTrimmed, |body| Some(around(b"\n", body, b"\n"))),
    (Cause::BodyTrimmed, |body| Some(around(b"", body, b"\n\n"))),
    (Cause::BodyFormDecoded, |body| form_encoded(body, FORM)),
    (Cause::BodyFormDecoded, |body| form_encoded(body, FORM_OF_PYTHON)),
];

fn around(before: &[u8], body: &[u8], after: &[u8]) -> Vec<u8> {
    [before, body, after].concat()
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    Some(out)
}

/// The characters that a form escapes, except the space, which becomes a plus.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');
const FORM_OF_PYTHON: &AsciiSet = &FORM.remove(b'~');

fn form_encoded(body: &[u8], set: &'static AsciiSet) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let value = utf8_percent_encode(text, set).to_string().replace(' ', "+");
    Some(format!("payload={value}").into())
}

/// Decodes the value of the only field, the name of the only field, or the whole.
fn form_decoded(body: &[u8], is_plus_a_space: bool) -> Option<Vec<u8>> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let value = match body.iter().position(|byte| *byte == b'=') {
        Some(at) if at > 0 && body[..at].iter().all(is_name) => &body[at + 1..],
        Some(at) if at + 1 == body.len() => &body[..at],
        _ => body,
    };
    let value = if is_plus_a_space { replaced(value, b"+", b" ")? } else { value.to_vec() };
    Some(percent_decode(&value).collect())
}

/// Takes a body that may have been signed, with its accidents.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[Cause]) -> ControlFlow<()> + 'v;

/// Visits each body that becomes this one by exactly this number of accidents, at most one from each stage. Only a
/// few copies of a long body are in memory at a time.
pub(super) fn visit_each(body: &[u8], accidents: usize, visit: &mut Visit<'_>) -> ControlFlow<()> {
    Stage::Unwrap.descend(body, accidents, &[], visit)?;
    if accidents == 1 { visit_each_lost_byte(body, visit) } else { ControlFlow::Continue(()) }
}

/// The longest body in which a lost byte is searched, in bytes: the search takes 128 hashes with each key.
const MAX_LEN_WITH_LOSS: usize = 1 << 16;

/// Undoes the replacement of a byte that was not UTF-8, if U+FFFD occurs once. The byte was not ASCII.
fn visit_each_lost_byte(body: &[u8], visit: &mut Visit<'_>) -> ControlFlow<()> {
    let pieces = std::str::from_utf8(body).ok().filter(|text| text.len() <= MAX_LEN_WITH_LOSS);
    let Some((before, after)) = pieces.and_then(|text| text.split_once('\u{fffd}')) else {
        return ControlFlow::Continue(());
    };
    if !after.contains('\u{fffd}') {
        let mut body = [before.as_bytes(), &[0], after.as_bytes()].concat();
        for byte in 0x80..=0xff {
            body[before.len()] = byte;
            visit(&body, &[Cause::BodyLossy])?;
        }
    }
    ControlFlow::Continue(())
}

#[derive(Clone, Copy)]
enum Stage {
    Unwrap,
    Strip,
    Restyle,
    Append,
    Done,
}

impl Stage {
    fn descend(
        self,
        body: &[u8],
        accidents: usize,
        causes: &[Cause],
        visit: &mut Visit<'_>,
    ) -> ControlFlow<()> {
        let (next, table): (_, &[(Cause, Undo)]) = match self {
            Self::Unwrap => (Self::Strip, &UNWRAP),
            Self::Strip => (Self::Restyle, &STRIP),
            Self::Restyle => return restyled(body, accidents, causes, visit),
            Self::Append => (Self::Done, &APPEND),
            Self::Done if accidents == 0 => return visit(body, causes),
            Self::Done => return ControlFlow::Continue(()),
        };
        // An accident at the ends is a simpler explanation than rewritten text.
        let is_meant = |cause: &Cause| accidents > 0 && !causes.iter().any(|done| is_opposite(done, cause));
        for (cause, undo) in table.iter().filter(|(cause, _)| is_meant(cause)) {
            if let Some(before) = undo(body).filter(|before| before != body && before.len() <= MAX_MADE_LEN) {
                let causes = [causes, std::slice::from_ref(cause)].concat();
                next.descend(&before, accidents - 1, &causes, visit)?;
            }
        }
        next.descend(body, accidents, causes, visit)
    }
}

/// Whether one accident reverses the other.
fn is_opposite(done: &Cause, cause: &Cause) -> bool {
    match done {
        Cause::BodyFormEncoded => matches!(cause, Cause::BodyFormDecoded),
        Cause::BodyBomAdded => matches!(cause, Cause::BodyBomLost),
        Cause::BodyCrlfAdded => matches!(cause, Cause::BodyCrlfLost),
        Cause::BodyNewlineAdded | Cause::BodyPadded => {
            matches!(cause, Cause::BodyNewlineLost | Cause::BodyTrimmed)
        }
        _ => false,
    }
}

fn restyled(body: &[u8], accidents: usize, causes: &[Cause], visit: &mut Visit<'_>) -> ControlFlow<()> {
    Stage::Append.descend(body, accidents, causes, visit)?;
    if accidents == 0 {
        return ControlFlow::Continue(());
    }
    for (style, price) in styles_of(body).filter(|(_, price)| *price <= accidents) {
        let rewritten = rewrite(body, style, max_restyled_len(body.len()));
        if let Some(before) = rewritten.filter(|before| before != body) {
            let causes: Vec<_> = causes.iter().cloned().chain(style.causes()).collect();
            Stage::Append.descend(&before, accidents - price, &causes, visit)?;
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies that become this one by so many accidents, with their causes.
    fn visited(body: &[u8], accidents: usize) -> Vec<(Vec<u8>, Vec<Cause>)> {
        let mut all = Vec::new();
        let flow = visit_each(body, accidents, &mut |body, causes| {
            all.push((body.to_vec(), causes.to_vec()));
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        all
    }

    #[test]
    fn an_accident_changes_the_body_and_is_not_reversed_by_another() {
        let ends = [Cause::BodyNewlineLost, Cause::BodyTrimmed];
        let cases: [(&str, Cause, &[Cause]); 5] = [
            ("{}\n", Cause::BodyNewlineAdded, &ends),
            (" {} ", Cause::BodyPadded, &ends),
            ("\u{feff}{}", Cause::BodyBomAdded, &[Cause::BodyBomLost]),
            ("{\r\n}\n", Cause::BodyCrlfAdded, &[Cause::BodyCrlfLost]),
            ("payload=%7b%7d", Cause::BodyFormEncoded, &[Cause::BodyFormDecoded]),
        ];
        for (body, done, opposites) in cases {
            let alone = visited(body.as_bytes(), 1);
            assert!(alone.iter().all(|(before, _)| before != body.as_bytes()), "{body:?}");
            assert!(alone.iter().any(|(_, causes)| *causes == [done.clone()]), "{body:?}");
            for (_, causes) in visited(body.as_bytes(), 2).iter().filter(|(_, causes)| causes[0] == done) {
                assert!(!opposites.contains(&causes[1]), "{body:?} {causes:?}");
            }
        }
    }

    #[test]
    fn no_body_is_made_that_is_longer_than_4_mib() {
        // Three bytes for each that is no UTF-8, and each of them as `%EF`.
        let (body, mut longest) = (vec![0x80; 300_000], 0);
        let _ = visit_each(&body, 2, &mut |before, _| {
            longest = longest.max(before.len());
            ControlFlow::Continue(())
        });
        assert!((900_000..=MAX_MADE_LEN).contains(&longest), "{longest}");
    }

    #[test]
    fn an_indented_body_is_at_most_eight_times_as_long_plus_1_kib_nor_over_4_mib() {
        let nested = |levels: usize, padding: usize| {
            format!("{}\"{}\"{}", "[".repeat(levels), "x".repeat(padding), "]".repeat(levels))
        };
        // Four spaces a level, for the levels before the text and after it, and a line end each.
        let indented_len = |levels: usize, padding: usize| 4 * levels * levels + 4 * levels + 2 + padding;
        let cases = [
            (17, 0, true),
            (18, 6, true),
            (18, 5, false),
            (20, 0, false),
            (500, 600_000, true),
            // Less than eight times as long, and more than 4 MiB.
            (1_000, 600_000, false),
        ];
        for (levels, padding, is_made) in cases {
            let body = nested(levels, padding);
            let mut is_found = false;
            let _ = restyled(body.as_bytes(), 1, &[], &mut |before, _| {
                is_found |= before.len() == indented_len(levels, padding);
                ControlFlow::Continue(())
            });
            assert_eq!(is_found, is_made, "{levels} {padding}");
        }
    }
}
