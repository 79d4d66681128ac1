//! Events of Quote3D, whose bodies have no member that identifies them.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{signed, webhook};
use countersign::provider::{Quote3d, quote3d};
use countersign::{Delivery, Error, MemoryStore, Receiver};

#[tokio::test]
async fn two_events_with_the_same_id_are_both_handled() {
    let receiver = Receiver::new(webhook::<Quote3d>(), MemoryStore::new());
    let handled = AtomicUsize::new(0);
    let handler = async |delivery: Delivery<'_, Quote3d>| {
        let expected = ["FileUploaded", "FileDeleted"][handled.fetch_add(1, Ordering::Relaxed)];
        let event: quote3d::Event = delivery.event()?;
        assert_eq!(event.variant(), expected);
        Ok::<_, Error>(())
    };
    for event in ["file.uploaded", "file.deleted"] {
        let body = format!(r#"{{"event":"{event}","id":"job_1","data":{{}}}}"#);
        let headers = signed(receiver.webhook(), body.as_bytes());
        for code in ["handled", "duplicate"] {
            let outcome = receiver.receive(&headers, body.as_bytes(), handler).await;
            assert_eq!((outcome.status(), outcome.code()), (200, code), "{event}");
        }
    }
    assert_eq!(handled.into_inner(), 2);
}
