//! The documented payload, as one would write it down.

use serde::Deserialize;

/// What a delivery has to bring: the effect is made of this.
pub struct Quote {
    pub job_id: String,
    pub total_price: f64,
}

#[derive(Deserialize)]
struct Envelope {
    event: String,
    data: Completed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct Completed {
    job_id: String,
    quote_id: String,
    status: String,
    file_name: String,
    file_id: String,
    processing_time_ms: u64,
    result: Calculated,
    error: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct Calculated {
    quote_id: String,
    total_price: f64,
    currency: String,
    estimated_time: String,
    estimated_time_seconds: u64,
    filament_weight: f64,
    #[serde(rename = "printInfo")]
    print_info: PrintInfo,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "to be read, as the crate reads them")]
struct PrintInfo {
    technology: String,
    material: String,
    color: String,
}

/// Reads a body, if it is a calculated quote.
pub fn parse(body: &[u8]) -> Option<Quote> {
    let Envelope { event, data } = serde_json::from_slice(body).ok()?;
    let quote = Quote { job_id: data.job_id, total_price: data.result.total_price };
    (event == "quote.completed").then_some(quote)
}
