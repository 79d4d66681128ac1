//! A scheme as constant data: what is signed, and how the signature is written.

use std::fmt;
use std::time::Duration;

use crate::mac::{Algorithm, KeyEncoding, TagEncoding};
use crate::scheme::names::{Names, begins_with, is_header_name};
use crate::scheme::template::{self, is_equal};
use crate::scheme::{SchemeError, TimeUnit};

/// What a provider signs, and how it writes the signature: constant data, by which a webhook reads the headers.
///
/// [`new`](Scheme::new) is the commonest form: the hex HMAC-SHA-256 of the body in one header. Each method changes one
/// part. A [`Provider`](crate::Provider) declares it as a constant, which the compiler checks.
///
/// | part | by default | changed by |
/// |---|---|---|
/// | algorithm | HMAC-SHA-256 | [`with_algorithm`](Scheme::with_algorithm) |
/// | key | the secret's text | [`with_key_encoding`](Scheme::with_key_encoding) |
/// | header | the one given to `new` | [`with_headers`](Scheme::with_headers), [`with_family`](Scheme::with_family) |
/// | tag | lower-case hex | [`with_tag_encoding`](Scheme::with_tag_encoding) |
/// | form | the tag alone | [`with_prefix`](Scheme::with_prefix), [`with_items`](Scheme::with_items), [`with_fields`](Scheme::with_fields) |
/// | signed bytes | `{body}` | [`with_template`](Scheme::with_template) |
/// | time | none | [`with_time_header`](Scheme::with_time_header), [`with_time_field`](Scheme::with_time_field), [`with_tolerance`](Scheme::with_tolerance) |
///
/// ```
/// use std::time::Duration;
/// use countersign::{Scheme, TimeUnit};
///
/// // GitHub's
/// const HUB: Scheme<'static> = Scheme::new("x-hub-signature-256").with_prefix("sha256=");
/// // Stripe's: `t=1614265330,v1=…`
/// const STRIPE: Scheme<'static> = Scheme::new("stripe-signature")
///     .with_fields(',', "v1")
///     .with_time_field("t", TimeUnit::Seconds)
///     .with_template("{timestamp}.{body}")
///     .with_tolerance(Duration::from_secs(300));
/// assert!(HUB.check().is_ok() && STRIPE.check().is_ok());
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Scheme<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: KeyEncoding,
    pub(crate) headers: Names<'a>,
    pub(crate) family: Option<(&'a str, &'a str)>,
    pub(crate) encoding: TagEncoding,
    pub(crate) form: Form<'a>,
    pub(crate) signed: &'a str,
    pub(crate) time: Option<(TimeSource<'a>, TimeUnit)>,
    pub(crate) tolerance: Option<Tolerance>,
    pub(crate) is_opaque: bool,
}

/// How a signature header holds its tags.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// One, after a prefix.
    One { prefix: &'a str },
    /// Items, each after a version.
    Each { separator: char, version: &'a str },
    /// Items `key=value`, of which those with one key are tags.
    Fields { separator: char, key: &'a str },
}

/// Where the time of a signature stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimeSource<'a> {
    Header(&'a str),
    Field(&'a str),
}

/// How far the time of a signature may lie in the past and in the future.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) past: Duration,
    pub(crate) future: Duration,
}

impl<'a> Scheme<'a> {
    /// The hex HMAC-SHA-256 of the body, alone in this header. The header's name is in lower case.
    pub const fn new(header: &'a str) -> Self {
        Self {
            algorithm: Algorithm::HmacSha256,
            key: KeyEncoding::Text,
            headers: Names::One(header),
            family: None,
            encoding: TagEncoding::Hex,
            form: Form::One { prefix: "" },
            signed: "{body}",
            time: None,
            tolerance: None,
            is_opaque: false,
        }
    }

    /// Sets the algorithm.
    pub const fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets how a secret spells its key.
    pub const fn with_key_encoding(mut self, key: KeyEncoding) -> Self {
        self.key = key;
        self
    }

    /// Sets several signature headers. A delivery has at least one of them, each at most once, and each that it has must
    /// hold a signature.
    pub const fn with_headers(mut self, headers: &'a [&'a str]) -> Self {
        self.headers = Names::Several(headers);
        self
    }

    /// The signature header, or the first of several.
    #[must_use]
    pub const fn signature_header(&self) -> &'a str {
        self.headers.get(0)
    }

    pub(crate) const fn with_owned_headers(mut self, headers: &'a [String]) -> Self {
        self.headers = Names::Owned(headers);
        self
    }

    /// Adds a second family of headers: the same names with another beginning, such as `svix-` in place of `webhook-`.
    /// A delivery has the headers of one family. One with signatures of both is refused.
    ///
    /// Each header of the scheme must begin with `beginning`.
    pub const fn with_family(mut self, beginning: &'a str, other: &'a str) -> Self {
        self.family = Some((beginning, other));
        self
    }

    /// Sets how a tag is written.
    pub const fn with_tag_encoding(mut self, encoding: TagEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets the text that stands before the tag.
    pub const fn with_prefix(mut self, prefix: &'a str) -> Self {
        self.form = Form::One { prefix };
        self
    }

    /// Sets a header of several items, each a version such as `v1,` and a tag. Items of another version are skipped. The
    /// version may be empty.
    pub const fn with_items(mut self, separator: char, version: &'a str) -> Self {
        self.form = Form::Each { separator, version };
        self
    }

    /// Sets a header of items `key=value`, of which those with this key are tags. The others are skipped, except for the
    /// [time](Scheme::with_time_field).
    pub const fn with_fields(mut self, separator: char, key: &'a str) -> Self {
        self.form = Form::Fields { separator, key };
        self
    }

    /// Sets the template of the signed bytes: literals, `{timestamp}`, `{header:NAME}` and exactly one `{body}`. `{{` is
    /// a literal brace.
    ///
    /// No two different deliveries may have the same signed bytes. Therefore a literal must stand between two headers'
    /// values, and the value before or after it must not contain it. Beside the body, a header's value needs one as
    /// well, unless the body has to be one JSON object. A time may stand beside anything.
    pub const fn with_template(mut self, template: &'a str) -> Self {
        self.signed = template;
        self
    }

    /// Sets the header with the time of the signature.
    pub const fn with_time_header(mut self, header: &'a str, unit: TimeUnit) -> Self {
        self.time = Some((TimeSource::Header(header), unit));
        self
    }

    /// Sets the field of the signature header with the time of the signature. The separator of the fields must not occur
    /// in a time of this unit.
    pub const fn with_time_field(mut self, key: &'a str, unit: TimeUnit) -> Self {
        self.time = Some((TimeSource::Field(key), unit));
        self
    }

    /// Sets how far the time of the signature may lie in the past and in the future. Without a tolerance, it is not
    /// judged. [`Webhook::with_max_age`](crate::Webhook::with_max_age) replaces it.
    pub const fn with_tolerance(self, either: Duration) -> Self {
        self.with_tolerances(either, either)
    }

    /// Sets how far the time of the signature may lie in the past, and how far in the future.
    pub const fn with_tolerances(mut self, past: Duration, future: Duration) -> Self {
        self.tolerance = Some(Tolerance { past, future });
        self
    }

    /// Allows any body, not only a JSON object, so that no header's value may stand beside it.
    /// [`Envelope::opaque`](crate::Envelope::opaque) does the same for a provider.
    pub const fn with_opaque_body(mut self) -> Self {
        self.is_opaque = true;
        self
    }

    /// Checks that the scheme makes sense, and that its template is injective.
    ///
    /// # Errors
    /// [`SchemeError`], which names the part.
    pub const fn check(&self) -> Result<(), SchemeError> {
        match self.check_headers() {
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        match self.check_form() {
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        let summary = match template::summary(self.signed) {
            Ok(summary) => summary,
            Err(error) => return Err(error),
        };
        match (summary.has_time, self.time.is_some()) {
            (true, false) => {
                return Err(SchemeError::new(
                    "timestamp",
                    "the template has a `{timestamp}`, but there is none",
                ));
            }
            (false, true) => {
                return Err(SchemeError::new("signed", "the time is not signed: `{timestamp}` is missing"));
            }
            _ => {}
        }
        if self.tolerance.is_some() && self.time.is_none() {
            return Err(SchemeError::new("timestamp", "there is a tolerance, but no time"));
        }
        if summary.needs_object && self.is_opaque {
            return Err(SchemeError::new(
                "signed",
                "a header's value stands beside the body, and no literal separates them",
            ));
        }
        Ok(())
    }

    const fn check_headers(&self) -> Result<(), SchemeError> {
        if self.headers.len() == 0 || self.headers.len() > 8 {
            return Err(SchemeError::new("signature.header", "there must be 1 to 8 headers"));
        }
        let mut at = 0;
        while at < self.headers.len() {
            let name = self.headers.get(at);
            match self.check_name("signature.header", name) {
                Ok(()) => {}
                Err(error) => return Err(error),
            }
            let mut before = 0;
            while before < at {
                if is_equal(self.headers.get(before).as_bytes(), name.as_bytes()) {
                    return Err(SchemeError::new("signature.header", "a header occurs twice"));
                }
                before += 1;
            }
            if template::has_header(self.signed, name.as_bytes()) {
                return Err(SchemeError::new("signed", "the signature header cannot be signed"));
            }
            at += 1;
        }
        if let Some((TimeSource::Header(name), _)) = self.time {
            match self.check_name("timestamp.header", name) {
                Ok(()) => {}
                Err(error) => return Err(error),
            }
            if self.is_signature_header(name) {
                return Err(SchemeError::new("timestamp.header", "this is the signature header"));
            }
            if template::has_header(self.signed, name.as_bytes()) {
                return Err(SchemeError::new("signed", "the header of the time is written `{timestamp}`"));
            }
        }
        self.check_signed_names()
    }

    const fn check_signed_names(&self) -> Result<(), SchemeError> {
        let mut at = 0;
        while at < self.signed.len() {
            let (part, next) = match template::part(self.signed, at) {
                Ok(read) => read,
                Err(error) => return Err(error),
            };
            if let (template::Part::Header(name), Some((beginning, _))) = (part, self.family)
                && !(name.len() > beginning.len()
                    && is_equal(template::slice(name, 0, beginning.len()), beginning.as_bytes()))
            {
                return Err(SchemeError::new("signed", NOT_OF_FAMILY));
            }
            at = next;
        }
        Ok(())
    }

    const fn is_signature_header(&self, name: &str) -> bool {
        let mut at = 0;
        while at < self.headers.len() {
            if is_equal(self.headers.get(at).as_bytes(), name.as_bytes()) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// Whether this is the header of the signature or of its time, in any family.
    pub(crate) const fn is_own_header(&self, name: &str) -> bool {
        let mut at = 0;
        while at < self.headers.len() {
            if self.is_in_a_family(self.headers.get(at), name) {
                return true;
            }
            at += 1;
        }
        match self.time {
            Some((TimeSource::Header(time), _)) => self.is_in_a_family(time, name),
            _ => false,
        }
    }

    /// Whether this is the header, or the same header of the second family. The header has passed its check.
    const fn is_in_a_family(&self, header: &str, name: &str) -> bool {
        let (header, name) = (header.as_bytes(), name.as_bytes());
        match self.family {
            Some((beginning, other)) if name.len() >= other.len() => {
                is_equal(header, name)
                    || is_equal(template::slice(name, 0, other.len()), other.as_bytes())
                        && is_equal(
                            template::slice(name, other.len(), name.len()),
                            template::slice(header, beginning.len(), header.len()),
                        )
            }
            _ => is_equal(header, name),
        }
    }

    const fn check_name(&self, part: &'static str, name: &str) -> Result<(), SchemeError> {
        if !is_header_name(name.as_bytes()) {
            return Err(SchemeError::new(part, "this is no header's name in lower case"));
        }
        match self.family {
            Some((beginning, _)) if !begins_with(name, beginning) || name.len() == beginning.len() => {
                Err(SchemeError::new(part, NOT_OF_FAMILY))
            }
            Some((beginning, other))
                if !is_header_name(other.as_bytes()) || begins_with(other, beginning) =>
            {
                Err(SchemeError::new(part, "the second family's beginning is not one of its own"))
            }
            _ => Ok(()),
        }
    }

    const fn check_form(&self) -> Result<(), SchemeError> {
        let (separator, key) = match self.form {
            Form::One { prefix } if is_text(prefix) => return self.check_time_field(None),
            Form::One { .. } => return Err(SchemeError::new("signature.prefix", NOT_PLAIN)),
            Form::Each { separator, version } => (separator, version),
            Form::Fields { separator, key } => (separator, key),
        };
        let is_separator = separator.is_ascii_punctuation() || separator == ' ';
        let is_of_a_tag = match self.encoding {
            TagEncoding::Hex => false,
            TagEncoding::Base64 => matches!(separator, '=' | '+' | '/'),
            TagEncoding::Base64Url => matches!(separator, '=' | '-' | '_'),
        };
        if !is_separator || is_of_a_tag || matches!((self.form, separator), (Form::Fields { .. }, '=')) {
            return Err(SchemeError::new(
                "signature.separator",
                "this must be a space or a character such as `,` that no item contains",
            ));
        }
        if !is_text(key) || contains(key, separator) {
            let is_field = matches!(self.form, Form::Fields { .. });
            return Err(SchemeError::new(
                if is_field { "signature.field" } else { "signature.each" },
                NOT_PLAIN,
            ));
        }
        match self.form {
            Form::Fields { .. } if key.is_empty() || contains(key, '=') => {
                Err(SchemeError::new("signature.field", "this must be a key without `=`"))
            }
            Form::Fields { .. } => self.check_time_field(Some((separator, key))),
            _ => self.check_time_field(None),
        }
    }

    const fn check_time_field(&self, fields: Option<(char, &str)>) -> Result<(), SchemeError> {
        let Some((TimeSource::Field(name), unit)) = self.time else { return Ok(()) };
        match fields {
            None => Err(SchemeError::new("timestamp.field", "the signature header has no fields")),
            Some((separator, key)) => {
                if name.is_empty() || !is_text(name) || contains(name, '=') || contains(name, separator) {
                    return Err(SchemeError::new("timestamp.field", "this must be a key without `=`"));
                }
                if is_equal(name.as_bytes(), key.as_bytes()) {
                    return Err(SchemeError::new("timestamp.field", "this is the field of the tags"));
                }
                if matches!(unit, TimeUnit::Rfc3339) && matches!(separator, '-' | ':' | '.' | '+') {
                    return Err(SchemeError::new("signature.separator", "the time contains it"));
                }
                Ok(())
            }
        }
    }
}

/// Leaves out the template, whose literals may hold a token, such as a URL's.
impl fmt::Debug for Scheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheme")
            .field("signature_headers", &self.headers.iter().collect::<Vec<_>>())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

const NOT_OF_FAMILY: &str = "every header must begin with the family's beginning, and go on";
const NOT_PLAIN: &str = "this must be printable ASCII without the separator";

/// Whether the text is printable ASCII.
const fn is_text(text: &str) -> bool {
    let text = text.as_bytes();
    let mut at = 0;
    while at < text.len() {
        if !(text[at] == b' ' || text[at].is_ascii_graphic()) {
            return false;
        }
        at += 1;
    }
    true
}

const fn contains(text: &str, character: char) -> bool {
    let text = text.as_bytes();
    let mut at = 0;
    while at < text.len() {
        if text[at] as char == character {
            return true;
        }
        at += 1;
    }
    false
}
