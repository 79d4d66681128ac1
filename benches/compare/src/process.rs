//! The references in Node and Python, which time their own loops.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::case::Case;
use crate::rounds::Candidate;

pub const NODE: &str = "Node, JSON.parse";
pub const PYTHON: &str = "Python, json.loads";

struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(interpreter: &str, script: &str, case: &Case) -> io::Result<Self> {
        let script = format!("{}/loops/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut child =
            Command::new(interpreter).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(case.to_line().as_bytes())?;
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Ok(Self { child, stdin, stdout })
    }

    fn run(&mut self, times: u32) -> Duration {
        writeln!(self.stdin, "{times}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        Duration::from_nanos(line.trim().parse().expect("a program answers with nanoseconds"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The programs whose interpreters are installed. They verify and, what is accepted, parse.
pub fn candidates(case: &Case) -> Vec<Candidate<'static>> {
    let programs = [(NODE, "node", "loop.mjs"), (PYTHON, "python3", "loop.py")];
    let candidate = |(name, interpreter, script): (&str, &str, &str)| {
        let mut program = match Program::start(interpreter, script, case) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            program => program.expect("an interpreter starts"),
        };
        Some(Candidate::timed(name, move |times| program.run(times)))
    };
    programs.into_iter().filter_map(candidate).collect()
}
