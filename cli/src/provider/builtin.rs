//! The table of the built-in providers. Retries and times to answer are those that the library's page of each names.

use std::sync::Arc;
use std::time::Duration;

use countersign::Provider as _;
use countersign::http::HeaderName;
use countersign::provider::{
    GitHub, Linear, NowToPrint, Paddle, Quote3d, Shopify, Slack, Square, StandardWebhooks, Stripe, ThreeQpr,
    Zoom, nowtoprint, quote3d, threeqpr,
};

use super::{Facts, Kind, Members, NamePlace, Provider, Retries, Settings, TimeForm};
use crate::failure::Failure;

type Make = fn(&Settings) -> Result<Box<dyn Kind>, Failure>;

/// One row of the table.
struct Row {
    slug: &'static str,
    title: &'static str,
    variable: &'static str,
    members: Members,
    default_event: &'static str,
    events: &'static [&'static str],
    retries: (Option<&'static [u64]>, &'static str),
    patience: Option<u64>,
    /// How old a signed time may be, in seconds.
    tolerance: Option<u64>,
    is_json: bool,
    signs_url: bool,
    make: Make,
}

/// Where nothing about retries is documented.
const NO_SCHEDULE: &str = "documents no schedule of retries";

pub(super) fn all() -> Vec<Provider> {
    rows().into_iter().map(Provider::from).collect()
}

pub(super) fn slugs() -> impl Iterator<Item = &'static str> {
    rows().into_iter().map(|row| row.slug)
}

fn rows() -> [Row; 12] {
    let usual = || members(NamePlace::Member("event".to_owned()), Some("id"), None, Some("data"));
    let text = Some(("timestamp", TimeForm::Text));
    [
        Row {
            slug: Quote3d::NAME,
            title: "Quote3D",
            variable: "QUOTE3D_WEBHOOK_SECRET",
            members: members(
                NamePlace::Both("event".to_owned(), HeaderName::from_static("x-webhook-event")),
                None,
                text,
                Some("data"),
            ),
            default_event: "quote.completed",
            events: quote3d::Event::NAMES,
            retries: (None, "\"may retry\", and documents no schedule"),
            patience: None,
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(Quote3d::default())),
        },
        Row {
            slug: NowToPrint::NAME,
            title: "NowToPrint",
            variable: "NOWTOPRINT_WEBHOOK_SECRET",
            members: Members { time: text.map(|(name, form)| (name.to_owned(), form)), ..usual() },
            default_event: "quote.received",
            events: nowtoprint::Event::NAMES,
            retries: (None, "retries on a timeout or any status but 2xx, and documents no schedule"),
            patience: None,
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |settings| {
                Ok(match settings.signature_header.clone() {
                    Some(header) => Box::new(NowToPrint::with_signature_header(header)),
                    None => Box::new(NowToPrint::default()),
                })
            },
        },
        Row {
            slug: ThreeQpr::NAME,
            title: "3QPR",
            variable: "THREEQPR_WEBHOOK_SECRET",
            members: usual(),
            default_event: "scan.created",
            events: threeqpr::Event::NAMES,
            retries: (
                Some(&[5, 35, 155, 755, 4355]),
                "retries any status but 2xx after 5, 35, 155, 755 and 4355 s",
            ),
            patience: Some(5),
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(ThreeQpr::default())),
        },
        Row {
            slug: "standard-webhooks",
            title: "Standard Webhooks",
            variable: "STANDARD_WEBHOOKS_WEBHOOK_SECRET",
            members: members(NamePlace::Member("type".to_owned()), None, text, Some("data")),
            default_event: "user.created",
            events: &[],
            retries: (None, "leaves the schedule of retries to each sender"),
            patience: None,
            tolerance: Some(300),
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<StandardWebhooks>::default())),
        },
        Row {
            slug: "stripe",
            title: "Stripe",
            variable: "STRIPE_WEBHOOK_SECRET",
            members: members(
                NamePlace::Member("type".to_owned()),
                Some("id"),
                Some(("created", TimeForm::Seconds)),
                Some("data"),
            ),
            default_event: "payment_intent.succeeded",
            events: &[],
            retries: (None, "retries for up to three days with growing intervals, and documents no schedule"),
            patience: None,
            tolerance: Some(300),
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<Stripe>::default())),
        },
        Row {
            slug: "github",
            title: "GitHub",
            variable: "GITHUB_WEBHOOK_SECRET",
            members: members(NamePlace::Header(HeaderName::from_static("x-github-event")), None, None, None),
            default_event: "push",
            events: &[],
            retries: (None, "does not retry by itself"),
            patience: Some(10),
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<GitHub>::default())),
        },
        Row {
            slug: "shopify",
            title: "Shopify",
            variable: "SHOPIFY_WEBHOOK_SECRET",
            members: members(NamePlace::Header(HeaderName::from_static("x-shopify-topic")), None, None, None),
            default_event: "orders/paid",
            events: &[],
            retries: (None, "retries 8 times in 4 hours, and documents no schedule"),
            patience: Some(5),
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<Shopify>::default())),
        },
        Row {
            slug: "slack",
            title: "Slack",
            variable: "SLACK_WEBHOOK_SECRET",
            members: Members::default(),
            default_event: "",
            events: &[],
            retries: (Some(&[0, 60, 300]), "retries at once, after a minute and after five"),
            patience: Some(3),
            tolerance: Some(300),
            is_json: false,
            signs_url: false,
            make: |_| Ok(Box::new(<Slack>::default())),
        },
        Row {
            slug: "zoom",
            title: "Zoom",
            variable: "ZOOM_WEBHOOK_SECRET",
            members: members(
                NamePlace::Member("event".to_owned()),
                None,
                Some(("event_ts", TimeForm::Milliseconds)),
                Some("payload"),
            ),
            default_event: "meeting.started",
            events: &[],
            retries: (None, NO_SCHEDULE),
            patience: Some(3),
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<Zoom>::default())),
        },
        Row {
            slug: "paddle",
            title: "Paddle",
            variable: "PADDLE_WEBHOOK_SECRET",
            members: members(
                NamePlace::Member("event_type".to_owned()),
                Some("event_id"),
                Some(("occurred_at", TimeForm::Text)),
                Some("data"),
            ),
            default_event: "transaction.paid",
            events: &[],
            retries: (None, "retries 60 times in 3 days, and documents no schedule"),
            patience: Some(5),
            tolerance: Some(300),
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<Paddle>::default())),
        },
        Row {
            slug: "linear",
            title: "Linear",
            variable: "LINEAR_WEBHOOK_SECRET",
            members: members(
                NamePlace::Member("type".to_owned()),
                None,
                Some(("webhookTimestamp", TimeForm::Milliseconds)),
                Some("data"),
            ),
            default_event: "Issue",
            events: &[],
            retries: (Some(&[60, 3_660, 25_260]), "retries after a minute, an hour and six hours"),
            patience: Some(5),
            tolerance: None,
            is_json: true,
            signs_url: false,
            make: |_| Ok(Box::new(<Linear>::default())),
        },
        Row {
            slug: "square",
            title: "Square",
            variable: "SQUARE_WEBHOOK_SECRET",
            members: members(
                NamePlace::Member("type".to_owned()),
                Some("event_id"),
                Some(("created_at", TimeForm::Text)),
                Some("data"),
            ),
            default_event: "payment.created",
            events: &[],
            retries: (None, "retries for up to 24 hours, and documents no schedule"),
            patience: None,
            tolerance: None,
            is_json: true,
            signs_url: true,
            make: |settings| {
                let url = settings.notification.url().ok_or_else(|| {
                    Failure::usage(
                        "Square signs its notification URL\n  Give --notification-url URL, or set SQUARE_NOTIFICATION_URL.",
                    )
                })?;
                Ok(Box::new(<Square>::new(url)))
            },
        },
    ]
}

fn members(name: NamePlace, id: Option<&str>, time: Option<(&str, TimeForm)>, data: Option<&str>) -> Members {
    Members {
        name,
        id: id.map(str::to_owned),
        time: time.map(|(name, form)| (name.to_owned(), form)),
        data: data.map(str::to_owned),
    }
}

impl From<Row> for Provider {
    fn from(row: Row) -> Self {
        let make = row.make;
        Self(Arc::new(Facts {
            slug: row.slug.to_owned(),
            title: row.title.to_owned(),
            variable: row.variable.to_owned(),
            members: row.members,
            default_event: row.default_event.to_owned(),
            events: row.events,
            retries: Retries { after: row.retries.0, about: format!("{} {}", row.title, row.retries.1) },
            patience: row.patience.map(Duration::from_secs),
            tolerance: row.tolerance.map(Duration::from_secs),
            before_tag: String::new(),
            is_json: row.is_json,
            signs_url: row.signs_url,
            make: Box::new(make),
            declaration: None,
        }))
    }
}
