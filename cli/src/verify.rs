//! `countersign verify`: the verdict on captured deliveries, and the reason.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use countersign::http::HeaderName;

use crate::capture::Capture;
use crate::failure::{Failure, REJECTED, USAGE};
use crate::json;
use crate::provider::{Provider, ProviderParser, Settings};
use crate::secrets::{Keyring, SecretArgs};
use crate::sign;
use crate::terminal;
use crate::verdict::{Captured, Judge, Terms, Verdict};

/// Verify a captured delivery, and say why it does not verify
///
/// Give the headers as curl writes them, and the exact bytes of the body, in a file or on standard input. A body that
/// was copied from a log or printed again has other bytes, and the diagnosis often says which.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign verify --provider 3qpr -H 'X-3QPR-Signature: sha256=…' --body delivery.json
  countersign verify --provider quote3d -H @headers.txt < delivery.json
  countersign sign --provider 3qpr --json < delivery.json | countersign verify --lines
  countersign verify --lines < journal.jsonl            # what countersign listen --journal kept
Each of the --lines is {\"provider\":…,\"headers\":[[name,value],…],\"body\":…}. It may have body_base64 instead of
body, and also secrets (an array), max_age_s and now. Without secrets, those of the environment are used.

Exit codes: 0 all accepted, 1 any rejected, 2 wrong usage or an unreadable line.")]
pub(crate) struct VerifyArgs {
    /// The provider that sent the delivery: a built-in's name, or a FILE that declares one
    #[arg(long, short, value_name = "NAME|FILE", required_unless_present = "lines", value_parser = ProviderParser)]
    provider: Option<Provider>,
    /// A header as it was received, for each one; @FILE reads one per line
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Read the body from this file instead of standard input
    #[arg(long, short, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Read deliveries from standard input, one JSON object per line
    #[arg(long, conflicts_with_all = ["provider", "headers", "body"])]
    lines: bool,
    /// Refuse a delivery that is older than this, like a receiver with a maximum age
    #[arg(long, value_name = "SECONDS", conflicts_with = "lines")]
    max_age: Option<u64>,
    #[command(flatten)]
    settings: Settings,
    /// Print a JSON object for each verdict
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(crate) fn run(arguments: &VerifyArgs) -> Result<u8, Failure> {
    let keyring = Keyring::open(&arguments.secrets)?;
    if arguments.lines {
        return lines(arguments, &keyring);
    }
    let provider = arguments.provider.as_ref().ok_or_else(|| Failure::usage("--provider is needed"))?;
    if arguments.settings.signature_header.is_some() && provider.slug() != "nowtoprint" {
        return Err(Failure::usage(format!(
            "--signature-header is NowToPrint's: {provider} documents its header"
        )));
    }
    let settings = arguments.settings.with(None, || keyring.notification_url());
    let judge = of_keyring(&settings, &keyring, provider, arguments.max_age.map(Duration::from_secs))?;
    let mut headers = Captured::new();
    for argument in &arguments.headers {
        read_header(argument, &mut headers)?;
    }
    let body = sign::body(arguments.body.as_deref())?;
    let verdict = diagnosed(&*judge, &headers, &body, SystemTime::now());
    print(arguments, &verdict)?;
    Ok(if verdict.is_accepted() { 0 } else { REJECTED })
}

/// Makes a judge with the user's secrets. The diagnosis also tries those of the other providers.
fn of_keyring(
    settings: &Settings,
    keyring: &Keyring,
    provider: &Provider,
    max_age: Option<Duration>,
) -> Result<Arc<dyn Judge>, Failure> {
    let terms = Terms { max_age, others: keyring.others(provider) };
    let kind = provider.kind(settings)?;
    kind.judge(keyring.secrets(provider)?, terms).map_err(|error| Failure::usage(error.to_string()))
}

fn print(arguments: &VerifyArgs, verdict: &Verdict) -> Result<(), Failure> {
    let text = if arguments.json { json::line(verdict) } else { verdict.to_text() };
    Ok(terminal::line(&text)?)
}

/// Reads a header as curl does: `Name: value`, `Name;` for an empty one, or `@FILE` with one per line.
fn read_header(argument: &str, headers: &mut Captured) -> Result<(), Failure> {
    if let Some(path) = argument.strip_prefix('@') {
        let text =
            std::fs::read(path).map_err(|error| Failure::usage(format!("{path} cannot be read: {error}")))?;
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            // A capture has a request line before the headers, and an empty line after them.
            if line.is_empty() || (at == 0 && line.starts_with(b"POST ")) {
                continue;
            }
            headers.push(field(line).ok_or_else(|| {
                Failure::usage(format!("{path}, line {}: not a header like `Name: value`", at + 1))
            })?);
        }
        return Ok(());
    }
    // The message does not quote the argument, which may contain a credential.
    let not_one = || {
        Failure::usage(
            "an argument of -H is not a header\n  Give each one as -H 'Name: value', or all of them as -H @FILE.",
        )
    };
    headers.push(field(argument.as_bytes()).ok_or_else(not_one)?);
    Ok(())
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let (name, value) = match line.iter().position(|byte| *byte == b':') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line.strip_suffix(b";")?, &b""[..]),
    };
    let name = std::str::from_utf8(name).ok()?;
    HeaderName::try_from(name).ok()?;
    // Like a server: white space around a value is not part of it.
    Some((name.to_owned(), value.trim_ascii().to_vec()))
}

fn lines(arguments: &VerifyArgs, keyring: &Keyring) -> Result<u8, Failure> {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    let mut code = 0;
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))? == 0 {
            return Ok(code);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let verdict =
            of_line(arguments, keyring, &line).unwrap_or_else(|message| Verdict::Unreadable { message });
        code = code.max(match verdict {
            Verdict::Accepted(_) => 0,
            Verdict::Rejected(_) => REJECTED,
            Verdict::Unreadable { .. } => USAGE,
        });
        print(arguments, &verdict)?;
    }
}

/// The verdict on a line, or the reason why it is unreadable.
fn of_line(arguments: &VerifyArgs, keyring: &Keyring, line: &[u8]) -> Result<Verdict, String> {
    let capture = Capture::read(line)?;
    let settings = arguments.settings.with(capture.url.as_deref(), || keyring.notification_url());
    let judge = match capture.secrets {
        Some(secrets) => {
            let kind = capture.provider.kind(&settings).map_err(|error| error.to_string())?;
            let terms = Terms { max_age: capture.max_age, others: Vec::new() };
            kind.judge(secrets, terms).map_err(|error| error.to_string())?
        }
        None => of_keyring(&settings, keyring, &capture.provider, capture.max_age)
            .map_err(|error| error.to_string())?,
    };
    let now = capture.now.unwrap_or_else(SystemTime::now);
    Ok(diagnosed(&*judge, &capture.headers, &capture.body, now))
}

fn diagnosed(judge: &dyn Judge, headers: &Captured, body: &[u8], now: SystemTime) -> Verdict {
    let mut verdict = judge.verdict(headers, body, now);
    if verdict.can_be_diagnosed() {
        verdict.set_reasons(judge.reasons(headers, body, now));
    }
    verdict
}
