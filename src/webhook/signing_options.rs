//! What a test chooses of a delivery that it signs.

use std::time::SystemTime;

/// What a test chooses of a delivery that it signs: its time, its id and the event in its header.
/// [`Webhook::signed_headers_with`](crate::Webhook::signed_headers_with) takes it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Secret, SigningOptions, Webhook, provider::StandardWebhooks};
///
/// let webhook = Webhook::<StandardWebhooks>::new(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?)?;
/// let options = SigningOptions::new().with_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330)).with_id("msg_1");
/// let headers = webhook.signed_headers_with(b"{}", &options);
/// assert_eq!((&headers["webhook-id"], &headers["webhook-timestamp"]), (&"msg_1".parse()?, &"1614265330".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SigningOptions {
    pub(crate) time: Option<SystemTime>,
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
}

impl SigningOptions {
    /// The webhook's own time, an id that is made of the body, and the event that the body names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time of the signature, if the scheme has one.
    #[must_use]
    pub fn with_time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets the value of the signed header, if the scheme has one. It must be a header's value.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the event in the header, if the provider has one. It must be a header's value.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }
}
