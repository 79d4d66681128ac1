//! `countersign sign`: prints the headers that a provider would send with a body.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;

use crate::capture::Capture;
use crate::client::Target;
use crate::curl;
use crate::failure::Failure;
use crate::provider::{Provider, ProviderParser};
use crate::secrets::{Keyring, SecretArgs};
use crate::signed::{Signer, SigningArgs};
use crate::terminal;

/// Sign a body as its provider would, and print the headers
///
/// The body is read from standard input, to the last byte: a newline at its end is signed as well. If a header repeats
/// the event of the body (Quote3D), its value comes from there.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign sign --provider 3qpr < delivery.json
  countersign sign --provider quote3d --curl http://localhost:3000/webhooks/quote3d < delivery.json
  countersign sign --provider github --event push < push.json
  countersign sign --provider acme.json < delivery.json                # any provider that a file declares
  printf %s '{\"event\":\"order.shipped\",\"id\":\"evt_1\",\"data\":{}}' | countersign sign --provider nowtoprint")]
pub(crate) struct SignArgs {
    /// The provider to sign as: a built-in's name, or a FILE that declares one
    #[arg(long, short, value_name = "NAME|FILE", value_parser = ProviderParser)]
    provider: Provider,
    /// The event, if a header alone names it (GitHub, Shopify) [default: push, orders/paid]
    #[arg(long, short)]
    event: Option<String>,
    /// Read the body from this file instead
    #[arg(long, short, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Print a curl command that sends the body to this URL, for a POSIX shell
    #[arg(long, value_name = "URL")]
    curl: Option<String>,
    #[command(flatten)]
    signing: SigningArgs,
    /// Print a JSON object that `countersign verify --lines` reads
    #[arg(long, conflicts_with = "curl")]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(crate) fn run(arguments: &SignArgs) -> Result<u8, Failure> {
    let target = arguments.curl.as_deref().map(Target::parse).transpose()?;
    let keyring = Keyring::open(&arguments.secrets)?;
    let provider = &arguments.provider;
    if arguments.event.is_some() && !provider.is_named_by_header() {
        return Err(Failure::usage(format!(
            "--event is not possible here: {provider}'s body names the event"
        )));
    }
    let signer = Signer::new(provider, &keyring, &arguments.signing, arguments.event.as_deref(), None)?;
    let body = body(arguments.data.as_deref())?;
    let request = signer.sign(body)?;
    let headers = request.headers.iter().map(|(name, value)| (name, value));
    let text = if let Some(target) = target {
        curl::command(&target.to_string(), headers, &request.body)
    } else if arguments.json {
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        Capture {
            provider: provider.clone(),
            url: signer.url.clone(),
            path: None,
            headers: headers.collect(),
            body: request.body.to_vec(),
            now: None,
            max_age: None,
            secrets: None,
        }
        .to_line()
    } else {
        let lines = headers.map(|(name, value)| String::from_utf8(curl::field(name, value)));
        let lines = lines.collect::<Result<Vec<_>, _>>().ok();
        let is_shown = |lines: &Vec<String>| !lines.iter().any(|line| line.contains(terminal::is_hidden));
        lines.filter(is_shown).map(|lines| lines.join("\n")).ok_or_else(|| {
            Failure::usage(
                "the body's `event` has a character that a terminal does not show\n  \
                 Give --json or --curl URL, which escape such characters.",
            )
        })?
    };
    terminal::line(&text)?;
    Ok(0)
}

/// Reads a file, or standard input to its end.
pub(crate) fn body(file: Option<&std::path::Path>) -> Result<Vec<u8>, Failure> {
    if let Some(path) = file.filter(|path| path.as_os_str() != "-") {
        return std::fs::read(path)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())));
    }
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        terminal::note("reading the body from the terminal: press Ctrl-D at its end");
    }
    let mut body = Vec::new();
    stdin
        .read_to_end(&mut body)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(body)
}
