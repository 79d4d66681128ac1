//! The result of everything that was sent.

use std::time::Duration;

use countersign::http::StatusCode;
use serde::Serialize;

use crate::client::{Answer, Unreachable};
use crate::failure::{Failure, REJECTED, UNREACHABLE};
use crate::json;
use crate::terminal;

/// The result of one sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// 2xx.
    Accepted,
    /// 409: another delivery of the event is being handled.
    InFlight,
    /// 4xx, but for 404 and 405.
    Refused,
    /// Any other status: neither accepted nor refused.
    Failed,
    Unreachable,
}

impl Outcome {
    pub(crate) fn of(result: &Result<Answer, Unreachable>) -> Self {
        match result {
            Err(_) => Self::Unreachable,
            Ok(answer) if answer.status.is_success() => Self::Accepted,
            Ok(answer) if answer.status == StatusCode::CONFLICT => Self::InFlight,
            // Nothing was there to refuse it.
            Ok(answer) if is_nothing(answer.status) => Self::Failed,
            Ok(answer) if answer.status.is_client_error() => Self::Refused,
            Ok(_) => Self::Failed,
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Summary {
    outcomes: Vec<Outcome>,
    /// The times that the answers took.
    times: Vec<Duration>,
    /// How many of the accepted the receiver called handled, and how many duplicates.
    told: Told,
    /// Whether a receiver has nothing at the path, or nothing that takes a POST.
    is_not_found: bool,
    /// Whether no answer came in time.
    is_late: bool,
    /// The name in the path that is usual for the provider.
    slug: Option<String>,
    /// How long the provider waits.
    patience: Option<Duration>,
}

#[derive(Default, Debug)]
struct Told {
    handled: usize,
    duplicate: usize,
}

/// Whether nothing takes a POST at the path.
fn is_nothing(status: StatusCode) -> bool {
    [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status)
}

/// What a receiver's answer calls an accepted delivery: a word of its own, or a member of its JSON.
fn outcome_in(answer: &Answer) -> Option<&'static str> {
    let text = std::str::from_utf8(&answer.body).ok()?.trim();
    let is = |word: &str| {
        let members = json::object::<serde_json::Map<String, serde_json::Value>>(text.as_bytes());
        text.eq_ignore_ascii_case(word)
            || members.is_ok_and(|members| members.values().any(|value| value.as_str() == Some(word)))
    };
    ["handled", "duplicate"].into_iter().find(|word| is(word))
}

impl Summary {
    /// The summary of what is sent as a provider that waits so long.
    pub(crate) fn new(patience: Option<Duration>, slug: Option<&str>) -> Self {
        Self { patience, slug: slug.map(str::to_owned), ..Self::default() }
    }

    pub(crate) fn count(&mut self, outcome: Outcome, result: &Result<Answer, Unreachable>) {
        self.outcomes.push(outcome);
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.is_late |= error.timed_out;
                return;
            }
        };
        self.times.push(answer.took);
        self.is_not_found |= is_nothing(answer.status);
        match outcome_in(answer).filter(|_| outcome == Outcome::Accepted) {
            Some("handled") => self.told.handled += 1,
            Some(_) => self.told.duplicate += 1,
            None => {}
        }
    }

    fn of(&self, outcome: Outcome) -> usize {
        self.outcomes.iter().filter(|counted| **counted == outcome).count()
    }

    /// Only the last try counts for a delivery that was retried.
    pub(crate) fn exit_code(&self, forged: bool, retried: bool) -> u8 {
        let counted = match self.outcomes.last() {
            Some(last) if retried => std::slice::from_ref(last),
            _ => &self.outcomes,
        };
        if counted.contains(&Outcome::Unreachable) {
            return UNREACHABLE;
        }
        let good = |outcome: &Outcome| match outcome {
            Outcome::Accepted => !forged,
            Outcome::Refused => forged,
            // One delivery of an event is handled, and the others are told to retry.
            Outcome::InFlight => !forged && counted.contains(&Outcome::Accepted),
            Outcome::Failed | Outcome::Unreachable => false,
        };
        if counted.iter().all(good) { 0 } else { REJECTED }
    }

    pub(crate) fn print(&self, json: bool, forged: bool) -> Result<(), Failure> {
        let mut times = self.times.clone();
        times.sort_unstable();
        let ms = |time: &Duration| terminal::milliseconds(*time);
        let (median, slowest) = (times.get(times.len() / 2).map(ms), times.last().map(ms));
        let counts = [
            ("accepted", self.of(Outcome::Accepted)),
            ("in_flight", self.of(Outcome::InFlight)),
            ("refused", self.of(Outcome::Refused)),
            ("failed", self.of(Outcome::Failed)),
            ("unreachable", self.of(Outcome::Unreachable)),
        ];
        if json {
            let mut summary = serde_json::json!({
                "sent": self.outcomes.len(), "median_ms": median, "slowest_ms": slowest,
            });
            for (name, count) in counts {
                summary[name] = count.into();
            }
            summary["handled"] = self.told.handled.into();
            summary["duplicate"] = self.told.duplicate.into();
            return Ok(terminal::line(&json::line(&serde_json::json!({ "summary": summary })))?);
        }
        if self.outcomes.len() > 1 {
            let counts = counts.into_iter().filter(|(_, count)| *count > 0);
            let mut counts: Vec<_> =
                counts.map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
            let Told { handled, duplicate } = self.told;
            if let Some(accepted) = counts.first_mut().filter(|_| handled + duplicate > 0) {
                *accepted += &format!(" ({handled} handled, {duplicate} duplicate)");
            }
            let mut line = format!("{} sent: {}", self.outcomes.len(), counts.join(", "));
            if let (Some(median), Some(slowest)) = (median, slowest) {
                line += &format!("; median {median:.1} ms, slowest {slowest:.1} ms");
            }
            terminal::line(&line)?;
        }
        if let Some(advice) = self.advice(forged) {
            terminal::note(&format!("hint: {advice}"));
        }
        if let Some(patience) = self.patience.filter(|patience| self.is_slow(*patience)) {
            let waits = patience.as_secs();
            terminal::note(&format!(
                "hint: the provider waits {waits} s: answer first, and do slow work later"
            ));
        }
        Ok(())
    }

    /// Whether an answer did not come in time, or took more than half of it.
    fn is_slow(&self, patience: Duration) -> bool {
        self.is_late || self.times.iter().any(|time| *time > patience / 2)
    }

    /// What to do next, if that is not obvious.
    fn advice(&self, forged: bool) -> Option<String> {
        let any = |outcome| self.outcomes.contains(&outcome);
        let advice = if forged && any(Outcome::Accepted) {
            "anyone who knows the URL can forge deliveries: verify the raw body before you use it"
        } else if any(Outcome::Unreachable) {
            "is the receiver running, and is the port right?"
        } else if self.is_not_found {
            let slug = self.slug.as_deref().unwrap_or("NAME");
            return Some(format!(
                "nothing takes a POST at this path: it is often /webhooks/{slug}; see the receiver's routes"
            ));
        } else if !forged && any(Outcome::Refused) {
            "`countersign listen --forward-to URL` shows the reason: send to the listener instead"
        } else if any(Outcome::Failed) {
            "the receiver answered neither 2xx nor 4xx: see its log"
        } else {
            return None;
        };
        Some(advice.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Accepted, Failed, InFlight, Refused, Unreachable};

    #[test]
    fn the_exit_code_says_whether_all_is_as_it_should_be() {
        for (outcomes, forged, retried, code) in [
            (&[Accepted, Accepted][..], false, false, 0),
            (&[Accepted, InFlight, InFlight], false, false, 0),
            (&[InFlight, InFlight], false, false, 1),
            (&[Accepted, Refused], false, false, 1),
            (&[Accepted, Failed], false, false, 1),
            (&[Accepted, Unreachable], false, false, 3),
            (&[Refused, Refused], true, false, 0),
            (&[Refused, Accepted], true, false, 1),
            (&[Refused, Failed], true, false, 1),
            (&[Refused, InFlight], true, false, 1),
            (&[Unreachable, Failed, Accepted], false, true, 0),
            (&[Accepted, Unreachable], false, true, 3),
            (&[Failed, Refused], false, true, 1),
        ] {
            let summary = Summary { outcomes: outcomes.to_vec(), ..Summary::default() };
            assert_eq!(summary.exit_code(forged, retried), code, "{outcomes:?} {forged} {retried}");
        }
    }

    #[test]
    fn an_answer_is_slow_if_it_is_late_or_takes_more_than_half_of_the_providers_patience() {
        for (times, is_late, is_slow) in [
            (&[][..], false, false),
            (&[], true, true),
            (&[1, 2_000], false, false),
            (&[1, 2_000], true, true),
            (&[2_001, 1], false, true),
        ] {
            let times = times.iter().map(|time| Duration::from_millis(*time)).collect();
            let summary = Summary { times, is_late, ..Summary::default() };
            assert_eq!(summary.is_slow(Duration::from_secs(4)), is_slow, "{summary:?}");
        }
    }

    #[test]
    fn the_advice_is_about_what_is_wrong() {
        for (outcomes, forged, advice) in [
            (&[Accepted, InFlight][..], false, ""),
            (&[Accepted, Refused], false, "`countersign listen --forward-to URL`"),
            (&[Refused, Failed], false, "`countersign listen --forward-to URL`"),
            (&[Failed], false, "the receiver answered neither 2xx nor 4xx"),
            (&[Refused, Unreachable], false, "is the receiver running"),
            (&[Refused], true, ""),
            (&[Refused, Failed], true, "the receiver answered neither 2xx nor 4xx"),
            (&[Refused, Unreachable], true, "is the receiver running"),
            (&[Unreachable, Accepted], true, "anyone who knows the URL can forge deliveries"),
        ] {
            let summary = Summary { outcomes: outcomes.to_vec(), ..Summary::default() };
            let given = summary.advice(forged).unwrap_or_default();
            assert!(
                given.starts_with(advice) && given.is_empty() == advice.is_empty(),
                "{outcomes:?}: {given}"
            );
        }
    }
}
