//! `countersign listen`: a receiver on this machine that shows deliveries on a page and on the terminal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use clap::Args;
use countersign::http::HeaderName;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::Target;
use crate::failure::Failure;
use crate::json;
use crate::provider::ProviderName;
use crate::secrets::{Keyring, SecretArgs};
use crate::terminal::{self, Colour, paint};
use crate::verdict::{Judge, Terms, judge};

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
mod redact;
mod server;

use intake::Intake;

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
  countersign listen --json | jq 'select(.verdict == \"rejected\")'

Deliveries go to /webhooks/quote3d, /webhooks/nowtoprint and /webhooks/3qpr. The newest 1,000 are kept in
memory, 64 MiB at most. A provider whose secret is not set is shown, and answered 503. The reason for refusing
a body of more than 64 KiB is found on request, at a button on the page.

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
    /// NowToPrint's signature header, if it is not X-Webhook-Signature
    #[arg(long, value_name = "NAME")]
    signature_header: Option<HeaderName>,
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
        let message = "--secret-file holds one secret, but listen serves three providers\n  \
            Give --env-file FILE with a NAME=value line for each.";
        return Err(Failure::usage(message));
    }
    let mut judges: Vec<(ProviderName, Option<Arc<dyn Judge>>)> = Vec::new();
    for provider in ProviderName::ALL {
        let terms = Terms {
            signature_header: arguments.signature_header.clone(),
            max_age: None,
            others: keyring.others(provider),
        };
        let secrets = keyring.secrets_if_set(provider)?;
        judges.push((provider, secrets.map(|secrets| judge(provider, secrets, terms)).transpose()?));
    }
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
    announce(&arguments, address, &key, forward.as_ref(), &judges)?;

    let (end, ending) = watch::channel(false);
    let log = log::Log::new(arguments.json, end.clone());
    let intake = Arc::new(Intake::new(judges, forward, Duration::from_secs(arguments.timeout), log));
    let app = Arc::new(App { intake: Arc::clone(&intake), address, key, instance: random()?, ending });
    let ended = app.ending.clone();
    server::serve(listener, router(app), ended_or_interrupted(end, ended)).await;
    intake.log.settle().await;
    if intake.log.is_closed() { Err(Failure::BrokenPipe) } else { Ok(0) }
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
    judges: &[(ProviderName, Option<Arc<dyn Judge>>)],
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
    for (provider, judge) in judges {
        let variable = provider.variable();
        let how = match judge {
            Some(_) => paint(Colour::Green, "secret set"),
            None => paint(Colour::Yellow, &format!("no secret: {variable} is not set")),
        };
        terminal::line(&format!(
            "  {:<11} {url}/webhooks/{:<11} {how}",
            provider.to_string(),
            provider.slug()
        ))?;
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
