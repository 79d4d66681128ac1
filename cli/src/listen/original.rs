//! The body that was signed, where undoing the causes of a diagnosis leads to it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::layout::{self, Layout};

const BOM: &str = "\u{feff}";

/// Undoes each cause in turn, and returns the body that is proven to have been signed. `None` if a cause is not one of
/// the body's, or leaves open what the body was.
pub(super) fn signed_body<'c>(
    body: &str,
    causes: impl IntoIterator<Item = &'c str>,
    is_proven: impl FnMut(&str) -> bool,
) -> Option<String> {
    let undo_each = |bodies: Vec<String>, cause| bodies.iter().flat_map(|body| undone(cause, body)).collect();
    let bodies: Vec<String> = causes.into_iter().fold(vec![body.to_owned()], undo_each);
    let mut is_proven = is_proven;
    bodies.into_iter().find(|before| before != body && is_proven(before))
}

/// The bodies that may have been before the cause.
fn undone(cause: &str, body: &str) -> Vec<String> {
    let json = || layout::json(body.as_bytes());
    match cause {
        "body_reserialised" => json()
            .map_or_else(Vec::new, |json| Layout::ALL.map(|layout| layout::written(json, layout)).into()),
        "body_numbers_rewritten" => json().map_or_else(Vec::new, with_zeros),
        "body_slashes_escaped" => vec![body.replace("\\/", "/")],
        "body_slashes_unescaped" => vec![body.replace('/', "\\/")],
        "body_escaped" => vec![unescaped(body)],
        "body_unescaped" => vec![escaped(body)],
        "body_newline_added" => {
            ["\r\n", "\n"].iter().filter_map(|end| body.strip_suffix(end)).map(str::to_owned).collect()
        }
        "body_newline_lost" => vec![format!("{body}\n"), format!("{body}\r\n")],
        "body_padded" => vec![body.trim_ascii().to_owned()],
        "body_trimmed" => {
            let ends = [("", " "), (" ", ""), ("\n", ""), ("\n", "\n"), ("", "\n\n")];
            ends.iter().map(|(before, after)| format!("{before}{body}{after}")).collect()
        }
        "body_bom_added" => body.strip_prefix(BOM).map(str::to_owned).into_iter().collect(),
        "body_bom_lost" => vec![format!("{BOM}{body}")],
        "body_crlf_added" => vec![body.replace("\r\n", "\n")],
        "body_crlf_lost" => vec![body.replace("\r\n", "\n").replace('\n', "\r\n")],
        "body_double_encoded" => serde_json::from_str(body).into_iter().collect(),
        "body_base64" => {
            let text: String = body.split_ascii_whitespace().collect();
            STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The same JSON with the final zeros that numbers may have lost.
fn with_zeros(json: &str) -> Vec<String> {
    let rewritten = |integers: &str, fractions: &str| {
        layout::map_values(json, |value| {
            let zeros = match value.split_once('.') {
                _ if !value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => "",
                _ if value.contains(['e', 'E']) => "",
                None => integers,
                Some((_, fraction)) if fraction.len() == 1 => fractions,
                Some(_) => "",
            };
            format!("{value}{zeros}")
        })
    };
    [(".0", ""), ("", "0"), (".00", "0")].map(|(integers, fractions)| rewritten(integers, fractions)).into()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Decodes the escapes of characters that are not ASCII.
fn unescaped(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| *unit >= 0x80)
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let units = [unit(at), unit(at + 6)];
        let units = units.iter().map_while(|unit| *unit).collect::<Vec<_>>();
        match char::decode_utf16(units).next() {
            Some(Ok(character)) => {
                out.push(character);
                at += 6 * character.len_utf16();
            }
            // The character after a backslash does not begin an escape.
            _ if next == '\\' => {
                let length = 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&text[at..at + length]);
                at += length;
            }
            _ => {
                out.push(next);
                at += next.len_utf8();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_found_by_undoing_each_cause() {
        let pretty = "{\n  \"a\": \"é/\",\n  \"n\": [\n    1,\n    2.5\n  ]\n}";
        for (signed, arrived, causes) in [
            (pretty, r#"{"a":"é/","n":[1,2.5]}"#, &["body_reserialised"][..]),
            ("{\t\"a\": 1}\n\n", "{\t\"a\": 1}", &["body_trimmed"]),
            (r#"{"a": 1, "b": 2}"#, r#"{"a":1,"b":2}"#, &["body_reserialised"]),
            ("{\n\t\"a\": 1\n}", r#"{"a":1}"#, &["body_reserialised"]),
            ("{\n    \"a\": 1\n}\n", "{\"a\":1}", &["body_reserialised", "body_newline_lost"]),
            (r#"{"a":25.50,"b":-1.00}"#, r#"{"a":25.5,"b":-1}"#, &["body_numbers_rewritten"]),
            (r#"{"a": 25.50}"#, r#"{"a":25.5}"#, &["body_reserialised", "body_numbers_rewritten"]),
            // A number with an exponent, or with two digits after its point, has lost none.
            (r#"{"a":1e5,"b":1E5,"c":1.00}"#, r#"{"a":1e5,"b":1E5,"c":1}"#, &["body_numbers_rewritten"]),
            (r#"{"a":25.25,"b":1.50}"#, r#"{"a":25.25,"b":1.5}"#, &["body_numbers_rewritten"]),
            (r#"{"a":"\u00e9 \ud83d\ude00"}"#, r#"{"a":"é 😀"}"#, &["body_unescaped"]),
            (r#"{"a":"é 😀 \\u00e9"}"#, r#"{"a":"\u00e9 \ud83d\ude00 \\u00e9"}"#, &["body_escaped"]),
            (r#"{"a":"b\/c"}"#, r#"{"a":"b/c"}"#, &["body_slashes_unescaped"]),
            (r#"{"a":"b/c"}"#, r#"{"a":"b\/c"}"#, &["body_slashes_escaped"]),
            ("{}", "{}\r\n", &["body_newline_added"]),
            ("{}\r\n", "{}", &["body_newline_lost"]),
            ("{}", " {} \n", &["body_padded"]),
            ("{}", "\u{feff}{}", &["body_bom_added"]),
            ("\u{feff}{}", "{}", &["body_bom_lost"]),
            ("{\n}", "{\r\n}", &["body_crlf_added"]),
            ("{\r\n}", "{\n}", &["body_crlf_lost"]),
            ("{\"a\":\"b\"}", r#""{\"a\":\"b\"}""#, &["body_double_encoded"]),
            ("{\"a\":1}", "eyJhIjox\nfQ==", &["body_base64"]),
        ] {
            let found = signed_body(arrived, causes.iter().copied(), |before| before == signed);
            assert_eq!(found.as_deref(), Some(signed), "{causes:?}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (text, read) in [
            ("\\é\\u00e9", "\\éé"),
            ("\\u00", "\\u00"),
            ("\\", "\\"),
            ("é\\", "é\\"),
            ("\\u0041\\\\u00e9", "\\u0041\\\\u00e9"),
        ] {
            assert_eq!(unescaped(text), read);
        }
    }

    #[test]
    fn nothing_is_told_that_is_not_proven() {
        assert_eq!(signed_body("{\"a\":1}", ["body_reserialised"], |_| false), None);
        // The signature that arrived proves nothing until the other cause is undone, too.
        assert_eq!(signed_body("{}", ["signature_upper_case", "body_newline_lost"], |_| true), None);
        assert_eq!(signed_body("{}", [], |_| true), None);
    }
}
