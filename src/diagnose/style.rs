//! The styles in which JSON text may have been written.

use super::cause::{Cause, JsonLayout};
use super::tokens::count_numbers;

/// The longest body in which only some numbers are changed, in bytes, and the most numbers.
const MAX_LEN_WITH_NUMBERS: usize = 1 << 16;
const MAX_NUMBERS: usize = 4;

/// The ASCII characters that .NET escapes beyond JSON's own rules.
pub(super) const SPECIAL_IN_DOT_NET: &[u8] = b"&'+<>`\x7f";

/// The changes to make to a text. The default makes none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) layout: Option<JsonLayout>,
    pub(super) escapes: Escapes,
    pub(super) slashes: Slashes,
    pub(super) numbers: Numbers,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Escapes {
    #[default]
    Keep,
    /// Writes `é` as `\u00e9`, like Python and PHP.
    Ascii,
    /// Writes `é` as `\u00E9`, like Java's Jackson on request.
    AsciiUpper,
    /// Like `AsciiUpper`, and escapes the characters that are special in HTML, and the quote as `\u0022`: the default
    /// of .NET's `System.Text.Json`.
    DotNet,
    /// Escapes `<`, `>`, `&` and two line ends, like Go.
    Html,
    /// Keeps only the escapes that JSON requires.
    Unescape,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Slashes {
    #[default]
    Keep,
    Escape,
    Unescape,
}

/// The numbers that get back the zeros that they may have lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    #[default]
    Keep,
    /// Each integer becomes `1.0`.
    IntegersOnePlace,
    /// Each `1.5` becomes `1.50`.
    FractionsTwoPlaces,
    /// Each integer becomes `1.00`, and each `1.5` becomes `1.50`.
    TwoPlaces,
    /// Like `IntegersOnePlace`, for each of the first numbers whose bit is set.
    OnePlaceOf(u8),
    /// Like `TwoPlaces`, for each of the first numbers whose bit is set.
    TwoPlacesOf(u8),
}

impl Escapes {
    /// Whether the body has something to change.
    fn apply(self, body: &[u8]) -> bool {
        match self {
            Self::Keep => true,
            Self::Ascii | Self::AsciiUpper => !body.is_ascii(),
            Self::DotNet => body.iter().any(|byte| *byte == b'\\' || SPECIAL_IN_DOT_NET.contains(byte)),
            Self::Html => !body.is_ascii() || body.iter().any(|byte| b"<>&".contains(byte)),
            Self::Unescape => body.contains(&b'\\'),
        }
    }
}

impl Slashes {
    fn apply(self, body: &[u8]) -> bool {
        match self {
            Self::Keep => true,
            Self::Escape => body.contains(&b'/'),
            Self::Unescape => body.contains(&b'\\'),
        }
    }
}

const LAYOUTS: [Option<JsonLayout>; 6] = [
    None,
    Some(JsonLayout::Compact),
    Some(JsonLayout::Spaced),
    Some(JsonLayout::TwoSpaces),
    Some(JsonLayout::FourSpaces),
    Some(JsonLayout::Tabs),
];

/// The changes to strings. PHP makes both by default.
const STRINGS: [(Escapes, Slashes); 10] = [
    (Escapes::Keep, Slashes::Keep),
    (Escapes::Ascii, Slashes::Keep),
    (Escapes::Unescape, Slashes::Keep),
    (Escapes::Keep, Slashes::Escape),
    (Escapes::Keep, Slashes::Unescape),
    (Escapes::AsciiUpper, Slashes::Keep),
    (Escapes::DotNet, Slashes::Keep),
    (Escapes::Html, Slashes::Keep),
    (Escapes::Ascii, Slashes::Escape),
    (Escapes::Unescape, Slashes::Unescape),
];

/// The changes to numbers, beside any other change.
const NUMBERS: [Numbers; 4] =
    [Numbers::Keep, Numbers::IntegersOnePlace, Numbers::FractionsTwoPlaces, Numbers::TwoPlaces];

/// The styles that change the body, and the number of accidents that each counts as. That is at most two, because one
/// program usually makes all changes.
pub(super) fn styles_of(body: &[u8]) -> impl Iterator<Item = (Style, usize)> {
    let count = count_numbers(body, MAX_NUMBERS);
    let all = NUMBERS.into_iter().filter(move |numbers| count > 0 || *numbers == Numbers::Keep);
    // These are many, so they are not combined with other changes.
    let of = if body.len() <= MAX_LEN_WITH_NUMBERS { 1..1_u8 << count } else { 0..0 };
    let some = of.flat_map(|of| [Numbers::OnePlaceOf(of), Numbers::TwoPlacesOf(of)]);
    let strings: Vec<_> =
        STRINGS.into_iter().filter(|(escapes, slashes)| escapes.apply(body) && slashes.apply(body)).collect();
    let text = all.flat_map(move |numbers| {
        strings.clone().into_iter().map(move |(escapes, slashes)| (escapes, slashes, numbers))
    });
    let text = text.chain(some.map(|numbers| (Escapes::Keep, Slashes::Keep, numbers)));
    text.flat_map(|(escapes, slashes, numbers)| {
        LAYOUTS.into_iter().filter_map(move |layout| {
            let is_rewritten = (escapes, slashes) != (Escapes::Keep, Slashes::Keep);
            let changes = [layout.is_some(), is_rewritten, numbers != Numbers::Keep];
            let accidents = changes.into_iter().filter(|change| *change).count().min(2);
            (accidents > 0).then_some((Style { layout, escapes, slashes, numbers }, accidents))
        })
    })
}

impl Style {
    /// The accidents of a text that was in this style.
    pub(super) fn causes(self) -> impl Iterator<Item = Cause> {
        let escapes = match self.escapes {
            Escapes::Keep => None,
            Escapes::Ascii | Escapes::AsciiUpper | Escapes::DotNet | Escapes::Html => {
                Some(Cause::BodyUnescaped)
            }
            Escapes::Unescape => Some(Cause::BodyEscaped),
        };
        let slashes = match self.slashes {
            Slashes::Keep => None,
            Slashes::Escape => Some(Cause::BodySlashesUnescaped),
            Slashes::Unescape => Some(Cause::BodySlashesEscaped),
        };
        let numbers = (self.numbers != Numbers::Keep).then_some(Cause::BodyNumbersRewritten);
        let layout = self.layout.map(|signed| Cause::BodyReserialised { signed });
        [layout, escapes, slashes, numbers].into_iter().flatten()
    }
}
