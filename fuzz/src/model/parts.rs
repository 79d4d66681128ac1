//! The template of a declaration: its parts, and every way to take signed bytes apart by them.

use std::ops::Range;

use super::{Unit, is_token};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Vec<u8>),
    Time,
    /// The value of a header, by its name in lower case.
    Header(String),
    Body,
}

/// The parts of a template, or `None` if it has no valid form. Runs of literals are one part.
pub(super) fn parts(template: &str) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let literal = |parts: &mut Vec<Part>, text: &str| match parts.last_mut() {
        Some(Part::Literal(before)) => before.extend(text.as_bytes()),
        _ => parts.push(Part::Literal(text.into())),
    };
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("{{") {
            literal(&mut parts, "{");
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let (name, after) = inner.split_once('}')?;
            parts.push(match name {
                "body" => Part::Body,
                "timestamp" => Part::Time,
                _ => {
                    let header = name.strip_prefix("header:")?.to_ascii_lowercase();
                    if !is_token(&header) {
                        return None;
                    }
                    Part::Header(header)
                }
            });
            rest = after;
        } else {
            let (text, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            literal(&mut parts, text);
            rest = after;
        }
    }
    Some(parts)
}

/// Whether signed bytes can be taken apart in one way only, told by the order of the parts. On the left of the body, a
/// value must end at a literal; on the right, it must begin at one. One value may lack its literal if the body is an
/// object, because an object shows its own ends.
pub(super) fn is_injective(parts: &[Part], is_object: bool) -> bool {
    let Some(body) = parts.iter().position(|part| *part == Part::Body) else { return false };
    let (left, right) = (&parts[..body], &parts[body + 1..]);
    let mut right: Vec<_> = right.to_vec();
    right.reverse();
    // Mirrored, both sides have the same rule.
    match (openness(left), openness(&right)) {
        (Some(None), Some(None)) => true,
        (Some(None), Some(Some(beside))) => is_object && !beside.is_some_and(|text| is_space(text[0])),
        (Some(Some(beside)), Some(None)) => {
            is_object && !beside.is_some_and(|text| is_space(text[text.len() - 1]))
        }
        _ => false,
    }
}

/// For one side of the body, with the part next to the body last: `None` if two values cannot be told apart, and
/// otherwise whether one value is open, with the literal between it and the body (perhaps behind a time).
fn openness(side: &[Part]) -> Option<Option<Option<&[u8]>>> {
    let mut open = None;
    for (at, part) in side.iter().enumerate() {
        if !matches!(part, Part::Header(_)) || matches!(side.get(at + 1), Some(Part::Literal(_))) {
            continue;
        }
        open = match (open, &side[at + 1..]) {
            (None, [] | [Part::Time]) => Some(None),
            (None, [Part::Time, Part::Literal(text)]) => Some(Some(&text[..])),
            _ => return None,
        };
    }
    Some(open)
}

pub(super) fn is_space(byte: u8) -> bool {
    b" \t\r\n".contains(&byte)
}

/// Whether each value is told apart from the literal beside it, as the documentation of the template says.
pub(super) fn are_told_apart<'v>(parts: &[Part], value_of: impl Fn(&str) -> &'v [u8]) -> bool {
    let body = parts.iter().position(|part| *part == Part::Body).unwrap_or(0);
    let occurrences = |text: &[u8], literal: &[u8]| -> Vec<usize> {
        let windows = text.windows(literal.len()).enumerate();
        windows.filter(|(_, window)| *window == literal).map(|(at, _)| at).collect()
    };
    parts.iter().enumerate().all(|(at, part)| {
        let Part::Header(name) = part else { return true };
        let value = value_of(name);
        let (before, after) = (at.checked_sub(1).and_then(|at| parts.get(at)), parts.get(at + 1));
        match (value, before, after) {
            ([], _, _) => false,
            (_, _, Some(Part::Literal(literal))) if at < body => {
                occurrences(&[value, literal].concat(), literal) == [value.len()]
            }
            (_, Some(Part::Literal(literal)), _) if at > body => {
                occurrences(&[literal, value].concat(), literal) == [0]
            }
            ([.., last], _, Some(Part::Body)) => !is_space(*last),
            ([first, ..], Some(Part::Body), _) => !is_space(*first),
            _ => true,
        }
    })
}

/// The ways to take these bytes apart, up to a limit, as the place of each part.
pub(crate) fn splits(parts: &[Part], unit: Unit, bytes: &[u8]) -> Vec<Vec<Range<usize>>> {
    let mut found = Vec::new();
    split_from(parts, unit, bytes, &mut Vec::new(), &mut found);
    found
}

const MOST_SPLITS: usize = 100;

fn split_from(
    parts: &[Part],
    unit: Unit,
    bytes: &[u8],
    places: &mut Vec<Range<usize>>,
    found: &mut Vec<Vec<Range<usize>>>,
) {
    let start = places.last().map_or(0, |place: &Range<usize>| place.end);
    let Some(part) = parts.get(places.len()) else {
        if start == bytes.len() {
            found.push(places.clone());
        }
        return;
    };
    let is_last = places.len() + 1 == parts.len();
    for end in if is_last { bytes.len()..=bytes.len() } else { start..=bytes.len() } {
        let text = &bytes[start..end];
        let fits = match part {
            Part::Literal(literal) => text == literal,
            Part::Time => unit.is_time(text),
            Part::Header(_) => !text.is_empty(),
            Part::Body => true,
        };
        if fits && found.len() < MOST_SPLITS {
            places.push(start..end);
            split_from(parts, unit, bytes, places, found);
            places.pop();
        }
    }
}
