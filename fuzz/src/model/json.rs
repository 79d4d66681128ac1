//! The JSON form of a declaration, by the table in the documentation of `DeclaredProvider`.

use serde_json::{Map, Value};

use super::parts::{is_injective, parts};
use super::{Algorithm, Encoding, KeyEncoding, Model, Part, Place, Time, Unit, is_token};
use crate::json::has_repeated_member;

impl Model {
    /// The declaration, if the text is one that makes sense.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        let value: Value = serde_json::from_str(text).ok()?;
        if has_repeated_member(text) {
            return None;
        }
        let whole = object(
            Some(&value),
            &["name", "algorithm", "secret", "signature", "signed", "timestamp", "event"],
        )?;
        let name = whole.get("name")?.as_str()?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if !(1..=32).contains(&name.len()) || !name.bytes().all(is_name) {
            return None;
        }
        let template = whole.get("signed").map_or(Some("{body}"), Value::as_str)?;
        let (signature, (headers, encoding)) = signature(whole)?;
        let time = match whole.get("timestamp") {
            None | Some(Value::Null) => None,
            time => Some(timestamp(time)?),
        };
        let mut model = Self {
            algorithm: match word(whole, "algorithm", "hmac-sha256")? {
                "hmac-sha256" => Algorithm::Sha256,
                "hmac-sha1" => Algorithm::Sha1,
                "hmac-sha512" => Algorithm::Sha512,
                _ => return None,
            },
            key: match word(whole, "secret", "text")? {
                "text" => KeyEncoding::Text,
                "hex" => KeyEncoding::Hex,
                "base64" => KeyEncoding::Base64,
                _ => return None,
            },
            encoding,
            headers,
            family: None,
            separator: None,
            before: String::new(),
            time,
            parts: parts(template)?,
            is_opaque: whole.get("event").is_some_and(Value::is_null),
            event_headers: Vec::new(),
        };
        (model.form(signature)? && model.headers_make_sense() && model.template_makes_sense())
            .then_some(())?;
        model.envelope(whole.get("event"))?;
        Some(model)
    }

    /// Reads how the tags are written.
    fn form(&mut self, signature: &Map<String, Value>) -> Option<bool> {
        let text = |name| match signature.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        let (prefix, separator, each, field) =
            (text("prefix")?, text("separator")?, text("each")?, text("field")?);
        let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let time_key = match self.time.as_ref().map(|time| &time.place) {
            Some(Place::Field(key)) => Some(key.trim_end_matches('=').to_owned()),
            _ => None,
        };
        match (prefix, separator, each, field) {
            (prefix, None, None, None) => {
                self.before = prefix.unwrap_or_default().to_owned();
                return Some(is_plain(&self.before) && time_key.is_none());
            }
            (None, Some(_), Some(each), None) => self.before = each.to_owned(),
            (None, Some(_), None, Some(field)) => self.before = format!("{field}="),
            _ => return Some(false),
        }
        let mut characters = separator?.chars();
        let separator = characters.next().filter(|_| characters.next().is_none())?;
        self.separator = Some(separator);
        let of_tags = match self.encoding {
            Encoding::Hex => "",
            Encoding::Base64 => "+/=",
            Encoding::Base64Url => "-_=",
        };
        let is_separator = (separator == ' ' || separator.is_ascii_punctuation())
            && !of_tags.contains(separator)
            && !(field.is_some() && separator == '=');
        let is_key = |key: &str| !key.is_empty() && is_plain(key) && !key.contains(['=', separator]);
        let unit = self.time.as_ref().map(|time| time.unit);
        let is_in_time = unit == Some(Unit::Rfc3339) && "-:.+".contains(separator);
        Some(
            is_separator
                && each.is_none_or(|each| is_plain(each) && !each.contains(separator))
                && field.is_none_or(is_key)
                && time_key
                    .is_none_or(|key| field.is_some_and(|field| is_key(&key) && key != field) && !is_in_time),
        )
    }

    fn headers_make_sense(&self) -> bool {
        let mut names = self.headers.clone();
        if let Some(Time { place: Place::Header(name), .. }) = &self.time {
            names.push(name.clone());
        }
        names.extend(self.signed().map(str::to_owned));
        let all = names.len();
        let are_names = names.iter().all(|name| is_token(name));
        names.sort();
        names.dedup();
        are_names && names.len() == all && (1..=8).contains(&self.headers.len())
    }

    fn template_makes_sense(&self) -> bool {
        let count = |wanted: &Part| self.parts.iter().filter(|part| *part == wanted).count();
        count(&Part::Body) == 1
            && count(&Part::Time) == usize::from(self.time.is_some())
            && self.parts.len() <= 16
            && self.signed().count() <= 4
            && is_injective(&self.parts, !self.is_opaque)
    }

    /// Whether a body that is no object could not be told from what stands beside it.
    pub(crate) fn needs_object(&self) -> bool {
        !is_injective(&self.parts, false)
    }

    /// The names of the headers in the template, in its order.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn envelope(&mut self, event: Option<&Value>) -> Option<()> {
        if self.is_opaque {
            return Some(());
        }
        let empty = Map::new();
        let event = match event {
            None => &empty,
            event => object(event, &["name", "id", "timestamp", "data"])?,
        };
        let mut members = Vec::new();
        for (part, usual) in [("name", "event"), ("id", "id"), ("timestamp", "timestamp"), ("data", "data")] {
            match event.get(part) {
                None => members.push(usual),
                Some(Value::Null) => {}
                Some(Value::String(member)) => members.push(member),
                header if part == "name" || part == "id" => {
                    let header = object(header, &["header"])?.get("header")?.as_str()?.to_ascii_lowercase();
                    let is_signed = self.signed().any(|name| name == header);
                    let is_own = self.headers.contains(&header)
                        || matches!(&self.time, Some(Time { place: Place::Header(name), .. }) if *name == header);
                    if !is_token(&header) || is_own || part == "id" && !is_signed {
                        return None;
                    }
                    self.event_headers.push(header);
                }
                Some(_) => return None,
            }
        }
        let all = members.len();
        members.sort_unstable();
        members.dedup();
        (members.len() == all).then_some(())
    }
}

fn signature(whole: &Map<String, Value>) -> Option<(&Map<String, Value>, (Vec<String>, Encoding))> {
    let signature =
        object(whole.get("signature"), &["header", "encoding", "prefix", "separator", "each", "field"])?;
    let names = match signature.get("header")? {
        Value::String(name) => vec![name.to_ascii_lowercase()],
        Value::Array(names) => {
            let name = |name: &Value| Some(name.as_str()?.to_ascii_lowercase());
            names.iter().map(name).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let encoding = match word(signature, "encoding", "hex")? {
        "hex" => Encoding::Hex,
        "base64" => Encoding::Base64,
        "base64url" => Encoding::Base64Url,
        _ => return None,
    };
    Some((signature, (names, encoding)))
}

fn timestamp(time: Option<&Value>) -> Option<Time> {
    let time = object(time, &["header", "field", "unit", "tolerance_s"])?;
    let present = |name| time.get(name).filter(|value| !value.is_null());
    let place = match (present("header"), present("field")) {
        (Some(name), None) => Place::Header(name.as_str()?.to_ascii_lowercase()),
        (None, Some(key)) => Place::Field(format!("{}=", key.as_str()?)),
        _ => return None,
    };
    let unit = match word(time, "unit", "s")? {
        "s" => Unit::Seconds,
        "ms" => Unit::Milliseconds,
        "rfc3339" => Unit::Rfc3339,
        _ => return None,
    };
    let tolerance = match present("tolerance_s") {
        Some(seconds) => Some(seconds.as_u64()?),
        None => None,
    };
    Some(Time { place, unit, tolerance })
}

/// The object, if it has no other members than these.
fn object<'v>(value: Option<&'v Value>, members: &[&str]) -> Option<&'v Map<String, Value>> {
    let object = value?.as_object()?;
    object.keys().all(|member| members.contains(&&**member)).then_some(object)
}

/// A member that is a word, or the usual one.
fn word<'v>(object: &'v Map<String, Value>, member: &str, usual: &'v str) -> Option<&'v str> {
    object.get(member).map_or(Some(usual), Value::as_str)
}
