//! Writes shapes as Rust.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::names::{Names, pascal};
use super::shape::{Kind, Object, Shape};
use crate::provider::Provider;
use crate::terminal;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Structs that derive serde's traits.
    Structs,
    /// `payload!` and `events!`.
    Events,
}

/// The most types. What would need more stays JSON.
const MOST_TYPES: usize = 2_000;
/// The longest part of an event's name in a comment, in characters.
const LONGEST_NAME: usize = 100;

/// Tells a member that is null from one that is absent.
const PRESENT: &str = "\
/// Reads a member that may be null: `Some(None)` is null, and `None` is absent.
fn present<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<std::option::Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
";

/// Writes the types of all events, by the events' names.
pub(super) fn write(
    provider: &Provider,
    count: usize,
    events: &BTreeMap<String, Shape>,
    form: Form,
) -> String {
    let mut types = Types {
        form,
        names: Names::default(),
        text: String::new(),
        known: HashMap::new(),
        is_present_used: false,
    };
    let title = terminal::visible_line(&provider.to_string());
    let mut written = format!(
        "//! The events of {title}, as `countersign types` read them from {count} {}.\n\n",
        if count == 1 { "delivery" } else { "deliveries" }
    );
    let mut variants = Vec::new();
    for (event, shape) in events {
        let about = match &**event {
            "" => "The data of a delivery.".to_owned(),
            event => format!("The data of {}.", comment(&terminal::cut(event, LONGEST_NAME))),
        };
        let name = types.names.of_type(if event.is_empty() { "Delivery" } else { event });
        types.root(&name, &about, shape);
        variants.push((event, name));
    }
    if form == Form::Events {
        written += "countersign::events! {\n";
        let _ = writeln!(written, "    /// The events of {title}.\n    pub enum Event {{");
        for (event, name) in variants {
            let _ =
                writeln!(written, "        /// See its data.\n        {name}({name}) = {},", literal(event));
        }
        written += "    }\n}\n\n";
    }
    written += &types.text;
    if types.is_present_used {
        written += PRESENT;
    }
    written
}

/// A text as a literal of Rust.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            _ if terminal::is_hidden(character) => literal.extend(character.escape_unicode()),
            _ => literal.push(character),
        }
    }
    literal.push('"');
    literal
}

/// The same for a comment, in which rustdoc obeys HTML and Markdown.
fn comment(text: &str) -> String {
    let mut comment = String::new();
    for character in literal(text).chars() {
        match character {
            '<' | '>' | '&' | '`' | '[' | ']' | '*' | '|' => comment.extend(character.escape_unicode()),
            _ => comment.push(character),
        }
    }
    comment
}

struct Types {
    form: Form,
    names: Names,
    text: String,
    /// The types that are written, by their fields: what looks alike is one type.
    known: HashMap<String, String>,
    is_present_used: bool,
}

impl Types {
    /// Writes the type of an event's data.
    fn root(&mut self, name: &str, about: &str, shape: &Shape) {
        match &shape.kind {
            Some(Kind::Object(object)) if !shape.is_nullable => {
                let fields = self.fields(name, object);
                self.known.entry(fields.clone()).or_insert_with(|| name.to_owned());
                self.object(name, about, &fields);
            }
            _ => {
                let of = self.nullable(name, shape);
                let _ = writeln!(self.text, "/// {about}\npub type {name} = {of};\n");
            }
        }
    }

    fn object(&mut self, name: &str, about: &str, fields: &str) {
        let _ = match self.form {
            Form::Structs => writeln!(
                self.text,
                "/// {about}\n#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]\npub struct {name} {{\n{fields}}}\n"
            ),
            Form::Events => writeln!(
                self.text,
                "countersign::payload! {{\n    /// {about}\n    pub struct {name} {{\n{fields}    }}\n}}\n"
            ),
        };
    }

    /// The fields of an object, whose types are written before it.
    fn fields(&mut self, of: &str, object: &Object) -> String {
        let mut names = Names::default();
        let (mut plain, mut required, mut optional) = (String::new(), String::new(), String::new());
        for field in &object.fields {
            let name = names.field(&field.name);
            let wire = literal(&field.name);
            let is_always = field.count == object.count;
            let hint = format!("{of}{}", pascal(&field.name));
            if self.form == Form::Events {
                let of_field = self.present(&hint, &field.shape);
                // Null, and what has another type, is kept beside the fields.
                let part = if is_always && !field.shape.is_nullable { &mut required } else { &mut optional };
                let _ = writeln!(part, "            /// `{name}`.\n            {name}: {of_field} = {wire},");
                continue;
            }
            let is_nullable = field.shape.is_nullable;
            let mut of_field = self.present(&hint, &field.shape);
            let mut attributes = Vec::new();
            if name != field.name {
                attributes.push(format!("rename = {wire}"));
            }
            if is_nullable {
                of_field = format!("Option<{of_field}>");
            }
            if !is_always {
                of_field = format!("Option<{of_field}>");
                attributes.push("default, skip_serializing_if = \"Option::is_none\"".to_owned());
                if is_nullable {
                    attributes.push("deserialize_with = \"present\"".to_owned());
                    self.is_present_used = true;
                }
            }
            if !attributes.is_empty() {
                let _ = writeln!(plain, "    #[serde({})]", attributes.join(", "));
            }
            let _ = writeln!(plain, "    pub {name}: {of_field},");
        }
        if self.form == Form::Structs {
            return plain;
        }
        let part = |name: &str, fields: &str| match fields {
            "" => String::new(),
            fields => format!("        {name} {{\n{fields}        }}\n"),
        };
        match (&*required, &*optional) {
            ("", "") => "        optional {}\n".to_owned(),
            (required, optional) => part("required", required) + &part("optional", optional),
        }
    }

    /// The type of a value that may be null.
    fn nullable(&mut self, name: &str, shape: &Shape) -> String {
        let of = self.present(name, shape);
        if shape.is_nullable { format!("Option<{of}>") } else { of }
    }

    /// The type of a value that is not null.
    fn present(&mut self, name: &str, shape: &Shape) -> String {
        match &shape.kind {
            None | Some(Kind::Mixed) => "countersign::Json".to_owned(),
            Some(Kind::Bool) => "bool".to_owned(),
            Some(Kind::Integer) => "i64".to_owned(),
            Some(Kind::Number) => "countersign::Number".to_owned(),
            Some(Kind::Text) => "String".to_owned(),
            Some(Kind::List(items)) => format!("Vec<{}>", self.nullable(&format!("{name}Item"), items)),
            Some(Kind::Object(_)) if self.known.len() >= MOST_TYPES => "countersign::Json".to_owned(),
            Some(Kind::Object(object)) => {
                let fields = self.fields(name, object);
                if let Some(known) = self.known.get(&fields) {
                    return known.clone();
                }
                let own = self.names.of_type(name);
                self.object(&own, "A part of the data.", &fields);
                self.known.insert(fields, own.clone());
                own
            }
        }
    }
}
