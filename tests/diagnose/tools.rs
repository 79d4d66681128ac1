//! Real tools that make the accidents happen. Where one is missing, its cases say so, and fail under CI.

use std::io::Write;
use std::process::{Command, Stdio};

use Tool::{Node, Python, Shell};

/// A program and what it makes of `body`, its standard input: an expression, or for the shell a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    Node(&'static str),
    Python(&'static str),
    Shell(&'static str),
}

impl Tool {
    /// What the tool writes; none if it is missing.
    pub(crate) fn run(self, input: &[u8]) -> Option<Vec<u8>> {
        let (program, option, script) = match self {
            Node(expression) => (
                "node",
                "-e",
                format!(
                    "const crypto = require('crypto'); const body = require('fs').readFileSync(0); \
                     process.stdout.write({expression})"
                ),
            ),
            Python(expression) => (
                "python3",
                "-c",
                format!(
                    "import base64, codecs, hashlib, hmac, io, json, sys, urllib.parse\n\
                     body = sys.stdin.buffer.read()\nout = {expression}\n\
                     sys.stdout.buffer.write(out if isinstance(out, bytes) else out.encode())"
                ),
            ),
            Shell(command) => ("sh", "-c", command.to_owned()),
        };
        let spawned = Command::new(program)
            .args([option, &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = spawned else {
            assert!(std::env::var_os("CI").is_none(), "{program} is missing");
            eprintln!("{program} is missing: {self:?} was not tried");
            return None;
        };
        // A tool need not read all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{self:?}");
        Some(output.stdout)
    }
}
