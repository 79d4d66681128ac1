//! The page, in a real browser.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::browser::{Page, open};
use super::receiver::Notes;
use super::support::*;

/// Says the chosen delivery's number.
const CHOSEN: &str = "document.querySelector('[aria-selected=true]')?.id";

fn deliver(listener: &Listener, event: &str, body: &str) -> Answer {
    listener.post("/webhooks/quote3d", &of_quote3d(event, body.as_bytes()), body.as_bytes())
}

/// The documented payload as a body parser leaves it.
fn written_again() -> String {
    COMPLETED.lines().map(str::trim_start).collect::<String>().replace("\": ", "\":")
}

fn picture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// What a developer has before them on a good day with one bad moment.
fn a_days_work(listener: &Listener) {
    let post = |provider: &str, headers: &[(&str, String)], body: &str| {
        listener.post(&format!("/webhooks/{provider}"), headers, body.as_bytes());
    };
    deliver(listener, "quote.completed", COMPLETED);
    post("nowtoprint", &[("X-Webhook-Signature", sign(NOWTOPRINT, RECEIVED.as_bytes()))], RECEIVED);
    post("3qpr", &[("X-3QPR-Signature", sign(THREEQPR, SCANNED.as_bytes()))], SCANNED);
    let uploaded = r#"{"event":"file.uploaded","timestamp":"2026-03-10T14:31:07.512Z","data":{"fileName":"gearbox-housing.stl"}}"#;
    deliver(listener, "file.uploaded", uploaded);
    deliver(listener, "quote.completed", COMPLETED);
    let shipped = r#"{"id":"evt_01js3q8","event":"order.shipped","timestamp":"2026-04-16T10:04:11.000Z","data":{"quoteId":"quote_987654"}}"#;
    post("nowtoprint", &[("X-Webhook-Signature", sign(NOWTOPRINT, shipped.as_bytes()))], shipped);
    let headers = of_quote3d("quote.completed", COMPLETED.trim_end().as_bytes());
    post("quote3d", &headers, &written_again());
    until("all is diagnosed", || (listener.logged(7).len() == 7).then_some(()));
}

/// Pictures to be looked at, and the one of the documentation: `UPDATE=1 cargo test pictures` takes it anew.
#[test]
fn pictures() {
    let (_, endpoint) = Notes::start(|count| match count {
        7 => (axum::http::StatusCode::UNAUTHORIZED, r#"{"error":"signature_mismatch"}"#),
        _ => (axum::http::StatusCode::OK, r#"{"queued":true}"#),
    });
    let listener = Listener::start(&["--forward-to", &format!("http://{endpoint}")]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.screenshot(&picture("empty.png"));
    a_days_work(&listener);
    page.wait(&format!("{CHOSEN} === 'row-7' && document.querySelector('.cure')"));
    // What is new has faded.
    page.wait("document.getAnimations().length === 0");
    page.screenshot(&picture("refused.png"));
    page.prefer(&[("prefers-color-scheme", "dark")]);
    page.screenshot(&picture("refused-dark.png"));
    page.eval("document.getElementById('row-5').click()");
    page.wait("document.getElementById('title').textContent === 'quote.completed'");
    page.screenshot(&picture("accepted-dark.png"));
    page.prefer(&[("prefers-color-scheme", "light")]);
    page.screenshot(&picture("accepted.png"));
    page.size(420, 900);
    page.screenshot(&picture("narrow.png"));

    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/listen.png");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::copy(picture("refused.png"), &documented).unwrap();
    }
    assert!(std::fs::metadata(documented).unwrap().len() < 200_000);
}

#[test]
fn a_delivery_appears_without_a_reload_and_a_forged_one_with_its_reason() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    assert!(page.text("document.getElementById('detail').innerText").contains("Nothing has come yet"));
    page.eval("window.loadedOnce = true");

    assert_eq!(deliver(&listener, "quote.completed", COMPLETED).status, 200);
    page.wait("document.getElementById('title').textContent === 'quote.completed'");
    let detail = page.text("document.getElementById('detail').innerText");
    for text in [
        "Accepted",
        "Quote3D",
        "quote3d::Event::QuoteCompleted",
        "quote3d:sha256:40d99dbca215dd13",
        "the newest secret, QUOTE3D_WEBHOOK_SECRET",
        "\"total_price\": 25.5",
        "x-webhook-signature",
    ] {
        assert!(detail.contains(text), "{text} is not in {detail}");
    }
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait(&format!("{CHOSEN} === 'row-2'"));
    page.wait("document.getElementById('facts').innerText.includes('Duplicate of')");
    assert!(page.text("document.getElementById('row-2').innerText").contains("duplicate of #1"));

    let headers = of_quote3d("quote.completed", COMPLETED.trim_end().as_bytes());
    assert_eq!(listener.post("/webhooks/quote3d", &headers, written_again().as_bytes()).status, 401);
    page.wait("document.querySelector('.cure')");
    let why = page.text("document.getElementById('verdicts').innerText");
    assert!(why.contains("Refused with 401: signature mismatch"), "{why}");
    assert!(why.contains("parsed and written again"), "{why}");
    assert!(why.contains("raw bytes"), "{why}");
    assert!(page.text("document.getElementById('row-3').innerText").contains("parsed and written again"));

    let lying = of_quote3d("quote.failed", COMPLETED.as_bytes());
    assert_eq!(listener.post("/webhooks/quote3d", &lying, COMPLETED.as_bytes()).status, 400);
    page.wait("document.getElementById('verdicts').innerText.includes('names another event')");
    assert_eq!(page.eval("window.loadedOnce"), true);
    assert!(page.text("document.getElementById('count').textContent").contains("4 · 2 refused"));
}

#[test]
fn what_the_endpoint_answered_is_shown_and_where_it_contradicts_the_verdict() {
    let (notes, endpoint) = Notes::start(|count| match count {
        1 => (axum::http::StatusCode::UNAUTHORIZED, "who are you?"),
        _ => (axum::http::StatusCode::OK, "thanks"),
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    assert_eq!(deliver(&listener, "quote.completed", COMPLETED).status, 401);
    page.wait("document.getElementById('verdicts').innerText.includes('refused it all the same')");
    assert_eq!(page.text("document.getElementById('answer').textContent"), "who are you?");
    assert!(
        page.text("document.getElementById('endpoint-said').textContent").starts_with("answered 401 in ")
    );

    let unsigned = listener.post("/webhooks/quote3d", &[], COMPLETED.as_bytes());
    assert_eq!((unsigned.status, unsigned.text()), (200, "thanks".to_owned()));
    page.wait("document.getElementById('verdicts').innerText.includes('took it all the same')");
    assert_eq!(notes.got().len(), 2);
}

#[test]
fn a_button_sends_it_again_and_another_copies_a_command_that_does_the_same() {
    let (notes, endpoint) = Notes::answering(200);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    // A body that a shell, curl and JSON would each like to take for something else, and a credential.
    let body = "@{\"event\": \"it's $(id) `x` \\u00e9 \u{202e}\", \"data\": 25.50}\n\n";
    let mut headers = of_quote3d("no", body.as_bytes());
    headers.push(("Authorization", "Bearer of-nobodys-business".to_owned()));
    listener.post("/webhooks/quote3d?tenant=acme", &headers, body.as_bytes());
    page.wait(&format!("{CHOSEN} === 'row-1' && !document.getElementById('shown').hidden"));

    page.eval("document.getElementById('resend').click()");
    page.wait("document.getElementById('said').textContent === 'Sent again as #2, and answered 200.'");
    page.wait("deliveries.get(2)?.resend_of === 1");

    page.eval("following = false; choose(1)");
    page.wait("document.getElementById('kicker').textContent.startsWith('#1 ')");
    page.eval("document.getElementById('curl').click()");
    page.wait("document.getElementById('said').textContent === 'Copied as a curl command.'");
    let command = page.text("navigator.clipboard.readText()");
    assert!(!command.contains("nobodys-business"), "{command}");
    let ran = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    page.wait("deliveries.size === 3");

    let got = notes.got();
    let part = |number: usize, name: &str| got[number].headers.get(name).cloned();
    for number in [1, 2] {
        assert_eq!(got[number].body, body.as_bytes());
        assert_eq!(got[number].uri, "/webhooks/quote3d?tenant=acme");
        for name in ["x-webhook-signature", "x-webhook-event", "content-type"] {
            assert_eq!(part(number, name), part(0, name), "{name}");
        }
    }
    // Sent again it is as it came; what is copied has no credential.
    assert!(part(1, "authorization").is_some() && part(2, "authorization").is_none());
    page.eval("following = false; choose(2)");
    page.wait("document.getElementById('kicker').textContent.startsWith('#2 ')");
    let shown = page.text("document.getElementById('headers').innerText");
    assert!(shown.contains("it carries a credential") && !shown.contains("nobodys-business"), "{shown}");
    shows_no_secret(&page.text("document.documentElement.outerHTML"));
}

#[test]
fn whatever_comes_is_shown_as_text() {
    let nasty =
        "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;</pre></script><b>";
    let (_, endpoint) = Notes::start(move |_| nasty);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let before = page.eval("document.querySelectorAll('script, img, b, iframe').length");
    let event = format!("{nasty}\u{202e}gnp.exe\u{7}\u{200b}");
    let body =
        serde_json::json!({ "event": event, "id": nasty, "timestamp": nasty, "data": { nasty: event } });
    let bodies = [body.to_string(), nasty.to_owned(), String::from("\u{1b}[2J\u{0}\u{feff}")];
    for body in &bodies {
        let headers = [("X-3QPR-Signature", sign(THREEQPR, body.as_bytes())), ("X-Nasty", nasty.to_owned())];
        listener.post("/webhooks/3qpr", &headers, body.as_bytes());
    }
    listener.post("/webhooks/3qpr", &[("X-3QPR-Signature", nasty.to_owned())], b"\xff\xfe<b>");
    page.wait("deliveries.size === 4");
    for number in 1..=4 {
        page.eval(&format!("following = false; choose({number})"));
        page.wait(&format!("document.getElementById('kicker').textContent.startsWith('#{number} ')"));
        page.wait("document.getElementById('answer').textContent.includes('onerror=alert(1)')");
    }
    page.eval("following = false; choose(1)");
    page.wait("document.getElementById('title').textContent.includes('<script>')");
    let shown = page.text("document.getElementById('title').textContent");
    assert!(shown.ends_with("<b>\\u{202e}gnp.exe\\u{7}\\u{200b}"), "{shown}");
    let payload = page.text("document.getElementById('payload').textContent");
    assert!(payload.contains("\\u{202e}gnp.exe") && !payload.contains('\u{202e}'), "{payload}");
    page.eval("following = false; choose(3)");
    page.wait("document.getElementById('payload').textContent === '\\\\u{1b}[2J\\\\u{0}\\\\u{feff}'");

    assert_eq!(page.eval("document.querySelectorAll('script, img, b, iframe').length"), before);
    assert_eq!(page.text("document.title"), "4 · countersign");
    assert!(page.events("Page.javascriptDialogOpening").is_empty());
    assert_eq!(page.events("Runtime.exceptionThrown"), [] as [serde_json::Value; 0]);
    assert_eq!(page.events("Log.entryAdded"), [] as [serde_json::Value; 0]);
}

/// The page itself cannot be made to run anything else, were its script ever to try.
#[test]
fn the_policy_refuses_scripts_markup_and_strangers() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for attempt in [
        "document.body.innerHTML = '<img src=x onerror=alert(1)>'",
        "document.body.insertAdjacentHTML('beforeend', '<script>1</script>')",
        "eval('1')",
        "document.write('<b>')",
    ] {
        let refused = page.eval(&format!("try {{ {attempt}; false }} catch {{ true }}"));
        assert_eq!(refused, true, "{attempt}");
    }
    let elsewhere = "fetch('http://127.0.0.1:1/').then(() => 'went', (error) => String(error))";
    assert!(page.text(elsewhere).contains("TypeError"));
    let violations = page.eval(
        "new Promise((resolve) => { addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective)); \
         const script = document.createElement('script'); try { script.src = '/x.js'; document.head.append(script); } catch { resolve('trusted-types'); } })",
    );
    assert!(["script-src-elem", "trusted-types"].contains(&violations.as_str().unwrap()), "{violations}");

    let first = listener.get("/");
    assert!(first.head.contains("frame-ancestors 'none'"), "{}", first.head);
    assert!(!first.head.contains("unsafe-"), "{}", first.head);
    // A nonce is used once.
    let nonce = |answer: &Answer| answer.head.split("'nonce-").nth(1).unwrap()[..32].to_owned();
    assert_ne!(nonce(&first), nonce(&listener.get("/")));
}

#[test]
fn everything_can_be_done_by_keyboard_alone() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for number in 0..30 {
        let body = format!(r#"{{"event":"job.status_changed","data":{{"n":{number}}}}}"#);
        deliver(&listener, "job.status_changed", &body);
    }
    page.wait("deliveries.size === 30 && document.getElementById('kicker').textContent.startsWith('#30 ')");
    let focus = |page: &mut Page| page.text("document.activeElement.id || document.activeElement.tagName");
    // The order of the focus is the order of reading.
    page.eval("document.activeElement.blur()");
    let order: Vec<_> = (0..7)
        .map(|_| {
            page.press("Tab");
            focus(&mut page)
        })
        .collect();
    assert_eq!(order, ["A", "filter", "row-30", "SUMMARY", "resend", "curl", "payload"]);

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
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("document.getElementById('live').textContent === 'Quote3D: accepted, quote.completed'");
    listener.post("/webhooks/3qpr", &[], SCANNED.as_bytes());
    listener.post("/webhooks/3qpr", &[], SCANNED.as_bytes());
    page.wait("document.getElementById('live').textContent === '2 new deliveries, 2 refused'");
    page.wait("document.getElementById('kicker').textContent.startsWith('#3 ')");

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
        ("option", "Refused: Missing signature"),
        ("article", "The chosen delivery"),
        ("heading", "Missing signature"),
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
    page.prefer(&[("prefers-reduced-motion", "reduce")]);
    let worst = include_str!("contrast.js");
    for scheme in ["light", "dark"] {
        page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        for number in [1, 5, 7] {
            page.eval(&format!("following = false; choose({number})"));
            page.wait(&format!("document.getElementById('kicker').textContent.startsWith('#{number} ')"));
            let found = page.eval(worst);
            assert!(found["texts"].as_u64().unwrap() > 40, "{found}");
            assert!(found["ratio"].as_f64().unwrap() >= 4.5, "{scheme}: {found}");
        }
    }
    assert_eq!(page.eval("document.getAnimations().length"), 0);
}

/// A wire to a listener that can be cut: what the browser has through it breaks, and nothing new gets through.
struct Wire {
    streams: Arc<Mutex<Vec<TcpStream>>>,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    fn lay(from: SocketAddr, to: SocketAddr) -> Self {
        let wire = Self { streams: Arc::default(), is_cut: Arc::default() };
        let (streams, is_cut) = (Arc::clone(&wire.streams), Arc::clone(&wire.is_cut));
        let listener = TcpListener::bind(from).unwrap();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(to).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    streams.lock().unwrap().push(from.try_clone().unwrap());
                    // It ends with either side.
                    thread::spawn(move || drop((io::copy(&mut from, &mut to), to.shutdown(Shutdown::Both))));
                }
            }
        });
        wire
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            // Its only error is that it is shut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

#[test]
fn a_page_whose_connection_broke_comes_back_and_misses_nothing() {
    // The page's own address has to be one that the listener knows for its own.
    let listener = Listener::start(&["--bind", "127.0.0.2"]);
    let here = SocketAddr::from(([127, 0, 0, 1], listener.address.port()));
    let wire = Wire::lay(here, listener.address);
    let Some(mut page) = open(&format!("http://{here}/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.size === 1");
    page.eval("window.loadedOnce = true");
    wire.cut();
    page.wait("document.getElementById('state').textContent === 'Connecting again…'");
    deliver(&listener, "quote.completed", COMPLETED);
    page.eval("document.getElementById('resend').click()");
    page.wait("document.getElementById('said').textContent === 'Not sent: the listener does not answer.'");
    wire.mend();
    page.wait("document.getElementById('state').textContent === 'Live' && deliveries.size === 2");
    assert_eq!(page.eval("window.loadedOnce"), true);
}

/// Another process has another token, so the page loads itself again.
#[test]
fn a_page_whose_listener_was_started_again_begins_anew() {
    let listener = Listener::start(&[]);
    let port = listener.address.port().to_string();
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.size === 1");
    page.eval("window.loadedOnce = true");
    listener.signal("TERM");
    assert_eq!(listener.ended(), 0);
    page.wait("document.getElementById('state').dataset.live === 'no'");
    let listener = Listener::of(program(&["listen", "--json", "--port", &port]));
    page.wait("window.loadedOnce === undefined && document.getElementById('state')?.dataset.live === 'yes'");
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.size === 1 && document.getElementById('kicker').textContent.startsWith('#1 ')");
    page.eval("document.getElementById('resend').click()");
    page.wait("document.getElementById('said').textContent === 'Sent again as #2, and answered 200.'");
}

#[test]
fn a_thousand_deliveries_cost_no_more_elements_than_are_in_sight() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.eval(include_str!("frames.js"));
    let count = || "document.getElementsByTagName('*').length";
    for number in 0..40 {
        deliver(&listener, "file.deleted", &format!(r#"{{"event":"file.deleted","data":{{"n":{number}}}}}"#));
    }
    page.wait("deliveries.size === 40 && !dirty.list");
    let few = page.eval(count()).as_u64().unwrap();
    let drawn = page.eval("drawn.rows").as_u64().unwrap();
    for number in 40..1_100 {
        deliver(&listener, "file.deleted", &format!(r#"{{"event":"file.deleted","data":{{"n":{number}}}}}"#));
    }
    page.wait("deliveries.has(1100) && !dirty.list");
    // As many as the listener keeps, and of the first no trace.
    assert_eq!(
        page.eval("[deliveries.size, view.length, Math.min(...deliveries.keys())]"),
        serde_json::json!([1000, 1000, 101])
    );
    let many = page.eval(count()).as_u64().unwrap();
    assert!(many <= few + 20, "{few} elements for 40 deliveries, {many} for 1,000");
    assert!(page.eval("document.querySelectorAll('[role=option]').length").as_u64().unwrap() < 25);
    // Each row in sight is made once and filled once or twice; the rest of the list is not touched.
    let drawn = page.eval("drawn.rows").as_u64().unwrap() - drawn;
    assert!(drawn <= 2 * 1_060 + 100, "{drawn} rows were filled for 1,060 deliveries");
    assert_eq!(page.text("document.getElementById('row-1100').getAttribute('aria-setsize')"), "1000");

    page.eval("document.getElementById('scroller').scrollTop = 500 * ROW");
    page.wait("document.getElementById('row-600')");
    let there = page.eval("document.getElementById('row-600').getBoundingClientRect().top");
    deliver(&listener, "file.deleted", r#"{"event":"file.deleted","data":{}}"#);
    page.wait("deliveries.has(1101) && !dirty.list");
    // What is read stays where it is while new ones come in above.
    assert_eq!(page.eval("document.getElementById('row-600').getBoundingClientRect().top"), there);
    println!(
        "1,060 deliveries: {few} -> {many} elements, {drawn} rows filled, frames {}",
        page.eval("frames()")
    );
}
