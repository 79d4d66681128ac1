//! The references in `tests/oracle`, run as programs. Where an interpreter is missing, its test says so,
//! and fails under CI.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One question to a reference; a header's bytes are Latin-1, as Node shows them.
pub fn line(
    provider: &str,
    secret: &[u8],
    body: &[u8],
    signature: Option<&[u8]>,
    event: Option<&str>,
) -> String {
    let latin1 = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let line = serde_json::json!({
        "provider": provider,
        "secret_base64": STANDARD.encode(secret),
        "body_base64": STANDARD.encode(body),
        "signature": signature.map(latin1),
        "event": event,
    });
    format!("{line}\n")
}

/// The reference's verdicts, `accepted`, `refused` or `throws`, unless its interpreter is missing.
pub fn answers(program: &str, script: &str, lines: Vec<String>) -> Option<Vec<String>> {
    let script = format!("{}/tests/oracle/{script}", env!("CARGO_MANIFEST_DIR"));
    let spawned = Command::new(program).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing: nothing was compared with it");
        eprintln!("{program} is missing: nothing was compared with it");
        return None;
    };
    let count = lines.len();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.concat().as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} failed");
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = output.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), count);
    Some(answers)
}
