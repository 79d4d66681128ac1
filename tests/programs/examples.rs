//! The examples to start from, as processes of their own, over real HTTP.
//!
//! It needs them built, as `cargo test` does unless it is told to run one file alone: then, before it,
//! `cargo build --features axum,actix-web --examples`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{NEWEST, NOWTOPRINT, OLDER, QUOTE3D, THREEQPR};
use countersign::{Secret, Signature};

const ACME: &str = "whsec_the-secret-of-acme";
const GLOBEX: &str = "whsec_the-secret-of-globex";

const SIGNATURE: &str = "X-Webhook-Signature";

/// Long enough for any machine: what takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example that runs until the test ends.
struct Example {
    child: Child,
    lines: mpsc::Receiver<String>,
    address: SocketAddr,
}

/// An example, yet to be started.
fn program(name: &str) -> Command {
    // Examples are built beside the tests' own folder.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples");
    program.push(name);
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
    command
}

impl Example {
    fn start(name: &str) -> Self {
        let mut child = program(name)
            .env("QUOTE3D_WEBHOOK_SECRET", NEWEST)
            .env("QUOTE3D_WEBHOOK_SECRET_PREVIOUS", OLDER)
            .env("NOWTOPRINT_WEBHOOK_SECRET", NEWEST)
            .env("ACME_WEBHOOK_SECRET", ACME)
            .env("GLOBEX_WEBHOOK_SECRET", GLOBEX)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error} (`cargo build --example {name}`)"));
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let line = lines.recv_timeout(PATIENCE).expect("it says where it listens");
        let address = line.strip_prefix("listening on http://").expect("where it listens").parse().unwrap();
        Self { child, lines, address }
    }

    fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        Answer::read(&stream)
    }

    /// A POST request with a signature by this secret.
    fn deliver(&self, path: &str, header: &str, secret: &str, event: &str, body: &str) -> Answer {
        let signature = sign(secret, body);
        self.send(&request(path, &[(header, &signature), ("X-Webhook-Event", event)], body))
    }

    /// All that it has printed, when it was told to end and has done so of itself.
    fn interrupted(mut self) -> Vec<String> {
        let command = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        assert!(self.child.wait().unwrap().success());
        lines
    }

    /// All that it has printed. What it printed before an answer is there.
    fn killed(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Its only error is that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: its head but for the date, and its body.
#[derive(Debug, PartialEq)]
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn read(stream: &TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the connection ends within a head: {head}");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            if !line.to_lowercase().starts_with("date: ") {
                head += &line;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        Self { head, body: String::from_utf8(body).unwrap() }
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Asserts that it says this and no more: an acknowledgement is empty, a refusal has its code.
    #[track_caller]
    fn is(&self, status: u16, code: &str) {
        let body = if status == 200 { String::new() } else { format!(r#"{{"error":"{code}"}}"#) };
        assert_eq!((self.status(), &self.body), (status, &body), "{self:?}");
        let is_json = self.head.to_lowercase().contains("content-type: application/json\r\n");
        assert_eq!(is_json, status != 200, "{self:?}");
    }
}

fn sign(secret: &str, body: &str) -> String {
    Signature::sign(&Secret::new(secret).unwrap(), body.as_bytes()).to_string()
}

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{lines}\r\n{body}", body.len())
        .into_bytes()
}

/// Everything that may come to the path of Quote3D. Two of it are events.
fn deliver_to_quote3d(example: &Example) {
    let path = "/webhooks/quote3d";
    let event = ("X-Webhook-Event", "quote.completed");
    let right = &*sign(NEWEST, QUOTE3D);

    example.deliver(path, SIGNATURE, NEWEST, "quote.completed", QUOTE3D).is(200, "handled");
    example.deliver(path, SIGNATURE, NEWEST, "quote.completed", QUOTE3D).is(200, "duplicate");
    // While the secret is rotated, the previous one counts too.
    example.deliver(path, SIGNATURE, OLDER, "quote.completed", QUOTE3D).is(200, "duplicate");
    let deleted = r#"{"event":"file.deleted","data":{}}"#;
    example.deliver(path, SIGNATURE, OLDER, "file.deleted", deleted).is(200, "handled");

    example.send(&request(path, &[event], QUOTE3D)).is(401, "missing_signature");
    let forged = QUOTE3D.replace("25.5", "0.5");
    example.send(&request(path, &[event, (SIGNATURE, right)], &forged)).is(401, "signature_mismatch");
    let twice = [event, (SIGNATURE, right), ("x-webhook-signature", right)];
    example.send(&request(path, &twice, QUOTE3D)).is(401, "duplicate_signature");
    example.send(&request(path, &[(SIGNATURE, right)], QUOTE3D)).is(400, "missing_event_header");
    example.deliver(path, SIGNATURE, NEWEST, "quote.failed", QUOTE3D).is(400, "event_mismatch");
    let lacking = r#"{"event":"quote.completed","data":{}}"#;
    example.deliver(path, SIGNATURE, NEWEST, "quote.completed", lacking).is(422, "invalid_event");

    // Over the limit of 1 MiB: by its announced length, with none of it sent, and without one.
    let head = |length: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{SIGNATURE}: {right}\r\n{length}\r\n\r\n")
    };
    example.send(head("Content-Length: 1048577").as_bytes()).is(413, "body_too_large");
    let chunked = head("Transfer-Encoding: chunked") + "100001\r\n" + &"x".repeat(0x10_0001) + "\r\n";
    example.send(chunked.as_bytes()).is(413, "body_too_large");

    assert_eq!(example.deliver("/elsewhere", SIGNATURE, NEWEST, "file.deleted", deleted).status(), 404);
}

const OF_QUOTE3D: [&str; 2] = [r#""job_01HXYZ123456789" costs 25.5"#, r#"not ours: "file.deleted""#];

fn deliver_to_nowtoprint(example: &Example) {
    let path = "/webhooks/nowtoprint";
    example.deliver(path, SIGNATURE, NEWEST, "", NOWTOPRINT).is(200, "handled");
    example.deliver(path, SIGNATURE, NEWEST, "", NOWTOPRINT).is(200, "duplicate");
    example.deliver(path, SIGNATURE, OLDER, "", NOWTOPRINT).is(401, "signature_mismatch");
    example.send(&request(path, &[], NOWTOPRINT)).is(401, "missing_signature");
}

/// Tenants' events, of which each has the same one.
fn deliver_to_tenants(example: &Example) {
    let to = |tenant: &str, secret| {
        example.deliver(&format!("/tenants/{tenant}/3qpr"), "X-3QPR-Signature", secret, "", THREEQPR)
    };
    to("acme", ACME).is(200, "handled");
    to("acme", ACME).is(200, "duplicate");
    to("globex", GLOBEX).is(200, "handled");

    let forged = to("acme", GLOBEX);
    forged.is(401, "signature_mismatch");
    assert_eq!(to("globex", ACME), forged);
    // Whether a tenant exists is nobody's business.
    assert_eq!(to("initech", ACME), forged);
    let unsigned = |tenant| example.send(&request(&format!("/tenants/{tenant}/3qpr"), &[], THREEQPR));
    unsigned("acme").is(401, "missing_signature");
    assert_eq!(unsigned("initech"), unsigned("acme"));
}

fn of_all() -> Vec<&'static str> {
    let [quote, unknown] = OF_QUOTE3D;
    vec![
        quote,
        unknown,
        r#""quote_987654" was received"#,
        r#"acme's code: a scan in Some("San Francisco")"#,
        r#"globex's code: a scan in Some("San Francisco")"#,
    ]
}

#[test]
fn axum() {
    let example = Example::start("axum");
    deliver_to_quote3d(&example);
    deliver_to_nowtoprint(&example);
    deliver_to_tenants(&example);
    assert_eq!(example.interrupted(), of_all());
}

#[test]
fn actix_web() {
    let example = Example::start("actix_web");
    deliver_to_quote3d(&example);
    deliver_to_nowtoprint(&example);
    deliver_to_tenants(&example);
    assert_eq!(example.interrupted(), of_all());
}

#[test]
fn hyper() {
    let example = Example::start("hyper");
    deliver_to_quote3d(&example);
    assert_eq!(example.interrupted(), OF_QUOTE3D);
}

#[test]
fn sync() {
    let example = Example::start("sync");
    deliver_to_quote3d(&example);
    assert_eq!(example.killed(), OF_QUOTE3D);
}

#[test]
fn none_of_them_starts_without_its_secret_and_each_says_so_in_words() {
    for name in ["axum", "actix_web", "hyper", "sync"] {
        let mut child = program(name).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Its only error is that the process has ended.
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        assert_eq!(line, "", "{name}");
        assert_eq!(output.status.code(), Some(1), "{name}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, "Error: QUOTE3D_WEBHOOK_SECRET is not set\n", "{name}");
    }
}
