//! Deliveries of a journal, to be sent again. The journal is read twice, a line at a time: once to find what is wrong with
//! it before anything is sent, and once to send it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::time::Duration;

use countersign::http::{HeaderMap, HeaderName, HeaderValue};

use crate::capture::Capture;
use crate::client;
use crate::failure::Failure;
use crate::provider::Provider;
use crate::secrets::Keyring;
use crate::signed::{Request, Signer, SigningArgs};
use crate::terminal;

/// How the deliveries of a journal are sent.
pub(crate) struct Replay<'a> {
    pub(crate) path: &'a Path,
    pub(crate) keyring: &'a Keyring,
    pub(crate) signing: &'a SigningArgs,
    /// Whether each delivery is signed anew. Otherwise it keeps the signature that it came with.
    pub(crate) resign: bool,
}

/// A delivery of a journal.
pub(crate) struct Replayed {
    pub(crate) request: Request,
    /// The path that it came to.
    pub(crate) path: Option<String>,
    provider: Provider,
}

/// What a journal holds.
pub(crate) struct Contents {
    /// How many deliveries it has.
    pub(crate) count: usize,
    /// How many lines are no captured deliveries. The user was told of each.
    pub(crate) unreadable: usize,
    /// How long the provider waits for an answer, if all deliveries are of one.
    pub(crate) patience: Option<Duration>,
    file: File,
    /// What is appended later, perhaps because of this replay, is not sent.
    bytes: u64,
}

impl Replay<'_> {
    /// Reads all of the journal, without keeping it.
    pub(crate) fn contents(&self) -> Result<Contents, Failure> {
        let mut file = File::open(self.path).map_err(|error| self.unreadable(&error))?;
        let bytes = file.metadata().map_err(|error| self.unreadable(&error))?;
        if !bytes.is_file() {
            let message = "is not a regular file, and a journal is read twice\n  Write it to a file first.";
            return Err(Failure::usage(format!("{} {message}", self.path.display())));
        }
        let bytes = bytes.len();
        let (mut count, mut unreadable) = (0, 0);
        let mut providers: Vec<Provider> = Vec::new();
        for (at, line) in self.lines(&mut file, bytes) {
            match self.replayed(&line?)? {
                Ok(replayed) => {
                    count += 1;
                    if !providers.contains(&replayed.provider) {
                        providers.push(replayed.provider);
                    }
                }
                Err(error) => {
                    unreadable += 1;
                    let place = format!("{}, line {at}", self.path.display());
                    terminal::note(&terminal::visible(&format!(
                        "{place} is not a captured delivery: {error}"
                    )));
                }
            }
        }
        if count == 0 {
            return Err(Failure::usage(format!("{} holds no captured delivery", self.path.display())));
        }
        let patience = if let [provider] = &providers[..] { provider.patience() } else { None };
        file.rewind().map_err(|error| self.unreadable(&error))?;
        Ok(Contents { count, unreadable, patience, file, bytes })
    }

    /// The deliveries, each of which is read when it is asked for.
    pub(crate) fn deliveries(
        &self,
        contents: Contents,
    ) -> impl Iterator<Item = Result<Replayed, Failure>> + '_ {
        let lines = self.lines(contents.file, contents.bytes);
        lines.filter_map(|(_, line)| match line.and_then(|line| self.replayed(&line)) {
            Ok(replayed) => replayed.ok().map(Ok),
            Err(failure) => Some(Err(failure)),
        })
    }

    /// The lines up to this length that are not empty, with their numbers.
    fn lines<R: Read>(&self, file: R, bytes: u64) -> impl Iterator<Item = (usize, Result<Vec<u8>, Failure>)> {
        let lines = BufReader::new(file.take(bytes)).split(b'\n').enumerate();
        lines
            .map(|(at, line)| (at + 1, line.map_err(|error| self.unreadable(&error))))
            .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()))
    }

    /// The delivery of a line, or what is wrong with the line.
    fn replayed(&self, line: &[u8]) -> Result<Result<Replayed, String>, Failure> {
        let read = Capture::read(line).and_then(|capture| Ok((request(&capture)?, capture)));
        let (request, capture) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let request = match self.resign {
            true => {
                let url = capture.url.as_deref();
                Signer::new(&capture.provider, self.keyring, self.signing, None, url)?.resign(&request)
            }
            false => request,
        };
        Ok(Ok(Replayed { request, path: capture.path, provider: capture.provider }))
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        Failure::usage(format!("{} cannot be read: {error}", self.path.display()))
    }
}

/// The request as it came, without what belongs to its connection.
fn request(capture: &Capture) -> Result<Request, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &capture.headers {
        let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is not a header name"))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| format!("the value of {name} is not a valid header value"))?;
        headers.append(name, value);
    }
    let headers = client::end_to_end(headers);
    let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Request { headers, body: capture.body.clone().into() })
}
