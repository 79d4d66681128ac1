//! `countersign listen`: a receiver on this machine that shows deliveries on a page and on the terminal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::Target;
use crate::failure::Failure;
use crate::json;
use crate::provider::{self, Provider, ProviderParser, Settings};
use crate::secrets::{Keyring, SecretArgs};
use crate::terminal::{self, Colour, paint};
use crate::verdict::{Judge, Terms};

mod claim;
mod diagnoses;
mod entry;
mod events;
mod guard;
mod intake;
mod journal;
mod log;
mod original;
mod page;
mod record;
mod redact;
mod server;

use intake::Intake;
use record::Record;

/// Receive deliveries on this machine, and watch them on a page
///
/// Each delivery is verified and shown, with the reason if it is refused. With --forward-to, the same bytes and
/// headers go to your endpoint, and its answer goes back to the sender. Without it, the sender gets the status of the
/// verdict.
///
/// The page needs the printed address with its key, which is new at each start, and a browser on this machine, even if
/// --bind lets deliveries come from elsewhere.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign listen
  countersign listen --forward-to localhost:3000          # /webhooks/quote3d goes to the same path there
  countersign listen --forward-to localhost:3000/hooks    # everything goes to that path
  countersign listen --providers ./providers              # those that its .json files declare, too
  countersign listen --journal journal.jsonl              # keep what came
  countersign listen --json | jq 'select(.verdict == \"rejected\")'

Deliveries go to /webhooks/NAME, such as /webhooks/stripe: countersign providers lists the names. The newest 1,000
are kept in memory, 64 MiB at most; half of the room is for accepted ones, if there are so many. A provider whose
secret is not set is shown, and answered 503. The reason for refusing a body of more than 64 KiB is found on request,
at a button on the page.

Exit codes: 0 ended by Ctrl-C, 2 wrong usage or a port that is not free.")]
pub(crate) struct ListenArgs {
    /// Forward each delivery to this URL, such as localhost:3000
    #[arg(long, short, value_name = "URL")]
    forward_to: Option<String>,
    /// The port to listen on; 0 is any free one
    #[arg(long, default_value_t = 4400)]
    port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// How long to wait for your endpoint
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    /// Serve the provider that this FILE declares as well
    #[arg(long, short, value_name = "FILE", value_parser = ProviderParser)]
    provider: Vec<Provider>,
    /// Serve each provider that a .json file of this directory declares as well
    #[arg(long, value_name = "DIR")]
    providers: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Append each delivery to this file, for verify --lines, send --replay and types
    ///
    /// A line is a JSON object with the delivery's headers, but for those that carry a credential, and its body. A body
    /// that is too long or incomplete is left out. A new file is only its user's to read. It grows without a limit, by
    /// forged deliveries as well; on a full disk, deliveries are still answered.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Print a JSON object for each delivery
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// The state that the routes share.
pub(crate) struct App {
    intake: Arc<Intake>,
    /// Where it listens.
    address: SocketAddr,
    /// The key in the page's address. The page and its API refuse requests without it.
    key: String,
    /// Identifies this process to a page that reconnects.
    instance: String,
    /// Becomes true when the program must end.
    ending: watch::Receiver<bool>,
}

pub(crate) async fn run(arguments: ListenArgs) -> Result<u8, Failure> {
    let forward = arguments.forward_to.as_deref().map(Target::parse).transpose()?;
    let keyring = Keyring::open(&arguments.secrets)?;
    if keyring.is_one_secret() {
        let message = "one secret is given, but listen serves many providers\n  \
            Give --env-file FILE with a NAME=value line for each.";
        return Err(Failure::usage(message));
    }
    let settings = arguments.settings.with(None, || keyring.notification_url());
    let served = served(&arguments, &settings, &keyring)?;
    let record =
        arguments.journal.as_deref().map(|path| Record::open(path, &settings.notification)).transpose()?;
    let address = SocketAddr::new(arguments.bind, arguments.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!(
            "cannot listen on {address}: {error}\n  Give another --port; 0 is any free one."
        ))
    })?;
    let address = listener.local_addr()?;
    if forward.as_ref().is_some_and(|target| target.is_on_this_machine(address.port())) {
        return Err(Failure::usage(
            "--forward-to is this listener itself\n  Give your own endpoint, or another --port.",
        ));
    }
    let forward = forward.map(|target| target.other_than(address));
    let key = random()?;
    announce(&arguments, address, &key, forward.as_ref(), &served)?;

    let (end, ending) = watch::channel(false);
    let log = log::Log::new(arguments.json, end.clone());
    let intake = Arc::new(Intake::new(served, forward, Duration::from_secs(arguments.timeout), log, record));
    let app = Arc::new(App { intake: Arc::clone(&intake), address, key, instance: random()?, ending });
    let ended = app.ending.clone();
    server::serve(listener, router(app), ended_or_interrupted(end, ended)).await;
    intake.log.settle().await;
    if intake.log.is_closed() { Err(Failure::BrokenPipe) } else { Ok(0) }
}

/// A provider, and its judge or the reason why it has none.
pub(crate) struct Served {
    pub(crate) provider: Provider,
    pub(crate) judge: Result<Arc<dyn Judge>, String>,
}

/// All providers that deliveries may come from. No two may have the same path.
fn served(arguments: &ListenArgs, settings: &Settings, keyring: &Keyring) -> Result<Vec<Served>, Failure> {
    let mut providers = Provider::built_in();
    let mut declared = match &arguments.providers {
        Some(directory) => provider::in_directory(directory)?,
        None => Vec::new(),
    };
    if let Some(provider) = arguments.provider.iter().find(|provider| provider.is_built_in()) {
        return Err(Failure::usage(format!(
            "{provider} is built in, so it is served anyway\n  Give --provider FILE."
        )));
    }
    declared.extend(arguments.provider.iter().cloned());
    for provider in declared {
        if providers.contains(&provider) {
            return Err(Failure::usage(format!(
                "two providers are called {}\n  Give each file another `name`.",
                provider.slug()
            )));
        }
        providers.push(provider);
    }
    providers
        .into_iter()
        .map(|provider| {
            let Some(secrets) = keyring.secrets_if_set(&provider)? else {
                let why = format!("{} is not set", provider.variable());
                return Ok(Served { provider, judge: Err(why) });
            };
            let terms = Terms { max_age: None, others: keyring.others(&provider) };
            // One that lacks a setting does not keep the others from being served.
            let judge = match provider.kind(settings) {
                Ok(kind) => {
                    Ok(kind.judge(secrets, terms).map_err(|error| Failure::usage(error.to_string()))?)
                }
                Err(failure) => Err(failure.to_string().lines().collect::<Vec<_>>().join(":")),
            };
            Ok(Served { provider, judge })
        })
        .collect()
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::page).fallback(page::not_found))
        .route("/api/events", get(events::events))
        .route("/api/deliveries/{number}", get(page::detail))
        .route("/api/deliveries/{number}/curl", get(page::curl))
        .route("/api/deliveries/{number}/diagnose", post(page::diagnose))
        .route("/api/deliveries/{number}/resend", post(page::resend))
        .route("/webhooks/{provider}", post(intake::receive))
        .fallback(page::not_found)
        .layer(from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

/// 128 random bits in hex.
fn random() -> Result<String, Failure> {
    let draw = || getrandom::u64().map_err(|error| Failure::usage(format!("no random numbers: {error}")));
    Ok(format!("{:016x}{:016x}", draw()?, draw()?))
}

/// The address by which this machine reaches the listener: loopback, if it listens there.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Prints the addresses, and for which providers a secret is set.
fn announce(
    arguments: &ListenArgs,
    address: SocketAddr,
    key: &str,
    forward: Option<&Target>,
    served: &[Served],
) -> Result<(), Failure> {
    let url = format!("http://{address}");
    let near = near(address);
    let page = near.ip().is_loopback().then(|| format!("http://{near}/?key={key}"));
    if arguments.json {
        return Ok(terminal::line(&json::line(&serde_json::json!({ "listening": url, "page": page })))?);
    }
    terminal::line(&format!("listening on {url}"))?;
    match page {
        Some(page) => terminal::line(&format!("watch at     {page}\n"))?,
        None => terminal::line(&format!(
            "{}\n",
            paint(Colour::Yellow, "no page: it needs a loopback address; --bind 0.0.0.0 includes one")
        ))?,
    }
    let url = &url;
    let line = |provider: &Provider, how: String| {
        terminal::line(&format!(
            "  {:<17} {url}/webhooks/{:<17} {how}",
            provider.to_string(),
            provider.slug()
        ))
    };
    for Served { provider, .. } in served.iter().filter(|served| served.judge.is_ok()) {
        line(provider, paint(Colour::Green, "secret set"))?;
    }
    let (shown, built_in): (Vec<_>, Vec<_>) = served
        .iter()
        .filter_map(|served| Some((&served.provider, served.judge.as_ref().err()?)))
        .partition(|(provider, why)| !provider.is_built_in() || !why.starts_with(provider.variable()));
    for (provider, why) in shown {
        line(provider, paint(Colour::Yellow, why))?;
    }
    if !built_in.is_empty() {
        let names: Vec<_> = built_in.iter().map(|(provider, _)| provider.slug()).collect();
        terminal::line(&format!("  {}", paint(Colour::Dim, &format!("no secret: {}", names.join(", ")))))?;
    }
    if served.iter().all(|served| served.judge.is_err()) {
        let advice =
            "set the secret of one, such as STRIPE_WEBHOOK_SECRET (countersign providers lists them)";
        terminal::line(&format!("  {}", paint(Colour::Yellow, advice)))?;
    }
    if let Some(target) = forward {
        terminal::line(&format!("  forwarded to {}", target.without_query()))?;
    }
    if !address.ip().is_loopback() {
        terminal::note("note: other machines can send deliveries; only this machine can open the page");
    }
    Ok(terminal::line("")?)
}

async fn ended_or_interrupted(end: watch::Sender<bool>, mut ended: watch::Receiver<bool>) {
    tokio::select! {
        () = interrupted() => {}
        _ = ended.wait_for(|ended| *ended) => {}
    }
    // This ends the event streams. If it fails, they have ended.
    let _ = end.send(true);
}

/// Waits for Ctrl-C, or for the signal of a supervisor.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_reached_by_loopback() {
        for (address, reached) in [
            ("0.0.0.0:4400", "127.0.0.1:4400"),
            ("[::]:4400", "[::1]:4400"),
            ("127.0.0.2:4400", "127.0.0.2:4400"),
            ("192.0.2.1:4400", "192.0.2.1:4400"),
            ("[2001:db8::1]:4400", "[2001:db8::1]:4400"),
        ] {
            assert_eq!(near(address.parse().unwrap()).to_string(), reached);
        }
    }
}
