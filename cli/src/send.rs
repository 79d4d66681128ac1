//! `countersign send`: sends deliveries to a receiver, as the provider or as a forger.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use countersign::http::{HeaderMap, header};
use futures_util::{StreamExt, stream};

use crate::client::{self, Answer, Target, Unreachable};
use crate::failure::{Failure, INTERRUPTED, USAGE};
use crate::forge::Forgery;
use crate::json;
use crate::payload::{self, Payload};
use crate::progress::Progress;
use crate::provider::{Provider, ProviderParser};
use crate::replay::{Replay, Replayed};
use crate::secrets::{Keyring, SecretArgs};
use crate::sign;
use crate::signed::{Request, Signer, SigningArgs, event_of};
use crate::summary::{Outcome, Summary};
use crate::terminal::{self, Colour, milliseconds, paint};

/// Send a signed delivery to a receiver, and show what it answers
///
/// The payloads that the providers document are built in. For every other event, an envelope with empty data is sent,
/// and a note says so. Redirects are not followed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign send localhost:3000/webhooks/quote3d --provider quote3d
  countersign send localhost:3000/webhooks/nowtoprint -p nowtoprint --event order.shipped --fresh
  countersign send localhost:3000/webhooks/3qpr -p 3qpr --data delivery.json
  countersign send localhost:3000/webhooks/3qpr -p 3qpr --fresh --concurrent 8   # handled once?
  countersign send localhost:3000/webhooks/quote3d -p quote3d --forge all        # all refused?
  countersign send localhost:3000/webhooks/3qpr -p 3qpr --retry-like-provider --time-scale 60
  countersign send localhost:3000/webhooks/acme -p acme.json   # a provider that a file declares
  countersign send localhost:3000 --replay journal.jsonl       # what countersign listen --journal kept

Exit codes: 0 as expected (answered 2xx; with --forge, refused with 4xx), 1 not as expected, 2 wrong usage,
3 no answer, 130 interrupted. With several at once, a 409 (in flight) beside a 2xx is as expected.")]
pub(crate) struct SendArgs {
    /// The receiver's URL; http:// if it has no scheme
    url: String,
    /// The provider to send as: a built-in's name, or a FILE that declares one
    #[arg(long, short, value_name = "NAME|FILE", value_parser = ProviderParser, required_unless_present = "replay")]
    provider: Option<Provider>,
    /// The event [default: one with a documented payload]
    #[arg(long, short)]
    event: Option<String>,
    /// Send the bytes of this file instead; - is standard input
    #[arg(long, short, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Send the deliveries that this journal of countersign listen has, with their headers, each to its path
    #[arg(long, value_name = "FILE", conflicts_with_all = ["provider", "event", "data", "fresh", "forge", "retry_like_provider", "retry_at"])]
    replay: Option<PathBuf>,
    /// Sign each delivery of the journal anew, with the secret of its provider
    #[arg(long, requires = "replay")]
    resign: bool,
    /// Use a new id and time, for an event that the receiver has not seen
    #[arg(long, conflicts_with = "data")]
    fresh: bool,
    /// Send it this many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    duplicate: Option<u32>,
    /// Send this many at once; without --duplicate, this many in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    concurrent: Option<u32>,
    /// Forge it: the receiver should refuse it
    #[arg(long, value_name = "KIND")]
    forge: Option<Forgery>,
    /// Retry at the times that the provider documents, until the answer is 2xx
    #[arg(long, conflicts_with_all = ["duplicate", "concurrent", "forge", "retry_at"])]
    retry_like_provider: bool,
    /// Retry this many seconds after the first try, a year at most
    #[arg(long, value_name = "SECONDS,…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(..=31_536_000), conflicts_with_all = ["duplicate", "concurrent", "forge"])]
    retry_at: Vec<u64>,
    /// Shorten each wait by this factor: 60 turns a minute into a second
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    time_scale: f64,
    /// How long to wait for an answer [default: as long as the provider documents, and otherwise 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: Option<u64>,
    #[command(flatten)]
    signing: SigningArgs,
    /// Print a JSON object for each answer, and one for the summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.001..=1_000_000.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0.001 to 1000000".to_owned()),
    }
}

/// A delivery to send.
#[derive(Clone)]
struct Planned {
    number: usize,
    forgery: Option<Forgery>,
    request: Request,
    /// The path that it came to, if the target names none.
    path: Option<String>,
}

/// What is sent, and when.
struct Plan<'a> {
    /// A delivery of a journal is read when its turn comes.
    deliveries: Box<dyn Iterator<Item = Result<Planned, Failure>> + 'a>,
    count: usize,
    retries: Vec<Duration>,
    /// How long the provider waits.
    patience: Option<Duration>,
}

pub(crate) async fn run(arguments: SendArgs) -> Result<u8, Failure> {
    let target = Target::parse(&arguments.url)?;
    let keyring = Keyring::open(&arguments.secrets)?;
    let replay = arguments.replay.as_deref().map(|path| Replay {
        path,
        keyring: &keyring,
        signing: &arguments.signing,
        resign: arguments.resign,
    });
    let mut unreadable = 0;
    let plan = match (&replay, &arguments.provider) {
        (Some(replay), _) => {
            let contents = replay.contents()?;
            unreadable = contents.unreadable;
            let (count, patience) = (contents.count, contents.patience);
            let deliveries = replay.deliveries(contents).map(|replayed| {
                let Replayed { request, path, .. } = replayed?;
                Ok(Planned { number: 0, forgery: None, request, path })
            });
            repeated(&arguments, deliveries, count, Vec::new(), patience)
        }
        (None, Some(provider)) => {
            let retries = retries(&arguments, provider)?;
            let deliveries = of_provider(&arguments, provider, &keyring)?;
            let count = deliveries.len();
            repeated(&arguments, deliveries.into_iter().map(Ok), count, retries, provider.patience())
        }
        (None, None) => return Err(Failure::usage("--provider is needed")),
    };
    let (patience, has_retries) = (plan.patience, !plan.retries.is_empty());
    let sending = Sending {
        target,
        timeout: arguments.timeout.map_or(patience.unwrap_or(Duration::from_secs(30)), Duration::from_secs),
        json: arguments.json,
        time_scale: arguments.time_scale,
        brief: plan.count > 50,
    };
    let mut summary = Summary::new(patience, arguments.provider.as_ref().map(Provider::slug));
    let interrupted = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => true,
        result = sending.all(plan, &arguments, &mut summary) => {
            result?;
            false
        }
    };
    summary.print(arguments.json, arguments.forge.is_some())?;
    if interrupted {
        return Ok(INTERRUPTED);
    }
    let code = summary.exit_code(arguments.forge.is_some(), has_retries);
    Ok(if unreadable > 0 { USAGE } else { code })
}

/// What is sent as a provider, without the retries.
fn of_provider(
    arguments: &SendArgs,
    provider: &Provider,
    keyring: &Keyring,
) -> Result<Vec<Planned>, Failure> {
    let event = arguments.event.as_deref();
    if event.is_some() && arguments.data.is_some() && !provider.is_named_by_header() {
        return Err(Failure::usage("--event is not possible with --data: the body names the event"));
    }
    let signer = Signer::new(provider, keyring, &arguments.signing, event, None)?;
    let Payload { body, note } = match &arguments.data {
        Some(file) => Payload { body: sign::body(Some(file))?, note: None },
        None => {
            payload::of_event(provider, event.unwrap_or_else(|| provider.default_event()), arguments.fresh)?
        }
    };
    if let Some(note) = note {
        terminal::note(&format!("note: {note}"));
    }
    let requests = match arguments.forge {
        None => vec![(None, signer.sign(body)?)],
        Some(forgery) => {
            // The other kinds can forge a body that names no event.
            let event = if forgery == Forgery::InvalidEvent {
                event_of(&body)?
            } else {
                event_of(&body).unwrap_or_default()
            };
            let kinds = forgery.each(&signer, &body, &event)?;
            let forged = kinds.into_iter().map(|kind| Ok((Some(kind), kind.forge(&signer, body.clone())?)));
            forged.collect::<Result<Vec<_>, Failure>>()?
        }
    };
    let planned = |(forgery, request)| Planned { number: 0, forgery, request, path: None };
    Ok(requests.into_iter().map(planned).collect())
}

/// A plan with each delivery as often as the user asked for it, numbered from 1.
fn repeated<'a>(
    arguments: &SendArgs,
    deliveries: impl Iterator<Item = Result<Planned, Failure>> + 'a,
    count: usize,
    retries: Vec<Duration>,
    patience: Option<Duration>,
) -> Plan<'a> {
    let times =
        arguments.duplicate.or(arguments.concurrent.filter(|_| arguments.replay.is_none())).unwrap_or(1)
            as usize;
    let each = deliveries.flat_map(move |delivery| {
        let (delivery, failure) = match delivery {
            Ok(delivery) => (Some(delivery), None),
            Err(failure) => (None, Some(Err(failure))),
        };
        delivery
            .into_iter()
            .flat_map(move |delivery| std::iter::repeat_n(delivery, times))
            .map(Ok)
            .chain(failure)
    });
    let numbered = each.enumerate();
    let numbered = numbered.map(|(at, delivery)| Ok(Planned { number: at + 1, ..delivery? }));
    Plan { deliveries: Box::new(numbered), count: count * times, retries, patience }
}

/// The times of the retries, counted from the first try.
fn retries(arguments: &SendArgs, provider: &Provider) -> Result<Vec<Duration>, Failure> {
    let seconds = if arguments.retry_like_provider {
        let schedule = provider.retries().ok_or_else(|| {
            Failure::usage(format!(
                "{}\n  Give times of your own, such as --retry-at 5,35,155.",
                provider.about_retries(),
            ))
        })?;
        terminal::note(&format!("note: {}", provider.about_retries()));
        schedule
    } else {
        &arguments.retry_at
    };
    if !seconds.is_sorted() {
        return Err(Failure::usage(
            "the times of --retry-at must increase, because they are counted from the first try",
        ));
    }
    Ok(seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect())
}

struct Sending {
    target: Target,
    timeout: Duration,
    json: bool,
    time_scale: f64,
    /// Whether only the unexpected answers are shown, because there are many.
    brief: bool,
}

impl Sending {
    async fn all(
        &self,
        mut plan: Plan<'_>,
        arguments: &SendArgs,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        if !plan.retries.is_empty() {
            let Some(only) = plan.deliveries.next() else { return Ok(()) };
            return self.with_retries(&only?, &plan.retries, summary).await;
        }
        let progress = Progress::of_many(plan.count, self.json);
        let at_once = arguments.concurrent.unwrap_or(1) as usize;
        let mut answers = stream::iter(plan.deliveries)
            .map(async |planned| {
                let planned = planned?;
                let result = self.one(&planned).await;
                Ok::<_, Failure>((planned.number, planned.forgery, result))
            })
            .buffer_unordered(at_once);
        while let Some(answer) = answers.next().await {
            let (number, forgery, result) = answer?;
            let outcome = Outcome::of(&result);
            summary.count(outcome, &result);
            let odd = outcome != Outcome::Accepted && forgery.is_none();
            if self.json || !self.brief || odd {
                progress.around(|| self.show(number, forgery, &result))?;
            }
            progress.advance();
        }
        Ok(())
    }

    /// Sends until an answer accepts it, or the schedule ends.
    async fn with_retries(
        &self,
        planned: &Planned,
        retries: &[Duration],
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let started = tokio::time::Instant::now();
        let mut number = 1;
        let mut due = retries.iter();
        loop {
            let result = self.one(planned).await;
            let outcome = Outcome::of(&result);
            summary.count(outcome, &result);
            self.show(number, None, &result)?;
            let Some(after) = due.next().filter(|_| outcome != Outcome::Accepted) else { return Ok(()) };
            let scaled = Duration::try_from_secs_f64(after.as_secs_f64() / self.time_scale).ok();
            let until = scaled.and_then(|scaled| started.checked_add(scaled));
            let until = until
                .ok_or_else(|| Failure::usage("a retry is too far in the future for this machine's clock"))?;
            let wait = until.saturating_duration_since(tokio::time::Instant::now());
            let what = format!("try {} comes {} s after the first", number + 1, after.as_secs());
            Progress::of_wait(wait, &what, self.json).wait_until(until).await;
            number += 1;
        }
    }

    async fn one(&self, planned: &Planned) -> Result<Answer, Unreachable> {
        let mut headers: HeaderMap = HeaderMap::new();
        let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
        for (name, value) in &planned.request.headers {
            headers.append(name.clone(), value.clone());
        }
        headers.entry(header::USER_AGENT).or_insert(header::HeaderValue::from_static(agent));
        let target =
            match &planned.path {
                Some(path) if !self.target.has_path() => self.target.at(path).map_err(|error| {
                    Unreachable { message: error.to_string(), timed_out: false, took: Duration::ZERO }
                })?,
                _ => self.target.clone(),
            };
        client::post(&target, headers, planned.request.body.clone(), self.timeout).await
    }

    fn show(
        &self,
        number: usize,
        forgery: Option<Forgery>,
        result: &Result<Answer, Unreachable>,
    ) -> Result<(), Failure> {
        let text =
            if self.json { to_json(number, forgery, result) } else { to_text(number, forgery, result) };
        Ok(terminal::line(&text)?)
    }
}

fn to_json(number: usize, forgery: Option<Forgery>, result: &Result<Answer, Unreachable>) -> String {
    let mut object = serde_json::json!({ "number": number, "result": Outcome::of(result) });
    if let Some(forgery) = forgery {
        let (status, error) = forgery.expected();
        object["forge"] = forgery.name().into();
        object["expected"] = serde_json::json!({ "status": status, "error": error });
    }
    match result {
        Ok(answer) => {
            object["status"] = answer.status.as_u16().into();
            object["ms"] = milliseconds(answer.took).into();
            object["body"] = String::from_utf8_lossy(&answer.body).into();
        }
        Err(error) => {
            object["ms"] = milliseconds(error.took).into();
            object["message"] = error.message.clone().into();
            object["timed_out"] = error.timed_out.into();
        }
    }
    json::line(&object)
}

fn to_text(number: usize, forgery: Option<Forgery>, result: &Result<Answer, Unreachable>) -> String {
    let what = match forgery {
        Some(forgery) => format!("{:<20}", forgery.name()),
        None => format!("#{number:<3}"),
    };
    let answer = match result {
        Err(error) => return format!("{what} {}", paint(Colour::Red, &terminal::visible(&error.message))),
        Ok(answer) => answer,
    };
    let outcome = Outcome::of(result);
    let good = if forgery.is_some() { outcome == Outcome::Refused } else { outcome == Outcome::Accepted };
    let colour = match outcome {
        _ if good => Colour::Green,
        Outcome::InFlight => Colour::Yellow,
        _ => Colour::Red,
    };
    let mut text = format!(
        "{what} {}  {:>8}",
        paint(colour, answer.status.as_str()),
        format!("{:.1} ms", milliseconds(answer.took)),
    );
    if forgery.is_some() && outcome == Outcome::Accepted {
        text += &paint(Colour::Red, "  ACCEPTED, although it is forged");
    }
    if let Some(location) = answer.headers.get(header::LOCATION) {
        let location = String::from_utf8_lossy(location.as_bytes());
        text += &format!("  a redirect to {}, which is not followed", terminal::visible(&location));
    }
    let body = String::from_utf8_lossy(&answer.body);
    let body = terminal::visible(&terminal::cut(body.trim_end(), 2_000));
    match body.lines().count() {
        1 => text += &format!("  {body}"),
        _ => body.lines().for_each(|line| text += &format!("\n     {line}")),
    }
    text
}
