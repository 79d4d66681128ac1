//! JSON text as tokens, and two facts that need only tokens.

/// Counts the numbers, up to `limit`.
pub(super) fn count_numbers(body: &[u8], limit: usize) -> usize {
    let is_number = |token: &str| matches!(token.as_bytes()[0], b'-' | b'0'..=b'9');
    document(body).map_or(0, |text| tokens(text).filter(|(token, _)| is_number(token)).take(limit).count())
}

/// Whether the names of each object are in alphabetical order, and are too many for that to be chance.
pub(super) fn are_names_sorted(body: &[u8]) -> bool {
    const ENOUGH: usize = 3;
    let Some(text) = document(body) else { return false };
    let (mut last, mut count) = (Vec::new(), 0);
    for (token, after) in tokens(text) {
        match token.as_bytes()[0] {
            b'{' | b'[' => last.push(""),
            b'}' | b']' => _ = last.pop(),
            b'"' if after.trim_start_matches(WHITE).starts_with(':') => {
                let Some(last) = last.last_mut() else { return false };
                if *last > token {
                    return false;
                }
                count += usize::from(!last.is_empty());
                *last = token;
            }
            _ => {}
        }
    }
    count >= ENOUGH
}

pub(super) const WHITE: [char; 4] = [' ', '\n', '\r', '\t'];

/// The body as text, if its first character begins an object or an array.
pub(super) fn document(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok().filter(|text| text.trim_start_matches(WHITE).starts_with(['{', '[']))
}

/// The tokens of a text, each with the rest after it. White space is a token, and so is a run that is not JSON.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = match rest.bytes().next()? {
            b'"' => string_len(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b' ' | b'\n' | b'\r' | b'\t' => rest.len() - rest.trim_start_matches(WHITE).len(),
            _ => rest.bytes().position(|byte| b"\"{}[],: \n\r\t".contains(&byte)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some((token, after))
    })
}

/// The length of the string that the text begins with, up to its closing quote, if it has one.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
