//! The known accidents: a table of their codes, accounts and cures.

use std::fmt;

/// Declares [`Cause`]. Each row is a variant, its code, the account of what happened, and the cure. The account may
/// name the variant's field in braces.
macro_rules! causes {
    ($(
        $(#[$attribute:meta])*
        $variant:ident $({ $(#[$about:meta])* $field:ident: $type:ty $(,)? })?, $code:literal:
        $account:literal => $cure:expr;
    )+) => {
        /// An accident that was proven: with it undone, the signature verifies.
        ///
        /// The text of each variant is its [`code`](Cause::code), and what happened. "Your secret" is one that the
        /// [`Diagnoser`](super::Diagnoser) was given.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Cause {
            $(
                #[doc = concat!("`", $code, "`: ", $account, ".")]
                $(#[$attribute])*
                $variant $({ $(#[$about])* $field: $type })?,
            )+
        }

        impl Cause {
            /// The cause's name in programs and metrics: snake case, and stable.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)+
                }
            }

            /// What to do, in a sentence without a final period.
            #[must_use]
            pub fn cure(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $cure,)+
                }
            }
        }

        /// What happened, in a clause without a final period.
        impl fmt::Display for Cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($field,)? .. } => write!(f, $account),)+
                }
            }
        }
    };
}

/// The cure of a signature in the form of a provider that is built in.
macro_rules! verify_with {
    ($provider:literal) => {
        concat!(
            "verify this endpoint with `provider::",
            $provider,
            "`, or declare this form with your sender's headers"
        )
    };
}

const RAW: &str = "give the verifier the body's raw bytes, as they were read from the connection, and parse \
                   them afterwards: look for a body parser, or a `JSON.stringify`, in front of it";
const ENDS: &str = "compare and store the body as bytes, not as text: something in front of the verifier (a \
                    shell, an editor, a template) changes its ends";
const ONE_HEADER: &str = "have the proxy pass on one signature header, and find out what adds the other";
const AS_SHOWN: &str = "do not decode the secret: use it as the provider shows it";
const DECODED: &str =
    "decode the secret and make the `Secret` from the bytes, or declare the scheme with that `KeyEncoding`";

causes! {
    SignatureUpperCase, "signature_upper_case":
        "the signature is in upper-case hex"
        => "have the sender, or the proxy in between, keep the value in lower case";
    #[non_exhaustive]
    SignaturePrefixMissing {
        /// What stands before a tag under the scheme.
        prefix: String,
    }, "signature_prefix_missing":
        "the signature lacks its prefix `{prefix}`"
        => "pass the header on as it came, and do not split it; if the sender leaves the prefix out, it uses \
            another scheme";
    #[non_exhaustive]
    SignaturePrefixOther {
        /// What stands before the tag under the scheme.
        prefix: String,
    }, "signature_prefix_other":
        "the signature has another prefix than `{prefix}`"
        => "have the sender write the scheme's prefix, in the same case, before the tag";
    SignaturePrefixAdded, "signature_prefix_added":
        "the signature has a prefix, and the scheme has none"
        => "have the sender leave the prefix out, or declare it with the scheme";
    #[non_exhaustive]
    SignatureVersionOther {
        /// What stands before each tag under the scheme.
        version: String,
    }, "signature_version_other":
        "the signature stands under another version than `{version}`"
        => "have the sender write the scheme's version before the tag, or declare the version that it writes";
    SignatureHex, "signature_hex":
        "the signature is in hex"
        => "have the sender write the tag in base64, or declare the scheme with hex";
    SignatureBase64, "signature_base64":
        "the signature is in base64"
        => "have the sender write the tag in lower-case hex, or declare the scheme with base64";
    SignatureBase64Other, "signature_base64_other":
        "the signature is in base64 of the other alphabet, or without its padding"
        => "have the sender write the tag in the scheme's alphabet with padding, or declare the other one";
    SignatureSha1, "signature_sha1":
        "the signature is an HMAC-SHA1"
        => "read the sender's header for the scheme's algorithm (GitHub's for SHA-256 is x-hub-signature-256), or \
            declare the scheme with HMAC-SHA-1";
    SignatureSha256, "signature_sha256":
        "the signature is an HMAC-SHA256"
        => "declare the scheme with HMAC-SHA-256, or have the sender sign with the scheme's algorithm";
    SignatureSha512, "signature_sha512":
        "the signature is an HMAC-SHA512"
        => "declare the scheme with HMAC-SHA-512, or have the sender sign with the scheme's algorithm";
    SignatureWithoutSecret, "signature_without_secret":
        "the signature is a plain SHA-256 of the body, made without any secret"
        => "do not accept it, because anybody can make it: have the sender compute an HMAC with the secret as its \
            key";
    SignaturePadded, "signature_padded":
        "there is white space around the signature"
        => "have the sender, or the proxy in between, keep the value as it is";
    SignatureQuoted, "signature_quoted":
        "there are quotes around the signature"
        => "have the sender, or the proxy in between, leave the quotes out";
    SignatureJoined, "signature_joined":
        "several signatures were joined with commas, and one of them is right"
        => ONE_HEADER;
    SignatureRepeated, "signature_repeated":
        "the signature header occurs more than once, and one of its values is right"
        => ONE_HEADER;
    SignatureBesideMalformed, "signature_beside_malformed":
        "another signature header holds no signature in the scheme's form"
        => "have the sender, or the proxy in between, leave out the header that holds no signature";
    TooManySignatures, "too_many_signatures":
        "there are more than 16 signatures, and one of them is right"
        => "have the sender sign with fewer secrets: remove those that it no longer needs";
    #[non_exhaustive]
    SignatureInOtherHeader {
        /// The header, in lower case.
        name: String,
    }, "signature_in_other_header":
        "the signature is in the header {name}"
        => "configure the provider that uses this header, or have the proxy keep the header's name";
    SignatureOfStripe, "signature_of_stripe":
        "the signature is in Stripe's form, which covers a time and the body"
        => verify_with!("Stripe");
    SignatureOfStandardWebhooks, "signature_of_standard_webhooks":
        "the signature is in the form of Standard Webhooks, which covers an id, a time and the body"
        => verify_with!("StandardWebhooks");
    SignatureOfSlack, "signature_of_slack":
        "the signature is in Slack's form, which covers a time and the body"
        => verify_with!("Slack");
    SignatureOfZoom, "signature_of_zoom":
        "the signature is in Zoom's form, which covers a time and the body"
        => verify_with!("Zoom");
    SignatureOfPaddle, "signature_of_paddle":
        "the signature is in Paddle's form, which covers a time and the body"
        => verify_with!("Paddle");
    #[non_exhaustive]
    HeadersOfOtherFamily {
        /// How the headers begin, such as `svix-`.
        beginning: String,
    }, "headers_of_other_family":
        "the headers begin with `{beginning}`, and the scheme names another family"
        => "declare the headers that the sender writes: `provider::StandardWebhooks` takes both families";
    HeadersMixed, "headers_mixed":
        "the delivery has headers of two families, and those of the signature are right together"
        => "have the proxy pass on the headers of one family, and find out what adds the other";
    SignedBodyAlone, "signed_body_alone":
        "the body was signed alone, without what the scheme signs beside it"
        => "have the sender sign what its documentation says, or declare a scheme that signs `{body}` alone, which \
            cannot refuse a replay by its age";
    #[non_exhaustive]
    SignedUnderOtherTemplate {
        /// The template of the signed bytes, with the names of the headers that arrived.
        template: String,
    }, "signed_under_other_template":
        "the signed bytes are `{template}`, and the scheme has another template"
        => "declare the scheme with that template, or have the sender sign by the scheme's";
    TimeRepeated, "time_repeated":
        "two signature headers bring a time each, and the signature beside one of them is right"
        => "have the sender use one time for both signatures, and write it in one of the headers only";
    TimeInSeconds, "time_in_seconds":
        "the time of the signature is in seconds, and the scheme has another unit"
        => "declare the scheme with `TimeUnit::Seconds`";
    TimeInMilliseconds, "time_in_milliseconds":
        "the time of the signature is in milliseconds, and the scheme has another unit"
        => "declare the scheme with `TimeUnit::Milliseconds`";
    TimeInRfc3339, "time_in_rfc3339":
        "the time of the signature is in RFC 3339, and the scheme has another unit"
        => "declare the scheme with `TimeUnit::Rfc3339`";
    TimeSignedInSeconds, "time_signed_in_seconds":
        "the time was signed in seconds, and sent in milliseconds"
        => "have the sender sign the text that it sends";
    TimeSignedInMilliseconds, "time_signed_in_milliseconds":
        "the time was signed in milliseconds, and sent in seconds"
        => "have the sender sign the text that it sends";

    SecretSignedWithWhitespace, "secret_signed_with_whitespace":
        "the provider signs with white space at an end of the secret"
        => "enter the secret at the provider again, without a line end or a space";
    SecretPadded, "secret_padded":
        "there is white space or an invisible character at an end of your secret"
        => "type the secret again: a file that was saved with a byte order mark begins with an invisible \
            character";
    SecretSignedWithQuotes, "secret_signed_with_quotes":
        "the provider signs with quotes around the secret"
        => "enter the secret at the provider again, without quotes";
    SecretQuoted, "secret_quoted":
        "there are quotes around your secret"
        => "remove the quotes from the env file: some programs keep them when they read one (docker \
            --env-file does)";
    SecretBase64Decoded, "secret_base64_decoded":
        "the provider signs with your secret decoded from base64"
        => DECODED;
    SecretBase64Encoded, "secret_base64_encoded":
        "the provider signs with the base64 text of your secret"
        => AS_SHOWN;
    SecretHexDecoded, "secret_hex_decoded":
        "the provider signs with your secret decoded from hex"
        => DECODED;
    SecretHexEncoded, "secret_hex_encoded":
        "the provider signs with the hex text of your secret"
        => AS_SHOWN;
    SecretUndecoded, "secret_undecoded":
        "the provider signs with the text of your secret, which the scheme decodes"
        => "declare the scheme with `KeyEncoding::Text`; if you decoded the secret yourself, give it as the provider \
            shows it";
    SecretDecodedTwice, "secret_decoded_twice":
        "the provider signs with your secret decoded twice"
        => "give the secret as the provider shows it: yours was encoded once more";
    SecretPrefixDropped, "secret_prefix_dropped":
        "the provider signs without the `whsec_` of your secret"
        => "use the secret without its `whsec_`";
    SecretPrefixMissing, "secret_prefix_missing":
        "the provider signs with a `whsec_` that your secret lacks"
        => "use the whole secret as the provider shows it, with its `whsec_`";
    #[non_exhaustive]
    SecretOfOther {
        /// The name that was given to [`with_other`](super::Diagnoser::with_other).
        name: String,
    }, "secret_of_other":
        "the delivery was signed with the secret of {name}"
        => "give this endpoint that secret, or send the delivery to the endpoint that has it";

    BodyBase64, "body_base64":
        "the body arrived as base64"
        => "decode it first: API Gateway says so in `isBase64Encoded`";
    BodyDoubleEncoded, "body_double_encoded":
        "the body arrived as a JSON string that contains it"
        => "give the verifier the body's raw bytes: something serialised them once more";
    BodyFormEncoded, "body_form_encoded":
        "the body arrived percent-encoded, as a form"
        => "give the verifier the body's raw bytes: a form parser or a forwarder encoded them";
    BodyFormDecoded, "body_form_decoded":
        "the body is one field of the form that was signed"
        => "verify the raw form, or set the webhook's content type to application/json at the provider";
    BodyLatin1, "body_latin1":
        "the body was read as one of UTF-8 and Latin-1 (or Windows-1252) and written as the other"
        => "keep the body as bytes: something read it as text in the wrong encoding";
    BodyLossy, "body_lossy":
        "a byte of the body was not UTF-8, and was replaced with the character U+FFFD"
        => "give the verifier the body's raw bytes: something read them as text";
    BodySignedLossy, "body_signed_lossy":
        "the signed body has the character U+FFFD where this body has bytes that are not UTF-8"
        => "have the sender sign the bytes that it sends, and send UTF-8";
    BodyNewlineAdded, "body_newline_added":
        "a line end was added to the body"
        => ENDS;
    BodyNewlineLost, "body_newline_lost":
        "a line end after the body was lost"
        => ENDS;
    BodyPadded, "body_padded":
        "white space was added around the body"
        => ENDS;
    BodyTrimmed, "body_trimmed":
        "white space around the body was lost"
        => ENDS;
    BodyBomAdded, "body_bom_added":
        "a byte order mark was added before the body"
        => ENDS;
    BodyBomLost, "body_bom_lost":
        "the byte order mark before the body was lost"
        => ENDS;
    BodyCrlfAdded, "body_crlf_added":
        "the body's line ends became CRLF"
        => "keep the body as bytes: something wrote it as text, as Windows does";
    BodyCrlfLost, "body_crlf_lost":
        "the body's line ends were CRLF, and became LF"
        => "keep the body as bytes: something read it as text";
    #[non_exhaustive]
    BodyReserialised {
        /// The layout of the JSON when it was signed.
        signed: JsonLayout,
    }, "body_reserialised":
        "the body was parsed and written again; the provider signed it {signed}"
        => RAW;
    BodyEscaped, "body_escaped":
        "the body was written again: characters became \\u escapes"
        => RAW;
    BodyUnescaped, "body_unescaped":
        "the body was written again: \\u escapes became characters"
        => RAW;
    BodySlashesEscaped, "body_slashes_escaped":
        "the body was written again: `/` became `\\/`"
        => RAW;
    BodySlashesUnescaped, "body_slashes_unescaped":
        "the body was written again: `\\/` became `/`"
        => RAW;
    BodyNumbersRewritten, "body_numbers_rewritten":
        "the body was written again: numbers lost their final zeros"
        => RAW;
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
