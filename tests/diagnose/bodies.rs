//! Each accident, made to happen by the tools that do it to people, is named: it, and nothing else.

use countersign::diagnose::{Diagnoser, Diagnosis};
use countersign::provider::ThreeQpr;

use super::tools::Tool::{self, Node, Python, Shell};
use super::{HEADER, SECRET, caused, check_redacted, secret, sign};

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
/// As .NET's `System.Text.Json` writes, unless told.
const DOT_NET: Tool = Node(
    "JSON.stringify(JSON.parse(body)).replace(/\\\\.|[&'+<>`\\x7f-\\uffff]/g, c => c === '\\\\\"' ? '\\\\u0022' : \
     c[0] === '\\\\' ? c : '\\\\u' + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, 0))",
);
/// As Java's Jackson writes characters beyond ASCII, if told to escape them.
const UPPER_ASCII: Tool = Node(
    "JSON.stringify(JSON.parse(body)).replace(/[^\\0-~]/g, \
     c => '\\\\u' + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, 0))",
);
const QUOTES: Tool = Shell(r#"printf '{"a":"\\"\\\\","b":"it is 1+1`"}'"#);
const WITH_EURO: Tool = Shell("printf '{\"price\":\"12 €\",\"city\":\"Genève\"}'");
const LATIN1: Tool = Shell("printf '{\"city\":\"Z\\374rich\"}'");
const SENT_AS_LATIN1: Tool = Shell("printf '{\"city\":\"Z\\374rich, Gen\\350ve\"}'");
const WITH_NEWLINE: Tool = Shell("cat; echo");
const WITH_CRLF: Tool = Node("JSON.stringify(JSON.parse(body), null, 2).replaceAll('\\n', '\\r\\n')");
const WITH_BOM: Tool = Python("body.decode().encode('utf-8-sig')");
const FORM: Tool = Python("urllib.parse.urlencode({'payload': body})");
const FORM_JS: Tool = Node("new URLSearchParams({ payload: body + '~' }).toString()");
const FLOATS: Tool = Python(r#"json.dumps({"price": 25.0, "quantity": 2, "total": 50.0, "rate": 1.5})"#);
const DECIMALS: Tool = Shell(r#"printf '{"price":1.50,"net":1.25,"fee":1.10,"quantity":2}'"#);
const CENTS: Tool = Shell(r#"printf '{"price":25.00,"fee":1.50}'"#);
const FIRST_OF_MANY: Tool = Shell("printf '[25.00,2,3,4,5,6]'");
const MANY_FLOATS: Tool = Shell("printf '[1.0,2.0,3.0,4.0,5.0,1.5]'");
const MANY_CENTS: Tool = Shell("printf '[1.50,2.50,3,4.25,5.50,6]'");
const MANY_WITH_CENTS: Tool = Shell("printf '[1.50,2.00,3.00,4.25,5.50,6.00]'");
const SOME_CENTS: Tool = Shell(r#"printf '{"price":25.00,"quantity":2,"fee":1.50,"rate":0.5}'"#);

// What stands in front of a verifier.
const EXPRESS: Tool = Node("JSON.stringify(JSON.parse(body))");
const FLASK: Tool = PYTHON;

fn diagnose(signature: &str, body: &[u8]) -> Diagnosis {
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap();
    let diagnosis = diagnoser.diagnose([("Host", &b"example.org"[..]), (HEADER, signature.as_bytes())], body);
    let shown = [format!("{diagnoser:?}"), format!("{diagnosis:?}"), diagnosis.to_string()];
    check_redacted(&shown, &[], signature, body);
    diagnosis
}

#[test]
fn what_was_done_to_the_body_is_named() {
    let cases: Vec<(Tool, Tool, &[&str])> = vec![
        (JS_TWO, EXPRESS, &["body_reserialised: TwoSpaces"]),
        (JS_FOUR, EXPRESS, &["body_reserialised: FourSpaces"]),
        (JS_TABS, EXPRESS, &["body_reserialised: Tabs"]),
        (PYTHON_RAW, EXPRESS, &["body_reserialised: Spaced"]),
        (EXPRESS, JS_TWO, &["body_reserialised: Compact"]),
        (EXPRESS, JS_FOUR, &["body_reserialised: Compact"]),
        (JS_FOUR, JS_TWO, &["body_reserialised: FourSpaces"]),
        (EXPRESS, PYTHON_RAW, &["body_reserialised: Compact"]),
        (PYTHON, EXPRESS, &["body_reserialised: Spaced", "body_unescaped"]),
        (PYTHON_FOUR, EXPRESS, &["body_reserialised: FourSpaces", "body_unescaped"]),
        (EXPRESS, FLASK, &["body_reserialised: Compact", "body_escaped"]),
        (PYTHON, PYTHON_RAW, &["body_unescaped"]),
        (PYTHON_RAW, PYTHON, &["body_escaped"]),
        (PYTHON_COMPACT, EXPRESS, &["body_unescaped"]),
        (UPPER_ASCII, EXPRESS, &["body_unescaped"]),
        (DOT_NET, EXPRESS, &["body_unescaped"]),
        (DOT_NET, PYTHON_RAW, &["body_reserialised: Compact", "body_unescaped"]),
        (EXPRESS, DOT_NET, &["body_escaped"]),
        (QUOTES, DOT_NET, &["body_escaped"]),
        (Shell("printf '{\"a\":\"\\\\u0022\\\\\\\\\"}'"), EXPRESS, &["body_unescaped"]),
        (GO, EXPRESS, &["body_unescaped"]),
        (EXPRESS, GO, &["body_escaped"]),
        // Go escapes neither a plus nor most characters beyond ASCII.
        (Shell("printf '{\"url\":\"/?a=1+1\\\\u0026b=2\"}'"), EXPRESS, &["body_unescaped"]),
        (Shell("printf '{\"text\":\"ü\\\\u2028\"}'"), EXPRESS, &["body_unescaped"]),
        (PHP, EXPRESS, &["body_unescaped", "body_slashes_unescaped"]),
        (PHP_UNICODE, EXPRESS, &["body_slashes_unescaped"]),
        (EXPRESS, PHP_UNICODE, &["body_slashes_escaped"]),
        (EXPRESS, PHP, &["body_escaped", "body_slashes_escaped"]),
        (PHP, FLASK, &["body_reserialised: Compact", "body_slashes_unescaped"]),
        (FLOATS, EXPRESS, &["body_reserialised: Spaced", "body_numbers_rewritten"]),
        (DECIMALS, EXPRESS, &["body_numbers_rewritten"]),
        (CENTS, EXPRESS, &["body_numbers_rewritten"]),
        (FIRST_OF_MANY, EXPRESS, &["body_numbers_rewritten"]),
        (MANY_FLOATS, EXPRESS, &["body_numbers_rewritten"]),
        (MANY_CENTS, EXPRESS, &["body_numbers_rewritten"]),
        (MANY_WITH_CENTS, EXPRESS, &["body_numbers_rewritten"]),
        (SOME_CENTS, EXPRESS, &["body_numbers_rewritten"]),
        (SOME_CENTS, FLASK, &["body_reserialised: Compact", "body_numbers_rewritten"]),
        (AS_IT_IS, Shell("cat; echo"), &["body_newline_added"]),
        (AS_IT_IS, Shell("sed ''; printf '\\r\\n'"), &["body_newline_added"]),
        (WITH_NEWLINE, Shell("printf %s \"$(cat)\""), &["body_newline_lost"]),
        (Shell("cat; printf '\\r\\n'"), Python("body.rstrip()"), &["body_newline_lost"]),
        (Shell("printf ' '; cat"), Node("body.toString().trim()"), &["body_trimmed"]),
        (Shell("cat; printf ' '"), Node("body.toString().trim()"), &["body_trimmed"]),
        (Shell("echo; cat; echo"), Python("body.strip()"), &["body_trimmed"]),
        (AS_IT_IS, Shell("printf '  '; cat; echo"), &["body_padded"]),
        (JS_TWO, Shell("awk 'NR > 1 { printf \"\\r\\n\" } { printf \"%s\", $0 }'"), &["body_crlf_added"]),
        (
            JS_TWO,
            Python("io.open(1, 'w', newline='\\r\\n', closefd=False).write(body.decode()) and b''"),
            &["body_crlf_added"],
        ),
        (WITH_CRLF, Shell("tr -d '\\r'"), &["body_crlf_lost"]),
        (AS_IT_IS, WITH_BOM, &["body_bom_added"]),
        (WITH_BOM, Node("new TextDecoder().decode(body)"), &["body_bom_lost"]),
        (AS_IT_IS, Node("body.toString('base64')"), &["body_base64"]),
        (AS_IT_IS, Node("body.toString('base64url')"), &["body_base64"]),
        (AS_IT_IS, Python("base64.encodebytes(body)"), &["body_base64"]),
        (AS_IT_IS, Shell("base64"), &["body_base64"]),
        (AS_IT_IS, Node("JSON.stringify(body.toString())"), &["body_double_encoded"]),
        (AS_IT_IS, Python("json.dumps(body.decode())"), &["body_double_encoded"]),
        (AS_IT_IS, FORM, &["body_form_encoded"]),
        (AS_IT_IS, Python("urllib.parse.quote(body)"), &["body_form_encoded"]),
        (AS_IT_IS, Python("urllib.parse.quote_plus(body)"), &["body_form_encoded"]),
        (AS_IT_IS, Node("encodeURIComponent(body)"), &["body_form_encoded"]),
        (AS_IT_IS, Node("require('querystring').stringify({ [body]: '' })"), &["body_form_encoded"]),
        (Shell("cat; printf ' +'"), Node("encodeURI(body)"), &["body_form_encoded"]),
        // The field's name is what stands before the first `=`, if it can be one.
        (Shell("printf '{\"url\":\"/?a=b\"}'"), Node("encodeURI(body)"), &["body_form_encoded"]),
        (Shell("printf '=é'"), Node("encodeURI(body)"), &["body_form_encoded"]),
        (FORM, Python("urllib.parse.parse_qs(body.decode())['payload'][0]"), &["body_form_decoded"]),
        (FORM_JS, Node("new URLSearchParams(body.toString()).get('payload')"), &["body_form_decoded"]),
        (AS_IT_IS, Node("body.toString('latin1')"), &["body_latin1"]),
        (
            Shell("printf '{\"city\":\"Zürich\"}'"),
            Node("Buffer.from(body.toString(), 'latin1')"),
            &["body_latin1"],
        ),
        (WITH_EURO, Python("body.decode('cp1252')"), &["body_latin1"]),
        (WITH_EURO, Python("body.decode().encode('cp1252')"), &["body_latin1"]),
        (LATIN1, Node("body.toString('utf8')"), &["body_lossy"]),
        (LATIN1, Python("body.decode(errors='replace')"), &["body_lossy"]),
        (
            Shell("printf '{\"city\":\"Z\\357\\277\\275rich, Gen\\357\\277\\275ve\"}'"),
            SENT_AS_LATIN1,
            &["body_signed_lossy"],
        ),
        // Two at once, of which neither is of the text alone.
        (JS_TWO, Shell("cat; echo"), &["body_newline_added"]),
        (
            JS_TWO,
            Python("json.dumps(json.loads(body), ensure_ascii=False) + '\\n'"),
            &["body_reserialised: TwoSpaces"],
        ),
        (Shell("cat; echo"), PYTHON_RAW, &["body_reserialised: Compact", "body_newline_lost"]),
        (AS_IT_IS, Shell("(cat; echo) | base64"), &["body_base64", "body_newline_added"]),
        (
            WITH_BOM,
            Node("JSON.stringify(JSON.parse(new TextDecoder().decode(body)), null, 2)"),
            &["body_reserialised: Compact", "body_bom_lost"],
        ),
    ];
    let mut failures = Vec::new();
    for (sender, accident, causes) in cases {
        let Some(signed) = sender.run(VALUE.as_bytes()) else { continue };
        let Some(arrived) = accident.run(&signed) else { continue };
        assert_ne!(signed, arrived, "{sender:?} {accident:?}");
        let diagnosis = diagnose(&sign(&signed), &arrived);
        if caused(&diagnosis) != causes {
            failures.push(format!("{sender:?} {accident:?}\n {:?} {causes:?}", diagnosis));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
