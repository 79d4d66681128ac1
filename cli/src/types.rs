//! `countersign types`: writes the Rust types of captured deliveries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::Json;

use crate::capture::Capture;
use crate::failure::Failure;
use crate::provider::{NamePlace, Provider, ProviderParser};
use crate::sign;
use crate::terminal;

mod names;
mod rust;
mod shape;

use rust::Form;
use shape::{Shape, members_of};

/// The most events. More are no provider's, but somebody's who makes names up.
const MOST_EVENTS: usize = 2_000;

/// Write the Rust types of captured deliveries
///
/// A field that was always there is required, and one that was not is optional. A number that is no integer of 64 bits,
/// such as a price, keeps its text. What has many forms stays JSON. Deliveries are not verified: take what you trust.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign types journal.jsonl > src/events.rs            # what countersign listen --journal kept
  countersign types --provider stripe captures/ > src/stripe.rs
  countersign types --events --provider acme.json captures/  # events! and payload!, which lose nothing

A file holds captured deliveries, one JSON object a line, or one body alone, for which --provider says where the event's
name and data are. Of a directory, each file is read. The crate needs countersign, and serde with its derive feature.

Exit codes: 0 written, 2 wrong usage, or a file with neither captures nor a body.")]
pub(crate) struct TypesArgs {
    /// Files, or directories of files [default: standard input]
    paths: Vec<PathBuf>,
    /// The provider of bodies, and of captured deliveries if there are others: a built-in's name, or a FILE
    #[arg(long, short, value_name = "NAME|FILE", value_parser = ProviderParser)]
    provider: Option<Provider>,
    /// Write events! and payload! instead of plain structs: nothing of a delivery is lost, whatever it brings
    #[arg(long)]
    events: bool,
}

pub(crate) fn run(arguments: &TypesArgs) -> Result<u8, Failure> {
    let mut seen = Seen {
        provider: arguments.provider.clone(),
        is_chosen: arguments.provider.is_some(),
        events: BTreeMap::new(),
        count: 0,
    };
    if arguments.paths.is_empty() {
        seen.file("standard input", &sign::body(None)?)?;
    }
    for path in &arguments.paths {
        for file in files(path)? {
            let text = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
            seen.file(&file.display().to_string(), &text)?;
        }
    }
    let Some(provider) = seen.provider.filter(|_| !seen.events.is_empty()) else {
        return Err(Failure::usage("no delivery was found, so there are no types to write"));
    };
    let form = if arguments.events { Form::Events } else { Form::Structs };
    terminal::line(rust::write(&provider, seen.count, &seen.events, form).trim_end())?;
    Ok(0)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", path.display()))
}

/// A file, or the files of a directory by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let files: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = files.map_err(|error| unreadable(path, &error))?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// What the deliveries have shown so far.
struct Seen {
    provider: Option<Provider>,
    /// Whether the user named it, so that deliveries of others are passed over.
    is_chosen: bool,
    /// The data of each event, by the event's name.
    events: BTreeMap<String, Shape>,
    count: usize,
}

impl Seen {
    fn file(&mut self, place: &str, text: &[u8]) -> Result<(), Failure> {
        let lines = || {
            text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty())
        };
        // A body has no member `headers` beside `provider`.
        let is_capture = |line: &[u8]| {
            let members = std::str::from_utf8(line).ok().and_then(members_of);
            members.is_some_and(|members| {
                ["provider", "headers"].iter().all(|name| members.iter().any(|(member, _)| member == name))
            })
        };
        let Some((_, first)) = lines().next() else { return Ok(()) };
        if !is_capture(first) {
            let provider = self.provider.clone().ok_or_else(|| {
                Failure::usage(format!(
                    "{place} is not a captured delivery, so it may be a body\n  Give --provider, which says where the event's name is."
                ))
            })?;
            return self.body(&provider, None, text).map_err(|why| Failure::usage(format!("{place}: {why}")));
        }
        for (at, line) in lines() {
            let wrong = |why: String| Failure::usage(format!("{place}, line {}: {why}", at + 1));
            let capture = Capture::read(line).map_err(wrong)?;
            match &self.provider {
                None => self.provider = Some(capture.provider.clone()),
                Some(provider) if *provider == capture.provider => {}
                Some(_) if self.is_chosen => continue,
                Some(provider) => {
                    let other = &capture.provider;
                    return Err(wrong(format!(
                        "a delivery of {other} beside those of {provider}\n  Give --provider."
                    )));
                }
            }
            self.body(&capture.provider, Some(&capture), &capture.body).map_err(wrong)?;
        }
        Ok(())
    }

    /// Takes a body's data. What is no JSON object is passed over in a capture, where forgeries are as well.
    fn body(&mut self, provider: &Provider, capture: Option<&Capture>, body: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(body).map_err(|_| "the body is no text".to_owned());
        let members = text.as_ref().ok().and_then(|text| members_of(text));
        let Some(members) = members else {
            return if capture.is_some() { Ok(()) } else { Err("the body is no JSON object".to_owned()) };
        };
        let member = |name: &str| members.iter().find(|(member, _)| member == name).map(|(_, value)| value);
        let of_provider = provider.members();
        let name = match &of_provider.name {
            NamePlace::Member(name) | NamePlace::Both(name, _) => {
                let name = member(name).and_then(|name| serde_json::from_str::<String>(name.as_str()).ok());
                match name {
                    Some(name) => name,
                    None if capture.is_some() => return Ok(()),
                    None => return Err(format!("the body names no event of {provider}")),
                }
            }
            NamePlace::Header(header) => {
                let mut headers = capture.iter().flat_map(|capture| &capture.headers);
                let value = headers.find(|(name, _)| header.as_str().eq_ignore_ascii_case(name));
                value.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
            }
            NamePlace::Nowhere => String::new(),
        };
        let whole: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let data = of_provider.data.as_deref().map_or(Some(&whole), member);
        let shape = data.map_or_else(Shape::null, Shape::of);
        if self.events.len() == MOST_EVENTS && !self.events.contains_key(&name) {
            return Err(format!("there are more than {MOST_EVENTS} events"));
        }
        self.events.entry(name).or_default().merge(shape);
        self.count += 1;
        Ok(())
    }
}
