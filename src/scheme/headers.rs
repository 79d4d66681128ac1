//! A request's headers, of any type.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request's headers, of any type.
///
/// [`http::HeaderMap`] implements it, and so do actix-web's header map (feature `actix-web`) and slices, arrays and
/// vectors of pairs of a name and a value. Implement it for the header type of another framework.
///
/// ```
/// use countersign::{Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
/// # let signature = webhook.sign(body).to_string();
/// let headers = [("Host", "example.org"), ("X-3QPR-Signature", &*signature)];
/// assert_eq!(webhook.verify(&headers, body)?.id(), Some("evt_1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Headers {
    /// Calls `each` with the value of each occurrence of this header. Compare names without regard to ASCII case.
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

/// How often the header occurs, and its value.
pub(crate) fn occurrence<'h>(
    headers: &'h (impl Headers + ?Sized),
    name: &HeaderName,
) -> Occurrence<&'h [u8]> {
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
pub(crate) enum Occurrence<T> {
    Never,
    Once(T),
    Repeated,
}
