//! A request's headers, and the ones that a webhook reads.

use std::fmt;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;
use crate::mac::Signature;

/// A request's headers, of any type.
///
/// [`http::HeaderMap`] implements it, and so do actix-web's header map (feature `actix-web`) and slices, arrays and
/// vectors of pairs of a name and a value. Implement it for the header type of another framework.
///
/// ```
/// use countersign::{Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
/// # let signature = webhook.sign(body).to_string();
/// let headers = [("Host", "example.org"), ("X-3QPR-Signature", &*signature)];
/// assert_eq!(webhook.verify(&headers, body)?.id(), Some("evt_1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Headers {
    /// Calls `each` with the value of every occurrence of this header. Compare names without regard to ASCII case.
    /// Leave no occurrence out, because a webhook refuses a repeated header.
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8]));
}

impl Headers for HeaderMap {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        self.get_all(name).iter().map(HeaderValue::as_bytes).for_each(each);
    }
}

impl<H: Headers + ?Sized> Headers for &H {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        (**self).each_value(name, each);
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        for (other, value) in self {
            if other.as_ref().eq_ignore_ascii_case(name.as_str()) {
                each(value.as_ref());
            }
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const LEN: usize> Headers for [(N, V); LEN] {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        self.as_slice().each_value(name, each);
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        self.as_slice().each_value(name, each);
    }
}

/// The headers that a webhook reads.
#[derive(Debug, Clone)]
pub(crate) struct WantedHeaders {
    pub(crate) signature: HeaderName,
    pub(crate) event: Option<HeaderName>,
}

impl WantedHeaders {
    /// Reads the signature. The header must occur once, and must be well formed.
    pub(crate) fn signature(&self, headers: &(impl Headers + ?Sized)) -> Result<Signature, Error> {
        match occurrence(headers, &self.signature) {
            Occurrence::Never => Err(Error::MissingSignature),
            Occurrence::Once(value) => Ok(Signature::parse(value)?),
            Occurrence::Repeated => Err(Error::DuplicateSignature),
        }
    }

    /// Reads the header that names the event, if the provider has one.
    pub(crate) fn event<'h>(&self, headers: &'h (impl Headers + ?Sized)) -> EventHeader<&'h [u8]> {
        EventHeader(self.event.as_ref().map(|name| occurrence(headers, name)))
    }

    /// Reads the length of the body that the sender announced, in bytes. If there are several, this is the greatest. A
    /// value that is not a number is ignored.
    pub(crate) fn content_length(&self, headers: &(impl Headers + ?Sized)) -> Option<u64> {
        let mut longest = None;
        headers.each_value(&CONTENT_LENGTH, &mut |value| {
            let bytes = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            longest = longest.max(bytes);
        });
        longest
    }
}

fn occurrence<'h>(headers: &'h (impl Headers + ?Sized), name: &HeaderName) -> Occurrence<&'h [u8]> {
    let mut occurrence = Occurrence::Never;
    headers.each_value(name, &mut |value| {
        occurrence = match occurrence {
            Occurrence::Never => Occurrence::Once(value),
            Occurrence::Once(_) | Occurrence::Repeated => Occurrence::Repeated,
        };
    });
    occurrence
}

/// How often a header occurs in a request, and its value if it occurs once.
#[derive(Clone, Copy)]
enum Occurrence<T> {
    Never,
    Once(T),
    Repeated,
}

/// The header that names the event, if the provider has one. It is not signed.
pub(crate) struct EventHeader<T>(Option<Occurrence<T>>);

impl EventHeader<&[u8]> {
    /// Makes it independent of the request.
    pub(crate) fn to_owned(&self) -> EventHeader<Box<[u8]>> {
        EventHeader(self.0.map(|occurrence| match occurrence {
            Occurrence::Never => Occurrence::Never,
            Occurrence::Once(value) => Occurrence::Once(value.into()),
            Occurrence::Repeated => Occurrence::Repeated,
        }))
    }
}

impl<T: AsRef<[u8]>> EventHeader<T> {
    /// Checks that the header agrees with the signed body.
    pub(crate) fn check(&self, event: &str) -> Result<(), Error> {
        match &self.0 {
            None => Ok(()),
            Some(Occurrence::Never) => Err(Error::MissingEventHeader),
            Some(Occurrence::Once(value)) if value.as_ref() == event.as_bytes() => Ok(()),
            Some(Occurrence::Once(_)) => Err(Error::EventMismatch),
            Some(Occurrence::Repeated) => Err(Error::DuplicateEventHeader),
        }
    }
}

/// Leaves out the value, which the sender chose.
impl<T> fmt::Debug for EventHeader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHeader").finish_non_exhaustive()
    }
}
