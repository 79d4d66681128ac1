//! How a target's bytes are taken apart: so plainly that a seed is written by hand.

/// The lines, of which the last is all that is left.
pub(crate) fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut lines = data.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// The body in pieces of these lengths in turn, and then whatever is left.
pub(crate) fn in_pieces<'a>(lengths: &'a [u8], mut body: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let pieces = lengths.iter().map(|length| usize::from(*length)).chain([usize::MAX]);
    pieces.map(move |length| {
        let (piece, rest) = body.split_at(length.min(body.len()));
        body = rest;
        piece
    })
}
