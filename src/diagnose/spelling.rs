//! How a tag may be spelt in a header, in place of the scheme's way.

use super::cause::Cause;
use super::found::first;
use super::lens::{Lens, algorithm_of};
use super::secret::base64_decoded;
use crate::mac::{Candidates, TagEncoding};

/// The most items of a value that are read, which are twice as many as a webhook compares, and the most that a joined
/// value is split into.
const MAX_ITEMS: usize = 2 * Candidates::MAX;
const MAX_JOINED: usize = 4;

/// Splits a value into its items, each with the accidents that this takes.
pub(super) fn items<'v>(
    value: &'v [u8],
    separator: Option<u8>,
    is_cut: &mut bool,
) -> Vec<(&'v [u8], Vec<Cause>)> {
    if let Some(separator) = separator {
        let mut causes = Vec::new();
        let value = bare(value, &mut causes);
        let items = first(MAX_ITEMS, value.split(|byte| *byte == separator), is_cut);
        let items = items.into_iter().map(|item| match item.strip_suffix(b",") {
            // A proxy joins the values of two headers with a comma.
            Some(item) => (item, [&*causes, &[Cause::SignatureJoined]].concat()),
            None => (item, causes.clone()),
        });
        return items.collect();
    }
    let mut items = vec![(value, Vec::new())];
    if value.contains(&b',') {
        let parts = first(MAX_JOINED, value.split(|byte| *byte == b','), is_cut);
        items.extend(parts.into_iter().map(|part| (part.trim_ascii(), vec![Cause::SignatureJoined])));
    }
    items
}

/// Reads the tag of an item, and adds the accidents that this takes.
pub(super) fn tag_of(item: &[u8], own: &Lens<'_>, causes: &mut Vec<Cause>) -> Option<Vec<u8>> {
    let label = own.label();
    let value = bare(item, causes);
    let (prefix, value) = match value.strip_prefix(label.as_bytes()) {
        Some(rest) if !label.is_empty() => (Some(label.as_bytes()), rest),
        _ => split_prefix(value),
    };
    let value = bare(value, causes);
    let (tag, spelling) = spelled(value, own.scheme.encoding)?;
    let (algorithm, name, of_algorithm) = algorithm_of(&tag)?;
    let is_other = algorithm != own.scheme.algorithm;
    causes.extend(spelling);
    causes.extend(is_other.then_some(of_algorithm));
    // Under `sha256=`, the prefix of another algorithm is right for its tag.
    let is_named = ["sha1=", "sha256=", "sha512="].contains(&&*label);
    match prefix {
        Some(prefix) if prefix == label.as_bytes() || is_named && prefix == name.as_bytes() => {}
        None if label.is_empty() => {}
        None => causes.push(Cause::SignaturePrefixMissing { prefix: label }),
        Some(_) if label.is_empty() => causes.push(Cause::SignaturePrefixAdded),
        Some(_) if own.separator().is_some() => causes.push(Cause::SignatureVersionOther { version: label }),
        Some(_) => causes.push(Cause::SignaturePrefixOther { prefix: label }),
    }
    Some(tag)
}

/// Decodes a tag of any spelling, and names the accident if it is not the scheme's.
pub(super) fn spelled(text: &[u8], encoding: TagEncoding) -> Option<(Vec<u8>, Option<Cause>)> {
    if text.iter().all(u8::is_ascii_hexdigit) && matches!(text.len(), 40 | 64 | 128) {
        let is_upper = text.iter().any(u8::is_ascii_uppercase);
        let cause = match encoding {
            TagEncoding::Hex => is_upper.then_some(Cause::SignatureUpperCase),
            TagEncoding::Base64 | TagEncoding::Base64Url => Some(Cause::SignatureHex),
        };
        return Some((hex::decode(text).ok()?, cause));
    }
    let tag = base64_decoded(text)?.to_vec();
    let cause = match encoding {
        TagEncoding::Hex => Some(Cause::SignatureBase64),
        TagEncoding::Base64 | TagEncoding::Base64Url => {
            (encoding.encode(&tag).as_bytes() != text).then_some(Cause::SignatureBase64Other)
        }
    };
    Some((tag, cause))
}

/// Removes the white space and the quotes around a value.
pub(super) fn bare<'a>(value: &'a [u8], causes: &mut Vec<Cause>) -> &'a [u8] {
    let mut add = |cause: Cause| {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    };
    let mut bare = value.trim_ascii();
    if bare != value {
        add(Cause::SignaturePadded);
    }
    for quote in [b'"', b'\''] {
        if let [first, within @ .., last] = bare
            && *first == quote
            && *last == quote
        {
            add(Cause::SignatureQuoted);
            bare = within.trim_ascii();
        }
    }
    bare
}

/// Splits off a short name with its `=`, `:` or `,`.
fn split_prefix(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    const MAX_PREFIX_LEN: usize = 16;
    let at = value.iter().take(MAX_PREFIX_LEN).position(|byte| matches!(byte, b'=' | b':' | b','));
    at.map_or((None, value), |at| {
        let (prefix, rest) = value.split_at(at + 1);
        (Some(prefix), rest)
    })
}
