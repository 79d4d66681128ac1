//! The search for the accident behind a signature that does not match.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;

use super::cause::Cause;
use super::diagnosis::{Diagnosis, Hint};
use super::found::{Found, MAX_VALUES};
use super::hash::Work;
use super::lens::Lens;
use super::reading::{Reading, readings};
use super::search::{Explanation, Search};
use super::secret::{TriedKey, keys_of};
use super::sent::Families;
use super::{body, lens, tokens};
use crate::error::{Error, SetupError};
use crate::mac::{Candidates, KeyEncoding, Secrets, WipedStack, on_wiped_stack};
use crate::provider::{Provider, scheme_with};
use crate::scheme::{Head, MAX_HEADERS};
use crate::webhook::{Proof, Webhook};

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
/// | headers | four values of each signature header, and four of other headers that look like one, each of 8 KiB; 32 items of a value; 256 combinations of a signature with what it may cover |
///
/// These limits suffice to try each accident alone on JSON of 1 MiB with one tag, with 8 secrets and 64 others.
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
    ///
    /// ```
    /// use countersign::{Secret, Signature, diagnose::Diagnoser, provider::ThreeQpr};
    ///
    /// let (live, test) = (Secret::new("whsec_of-production-2026")?, Secret::new("whsec_of-the-tests-2026")?);
    /// let signature = Signature::sign(&test, b"{}").to_string();
    /// let headers = [("X-3QPR-Signature", signature.as_bytes())];
    ///
    /// let diagnoser = Diagnoser::<ThreeQpr>::new(live)?.with_other("the test environment", test);
    /// assert_eq!(diagnoser.diagnose(headers, b"{}").code(), "secret_of_other");
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    #[must_use]
    pub fn with_other(mut self, name: impl Into<String>, secrets: impl Into<Secrets>) -> Self {
        if self.others.len() < Diagnosis::MAX_OTHERS {
            self.others.push((name.into().into(), secrets.into()));
        } else {
            self.are_too_many = true;
        }
        self
    }

    /// Sets the maximum age of the webhook, as [`Webhook::with_max_age`] does. If the time of a delivery is beyond it,
    /// or beyond the scheme's tolerance, a [`Hint`] says by how much.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.webhook = self.webhook.with_max_age(max_age);
        self
    }

    /// Sets the clock by which a delivery's time is judged, such as the time at which it arrived. Without it, this is the
    /// time of the diagnosis.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Secret, Webhook, diagnose::Diagnoser, provider::Stripe};
    ///
    /// let secret = Secret::new("whsec_0123456789abcdef")?;
    /// let headers = Webhook::<Stripe>::new(secret.clone())?.signed_headers(b"{}");
    /// let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
    ///
    /// let later = SystemTime::now() + Duration::from_secs(3600);
    /// let diagnosis = Diagnoser::<Stripe>::new(secret)?.with_clock(move || later).diagnose(headers, b"{}");
    /// assert_eq!(diagnosis.hints()[1].code(), "time_in_past");
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.webhook = self.webhook.with_clock(clock);
        self
    }

    /// Looks for what would have made the signature verify.
    ///
    /// Pass each header that arrived, each occurrence of it, with its name in any case, and the body that the
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
        // The webhook's own rule, without its log: no delivery was answered.
        let proven = self.webhook.proven(headers, body);
        let was_compared = match proven {
            Ok(proof) => return self.of_verified(proof, headers, body),
            Err(error) => matches!(error, Error::SignatureMismatch),
        };
        let hashes = if was_compared { self.secrets.iter().count() as u64 } else { 0 };
        let work = Work { hashes, bytes: hashes * body.len() as u64 };
        let provider = self.webhook.provider();
        let envelope = provider.envelope();
        // The webhook has checked the scheme.
        let Some(own) = Lens::new(scheme_with(&provider.scheme(), &envelope)) else {
            return Diagnosis {
                is_verified: false,
                causes: Vec::new(),
                hints: Vec::new(),
                secret_label: None,
                work,
            };
        };
        let known = lens::known();
        let found = Found::new(headers);
        let (mut readings, is_cut) = readings(&own, &known, &found);
        // If the webhook compared a signature, its form was right.
        let malformed = if was_compared { None } else { malformed(&own, &readings, &found) };
        // If the webhook read no signature, an accident elsewhere does not explain it.
        readings.retain(|reading| was_compared || !reading.causes.is_empty());
        let keys = self.keys(own.scheme.key, &readings);
        let mut search = Search::new(stack, &keys, &readings, envelope.is_opaque, work);
        let is_searched = body.len() <= body::MAX_LEN;
        let is_finished = !is_searched || search.run(body).is_continue() && !is_cut;
        let work = search.work;
        if let Some(Explanation { causes, secret_label, time, tolerance, body }) = search.explanation {
            let time = time.or_else(|| self.body_time(&body));
            let time = time.filter(|time| !self.webhook.is_timely_within(*time, tolerance));
            let hints = time.map(|time| self.time_hint(time)).into_iter().collect();
            return Diagnosis { is_verified: false, causes, hints, secret_label, work };
        }
        let mut hints = self.hints(&own, &found, malformed, body);
        if !is_finished {
            hints.push(Hint::Unfinished);
        }
        Diagnosis { is_verified: false, causes: Vec::new(), hints, secret_label: None, work }
    }

    /// Says of a delivery whose signature verifies whether it is refused afterwards, and why.
    fn of_verified<'h, N: AsRef<str>>(
        &self,
        proof: Proof<&'h [u8]>,
        headers: &'h [(N, &[u8])],
        body: &[u8],
    ) -> Diagnosis {
        let hashes = proof.secret.position() as u64 + 1;
        let secret_label = proof.secret.label().map(Into::into);
        let signed_at = proof.signed_at;
        let verdict = self.webhook.judge(signed_at).and_then(|()| self.webhook.accept(proof, headers, body));
        let mut hints = Vec::new();
        if let Err(error) = &verdict {
            hints.push(Hint::RefusedAfterwards { code: error.code() });
        }
        if let Err(Error::Stale) = verdict {
            let time = signed_at.or_else(|| self.body_time(body));
            hints.extend(time.map(|time| self.time_hint(time)));
        }
        let work = Work { hashes, bytes: hashes * body.len() as u64 };
        Diagnosis { is_verified: true, causes: Vec::new(), hints, secret_label, work }
    }

    /// The time in a body, by which the maximum age is judged if the scheme has none.
    fn body_time(&self, body: &[u8]) -> Option<SystemTime> {
        let has_time = self.webhook.provider().scheme().time.is_some();
        if has_time { None } else { self.webhook.contents(body).ok()?.time() }
    }

    fn time_hint(&self, time: SystemTime) -> Hint {
        match self.webhook.now().duration_since(time) {
            Ok(by) => Hint::TimeInPast { by },
            Err(error) => Hint::TimeInFuture { by: error.duration() },
        }
    }

    fn keys(&self, own: KeyEncoding, readings: &[Reading]) -> Vec<TriedKey> {
        let mut encodings = vec![own];
        for reading in readings {
            if !encodings.contains(&reading.key) {
                encodings.push(reading.key);
            }
        }
        let own = self.secrets.iter().map(|secret| (secret, None));
        let others = self
            .others
            .iter()
            .flat_map(|(name, secrets)| secrets.iter().map(move |secret| (secret, Some(&**name))));
        let secrets: Vec<_> = own.chain(others).collect();
        let under = |encoding| {
            let secrets = secrets.iter();
            secrets.flat_map(move |(secret, owner)| keys_of(secret, encoding, *owner))
        };
        encodings.into_iter().flat_map(under).collect()
    }

    fn hints(&self, own: &Lens<'_>, found: &Found<'_>, malformed: Option<Hint>, body: &[u8]) -> Vec<Hint> {
        let families = Families::new(own, None, found);
        let is_missing = !families.have_signature(found);
        let are_too_many = families.candidates(found) > Candidates::MAX;
        let mut hints = Vec::new();
        let mut add = |hint, is_so| {
            if is_so {
                hints.push(hint);
            }
        };
        add(Hint::NoSecret, self.secrets.iter().next().is_none());
        add(Hint::SignatureMissing, is_missing);
        if let Some(malformed) = malformed.filter(|_| !is_missing) {
            let wrong = wrong_beside(own, found);
            add(malformed, wrong.is_empty() && !are_too_many);
            wrong.into_iter().for_each(|hint| add(hint, true));
        }
        add(Hint::SignatureRepeated, families.are_repeated(found));
        add(Hint::HeadersMixed, families.are_mixed(found));
        add(Hint::TimeRepeated, families.have_two_times(found));
        add(Hint::TooManySignatures, are_too_many);
        let mut others: Vec<_> =
            found.signatures().map(|(name, _)| name).filter(|name| !families.has(name)).collect();
        others.sort_unstable();
        others.dedup();
        for name in others.into_iter().take(MAX_VALUES) {
            add(Hint::OtherSignatureHeader { name: name.to_owned() }, true);
        }
        add(Hint::BodyEmpty, body.is_empty());
        add(Hint::BodyTooLong, body.len() > body::MAX_LEN);
        add(Hint::BodyStringified, body == b"[object Object]");
        add(Hint::BodyLossy, body.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes()));
        let differs = found.content_length().is_some_and(|length| length != body.len() as u64);
        add(Hint::BodyLengthDiffers, differs && !found.is_encoded());
        add(Hint::BodyCompressed, found.is_encoded());
        add(Hint::BodyKeysSorted, body.len() <= body::MAX_LEN && tokens::are_names_sorted(body));
        add(Hint::TooManyOthers, self.are_too_many);
        hints
    }
}

impl<P> Clone for Diagnoser<P> {
    fn clone(&self) -> Self {
        Self {
            webhook: self.webhook.clone(),
            secrets: self.secrets.clone(),
            others: self.others.clone(),
            are_too_many: self.are_too_many,
        }
    }
}

/// What is wrong with the form of the signature or of its time, if that is not one that can be read.
fn malformed(own: &Lens<'_>, readings: &[Reading], found: &Found<'_>) -> Option<Hint> {
    let is_beside = |reading: &Reading| reading.causes.contains(&Cause::SignatureBesideMalformed);
    if readings.iter().any(is_beside) {
        return Some(Hint::SignatureMalformed);
    }
    if readings.iter().any(Reading::is_of_a_scheme) {
        return None;
    }
    let has_signature = Families::new(own, None, found).candidates(found) > 0;
    let is_of_time = has_signature && own.scheme.time.is_some();
    Some(if is_of_time { Hint::TimeMalformed } else { Hint::SignatureMalformed })
}

/// What is wrong with the headers that the scheme signs, in the family that has a signature.
fn wrong_beside(own: &Lens<'_>, found: &Found<'_>) -> Vec<Hint> {
    let is_there = |names: &[HeaderName]| names.iter().any(|name| found.values(name).next().is_some());
    let family = own.reader.families.iter().find(|family| is_there(&family.signatures));
    let Some(family) = family else { return Vec::new() };
    let names = family.time.iter().chain(&family.signed).filter(|name| found.once(name).is_none());
    let mut wrong: Vec<_> =
        names.map(|name| Hint::SignedHeaderMissing { name: name.as_str().to_owned() }).collect();
    let mut values = [&b""[..]; MAX_HEADERS];
    for (place, name) in values.iter_mut().zip(&family.signed) {
        *place = found.once(name).unwrap_or_default();
    }
    if wrong.is_empty() && !own.reader.are_distinct(&Head::of(&[], SystemTime::UNIX_EPOCH, values)) {
        wrong.push(Hint::SignedHeaderAmbiguous);
    }
    wrong
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
