//! A real browser: Chromium, headless, spoken to by its DevTools protocol; or another program that speaks it.
//!
//! The protocol goes through two pipes, which a shell hands to the browser as the descriptors 3 and 4: no
//! driver, no web socket and no crate is needed for it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{PATIENCE, Running};

/// How long a browser may take to end of itself.
const FAREWELL: Duration = Duration::from_secs(20);

/// So many browsers at once, however many tests there are: each is some ten processes.
static FREE: Mutex<u8> = Mutex::new(2);
static FREED: Condvar = Condvar::new();

struct Turn;

impl Turn {
    fn wait() -> Self {
        *FREED.wait_while(FREE.lock().unwrap(), |free| *free == 0).unwrap() -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap() += 1;
        FREED.notify_one();
    }
}

/// A browser with one page, which ends with the test.
pub(crate) struct Page {
    child: Running,
    commands: ChildStdin,
    messages: mpsc::Receiver<Value>,
    session: Option<String>,
    count: u64,
    /// What it has told of itself, such as that a dialog opened.
    events: Vec<Value>,
    /// Its profile, its temporary files and what it says on standard error.
    folder: TempDir,
    _turn: Turn,
}

/// The page at this address; none where there is no Chromium, which under CI is an error.
pub(crate) fn open(url: &str) -> Option<Page> {
    // Such as `checks/firefox`.
    if let Ok(program) = std::env::var("COUNTERSIGN_BROWSER") {
        return Some(Page::open(&program, url));
    }
    let Some(program) =
        ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_there(name))
    else {
        assert!(std::env::var_os("CI").is_none(), "Chromium is missing: the page was not tested");
        eprintln!("Chromium is missing: the page was not tested (apt-get install chromium)");
        return None;
    };
    Some(Page::open(program, url))
}

fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

impl Page {
    fn open(program: &str, url: &str) -> Self {
        let turn = Turn::wait();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh", program])
            // Root may run it only so, and the page is our own.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--disable-quic", "--window-size=1280,860", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr")).unwrap())
            .env("TMPDIR", folder.path())
            // A group of its own, to end all of it at once.
            .process_group(0);
        let mut child = Running::start(&mut command);
        let commands = child.0.stdin.take().unwrap();
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                let message = std::mem::take(&mut message);
                let Ok(message) = serde_json::from_slice(message.strip_suffix(b"\0").unwrap_or(&message))
                else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut page = Self {
            child,
            commands,
            messages,
            session: None,
            count: 0,
            events: Vec::new(),
            folder,
            _turn: turn,
        };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let grant =
            json!({ "origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        page.call("Browser.grantPermissions", grant);
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({}));
        }
        page.call("Page.bringToFront", json!({}));
        page.size(1280, 860);
        page.go(url);
        page
    }

    /// Says something to the browser, and waits for what it says to that.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, where it may have to refuse it.
    #[track_caller]
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        if let Err(error) = self.commands.write_all(format!("{message}\0").as_bytes()) {
            panic!("{method}: {error}; Chromium said: {}", self.said());
        }
        loop {
            let mut message = self
                .messages
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{method}: {error}; Chromium said: {}", self.said()));
            if message["id"] == self.count {
                let error = message["error"].take();
                return if error.is_null() { Ok(message["result"].take()) } else { Err(error) };
            }
            if message.get("id").is_none() {
                self.events.push(message);
            }
        }
    }

    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.wait(
            "document.readyState === 'complete' && document.getElementById('state')?.dataset.live === 'yes'",
        );
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// What an expression in the page comes to, a promise's value when it is there.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    #[track_caller]
    fn try_eval(&mut self, expression: &str) -> Result<Value, Value> {
        let parameters = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
            // The page's policy holds for what is asked here, too.
            "allowUnsafeEvalBlockedByCSP": false,
        });
        let mut result = self.ask("Runtime.evaluate", parameters)?;
        let thrown = result["exceptionDetails"].take();
        if thrown.is_null() { Ok(result["result"]["value"].take()) } else { Err(thrown) }
    }

    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Waits until an expression in the page is true. A page that is being loaded has nothing to say yet.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let started = Instant::now();
        loop {
            let found = self.try_eval(&format!("Boolean({expression})"));
            if found == Ok(Value::Bool(true)) {
                return;
            }
            if started.elapsed() > PATIENCE {
                let text = self.try_eval("document.body.innerText");
                panic!("it never comes: {expression}, which is {found:?}, in {text:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Presses a key, as a person does.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            " " => (32, " "),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            // A letter or a sign is its own text.
            other if other.len() == 1 => (u32::from(other.as_bytes()[0].to_ascii_uppercase()), other),
            other => panic!("which key is {other}?"),
        };
        let mut event = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    pub(crate) fn prefer(&mut self, features: &[(&str, &str)]) {
        let features: Vec<_> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    pub(crate) fn screenshot(&mut self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(path, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// What it has told of one kind, such as `Page.javascriptDialogOpening`.
    pub(crate) fn events(&mut self, method: &str) -> Vec<Value> {
        self.events.iter().filter(|event| event["method"] == method).cloned().collect()
    }

    /// The nodes of the accessibility tree as role and name.
    pub(crate) fn accessible(&mut self) -> Vec<(String, String)> {
        // While it is enabled, each change costs the browser a tree.
        self.call("Accessibility.enable", json!({}));
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        self.call("Accessibility.disable", json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .filter(|node| node["ignored"] == false)
            .map(|node| {
                let text = |what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
                (text("role"), text("name"))
            })
            .collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Asked to, it ends with all its processes; else they are ended, by the group's name, which is its own
        // until it is waited for.
        let _ = self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let started = Instant::now();
        while matches!(self.child.0.try_wait(), Ok(None)) {
            if started.elapsed() > FAREWELL {
                let _ =
                    Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.0.id())]).status();
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // The last of them may write on for a moment.
        let started = Instant::now();
        while fs::remove_dir_all(self.folder.path()).is_err_and(|error| error.kind() != ErrorKind::NotFound)
            && started.elapsed() < FAREWELL
        {
            thread::sleep(Duration::from_millis(50));
        }
        if !thread::panicking() {
            assert!(!self.folder.path().exists(), "its profile stays: {}", self.folder.path().display());
        }
    }
}
