//! The accidents that are known: what each is called, what happened, and what to do about it.

use std::fmt;

/// An accident that was proven: with it undone, the signature verifies.
///
/// `signed` below is what the provider computed the signature over or with; `arrived`, what was given to
/// the [`Diagnoser`](super::Diagnoser).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The value is in upper-case hex.
    SignatureUpperCase,
    /// There is no `sha256=` before the tag.
    SignaturePrefixMissing,
    /// Something else than `sha256=` stands before the tag.
    SignaturePrefixOther,
    /// The tag is in base64, not in hex.
    SignatureBase64,
    /// The tag is an HMAC-SHA1.
    SignatureSha1,
    /// The tag is an HMAC-SHA512.
    SignatureSha512,
    /// The tag is a plain SHA-256 of the body, which anybody can compute. It proves nothing.
    SignatureWithoutSecret,
    /// There is white space around the value or the tag.
    SignaturePadded,
    /// There are quotes around the value or the tag.
    SignatureQuoted,
    /// Several values were joined with commas, of which one is right.
    SignatureJoined,
    /// The header is there more than once, and one of the values is right.
    SignatureRepeated,
    /// The signature is in another header than the provider's.
    #[non_exhaustive]
    SignatureInOtherHeader {
        /// The header, in lower case.
        name: String,
    },
    /// The signature is in Stripe's form, of a time and the body.
    SignatureOfStripe,
    /// The signature is in the form of Standard Webhooks, of an id, a time and the body.
    SignatureOfStandardWebhooks,

    /// The provider signs with white space at an end of the secret.
    SecretSignedWithWhitespace,
    /// There is white space, or an invisible character, at an end of your secret.
    SecretPadded,
    /// The provider signs with quotes around the secret.
    SecretSignedWithQuotes,
    /// There are quotes around your secret.
    SecretQuoted,
    /// The provider decodes the secret from base64, and signs with the bytes.
    SecretBase64Decoded,
    /// The provider signs with the base64 text of which your secret is the bytes.
    SecretBase64Encoded,
    /// The provider decodes the secret from hex, and signs with the bytes.
    SecretHexDecoded,
    /// The provider signs with the hex text of which your secret is the bytes.
    SecretHexEncoded,
    /// The provider signs without the `whsec_` that your secret begins with.
    SecretPrefixDropped,
    /// The provider signs with a `whsec_` that your secret lacks.
    SecretPrefixMissing,
    /// It was signed with another of your secrets.
    #[non_exhaustive]
    SecretOfOther {
        /// The name that was given to [`with_other`](super::Diagnoser::with_other).
        name: String,
    },

    /// The body arrived as base64.
    BodyBase64,
    /// The body arrived as a JSON string that holds it.
    BodyDoubleEncoded,
    /// The body arrived percent-encoded, as a form's field or as a whole.
    BodyFormEncoded,
    /// The body is a field of the form that was signed.
    BodyFormDecoded,
    /// The body was read as one of UTF-8 and Latin-1 (or Windows-1252) and written as the other.
    BodyLatin1,
    /// A byte that was no UTF-8 was replaced with the character U+FFFD. Of more such bytes there is a
    /// [`Hint`](super::Hint::BodyLossy).
    BodyLossy,
    /// The provider signs the body as text, with U+FFFD for what is no UTF-8, and sends the bytes.
    BodySignedLossy,
    /// A line end was added.
    BodyNewlineAdded,
    /// A line end was lost.
    BodyNewlineLost,
    /// White space was added around the body.
    BodyPadded,
    /// White space around the body was lost.
    BodyTrimmed,
    /// A byte order mark was added.
    BodyBomAdded,
    /// A byte order mark was lost.
    BodyBomLost,
    /// Line ends became CRLF.
    BodyCrlfAdded,
    /// Line ends were CRLF.
    BodyCrlfLost,
    /// The body was parsed and written again with other white space.
    #[non_exhaustive]
    BodyReserialised {
        /// How it was laid out when it was signed.
        signed: JsonLayout,
    },
    /// Characters became `\u` escapes.
    BodyEscaped,
    /// `\u` escapes became characters.
    BodyUnescaped,
    /// `/` became `\/`.
    BodySlashesEscaped,
    /// `\/` became `/`.
    BodySlashesUnescaped,
    /// Numbers lost zeros: `1.0` became `1`, or `1.50` became `1.5`.
    BodyNumbersRewritten,
}

/// How JSON text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonLayout {
    /// No white space, as `JSON.stringify` writes.
    Compact,
    /// A space after each comma and colon, as Python's `json.dumps` writes.
    Spaced,
    /// A line for each member, indented by two spaces a level.
    TwoSpaces,
    /// A line for each member, indented by four spaces a level.
    FourSpaces,
    /// A line for each member, indented by a tab a level.
    Tabs,
}

impl fmt::Display for JsonLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact => "without white space",
            Self::Spaced => "with a space after each comma and colon",
            Self::TwoSpaces => "indented by two spaces",
            Self::FourSpaces => "indented by four spaces",
            Self::Tabs => "indented by tabs",
        })
    }
}

const RAW: &str = "give the verifier the body's raw bytes, as they were read from the connection, and parse \
                   them only afterwards: look for a body parser, or a `JSON.stringify`, in front of it";
const ENDS: &str = "compare and store the body as bytes, not as text: something in front of the verifier (a \
                    shell, an editor, a template) changes its ends";

impl Cause {
    /// The cause's name in programs and metrics: snake case, and stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.texts().0
    }

    /// What to do, in a sentence without a final period.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        self.texts().2
    }

    /// Code, what happened, and the cure.
    fn texts(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::SignatureUpperCase => (
                "signature_upper_case",
                "the signature is in upper-case hex",
                "have the sender, or what stands between, leave the value in lower case",
            ),
            Self::SignaturePrefixMissing => (
                "signature_prefix_missing",
                "the signature lacks its prefix `sha256=`",
                "pass the header on as it came, and do not split it; if the sender writes it so, it is \
                 another scheme",
            ),
            Self::SignaturePrefixOther => (
                "signature_prefix_other",
                "the signature has another prefix than `sha256=`",
                "have the sender write `sha256=`, in lower case, before the tag",
            ),
            Self::SignatureBase64 => (
                "signature_base64",
                "the signature is in base64",
                "have the sender write the tag in lower-case hex",
            ),
            Self::SignatureSha1 => (
                "signature_sha1",
                "the signature is an HMAC-SHA1",
                "take the sender's header for SHA-256 (GitHub's is x-hub-signature-256); SHA-1 is not \
                 accepted",
            ),
            Self::SignatureSha512 => (
                "signature_sha512",
                "the signature is an HMAC-SHA512",
                "have the sender sign with HMAC-SHA256",
            ),
            Self::SignatureWithoutSecret => (
                "signature_without_secret",
                "the signature is a plain SHA-256 of the body, made without any secret",
                "do not accept it, since anybody can make it: have the sender compute an HMAC-SHA256 keyed \
                 with the secret",
            ),
            Self::SignaturePadded => (
                "signature_padded",
                "there is white space around the signature",
                "have what writes or passes on the header leave the value as it is",
            ),
            Self::SignatureQuoted => (
                "signature_quoted",
                "there are quotes around the signature",
                "have what writes or passes on the header leave out the quotes",
            ),
            Self::SignatureJoined => (
                "signature_joined",
                "several signatures were joined with commas, and one of them is right",
                "have the proxy pass on one signature header, and find out who adds the other",
            ),
            Self::SignatureRepeated => (
                "signature_repeated",
                "the signature header is there more than once, and one of them is right",
                "have the proxy pass on one signature header, and find out who adds the other",
            ),
            Self::SignatureInOtherHeader { .. } => (
                "signature_in_other_header",
                "the signature is in the header",
                "configure the provider whose header it is, or have the proxy keep the header's name",
            ),
            Self::SignatureOfStripe => (
                "signature_of_stripe",
                "the signature is in Stripe's form: it is of a time and the body",
                "verify this endpoint with the provider's own library; the scheme here signs the body alone",
            ),
            Self::SignatureOfStandardWebhooks => (
                "signature_of_standard_webhooks",
                "the signature is in the form of Standard Webhooks: it is of an id, a time and the body",
                "verify this endpoint with a library for Standard Webhooks; the scheme here signs the body \
                 alone",
            ),
            Self::SecretSignedWithWhitespace => (
                "secret_signed_with_whitespace",
                "the provider signs with white space at an end of the secret",
                "enter the secret at the provider again, without a line end or a space",
            ),
            Self::SecretPadded => (
                "secret_padded",
                "there is white space or an invisible character at an end of your secret",
                "write the secret again by hand: a file saved with a byte order mark has one in front",
            ),
            Self::SecretSignedWithQuotes => (
                "secret_signed_with_quotes",
                "the provider signs with quotes around the secret",
                "enter the secret at the provider again, without quotes",
            ),
            Self::SecretQuoted => (
                "secret_quoted",
                "there are quotes around your secret",
                "take the quotes out of the env file: not every program that reads one removes them (docker \
                 --env-file does not)",
            ),
            Self::SecretBase64Decoded => (
                "secret_base64_decoded",
                "the provider signs with your secret decoded from base64",
                "decode the secret, and give the bytes to `Secret::from_bytes`",
            ),
            Self::SecretBase64Encoded => (
                "secret_base64_encoded",
                "the provider signs with the base64 text of your secret",
                "do not decode the secret: give it as the provider shows it",
            ),
            Self::SecretHexDecoded => (
                "secret_hex_decoded",
                "the provider signs with your secret decoded from hex",
                "decode the secret, and give the bytes to `Secret::from_bytes`",
            ),
            Self::SecretHexEncoded => (
                "secret_hex_encoded",
                "the provider signs with the hex text of your secret",
                "do not decode the secret: give it as the provider shows it",
            ),
            Self::SecretPrefixDropped => (
                "secret_prefix_dropped",
                "the provider signs without the `whsec_` of your secret",
                "give the secret without its `whsec_`",
            ),
            Self::SecretPrefixMissing => (
                "secret_prefix_missing",
                "the provider signs with a `whsec_` that your secret lacks",
                "give the whole secret as the provider shows it, its `whsec_` included",
            ),
            Self::SecretOfOther { .. } => (
                "secret_of_other",
                "it was signed with the secret of",
                "give this endpoint that secret, or send the delivery to the endpoint whose secret it is",
            ),
            Self::BodyBase64 => (
                "body_base64",
                "the body arrived as base64",
                "decode it first: API Gateway says so in `isBase64Encoded`",
            ),
            Self::BodyDoubleEncoded => (
                "body_double_encoded",
                "the body arrived as a JSON string that holds it",
                "give the verifier the body's raw bytes: something serialised them once more",
            ),
            Self::BodyFormEncoded => (
                "body_form_encoded",
                "the body arrived percent-encoded, as a form",
                "give the verifier the body's raw bytes: a form parser or a forwarder encoded them",
            ),
            Self::BodyFormDecoded => (
                "body_form_decoded",
                "what was signed is the form of which the body is a field",
                "verify the raw form, or set the webhook's content type to application/json at the provider",
            ),
            Self::BodyLatin1 => (
                "body_latin1",
                "the body was read in one of UTF-8 and Latin-1 (or Windows-1252) and written in the other",
                "keep the body as bytes: something took it for text in the wrong encoding",
            ),
            Self::BodyLossy => (
                "body_lossy",
                "a byte of the body was no UTF-8, and was replaced with the character U+FFFD",
                "give the verifier the body's raw bytes: something read them as text",
            ),
            Self::BodySignedLossy => (
                "body_signed_lossy",
                "what was signed has the character U+FFFD where the body has bytes that are no UTF-8",
                "have the sender sign the bytes that it sends, and send UTF-8",
            ),
            Self::BodyNewlineAdded => ("body_newline_added", "a line end was added to the body", ENDS),
            Self::BodyNewlineLost => ("body_newline_lost", "a line end after the body was lost", ENDS),
            Self::BodyPadded => ("body_padded", "white space was added around the body", ENDS),
            Self::BodyTrimmed => ("body_trimmed", "white space around the body was lost", ENDS),
            Self::BodyBomAdded => ("body_bom_added", "a byte order mark was added before the body", ENDS),
            Self::BodyBomLost => ("body_bom_lost", "the byte order mark before the body was lost", ENDS),
            Self::BodyCrlfAdded => (
                "body_crlf_added",
                "the body's line ends became CRLF",
                "keep the body as bytes: something wrote it as text, in Windows' way",
            ),
            Self::BodyCrlfLost => (
                "body_crlf_lost",
                "the body's line ends were CRLF, and became LF",
                "keep the body as bytes: something read it as text",
            ),
            Self::BodyReserialised { .. } => (
                "body_reserialised",
                "the body was parsed and written again; what was signed is laid out",
                RAW,
            ),
            Self::BodyEscaped => {
                ("body_escaped", "the body was written again: characters became \\u escapes", RAW)
            }
            Self::BodyUnescaped => {
                ("body_unescaped", "the body was written again: \\u escapes became characters", RAW)
            }
            Self::BodySlashesEscaped => {
                ("body_slashes_escaped", "the body was written again: `/` became `\\/`", RAW)
            }
            Self::BodySlashesUnescaped => {
                ("body_slashes_unescaped", "the body was written again: `\\/` became `/`", RAW)
            }
            Self::BodyNumbersRewritten => {
                ("body_numbers_rewritten", "the body was written again: numbers lost their final zeros", RAW)
            }
        }
    }
}

/// What happened, in a clause without a final period.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().1)?;
        match self {
            Self::SignatureInOtherHeader { name } | Self::SecretOfOther { name } => write!(f, " {name}"),
            Self::BodyReserialised { signed } => write!(f, " {signed}"),
            _ => Ok(()),
        }
    }
}
