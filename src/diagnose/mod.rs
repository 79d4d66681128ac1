//! A [`Diagnoser`] tells operators what would have made a delivery verify (feature `diagnose`).

mod body;
mod cause;
mod diagnosis;
mod hash;
mod header;
mod json;
mod secret;
mod style;
mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::ControlFlow;
use std::sync::Arc;

pub use cause::{Cause, JsonLayout};
pub use diagnosis::{Diagnosis, Hint};
use hash::{Algorithm, Work};
use header::{Found, Reading};
use secret::TriedKey;

use crate::error::{Error, SetupError};
use crate::mac::{MatchedSecret, Secrets};
use crate::mac::{WipedStack, on_wiped_stack};
use crate::provider::Provider;
use crate::webhook::Webhook;

/// Finds out why a signature did not match. It takes the headers, the body and the secrets that failed, undoes the
/// accidents that are known to happen, and names those without which the delivery **would have** verified, with the
/// cure.
///
/// A diagnosis is for operators, in a log or a program. The sender must learn no more than 401. A diagnoser never
/// accepts a delivery.
///
/// ```
/// use countersign::{Secret, Signature, diagnose::Diagnoser, provider::ThreeQpr};
///
/// let secret = Secret::new("whsec_0123456789abcdef")?;
/// let signature = Signature::sign(&secret, b"{\"event\": \"scan.created\"}").to_string();
/// let headers = [("X-3QPR-Signature", signature.as_bytes())];
///
/// let diagnosis = Diagnoser::<ThreeQpr>::new(secret)?.diagnose(headers, b"{\"event\":\"scan.created\"}");
/// assert_eq!(diagnosis.code(), "body_reserialised");
/// eprintln!("{diagnosis}");
/// # Ok::<(), countersign::SetupError>(())
/// ```
///
/// # Limits
///
/// | | |
/// |---|---|
/// | accidents together | three, at most two of them in the body |
/// | hashes | 65,536 ([`MAX_HASHES`](Diagnosis::MAX_HASHES)) |
/// | bytes hashed | 512 MiB ([`MAX_HASHED_BYTES`](Diagnosis::MAX_HASHED_BYTES)); [`Hint::Unfinished`] says that the search reached a limit |
/// | body | 1 MiB ([`MAX_BODY_LEN`](Diagnosis::MAX_BODY_LEN)); a longer body is hashed once with each of the webhook's secrets, to say whether it verifies |
/// | other secrets | eight sets ([`MAX_OTHERS`](Diagnosis::MAX_OTHERS)) |
/// | headers | four values of the signature header, and four of other headers that look like one, each of 2 KiB |
///
/// These limits suffice to try each accident alone on JSON of 1 MiB, with 8 secrets and 64 others.
///
/// A diagnoser cannot undo sorted names, more than one replaced byte, or changes to numbers other than lost zeros. A
/// [`Hint`] reports the first two.
pub struct Diagnoser<P> {
    webhook: Webhook<P>,
    secrets: Secrets,
    others: Vec<(Arc<str>, Secrets)>,
    are_too_many: bool,
}

impl<P: Provider + Default> Diagnoser<P> {
    /// Creates a diagnoser for a provider that needs no settings, with the secrets of its webhook.
    ///
    /// # Errors
    /// Those of [`Webhook::new`].
    pub fn new(secrets: impl Into<Secrets>) -> Result<Self, SetupError> {
        Self::for_provider(P::default(), secrets)
    }
}

impl<P: Provider> Diagnoser<P> {
    /// Creates a diagnoser for a provider with settings, with the secrets of its webhook.
    ///
    /// # Errors
    /// Those of [`Webhook::for_provider`].
    pub fn for_provider(provider: P, secrets: impl Into<Secrets>) -> Result<Self, SetupError> {
        let secrets = secrets.into();
        let webhook = Webhook::for_provider(provider, secrets.clone())?;
        Ok(Self { webhook, secrets, others: Vec::new(), are_too_many: false })
    }

    /// Adds other secrets to try, such as those of another provider or environment, or old ones, under a name that
    /// is safe to show. Sets beyond [`MAX_OTHERS`](Diagnosis::MAX_OTHERS) are not tried, and a [`Hint`] says so.
    #[must_use]
    pub fn with_other(mut self, name: impl Into<String>, secrets: impl Into<Secrets>) -> Self {
        if self.others.len() < Diagnosis::MAX_OTHERS {
            self.others.push((name.into().into(), secrets.into()));
        } else {
            self.are_too_many = true;
        }
        self
    }

    /// Looks for what would have made the signature verify.
    ///
    /// Pass every header that arrived, each occurrence of it, with its name in any case, and the body that the
    /// verifier was given. A long body may take seconds, so do not diagnose while a request waits.
    ///
    /// ```
    /// # use countersign::{Secret, diagnose::Diagnoser, provider::ThreeQpr};
    /// # let diagnoser = Diagnoser::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let (headers, body) = (http::HeaderMap::new(), b"{}");
    /// // From a `HeaderMap`:
    /// let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
    /// let diagnosis = diagnoser.diagnose(headers, body);
    /// # assert_eq!(diagnosis.hints()[0].code(), "signature_missing");
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    pub fn diagnose<'h, N: AsRef<str>>(
        &self,
        headers: impl IntoIterator<Item = (N, &'h [u8])>,
        body: &[u8],
    ) -> Diagnosis {
        let headers: Vec<_> = headers.into_iter().collect();
        on_wiped_stack(|stack| self.look_into(stack, &headers, body))
    }

    fn look_into<N: AsRef<str>>(&self, stack: &WipedStack, headers: &[(N, &[u8])], body: &[u8]) -> Diagnosis {
        let mut found = Found::default();
        for (name, value) in headers {
            found.add(self.webhook.signature_header().as_str(), name.as_ref(), value);
        }
        // The webhook's own rule, without its log: no delivery was answered.
        let proven = self.webhook.proven(headers, body);
        let was_compared = matches!(proven, Err(Error::SignatureMismatch));
        let is_malformed = matches!(proven, Err(Error::MalformedSignature));
        if let Ok(proof) = proven {
            let secret = proof.secret.clone();
            let verdict =
                self.webhook.judge(proof).and_then(|proof| self.webhook.accept(proof, headers, body));
            return Self::of_verified(&secret, verdict.err(), body);
        }
        let is_searched = self.webhook.provider().scheme().is_sha256_of_body();
        let readings = if is_searched { found.readings() } else { Vec::new() };
        let hashes = if was_compared { self.secrets.iter().count() as u64 } else { 0 };
        let work = Work { hashes, bytes: hashes * body.len() as u64 };
        let keys = self.keys();
        let mut search =
            Search { stack, pairs: Pair::all(&keys, &readings), tried: HashMap::new(), work, proof: None };
        let is_looked_into = is_searched && body.len() <= body::MAX_LEN;
        let is_finished = is_looked_into && search.run(body).is_continue();
        let (work, proof) = (search.work, search.proof);
        if let Some((causes, secret_label)) = proof {
            return Diagnosis { is_verified: false, causes, hints: Vec::new(), secret_label, work };
        }
        let is_malformed = if is_searched { readings.is_empty() } else { is_malformed };
        let mut hints = self.hints(&found, is_malformed, body);
        if !is_searched {
            hints.push(Hint::NotSearched);
        }
        if is_looked_into && !is_finished {
            hints.push(Hint::Unfinished);
        }
        Diagnosis { is_verified: false, causes: Vec::new(), hints, secret_label: None, work }
    }

    fn of_verified(secret: &MatchedSecret, refusal: Option<Error>, body: &[u8]) -> Diagnosis {
        let hashes = secret.position() as u64 + 1;
        let secret_label = secret.label().map(Into::into);
        let hints = refusal.map(|error| Hint::RefusedAfterwards { code: error.code() });
        Diagnosis {
            is_verified: true,
            causes: Vec::new(),
            hints: hints.into_iter().collect(),
            secret_label,
            work: Work { hashes, bytes: hashes * body.len() as u64 },
        }
    }

    fn keys(&self) -> Vec<TriedKey> {
        let own = self.secrets.iter().map(|secret| TriedKey::new(secret, None));
        let others = self
            .others
            .iter()
            .flat_map(|(name, secrets)| secrets.iter().map(move |secret| TriedKey::new(secret, Some(name))));
        own.chain(others).flat_map(TriedKey::with_variants).collect()
    }

    fn hints(&self, found: &Found<'_>, is_malformed: bool, body: &[u8]) -> Vec<Hint> {
        let mut hints = Vec::new();
        let mut add = |hint, is_so| {
            if is_so {
                hints.push(hint);
            }
        };
        add(Hint::NoSecret, self.secrets.iter().next().is_none());
        add(Hint::SignatureMissing, found.own.is_empty());
        add(Hint::SignatureMalformed, !found.own.is_empty() && is_malformed);
        for (name, _) in &found.other {
            add(Hint::OtherSignatureHeader { name: name.clone() }, true);
        }
        add(Hint::BodyEmpty, body.is_empty());
        add(Hint::BodyTooLong, body.len() > body::MAX_LEN);
        add(Hint::BodyStringified, body == b"[object Object]");
        add(Hint::BodyLossy, body.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes()));
        let differs = found.content_length.is_some_and(|length| length != body.len() as u64);
        add(Hint::BodyLengthDiffers, differs && !found.is_encoded);
        add(Hint::BodyCompressed, found.is_encoded);
        add(Hint::BodyKeysSorted, body.len() <= body::MAX_LEN && tokens::are_names_sorted(body));
        add(Hint::TooManyOthers, self.are_too_many);
        hints
    }
}

/// Shows names only.
impl<P: Provider> fmt::Debug for Diagnoser<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.iter().map(|(name, _)| name);
        f.debug_struct("Diagnoser")
            .field("provider", &self.webhook.provider().name())
            .field("signature_header", self.webhook.signature_header())
            .field("secrets", &self.secrets)
            .field("others", &others.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A key and a reading to try together, with the accidents of both.
struct Pair<'s> {
    key: &'s TriedKey,
    reading: &'s Reading,
    causes: Vec<Cause>,
}

impl<'s> Pair<'s> {
    fn all(keys: &'s [TriedKey], readings: &'s [Reading]) -> Vec<Self> {
        let with = |reading: &'s Reading| {
            // A hash without a key is the same with each.
            let keys =
                if reading.algorithm == Algorithm::PlainSha256 { &keys[..keys.len().min(1)] } else { keys };
            keys.iter().map(move |key| Self {
                key,
                reading,
                causes: [&*reading.causes, &*causes_of(key, reading)].concat(),
            })
        };
        readings.iter().flat_map(with).filter(|pair| pair.causes.len() <= MAX_ACCIDENTS).collect()
    }
}

/// The accidents of the secret. Standard Webhooks decode it by their own rule, which is not an accident, and a plain
/// hash has no secret.
fn causes_of(key: &TriedKey, reading: &Reading) -> Vec<Cause> {
    let is_theirs = reading.causes.contains(&Cause::SignatureOfStandardWebhooks);
    let is_accident = |cause: &&Cause| match cause {
        _ if reading.algorithm == Algorithm::PlainSha256 => false,
        Cause::SecretPrefixDropped | Cause::SecretBase64Decoded => !is_theirs,
        _ => true,
    };
    key.causes.iter().filter(is_accident).cloned().collect()
}

/// The search for the fewest accidents that explain a reading.
struct Search<'s> {
    stack: &'s WipedStack,
    pairs: Vec<Pair<'s>>,
    /// The hash of each body that was tried, with its own number of accidents, and with that of all.
    tried: HashMap<u64, (usize, usize)>,
    work: Work,
    proof: Option<(Vec<Cause>, Option<Arc<str>>)>,
}

/// The most accidents that are tried together.
const MAX_ACCIDENTS: usize = 3;
/// The most of them in the body.
const MAX_BODY_ACCIDENTS: usize = 2;

impl Search<'_> {
    /// Breaks when it has a proof, or reaches a limit.
    fn run(&mut self, body: &[u8]) -> ControlFlow<()> {
        for accidents in 1..=MAX_ACCIDENTS {
            for of_body in 0..=accidents.min(MAX_BODY_ACCIDENTS) {
                let elsewhere = accidents - of_body;
                if self.pairs.iter().any(|pair| pair.causes.len() == elsewhere) {
                    body::visit_each(body, of_body, &mut |body, causes| {
                        if self.is_tried(body, (of_body, accidents)) {
                            return ControlFlow::Continue(());
                        }
                        self.try_body(body, causes, elsewhere)
                    })?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether this body was tried before, with fewer accidents or with as many.
    fn is_tried(&mut self, body: &[u8], accidents: (usize, usize)) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(body);
        let hash = hasher.finish();
        let is_tried = |before: &(usize, usize)| before.0 < accidents.0 || *before == accidents;
        self.tried.get(&hash).is_some_and(is_tried) || {
            self.tried.insert(hash, accidents);
            false
        }
    }

    /// Tries a body with every pair that has this many accidents.
    fn try_body(&mut self, body: &[u8], of_body: &[Cause], accidents: usize) -> ControlFlow<()> {
        for Pair { key, reading, causes } in self.pairs.iter().filter(|pair| pair.causes.len() == accidents) {
            if !self.work.spend(reading.before.len() + body.len()) {
                return ControlFlow::Break(());
            }
            if hash::makes(self.stack, reading.algorithm, &key.bytes, [&reading.before, body], &reading.tag) {
                let is_keyed = reading.algorithm != Algorithm::PlainSha256;
                self.proof = Some(([causes, of_body].concat(), key.label.clone().filter(|_| is_keyed)));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}
