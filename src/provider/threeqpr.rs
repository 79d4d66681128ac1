//! 3QPR: QR codes that talk.
//!
//! 3QPR's guide "Receiving Webhooks" names the header, tells receivers to deduplicate by the body's `id`,
//! and documents no event's data. 3QPR waits 5 seconds for an answer, and retries after any status other
//! than 2xx: 5 s, 30 s, 2 min, 10 min and 1 h later, for 73 minutes in total. The fields here are those
//! of the objects in its API, and all are optional.

use crate::event::open_enum;
use crate::event::{Json, Number};
use crate::provider::Provider;
use crate::scheme::Scheme;

/// 3QPR. Its header is `X-3QPR-Signature`. The secret begins with `whsec_`; keep that prefix. The companion program
/// `countersign-cli` reads it from the variable `THREEQPR_WEBHOOK_SECRET`.
///
/// ```
/// use countersign::{Secret, Webhook, provider::ThreeQpr};
///
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ThreeQpr;

impl Provider for ThreeQpr {
    type Event = Event;

    const NAME: &'static str = "3qpr";

    const SCHEME: Scheme<'static> = Scheme::new("x-3qpr-signature").with_prefix("sha256=");
}

crate::events! {
    /// 3QPR's events.
    pub enum Event {
        /// A code was scanned.
        ScanCreated(Scan) = "scan.created",
        /// A conversation has ended.
        ConversationCompleted(Conversation) = "conversation.completed",
        /// A code was created.
        QprCodeCreated(QprCode) = "qpr_code.created",
        /// A subscription was upgraded.
        SubscriptionUpgraded(Subscription) = "subscription.upgraded",
        /// A subscription was cancelled.
        SubscriptionCancelled(Subscription) = "subscription.cancelled",
    }
}

crate::payload! {
    /// The data of `scan.created`. It is not documented, and is probably the API's scan.
    pub struct Scan {
        optional {
            /// The scan's id, `scan_…`.
            id: String = "id",
            /// The scanned code's id, `qpr_…`.
            qpr_code_id: String = "qpr_code_id",
            /// The scanned code's short id.
            short_id: String = "short_id",
            /// When it was scanned, as RFC 3339 text.
            scanned_at: String = "scanned_at",
            /// The country; `US` in the API's example.
            country: String = "country",
            /// The region; `CA` in the API's example.
            region: String = "region",
            /// The city.
            city: String = "city",
            /// The kind of device; `mobile` in the API's example.
            device: String = "device",
            /// Whether the scan led to a conversation.
            conversation_started: bool = "conversation_started",
            /// How many messages the conversation has.
            conversation_messages: Number = "conversation_messages",
            /// The data that the code's owner attached.
            metadata: Json = "metadata",
        }
    }
}

crate::payload! {
    /// The data of `conversation.completed`. It is not documented, so all of it is in `extra`.
    pub struct Conversation {
        optional {}
    }
}

crate::payload! {
    /// The data of `qpr_code.created`. It is not documented, and is probably the API's QPR code.
    pub struct QprCode {
        optional {
            /// The code's id, `qpr_…`.
            id: String = "id",
            /// The name that its owner gave it.
            name: String = "name",
            /// The short id in the code's address.
            short_id: String = "short_id",
            /// The address that a scan opens.
            scan_url: String = "scan_url",
            /// The address of the code as a bitmap.
            qr_image_url: String = "qr_image_url",
            /// The address of the code as an SVG.
            qr_svg_url: String = "qr_svg_url",
            /// The purpose of the code.
            template: Template = "template",
            /// The code's status. Its values are not documented.
            status: String = "status",
            /// How often the code was scanned.
            scans_total: Number = "scans_total",
            /// The data that the code's owner attached.
            metadata: Json = "metadata",
            /// When the code was created, as RFC 3339 text.
            created_at: String = "created_at",
            /// When the code was last changed, as RFC 3339 text.
            updated_at: String = "updated_at",
        }
    }
}

crate::payload! {
    /// The data of `subscription.upgraded` and `subscription.cancelled`. It is not documented, so all of
    /// it is in `extra`.
    pub struct Subscription {
        optional {}
    }
}

open_enum! {
    /// The purpose of a QPR code, unchanged.
    pub struct Template, as
    /// The templates that 3QPR's API names.
    pub enum TemplateKind {
        /// A business.
        Business = "business",
        /// A reward programme.
        Rewards = "rewards",
        /// An event.
        Events = "events",
        /// A person.
        Personal = "personal",
        /// A hotel or a restaurant.
        Hospitality = "hospitality",
        /// A practice or a hospital.
        Healthcare = "healthcare",
        /// A shop.
        Retail = "retail",
    }
}
