//! The field names that `serde_json` reserves: a `serde_json::Value` reads an object with such a member as something
//! else than the body says.

use crate::event::json::RAW_VALUE;
use crate::event::json_object::Text;

const NAMES: [&str; 2] = [RAW_VALUE, "$serde_json::private::Number"];

/// The reason for refusing a body with such a field.
pub(crate) const REFUSED: &str = "a field's name is one that serde_json keeps for itself";

/// Whether a field has one of these names, at any depth and in any spelling. The same text as a value does not
/// count. The text must be well-formed JSON.
pub(crate) fn is_a_name_in(json: &str) -> bool {
    may_hold_one(json.as_bytes()) && has_one(json)
}

/// How many bytes of a body are looked at together.
const BLOCK: usize = 128;

/// A look for `$` and for escapes, of which few bodies have any.
#[inline(never)]
fn may_hold_one(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some((block, after)) = rest.split_first_chunk() {
        if has_dollar_or_backslash(block) && begins_one_in(rest, BLOCK) {
            return true;
        }
        rest = after;
    }
    begins_one_in(rest, rest.len())
}

/// Without a branch for each byte, so that there are vector instructions for it.
fn has_dollar_or_backslash(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(0, |found, byte| found | u8::from(*byte == b'$') | u8::from(*byte == b'\\')) != 0
}

/// What the names begin with, `$s`, as it is and in escapes.
const BEGINNINGS: [&[u8]; 4] = [b"$s", b"$\\u0073", b"\\u0024s", b"\\u0024\\u0073"];

/// Whether a string that begins like a name has its first character in the first so many bytes.
#[inline(never)]
fn begins_one_in(json: &[u8], bytes: usize) -> bool {
    let is_first = |(_, byte): &(usize, &u8)| matches!(byte, b'$' | b'\\');
    let mut firsts = json[..bytes].iter().enumerate().filter(is_first);
    firsts.any(|(at, _)| BEGINNINGS.iter().any(|beginning| json[at..].starts_with(beginning)))
}

fn has_one(json: &str) -> bool {
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (string, after) = rest[start..].split_at(length_of_string(&rest[start..]));
        // In well-formed JSON, only a name stands before a colon.
        if after.trim_ascii_start().starts_with(':') && is_one(string) {
            return true;
        }
        rest = after;
    }
    false
}

/// The length of the string at the beginning, including both quotation marks.
fn length_of_string(json: &str) -> usize {
    let mut bytes = json.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    json.len()
}

fn is_one(string: &str) -> bool {
    serde_json::from_str::<Text<'_>>(string).is_ok_and(|Text(name)| NAMES.contains(&&*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name with its character at this place as an escape.
    fn escaped(name: &str, at: usize) -> String {
        format!("{}\\u{:04x}{}", &name[..at], name.as_bytes()[at], &name[at + 1..])
    }

    #[test]
    fn a_name_is_found_in_every_spelling_at_every_place() {
        for name in NAMES {
            let spellings =
                (0..name.len()).step_by(if cfg!(miri) { 9 } else { 1 }).map(|at| escaped(name, at));
            let upper = spellings.clone().map(|spelling| {
                let (before, after) = spelling.split_once("\\u").unwrap();
                format!("{before}\\u{}{}", after[..4].to_uppercase(), &after[4..])
            });
            let all: String = name.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            for spelling in spellings.clone().chain(upper).chain([name.to_owned(), all]) {
                // At each place of a block. Under miri, which is some thousand times slower, at both ends.
                for before in (0..=BLOCK).step_by(if cfg!(miri) { BLOCK } else { 1 }) {
                    let padding = "x".repeat(before);
                    for (open, close) in [
                        ("{", ":1}"),
                        ("{\"a\":[{\"b\":1,", " \t\r\n: {}}]}"),
                        ("[\"\\\\\",{\"\\\"\":1,", ":null}]"),
                    ] {
                        let json = format!(r#"["{padding}",{open}"{spelling}"{close}]"#);
                        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{json}");
                        assert!(is_a_name_in(&json), "{json}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_such_name_is_let_through() {
        for name in NAMES {
            let all: String = name.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            for json in [
                format!(r#"{{"a":"{name}"}}"#),
                format!(r#"["{name}"]"#),
                format!(r#""{name}""#),
                format!(r#"{{"a":"{all}","b":["{all}",":"]}}"#),
                format!(r#"{{"{name}s":1}}"#),
                format!(r#"{{" {name}":1}}"#),
                format!(r#"{{"{}":1}}"#, &name[1..]),
                format!(r#"{{"{}":1}}"#, name.to_uppercase()),
                format!(r#"{{"\\{all}":1}}"#),
                format!(r#"{{"a":"\"{name}\":1"}}"#),
            ] {
                assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{json}");
                assert!(!is_a_name_in(&json), "{json}");
            }
        }
        for json in [r#"{"$":1,"\\u0024":"\u00e9\u003c"}"#, "{}", "\"\\\\\"", "7"] {
            assert!(!is_a_name_in(json), "{json}");
        }
    }

    /// Checks the name against the `serde_json` of this build.
    #[test]
    fn serde_json_keeps_that_name() {
        let value: serde_json::Value = serde_json::from_str(&format!(r#"{{"{RAW_VALUE}":"[7]"}}"#)).unwrap();
        assert_eq!(value, serde_json::json!([7]));
    }
}
