//! A request as a curl command that can be pasted into a POSIX shell.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::http::{HeaderName, HeaderValue, header};

use crate::terminal::is_hidden;

/// The longest body that is an argument of curl.
const LONGEST_ARGUMENT: usize = 64 << 10;

/// Writes the command. It delivers every byte of the body, and leaves nothing for the shell or curl to interpret.
pub(crate) fn command<'a>(
    url: &str,
    headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body: &[u8],
) -> String {
    // `-g`, because curl reads brackets and braces in a URL as patterns.
    let mut lines = vec![format!("curl -g -sS -X POST {}", quoted(url))];
    let mut typed = false;
    for (name, value) in headers {
        typed |= name == header::CONTENT_TYPE;
        lines.push(format!("-H {}", argument(&field(name, value))));
    }
    if !typed {
        // Without this, curl adds a type of its own.
        lines.push("-H 'content-type:'".to_owned());
    }
    // Linux refuses arguments of 128 KiB or more. The text of the shell's own `printf` is not such an argument.
    let is_long = body.len() > LONGEST_ARGUMENT;
    // `--data-raw`, because `--data` reads a body that begins with `@` as the name of a file.
    let before = match std::str::from_utf8(body) {
        Ok(text) if text.chars().all(|character| character == '\n' || !is_hidden(character)) => {
            if is_long {
                lines.push("--data-binary @-".to_owned());
                format!("printf %s {} | ", quoted(text))
            } else {
                lines.push(format!("--data-raw {}", quoted(text)));
                String::new()
            }
        }
        _ => {
            lines.push("--data-binary @-".to_owned());
            format!("printf %s {} | base64 -d | ", quoted(&STANDARD.encode(body)))
        }
    };
    before + &lines.join(" \\\n  ")
}

/// A header as curl's `-H` reads it: an empty value is written as `;`.
pub(crate) fn field(name: &HeaderName, value: &HeaderValue) -> Vec<u8> {
    match value.as_bytes() {
        [] => format!("{name};").into_bytes(),
        bytes => [name.as_str().as_bytes(), b": ", bytes].concat(),
    }
}

/// A header as one word of a shell. The shell decodes it from base64 if it is not text, or has a hidden character.
fn argument(field: &[u8]) -> String {
    match std::str::from_utf8(field) {
        Ok(text) if !text.contains(is_hidden) => quoted(text),
        _ => format!("\"$(printf %s {} | base64 -d)\"", STANDARD.encode(field)),
    }
}

/// One word of a shell. Within single quotes, only a single quote has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)], body: &[u8]) -> String {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        command("http://[::1]/a?b&c", headers.iter().map(|(name, value)| (name, value)), body)
    }

    #[test]
    fn nothing_of_a_body_or_a_header_is_left_to_the_shell_or_to_curl() {
        let command =
            of(&[("content-type", "text/plain"), ("x-a", "$(id) 'q'"), ("x-b", "")], b"@it's `x`\n");
        assert_eq!(
            command,
            "curl -g -sS -X POST 'http://[::1]/a?b&c' \\\n  -H 'content-type: text/plain' \\\n  \
             -H 'x-a: $(id) '\\''q'\\''' \\\n  -H 'x-b;' \\\n  --data-raw '@it'\\''s `x`\n'"
        );
    }

    #[test]
    fn curl_adds_no_content_type_of_its_own() {
        for (headers, is_absent) in
            [(&[][..], true), (&[("x-a", "b")], true), (&[("content-type", "text/plain")], false)]
        {
            assert_eq!(of(headers, b"a").contains("-H 'content-type:'"), is_absent, "{headers:?}");
        }
    }

    #[test]
    fn a_body_that_is_too_long_for_an_argument_goes_by_way_of_standard_input() {
        let (short, long) = ("x".repeat(LONGEST_ARGUMENT), "x".repeat(LONGEST_ARGUMENT + 1));
        assert!(of(&[], short.as_bytes()).ends_with(&format!("--data-raw '{short}'")));
        let command = of(&[], long.as_bytes());
        assert!(command.starts_with(&format!("printf %s '{long}' | curl ")), "{}", &command[..40]);
        assert!(command.ends_with("--data-binary @-"));
    }

    #[test]
    fn a_body_that_no_shell_can_hold_goes_by_way_of_base64() {
        for body in [&b"\0"[..], b"\xff", b"a\rb", b"\x1b[2J", "\u{9b}".as_bytes(), "\u{202e}".as_bytes()] {
            let command = of(&[], body);
            assert!(command.starts_with("printf %s '") && command.ends_with("--data-binary @-"), "{command}");
            assert!(command.contains("-H 'content-type:'"), "{command}");
        }
    }
}
