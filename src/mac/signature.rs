//! The signature in a header: `sha256=` and the tag in lower-case hex.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::mac::encoding::{TagEncoding, hex_digits};
use crate::mac::{Algorithm, Secret, Tag, on_wiped_stack};

/// A signature: `sha256=` and 64 lower-case hex digits, the HMAC-SHA256 of a body.
///
/// ```
/// use countersign::{Secret, Signature};
///
/// // GitHub documents this vector for the same scheme.
/// let secret = Secret::new("It's a Secret to Everybody")?;
/// let signature = Signature::sign(&secret, b"Hello, World!");
/// assert_eq!(
///     signature.to_string(),
///     "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
/// );
/// assert_eq!(Signature::parse(signature.to_string().as_bytes())?, signature);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Signature(Tag);

impl Signature {
    const PREFIX: &'static [u8] = b"sha256=";
    const TAG_LEN: usize = Algorithm::HmacSha256.tag_len();

    /// Parses the value of a signature header. The value must be exactly what a provider writes: no
    /// white space, no quotes, no upper case, no second value.
    ///
    /// # Errors
    /// [`MalformedSignature`] if it is anything else.
    ///
    /// ```
    /// # use countersign::Signature;
    /// assert!(Signature::parse(b"sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12").is_err());
    /// ```
    pub fn parse(value: &[u8]) -> Result<Self, MalformedSignature> {
        let digits = value.strip_prefix(Self::PREFIX).ok_or(MalformedSignature)?;
        TagEncoding::Hex.decode(digits, Self::TAG_LEN).map(Self).ok_or(MalformedSignature)
    }

    /// Signs a body as the provider would, for testing a receiver.
    ///
    /// ```
    /// use countersign::{Secret, Signature};
    ///
    /// let secret = Secret::new("a-secret-for-the-tests")?;
    /// let header = Signature::sign(&secret, br#"{"event":"quote.failed"}"#).to_string();
    /// assert!(header.starts_with("sha256="));
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    #[must_use]
    pub fn sign(secret: &Secret, body: &[u8]) -> Self {
        on_wiped_stack(|stack| Self(stack.mac(Algorithm::HmacSha256, secret.text()).tag_with(&[body])))
    }

    pub(crate) fn tag(&self) -> &Tag {
        &self.0
    }
}

/// The error of a signature header that is not exactly `sha256=` and 64 lower-case hex digits.
///
/// The message does not repeat the value, because it may contain a valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not `sha256=` and 64 lower-case hex digits")]
#[non_exhaustive]
pub struct MalformedSignature;

/// Compares in constant time.
impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Signature {}

/// Writes the header's value.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256=")?;
        hex_digits(self.0.bytes(Self::TAG_LEN)).try_for_each(|digit| f.write_char(digit))
    }
}

/// Shows no digits: a signature from [`sign`](Signature::sign) and its body are a valid delivery.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(sha256=…)")
    }
}

impl FromStr for Signature {
    type Err = MalformedSignature;

    fn from_str(value: &str) -> Result<Self, MalformedSignature> {
        Self::parse(value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn a_well_formed_value_is_read_and_written_back() {
        let value = format!("sha256={DIGITS}");
        assert_eq!(Signature::parse(value.as_bytes()).unwrap().to_string(), value);
        assert_eq!(value.parse::<Signature>().unwrap().to_string(), value);
    }

    #[test]
    fn two_are_equal_if_every_digit_is() {
        let read = |digits: &str| Signature::parse(format!("sha256={digits}").as_bytes()).unwrap();
        let signature = read(DIGITS);
        assert!(signature == read(DIGITS));
        for place in 0..DIGITS.len() {
            let mut digits = DIGITS.to_owned();
            digits.replace_range(place..=place, if &DIGITS[place..=place] == "0" { "1" } else { "0" });
            assert!(signature != read(&digits), "{digits}");
        }
    }

    #[test]
    fn anything_but_the_exact_form_is_malformed() {
        let upper = DIGITS.to_uppercase();
        let values = [
            String::new(),
            "sha256=".into(),
            DIGITS.into(),
            format!("sha256={}", &DIGITS[1..]),
            format!("sha256={}", &DIGITS[2..]),
            format!("sha256={DIGITS}0"),
            format!("sha256={DIGITS}00"),
            format!("sha256={upper}"),
            format!("sha256={}E{}", &DIGITS[..40], &DIGITS[41..]),
            format!("SHA256={DIGITS}"),
            format!("Sha256={DIGITS}"),
            format!("sha1={}", &DIGITS[..40]),
            format!("sha512={DIGITS}{DIGITS}"),
            format!("sha256:{DIGITS}"),
            format!("sha256=sha256={DIGITS}"),
            format!("sha256= {DIGITS}"),
            format!(" sha256={DIGITS}"),
            format!("sha256={DIGITS} "),
            format!("sha256={DIGITS}\n"),
            format!("sha256={DIGITS}\0"),
            format!("\"sha256={DIGITS}\""),
            format!("sha256=\"{DIGITS}\""),
            format!("sha256={DIGITS}, sha256={DIGITS}"),
            format!("sha256={DIGITS},"),
            // A lenient integer parser reads `+f` as a byte.
            format!("sha256=+f{}", &DIGITS[2..]),
            format!("sha256=0x{}", &DIGITS[2..]),
            format!("sha256=é{}", &DIGITS[2..]),
            format!("sha256={}", "g".repeat(64)),
        ];
        for value in values {
            assert!(matches!(Signature::parse(value.as_bytes()), Err(MalformedSignature)), "{value:?}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it computes much")]
    fn no_byte_but_a_lower_case_digit_is_read_as_a_digit() {
        for byte in 0..=u8::MAX {
            for place in [7, 38, 70] {
                let mut value = format!("sha256={DIGITS}").into_bytes();
                value[place] = byte;
                let digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(Signature::parse(&value).is_ok(), digit, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn debug_shows_no_tag() {
        let signature = Signature::parse(format!("sha256={DIGITS}").as_bytes()).unwrap();
        assert_eq!(format!("{signature:?}"), "Signature(sha256=…)");
    }
}
