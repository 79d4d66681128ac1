//! The headers of a scheme: what they may be called, beside each other and in a family, and how many there are.

use countersign::{Envelope, Scheme, TimeUnit};

use super::{Set, wrong_part};

#[test]
fn a_header_that_names_the_event_is_one_of_its_own() {
    const FAMILIES: Scheme<'static> = Scheme::new("webhook-signature")
        .with_family("webhook-", "svix-")
        .with_time_header("webhook-timestamp", TimeUnit::Seconds)
        .with_template("{header:webhook-id}.{timestamp}.{body}");
    for header in ["webhook-signature", "svix-signature", "webhook-timestamp", "svix-timestamp"] {
        for envelope in
            [Envelope::new().with_name_header(header), Envelope::new().with_confirming_header(header)]
        {
            assert_eq!(wrong_part(Set(FAMILIES, envelope)), Some("event.name"), "{header}");
        }
    }
    for header in
        ["webhook-id", "webhook-event", "signature", "svix-event", "webhook-signature-2", "svix", "x"]
    {
        assert_eq!(wrong_part(Set(FAMILIES, Envelope::new().with_name_header(header))), None, "{header}");
    }
}

#[test]
fn each_signed_header_belongs_to_the_family() {
    const FAMILIES: Scheme<'static> = Scheme::new("webhook-signature").with_family("webhook-", "svix-");
    for (template, part) in [
        ("{header:webhook-id}.{body}", None),
        ("{header:x-id}.{body}", Some("signed")),
        ("{header:webhook-}.{body}", Some("signed")),
        ("{header:svix-id}.{body}", Some("signed")),
        ("{header:webhook-id}.{body}.{header:x-id}", Some("signed")),
        ("{header:webhook-id}.{body}.{header:webhook-to}", None),
    ] {
        assert_eq!(wrong_part(Set(FAMILIES.with_template(template), Envelope::new())), part, "{template}");
    }
}

#[test]
fn the_headers_of_a_family_begin_like_it_and_so_does_nothing_of_the_other() {
    const SCHEME: Scheme<'static> = Scheme::new("webhook-signature");
    let signature = Some("signature.header");
    for (beginning, other, part) in [
        ("webhook-", "svix-", None),
        ("svix-", "webhook-", signature),
        ("webhook-signature", "svix-", signature),
        ("webhook-", "", signature),
        ("webhook-", "SVIX-", signature),
        ("webhook-", "webhook-", signature),
        ("webhook-", "webhook-2-", signature),
        ("webhook-", "web-", None),
    ] {
        let provider = Set(SCHEME.with_family(beginning, other), Envelope::new());
        assert_eq!(wrong_part(provider), part, "{beginning} {other}");
    }
    for (time, part) in [("webhook-time", None), ("x-time", Some("timestamp.header"))] {
        let scheme = SCHEME
            .with_family("webhook-", "svix-")
            .with_time_header(time, TimeUnit::Seconds)
            .with_template("{timestamp}.{body}");
        assert_eq!(wrong_part(Set(scheme, Envelope::new())), part, "{time}");
    }
}

#[test]
fn there_are_at_most_8_signature_headers() {
    const NAMES: [&str; 9] = ["x-1", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7", "x-8", "x-9"];
    for (count, part) in [(0, Some("signature.header")), (1, None), (8, None), (9, Some("signature.header"))]
    {
        let scheme = Scheme::new("x-s").with_headers(&NAMES[..count]);
        assert_eq!(wrong_part(Set(scheme, Envelope::new())), part, "{count}");
    }
}
