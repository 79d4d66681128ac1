//! Reads secrets from the environment or a file. They never come from an argument, which every user of the machine can
//! read with `ps`, and which stays in the shell's history.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::{Secret, Secrets};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::provider::Provider;

#[derive(Args, Debug, Default)]
pub(crate) struct SecretArgs {
    /// Read the secret from this file, without the newline at its end
    #[arg(long, value_name = "FILE", conflicts_with = "env_file")]
    secret_file: Option<PathBuf>,
    /// Read the secret from this environment variable instead of the provider's own
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    secret_env: Option<String>,
    /// Read NAME=value lines from this file, with secrets and SQUARE_NOTIFICATION_URL; they override the environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// The secrets that the user gave. By default, those of the environment.
#[derive(Default)]
pub(crate) struct Keyring {
    /// One secret, used for every provider: that of `--secret-file` or `--secret-env`.
    only: Option<Secret>,
    variables: HashMap<String, Zeroizing<String>>,
}

impl Keyring {
    pub(crate) fn open(arguments: &SecretArgs) -> Result<Self, Failure> {
        let variables = arguments.env_file.as_deref().map(variables_of_file).transpose()?.unwrap_or_default();
        let mut keyring =
            Self { only: arguments.secret_file.as_deref().map(secret_of_file).transpose()?, variables };
        if let Some(variable) = &arguments.secret_env {
            // The message does not quote it, because it may be the secret itself.
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if variable.is_empty() || !variable.chars().all(is_name) {
                return Err(Failure::usage("--secret-env takes the name of a variable, such as ACME_SECRET"));
            }
            let secret = keyring.lookup(variable)?;
            keyring.only =
                Some(secret.ok_or_else(|| Failure::usage("the variable of --secret-env is not set"))?);
        }
        Ok(keyring)
    }

    /// Whether every provider has the same single secret.
    pub(crate) fn is_one_secret(&self) -> bool {
        self.only.is_some()
    }

    /// All secrets of a provider, newest first.
    pub(crate) fn secrets(&self, provider: &Provider) -> Result<Secrets, Failure> {
        let newest = self.newest(provider)?;
        if self.only.is_some() {
            return Ok(newest.into());
        }
        let secrets = Secrets::new(newest);
        match self.lookup(&provider.previous_variable())? {
            Some(previous) => secrets.with_older(previous).map_err(|error| Failure::usage(error.to_string())),
            None => Ok(secrets),
        }
    }

    /// Like [`secrets`](Keyring::secrets), but `None` if the provider has no secret.
    pub(crate) fn secrets_if_set(&self, provider: &Provider) -> Result<Option<Secrets>, Failure> {
        if !self.is_one_secret() && self.lookup(provider.variable())?.is_none() {
            return Ok(None);
        }
        self.secrets(provider).map(Some)
    }

    /// The secrets of the other providers that have any, by name.
    pub(crate) fn others(&self, provider: &Provider) -> Vec<(String, Secrets)> {
        if self.only.is_some() {
            return Vec::new();
        }
        let others = Provider::built_in().into_iter().filter(|other| other != provider);
        others.filter_map(|other| Some((other.to_string(), self.secrets(&other).ok()?))).collect()
    }

    pub(crate) fn newest(&self, provider: &Provider) -> Result<Secret, Failure> {
        if let Some(secret) = &self.only {
            return Ok(secret.clone());
        }
        let variable = provider.variable();
        self.lookup(variable)?.ok_or_else(|| {
            Failure::usage(format!(
                "{variable} is not set\n  Set it to {provider}'s signing secret, or give --secret-file FILE, --secret-env NAME or --env-file FILE.",
            ))
        })
    }

    pub(crate) fn previous(&self, provider: &Provider) -> Result<Secret, Failure> {
        let variable = provider.previous_variable();
        if self.only.is_some() {
            return Err(Failure::usage(format!(
                "--previous-secret needs {variable}, but --secret-file or --secret-env holds one secret only\n  Set the environment variables, or give --env-file FILE.",
            )));
        }
        self.lookup(&variable)?.ok_or_else(|| {
            Failure::usage(format!(
                "{variable} is not set\n  Set it to the secret that is being rotated out."
            ))
        })
    }

    /// The URL that Square signs, if its variable is set and not empty.
    pub(crate) fn notification_url(&self) -> Option<String> {
        self.variable("SQUARE_NOTIFICATION_URL")
    }

    /// The text of a variable that holds no secret, if it is set and not empty.
    fn variable(&self, name: &str) -> Option<String> {
        let of_file = self.variables.get(name).map(|value| value.to_string());
        let of_file = of_file.filter(|value| !value.is_empty());
        of_file.or_else(|| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The secret in a variable, if that is set and not empty.
    fn lookup(&self, variable: &str) -> Result<Option<Secret>, Failure> {
        let secret = if let Some(value) = self.variables.get(variable).filter(|value| !value.is_empty()) {
            Secret::new(value.as_str()).map_err(|error| format!("{variable}: {error}"))
        } else if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            Secret::from_env(variable).map_err(|error| error.to_string())
        } else {
            return Ok(None);
        };
        secret.map(|secret| Some(secret.with_label(variable))).map_err(Failure::Usage)
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

fn secret_of_file(path: &Path) -> Result<Secret, Failure> {
    let text = read(path)?;
    // An editor adds the last line end. All other white space counts, and is refused.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        let message =
            "has more than one line, so it is not a secret\n  For NAME=value lines, give --env-file FILE.";
        return Err(Failure::usage(format!("{} {message}", path.display())));
    }
    Secret::new(line)
        .map(|secret| secret.with_label(path.display().to_string()))
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Reads `NAME=value` lines. `export ` before a name and quotes around a value are optional, and `#` begins a comment
/// on a line of its own. Nothing in a value is replaced, so a secret may contain `$` and `\`.
fn variables_of_file(path: &Path) -> Result<HashMap<String, Zeroizing<String>>, Failure> {
    let text = read(path)?;
    let mut variables = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            // The message does not quote the line, which may be a secret.
            return Err(Failure::usage(format!("{}, line {}: not NAME=value", path.display(), at + 1)));
        };
        let value = value.trim();
        let value = match value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            None => value,
            // Otherwise a comment after the quote, or a missing quote, would become part of the secret.
            Some(quote) => {
                value[1..].strip_suffix(quote).filter(|value| !value.contains(quote)).ok_or_else(|| {
                    let place = format!("{}, line {}", path.display(), at + 1);
                    Failure::usage(format!(
                        "{place}: the value begins with {quote} and does not end with the next one"
                    ))
                })?
            }
        };
        variables.insert(name.trim().to_owned(), Zeroizing::new(value.to_owned()));
    }
    Ok(variables)
}

/// Refuses arguments that are, or look like, a secret, before anything can print them.
pub(crate) fn refuse_in(arguments: &[OsString]) -> Result<(), Failure> {
    const WHY: &str = "every user of this machine can read arguments with `ps`, and the shell remembers them\n  \
        Set an environment variable, or give --secret-file FILE or --env-file FILE.\n  \
        If the secret was real, rotate it.";
    let values: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((name.into_string().ok()?, Zeroizing::new(value.into_string().ok()?)))
        })
        .filter(|(name, value)| name.contains("_SECRET") && value.len() >= Secret::MIN_LEN)
        .collect();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if let Some((variable, _)) = values.iter().find(|(_, value)| text.contains(value.as_str())) {
            return Err(Failure::usage(format!("an argument holds the value of {variable}: {WHY}")));
        }
        let given = ["--secret=", "--previous-secret="].iter().any(|option| text.starts_with(option));
        if given || text == "--secret" {
            return Err(Failure::usage(format!("no option takes a secret: {WHY}")));
        }
        if text.contains("whsec_") {
            return Err(Failure::usage(format!("an argument looks like a secret (whsec_…): {WHY}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(text: &str) -> Result<HashMap<String, Zeroizing<String>>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        variables_of_file(file.path())
    }

    #[test]
    fn an_env_file_is_read_as_it_stands() {
        let text = "# of the project\n\nexport A='one $B'\nB=\"two\\n\"\nC=three#3\r\n D = four \nE=\n";
        let read = keyring(text).unwrap();
        for (name, value) in [("A", "one $B"), ("B", "two\\n"), ("C", "three#3"), ("D", "four"), ("E", "")] {
            assert_eq!(**read.get(name).unwrap(), *value, "{name}");
        }
    }

    #[test]
    fn a_quote_ends_the_value_that_it_begins() {
        for value in ["\"open", "'", "\"whsec_a\" # comment", "'a'b'", "\"a\" # \"b\""] {
            let message = keyring(&format!("A=1\nB={value}\n")).unwrap_err().to_string();
            assert!(message.contains("line 2: the value begins with"), "{message}");
            assert!(!message.contains("whsec_"), "{message}");
        }
        assert_eq!(**keyring("A= 'it is \"so\"' \n").unwrap().get("A").unwrap(), *"it is \"so\"");
    }

    #[test]
    fn a_line_that_is_no_variable_is_refused_without_being_shown() {
        let message = keyring("A=1\nwhsec_pasted-alone").unwrap_err().to_string();
        assert!(message.ends_with("line 2: not NAME=value"), "{message}");
    }
}
