//! Each accident, made to happen by the tools that do it to people, is named: it, and nothing else.

use countersign::Cause::{self, *};
use countersign::JsonLayout::{Compact, FourSpaces, Spaced, Tabs, TwoSpaces};
use countersign::provider::ThreeQpr;
use countersign::{Diagnoser, Diagnosis};

use super::tools::Tool::{self, Node, Python, Shell};
use super::{HEADER, SECRET, check_redacted, secret, sign};

const VALUE: &str = r#"{"event":"scan.created","id":"evt_1","data":{"url":"https://example.org/a","city":"Zürich 😀","note":"a \"b\" \\ <c>\n","list":[1,{},[]],"none":null,"price":12.25}}"#;

// What senders make of a value.
const AS_IT_IS: Tool = Shell("cat");
const JS_TWO: Tool = Node("JSON.stringify(JSON.parse(body), null, 2)");
const JS_FOUR: Tool = Node("JSON.stringify(JSON.parse(body), null, 4)");
const JS_TABS: Tool = Node("JSON.stringify(JSON.parse(body), null, '\\t')");
const PYTHON: Tool = Python("json.dumps(json.loads(body))");
const PYTHON_RAW: Tool = Python("json.dumps(json.loads(body), ensure_ascii=False)");
const PYTHON_COMPACT: Tool = Python("json.dumps(json.loads(body), separators=(',', ':'))");
const PYTHON_FOUR: Tool = Python("json.dumps(json.loads(body), indent=4)");
/// As PHP's `json_encode` writes, which is not there: compact, ASCII, and `\/`.
const PHP: Tool = Python("json.dumps(json.loads(body), separators=(',', ':')).replace('/', '\\\\/')");
const PHP_UNICODE: Tool =
    Python("json.dumps(json.loads(body), separators=(',', ':'), ensure_ascii=False).replace('/', '\\\\/')");
/// As Go's `json.Marshal` writes.
const GO: Tool = Node(
    "JSON.stringify(JSON.parse(body)).replace(/[<>&]/g, c => '\\\\u' + c.charCodeAt(0).toString(16).padStart(4, 0))",
);
/// As .NET's `System.Text.Json` writes characters beyond ASCII.
const UPPER_ASCII: Tool = Node(
    "JSON.stringify(JSON.parse(body)).replace(/[^\\0-~]/g, \
     c => '\\\\u' + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, 0))",
);
const WITH_NEWLINE: Tool = Shell("cat; echo");
const WITH_CRLF: Tool = Node("JSON.stringify(JSON.parse(body), null, 2).replaceAll('\\n', '\\r\\n')");
const WITH_BOM: Tool = Python("body.decode().encode('utf-8-sig')");
const FORM: Tool = Python("urllib.parse.urlencode({'payload': body})");
const FORM_JS: Tool = Node("new URLSearchParams({ payload: body + '~' }).toString()");
const FLOATS: Tool = Python(r#"json.dumps({"price": 25.0, "quantity": 2, "total": 50.0, "rate": 1.5})"#);
const DECIMALS: Tool = Shell(r#"printf '{"price":1.50,"net":1.25,"fee":1.10,"quantity":2}'"#);
const CENTS: Tool = Shell(r#"printf '{"price":25.00,"fee":1.50}'"#);
const SOME_CENTS: Tool = Shell(r#"printf '{"price":25.00,"quantity":2,"fee":1.50,"rate":0.5}'"#);

// What stands in front of a verifier.
const EXPRESS: Tool = Node("JSON.stringify(JSON.parse(body))");
const FLASK: Tool = PYTHON;

fn diagnose(signature: &str, body: &[u8]) -> Diagnosis {
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET));
    let diagnosis = diagnoser.diagnose([("Host", &b"example.org"[..]), (HEADER, signature.as_bytes())], body);
    let shown = [format!("{diagnoser:?}"), format!("{diagnosis:?}"), diagnosis.to_string()];
    check_redacted(&shown, &[], signature, body);
    diagnosis
}

#[test]
fn what_was_done_to_the_body_is_named() {
    let cases: Vec<(Tool, Tool, &[Cause])> = vec![
        (JS_TWO, EXPRESS, &[BodyReserialised { signed: TwoSpaces }]),
        (JS_FOUR, EXPRESS, &[BodyReserialised { signed: FourSpaces }]),
        (JS_TABS, EXPRESS, &[BodyReserialised { signed: Tabs }]),
        (PYTHON_RAW, EXPRESS, &[BodyReserialised { signed: Spaced }]),
        (EXPRESS, JS_TWO, &[BodyReserialised { signed: Compact }]),
        (EXPRESS, JS_FOUR, &[BodyReserialised { signed: Compact }]),
        (JS_FOUR, JS_TWO, &[BodyReserialised { signed: FourSpaces }]),
        (EXPRESS, PYTHON_RAW, &[BodyReserialised { signed: Compact }]),
        (PYTHON, EXPRESS, &[BodyReserialised { signed: Spaced }, BodyUnescaped]),
        (PYTHON_FOUR, EXPRESS, &[BodyReserialised { signed: FourSpaces }, BodyUnescaped]),
        (EXPRESS, FLASK, &[BodyReserialised { signed: Compact }, BodyEscaped]),
        (PYTHON, PYTHON_RAW, &[BodyUnescaped]),
        (PYTHON_RAW, PYTHON, &[BodyEscaped]),
        (PYTHON_COMPACT, EXPRESS, &[BodyUnescaped]),
        (UPPER_ASCII, EXPRESS, &[BodyUnescaped]),
        (GO, EXPRESS, &[BodyUnescaped]),
        (EXPRESS, GO, &[BodyEscaped]),
        (PHP, EXPRESS, &[BodyUnescaped, BodySlashesUnescaped]),
        (PHP_UNICODE, EXPRESS, &[BodySlashesUnescaped]),
        (EXPRESS, PHP_UNICODE, &[BodySlashesEscaped]),
        (EXPRESS, PHP, &[BodyEscaped, BodySlashesEscaped]),
        (PHP, FLASK, &[BodyReserialised { signed: Compact }, BodySlashesUnescaped]),
        (FLOATS, EXPRESS, &[BodyReserialised { signed: Spaced }, BodyNumbersRewritten]),
        (DECIMALS, EXPRESS, &[BodyNumbersRewritten]),
        (CENTS, EXPRESS, &[BodyNumbersRewritten]),
        (SOME_CENTS, EXPRESS, &[BodyNumbersRewritten]),
        (SOME_CENTS, FLASK, &[BodyReserialised { signed: Compact }, BodyNumbersRewritten]),
        (AS_IT_IS, Shell("cat; echo"), &[BodyNewlineAdded]),
        (AS_IT_IS, Shell("sed ''; printf '\\r\\n'"), &[BodyNewlineAdded]),
        (WITH_NEWLINE, Shell("printf %s \"$(cat)\""), &[BodyNewlineLost]),
        (Shell("cat; printf '\\r\\n'"), Python("body.rstrip()"), &[BodyNewlineLost]),
        (Shell("printf ' '; cat"), Node("body.toString().trim()"), &[BodyTrimmed]),
        (Shell("cat; printf ' '"), Node("body.toString().trim()"), &[BodyTrimmed]),
        (Shell("echo; cat; echo"), Python("body.strip()"), &[BodyTrimmed]),
        (AS_IT_IS, Shell("printf '  '; cat; echo"), &[BodyPadded]),
        (JS_TWO, Shell("awk 'NR > 1 { printf \"\\r\\n\" } { printf \"%s\", $0 }'"), &[BodyCrlfAdded]),
        (
            JS_TWO,
            Python("io.open(1, 'w', newline='\\r\\n', closefd=False).write(body.decode()) and b''"),
            &[BodyCrlfAdded],
        ),
        (WITH_CRLF, Shell("tr -d '\\r'"), &[BodyCrlfLost]),
        (AS_IT_IS, WITH_BOM, &[BodyBomAdded]),
        (WITH_BOM, Node("new TextDecoder().decode(body)"), &[BodyBomLost]),
        (AS_IT_IS, Node("body.toString('base64')"), &[BodyBase64]),
        (AS_IT_IS, Node("body.toString('base64url')"), &[BodyBase64]),
        (AS_IT_IS, Python("base64.encodebytes(body)"), &[BodyBase64]),
        (AS_IT_IS, Shell("base64"), &[BodyBase64]),
        (AS_IT_IS, Node("JSON.stringify(body.toString())"), &[BodyDoubleEncoded]),
        (AS_IT_IS, Python("json.dumps(body.decode())"), &[BodyDoubleEncoded]),
        (AS_IT_IS, FORM, &[BodyFormEncoded]),
        (AS_IT_IS, Python("urllib.parse.quote(body)"), &[BodyFormEncoded]),
        (AS_IT_IS, Python("urllib.parse.quote_plus(body)"), &[BodyFormEncoded]),
        (AS_IT_IS, Node("encodeURIComponent(body)"), &[BodyFormEncoded]),
        (AS_IT_IS, Node("require('querystring').stringify({ [body]: '' })"), &[BodyFormEncoded]),
        (Shell("cat; printf ' +'"), Node("encodeURI(body)"), &[BodyFormEncoded]),
        (FORM, Python("urllib.parse.parse_qs(body.decode())['payload'][0]"), &[BodyFormDecoded]),
        (FORM_JS, Node("new URLSearchParams(body.toString()).get('payload')"), &[BodyFormDecoded]),
        (AS_IT_IS, Node("body.toString('latin1')"), &[BodyLatin1]),
        (
            Shell("printf '{\"city\":\"Zürich\"}'"),
            Node("Buffer.from(body.toString(), 'latin1')"),
            &[BodyLatin1],
        ),
        // Two at once, of which neither is of the text alone.
        (JS_TWO, Shell("cat; echo"), &[BodyNewlineAdded]),
        (
            JS_TWO,
            Python("json.dumps(json.loads(body), ensure_ascii=False) + '\\n'"),
            &[BodyReserialised { signed: TwoSpaces }],
        ),
        (Shell("cat; echo"), PYTHON_RAW, &[BodyReserialised { signed: Compact }, BodyNewlineLost]),
        (AS_IT_IS, Shell("(cat; echo) | base64"), &[BodyBase64, BodyNewlineAdded]),
        (
            WITH_BOM,
            Node("JSON.stringify(JSON.parse(new TextDecoder().decode(body)), null, 2)"),
            &[BodyReserialised { signed: Compact }, BodyBomLost],
        ),
    ];
    let mut failures = Vec::new();
    for (sender, accident, causes) in cases {
        let Some(signed) = sender.run(VALUE.as_bytes()) else { continue };
        let Some(arrived) = accident.run(&signed) else { continue };
        assert_ne!(signed, arrived, "{sender:?} {accident:?}");
        let diagnosis = diagnose(&sign(&signed), &arrived);
        if diagnosis.causes() != causes {
            failures.push(format!("{sender:?} {accident:?}\n {:?} {causes:?}", diagnosis));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
