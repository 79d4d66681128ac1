//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::listen::ListenArgs;
use crate::providers::{ProviderCommand, ProvidersArgs};
use crate::send::SendArgs;
use crate::sign::SignArgs;
use crate::types::TypesArgs;
use crate::verify::VerifyArgs;

/// Try a webhook receiver out: sign, send, verify and watch deliveries of any provider that signs with an HMAC
#[derive(Parser, Debug)]
#[command(name = "countersign", version, arg_required_else_help = true)]
#[command(after_help = "\
Start with:
  countersign listen                                  and open the page that it names
  countersign send localhost:4400/webhooks/quote3d --provider quote3d

Secrets come from the environment, from --secret-file or from --env-file, and never from an argument:
  QUOTE3D_WEBHOOK_SECRET, STRIPE_WEBHOOK_SECRET and so on (countersign providers lists them),
  and each with _PREVIOUS for the secret that is being rotated out.

Exit codes: 0 as expected, 1 rejected, 2 wrong usage (the message says what to do), 3 no answer,
130 interrupted, 141 output closed. NO_COLOR turns colours off.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Sign(SignArgs),
    Send(Box<SendArgs>),
    Verify(VerifyArgs),
    Listen(ListenArgs),
    Types(TypesArgs),
    Providers(ProvidersArgs),
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Print the completions for a shell
    #[command(after_help = "\
Examples:
  countersign completions bash > ~/.local/share/bash-completion/completions/countersign
  countersign completions zsh > ~/.zfunc/_countersign        # with fpath+=~/.zfunc before compinit
  countersign completions fish > ~/.config/fish/completions/countersign.fish")]
    Completions {
        shell: Shell,
    },
}
