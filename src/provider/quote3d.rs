//! Quote3D: quotes for 3D prints.
//!
//! The page "Webhooks" of Quote3D's documentation names the two headers, the six events and the
//! payload of `quote.completed`. This module requires no more than these. The page documents no event id, so
//! the idempotency key is the SHA-256 of the body. The body contains its timestamp: a retry or a resend
//! of an event has the same body, and two events have different ones. An `id` in a body is ignored, because
//! it is not documented what it would identify. A resend from the dashboard can come at any later time.

use crate::event::open_enum;
use crate::event::{Envelope, Json, Number};
use crate::provider::Provider;
use crate::scheme::Scheme;

/// Quote3D. Its headers are `X-Webhook-Signature`, and `X-Webhook-Event`, which must agree with the signed body.
///
/// ```
/// use countersign::{Secret, Webhook, provider::{Quote3d, quote3d}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let body = include_bytes!("../../tests/data/quote3d_quote_completed.json");
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?)?;
/// # let headers = webhook.signed_headers(body);
/// match webhook.verify(&headers, body)?.event()? {
///     quote3d::Event::QuoteCompleted(quote) => {
///         assert_eq!(quote.result.total_price.as_str(), "25.5");
///         assert_eq!(quote.status.kind(), quote3d::StatusKind::Completed);
///     }
///     other => println!("not ours: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Quote3d;

impl Provider for Quote3d {
    type Event = Event;

    const NAME: &'static str = "quote3d";

    const SCHEME: Scheme<'static> = Scheme::new("x-webhook-signature").with_prefix("sha256=");

    const ENVELOPE: Envelope<'static> =
        Envelope::new().without_id().with_confirming_header("x-webhook-event");
}

crate::events! {
    /// The events that Quote3D's page lists.
    pub enum Event {
        /// A quote was calculated.
        QuoteCompleted(Quote) = "quote.completed",
        /// A quote could not be calculated.
        QuoteFailed(FailedQuote) = "quote.failed",
        /// A model was uploaded.
        FileUploaded(File) = "file.uploaded",
        /// A model was deleted.
        FileDeleted(File) = "file.deleted",
        /// The status of a job has changed.
        JobStatusChanged(Job) = "job.status_changed",
        /// An item was added to the embedded widget's cart.
        WidgetAddedToCart(CartItem) = "widget.added_to_cart",
    }
}

crate::payload! {
    /// The data of `quote.completed`. The page shows every field.
    pub struct Quote {
        required {
            /// The job's id, `job_…`.
            job_id: String = "jobId",
            /// The quote's id. On the page, it equals the job's id.
            quote_id: String = "quoteId",
            /// `completed` on the page.
            status: Status = "status",
            /// The model's file name.
            file_name: String = "fileName",
            /// The model's file id, `fl_…`.
            file_id: String = "fileId",
            /// How long the calculation took, in milliseconds.
            processing_time_ms: Number = "processingTimeMs",
            /// What was calculated.
            result: QuoteResult = "result",
            /// `null` on the page. Other values are not documented.
            error: Option<Json> = "error",
        }
    }
}

crate::payload! {
    /// A quote's result: the price, the time and the material.
    pub struct QuoteResult {
        required {
            /// The quote's id.
            quote_id: String = "quote_id",
            /// The price, in `currency`. Parse it into a decimal type.
            total_price: Number = "total_price",
            /// The price's currency; `USD` on the page.
            currency: String = "currency",
            /// The printing time in words; `2h 15m` on the page.
            estimated_time: String = "estimated_time",
            /// The printing time, in seconds.
            estimated_time_seconds: Number = "estimated_time_seconds",
            /// The filament's weight. The page does not name the unit.
            filament_weight: Number = "filament_weight",
            /// How the model would be printed.
            print_info: PrintInfo = "printInfo",
        }
    }
}

crate::payload! {
    /// How a model is printed.
    pub struct PrintInfo {
        required {
            /// `FDM` on the page.
            technology: String = "technology",
            /// `PLA` on the page.
            material: String = "material",
            /// `Black` on the page.
            color: String = "color",
        }
    }
}

crate::payload! {
    /// The data of `quote.failed`. It is not documented: the fields are those of `quote.completed`,
    /// and all are optional.
    pub struct FailedQuote {
        optional {
            /// The job's id.
            job_id: String = "jobId",
            /// The quote's id.
            quote_id: String = "quoteId",
            /// The status.
            status: Status = "status",
            /// The model's file name.
            file_name: String = "fileName",
            /// The model's file id.
            file_id: String = "fileId",
            /// What went wrong, as any JSON.
            error: Json = "error",
        }
    }
}

crate::payload! {
    /// The data of `file.uploaded` and `file.deleted`. It is not documented: the fields are those of
    /// `quote.completed`, and all are optional.
    pub struct File {
        optional {
            /// The file's id.
            file_id: String = "fileId",
            /// The file's name.
            file_name: String = "fileName",
        }
    }
}

crate::payload! {
    /// The data of `job.status_changed`. It is not documented: the fields are those of
    /// `quote.completed`, and all are optional.
    pub struct Job {
        optional {
            /// The job's id.
            job_id: String = "jobId",
            /// The new status. The jobs API writes final statuses in upper case.
            status: Status = "status",
        }
    }
}

crate::payload! {
    /// The data of `widget.added_to_cart`. It is not documented: the fields are those of the message
    /// that the widget sends to its host page, and all are optional.
    pub struct CartItem {
        optional {
            /// The quote's id.
            quote_id: String = "quoteId",
            /// The price, in `currency`. Parse it into a decimal type.
            total_price: Number = "totalPrice",
            /// The price's currency.
            currency: String = "currency",
            /// The material.
            material: String = "material",
            /// The technology.
            technology: String = "technology",
            /// The number of copies.
            quantity: Number = "quantity",
            /// The address of a small picture of the model.
            thumbnail_url: String = "thumbnailUrl",
            /// The model's file name.
            file_name: String = "fileName",
            /// The weight. The widget uses this name and the next.
            weight: Number = "weight",
            /// The filament's weight. The widget uses this name and the one before.
            filament_weight: Number = "filamentWeight",
        }
    }
}

open_enum! {
    /// A job's or a quote's status, unchanged.
    pub struct Status, as
    /// The statuses that Quote3D's jobs API names for a job that has ended. (The webhooks page
    /// writes `completed`, and the API writes `COMPLETED`.)
    pub enum StatusKind {
        /// It succeeded.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}
