//! Processes of the program `receiver`, which is an example and has to be built before.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::NEWEST;

/// A process of the program, which ends with the test, also if that panics.
pub struct Instance {
    address: SocketAddr,
    options: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Child,
}

impl Instance {
    /// An instance on a free port, with these options and what it has beside them in its environment.
    pub fn new(options: &[String], environment: &[(&'static str, String)], log: PathBuf) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, address) = start(any, options, environment, &log);
        Self { address, options: options.to_vec(), environment: environment.to_vec(), log, child }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn kill(&mut self) {
        // Its only error is that the process has ended.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        (self.child, self.address) = start(self.address, &self.options, &self.environment, &self.log);
    }

    pub fn signal(&self, signal: &str) {
        let command = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    }

    /// Asks it to end, as a deployment does.
    pub fn terminate(mut self) -> Option<ExitStatus> {
        self.signal("TERM");
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, yet to be started.
pub fn program() -> Command {
    // Examples are built beside the tests' own folder.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples");
    program.push(format!("receiver{}", std::env::consts::EXE_SUFFIX));
    Command::new(program)
}

/// Starts the program, and returns where it listens. It is started again if it ends at once, which a
/// supervisor would do too: its store may be locked by an instance that is stalled.
fn start(
    address: SocketAddr,
    options: &[String],
    environment: &[(&'static str, String)],
    log: &Path,
) -> (Child, SocketAddr) {
    for _ in 0..10 {
        let mut child = program()
            .args(["--listen", &address.to_string()])
            .args(options)
            .envs(environment.iter().cloned())
            .env("QUOTE3D_WEBHOOK_SECRET", NEWEST)
            .env("NOWTOPRINT_WEBHOOK_SECRET", NEWEST)
            .env("THREEQPR_WEBHOOK_SECRET", NEWEST)
            .stdout(Stdio::piped())
            .stderr(OpenOptions::new().create(true).append(true).open(log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("receiver: {error} (`cargo build --example receiver`)"));
        let (sender, receiver) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        // Read to its end, so that the program never waits for a reader.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    let _ = sender.send(address.parse().unwrap());
                }
            }
        });
        if let Ok(address) = receiver.recv_timeout(Duration::from_secs(20)) {
            return (child, address);
        }
        let _ = child.kill();
        let status = child.wait().unwrap();
        eprintln!("an instance did not start: {status}, {}", last_lines(log));
        thread::sleep(Duration::from_millis(200));
    }
    panic!("no instance starts: {}", last_lines(log));
}

fn last_lines(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
