//! The payload on the page: the bytes as they came, beside what was signed, and laid out.

use super::browser::{Page, open};
use super::page::{choose, written_again};
use super::support::*;

/// The marked parts of a `pre`.
fn marked(page: &mut Page, id: &str) -> Vec<String> {
    let ranges = format!(
        "[...highlights.differs].filter((range) => $('{id}').contains(range.startContainer)).map((range) => {{ \
         const live = document.createRange(); live.setStart(range.startContainer, range.startOffset); \
         live.setEnd(range.endContainer, range.endOffset); return live.toString(); }})"
    );
    serde_json::from_value(page.eval(&ranges)).unwrap()
}

/// The text as it is shown, and would be copied.
fn text(page: &mut Page, id: &str) -> String {
    page.text(&format!("document.getElementById('{id}').innerText"))
}

/// The text without the signs of white space.
fn without_signs(text: &str) -> String {
    text.replace(['↵', '→'], "").replace('·', " ")
}

/// The view that is chosen, and those that could be.
fn views(page: &mut Page) -> (String, Vec<String>) {
    let chosen = page.text("document.querySelector('#views [role=group] [aria-pressed=true]').id");
    let all = page.eval("[...document.querySelectorAll('#views [role=group] button')].filter((button) => button.checkVisibility()).map(({ id }) => id)");
    (chosen, serde_json::from_value(all).unwrap())
}

#[test]
fn what_was_signed_stands_beside_what_arrived_and_the_difference_is_marked() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let signed = COMPLETED.trim_end();
    listener.post(
        "/webhooks/quote3d",
        &of_quote3d("quote.completed", signed.as_bytes()),
        written_again().as_bytes(),
    );
    page.wait("!document.getElementById('difference').hidden");
    assert_eq!(views(&mut page).0, "compared");
    assert_eq!(without_signs(&text(&mut page, "signed")), signed);
    assert_eq!(text(&mut page, "payload"), written_again());
    // Each white space that was lost is marked, and made visible.
    let lost = marked(&mut page, "signed");
    assert!(lost.len() > 40 && marked(&mut page, "payload").is_empty(), "{lost:?}");
    assert_eq!(lost[0], "↵\n··");
    assert!(lost.iter().all(|lost| without_signs(lost).trim().is_empty()), "{lost:?}");
    let said = text(&mut page, "difference");
    let lengths = format!("{} bytes were signed, and {} bytes arrived.", signed.len(), written_again().len());
    assert!(said.contains("by white space alone") && said.ends_with(&lengths), "{said}");
    let places = "['signed', 'payload'].map((id) => { const { left, top } = $(id).getBoundingClientRect(); return [left, top]; })";
    for (width, is_beside) in [(1280, true), (390, false)] {
        page.size(width, 860);
        let places: [[f64; 2]; 2] = serde_json::from_value(page.eval(places)).unwrap();
        assert_eq!(places[0][1] == places[1][1] && places[0][0] < places[1][0], is_beside, "{places:?}");
        assert_eq!(places[0][0] == places[1][0] && places[0][1] < places[1][1], !is_beside, "{places:?}");
    }
    // The other views have no marks.
    page.eval("$('laid-out').click()");
    assert_eq!(
        (text(&mut page, "payload"), page.eval("$('difference').hidden")),
        (signed.to_owned(), true.into())
    );
    page.eval("$('raw').click()");
    assert_eq!(text(&mut page, "payload"), written_again());
    assert!(marked(&mut page, "payload").is_empty());
}

/// What is shown as signed is proven: the signature that arrived verifies it.
#[test]
fn an_added_line_end_and_an_escape_are_marked_where_they_are() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (number, signed, arrived, of_signed, of_arrived) in [
        (1, r#"{"event":"a"}"#, "{\"event\":\"a\"}\r\n", &[][..], &["\\u{d}↵\n"][..]),
        (2, r#"{"event":"\u00e9!"}"#, r#"{"event":"é!"}"#, &["\\u00e9"], &["é"]),
        (3, r#"{"event":"a/b"}"#, r#"{"event":"a\/b"}"#, &[], &["\\"]),
    ] {
        let headers = [("X-3QPR-Signature", sign(THREEQPR, signed.as_bytes()))];
        listener.post("/webhooks/3qpr", &headers, arrived.as_bytes());
        page.wait(&format!("deliveries.get({number})?.causes?.length"));
        choose(&mut page, number);
        page.wait("!document.getElementById('difference').hidden");
        assert_eq!(text(&mut page, "signed"), signed);
        assert_eq!(
            (marked(&mut page, "signed"), marked(&mut page, "payload")),
            (
                of_signed.iter().map(ToString::to_string).collect(),
                of_arrived.iter().map(ToString::to_string).collect()
            ),
            "{signed}"
        );
    }
}

#[test]
fn the_bytes_as_they_came_are_first_where_the_signature_does_not_match() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let body = "{ \"event\":\"a\" ,\"data\" :25.50}";
    let forged = [("X-3QPR-Signature", sign("another-secret-of-nobody", body.as_bytes()))];
    let genuine = [("X-3QPR-Signature", sign(THREEQPR, body.as_bytes()))];
    for headers in [&forged, &genuine, &forged, &genuine] {
        listener.post("/webhooks/3qpr", headers, body.as_bytes());
    }
    page.wait("deliveries.size === 4");
    let both = vec!["raw".to_owned(), "laid-out".to_owned()];
    let laid_out = "{\n  \"event\": \"a\",\n  \"data\": 25.50\n}";
    for (number, view, shown) in [(1, "raw", body), (2, "laid-out", laid_out)] {
        choose(&mut page, number);
        assert_eq!(views(&mut page), (view.to_owned(), both.clone()));
        assert_eq!(text(&mut page, "payload"), shown);
    }
    // Whoever chooses a view keeps it, for deliveries of this kind.
    page.eval("$('raw').click()");
    for (number, view) in [(4, "raw"), (3, "raw")] {
        choose(&mut page, number);
        assert_eq!(views(&mut page).0, view);
    }
    page.eval("$('laid-out').click()");
    for (number, view) in [(1, "laid-out"), (2, "raw")] {
        choose(&mut page, number);
        assert_eq!(views(&mut page).0, view);
    }
}

#[test]
fn white_space_line_ends_and_bytes_that_are_no_text_can_be_seen() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (number, body, plain, drawn) in [
        (1, &b"{\t\"a\": 1}\r\n"[..], "{\t\"a\": 1}\\u{d}\n", "{→\t\"a\":·1}\\u{d}↵\n"),
        (2, b"caf\xc3\xa9 \xff", "caf\\xc3\\xa9 \\xff", "caf\\xc3\\xa9·\\xff"),
        (3, "a=b+c ü".as_bytes(), "a=b+c ü", "a=b+c·ü"),
    ] {
        listener.post("/webhooks/3qpr", &[("X-3QPR-Signature", sign("another-secret-of-nobody", b""))], body);
        page.wait(&format!("deliveries.has({number})"));
        choose(&mut page, number);
        assert_eq!(text(&mut page, "payload"), plain);
        page.eval("$('white').focus()");
        page.press("Enter");
        assert_eq!(text(&mut page, "payload"), drawn);
        assert_eq!(page.text("$('white').ariaPressed"), "true");
        page.press("Enter");
        assert_eq!(text(&mut page, "payload"), plain);
    }
}

#[test]
fn a_difference_is_where_it_is_and_costs_linear_work() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (one, other, parts) in [
        ("abc", "abc", "[[],[]]"),
        ("", "abc", "[[],[[0,3]]]"),
        ("a b", "ab", "[[[1,2]],[]]"),
        ("{\"a\": 1}", "{\"a\":1}", "[[[5,6]],[]]"),
        ("25.50,\"next\"", "25.5,\"next\"", "[[[4,5]],[]]"),
        ("\u{feff}{}", "{}\n", "[[[0,1]],[[2,3]]]"),
        ("one, two, three", "one, 2, three", "[[[5,8]],[[5,6]]]"),
        ("abcdef", "ghijkl", "[[[0,6]],[[0,6]]]"),
    ] {
        let found = page.text(&format!(
            "JSON.stringify(difference({}, {}).parts)",
            serde_json::json!(one),
            serde_json::json!(other)
        ));
        assert_eq!(found, parts, "{one:?} {other:?}");
    }
    // However hostile: each search ends at its limit, and all searches at theirs.
    for (one, other) in [
        ("'a'.repeat(260_000)", "'b'.repeat(260_000)"),
        ("'ab '.repeat(80_000)", "'b a'.repeat(80_000)"),
        ("'abcdefg'.repeat(30_000)", "'abcdefh'.repeat(30_000)"),
        ("' '.repeat(260_000)", "'\\n'.repeat(260_000)"),
    ] {
        let work = page.eval(&format!("difference({one}, {other}).work")).as_u64().unwrap();
        assert!(work <= 4_100_000, "{work} comparisons for {one}");
    }
}

/// The next key need not wait for what nobody has asked to see.
#[test]
fn of_a_long_payload_the_beginning_is_shown_or_the_first_difference_and_all_of_it_at_a_button() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let body = format!(r#"{{"event":"a","data":"{}é"}}"#, "x".repeat(60_000));
    let of = |signed: &str| [("X-3QPR-Signature", sign(THREEQPR, signed.as_bytes()))];
    listener.post("/webhooks/3qpr", &of(&body), body.as_bytes());
    page.wait("deliveries.size === 1");
    choose(&mut page, 1);
    let shown = text(&mut page, "payload");
    assert!(
        shown.starts_with("{\n  \"event\"") && shown.ends_with("x\n…") && shown.len() < 8_100,
        "{}",
        shown.len()
    );
    page.eval("$('whole').focus()");
    page.press("Enter");
    assert!(text(&mut page, "payload").ends_with("xé\"\n}"));
    assert_eq!(
        page.eval("[$('whole').hidden, document.activeElement.id]"),
        serde_json::json!([true, "payload"])
    );

    listener.post("/webhooks/3qpr", &of(&body), format!("{body}\n").as_bytes());
    page.wait("deliveries.get(2)?.causes?.length");
    choose(&mut page, 2);
    page.wait("!document.getElementById('difference').hidden");
    assert!(text(&mut page, "payload").ends_with("xé\"}↵\n") && text(&mut page, "payload").len() < 300);
    assert_eq!(marked(&mut page, "payload"), ["↵\n"]);
    let said = text(&mut page, "difference");
    assert!(said.ends_with("The first 59,824 characters are alike, and left out."), "{said}");
    page.eval("$('whole').click()");
    assert_eq!(text(&mut page, "signed"), body);
    assert_eq!(marked(&mut page, "payload"), ["↵\n"]);
}
