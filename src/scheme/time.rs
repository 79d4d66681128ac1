//! The time of a signature: its three spellings.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use crate::event::rfc3339;

/// How the time of a signature is written. Its text is signed as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TimeUnit {
    /// Seconds since 1970: exactly 10 digits, as until the year 2286.
    #[default]
    Seconds,
    /// Milliseconds since 1970: exactly 13 digits, as until the year 2286.
    Milliseconds,
    /// RFC 3339 with a capital `T` and `Z`, such as `2026-03-10T14:30:00.5Z`, with at most 9 digits of a second.
    Rfc3339,
}

impl TimeUnit {
    /// Reads a time, or returns `None` if it is not exactly in this form. Its length is fixed, or its two ends show in
    /// its own text: it can stand beside anything.
    pub(crate) fn read(self, text: &[u8]) -> Option<SystemTime> {
        match self {
            Self::Seconds => digits(text, 10).map(Duration::from_secs).and_then(since_epoch),
            Self::Milliseconds => digits(text, 13).map(Duration::from_millis).and_then(since_epoch),
            Self::Rfc3339 if is_rfc3339(text) => rfc3339(std::str::from_utf8(text).ok()?),
            Self::Rfc3339 => None,
        }
    }

    /// Writes a time, for testing a receiver. A time beyond the form is written as the nearest one in it.
    pub(crate) fn write(self, time: SystemTime) -> String {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Seconds => format!("{:010}", since.as_secs().min(9_999_999_999)),
            Self::Milliseconds => format!("{:013}", since.as_millis().min(9_999_999_999_999)),
            Self::Rfc3339 => {
                let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(since.as_secs().min(9_999_999_999));
                let (year, month, day) = at.to_calendar_date();
                let (hour, minute, second) = at.to_hms();
                format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
            }
        }
    }
}

fn digits(text: &[u8], length: usize) -> Option<u64> {
    let is_number = text.len() == length && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0')))
}

fn since_epoch(distance: Duration) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(distance)
}

/// Whether the text has the form of RFC 3339, in which each field has its fixed length except the fraction, which lies
/// between a period and the offset.
fn is_rfc3339(text: &[u8]) -> bool {
    let Some((head, rest)) = text.split_at_checked(19) else { return false };
    let matches = |text: &[u8], form: &[u8]| {
        text.len() == form.len()
            && text.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte == form,
            })
    };
    let offset = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    let is_offset = offset == b"Z" || matches(offset, b"+00:00") || matches(offset, b"-00:00");
    matches(head, b"0000-00-00T00:00:00") && is_offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_exactly_its_units_form() {
        let cases: [(TimeUnit, &[&str], &[&str]); 3] = [
            (
                TimeUnit::Seconds,
                &["0000000000", "1614265330", "9999999999"],
                &[
                    "",
                    "161426533",
                    "16142653300",
                    "+614265330",
                    "-614265330",
                    "161426533.",
                    " 614265330",
                    "1614265330 ",
                ],
            ),
            (TimeUnit::Milliseconds, &["1614265330000"], &["1614265330", "161426533000", "16142653300000"]),
            (
                TimeUnit::Rfc3339,
                &["2026-03-10T14:30:00Z", "2026-03-10T14:30:00.123456789Z", "2026-03-10T14:30:00.5+01:30"],
                &[
                    "",
                    "2026-03-10t14:30:00Z",
                    "2026-03-10T14:30:00z",
                    "2026-03-10 14:30:00Z",
                    "2026-03-10T14:30:00",
                    "2026-03-10T14:30:00.Z",
                    "2026-03-10T14:30:00.1234567890Z",
                    "2026-13-10T14:30:00Z",
                    "2026-03-10T14:30:00ZZ",
                    "12026-03-10T14:30:00Z",
                ],
            ),
        ];
        for (unit, accepted, refused) in cases {
            for text in accepted {
                assert!(unit.read(text.as_bytes()).is_some(), "{text}");
            }
            for text in refused {
                assert_eq!(unit.read(text.as_bytes()), None, "{text}");
            }
        }
    }

    #[test]
    fn a_written_time_is_read_back() {
        for seconds in [0, 1_614_265_330, 9_999_999_999] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            for unit in [TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::Rfc3339] {
                assert_eq!(unit.read(unit.write(time).as_bytes()), Some(time), "{unit:?}");
            }
        }
    }
}
