//! No two different messages have the same signed bytes, under every template that the check accepts.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::event::check_object;
use crate::scheme::reader::{Head, Pieces, Reader};
use crate::scheme::{MAX_HEADERS, Scheme, TimeUnit};

/// Few and short, and made of the separators and of what stands beside them, so that they collide if they can.
const VALUES: [&str; 14] =
    ["a", ".", "a.", ".a", "..", "-", ".-", "-.", " ", "a ", " a", "{}", "{}a", "1111111111"];
const TIMES: [&str; 3] = ["0000000000", "1111111111", "0111111111"];
const BODIES: [&str; 20] = [
    "",
    "a",
    ".",
    "a.",
    ".a",
    "-",
    ".-",
    "{}",
    " {}",
    "{} ",
    " {} ",
    "{}a",
    "a{}",
    r#"{"a":{}}"#,
    r#"{"{}":"{}"}"#,
    "1111111111",
    "01111111111",
    "11111111110",
    "1111111111{}",
    "{}.a",
];
const PARTS: [&str; 9] = ["{body}", "{timestamp}", "{header:x}", "{header:y}", ".", "..", "-", ".-", " "];

/// Two messages with the same signed bytes that would both be accepted, if there are.
fn collision(scheme: &Scheme<'_>) -> Option<[String; 2]> {
    let reader = Reader::unchecked(scheme).ok()?;
    let (has_x, has_y) = (scheme.signed.contains(":x}"), scheme.signed.contains(":y}"));
    let choices =
        |values: &'static [&'static str], is_used: bool| if is_used { values } else { &values[..1] };
    let mut seen: HashMap<Vec<u8>, String> = HashMap::new();
    for time in choices(&TIMES, scheme.time.is_some()) {
        for x in choices(&VALUES, has_x) {
            for y in choices(&VALUES, has_y) {
                for body in
                    BODIES.iter().filter(|body| scheme.is_opaque || check_object(body.as_bytes()).is_ok())
                {
                    let mut values = [&b""[..]; MAX_HEADERS];
                    for (place, value) in [("x", x), ("y", y)] {
                        if let Some(at) = reader.place_of(place) {
                            values[at] = value.as_bytes();
                        }
                    }
                    let head = Head::of(time.as_bytes(), SystemTime::UNIX_EPOCH, values);
                    if !reader.are_distinct(&head) {
                        continue;
                    }
                    let message = format!("{time:?} {x:?} {y:?} {body:?}");
                    let bytes = reader.pieces(&head, body.as_bytes(), &mut Pieces::new()).concat();
                    if let Some(other) = seen.insert(bytes, message.clone()) {
                        return Some([other, message]);
                    }
                }
            }
        }
    }
    None
}

/// All templates of up to five of the parts.
fn templates() -> impl Iterator<Item = String> {
    let count = |length: u32| PARTS.len().pow(length);
    (1..=5).flat_map(move |length| (0..count(length)).map(move |number| template(number, length)))
}

fn template(number: usize, length: u32) -> String {
    (0..length).map(|at| PARTS[number / PARTS.len().pow(at) % PARTS.len()]).collect()
}

#[test]
#[cfg_attr(miri, ignore = "it computes much")]
fn an_accepted_template_is_injective_and_the_check_is_what_makes_it_so() {
    let (mut accepted, mut refused, mut found) = (0, 0, 0);
    // Every template of up to four parts, and every 20th of five.
    for (at, template) in templates().enumerate().filter(|(at, _)| *at < 7_380 || at % 20 == 0) {
        // These are refused for another reason than that they would collide.
        if [("{body}", 1..2), ("{timestamp}", 0..2), ("{header:x}", 0..2), ("{header:y}", 0..2)]
            .iter()
            .any(|(part, times)| !times.contains(&template.matches(part).count()))
        {
            continue;
        }
        for is_opaque in [false, true] {
            let mut scheme = Scheme::new("x-signature").with_template(&template);
            if template.contains("{timestamp}") {
                scheme = scheme.with_time_header("x-time", TimeUnit::Seconds);
            }
            if is_opaque {
                scheme = scheme.with_opaque_body();
            }
            let collision = collision(&scheme);
            if scheme.check().is_ok() {
                accepted += 1;
                assert_eq!(collision, None, "{template} {is_opaque} {at}");
            } else {
                refused += 1;
                found += usize::from(collision.is_some());
            }
        }
    }
    println!("{accepted} accepted, {refused} refused, of which {found} collide");
    assert!(accepted > 1_000 && found > 300, "{accepted} {refused} {found}");
}

#[test]
#[cfg_attr(miri, ignore = "it computes much")]
fn a_template_that_the_check_refuses_would_let_two_deliveries_have_the_same_signed_bytes() {
    for (template, is_opaque) in [
        ("{header:x}{header:y}.{body}", false),
        ("{header:x}{header:y}{body}", false),
        ("{header:x}{body}{header:y}", true),
        ("{header:x}{body}", true),
        ("{body}{header:x}", true),
    ] {
        let scheme = Scheme::new("x-signature").with_template(template);
        let scheme = if is_opaque { scheme.with_opaque_body() } else { scheme };
        assert_eq!(scheme.check().unwrap_err().part(), "signed", "{template}");
        let [one, other] = collision(&scheme).expect(template);
        println!("{template}: {one} and {other}");
        assert_ne!(one, other);
    }
}

#[test]
fn templates_that_providers_use_pass_and_those_that_collide_do_not() {
    let cases = [
        // Zendesk, Box and Twitch, whose bodies are JSON objects.
        ("{timestamp}{body}", true, true),
        ("{body}{header:x}", true, false),
        ("{header:x}{timestamp}{body}", true, false),
        ("{header:x}.{timestamp}.{body}", true, true),
        ("v0:{timestamp}:{body}", true, true),
        ("{body}.{header:x}", true, true),
        ("{{{body}", true, true),
        ("{header:x}{body}{header:y}", false, false),
        ("{header:x}{header:y}.{body}", false, false),
        ("{header:x}{timestamp}{header:y}.{body}", false, false),
        ("{header:x}{timestamp} {body}", false, false),
        ("{body}{body}", false, false),
        ("{timestamp}{timestamp}{body}", false, false),
        ("{header:x}.{header:x}.{body}", false, false),
        ("", false, false),
        ("body", false, false),
        ("{body", false, false),
        ("{}{body}", false, false),
        ("{url}{body}", false, false),
        ("{header:}{body}", false, false),
        ("{header:X}.{body}", false, false),
        ("{header:x y}.{body}", false, false),
        ("{header:x-signature}.{body}", false, false),
        ("{header:x-time}.{body}", false, false),
    ];
    for (template, is_json_accepted, is_opaque_accepted) in cases {
        let mut scheme = Scheme::new("x-signature").with_template(template);
        if template.contains("{timestamp}") || template.contains("x-time") {
            scheme = scheme.with_time_header("x-time", TimeUnit::Seconds);
        }
        assert_eq!(scheme.check().is_ok(), is_json_accepted, "{template}");
        assert_eq!(scheme.with_opaque_body().check().is_ok(), is_opaque_accepted, "{template}");
    }
}
