//! `countersign providers` and `countersign provider`: which providers there are, and files that declare more.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign::{Secret, SigningOptions};
use serde_json::json;
use zeroize::Zeroizing;

use crate::failure::{Failure, REJECTED};
use crate::payload::{self, Payload};
use crate::provider::{self, Provider, Settings};
use crate::secrets::Keyring;
use crate::signed::{self, HeaderList};
use crate::{curl, json, terminal};

mod draft;

use draft::{Draft, WHAT_TO_CHECK};

/// List the providers that are built in
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign providers
  countersign providers --json

Any other provider that signs with an HMAC can be declared in a file: countersign provider new.")]
pub(crate) struct ProvidersArgs {
    /// Print a JSON object for each provider
    #[arg(long)]
    json: bool,
}

pub(crate) fn list(arguments: &ProvidersArgs) -> Result<u8, Failure> {
    for provider in Provider::built_in() {
        let patience = provider.patience().map(|patience| patience.as_secs());
        terminal::line(&if arguments.json {
            json::line(&json!({
                "provider": provider.slug(),
                "name": provider.to_string(),
                "variable": provider.variable(),
                "answer_within_s": patience,
                "retries": provider.about_retries(),
            }))
        } else {
            let patience =
                patience.map_or("no time is documented".to_owned(), |s| format!("answer within {s} s"));
            format!(
                "{:<18} {:<34} {patience}; {}",
                provider.slug(),
                provider.variable(),
                provider.about_retries()
            )
        })?;
    }
    Ok(0)
}

/// Declare a provider in a file, and check such a file
///
/// A file declares how the provider signs and where its events have their parts. It never holds a secret.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Examples:
  countersign provider new
  countersign provider check acme.json
  countersign send localhost:3000/webhooks/acme --provider acme.json")]
pub(crate) enum ProviderCommand {
    /// Ask four questions, and write the file
    #[command(after_help = "\
Examples:
  countersign provider new                       # asks, and writes NAME.json
  countersign provider new --output acme.json < answers.txt

If the signed bytes contain the time of a header, a fifth question asks for that header.
Exit codes: 0 written, 2 an answer makes no sense or the file is there already.")]
    New {
        /// Write to this file, which must not be there [default: NAME.json]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Say what is wrong with a file, or sign a sample with it
    #[command(after_help = "\
Examples:
  countersign provider check acme.json

The sample is signed with the secret of the provider's variable, if that is set, and otherwise with one made for it.
Exit codes: 0 the file declares a provider, 1 it does not (the message names the member), 2 it cannot be read.")]
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(crate) fn run(command: &ProviderCommand) -> Result<u8, Failure> {
    match command {
        ProviderCommand::New { output } => new(output.as_deref()),
        ProviderCommand::Check { file } => check(file),
    }
}

fn new(output: Option<&Path>) -> Result<u8, Failure> {
    let mut stdin = std::io::stdin().lock();
    let is_terminal = stdin.is_terminal();
    let mut ask = |question: &str, usual: Option<&str>| -> Result<String, Failure> {
        if is_terminal {
            let usual = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
            write!(std::io::stderr(), "{question}{usual} ")?;
        }
        let mut line = String::new();
        let read = stdin.read_line(&mut line);
        if read.map_err(|error| Failure::usage(format!("an answer cannot be read: {error}")))? == 0 {
            return Err(Failure::usage(format!("an answer is missing: {question}")));
        }
        match (line.trim(), usual) {
            ("", Some(usual)) => Ok(usual.to_owned()),
            ("", None) => Err(Failure::usage(format!("this needs an answer: {question}"))),
            (answer, _) => Ok(answer.to_owned()),
        }
    };

    let name = ask("What is the provider called in keys and paths, such as acme?", None)?;
    let header =
        ask("What is its signature header, as it arrives, such as X-Acme-Signature: sha256=4f0c…?", None)?;
    let mut draft = Draft::new(&name, &header).map_err(Failure::usage)?;
    let signed = ask("What does it sign?", Some(draft.usual_template()))?;
    let time = match draft.needs_time(&signed) {
        true => Some(ask(
            "Which header has the time, as it arrives, such as X-Acme-Timestamp: 1614265330?",
            None,
        )?),
        false => None,
    };
    draft.sign(&signed, time.as_deref()).map_err(Failure::usage)?;
    let event = ask("Where is the event's name: in a member, in header:NAME, or in none?", Some("event"))?;
    draft.name_events(&event);

    let text = draft.to_json();
    provider::of_json(&text)
        .map_err(|error| Failure::usage(format!("these answers do not declare a provider: {error}")))?;
    let path = output.map_or_else(|| PathBuf::from(format!("{name}.json")), Path::to_owned);
    let mut file = std::fs::File::create_new(&path)
        .map_err(|error| Failure::usage(format!("{} cannot be created: {error}", path.display())))?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", path.display())))?;
    let written = terminal::visible_line(&path.display().to_string());
    terminal::line(&format!(
        "written to {written}\n  {}\n  next: countersign provider check {written}",
        WHAT_TO_CHECK
    ))?;
    Ok(0)
}

fn check(path: &Path) -> Result<u8, Failure> {
    let text = provider::read(path)?;
    let provider = match provider::of_json(&text) {
        Ok(provider) => provider,
        Err(error) => {
            terminal::note(&terminal::visible(&format!("countersign: {}: {error}", path.display())));
            return Ok(REJECTED);
        }
    };
    if Provider::of_slug(provider.slug()).is_some() {
        let slug = provider.slug();
        terminal::note(&format!(
            "note: {slug} is the name of a built-in provider: their keys would be the same"
        ));
    }
    let kind = provider.kind(&Settings::default())?;
    let (secrets, of) = match Keyring::default().secrets_if_set(&provider)? {
        Some(secrets) => (secrets, format!("with the secret in {}", provider.variable())),
        None => {
            let secret = made_up()?;
            (secret.into(), "with a secret made for this sample".to_owned())
        }
    };
    let signer = kind.signer(secrets).map_err(|error| Failure::usage(error.to_string()))?;
    let Payload { body, .. } = payload::of_event(&provider, provider.default_event(), true)?;
    let options = SigningOptions::new().with_event(provider.default_event());
    let headers: HeaderList = signed::in_order(&signer.headers(&body, &options));
    let fields =
        headers.iter().map(|(name, value)| String::from_utf8_lossy(&curl::field(name, value)).into_owned());
    let fields: Vec<_> = fields.map(|field| terminal::visible_line(&field)).collect();
    terminal::line(&format!(
        "{} declares {}; its secret's variable is {}\na sample, signed {of}:\n\n{}\n\n{}",
        terminal::visible_line(&path.display().to_string()),
        provider.slug(),
        provider.variable(),
        fields.join("\n"),
        terminal::visible(String::from_utf8_lossy(&body).trim_end()),
    ))?;
    Ok(0)
}

/// A random secret in hex digits, which each encoding of a secret allows: 64 of them are base64, too.
fn made_up() -> Result<Secret, Failure> {
    let random = || getrandom::u64().map_err(|error| Failure::usage(format!("no random numbers: {error}")));
    let mut bytes = Zeroizing::new([0_u8; 32]);
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&random()?.to_be_bytes());
    }
    let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    Secret::new(text.as_str()).map_err(|error| Failure::usage(error.to_string()))
}
