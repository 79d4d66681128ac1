//! What is signed, and with which secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ours::now;

/// An event in the provider's form, with its data.
pub fn event(provider: &str, data: &str) -> String {
    match provider {
        "stripe" => {
            format!(r#"{{"id":"evt_1","object":"event","type":"charge.failed","created":1,"data":{data}}}"#)
        }
        "zoom" => format!(r#"{{"event":"meeting.started","event_ts":1626230691572,"payload":{data}}}"#),
        "linear" => {
            let time = now() * 1000;
            format!(r#"{{"action":"create","type":"Issue","data":{data},"webhookTimestamp":{time}}}"#)
        }
        "paddle" => {
            let time = "2026-03-10T14:30:00Z";
            format!(
                r#"{{"event_id":"evt_1","event_type":"transaction.paid","occurred_at":"{time}","data":{data}}}"#
            )
        }
        "square" => {
            let time = "2026-03-10T14:30:00Z";
            format!(
                r#"{{"merchant_id":"m","type":"payment.created","event_id":"e_1","created_at":"{time}","data":{data}}}"#
            )
        }
        _ => format!(r#"{{"type":"user.created","timestamp":"2026-03-10T14:30:00Z","data":{data}}}"#),
    }
}

/// Bodies with their names. All but the empty object are events of the provider.
pub fn bodies(provider: &str) -> Vec<(&'static str, String)> {
    let large = format!(r#"{{"text":"{}"}}"#, "0123456789abcdef".repeat(6400));
    let mut bodies = vec![
        ("an event", event(provider, r#"{"a":1}"#)),
        ("Unicode", event(provider, "{\"a\":\"Grüße, 世界 🦀 \u{2028} \u{feff}\"}")),
        ("100 KiB", event(provider, &large)),
        ("escapes", event(provider, r#"{"a":"\n\\\" \t"}"#)),
    ];
    // The sample in Zoom's documentation writes the body anew.
    if provider != "zoom" {
        bodies.push((
            "spaces and a newline",
            format!(" {}\r\n", event(provider, r#"{ "a" : 1.0 , "b":"\u00e9\/" }"#)),
        ));
    }
    // Linear's SDK demands a time in the body.
    if provider != "linear" {
        bodies.push(("an empty object", "{}".to_owned()));
    }
    bodies
}

/// Secrets in the provider's form: one of the usual length, one shorter and one longer than a block of the hash.
pub fn secrets(provider: &str) -> Vec<String> {
    if provider == "standard-webhooks" {
        let key =
            |length: u8| STANDARD.encode((1..=length).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>());
        return vec![
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            key(32),
            format!("whsec_{}", key(64)),
            format!("whsec_{}", key(100)),
        ];
    }
    vec![
        "whsec_0123456789abcdef".to_owned(),
        "8f742231b10e8888abcd99yyyzzz85a5".to_owned(),
        "S'ecret with spaces, \"quotes\" & ümläuts 🦀".to_owned(),
        "0123456789".repeat(13),
    ]
}
