//! The names of headers in a scheme: one, or several.

/// Names that a program has as constants, or a configuration has as strings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Names<'a> {
    One(&'a str),
    Several(&'a [&'a str]),
    Owned(&'a [String]),
}

impl<'a> Names<'a> {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(names) => names.len(),
            Self::Owned(names) => names.len(),
        }
    }

    pub(crate) const fn get(&self, at: usize) -> &'a str {
        match self {
            Self::One(name) => name,
            Self::Several(names) => names[at],
            Self::Owned(names) => names[at].as_str(),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(move |at| self.get(at))
    }
}

/// Whether this is a header's name in lower case, as `http::HeaderName::from_static` takes it.
pub(crate) const fn is_header_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        let is_allowed = matches!(name[at], b'a'..=b'z' | b'0'..=b'9'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        if !is_allowed {
            return false;
        }
        at += 1;
    }
    !name.is_empty() && name.len() <= 128
}

/// Whether the name begins with the prefix.
pub(crate) const fn begins_with(name: &str, prefix: &str) -> bool {
    let (name, prefix) = (name.as_bytes(), prefix.as_bytes());
    let mut at = 0;
    while at < prefix.len() {
        if at == name.len() || name[at] != prefix[at] {
            return false;
        }
        at += 1;
    }
    true
}
