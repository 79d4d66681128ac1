//! What the page says of an endpoint's answers, and of a listener to which nothing has come.

use axum::http::StatusCode;

use super::browser::{Page, open};
use super::page::{choose, deliver};
use super::receiver::Notes;
use super::support::*;

/// The sign of a delivery in the list, and its words for a screen reader.
fn sign(page: &mut Page, number: usize) -> (String, String) {
    page.wait(&format!(
        "!dirty.list && document.getElementById('row-{number}')?.delivery.endpoint.state !== 'waiting'"
    ));
    let row = format!("document.getElementById('row-{number}')");
    let sign = page.text(&format!("{row}.querySelector('use').getAttribute('href')"));
    (sign, page.text(&format!("{row}.querySelector('.unseen').textContent")))
}

#[test]
fn any_answer_but_2xx_is_explained_and_has_its_own_sign() {
    const EXPLAINED: [(u16, &str); 18] = [
        (301, "points elsewhere"),
        (400, "could not read the delivery"),
        (401, "another secret"),
        (403, "in front of the handler"),
        (404, "nothing at /webhooks/quote3d"),
        (405, "takes no POST"),
        (409, "still being handled"),
        (410, "is gone"),
        (413, "limit for a body"),
        (415, "Content-Type"),
        (418, "takes the delivery for wrong"),
        (422, "did not find the data"),
        (429, "how many requests"),
        (500, "its log says why"),
        (501, "takes no POST"),
        (502, "does not reach it"),
        (503, "not ready"),
        (504, "did not wait"),
    ];
    let (_, endpoint) = Notes::start(|count| match EXPLAINED.get(count - 1) {
        Some((status, _)) => StatusCode::from_u16(*status).unwrap(),
        None => StatusCode::NO_CONTENT,
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.size(1280, 2_000);
    for (at, (status, why)) in EXPLAINED.into_iter().enumerate() {
        let number = at + 1;
        deliver(&listener, "quote.completed", COMPLETED);
        page.wait(&format!("deliveries.get({number})?.endpoint.state === 'answered'"));
        choose(&mut page, number);
        page.wait("document.querySelectorAll('.verdict').length === 2");
        let said = page.text("document.querySelector('.verdict.is-care').innerText");
        assert!(said.contains(why), "{status}: {said}");
        let words = format!("Accepted, but your endpoint answered {status}: ");
        assert_eq!(sign(&mut page, number), ("#is-care".to_owned(), words));
    }
    let taken = EXPLAINED.len() + 1;
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait(&format!("deliveries.get({taken})?.endpoint.state === 'answered'"));
    choose(&mut page, taken);
    assert_eq!(page.eval("document.querySelectorAll('.verdict').length"), 1);
    assert_eq!(sign(&mut page, taken), ("#is-good".to_owned(), "Accepted: ".to_owned()));
    // By these words, the filter finds them.
    page.eval("$('filter').value = 'accepted endpoint 404'; sift()");
    assert_eq!(page.eval("view"), serde_json::json!([5]));
}

#[test]
fn what_an_endpoint_says_to_a_forged_delivery_has_its_sign_as_well() {
    let (_, endpoint) = Notes::start(|count| StatusCode::from_u16([200, 401, 500][count - 1]).unwrap());
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    for (number, expected, words, boxes) in [
        (1, "#is-alarm", "Refused, but your endpoint accepted it: ", 2),
        (2, "#is-bad", "Refused: ", 1),
        (3, "#is-care", "Refused, but your endpoint answered 500: ", 2),
    ] {
        listener.post("/webhooks/3qpr", &[], SCANNED.as_bytes());
        page.wait(&format!("deliveries.get({number})?.endpoint.state === 'answered'"));
        choose(&mut page, number);
        page.wait(&format!("document.querySelectorAll('.verdict').length === {boxes}"));
        assert_eq!(sign(&mut page, number), (expected.to_owned(), words.to_owned()));
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_no_success() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = Listener::start(&["--forward-to", &free.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("document.getElementById('verdicts').innerText.includes('Your endpoint did not answer')");
    let words = "Accepted, but your endpoint did not answer: ".to_owned();
    assert_eq!(sign(&mut page, 1), ("#is-care".to_owned(), words));
}

#[test]
fn before_anything_came_a_secret_is_set_and_nothing_is_verified() {
    for (command, said) in [
        (program(&["listen", "--port", "0", "--json"]), "Quote3D secret set"),
        (bare(&["listen", "--port", "0", "--json"]), "Quote3D no secret: QUOTE3D_WEBHOOK_SECRET is not set"),
    ] {
        let listener = Listener::of(command);
        let Some(mut page) = open(&listener.url("/")) else { return };
        let shown = page.text("document.body.innerText");
        assert!(shown.contains(said) && !shown.contains("verified"), "{shown}");
    }
}
