//! The ways in which JSON text may have been written again.

use super::cause::{Cause, JsonLayout};
use super::tokens::count_numbers;

/// The longest body of which some of the numbers are changed, in bytes, and how many are.
const MAX_LEN_WITH_NUMBERS: usize = 1 << 16;
const MAX_NUMBERS: usize = 4;

/// What .NET escapes of ASCII, beside what JSON has to.
pub(super) const SPECIAL_IN_DOT_NET: &[u8] = b"&'+<>`\x7f";

/// What to change of a text. By default, nothing.
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
    /// `é` as `\u00e9`, as Python and PHP write.
    Ascii,
    /// `é` as `\u00E9`, as Java's Jackson writes on request.
    AsciiUpper,
    /// As `AsciiUpper`, and what is special in HTML as well, with the quote as `\u0022`: as .NET's
    /// `System.Text.Json` writes unless told.
    DotNet,
    /// `<`, `>`, `&` and two line ends, as Go writes.
    Html,
    /// None but those that JSON needs.
    Unescape,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Slashes {
    #[default]
    Keep,
    Escape,
    Unescape,
}

/// Which numbers get back the zeros that they may have lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    #[default]
    Keep,
    /// Every integer becomes `1.0`.
    IntegersOnePlace,
    /// Every `1.5` becomes `1.50`.
    FractionsTwoPlaces,
    /// Every integer becomes `1.00`, and every `1.5` becomes `1.50`.
    TwoPlaces,
    /// As `IntegersOnePlace`, for those of the first numbers whose bit is set.
    OnePlaceOf(u8),
    /// As `TwoPlaces`, for those of the first numbers whose bit is set.
    TwoPlacesOf(u8),
}

impl Escapes {
    /// Whether there is something in the body to be changed.
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

/// What is done to strings; PHP does both unless told.
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

/// What is done to numbers, beside anything else.
const NUMBERS: [Numbers; 4] =
    [Numbers::Keep, Numbers::IntegersOnePlace, Numbers::FractionsTwoPlaces, Numbers::TwoPlaces];

/// The styles that change something of the body, and how many accidents each counts as: two at the most,
/// since it is mostly one program that does all of it.
pub(super) fn styles_of(body: &[u8]) -> impl Iterator<Item = (Style, usize)> {
    let count = count_numbers(body, MAX_NUMBERS);
    let all = NUMBERS.into_iter().filter(move |numbers| count > 0 || *numbers == Numbers::Keep);
    // Without other changes of the text, since they are many.
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
    /// What happened to a text that was in this style.
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
