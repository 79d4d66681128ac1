//! The page, in a real browser: what it shows, and what it never does.

use std::path::{Path, PathBuf};

use super::browser::{Page, open};
use super::receiver::Notes;
use super::support::*;

/// Says the chosen delivery's number.
pub(crate) const CHOSEN: &str = "document.querySelector('[aria-selected=true]')?.id";

/// Chooses a delivery, and waits until it is shown.
#[track_caller]
pub(crate) fn choose(page: &mut Page, number: usize) {
    page.eval(&format!("following = false; choose({number}, true)"));
    page.wait(&format!("!dirty.list && !loading && loaded === {number}"));
}

pub(crate) fn deliver(listener: &Listener, event: &str, body: &str) -> Answer {
    listener.post("/webhooks/quote3d", &of_quote3d(event, body.as_bytes()), body.as_bytes())
}

/// The documented payload as a body parser leaves it.
pub(crate) fn written_again() -> String {
    COMPLETED.lines().map(str::trim_start).collect::<String>().replace("\": ", "\":")
}

fn picture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// What a developer has before them on a good day with one bad moment.
pub(crate) fn a_days_work(listener: &Listener) {
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
    page.wait("!document.getElementById('difference').hidden");
    page.size(1280, 860);
    page.wait("!dirty.list");
    page.screenshot(&picture("refused.png"));
    page.prefer(&[("prefers-color-scheme", "dark")]);
    page.screenshot(&picture("refused-dark.png"));
    page.eval("document.getElementById('row-5').click()");
    page.wait("loaded === 5");
    page.screenshot(&picture("accepted-dark.png"));
    page.prefer(&[("prefers-color-scheme", "light")]);
    page.screenshot(&picture("accepted.png"));
    page.size(390, 844);
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
    assert!(page.text("document.getElementById('detail').innerText").contains("No deliveries yet"));
    page.eval("window.loadedOnce = true");

    assert_eq!(deliver(&listener, "quote.completed", COMPLETED).status, 200);
    page.wait("loaded === 1");
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
    // The row is told of it apart from the delivery.
    page.wait("document.getElementById('row-3').innerText.includes('parsed and written again')");

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
    page.wait("document.getElementById('verdicts').innerText.includes('Your endpoint refused it')");
    page.wait("document.getElementById('answer').textContent === 'who are you?'");
    assert!(
        page.text("document.getElementById('endpoint-said').textContent").starts_with("answered 401 in ")
    );

    let unsigned = listener.post("/webhooks/quote3d", &[], COMPLETED.as_bytes());
    assert_eq!((unsigned.status, unsigned.text()), (200, "thanks".to_owned()));
    page.wait("document.getElementById('verdicts').innerText.includes('Your endpoint accepted it')");
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
    page.wait(&format!("{CHOSEN} === 'row-1' && loaded === 1"));

    page.eval("document.getElementById('resend').click()");
    page.wait("document.getElementById('said').textContent === 'Sent again as #2, and answered 200.'");
    page.wait("deliveries.get(2)?.resend_of === 1");

    page.eval("following = false; choose(1)");
    page.wait("loaded === 1");
    page.eval("document.getElementById('curl').click()");
    page.wait("document.getElementById('said').textContent === 'Copied as a curl command.'");
    let command = page.text("navigator.clipboard.readText()");
    assert!(!command.contains("nobodys-business"), "{command}");
    let ran = curl(&command);
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    page.wait("deliveries.size === 3");

    let got = notes.got();
    let part = |number: usize, name: &str| got[number].headers.get(name).cloned();
    for number in [1, 2] {
        assert_eq!(got[number].body, body.as_bytes());
        // A query may hold a credential: it is not copied.
        assert_eq!(got[number].uri, ["", "/webhooks/quote3d?tenant=acme", "/webhooks/quote3d"][number]);
        for name in ["x-webhook-signature", "x-webhook-event", "content-type"] {
            assert_eq!(part(number, name), part(0, name), "{name}");
        }
    }
    // Sent again it is as it came; what is copied has no credential.
    assert!(part(1, "authorization").is_some() && part(2, "authorization").is_none());
    page.eval("following = false; choose(2)");
    page.wait("loaded === 2");
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
    // Of this one, what was signed is shown as well.
    let signed = [("X-3QPR-Signature", sign(THREEQPR, bodies[0].as_bytes())), ("X-Nasty", nasty.repeat(20))];
    listener.post("/webhooks/3qpr", &signed, format!("{}\n", bodies[0]).as_bytes());
    page.wait("deliveries.size === 5 && deliveries.get(5).causes?.length");
    for number in 1..=5 {
        page.eval(&format!("following = false; choose({number})"));
        page.wait(&format!("loaded === {number}"));
        page.wait("document.getElementById('answer').textContent.includes('onerror=alert(1)')");
        page.eval("for (const id of ['raw', 'white', 'laid-out', 'white', 'compared']) $(id).click()");
    }
    page.wait("document.getElementById('signed').textContent.includes('<script>')");
    page.eval("$('filter').value = '<script>alert(1)</script>'; sift(); $('all').click()");
    choose(&mut page, 1);
    let shown = page.text("document.getElementById('title').textContent");
    assert!(shown.ends_with("<b>\\u{202e}gnp.exe\\u{7}\\u{200b}"), "{shown}");
    let payload = page.text("document.getElementById('payload').textContent");
    assert!(payload.contains("\\u{202e}gnp.exe") && !payload.contains('\u{202e}'), "{payload}");
    page.eval("following = false; choose(3)");
    page.wait("document.getElementById('payload').textContent === '\\\\u{1b}[2J\\\\u{0}\\\\u{feff}'");

    assert_eq!(page.eval("document.querySelectorAll('script, img, b, iframe').length"), before);
    assert_eq!(page.text("document.title"), "5 · countersign");
    assert!(page.events("Page.javascriptDialogOpening").is_empty());
    assert_eq!(page.events("Runtime.exceptionThrown"), [] as [serde_json::Value; 0]);
    // A browser may warn of what it likes; an error is ours.
    let mut logged = page.events("Log.entryAdded");
    logged.retain(|event| event["params"]["entry"]["level"] == "error");
    assert_eq!(logged, [] as [serde_json::Value; 0]);
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
        // As the page would: what a debugger evaluates, Firefox does not refuse.
        let refused = page.eval(&format!(
            "new Promise((resolve) => setTimeout(() => {{ try {{ {attempt}; resolve(false) }} catch {{ resolve(true) }} }}))"
        ));
        assert_eq!(refused, true, "{attempt}");
    }
    // Of what goes elsewhere without asking, the stranger would get something.
    let (notes, stranger) = Notes::answering(200);
    let refused = page.text(&format!(
        "new Promise((resolve) => {{ \
         addEventListener('securitypolicyviolation', (event) => resolve(`${{event.effectiveDirective}} ${{event.blockedURI}}`)); \
         fetch('http://{stranger}/', {{ mode: 'no-cors' }}).then(() => resolve('it went')) }})"
    ));
    assert_eq!(refused, format!("connect-src http://{stranger}/"));
    assert!(notes.got().is_empty());

    // A nonce is used once.
    let answers = [listener.get("/"), listener.get("/")];
    let nonces = answers.each_ref().map(|answer| &answer.head.split("'nonce-").nth(1).unwrap()[..32]);
    assert_ne!(nonces[0], nonces[1]);
    let policy = format!(
        "\r\ncontent-security-policy: default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'\r\n",
        nonces[0]
    );
    assert!(format!("{}\r\n", answers[0].head).contains(&policy), "{}", answers[0].head);
}

#[test]
fn the_buttons_act_on_what_is_shown_and_once_at_a_time() {
    let (notes, endpoint) = Notes::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        axum::http::StatusCode::OK
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("loaded === 2");
    // The first is chosen, and has not arrived.
    page.eval("following = false; chosen = 1; const resend = $('resend'); resend.click(); resend.click()");
    page.wait("document.getElementById('said').textContent === 'Sent again as #3, and answered 200.'");
    page.wait("deliveries.get(3)?.resend_of === 2");
    page.eval("resend.click()");
    page.wait("document.getElementById('said').textContent.startsWith('Sent again as #4')");
    assert_eq!(notes.got().len(), 4);
}

/// Each quote of a text that is cut within a string would else begin a search to its end.
#[test]
fn a_string_that_is_cut_off_is_one_part() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for text in [
        r#"'["' + '\\"'.repeat(5_000)"#,
        r#"'["' + '\\"'.repeat(5_000) + '\\'"#,
        r#"'["' + '\\\n'.repeat(9)"#,
    ] {
        assert_eq!(page.eval(&format!("partsOf({text}).string.length")), 1, "{text}");
    }
}

/// The list knows the verdict, so a key shows it at once. Nothing of another delivery stands below it meanwhile.
#[test]
fn a_verdict_is_shown_before_the_rest_is_loaded() {
    let (_, endpoint) = Notes::answering(404);
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    assert_eq!(page.eval("$('shown').hidden"), true);
    let headers = of_quote3d("quote.completed", COMPLETED.trim_end().as_bytes());
    listener.post("/webhooks/quote3d", &headers, written_again().as_bytes());
    deliver(&listener, "file.deleted", r#"{"event":"file.deleted","data":{}}"#);
    page.wait("deliveries.get(1)?.causes?.length && deliveries.get(2)?.endpoint.status && loaded === 2");
    let all =
        "[$('kicker').textContent, $('title').textContent, $('verdicts').innerText, $('claimed').hidden]";
    let mut loaded = Vec::new();
    for number in [1, 2] {
        choose(&mut page, number);
        loaded.push(page.eval(all));
    }
    page.eval("$('payload').focus(); const really = fetch; window.fetch = () => new Promise(() => {})");
    for (number, key) in [(1, "j"), (2, "k")] {
        page.press(key);
        assert_eq!(
            page.eval("[displayed, loaded, $('rest').hidden]"),
            serde_json::json!([number, null, true])
        );
        assert_eq!(page.eval(all), loaded[number - 1]);
        // The buttons act on it, and the keyboard is still at work.
        assert_eq!(page.eval("$('resend').checkVisibility() && document.activeElement.id"), "title");
    }
    let said = loaded[0].to_string();
    for part in ["#1 ", "Refused with 401", "parsed and written again", "raw bytes", "nothing at /webhooks"] {
        assert!(said.contains(part) || loaded[1].to_string().contains(part), "{part} is not in {loaded:?}");
    }
}

#[test]
fn the_reason_of_a_long_body_is_looked_for_at_a_button() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    let body = format!("{{\"event\":\"a\",\"data\":\"{}\"}}", "x".repeat(100_000));
    let signature = sign(THREEQPR, body.as_bytes()).to_uppercase().replace("SHA", "sha");
    listener.post("/webhooks/3qpr", &[("X-3QPR-Signature", signature)], body.as_bytes());
    page.wait("document.getElementById('diagnose')");
    let why = page.text("document.getElementById('verdicts').innerText");
    assert!(why.contains("longer than 64 KiB") && why.contains("Find the reason"), "{why}");
    page.eval("document.getElementById('diagnose').focus()");
    page.press("Enter");
    page.wait("document.querySelector('.cause')");
    let why = page.text("document.getElementById('verdicts').innerText");
    assert!(why.contains("upper-case hex") && !why.contains("Find the reason"), "{why}");
    // Where the button was, the keyboard is still at work.
    assert_eq!(page.text("document.activeElement.id"), "title");
}
