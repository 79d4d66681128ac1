//! What the tests share: the program, a listener of it, and requests by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use countersign::{Secret, Signature};
use serde_json::{Value, json};

pub(crate) const QUOTE3D: &str = "quote3d-secret-of-the-tests";
pub(crate) const NOWTOPRINT: &str = "nowtoprint-secret-of-the-tests";
pub(crate) const THREEQPR: &str = "whsec_3qpr-secret-of-the-tests";
pub(crate) const PREVIOUS: &str = "whsec_previous-secret-of-the-tests";

/// Every secret there is, of which none may ever be seen.
pub(crate) const SECRETS: [&str; 4] = [QUOTE3D, NOWTOPRINT, THREEQPR, PREVIOUS];

pub(crate) const COMPLETED: &str = include_str!("../../../tests/data/quote3d_quote_completed.json");
pub(crate) const RECEIVED: &str = include_str!("../../../tests/data/nowtoprint_quote_received.json");
pub(crate) const SCANNED: &str = include_str!("../../../tests/data/threeqpr_scan_created.json");

/// Long enough for any machine: what takes longer never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The program with all secrets in its environment, and nothing else of this one's but what a program needs.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    command
        .env("QUOTE3D_WEBHOOK_SECRET", QUOTE3D)
        .env("NOWTOPRINT_WEBHOOK_SECRET", NOWTOPRINT)
        .env("THREEQPR_WEBHOOK_SECRET", THREEQPR)
        .env("THREEQPR_WEBHOOK_SECRET_PREVIOUS", PREVIOUS);
    command
}

/// The program without any secret.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How a run ended, and all that it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The lines on standard output, of which each is JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The same, where no character is hidden, or would be obeyed by a terminal.
    #[track_caller]
    pub(crate) fn shown(&self) -> Vec<Value> {
        assert_eq!(hidden_in(&self.out), [""; 0], "{self:?}");
        self.json()
    }

    #[track_caller]
    pub(crate) fn is(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.out.contains(text) || self.err.contains(text), "{text:?} is not in {self:#?}");
        self
    }
}

/// Runs the program to its end. Whatever it prints, no secret is in it.
#[track_caller]
pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    // The program may end before it has read all.
    let writer = thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    shows_no_secret(&ended.out);
    shows_no_secret(&ended.err);
    ended
}

#[track_caller]
pub(crate) fn shows_no_secret(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "a secret is shown: {text}");
    }
}

/// The characters of a text that a terminal would obey, or that change the direction or take no room.
pub(crate) fn hidden_in(text: &str) -> Vec<String> {
    let hidden = text.chars().filter(|character| {
        (character.is_control() && *character != '\n')
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    });
    hidden.map(|character| character.escape_unicode().to_string()).collect()
}

/// The same program on a terminal of its own, which joins its two outputs. Input is typed into the terminal.
///
/// It needs Python 3.9 or newer, with the `pty` module. Without it there is no terminal, and in CI the test fails.
pub(crate) fn on_a_terminal(command: &Command) -> Option<Command> {
    const SPAWN: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    static CAN_SPAWN: LazyLock<bool> = LazyLock::new(|| {
        let mut check = Command::new("python3");
        check.args(["-c", "import os, pty; os.waitstatus_to_exitcode"]);
        check.output().is_ok_and(|output| output.status.success())
    });
    if !*CAN_SPAWN {
        assert!(std::env::var_os("CI").is_none(), "Python 3.9 with `pty` is missing: no terminal was tested");
        eprintln!("Python 3.9 with `pty` is missing: no terminal was tested");
        return None;
    }
    let mut terminal = Command::new("python3");
    terminal.args(["-c", SPAWN]).arg(command.get_program()).args(command.get_args());
    terminal.env_clear().env("TERM", "xterm");
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(terminal)
}

/// What a command of curl's comes to, as anybody's shell runs it: with no proxy and no settings of this user's.
#[track_caller]
pub(crate) fn curl(command: &str) -> Output {
    // A body that is no argument comes to curl by a pipe.
    assert!(command.starts_with("curl ") || command.contains("| curl "), "not curl's: {command}");
    let command = command.replacen("curl ", "curl -q ", 1);
    // Only as its first argument, `-q` keeps it from reading `~/.curlrc`.
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null());
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap()
}

pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    Signature::sign(&Secret::new(secret).unwrap(), body).to_string()
}

/// Writes a file, and returns its path.
pub(crate) fn written(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A line of a journal: a delivery without headers.
pub(crate) fn journal_line(provider: &str, body: &str) -> String {
    format!("{}\n", json!({ "provider": provider, "headers": [], "body": body }))
}

/// The headers of a delivery of Quote3D.
pub(crate) fn of_quote3d(event: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Webhook-Event", event.to_owned()),
        ("X-Webhook-Signature", sign(QUOTE3D, body)),
    ]
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "it never comes: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads an output until the text is enough, and returns the output, still open, and the text.
/// It panics if the output ends before that, or if nothing more comes.
#[track_caller]
pub(crate) fn read_until<R: Read + Send + 'static>(
    mut output: R,
    is_enough: impl Fn(&str) -> bool + Send + 'static,
) -> (R, String) {
    let text = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&text);
    let reader = thread::spawn(move || {
        let (mut bytes, mut read) = (Vec::new(), [0; 4_096]);
        loop {
            let length = output.read(&mut read).unwrap();
            bytes.extend_from_slice(&read[..length]);
            // A read may end within a character.
            let so_far = String::from_utf8_lossy(&bytes).into_owned();
            written.lock().unwrap().clone_from(&so_far);
            if is_enough(&so_far) {
                return Some(output);
            }
            if length == 0 {
                return None;
            }
        }
    });
    let started = Instant::now();
    while !reader.is_finished() {
        assert!(started.elapsed() < PATIENCE, "nothing more comes: {:?}", text.lock().unwrap());
        thread::sleep(Duration::from_millis(10));
    }
    let output = reader.join().unwrap();
    let text = text.lock().unwrap().clone();
    (output.unwrap_or_else(|| panic!("it ends too early: {text:?}")), text)
}

/// A process that ends with the test, also if that panics.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let command = format!("kill -{signal} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its only error is that the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A listener, and its output so far.
pub(crate) struct Listener {
    child: Running,
    pub(crate) address: SocketAddr,
    /// What the page's address has to have.
    pub(crate) key: String,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Listener {
    /// A listener on a free port, with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(program(&[&["listen", "--port", "0", "--json"], arguments].concat()))
    }

    #[track_caller]
    pub(crate) fn of(command: Command) -> Self {
        Self::try_of(command).unwrap_or_else(|said| panic!("it has ended: {said}"))
    }

    /// A listener, or what it said as it ended instead.
    #[track_caller]
    pub(crate) fn try_of(mut command: Command) -> Result<Self, String> {
        let mut child = Running::start(&mut command);
        let lines = Arc::new(Mutex::new(Vec::<String>::new()));
        let output = BufReader::new(child.0.stdout.take().unwrap());
        let mut stderr = child.0.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let written = Arc::clone(&lines);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                written.lock().unwrap().push(line);
            }
        });
        let first = until("where it listens", || {
            let first = lines.lock().unwrap().first().cloned();
            first.map(Some).or_else(|| child.0.try_wait().unwrap().map(|_| None))
        });
        let Some(first) = first else { return Err(errors.join().unwrap()) };
        let first: Value = serde_json::from_str(&first).unwrap();
        let address = first["listening"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        let key = first["page"].as_str().and_then(|page| page.split("?key=").nth(1)).unwrap_or_default();
        let key = key.to_owned();
        Ok(Self { child, address, key, lines, errors: Some(errors) })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}?key={}", self.address, self.key)
    }

    /// The deliveries that it has logged, when there are so many.
    #[track_caller]
    pub(crate) fn logged(&self, count: usize) -> Vec<Value> {
        let lines = until("a line for each delivery", || {
            let lines = self.lines.lock().unwrap();
            (lines.len() > count).then(|| lines[1..].to_vec())
        });
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All that it has printed so far.
    pub(crate) fn printed(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        request(self.address, "POST", path, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", &format!("{path}?key={}", self.key), &[], b"")
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.child.signal(signal);
    }

    /// Lifts a limit of the process, of those that `prlimit` knows.
    pub(crate) fn raise_limit(&self, name: &str) {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &self.child.0.id().to_string(), &format!("--{name}=unlimited")]);
        assert!(command.status().unwrap().success());
    }

    /// Its exit code, when it has ended of itself, and all that it ever printed: no secret is in it.
    pub(crate) fn ended(self) -> i32 {
        self.ended_saying().0
    }

    /// The same, and what it wrote on standard error.
    pub(crate) fn ended_saying(mut self) -> (i32, String) {
        let status = until("its end", || self.child.0.try_wait().unwrap());
        shows_no_secret(&self.lines.lock().unwrap().join("\n"));
        let errors = self.errors.take().unwrap().join().unwrap();
        shows_no_secret(&errors);
        (status.code().unwrap_or(-1), errors)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !thread::panicking() {
            shows_no_secret(&self.lines.lock().unwrap().join("\n"));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request by hand: nothing is added but what is needed, and nothing that is given is left out.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Answer {
    let has_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    if !has_host {
        head += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {answer:?}"));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: answer[end + 4..].to_vec() }
}
