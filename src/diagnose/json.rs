//! JSON text written again, token by token: order, repeated fields and numbers stay as they are.

use super::cause::JsonLayout;

/// What to change of a text. By default, nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) layout: Option<JsonLayout>,
    pub(super) escapes: Escapes,
    pub(super) slashes: Slashes,
    pub(super) numbers: Numbers,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Escapes {
    #[default]
    Keep,
    /// `é` as `\u00e9`, as Python and PHP write.
    Ascii,
    /// `é` as `\u00E9`, as .NET writes.
    AsciiUpper,
    /// `<`, `>`, `&` and two line ends, as Go writes.
    Html,
    /// None but those that JSON needs.
    Unescape,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Slashes {
    #[default]
    Keep,
    Escape,
    Unescape,
}

/// Which numbers get back the zeros that they may have lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    #[default]
    Keep,
    /// Every integer becomes `1.0`.
    IntegersOnePlace,
    /// Every `1.5` becomes `1.50`.
    FractionsTwoPlaces,
    /// Every integer becomes `1.00`, and every `1.5` becomes `1.50`.
    TwoPlaces,
    /// The number at this place becomes `1.0`, or `1.50`.
    OneAt(usize),
    /// The integer at this place becomes `1.00`.
    TwoAt(usize),
}

/// The text in this style; none if it is no JSON object or array, or would be longer than `limit`.
pub(super) fn rewrite(body: &[u8], style: Style, limit: usize) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut writer = Writer { style, out: Vec::with_capacity(text.len() * 5 / 4), depth: 0, number: 0 };
    let mut rest = text;
    while let Some(&first) = rest.as_bytes().first() {
        let length = match first {
            b'"' => string_len(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b' ' | b'\n' | b'\r' | b'\t' => rest.len() - rest.trim_start_matches(WHITE).len(),
            _ => rest.find(['"', '{', '}', '[', ']', ',', ':', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        writer.token(token, after);
        if writer.out.len() > limit {
            return None;
        }
        rest = after;
    }
    Some(writer.out)
}

const WHITE: [char; 4] = [' ', '\n', '\r', '\t'];

/// The length of the string that the text begins with, up to its closing quote, if it has one.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

struct Writer {
    style: Style,
    out: Vec<u8>,
    depth: usize,
    number: usize,
}

impl Writer {
    fn token(&mut self, token: &str, after: &str) {
        match token.as_bytes()[0] {
            b'"' => self.string(token),
            b'-' | b'0'..=b'9' => self.number(token),
            first => match self.style.layout {
                Some(layout) => self.laid_out(layout, first, token, after),
                None => self.out.extend_from_slice(token.as_bytes()),
            },
        }
    }

    fn laid_out(&mut self, layout: JsonLayout, first: u8, token: &str, after: &str) {
        match first {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'{' | b'[' => {
                self.out.push(first);
                self.depth += 1;
                if !after.trim_start_matches(WHITE).starts_with(['}', ']']) {
                    self.new_line(layout);
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !matches!(self.out.last(), Some(b'{' | b'[')) {
                    self.new_line(layout);
                }
                self.out.push(first);
            }
            b',' => {
                self.out.push(first);
                if layout == JsonLayout::Spaced {
                    self.out.push(b' ');
                }
                self.new_line(layout);
            }
            b':' => {
                self.out.push(first);
                if layout != JsonLayout::Compact {
                    self.out.push(b' ');
                }
            }
            _ => self.out.extend_from_slice(token.as_bytes()),
        }
    }

    fn new_line(&mut self, layout: JsonLayout) {
        let (unit, times) = match layout {
            JsonLayout::Compact | JsonLayout::Spaced => return,
            JsonLayout::TwoSpaces => (b' ', 2),
            JsonLayout::FourSpaces => (b' ', 4),
            JsonLayout::Tabs => (b'\t', 1),
        };
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(unit, times * self.depth));
    }

    fn number(&mut self, token: &str) {
        let place = self.number;
        self.number += 1;
        self.out.extend_from_slice(token.as_bytes());
        let fraction = token.split_once('.').map(|(_, fraction)| fraction.len());
        let is_plain = !token.contains(['e', 'E']);
        let zeros = match (self.style.numbers, fraction) {
            (Numbers::IntegersOnePlace, None) => ".0",
            (Numbers::TwoPlaces, None) => ".00",
            (Numbers::TwoPlaces | Numbers::FractionsTwoPlaces, Some(1)) => "0",
            (Numbers::OneAt(at), None) if at == place => ".0",
            (Numbers::OneAt(at), Some(1)) if at == place => "0",
            (Numbers::TwoAt(at), None) if at == place => ".00",
            _ => "",
        };
        if is_plain {
            self.out.extend_from_slice(zeros.as_bytes());
        }
    }

    fn string(&mut self, token: &str) {
        let mut rest = token;
        while let Some(first) = rest.chars().next() {
            let mut length = first.len_utf8();
            match first {
                '\\' => length = self.escape(rest),
                '/' if self.style.slashes == Slashes::Escape => self.out.extend_from_slice(b"\\/"),
                _ if self.is_escaped(first) => self.unit_escapes(first),
                _ => self.out.extend_from_slice(&rest.as_bytes()[..length]),
            }
            rest = &rest[length..];
        }
    }

    fn is_escaped(&self, character: char) -> bool {
        match self.style.escapes {
            Escapes::Keep | Escapes::Unescape => false,
            Escapes::Ascii | Escapes::AsciiUpper => !character.is_ascii(),
            Escapes::Html => matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
        }
    }

    fn unit_escapes(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            self.out.extend_from_slice(b"\\u");
            let mut digits = [0; 4];
            // Four digits are two bytes.
            let _ = hex::encode_to_slice(unit.to_be_bytes(), &mut digits);
            if self.style.escapes == Escapes::AsciiUpper {
                digits.make_ascii_uppercase();
            }
            self.out.extend_from_slice(&digits);
        }
    }

    /// Writes the escape that the text begins with, and returns how long it is.
    fn escape(&mut self, text: &str) -> usize {
        if self.style.slashes == Slashes::Unescape && text.starts_with("\\/") {
            self.out.push(b'/');
            return 2;
        }
        if self.style.escapes == Escapes::Unescape
            && let Some((character, length)) = unescaped(text)
        {
            self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return length;
        }
        // With what it escapes, which may be a backslash or a quote.
        let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
        self.out.extend_from_slice(&text.as_bytes()[..length]);
        length
    }
}

/// The character of a `\u` escape, or of two that are a pair, unless JSON needs it to be escaped.
fn unescaped(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u16::from_str_radix(digits, 16).ok()
    };
    let units = [unit(0)?, unit(6).unwrap_or_default()];
    let character = char::decode_utf16(units).next()?.ok()?;
    let is_needed = matches!(character, '\0'..='\u{1f}' | '"' | '\\');
    (!is_needed).then_some((character, 6 * character.len_utf16()))
}
