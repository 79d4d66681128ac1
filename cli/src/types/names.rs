//! Names in Rust for names in JSON.

use std::collections::{HashMap, HashSet};

/// Words that are no names, and the names of types that what is written uses.
const TAKEN: [&str; 66] = [
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false",
    "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
    "self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
    "abstract", "become", "box", "do", "final", "gen", "macro", "override", "priv", "try", "typeof",
    "unsized", "virtual", "yield", "_", "extra", "Self", "Option", "Some", "None", "Vec", "String", "Box",
    "Event", "Unknown", "Ok", "Err", "Result", "bool",
];

/// The longest name, in characters. A name in JSON may be as long as a body.
const LONGEST: usize = 60;

/// Names that differ from each other and from Rust's own.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// The number that the next name like this gets.
    next: HashMap<String, usize>,
}

impl Names {
    /// A field's name: words in lower case.
    pub(super) fn field(&mut self, name: &str) -> String {
        let words: Vec<_> = words(name).into_iter().map(|word| word.to_ascii_lowercase()).collect();
        self.of(words.join("_"), "field")
    }

    /// A type's name: words that begin with a capital.
    pub(super) fn of_type(&mut self, name: &str) -> String {
        self.of(pascal(name), "Data")
    }

    /// Makes a name one of its own.
    fn of(&mut self, name: String, if_empty: &str) -> String {
        let mut name: String = name.chars().take(LONGEST).collect();
        if name.is_empty() {
            if_empty.clone_into(&mut name);
        }
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            name = format!("{if_empty}{}{name}", if if_empty == "field" { "_" } else { "" });
        }
        if TAKEN.contains(&&*name) {
            name.push_str(if if_empty == "field" { "_" } else { if_empty });
        }
        let mut own = name.clone();
        let number = self.next.entry(name.clone()).or_insert(2);
        while !self.taken.insert(own.clone()) {
            own = format!("{name}{}{number}", if if_empty == "field" { "_" } else { "" });
            *number += 1;
        }
        own
    }
}

/// Words that begin with a capital, joined.
pub(super) fn pascal(name: &str) -> String {
    let capital = |word: String| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
    };
    words(name).into_iter().map(capital).collect()
}

/// The words of a name, of ASCII letters and digits: a capital after a small letter begins one, and so does what follows
/// any other character.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_small) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c);
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_rust_takes_and_no_other_has() {
        let mut names = Names::default();
        for (name, field) in [
            ("customerId", "customer_id"),
            ("customer_id", "customer_id_2"),
            ("Customer-Id", "customer_id_3"),
            ("type", "type_"),
            ("self", "self_"),
            ("extra", "extra_"),
            ("_", "field"),
            ("", "field_2"),
            ("1st", "field_1st"),
            ("\" = \"x\", y: \"", "x_y"),
            ("größe", "gr_e"),
            ("日本", "field_3"),
        ] {
            assert_eq!(names.field(name), field, "{name}");
        }
        assert_eq!(names.field(&"x".repeat(1_000)).len(), LONGEST);
        let mut names = Names::default();
        for (name, of_type) in [
            ("charge.failed", "ChargeFailed"),
            ("charge_failed", "ChargeFailed2"),
            ("orders/paid", "OrdersPaid"),
            ("string", "StringData"),
            ("Self", "SelfData"),
            ("", "Data"),
            ("3d", "Data3d"),
        ] {
            assert_eq!(names.of_type(name), of_type, "{name}");
        }
    }
}
