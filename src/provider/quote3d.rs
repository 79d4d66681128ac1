//! Quote3D: quotes for 3D prints.
//!
//! The page "Webhooks" of Quote3D's documentation names the two headers, the six events and the
//! payload of `quote.completed`, and that is all that is required here. It documents no event id, so
//! the idempotency key is the SHA-256 of the body, which carries its own timestamp: a retry or a resend
//! of an event is the same body, and two events differ. An `id` in a body is ignored, since nothing
//! says what it would identify. A resend from the dashboard may come at any
//! later time.

use http::HeaderName;

use crate::event::open_enum;
use crate::event::{Json, Number};
use crate::provider::Provider;

/// Quote3D: `X-Webhook-Signature`, and `X-Webhook-Event`, which has to agree with the signed body.
///
/// ```
/// use countersign::{Secret, Webhook, provider::{Quote3d, quote3d}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let body = include_bytes!("../../tests/data/quote3d_quote_completed.json");
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
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

    const EVENT_ID: Option<&'static str> = None;

    fn signature_header(&self) -> HeaderName {
        HeaderName::from_static("x-webhook-signature")
    }

    fn event_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("x-webhook-event"))
    }
}

crate::events! {
    /// The events that Quote3D's page lists.
    pub enum Event {
        /// There is a quote.
        QuoteCompleted(Quote) = "quote.completed",
        /// There will be no quote.
        QuoteFailed(FailedQuote) = "quote.failed",
        /// A model has arrived.
        FileUploaded(File) = "file.uploaded",
        /// A model is gone.
        FileDeleted(File) = "file.deleted",
        /// A job has another status.
        JobStatusChanged(Job) = "job.status_changed",
        /// The embedded widget's cart got an item.
        WidgetAddedToCart(CartItem) = "widget.added_to_cart",
    }
}

crate::payload! {
    /// The data of `quote.completed`. The page shows every field of it.
    pub struct Quote {
        required {
            /// The job's id, `job_…`.
            job_id: String = "jobId",
            /// The quote's id; on the page it is the job's.
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
            /// `null` on the page: what it is otherwise is not documented.
            error: Option<Json> = "error",
        }
    }
}

crate::payload! {
    /// What a quote says: the price, the time and the material.
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
            /// The filament's weight. The page names no unit.
            filament_weight: Number = "filament_weight",
            /// How it would be printed.
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
    /// The data of `quote.failed`. It is not documented: the names are those of `quote.completed`,
    /// and every one is optional.
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
            /// What went wrong, in whatever form it comes.
            error: Json = "error",
        }
    }
}

crate::payload! {
    /// The data of `file.uploaded` and `file.deleted`. It is not documented: the names are those of
    /// `quote.completed`, and every one is optional.
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
    /// The data of `job.status_changed`. It is not documented: the names are those of
    /// `quote.completed`, and every one is optional.
    pub struct Job {
        optional {
            /// The job's id.
            job_id: String = "jobId",
            /// The status it has come to. The jobs API writes the last ones in upper case.
            status: Status = "status",
        }
    }
}

crate::payload! {
    /// The data of `widget.added_to_cart`. It is not documented: the names are those of the message
    /// that the widget sends to its host page, and every one is optional.
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
            /// How many.
            quantity: Number = "quantity",
            /// Where a small picture of the model is.
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
    /// A job's or a quote's status, as it came.
    pub struct Status, as
    /// The statuses that Quote3D's jobs API names for a job that has ended. (Its webhooks page
    /// writes `completed`, the API `COMPLETED`.)
    pub enum StatusKind {
        /// It ended well.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}
