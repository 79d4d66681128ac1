//! Providers that files declare.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign::Provider as _;
use countersign::http::HeaderName;
use countersign::provider::DeclaredProvider;
use serde_json::Value;

use super::{Facts, Members, NamePlace, Provider, Retries, TimeForm, builtin};
use crate::failure::Failure;

/// The longest declaration that is read, in bytes. A real one has some hundred.
const LONGEST: u64 = 64 << 10;

/// Reads an argument: a built-in's name, or a file. A name is never taken for a file of this directory.
pub(super) fn of_argument(argument: &OsStr) -> Result<Provider, Failure> {
    if let Some(provider) = argument.to_str().and_then(Provider::of_slug) {
        return Ok(provider);
    }
    let path = Path::new(argument);
    if path.exists() {
        return of_path(path);
    }
    let known: Vec<_> = builtin::slugs().collect();
    Err(Failure::usage(format!(
        "there is no provider and no file {:?}\n  Give one of {}, or a file that declares a provider \
         (countersign provider new makes one).",
        argument.to_string_lossy(),
        known.join(", "),
    )))
}

fn of_path(path: &Path) -> Result<Provider, Failure> {
    of_json(&read(path)?).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Reads a file that may declare a provider.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(format!(
            "{} is longer than {LONGEST} bytes, so it declares no provider",
            path.display()
        )));
    }
    Ok(text)
}

/// The providers of each `.json` file in a directory, by the names of the files.
pub(crate) fn in_directory(path: &Path) -> Result<Vec<Provider>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut files = Vec::new();
    for file in std::fs::read_dir(path).map_err(unreadable)? {
        files.push(file.map_err(unreadable)?.path());
    }
    files.retain(|file: &PathBuf| {
        file.is_file() && file.extension().is_some_and(|extension| extension == "json")
    });
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("{} has no file NAME.json", path.display())));
    }
    files.iter().map(|file| of_path(file)).collect()
}

/// Reads a declaration. The error names the member.
pub(crate) fn of_json(text: &str) -> Result<Provider, String> {
    let declared: DeclaredProvider = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let declaration: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = declared.name().to_owned();
    Ok(Provider(Arc::new(Facts {
        title: name.clone(),
        variable: variable(&name),
        members: members(&declaration),
        default_event: "test".to_owned(),
        events: &[],
        retries: Retries { after: None, about: format!("the file of {name} declares no retries") },
        patience: None,
        tolerance: declaration
            .pointer("/timestamp/tolerance_s")
            .and_then(Value::as_u64)
            .map(Duration::from_secs),
        before_tag: ["/signature/prefix", "/signature/each"]
            .iter()
            .find_map(|member| declaration.pointer(member)?.as_str())
            .unwrap_or_default()
            .to_owned(),
        is_json: declaration.get("event") != Some(&Value::Null),
        signs_url: false,
        make: Box::new(move |_| Ok(Box::new(declared.clone()))),
        declaration: Some(declaration),
        slug: name,
    })))
}

/// The environment variable of a provider's secret.
fn variable(name: &str) -> String {
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    let upper: String = upper.collect();
    // A shell's variable begins with no digit.
    let beginning = if upper.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{beginning}{upper}_WEBHOOK_SECRET")
}

/// The members of the body, as a declaration that the library accepted names them.
fn members(declaration: &Value) -> Members {
    let event = match declaration.get("event") {
        Some(Value::Null) => return Members::default(),
        Some(event) => event,
        None => &Value::Null,
    };
    let member = |part: &str, usual: &str| match event.get(part) {
        None => Some(usual.to_owned()),
        Some(name) => name.as_str().map(str::to_owned),
    };
    let header = event.pointer("/name/header").and_then(Value::as_str);
    let header = header.and_then(|name| HeaderName::try_from(name).ok());
    Members {
        name: match (member("name", "event"), header) {
            (Some(name), _) => NamePlace::Member(name),
            (None, Some(header)) => NamePlace::Header(header),
            (None, None) => NamePlace::Nowhere,
        },
        id: member("id", "id"),
        time: member("timestamp", "timestamp").map(|name| (name, TimeForm::Text)),
        data: member("data", "data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_one_that_a_shell_can_set() {
        for (name, expected) in [
            ("acme", "ACME_WEBHOOK_SECRET"),
            ("acme-eu.2", "ACME_EU_2_WEBHOOK_SECRET"),
            ("7eleven", "_7ELEVEN_WEBHOOK_SECRET"),
        ] {
            assert_eq!(variable(name), expected);
        }
    }

    #[test]
    fn the_members_are_those_of_the_declaration() {
        let of = |event: &str| {
            let text = format!(r#"{{"name":"acme","signature":{{"header":"x-s"}}{event}}}"#);
            of_json(&text).unwrap().members().clone()
        };
        let usual = Members {
            name: NamePlace::Member("event".to_owned()),
            id: Some("id".to_owned()),
            time: Some(("timestamp".to_owned(), TimeForm::Text)),
            data: Some("data".to_owned()),
        };
        assert_eq!(of(""), usual);
        assert_eq!(of(r#","event":null"#), Members::default());
        assert_eq!(of(r#","event":{"id":null}"#), Members { id: None, ..usual.clone() });
        let header = of(r#","event":{"name":{"header":"x-e"},"data":null}"#);
        assert_eq!(
            header,
            Members { name: NamePlace::Header(HeaderName::from_static("x-e")), data: None, ..usual }
        );
    }
}
