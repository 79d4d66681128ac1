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

/// A quick check for most bodies: every spelling contains `$` or `\`.
fn may_hold_one(json: &[u8]) -> bool {
    let is_either = |byte: u8| byte == b'$' || byte == b'\\';
    // A whole block without a branch, so that the compiler can use vector instructions.
    let has_either = |block: &[u8]| block.iter().fold(false, |found, byte| found | is_either(*byte));
    json.chunks(64).enumerate().filter(|(_, block)| has_either(block)).any(|(number, block)| {
        let mut bytes = block.iter().enumerate();
        bytes.any(|(at, byte)| is_either(*byte) && begins_a_spelling(&json[number * 64 + at..]))
    })
}

/// Whether a name begins here literally, or one of its characters is escaped here.
fn begins_a_spelling(json: &[u8]) -> bool {
    match json {
        [b'\\', b'u', b'0', b'0', high, low, ..] => {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).ok();
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            byte.is_some_and(|byte| NAMES.iter().any(|name| name.as_bytes().contains(&byte)))
        }
        _ => NAMES.iter().any(|name| json.starts_with(name.as_bytes())),
    }
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
            let spellings = (0..name.len()).map(|at| escaped(name, at));
            let upper = spellings.clone().map(|spelling| {
                let (before, after) = spelling.split_once("\\u").unwrap();
                format!("{before}\\u{}{}", after[..4].to_uppercase(), &after[4..])
            });
            let all: String = name.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            for spelling in spellings.clone().chain(upper).chain([name.to_owned(), all]) {
                for before in 0..70 {
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
