//! Versions of objects, for events that arrive out of order.

use std::time::{Duration, SystemTime};

use crate::error::SqlStoreError;

/// The version of an object, as the provider counts it: a number, a sequence or a time. A greater one is newer.
///
/// Integers are taken as they are. A `SystemTime` becomes the nanoseconds since 1970; before 1677 and after 2262, it is
/// the earliest or the latest version. Use one kind for one object. Text has no conversion, because it does not sort by
/// time: `12:00:00.5Z` sorts before `12:00:00Z`.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign_sqlx::Version;
///
/// assert!(Version::from(8) > Version::from(7));
/// let now = SystemTime::now();
/// assert!(Version::from(now + Duration::from_millis(1)) > Version::from(now));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i64);

impl Version {
    /// The number that the store keeps.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for Version {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl From<u32> for Version {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl From<i32> for Version {
    fn from(number: i32) -> Self {
        Self(number.into())
    }
}

impl From<SystemTime> for Version {
    fn from(time: SystemTime) -> Self {
        let nanos = |time: Duration| i64::try_from(time.as_nanos());
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanos(after).unwrap_or(i64::MAX),
            Err(before) => nanos(before.duration()).map_or(i64::MIN, |nanos| -nanos),
        })
    }
}

/// The result of a transaction's `advance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Advance {
    /// The version is newer than all that were handled, or the first: apply the event.
    Newer,
    /// The version was handled before, by another event. If the version is a coarse time, such as one in seconds, two
    /// changes may share it: decide whether to apply the second one.
    Same,
    /// A newer version was handled before: skip the event's state, and acknowledge the delivery.
    Older,
}

impl Advance {
    /// Whether the version is newer than all that were handled.
    #[must_use]
    pub fn is_newer(self) -> bool {
        self == Self::Newer
    }

    /// Compares a version that did not advance the object with the object's version.
    pub(crate) fn not(version: Version, newest: i64) -> Self {
        if version.0 == newest { Self::Same } else { Self::Older }
    }
}

/// The greatest length of an object's name, in bytes: it is indexed.
const MAX_OBJECT_LEN: usize = 1_024;

/// Checks an object's name.
pub(crate) fn check_object(object: &str) -> Result<(), SqlStoreError> {
    // PostgreSQL's text cannot hold NUL.
    let is_valid = (1..=MAX_OBJECT_LEN).contains(&object.len()) && !object.contains('\0');
    if is_valid { Ok(()) } else { Err(SqlStoreError::InvalidObject) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_its_nanoseconds_and_the_farthest_ones_are_the_limits() {
        let epoch = SystemTime::UNIX_EPOCH;
        let second = Duration::from_secs(1);
        let far = Duration::from_secs(10_000_000_000);
        for (time, expected) in [
            (epoch, 0),
            (epoch + second, 1_000_000_000),
            (epoch - second, -1_000_000_000),
            (epoch + far, i64::MAX),
            (epoch - far, i64::MIN),
        ] {
            assert_eq!(Version::from(time).get(), expected, "{time:?}");
        }
    }

    #[test]
    fn an_object_has_a_name_of_1_to_1024_bytes_without_nul() {
        let longest = "o".repeat(MAX_OBJECT_LEN);
        for object in ["quote/1", "ü", " ", &longest] {
            assert!(check_object(object).is_ok(), "{object:?}");
        }
        for object in ["", "a\0b", &"o".repeat(MAX_OBJECT_LEN + 1)] {
            let error = check_object(object).unwrap_err();
            assert_eq!(error.code(), "store_invalid_object", "{object:?}");
            assert_eq!(error.to_string(), "an object's name has 1 to 1,024 bytes and no NUL");
        }
    }
}
