//! RFC 3339.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads RFC 3339, of which a clock must reach the time.
pub(crate) fn rfc3339(text: &str) -> Option<SystemTime> {
    let since_epoch = OffsetDateTime::parse(text, &Rfc3339).ok()? - OffsetDateTime::UNIX_EPOCH;
    let distance = since_epoch.unsigned_abs();
    // Checked, because not every platform's clock reaches back to the year 0.
    if since_epoch.is_negative() {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}
