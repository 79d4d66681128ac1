//! The page by its keys: moving between deliveries, and the filter.

use super::browser::{Page, open};
use super::page::{CHOSEN, choose, deliver};
use super::support::*;

const FOCUS: &str = "document.activeElement.id || document.activeElement.tagName";
const VERDICT_IS_IN_SIGHT: &str = "(() => { const verdict = document.querySelector('.verdict').getBoundingClientRect(); \
    return verdict.top >= 0 && verdict.top < innerHeight; })()";

fn some_long_ones(listener: &Listener) {
    for number in 1..=4 {
        let data = vec![number; 400];
        let body = serde_json::json!({ "event": "job.status_changed", "data": data }).to_string();
        deliver(listener, "job.status_changed", &body);
    }
}

fn is_shown(page: &mut Page, number: usize) {
    page.wait(&format!("!dirty.list && loaded === {number}"));
}

#[test]
fn another_delivery_begins_at_its_top() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    some_long_ones(&listener);
    is_shown(&mut page, 4);
    for (width, scroll, where_it_is) in [
        (1280, "$('payload').scrollTop = 900; $('detail').scrollTop = 9_999", "$('detail').scrollTop"),
        (390, "$('payload').scrollTop = 900; scrollTo(0, 9_999)", "scrollY"),
    ] {
        page.size(width, 860);
        choose(&mut page, 4);
        page.eval(scroll);
        assert!(page.eval(where_it_is).as_f64().unwrap() > 200.0);
        // What is added to the delivery that is read does not move it.
        let before = page.eval(where_it_is);
        page.eval("load()");
        deliver(&listener, "file.deleted", r#"{"event":"file.deleted","data":{}}"#);
        page.wait("!document.getElementById('newer').hidden && !loading");
        assert_eq!((page.eval(where_it_is), page.text(CHOSEN)), (before, "row-4".to_owned()));

        page.press("j");
        is_shown(&mut page, 3);
        page.wait(VERDICT_IS_IN_SIGHT);
        assert_eq!(page.eval("[$('detail').scrollTop, $('payload').scrollTop]"), serde_json::json!([0, 0]));
        page.eval("scrollTo(0, 0)");
    }
}

#[test]
fn a_filter_without_matches_says_so_and_leads_back() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    some_long_ones(&listener);
    is_shown(&mut page, 4);
    page.eval("document.getElementById('filter').focus()");
    page.type_text("<b>no such\u{202e}");
    page.wait("view.length === 0 && !dirty.list");
    let said = page.text("document.getElementById('none').innerText");
    assert_eq!(said, "No delivery matches <b>no such\\u{202e}. Show all");
    assert_eq!(page.text("document.getElementById('count').textContent"), "0 of 4");
    page.press("Tab");
    assert_eq!(page.text(FOCUS), "all");
    page.press("Enter");
    page.wait("view.length === 4 && !dirty.list");
    assert_eq!(page.text(FOCUS), "filter");
    assert_eq!(page.eval("document.getElementById('none').hidden && rows.size === 4"), true);
}

#[test]
fn the_arrow_keys_go_from_the_filter_into_the_list() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    some_long_ones(&listener);
    is_shown(&mut page, 4);
    for (typed, key, row) in [
        ("", "ArrowDown", "row-4"),
        ("#2", "ArrowDown", "row-2"),
        ("#3", "Enter", "row-3"),
        ("", "Escape", "row-3"),
    ] {
        page.eval(&format!("$('filter').value = '{typed}'; sift(); $('filter').focus()"));
        page.press(key);
        assert_eq!((page.text(FOCUS), page.text(CHOSEN)), (row.to_owned(), row.to_owned()), "{typed} {key}");
    }
}

#[test]
fn the_single_keys_work_everywhere_but_in_a_text() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    some_long_ones(&listener);
    is_shown(&mut page, 4);
    page.eval("document.activeElement.blur()");
    // From nowhere, from the list, and from the delivery, in which the focus stays.
    for (key, shown, focus) in [
        ("j", 3, "row-3"),
        ("j", 2, "row-2"),
        ("k", 3, "row-3"),
        ("Enter", 3, "title"),
        ("j", 2, "title"),
        ("k", 3, "title"),
        ("k", 4, "title"),
        ("k", 4, "title"),
    ] {
        page.press(key);
        is_shown(&mut page, shown);
        assert_eq!(page.text(FOCUS), focus, "{key}");
    }
    page.press("/");
    assert_eq!(page.text(FOCUS), "filter");
    for key in ["j", "/", "k", "?"] {
        page.press(key);
    }
    assert_eq!(page.text("document.getElementById('filter').value"), "j/k?");
    page.eval("$('filter').value = ''; sift()");

    page.press("Escape");
    page.press("?");
    page.wait("keys.open");
    let said = page.text("keys.innerText");
    for key in ["j", "k", "/", "?", "Enter", "Esc", "Home", "End"] {
        assert!(
            said.lines().any(|line| line.split_whitespace().any(|word| word == key)),
            "{key} is not in {said}"
        );
    }
    // In the dialog, they do nothing.
    let before = page.text(CHOSEN);
    page.press("j");
    assert_eq!(page.text(CHOSEN), before);
    // Whoever speaks to the machine may switch them off.
    assert_eq!(page.text(FOCUS), "single");
    page.press(" ");
    page.press("Escape");
    page.wait("!keys.open");
    page.press("j");
    page.press("/");
    assert_eq!((page.text(CHOSEN), page.text(FOCUS)), (before.clone(), before.clone()));
    // They stay off.
    page.go(&listener.url("/"));
    page.wait("deliveries.size === 4 && !dirty.list");
    assert_eq!(page.eval("single.checked"), false);
    // The button shows them again.
    page.eval("$('help').focus()");
    page.press("Enter");
    page.wait("keys.open");
    page.press(" ");
    page.press("Tab");
    page.press("Enter");
    page.wait("!keys.open");
    assert_eq!(page.text(FOCUS), "help");
    page.press("j");
    page.wait("chosen === 3");
}
