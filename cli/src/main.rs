//! The companion program of countersign: it sends deliveries to a receiver, and shows those that arrive on a page.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

mod args;
mod capture;
mod client;
mod curl;
mod failure;
mod forge;
mod json;
mod layout;
mod listen;
mod payload;
mod progress;
mod provider;
mod providers;
mod replay;
mod secrets;
mod send;
mod sign;
mod signed;
mod summary;
mod terminal;
mod types;
mod verdict;
mod verify;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // First, before anything could print them.
    let result = secrets::refuse_in(&arguments).and_then(|()| run(Cli::parse().command));
    result.map_or_else(|failure| failure.report(), ExitCode::from)
}

fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Send(arguments) => block_on(send::run(*arguments)),
        Command::Listen(arguments) => block_on(listen::run(arguments)),
        Command::Providers(arguments) => providers::list(&arguments),
        Command::Provider(command) => providers::run(&command),
        Command::Types(arguments) => types::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            terminal::line(String::from_utf8_lossy(&script).trim_end())?;
            Ok(0)
        }
    }
}

/// One thread is enough, because the network takes the time.
fn block_on(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("no runtime: {error}")))?;
    let result = runtime.block_on(command);
    // This does not wait for a running diagnosis or look-up of a name.
    runtime.shutdown_background();
    result
}
