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
    /// 4xx.
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
}

impl Summary {
    pub(crate) fn count(&mut self, outcome: Outcome, took: Option<Duration>) {
        self.outcomes.push(outcome);
        self.times.extend(took);
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
            return Ok(terminal::line(&json::line(&serde_json::json!({ "summary": summary })))?);
        }
        if self.outcomes.len() > 1 {
            let counts = counts.into_iter().filter(|(_, count)| *count > 0);
            let counts: Vec<_> =
                counts.map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
            let mut line = format!("{} sent: {}", self.outcomes.len(), counts.join(", "));
            if let (Some(median), Some(slowest)) = (median, slowest) {
                line += &format!("; median {median:.1} ms, slowest {slowest:.1} ms");
            }
            terminal::line(&line)?;
        }
        if let Some(advice) = self.advice(forged) {
            terminal::note(&format!("hint: {advice}"));
        }
        Ok(())
    }

    /// What to do next, if that is not obvious.
    fn advice(&self, forged: bool) -> Option<&'static str> {
        let any = |outcome| self.outcomes.contains(&outcome);
        if forged && any(Outcome::Accepted) {
            Some("anyone who knows the URL can forge deliveries: verify the raw body before you use it")
        } else if any(Outcome::Unreachable) {
            Some("is the receiver running, and is the port right?")
        } else if !forged && any(Outcome::Refused) {
            Some("`countersign listen --forward-to URL` shows the reason: send to the listener instead")
        } else if any(Outcome::Failed) {
            Some("the receiver answered neither 2xx nor 4xx: see its log")
        } else {
            None
        }
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
            let summary = Summary { outcomes: outcomes.to_vec(), times: Vec::new() };
            assert_eq!(summary.exit_code(forged, retried), code, "{outcomes:?} {forged} {retried}");
        }
    }
}
