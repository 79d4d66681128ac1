//! How the page looks at two widths and in both colour schemes: nothing sticks out, is cut off or is said twice.

use serde_json::json;

use super::browser::{Page, open};
use super::page::{a_days_work, choose, deliver};
use super::receiver::Notes;
use super::support::*;

const WIDTHS: [u32; 2] = [1280, 390];
const LONG: &str =
    "A long text that has to be broken over several lines, because it is longer than any line of the page. ";

/// What is wider than the window, or than a box that does not scroll.
const STICKS_OUT: &str = "(() => {
    const out = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
    for (const element of document.querySelectorAll('body *')) {
      if (!element.checkVisibility() || element.closest('.unseen, svg')) continue;
      const scroller = element.closest('pre, .try code, .capped, #scroller');
      const box = element.getBoundingClientRect();
      if (box.right > innerWidth + 0.5 || box.left < -0.5) if (!scroller || scroller === element) out.push(element.outerHTML.slice(0, 120));
      const isCut = element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === 'visible' && getComputedStyle(element).display !== 'inline';
      if (isCut && !scroller) out.push(`cut: ${element.outerHTML.slice(0, 120)}`);
    }
    return out; })()";

/// One of each kind of delivery, with whatever is long.
fn all_kinds(listener: &Listener) -> usize {
    a_days_work(listener);
    let long = "x".repeat(300);
    let body = json!({ "event": long, "id": long, "data": { "text": LONG.repeat(6), "deep": [[[[{ "url": long }]]]] } });
    let body = body.to_string();
    let mut headers =
        vec![("X-3QPR-Signature", sign(THREEQPR, body.as_bytes())), ("X-Long", "v".repeat(3_000))];
    headers
        .push(("X-A-Header-Of-A-Name-That-Is-Longer-Than-Any-Column-Of-The-Page-Is-Wide", LONG.to_owned()));
    listener.post("/webhooks/3qpr", &headers, body.as_bytes());
    listener.post("/webhooks/3qpr", &headers, &[body.as_bytes(), b"\n"].concat());
    listener.post("/webhooks/nowtoprint", &[], b"\xff\xfe");
    let last = 10;
    until("all is diagnosed", || (listener.logged(last).len() == last).then_some(()));
    last
}

#[test]
fn nothing_sticks_out_and_all_text_can_be_read() {
    let (_, endpoint) =
        Notes::start(|count| axum::http::StatusCode::from_u16([200, 404, 500][count % 3]).unwrap());
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let contrast = include_str!("contrast.js");
    let each = |page: &mut Page, what: &str| {
        for scheme in ["light", "dark"] {
            page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
            for width in WIDTHS {
                page.size(width, 860);
                page.wait("!dirty.list");
                assert_eq!(page.eval(STICKS_OUT), json!([]), "{what}, {scheme}, {width}");
                let worst = page.eval(contrast);
                assert!(worst["ratio"].as_f64().unwrap() >= 4.5, "{what}, {scheme}, {width}: {worst}");
            }
        }
    };
    each(&mut page, "empty");
    let last = all_kinds(&listener);
    page.wait(&format!("deliveries.size === {last}"));
    for number in 1..=last {
        choose(&mut page, number);
        each(&mut page, &number.to_string());
    }
    page.eval("$('white').click()");
    each(&mut page, "white space");
    page.eval("$('filter').value = 'x'.repeat(200); sift()");
    each(&mut page, "nothing matches");
    page.eval("$('all').click(); $('help').click()");
    each(&mut page, "the keys");
    page.eval("$('close').click(); state('Ended: open the address that the listener printed', false)");
    each(&mut page, "the end");
}

#[test]
fn the_empty_state_begins_with_the_address_breaks_no_command_and_says_nothing_twice() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for width in WIDTHS {
        page.size(width, 844);
        let order = page.eval("['h2', '#addresses-here li', '#try', '#copy-try'].map((what) => $('empty').querySelector(what).getBoundingClientRect().bottom)");
        let order: Vec<f64> = serde_json::from_value(order).unwrap();
        assert!(order.is_sorted() && order[3] < 844.0, "{order:?}");
        // The command is on one line, and each address on one.
        let lines = "[...$('empty').querySelectorAll('code')].filter((code) => code.checkVisibility()).map((code) => { \
            const range = document.createRange(); range.selectNodeContents(code); \
            return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size; })";
        assert_eq!(page.eval(lines), json!([1, 1, 1, 1]), "{width}");
        let shown = page.text("document.body.innerText");
        for once in ["/webhooks/nowtoprint", "/webhooks/3qpr", "NowToPrint", "No deliveries yet"] {
            assert_eq!(shown.matches(once).count(), 1, "{once} in {shown}");
        }
    }
    assert!(page.text("$('try').textContent").starts_with(&format!("countersign send {}", listener.address)));
}

/// A provider has its secret, or can be opened: a hundred do not hide the command.
#[test]
fn of_many_providers_a_few_stand_there_and_the_rest_can_be_opened() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (with_secret, without, listed, said) in [
        (3, 0, 3, ""),
        (0, 1, 1, ""),
        (0, 300, 3, "297 more addresses"),
        (1, 3, 3, "1 more address"),
        (300, 9, 8, "301 more addresses"),
    ] {
        page.eval(&format!(
            "listAddresses(Array.from({{ length: {with_secret} + {without} }}, (_, at) => \
             ({{ slug: `p${{at}}`, name: `P${{at}}`, secret: at < {with_secret}, variable: `P${{at}}_SECRET` }}))); 1"
        ));
        assert_eq!(page.eval("$('addresses-here').children.length"), listed);
        assert_eq!(page.text("$('more').checkVisibility() ? $('more-said').innerText : ''"), said);
        assert_eq!(page.eval("$('addresses').children.length"), with_secret + without);
    }
}

#[test]
fn labels_stand_over_their_values_where_there_is_no_room_and_no_word_of_them_is_broken() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("document.getElementById('facts').innerText.includes('Duplicate of')");
    let labels = "[...document.querySelectorAll('#facts dt, #headers th')].map((label) => { \
        const range = document.createRange(); range.selectNodeContents(label); \
        const value = label.nextElementSibling.getBoundingClientRect(), box = label.getBoundingClientRect(); \
        return [label.textContent, range.getClientRects().length, box.bottom <= value.top + 1]; })";
    for (width, is_over) in [(1280, false), (390, true)] {
        page.size(width, 860);
        let labels: Vec<(String, usize, bool)> = serde_json::from_value(page.eval(labels)).unwrap();
        assert!(labels.len() > 8, "{labels:?}");
        for label in &labels {
            assert_eq!((label.1, label.2), (1, is_over), "{width}: {label:?}");
        }
    }
    // Its rows and headers are still a table's for a screen reader.
    let nodes = page.accessible();
    assert!(nodes.contains(&("rowheader".to_owned(), "x-webhook-event".to_owned())), "{nodes:?}");
}

#[test]
fn the_padding_is_the_same_on_both_sides() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let padding = "[$('verdicts'), $('payload'), $('headers')].map((part) => { \
        const box = part.getBoundingClientRect(), whole = $('detail').getBoundingClientRect(); \
        return [box.left - whole.left, whole.right - box.right].map(Math.round); })";
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("!document.getElementById('rest').hidden");
    for width in WIDTHS {
        page.size(width, 860);
        let padding: Vec<[i64; 2]> = serde_json::from_value(page.eval(padding)).unwrap();
        assert!(padding.iter().all(|[left, right]| left == right && *left > 12), "{width}: {padding:?}");
    }
}

#[test]
fn a_long_string_keeps_its_indent_and_a_long_header_is_capped() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let last = all_kinds(&listener);
    page.wait(&format!("deliveries.size === {last}"));
    choose(&mut page, 8);
    // Where each line of the string begins, from the left of the text.
    let lines = "[...$('payload').querySelectorAll('.long')].map((line) => { \
        const range = document.createRange(); range.selectNodeContents(line); \
        const edge = $('payload').getBoundingClientRect().left; \
        const tops = new Map(); \
        for (const { top, left, width } of range.getClientRects()) if (width) tops.set(Math.round(top), Math.min(left - edge, tops.get(Math.round(top)) ?? 9_999)); \
        return [line.textContent.length - line.textContent.trimStart().length, [...tops.values()]]; })";
    for width in WIDTHS {
        page.size(width, 860);
        let lines: Vec<(usize, Vec<f64>)> = serde_json::from_value(page.eval(lines)).unwrap();
        let texts: Vec<_> = lines.iter().filter(|(_, lines)| lines.len() > 2).collect();
        assert!(!texts.is_empty(), "{lines:?}");
        for (indent, lines) in texts {
            assert!(
                lines[1..].iter().all(|left| *left > lines[0] + 7.0 * *indent as f64 * 0.5),
                "{width}: {lines:?}"
            );
            assert!(lines[1..].iter().all(|left| (left - lines[1]).abs() < 1.0), "{width}: {lines:?}");
        }
        // The whole text is there, whatever is around it.
        assert!(page.text("$('payload').textContent").contains(&LONG.repeat(6)));
        let capped = page.eval("[...document.querySelectorAll('#headers .capped')].map((value) => [value.textContent.length, value.clientHeight < 200, value.scrollHeight > value.clientHeight, value.tabIndex])");
        assert_eq!(capped, json!([[3_000, true, true, 0]]));
    }
}

#[test]
fn the_list_shows_the_event_that_a_refused_delivery_claims() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (number, headers, body, event) in [
        (1, vec![], SCANNED, "scan.created"),
        (2, vec![], r#"{"type":"other.one"}"#, "other.one"),
        (3, vec![("X-3QPR-Signature", sign(THREEQPR, b"x"))], "not JSON", "No event named"),
        (4, vec![], "{\"event\":\"<b>\u{202e}\"}", "<b>\\u{202e}"),
    ] {
        listener.post("/webhooks/3qpr", &headers, body.as_bytes());
        page.wait(&format!("deliveries.has({number})"));
        choose(&mut page, number);
        let row = page.text(&format!("document.querySelector('#row-{number} .first').innerText"));
        assert!(row.contains(event), "{row}");
        assert_eq!(page.text("$('title').textContent"), event);
        assert_eq!(page.eval("!$('claimed').hidden"), event != "No event named");
        // The refusal is said once, in the verdict, and once in the row.
        let error = page.text(&format!("words(deliveries.get({number}).error)"));
        for part in [format!("$('row-{number}').innerText"), "$('shown').innerText".to_owned()] {
            let said = page.text(&part).to_lowercase();
            assert!(said.matches(&error).count() <= 1, "{error} in {said}");
        }
    }
    listener.post("/webhooks/quote3d", &[("X-Webhook-Event", "quote.failed".to_owned())], b"");
    page.wait("deliveries.get(5)?.claimed === 'quote.failed'");
    // A proven name is not called a claim.
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.has(6)");
    choose(&mut page, 6);
    assert_eq!(page.eval("$('claimed').hidden"), true);
}

#[test]
fn a_duplicate_is_not_cut_off_and_each_time_is_in_milliseconds() {
    let (_, endpoint) = Notes::start(|count| {
        std::thread::sleep(std::time::Duration::from_millis(if count == 3 { 1_100 } else { 0 }));
        axum::http::StatusCode::OK
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("!document.getElementById('rest').hidden");
    page.eval("$('resend').click()");
    page.wait("deliveries.get(2)?.endpoint.state === 'answered'");
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.get(3)?.endpoint.state === 'answered' && !dirty.list");
    for width in WIDTHS {
        page.size(width, 860);
        page.wait("!dirty.list && rows.size === 3");
        for number in [2, 3] {
            let whole = format!(
                "(() => {{ const again = document.querySelector('#row-{number} .again'), box = again.getBoundingClientRect(), row = again.closest('.row').getBoundingClientRect(); \
                 return again.textContent === 'duplicate of #1' && again.scrollWidth <= Math.ceil(box.width) && box.right <= row.right && box.left >= row.left + 46; }})()"
            );
            assert_eq!(page.eval(&whole), true, "#{number} at {width}");
        }
    }
    let tag = page.text("document.querySelector('#row-3 .tag').textContent");
    assert!(tag.starts_with("200 · 1,") && tag.ends_with(" ms"), "{tag}");
    choose(&mut page, 3);
    assert!(page.text("$('endpoint-said').textContent").starts_with("answered 200 in 1,"));
    for (ms, shown) in [("0", "0.0 ms"), ("6.84", "6.8 ms"), ("12.4", "12 ms"), ("30_000", "30,000 ms")] {
        assert_eq!(page.text(&format!("took({ms})")), shown);
    }
}
