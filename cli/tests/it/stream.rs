//! The page over time: a connection that breaks, a listener that was started again, a thousand deliveries.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::browser::{Page, open};
use super::page::deliver;
use super::support::*;

/// A wire to a listener that can be cut: what the browser has through it breaks, and nothing new gets through.
struct Wire {
    /// None while it is cut.
    streams: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Wire {
    fn lay(from: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let wire = Self { streams: Arc::new(Mutex::new(Some(Vec::new()))) };
        let streams = Arc::clone(&wire.streams);
        let listener = TcpListener::bind(from)?;
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(to).unwrap();
                // Nothing slips through while it is being cut.
                let mut streams = streams.lock().unwrap();
                let Some(streams) = streams.as_mut() else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    streams.push(from.try_clone().unwrap());
                    // It ends with either side.
                    thread::spawn(move || drop((io::copy(&mut from, &mut to), to.shutdown(Shutdown::Both))));
                }
            }
        });
        Ok(wire)
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().take().into_iter().flatten() {
            // Its only error is that it is shut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        *self.streams.lock().unwrap() = Some(Vec::new());
    }
}

#[test]
fn a_page_whose_connection_broke_comes_back_and_misses_nothing() {
    // The page's own address has to be one that the listener knows for its own.
    let (listener, here, wire) = until("a port that is free on both addresses", || {
        let listener = Listener::start(&["--bind", "127.0.0.2"]);
        let here = SocketAddr::from(([127, 0, 0, 1], listener.address.port()));
        let wire = Wire::lay(here, listener.address).ok()?;
        Some((listener, here, wire))
    });
    let Some(mut page) = open(&format!("http://{here}/?key={}", listener.key)) else { return };
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

/// Another process has another key, so the page says where to find it.
#[test]
fn a_page_whose_listener_was_started_again_begins_anew() {
    // Where somebody else took the port meanwhile, all of it begins again.
    let (listener, mut page) = loop {
        let listener = Listener::start(&[]);
        let port = listener.address.port().to_string();
        let Some(mut page) = open(&listener.url("/")) else { return };
        deliver(&listener, "quote.completed", COMPLETED);
        page.wait("deliveries.size === 1");
        page.eval("window.loadedOnce = true");
        listener.signal("TERM");
        assert_eq!(listener.ended(), 0);
        page.wait("document.getElementById('state').dataset.live === 'no'");
        match Listener::try_of(program(&["listen", "--json", "--port", &port])) {
            Ok(listener) => break (listener, page),
            Err(said) => assert!(said.contains("cannot listen on"), "{said}"),
        }
    };
    page.wait(
        "document.getElementById('state').textContent === 'Ended: open the address that the listener printed'",
    );
    page.go(&listener.url("/"));
    page.wait("window.loadedOnce === undefined && document.getElementById('state')?.dataset.live === 'yes'");
    deliver(&listener, "quote.completed", COMPLETED);
    page.wait("deliveries.size === 1 && loaded === 1");
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
    let shows = |number| format!("loaded === {number} && !dirty.list");
    page.wait(&shows(40));
    let few = page.eval(count()).as_u64().unwrap();
    let drawn = page.eval("drawn.rows").as_u64().unwrap();
    for number in 40..1_100 {
        deliver(&listener, "file.deleted", &format!(r#"{{"event":"file.deleted","data":{{"n":{number}}}}}"#));
    }
    page.wait(&shows(1_100));
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

/// What a key costs is counted, because a test's machine may be slow. The times are printed.
#[test]
fn a_key_costs_as_little_among_a_thousand_long_deliveries_and_many_forged_ones() {
    let listener = Listener::start(&[]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.eval(include_str!("pace.js"));
    let long = "x".repeat((64 << 10) - 60);
    for number in 0..1_000 {
        let body = format!(r#"{{"event":"file.uploaded","data":{{"n":{number},"text":"{long}"}}}}"#);
        assert_eq!(deliver(&listener, "file.uploaded", &body).status, 200);
    }
    page.wait("deliveries.has(1_000)");
    costs_little(&twenty_keys(&mut page, "1_000", "1,000 deliveries of 64 KiB"));
    let forge = || {
        let forged = [("X-3QPR-Signature", sign(QUOTE3D, b"another body"))];
        assert_eq!(listener.post("/webhooks/3qpr", &forged, SCANNED.as_bytes()).status, 401);
    };
    thread::scope(|scope| {
        let forging = scope.spawn(|| (0..2_000).for_each(|_| forge()));
        twenty_keys(&mut page, "1_000", "the same while forged ones arrive");
        forging.join().unwrap();
    });
    // A diagnosis that ends loads its delivery once more.
    page.wait("deliveries.has(3_000) && [...deliveries.values()].every(({ in_diagnosis }) => !in_diagnosis)");
    // The forged ones push out each other, and half of the genuine ones stay.
    let numbers = page.eval(
        "[true, false].map((is) => { const of = [...deliveries.values()].filter(({ verdict }) => (verdict === 'accepted') === is);          return [of.length, of[0].number, of.at(-1).number]; })",
    );
    assert_eq!(numbers, serde_json::json!([[500, 501, 1_000], [500, 2_501, 3_000]]));
    costs_little(&twenty_keys(&mut page, "1_000", "genuine ones below 2,000 forged ones"));
    costs_little(&twenty_keys(&mut page, "3_000", "forged ones"));
}

/// Whatever is kept, a key adds the same few nodes, and the verdict's at once.
#[track_caller]
fn costs_little(cost: &serde_json::Value) {
    let count = |name: &str| cost[name].as_u64().unwrap();
    assert!(count("rows") <= 2 * 20, "{cost}");
    assert!((1..=40 * 20).contains(&count("nodes_at_once")), "{cost}");
    assert!(count("nodes_later") <= 80 * 20, "{cost}");
}

/// Goes down 20 deliveries from one.
fn twenty_keys(page: &mut Page, from: &str, among: &str) -> serde_json::Value {
    page.eval(&format!("following = false; choose({from}, true)"));
    page.wait("!dirty.list && !loading && loaded === chosen");
    page.eval("costs()");
    let mut read = Vec::new();
    for _ in 0..20 {
        page.press("j");
        page.wait("!dirty.list && !loading && loaded === chosen");
        read.push(page.eval("loaded").as_u64().unwrap());
    }
    let cost = page.eval("costs()");
    let kept = page.eval("[deliveries.size, view.length, $('payload').textContent.length]");
    let elements = page.eval("document.getElementsByTagName('*').length").as_u64().unwrap();
    page.call("HeapProfiler.collectGarbage", serde_json::json!({}));
    let memory = page.call("Runtime.getHeapUsage", serde_json::json!({}))["usedSize"].as_f64().unwrap();
    println!("{among}: {elements} elements, {memory} bytes, {cost}");
    assert!(read.is_sorted_by(|one, next| one > next), "{read:?}");
    assert_eq!((&kept[0], &kept[1]), (&1_000.into(), &1_000.into()));
    assert!(kept[2].as_u64().unwrap() < 8_100, "{kept}");
    assert_eq!((&cost["keys"], &cost["requests"]), (&20.into(), &20.into()));
    assert!(elements < 600, "{elements} elements");
    assert!(memory < f64::from(16 << 20), "the page holds {memory} bytes");
    cost
}
