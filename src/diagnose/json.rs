//! Writes JSON text again in another style, token by token. The order of fields and repeated fields stay.

use super::cause::JsonLayout;
use super::style::{Escapes, Numbers, SPECIAL_IN_DOT_NET, Slashes, Style};
use super::tokens::{WHITE, document, tokens};

/// Writes the text in this style. Returns `None` if it is not a JSON object or array, or would exceed `limit` bytes.
pub(super) fn rewrite(body: &[u8], style: Style, limit: usize) -> Option<Vec<u8>> {
    let text = document(body)?;
    let mut writer = Writer { style, out: Vec::with_capacity(text.len() * 5 / 4), depth: 0, number: 0 };
    for (token, after) in tokens(text) {
        writer.token(token, after);
        if writer.out.len() > limit {
            return None;
        }
    }
    Some(writer.out)
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
        if token.contains(['e', 'E']) {
            return;
        }
        let is_in = |numbers: u8| place < 8 && numbers >> place & 1 == 1;
        let (integers, fractions) = match self.style.numbers {
            Numbers::IntegersOnePlace => (".0", ""),
            Numbers::FractionsTwoPlaces => ("", "0"),
            Numbers::TwoPlaces => (".00", "0"),
            Numbers::OnePlaceOf(numbers) if is_in(numbers) => (".0", ""),
            Numbers::TwoPlacesOf(numbers) if is_in(numbers) => (".00", "0"),
            _ => return,
        };
        let zeros = match token.split_once('.').map(|(_, fraction)| fraction.len()) {
            None => integers,
            Some(1) => fractions,
            Some(_) => return,
        };
        self.out.extend_from_slice(zeros.as_bytes());
    }

    fn string(&mut self, token: &str) {
        let mut rest = token;
        while let Some(at) = rest.bytes().position(|byte| self.may_change(byte)) {
            let (same, from) = rest.split_at(at);
            self.out.extend_from_slice(same.as_bytes());
            let Some(first) = from.chars().next() else { break };
            let mut length = first.len_utf8();
            match first {
                '\\' => length = self.escape(from),
                '/' if self.style.slashes == Slashes::Escape => self.out.extend_from_slice(b"\\/"),
                _ if self.is_escaped(first) => self.unit_escapes(first),
                _ => self.out.extend_from_slice(&from.as_bytes()[..length]),
            }
            rest = &from[length..];
        }
        self.out.extend_from_slice(rest.as_bytes());
    }

    /// Whether a character that begins with this byte may have to change.
    fn may_change(&self, byte: u8) -> bool {
        let Style { escapes, slashes, .. } = self.style;
        if (escapes, slashes) == (Escapes::Keep, Slashes::Keep) {
            return false;
        }
        let is_special = byte >= 0x80 || SPECIAL_IN_DOT_NET.contains(&byte);
        matches!(byte, b'\\' | b'/') || is_special && escapes != Escapes::Keep
    }

    fn is_escaped(&self, character: char) -> bool {
        match self.style.escapes {
            Escapes::Keep | Escapes::Unescape => false,
            Escapes::Ascii | Escapes::AsciiUpper => !character.is_ascii(),
            Escapes::DotNet => u8::try_from(character)
                .map_or(true, |byte| !byte.is_ascii() || SPECIAL_IN_DOT_NET.contains(&byte)),
            Escapes::Html => matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
        }
    }

    fn unit_escapes(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            self.out.extend_from_slice(b"\\u");
            let mut digits = [0; 4];
            // Four digits are two bytes.
            let _ = hex::encode_to_slice(unit.to_be_bytes(), &mut digits);
            if matches!(self.style.escapes, Escapes::AsciiUpper | Escapes::DotNet) {
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
        let quote = match self.style.escapes {
            Escapes::DotNet => ("\\\"", "\\u0022"),
            _ => ("\\u0022", "\\\""),
        };
        if matches!(self.style.escapes, Escapes::DotNet | Escapes::Unescape) && text.starts_with(quote.0) {
            self.out.extend_from_slice(quote.1.as_bytes());
            return quote.0.len();
        }
        if self.style.escapes == Escapes::Unescape
            && let Some((character, length)) = unescaped(text)
        {
            self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return length;
        }
        // Includes the escaped character, which may be a backslash or a quote.
        let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
        self.out.extend_from_slice(&text.as_bytes()[..length]);
        length
    }
}

/// Decodes a `\u` escape, or a pair of them, unless JSON requires the escape.
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
