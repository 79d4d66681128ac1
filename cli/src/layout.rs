//! Lays JSON text out again. Numbers keep their digits, and objects keep their order and repeated fields.

use serde::de::IgnoredAny;

/// The deepest level that is indented. Beyond it, nesting would cost more than the text is long.
const DEEPEST: usize = 32;

/// The text, if it is JSON.
pub(crate) fn json(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(text)
}

/// Removes the white space between the parts.
pub(crate) fn compact(json: &str) -> String {
    parts(json).collect()
}

/// How JSON may be laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    Compact,
    /// A space after each comma and colon.
    Spaced,
    /// Each field or item on a line, indented by this for each level.
    Indented(&'static str),
}

impl Layout {
    /// The layouts of common serialisers.
    pub(crate) const ALL: [Self; 5] =
        [Self::Indented("  "), Self::Compact, Self::Spaced, Self::Indented("    "), Self::Indented("\t")];
}

/// Writes each field or item on a line, indented by two spaces.
pub(crate) fn pretty(json: &str) -> String {
    written(json, Layout::Indented("  "))
}

/// Like [`pretty`], but stops after the part with which the text exceeds this many bytes.
pub(crate) fn pretty_up_to(json: &str, limit: usize) -> String {
    written_up_to(json, Layout::Indented("  "), limit)
}

/// Writes the text in this layout.
pub(crate) fn written(json: &str, layout: Layout) -> String {
    written_up_to(json, layout, usize::MAX)
}

fn written_up_to(json: &str, layout: Layout, limit: usize) -> String {
    let mut text = String::with_capacity(json.len().min(limit).saturating_mul(2));
    let mut depth = 0_usize;
    let newline = |text: &mut String, depth: usize| {
        if let Layout::Indented(unit) = layout {
            text.push('\n');
            (0..depth.min(DEEPEST)).for_each(|_| text.push_str(unit));
        }
    };
    let mut parts = parts(json).peekable();
    while let Some(part) = parts.next().filter(|_| text.len() <= limit) {
        text.push_str(part);
        match part {
            "{" | "[" => {
                if let Some(end) = parts.next_if(|next| matches!(*next, "}" | "]")) {
                    text.push_str(end);
                } else {
                    depth += 1;
                    newline(&mut text, depth);
                }
            }
            "," if matches!(layout, Layout::Spaced) => text.push(' '),
            "," => newline(&mut text, depth),
            ":" if !matches!(layout, Layout::Compact) => text.push(' '),
            _ => {}
        }
        if parts.peek().is_some_and(|next| matches!(*next, "}" | "]")) {
            depth = depth.saturating_sub(1);
            newline(&mut text, depth);
        }
    }
    text
}

/// Writes each value and name with what the function makes of it. The white space stays.
pub(crate) fn map_values(json: &str, map: impl Fn(&str) -> String) -> String {
    let (mut text, mut end) = (String::with_capacity(json.len()), 0);
    for part in parts(json) {
        let at = part.as_ptr().addr() - json.as_ptr().addr();
        text.push_str(&json[end..at]);
        text.push_str(&map(part));
        end = at + part.len();
    }
    text + &json[end..]
}

/// The parts of JSON: punctuation, strings, and everything between them except white space.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => 1 + end_of_string(&rest.as_bytes()[1..]),
            _ => rest
                .find(|c: char| {
                    c.is_ascii_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"')
                })
                .unwrap_or(rest.len()),
        };
        let part = &rest[..end];
        rest = rest[end..].trim_start();
        Some(part)
    })
}

/// The length of the rest of a string, including its closing quote.
fn end_of_string(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_the_parts_changes() {
        for (text, compacted, laid_out) in [
            ("{}", "{}", "{}"),
            (" [ ] ", "[]", "[]"),
            (r#"{"a" : 25.50, "a":-0}"#, r#"{"a":25.50,"a":-0}"#, "{\n  \"a\": 25.50,\n  \"a\": -0\n}"),
            (r#"["{ \" } , \\", true]"#, r#"["{ \" } , \\",true]"#, "[\n  \"{ \\\" } , \\\\\",\n  true\n]"),
            (
                r#"{"a":[{"b":null}]}"#,
                r#"{"a":[{"b":null}]}"#,
                "{\n  \"a\": [\n    {\n      \"b\": null\n    }\n  ]\n}",
            ),
        ] {
            let json = json(text.as_bytes()).unwrap();
            assert_eq!(compact(json), compacted);
            assert_eq!(pretty(json), laid_out);
            assert_eq!(compact(&pretty(json)), compacted);
            assert_eq!(written(json, Layout::Compact), compacted);
        }
    }

    #[test]
    fn no_more_is_laid_out_than_is_wanted() {
        let long = format!("[{}1]", "1,".repeat(100_000));
        let (whole, beginning) = (pretty(&long), pretty_up_to(&long, 1_000));
        assert!(whole.starts_with(&beginning) && (1_001..1_010).contains(&beginning.len()));
        assert_eq!(pretty_up_to("[1]", 100), pretty("[1]"));
    }

    #[test]
    fn what_is_not_json_is_not_laid_out() {
        for bytes in [&b""[..], b"{", b"\xff", b"{} {}", b"\xef\xbb\xbf{}"] {
            assert_eq!(json(bytes), None, "{bytes:?}");
        }
        // A reader that recurses has a limit, which is not ours to lift.
        assert_eq!(json("[".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn deep_nesting_costs_no_more_than_a_margin_on_each_line() {
        let deep = "[".repeat(120) + &"]".repeat(120);
        assert!(pretty(json(deep.as_bytes()).unwrap()).len() < 240 * (2 * DEEPEST + 2));
    }
}
