//! What makes no sense is refused with a message that names the member.

use std::time::Duration;

use countersign::{Envelope, Scheme};

use super::{Set, refusal, scheme_error, with, with_signature};

#[test]
fn what_makes_no_sense_is_named() {
    let time = r#","signed":"{timestamp}.{body}","timestamp":"#;
    let field = |name: &str| {
        refusal(&format!(
            r#"{{"name":"a","signed":"{{timestamp}}.{{body}}","timestamp":{{"field":"{name}"}},
                "signature":{{"header":"x-s","separator":",","field":"v"}}}}"#
        ))
    };
    let cases = [
        (refusal("{}"), "missing field `name`"),
        (refusal("[]"), "an object"),
        (refusal(r#"["a",null,null,{"header":"x-s"}]"#), "an object"),
        (refusal(r#"{"name":"a"}"#), "missing field `signature`"),
        (
            refusal(r#"{"name":"A","signature":{"header":"x-s"}}"#),
            "`name`: this is not 1 to 32 of a-z, 0-9, '-', '_' and '.'",
        ),
        (refusal(r#"{"name":"a","name":"b","signature":{"header":"x-s"}}"#), "duplicate field `name`"),
        (with(r#","algorithm":"md5""#), "`md5`"),
        (
            with(r#","secret":"raw""#),
            "`secret`: this must be `text`, `hex` or `base64`, never the secret itself",
        ),
        (with(r#","sceret":"hex""#), "`sceret`"),
        (with(r#","signed":"""#), "`signed`: the template is empty, or does not begin with a URL"),
        (
            with(r#","signed":"{bdy}""#),
            "`signed`: only `{timestamp}`, `{header:NAME}` and `{body}` may be in braces (`{{` is a brace)",
        ),
        (with(r#","signed":"{body}{""#), "`signed`: a brace is not closed (`{{` is a literal brace)"),
        (with(r#","signed":"{body""#), "`signed`: a brace is not closed (`{{` is a literal brace)"),
        (
            with(r#","signed":"{header:}{body}""#),
            "`signed`: only `{timestamp}`, `{header:NAME}` and `{body}` may be in braces (`{{` is a brace)",
        ),
        (with(r#","signed":"{header:x-a}.{header:x-a}.{body}""#), "`signed`: a header occurs twice"),
        (
            with(r#","signed":"{header:x-a}.{body}.{header:x-b}.{header:x-a}""#),
            "`signed`: a header occurs twice",
        ),
        (
            with(r#","signed":"{header:x-a}.{header:x-b}.{header:x-c}.{header:x-d}.{header:x-e}.{body}""#),
            "`signed`: there are more than 4 headers",
        ),
        (
            with(r#","signed":"{timestamp}.{body}""#),
            "`timestamp`: the template has a `{timestamp}`, but there is none",
        ),
        (
            with(r#","signed":"{header:x-a}{header:x-b}.{body}""#),
            "`signed`: two headers' values cannot be told apart, because no literal separates them",
        ),
        (
            with(r#","signed":"{header:x-a}{body}","event":null"#),
            "`signed`: a header's value stands beside the body, and no literal separates them",
        ),
        (
            with(r#","signed":"{header:x a}.{body}""#),
            "`signed`: a header's name has an upper-case letter or a character that none may have",
        ),
        (with(r#","signed":"{header:X-S}.{body}""#), "`signed`: the signature header cannot be signed"),
        (
            with(r#","timestamp":{"header":"x-t"}"#),
            "`signed`: the time is not signed: `{timestamp}` is missing",
        ),
        (with(&format!(r#"{time}{{}}"#)), "`timestamp`: one of `header` and `field` is needed"),
        (
            with(&format!(r#"{time}{{"header":"x-t","field":"t"}}"#)),
            "`timestamp`: one of `header` and `field` is needed",
        ),
        (with(&format!(r#"{time}{{"field":"t"}}"#)), "`timestamp.field`: the signature header has no fields"),
        (
            with(&format!(r#"{time}{{"header":"x t"}}"#)),
            "`timestamp.header`: this is no header's name in lower case",
        ),
        (with(&format!(r#"{time}{{"header":"x-s"}}"#)), "`timestamp.header`: this is the signature header"),
        (with(&format!(r#"{time}{{"header":"x-t","unit":"us"}}"#)), "`us`"),
        (with(&format!(r#"{time}{{"header":"x-t","tolerance_s":-1}}"#)), "-1"),
        (with(&format!(r#"{time}{{"header":"x-t","tolerance":1}}"#)), "`tolerance`"),
        (with(&format!(r#"{time}["x-t",null,"s",1]"#)), "an object"),
        (with_signature("[\"x-s\"]"), "an object"),
        (with_signature(r#"{"header":[]}"#), "`signature.header`: there must be 1 to 8 headers"),
        (with_signature(r#"{"header":["x-s","X-S"]}"#), "`signature.header`: a header occurs twice"),
        (with_signature(r#"{"header":"x s"}"#), "`signature.header`: this is no header's name in lower case"),
        (with_signature(r#"{"header":""}"#), "`signature.header`: this is no header's name in lower case"),
        (with_signature(r#"{"header":7}"#), "a header's name"),
        (with_signature(r#"{"header":"x-s","encoding":"HEX"}"#), "`HEX`"),
        (
            with_signature(r#"{"header":"x-s","prefix":"a\n"}"#),
            "`signature.prefix`: this must be printable ASCII without the separator",
        ),
        (
            with_signature(r#"{"header":"x-s","prefix":"a","separator":",","each":""}"#),
            "`signature.prefix`: there is a separator as well",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":","}"#),
            "`signature.separator`: it goes with `each` or `field`, and they with it",
        ),
        (
            with_signature(r#"{"header":"x-s","each":"v1,"}"#),
            "`signature.separator`: it goes with `each` or `field`, and they with it",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","each":"v1,"}"#),
            "`signature.each`: this must be printable ASCII without the separator",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","field":"v=1"}"#),
            "`signature.field`: this must be a key without `=`",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","field":""}"#),
            "`signature.field`: this must be a key without `=`",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","field":"v,1"}"#),
            "`signature.field`: this must be printable ASCII without the separator",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","field":"é"}"#),
            "`signature.field`: this must be printable ASCII without the separator",
        ),
        (field(""), "`timestamp.field`: this must be a key without `=`"),
        (field("t=1"), "`timestamp.field`: this must be a key without `=`"),
        (field("t,1"), "`timestamp.field`: this must be a key without `=`"),
        (field("é"), "`timestamp.field`: this must be a key without `=`"),
        (field("v"), "`timestamp.field`: this is the field of the tags"),
        (
            with_signature(r#"{"header":"x-s","separator":"a","each":""}"#),
            "`signature.separator`: this must be a space or a character such as `,` that no item contains",
        ),
        (with_signature(r#"{"header":"x-s","separator":", ","each":""}"#), "expected a character"),
        (
            with_signature(r#"{"header":"x-s","separator":"é","each":""}"#),
            "`signature.separator`: this must be a space or a character such as `,` that no item contains",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":"/","each":"","encoding":"base64"}"#),
            "`signature.separator`: this must be a space or a character such as `,` that no item contains",
        ),
        (
            with_signature(r#"{"header":"x-s","separator":",","each":"a","field":"b"}"#),
            "`signature.field`: there is an `each` as well",
        ),
        (with(r#","event":[]"#), "an object"),
        (with(r#","event":{"nmae":"type"}"#), "`nmae`"),
        (with(r#","event":{"name":7}"#), "a member's name"),
        (
            with(r#","event":{"name":{"header":"x e"}}"#),
            "`event.name`: this is no header's name in lower case",
        ),
        (
            with(r#","event":{"name":{"header":"X-S"}}"#),
            "`event.name`: this is the header of the signature or of its time",
        ),
        (
            with(&format!(r#"{time}{{"header":"x-t"}},"event":{{"name":{{"header":"x-t"}}}}"#)),
            "`event.name`: this is the header of the signature or of its time",
        ),
        (with(r#","event":{"name":{"headers":"x-e"}}"#), "`headers`"),
        (with(r#","event":{"name":{"header":"x-e","header":"x-f"}}"#), "`header`"),
        (with(r#","event":{"name":"id"}"#), "`event.id`: this member is the event's name, time or data"),
        (
            with(r#","event":{"id":{"header":"x-id"}}"#),
            "`event.id`: the header is not signed: it does not stand in the template",
        ),
        (
            with(r#","event":{"timestamp":{"header":"x-t"}}"#),
            "`event.timestamp`: only the event's name and id may stand in a header",
        ),
        (
            with(r#","event":{"data":{"header":"x-d"}}"#),
            "`event.data`: only the event's name and id may stand in a header",
        ),
        (with(r#","event":{"timestamp":"data"}"#), "`event.timestamp`: this member is the event's data"),
        (
            with(r#","event":{"name":"at","timestamp":"at"}"#),
            "`event.name`: this member is the event's time or data",
        ),
        (
            with(r#","signed":"{header:x-t}.{timestamp}.{body}","timestamp":{"header":"x-t"}"#),
            "`signed`: the header of the time is written `{timestamp}`",
        ),
    ];
    for (refusal, named) in cases {
        // A whole message, or what serde's has to contain.
        let is_named =
            if named.contains(": ") { refusal.starts_with(named) } else { refusal.contains(named) };
        assert!(is_named, "{refusal:?} does not name {named}");
    }
}

#[test]
fn what_a_declaration_cannot_get_wrong_is_named_to_a_program() {
    const NEW: Scheme<'static> = Scheme::new("x-s");
    for (scheme, envelope, named) in [
        (
            NEW,
            Envelope::new().without_name().with_confirming_header("x-e"),
            "`event.name`: a confirming header needs a member that it confirms",
        ),
        (NEW, Envelope::opaque().with_id("id"), "`event`: an opaque body has no members"),
        (
            NEW.with_tolerance(Duration::from_secs(60)),
            Envelope::new(),
            "`timestamp`: there is a tolerance, but no time",
        ),
    ] {
        let error = scheme_error(Set(scheme, envelope)).expect(named);
        assert_eq!(error.to_string(), named);
    }
}

#[test]
fn a_secret_in_place_of_its_encoding_is_not_shown() {
    for secret in ["\"whsec_0123456789\"", "1234567890123456", "1234567890123456.5", "[\"whsec_0123456789\"]"]
    {
        let refusal = with(&format!(r#","secret":{secret}"#));
        let expected = "`secret`: this must be `text`, `hex` or `base64`, never the secret itself";
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(!refusal.contains("123456"), "{refusal}");
    }
}
