//! Writes to the terminal: with colour if wanted, and without control characters from the network.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Writes a line to standard error. A failure cannot be reported anywhere.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a line to standard output at once.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Escapes each character that a terminal would obey or not show, or that reorders the text.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if is_hidden(character) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Like [`visible`], on one line, so the text cannot begin a line of its own.
pub(crate) fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "\\u{a}")
}

/// Whether a character is a control character, changes the direction, or has no width.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The first `limit` characters of a text, and how many bytes are left out.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}… ({} bytes more)", &text[..at], text.len() - at),
        None => text.to_owned(),
    }
}

/// A time in milliseconds, rounded to one decimal.
pub(crate) fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Red,
    Yellow,
    Dim,
}

/// Colours text for standard output, if that is a terminal and `NO_COLOR` is not set.
pub(crate) fn paint(colour: Colour, text: &str) -> String {
    let wanted =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !wanted {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Green => 32,
        Colour::Red => 31,
        Colour::Yellow => 33,
        Colour::Dim => 2,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, shown) in [
            ("plain ü\n\ttext", "plain ü\n\ttext"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb\0", "a\\u{d}b\\u{0}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("eur\u{202e}txt.exe", "eur\\u{202e}txt.exe"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_name_begins_no_line_of_its_own() {
        assert_eq!(visible_line("a\n#2 accepted\r\n"), "a\\u{a}#2 accepted\\u{d}\\u{a}");
    }

    #[test]
    fn a_time_is_rounded_to_a_tenth_of_a_millisecond() {
        for (micros, shown) in [(0, 0.0), (1_240, 1.2), (1_260, 1.3), (2_000_000, 2_000.0)] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö… (2 bytes more)");
    }
}
