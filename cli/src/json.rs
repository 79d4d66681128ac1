//! JSON at the edges of the program: reading an object, and writing text that is safe to show.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::terminal::is_hidden;

/// Reads a JSON object. A derived struct alone would also take an array of its fields.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// Writes a value as JSON on one line, and escapes each character that a terminal would obey or not show.
pub(crate) fn line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("each value of this program can be written as JSON");
    if !json.contains(|character: char| !character.is_ascii() || character == '\u{7f}') {
        return json;
    }
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        // An ASCII control character is an escape already. Any other stands inside a string.
        if is_hidden(character) && character >= '\u{7f}' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line += &format!("\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_array_is_no_object() {
        #[derive(serde::Deserialize, Debug, PartialEq)]
        struct Named {
            event: String,
        }
        assert_eq!(object::<Named>(b" {\"event\":\"a\"}"), Ok(Named { event: "a".to_owned() }));
        for text in ["[\"a\"]", "\"a\"", "", "\u{feff}{\"event\":\"a\"}"] {
            assert_eq!(object::<Named>(text.as_bytes()), Err("not a JSON object".to_owned()), "{text}");
        }
        assert!(object::<Named>(b"{\"event\":[]}").unwrap_err().contains("invalid type"));
    }

    #[test]
    fn what_is_escaped_reads_as_it_was() {
        for (text, escaped) in [
            ("ü 字 😀 \\", "\"ü 字 😀 \\\\\""),
            ("\u{1b}\u{7f}\u{9b}\u{85}", "\"\\u001b\\u007f\\u009b\\u0085\""),
            ("\u{61c}\u{200e}\u{202e}\u{2066}\u{2069}", "\"\\u061c\\u200e\\u202e\\u2066\\u2069\""),
            ("\u{feff}\u{e0041}", "\"\\ufeff\\udb40\\udc41\""),
        ] {
            assert_eq!(line(&text), escaped);
            assert_eq!(serde_json::from_str::<String>(&line(&text)).unwrap(), text);
        }
        let object = HashMap::from([("a\u{202e}", 1)]);
        assert_eq!(line(&object), "{\"a\\u202e\":1}");
    }
}
