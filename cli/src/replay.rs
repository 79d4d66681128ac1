//! Deliveries of a journal, to be sent again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use countersign::http::{HeaderMap, HeaderName, HeaderValue};

use crate::capture::Capture;
use crate::client;
use crate::failure::Failure;
use crate::forge::Forgery;
use crate::provider::Provider;
use crate::secrets::Keyring;
use crate::signed::{Request, Signer, SigningArgs};
use crate::terminal;

/// What a journal holds.
pub(crate) struct Replay {
    /// Each with the path that it came to.
    pub(crate) requests: Vec<(Option<Forgery>, Request, Option<String>)>,
    /// How long the provider waits for an answer, if all deliveries are of one.
    pub(crate) patience: Option<Duration>,
    /// How many lines are no captured deliveries. The user was told of each.
    pub(crate) unreadable: usize,
}

impl Replay {
    /// Reads a journal. With `resign`, each delivery is signed anew, and otherwise keeps the signature that it came with.
    pub(crate) fn read(
        path: &Path,
        keyring: &Keyring,
        signing: &SigningArgs,
        resign: bool,
    ) -> Result<Self, Failure> {
        let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut replay = Self { requests: Vec::new(), patience: None, unreadable: 0 };
        let mut providers: Vec<Provider> = Vec::new();
        for (at, line) in BufReader::new(file).split(b'\n').enumerate() {
            let line = line.map_err(unreadable)?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Capture::read(&line).and_then(|capture| Ok((request(&capture)?, capture))) {
                Ok((request, capture)) => {
                    let request = match resign {
                        true => {
                            let url = capture.url.as_deref();
                            Signer::new(&capture.provider, keyring, signing, None, url)?.resign(&request)
                        }
                        false => request,
                    };
                    if !providers.contains(&capture.provider) {
                        providers.push(capture.provider);
                    }
                    replay.requests.push((None, request, capture.path));
                }
                Err(error) => {
                    replay.unreadable += 1;
                    let place = format!("{}, line {}", path.display(), at + 1);
                    terminal::note(&terminal::visible(&format!(
                        "{place} is not a captured delivery: {error}"
                    )));
                }
            }
        }
        if replay.requests.is_empty() {
            return Err(Failure::usage(format!("{} holds no captured delivery", path.display())));
        }
        if let [provider] = &providers[..] {
            replay.patience = provider.patience();
        }
        Ok(replay)
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
