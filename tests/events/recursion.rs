//! Payloads that contain themselves: no body overflows the stack or multiplies the memory, and none loses
//! anything.

use crate::common::{signed, webhook};
use allocation_counter::measure;
use countersign::{Error, Provider, Scheme};
use serde::{Deserialize, Serialize};

countersign::payload! {
    struct Comment { optional { text: String = "t", replies: Vec<Comment> = "r" } }
}
countersign::payload! {
    struct Link { optional { next: Box<Link> = "n" } }
}
countersign::payload! {
    struct Must { required { next: Option<Box<Must>> = "n" } }
}
countersign::payload! {
    struct Parts { required { parts: Vec<Parts> = "p" } }
}
countersign::payload! {
    struct Ping { optional { pong: Box<Pong> = "o" } }
}
countersign::payload! {
    struct Pong { required { ping: Ping = "i" } }
}
countersign::payload! {
    struct Forest { optional { tree: Tree = "f" } }
}
countersign::payload! {
    struct Mixed { optional { plain: Plain = "m" } }
}

/// What serde derives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    c: Vec<Tree>,
}

/// What serde derives, with a payload in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plain {
    d: Option<Box<Plain>>,
    e: Option<Box<Mixed>>,
}

countersign::events! {
    enum Recursive {
        Comment(Comment) = "comment",
        Link(Link) = "link",
        Must(Must) = "must",
        Parts(Parts) = "parts",
        Ping(Ping) = "ping",
        Pong(Pong) = "pong",
        Forest(Forest) = "forest",
        Mixed(Mixed) = "mixed",
    }
}

#[derive(Default)]
struct Acme;

impl Provider for Acme {
    type Event = Recursive;

    const NAME: &'static str = "acme";

    const SCHEME: Scheme<'static> = Scheme::new("x-acme-signature").with_prefix("sha256=");
}

/// An event's name, what begins its data at each level, what is innermost, and what ends it.
type Shape = (&'static str, &'static str, &'static str, &'static str);

const SHAPES: [Shape; 12] = [
    ("comment", r#"{"r":["#, "", "]}"),
    ("comment", r#"{"t":"a","r":["#, r#"{"t":"b"}"#, "]}"),
    ("comment", r#"{"r":[{"r":[],"x":[1e99]},"#, "{}", "]}"),
    ("link", r#"{"n":"#, "{}", "}"),
    ("link", r#"{"n":"#, "7", "}"),
    ("must", r#"{"n":"#, "null", "}"),
    ("parts", r#"{"p":["#, "", "]}"),
    ("ping", r#"{"o":{"i":"#, "{}", "}}"),
    ("pong", r#"{"i":{"o":"#, r#"{"i":{}}"#, "}}"),
    ("forest", r#"{"f":{"c":["#, "", "]}}"),
    ("mixed", r#"{"m":{"d":null,"e":"#, "null", "}}"),
    ("mixed", r#"{"m":{"d":{"d":null,"e":null},"e":"#, "{}", "}}"),
];

fn nested((_, open, innermost, close): (&str, &str, &str, &str), levels: usize) -> String {
    format!("{}{innermost}{}", open.repeat(levels), close.repeat(levels))
}

/// The event of a signed body with this data. What comes is written back as it came.
fn event(name: &str, data: &str) -> Result<Recursive, Error> {
    let webhook = webhook::<Acme>();
    let body = format!(r#"{{"event":"{name}","data":{data}}}"#);
    let headers = signed(&webhook, body.as_bytes());
    let event = webhook.verify(&headers, body.as_bytes()).unwrap().event();
    if let Ok(event) = &event {
        assert!(event.variant() != "Unknown");
        let written = serde_json::to_string(event).unwrap();
        assert!(written == body, "{name} loses something");
        assert_eq!(&serde_json::from_str::<Recursive>(&written).unwrap(), event);
    }
    event
}

/// Runs this where a reader that recurses has room for no more than some hundred levels.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn no_recursive_type_overflows_a_stack_of_128_kib_or_loses_anything() {
    on_a_small_stack(|| {
        for shape in SHAPES {
            let level = shape.1.len() + shape.3.len();
            let levels = (1..140).chain([1_000, 15_000 / level, 100_000 / level]);
            for levels in levels {
                match event(shape.0, &nested(shape, levels)) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!((error.code(), shape.2), ("invalid_event", shape.2));
                        assert!(matches!(shape.0, "must" | "parts" | "pong"), "{shape:?}");
                        assert!(levels >= 16, "{shape:?}: {levels} levels");
                    }
                }
            }
        }
    });
}
/// How many payloads in one another are read as their types.
fn typed(comment: &Comment) -> usize {
    let replies = comment.replies.iter().flatten();
    usize::from(comment.extra.as_whole().is_none()) + replies.map(typed).max().unwrap_or(0)
}

#[test]
fn sixteen_payloads_in_one_another_are_typed_and_the_rest_is_kept_as_text() {
    for levels in [1, 15, 16, 17, 18, 63, 64, 1_000] {
        let Recursive::Comment(comment) = event("comment", &nested(SHAPES[0], levels)).unwrap() else {
            panic!()
        };
        // Where the value of the outermost has more than 127 levels, it is not read as its type at all.
        let expected = if levels > 64 { 1 } else { levels.min(16) };
        assert_eq!(typed(&comment), expected, "{levels}");
    }
    for (levels, is_typed) in [(16, true), (17, false), (100, false)] {
        assert_eq!(event("must", &nested(SHAPES[5], levels)).is_ok(), is_typed, "{levels}");
        let error =
            serde_json::from_str::<Must>(&nested(SHAPES[5], levels)).err().map(|error| error.to_string());
        assert_eq!(error.is_none(), is_typed);
        assert!(error.is_none_or(|error| error.starts_with("more than 16 payloads stand in one another")));
    }
    // Brackets in a text are no levels.
    let brackets = format!(r#"{{"r":[{{"t":"\"{}"}}]}}"#, "[".repeat(200));
    let Recursive::Comment(comment) = event("comment", &brackets).unwrap() else { panic!() };
    assert_eq!((typed(&comment), comment.replies.unwrap().len()), (2, 1));
    // Those that stand beside one another are not counted, nor what was refused before.
    let beside = format!(r#"{{"r":[{}]}}"#, ["{}"; 1_000].join(","));
    let Recursive::Comment(comment) = event("comment", &beside).unwrap() else { panic!() };
    assert_eq!((typed(&comment), comment.replies.unwrap().len()), (2, 1_000));
}

#[test]
fn a_value_and_a_reader_are_read_like_text() {
    for shape in SHAPES {
        let data = nested(shape, 7);
        let queued = format!(r#"{{"event":"{}","data":{data}}}"#, shape.0);
        let text: Recursive = serde_json::from_str(&queued).unwrap();
        assert_eq!(serde_json::from_reader::<_, Recursive>(queued.as_bytes()).unwrap(), text);
        let value: serde_json::Value = serde_json::from_str(&queued).unwrap();
        let back = serde_json::from_value::<Recursive>(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(back).unwrap(), value);
    }
}

#[test]
fn no_body_multiplies_its_memory() {
    let long = "x".repeat(100_000);
    for shape in SHAPES {
        for levels in [10, 1_500] {
            for innermost in [format!(r#"{{"t":"{long}"}}"#), format!("\"{long}\"")] {
                let data = nested((shape.0, shape.1, &innermost, shape.3), levels);
                let webhook = webhook::<Acme>();
                let body = format!(r#"{{"event":"{}","data":{data}}}"#, shape.0);
                let headers = signed(&webhook, body.as_bytes());
                let allocated = measure(|| drop(webhook.verify(&headers, body.as_bytes()).unwrap().event()));
                let (most, total) =
                    (allocated.bytes_max / body.len() as u64, allocated.bytes_total / body.len() as u64);
                assert!(most < 5 && total < 10, "{shape:?}, {levels} levels: {most}, {total} times the body");
            }
        }
    }
}
