//! The SDKs: two processes with those from npm and PyPI, and two crates.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use interop::svix;
use serde_json::{Value, json};

use crate::ours::URL;

/// An official library, or the documentation's sample if there is no library.
#[derive(Debug, Clone, Copy)]
pub struct Sdk {
    pub provider: &'static str,
    pub registry: &'static str,
    pub name: &'static str,
    /// Whether it also signs. The others only verify.
    pub signs: bool,
    /// Whether its headers begin with `svix-`.
    pub is_svix: bool,
}

const fn sdk(provider: &'static str, registry: &'static str, name: &'static str) -> Sdk {
    Sdk { provider, registry, name, signs: false, is_svix: false }
}

impl Sdk {
    const fn signs(self) -> Self {
        Self { signs: true, ..self }
    }

    const fn svix(self) -> Self {
        Self { is_svix: true, ..self }
    }
}

pub const ZOOM: &str = "zoom's documentation";

pub const SDKS: [Sdk; 18] = [
    sdk("standard-webhooks", "npm", "standardwebhooks").signs(),
    sdk("standard-webhooks", "PyPI", "standardwebhooks").signs(),
    sdk("standard-webhooks", "crates.io", "standardwebhooks").signs(),
    sdk("standard-webhooks", "npm", "svix").signs().svix(),
    sdk("standard-webhooks", "PyPI", "svix").signs().svix(),
    sdk("standard-webhooks", "crates.io", "svix").signs().svix(),
    sdk("stripe", "npm", "stripe").signs(),
    sdk("stripe", "PyPI", "stripe").signs(),
    sdk("github", "npm", "@octokit/webhooks").signs(),
    sdk("github", "npm", "@octokit/webhooks-methods").signs(),
    sdk("shopify", "npm", "@shopify/shopify-api"),
    sdk("slack", "npm", "@slack/bolt"),
    sdk("slack", "PyPI", "slack_sdk").signs(),
    sdk("zoom", "none", ZOOM).signs(),
    sdk("paddle", "npm", "@paddle/paddle-node-sdk"),
    sdk("linear", "npm", "@linear/sdk"),
    sdk("square", "npm", "square"),
    sdk("square", "PyPI", "squareup"),
];

impl Sdk {
    pub fn label(&self) -> String {
        if self.registry == "none" {
            self.name.to_owned()
        } else {
            format!("{} ({})", self.name, self.registry)
        }
    }

    /// The version that is installed.
    pub fn version(&self) -> String {
        match self.registry {
            "none" => "none".to_owned(),
            "crates.io" => version_of_crate(self.name),
            _ => self.ask(json!({"op": "version"}))["version"].as_str().unwrap().to_owned(),
        }
    }

    /// The headers that it makes, in Standard Webhooks' case with its own family's names.
    pub fn sign(&self, secret: &str, body: &str, time: u64) -> HeaderMap {
        assert!(self.signs);
        if self.registry == "crates.io" {
            return sign_by_crate(self, secret, body, time);
        }
        let question = json!({"op": "sign", "secret": secret, "body": body, "time": time, "id": "msg_2"});
        let answer = self.ask(question);
        let headers = answer["headers"].as_object().unwrap();
        headers.iter().map(|(name, value)| (parsed(name), value.as_str().unwrap().parse().unwrap())).collect()
    }

    /// Whether it accepts a delivery, or why not.
    pub fn verify(&self, secret: &str, headers: &HeaderMap, body: &str) -> Result<(), String> {
        if self.registry == "crates.io" {
            return verify_by_crate(self.name, secret, headers, body);
        }
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let question =
            json!({"op": "verify", "secret": secret, "body": body, "headers": headers, "url": URL});
        let answer = self.ask(question);
        let why = || answer["why"].as_str().unwrap().to_owned();
        if answer["accepted"] == true { Ok(()) } else { Err(why()) }
    }

    fn ask(&self, mut question: Value) -> Value {
        static NODE: OnceLock<Mutex<Process>> = OnceLock::new();
        static PYTHON: OnceLock<Mutex<Process>> = OnceLock::new();
        question["sdk"] = self.name.into();
        if question["op"] != "verify" {
            question.as_object_mut().unwrap().remove("url");
        }
        let process = match self.registry {
            "PyPI" => PYTHON.get_or_init(|| Mutex::new(Process::python())),
            _ => NODE.get_or_init(|| Mutex::new(Process::node())),
        };
        process.lock().unwrap().ask(&question)
    }
}

pub fn parsed(name: &str) -> HeaderName {
    name.parse().unwrap()
}

/// The version in this package's lock file.
fn version_of_crate(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
    after.split('"').next().unwrap().to_owned()
}

fn sign_by_crate(sdk: &Sdk, secret: &str, body: &str, time: u64) -> HeaderMap {
    let at = i64::try_from(time).unwrap();
    let body = body.as_bytes();
    let signature = match sdk.name {
        "svix" => svix::Webhook::new(secret).unwrap().sign("msg_2", at, body).unwrap(),
        _ => standardwebhooks::Webhook::new(secret).unwrap().sign("msg_2", at, body).unwrap(),
    };
    let family = if sdk.is_svix { "svix" } else { "webhook" };
    [("id", "msg_2"), ("timestamp", &time.to_string()), ("signature", &signature)]
        .map(|(name, value)| (parsed(&format!("{family}-{name}")), value.parse().unwrap()))
        .into_iter()
        .collect()
}

fn verify_by_crate(name: &str, secret: &str, headers: &HeaderMap, body: &str) -> Result<(), String> {
    let body = body.as_bytes();
    match name {
        "svix" => {
            svix::Webhook::new(secret).unwrap().verify(body, headers).map_err(|error| error.to_string())
        }
        _ => {
            let webhook = standardwebhooks::Webhook::new(secret).unwrap();
            webhook.verify(body, headers).map_err(|error| error.to_string())
        }
    }
}

/// A process that answers a line with a line. It ends when its input is closed, at the end of the test.
struct Process {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _child: Child,
}

impl Process {
    fn node() -> Self {
        // Node finds the packages beside the script.
        let script = installed("node").join("sdks.mjs");
        std::fs::copy(here().join("sdks.mjs"), &script).unwrap();
        Self::start(Command::new("node").arg(script))
    }

    fn python() -> Self {
        let packages = installed("python");
        Self::start(Command::new("python3").arg(here().join("sdks.py")).env("PYTHONPATH", packages))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { stdin, stdout: BufReader::new(stdout), _child: child }
    }

    fn ask(&mut self, question: &Value) -> Value {
        self.stdin.write_all(format!("{question}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no answer to {question:.200}: {answer}"))
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(registry: &str) -> PathBuf {
    let folder = here().join("../../target/interop").join(registry);
    assert!(folder.join("installed").exists(), "run checks/interop/install first");
    folder
}
