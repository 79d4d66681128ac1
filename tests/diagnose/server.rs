//! Headers as a real server hands them on: Node's, which keeps them as they came (`rawHeaders`) and also
//! joins those that are there twice (`headers`).

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use countersign::diagnose::Diagnoser;
use countersign::provider::ThreeQpr;

use super::{BODY, HEADER, SECRET, caused, secret, sign};

type Headers = Vec<(String, String)>;

/// Answers one request with nothing, and writes its headers: as they came, and as they were joined.
const SERVER: &str = "
    const server = require('http').createServer((req, res) => {
        const raw = [];
        for (let at = 0; at < req.rawHeaders.length; at += 2) raw.push(req.rawHeaders.slice(at, at + 2));
        console.log(JSON.stringify([raw, Object.entries(req.headers)]));
        req.resume();
        res.end(() => server.close());
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

/// What the server makes of these values of the signature's header; none if there is no Node.
fn handed_on(values: &[&str]) -> Option<[Headers; 2]> {
    let spawned = Command::new("node").args(["-e", SERVER]).stdout(Stdio::piped()).spawn();
    let Ok(mut node) = spawned else {
        assert!(std::env::var_os("CI").is_none(), "node is missing");
        eprintln!("node is missing: its server was not tried");
        return None;
    };
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines().map(Result::unwrap);
    let port: u16 = lines.next().unwrap().parse().unwrap();
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}", BODY.len());
    for value in values {
        request.push_str(&format!("\r\n{HEADER}:{value}"));
    }
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(&[request.as_bytes(), b"\r\n\r\n", BODY].concat()).unwrap();
    let headers = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert!(node.wait().unwrap().success());
    Some(headers)
}

#[test]
fn headers_that_a_server_hands_on_are_diagnosed() {
    let (right, wrong) = (&*sign(BODY), &*sign(b"another"));
    let quoted = format!("\"{right}\"");
    let padded = format!("  {right} \t");
    // What is named of the headers as they came, and as they were joined.
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&[right], &[], &[]),
        // No white space around a value gets through.
        (&[&padded], &[], &[]),
        (&[&quoted], &["signature_quoted"], &["signature_quoted"]),
        (&[right, right], &["signature_repeated"], &["signature_joined"]),
        (&[wrong, right], &["signature_repeated"], &["signature_joined"]),
        (
            &[wrong, &quoted],
            &["signature_repeated", "signature_quoted"],
            &["signature_joined", "signature_quoted"],
        ),
    ];
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap();
    for (values, as_they_came, joined) in cases {
        let Some(headers) = handed_on(values) else { return };
        for (headers, causes) in headers.iter().zip([as_they_came, joined]) {
            let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
            let diagnosis = diagnoser.diagnose(headers, BODY);
            assert_eq!(caused(&diagnosis), causes, "{values:?}");
            assert_eq!(diagnosis.is_verified(), causes.is_empty(), "{values:?}");
        }
    }
}
