//! The page for everybody: by keyboard, by ear, and by weak eyes.

use super::browser::{Page, open};
use super::page::{CHOSEN, a_days_work, deliver};
use super::receiver::Notes;
use super::support::*;

#[test]
fn everything_can_be_done_by_keyboard_alone() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for number in 0..30 {
        let body = format!(r#"{{"event":"job.status_changed","data":{{"n":{number}}}}}"#);
        deliver(&listener, "job.status_changed", &body);
    }
    page.wait("deliveries.size === 30 && !dirty.list && loaded === 30");
    let focus = |page: &mut Page| page.text("document.activeElement.id || document.activeElement.tagName");
    // The order of the focus is the order of reading.
    page.eval("document.activeElement.blur()");
    let order: Vec<_> = (0..11)
        .map(|_| {
            page.press("Tab");
            focus(&mut page)
        })
        .collect();
    assert_eq!(
        order,
        ["A", "help", "filter", "row-30", "SUMMARY", "resend", "curl", "raw", "laid-out", "white", "payload"]
    );

    page.eval("document.getElementById('row-30').focus()");
    for (key, row) in [
        ("ArrowDown", "row-29"),
        ("ArrowDown", "row-28"),
        ("ArrowUp", "row-29"),
        ("End", "row-1"),
        ("ArrowDown", "row-1"),
        ("ArrowUp", "row-2"),
        ("Home", "row-30"),
        ("ArrowUp", "row-30"),
    ] {
        page.press(key);
        assert_eq!((focus(&mut page), page.text(CHOSEN)), (row.to_owned(), row.to_owned()), "after {key}");
        let is_in_sight = "(() => { const row = document.activeElement.getBoundingClientRect(), box = scroller.getBoundingClientRect(); return row.top >= box.top - 1 && row.bottom <= box.bottom + 1 && document.activeElement.matches(':focus-visible'); })()";
        assert_eq!(page.eval(is_in_sight), true, "after {key}");
    }
    page.press("PageDown");
    let paged = page.text(CHOSEN);
    assert!(!["row-30", "row-29"].contains(&&*paged), "{paged}");
    // What comes meanwhile takes nothing away from whoever works here.
    deliver(&listener, "job.status_changed", r#"{"event":"job.status_changed","data":{"n":31}}"#);
    page.wait("deliveries.size === 31 && !document.getElementById('newer').hidden");
    assert_eq!((focus(&mut page), page.text(CHOSEN)), (paged.clone(), paged.clone()));

    page.press("Enter");
    assert_eq!(focus(&mut page), "title");
    page.press("Escape");
    assert_eq!(focus(&mut page), paged);
    page.press("Enter");
    page.press("Tab");
    assert_eq!(focus(&mut page), "resend");
    page.press("Enter");
    page.wait("document.getElementById('said').textContent === 'Sent again as #32, and answered 200.'");
    assert_eq!(focus(&mut page), "resend");

    page.eval("document.getElementById('filter').focus()");
    page.type_text("DUPLICATE");
    page.wait("view.length === 1");
    assert_eq!(page.text("document.getElementById('count').textContent"), "1 of 32");
    page.wait(&format!("{CHOSEN} === 'row-32'"));
}

#[test]
fn a_screen_reader_finds_its_way_and_is_told_what_comes() {
    let listener = Listener::start(&[]);
    // What was there before the page comes in one event, and so is told in one sentence.
    listener.post("/webhooks/3qpr", &[], SCANNED.as_bytes());
    listener.post("/webhooks/3qpr", &[], SCANNED.as_bytes());
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.wait("document.getElementById('live').textContent === '2 new deliveries, 2 refused'");
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("document.getElementById('live').textContent === 'Quote3D: accepted, quote.completed'");
    page.wait("loaded === 3 && rows.size === 3 && !dirty.list");

    let nodes = page.accessible();
    let find = |role: &str, name: &str| nodes.iter().any(|node| node.0 == role && node.1.starts_with(name));
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("heading", "countersign"),
        ("heading", "Deliveries"),
        ("region", "Deliveries"),
        ("searchbox", "Filter deliveries"),
        ("listbox", "Deliveries"),
        ("option", "Accepted: quote.completed"),
        ("option", "Refused: scan.created"),
        ("article", "The chosen delivery"),
        ("heading", "quote.completed"),
        ("button", "Send again"),
        ("button", "Copy as curl"),
        ("status", ""),
        ("heading", "Payload"),
        ("table", "Headers"),
        ("rowheader", "host"),
    ] {
        assert!(find(role, name), "no {role} {name:?} in {nodes:#?}");
    }
    for (role, name) in &nodes {
        let has_to_have_a_name = ["button", "searchbox", "listbox", "option", "link", "region", "table"];
        assert!(!has_to_have_a_name.contains(&&**role) || !name.is_empty(), "a {role} has no name");
    }
    assert_eq!(page.text("document.documentElement.lang"), "en");
}

/// The contrast of all text with what is behind it, in light and dark: 4.5 to 1, as WCAG 2.2 asks for.
#[test]
fn all_text_can_be_read_in_light_and_dark() {
    let (_, endpoint) =
        Notes::start(|count| axum::http::StatusCode::from_u16([200, 401][count % 2]).unwrap());
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    a_days_work(&listener);
    page.wait("deliveries.size === 7 && rows.size === 7 && !dirty.list");
    page.prefer(&[("prefers-reduced-motion", "reduce")]);
    let worst = include_str!("contrast.js");
    for scheme in ["light", "dark"] {
        page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        for number in [1, 5, 7] {
            page.eval(&format!("following = false; choose({number})"));
            page.wait(&format!("loaded === {number}"));
            let found = page.eval(worst);
            assert!(found["texts"].as_u64().unwrap() > 40, "{found}");
            assert!(found["ratio"].as_f64().unwrap() >= 4.5, "{scheme}: {found}");
        }
    }
    assert_eq!(page.eval("document.getAnimations().length"), 0);
}
