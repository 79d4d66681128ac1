//! The headers of a delivery, as they arrived.

use http::HeaderName;

/// The most values of one kind that are read.
pub(super) const MAX_VALUES: usize = 4;
/// The longest name of a header that is shown, in bytes.
const MAX_NAME_LEN: usize = 64;

/// The first items. If there are more, they are cut off, which is noted.
pub(super) fn first<T>(count: usize, items: impl IntoIterator<Item = T>, is_cut: &mut bool) -> Vec<T> {
    let mut items = items.into_iter();
    let first = items.by_ref().take(count).collect();
    *is_cut |= items.next().is_some();
    first
}

/// The headers of a delivery, with their names in lower case.
pub(super) struct Found<'h>(Vec<(String, &'h [u8])>);

impl<'h> Found<'h> {
    pub(super) fn new<N: AsRef<str>>(headers: &[(N, &'h [u8])]) -> Self {
        Self(headers.iter().map(|(name, value)| (name.as_ref().to_ascii_lowercase(), *value)).collect())
    }

    /// The values of all occurrences of a header.
    pub(super) fn values(&self, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
        self.0.iter().filter(move |(other, _)| other == name.as_str()).map(|(_, value)| *value)
    }

    /// The value of a header that occurs once.
    pub(super) fn once(&self, name: &HeaderName) -> Option<&'h [u8]> {
        self.only(|other| other == name.as_str())
    }

    /// The value of the only header that seems to hold a time.
    pub(super) fn time(&self) -> Option<&'h [u8]> {
        self.only(|name| name.ends_with("timestamp"))
    }

    fn only(&self, is_meant: impl Fn(&str) -> bool) -> Option<&'h [u8]> {
        let mut values = self.0.iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| *value);
        values.next().filter(|_| values.next().is_none())
    }

    /// The value of each header that looks like a signature header, with its name.
    pub(super) fn signatures(&self) -> impl Iterator<Item = (&str, &'h [u8])> {
        let is_meant = |name: &str| {
            let is_shown = name.len() <= MAX_NAME_LEN
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            let is_signature = name.contains("signature") || name.contains("hmac");
            is_shown && is_signature && !name.contains("input")
        };
        self.0.iter().filter(move |(name, _)| is_meant(name)).map(|(name, value)| (&**name, *value))
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        let (_, value) = self.0.iter().rfind(|(name, _)| name == "content-length")?;
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    }

    /// Whether the body was compressed when it was sent.
    pub(super) fn is_encoded(&self) -> bool {
        let encoding = self.0.iter().rfind(|(name, _)| name == "content-encoding");
        encoding.is_some_and(|(_, value)| !value.eq_ignore_ascii_case(b"identity"))
    }
}
