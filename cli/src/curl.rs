//! A request as a curl command that can be pasted into a POSIX shell.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::http::{HeaderName, HeaderValue, header};

/// The command. Every byte of the body arrives, and of what a shell or curl could take for something else,
/// nothing is left.
pub(crate) fn command<'a>(
    url: &str,
    headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body: &[u8],
) -> String {
    let mut lines = vec![format!("curl -sS -X POST {}", quoted(url))];
    let mut typed = false;
    for (name, value) in headers {
        typed |= name == header::CONTENT_TYPE;
        lines.push(format!("-H {}", quoted(&field(name, value))));
    }
    if !typed {
        // Else curl names a type of its own.
        lines.push("-H 'content-type:'".to_owned());
    }
    // `--data-raw`, since `--data` takes a body that begins with `@` for the name of a file.
    let before = match std::str::from_utf8(body) {
        Ok(text) if text.chars().all(|character| character == '\n' || !character.is_control()) => {
            lines.push(format!("--data-raw {}", quoted(text)));
            String::new()
        }
        _ => {
            lines.push("--data-binary @-".to_owned());
            format!("printf %s {} | base64 -d | ", quoted(&STANDARD.encode(body)))
        }
    };
    before + &lines.join(" \\\n  ")
}

/// A header as curl's `-H` takes it; one without a value is written with a `;`.
pub(crate) fn field(name: &HeaderName, value: &HeaderValue) -> String {
    match value.as_bytes() {
        [] => format!("{name};"),
        bytes => format!("{name}: {}", String::from_utf8_lossy(bytes)),
    }
}

/// One word of a shell: within single quotes nothing but a single quote means anything.
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
            "curl -sS -X POST 'http://[::1]/a?b&c' \\\n  -H 'content-type: text/plain' \\\n  \
             -H 'x-a: $(id) '\\''q'\\''' \\\n  -H 'x-b;' \\\n  --data-raw '@it'\\''s `x`\n'"
        );
    }

    #[test]
    fn a_body_that_no_shell_can_hold_goes_by_way_of_base64() {
        for body in [&b"\0"[..], b"\xff", b"a\rb", b"\x1b[2J"] {
            let command = of(&[], body);
            assert!(command.starts_with("printf %s '") && command.ends_with("--data-binary @-"), "{command}");
            assert!(command.contains("-H 'content-type:'"), "{command}");
        }
    }
}
