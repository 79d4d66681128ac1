//! Who may ask a listener for what.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use super::support::*;

/// With the key that every read needs.
fn with_key(listener: &Listener, path: &str) -> String {
    format!("{path}?key={}", listener.key)
}

fn token(listener: &Listener) -> String {
    let page = listener.get("/").text();
    page.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Whatever another site's page, a rebound name, a tunnel or a stranger asks for, they get deliveries' answers alone.
#[test]
fn the_page_and_its_api_are_for_a_browser_on_this_machine() {
    let listener = Listener::start(&[]);
    let port = listener.address.port();
    listener.post("/webhooks/3qpr", &[], b"");
    let own = format!("http://127.0.0.1:{port}");
    let token = token(&listener);
    let resend = "/api/deliveries/1/resend";
    let with_token = ("X-Countersign-Token", token.clone());
    let header = |name: &'static str, value: &str| (name, value.to_owned());
    let host = |name: &str| ("Host", name.replace("PORT", &port.to_string()));
    for (what, method, path, headers, status) in [
        ("the page", "GET", "/", vec![], 200),
        ("by name", "GET", "/", vec![host("localhost:PORT")], 200),
        ("by the other address", "GET", "/api/deliveries/1", vec![host("[::1]:PORT")], 200),
        ("a rebound name", "GET", "/", vec![host("evil.example:PORT")], 403),
        ("a rebound name's API", "GET", "/api/deliveries/1", vec![host("evil.example:PORT")], 403),
        ("a rebound name's stream", "GET", "/api/events", vec![host("evil.example")], 403),
        ("another port's name", "GET", "/", vec![host("localhost:1")], 403),
        ("two names", "GET", "/", vec![host("localhost:PORT"), host("evil.example")], 403),
        (
            "a link to the page",
            "GET",
            "/",
            vec![header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "navigate")],
            200,
        ),
        (
            "a frame's or script's load of the page",
            "GET",
            "/",
            vec![header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "no-cors")],
            403,
        ),
        (
            "another site's read",
            "GET",
            "/api/deliveries/1",
            vec![header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "cors")],
            403,
        ),
        ("another port's read", "GET", "/api/deliveries/1", vec![header("Sec-Fetch-Site", "same-site")], 403),
        (
            "another origin's read",
            "GET",
            "/api/deliveries/1",
            vec![header("Origin", "http://evil.example")],
            403,
        ),
        ("an opaque origin's read", "GET", "/api/deliveries/1", vec![header("Origin", "null")], 403),
        (
            "the page's own read",
            "GET",
            "/api/deliveries/1",
            vec![header("Sec-Fetch-Site", "same-origin"), header("Origin", &own)],
            200,
        ),
        ("by way of a tunnel", "GET", "/", vec![header("X-Forwarded-For", "203.0.113.7")], 403),
        ("by way of a proxy", "GET", "/api/deliveries/1", vec![header("Via", "1.1 proxy")], 403),
        ("a write without the token", "POST", resend, vec![], 403),
        (
            "a write with another token",
            "POST",
            resend,
            vec![header("X-Countersign-Token", "0123456789abcdef0123456789abcdef")],
            403,
        ),
        (
            "a write with the token from elsewhere",
            "POST",
            resend,
            vec![with_token.clone(), header("Origin", "http://evil.example")],
            403,
        ),
        ("a write with the token", "POST", resend, vec![with_token.clone(), header("Origin", &own)], 200),
        (
            "a delivery by way of a tunnel",
            "POST",
            "/webhooks/3qpr",
            vec![host("abc.tunnel.example"), header("X-Forwarded-For", "203.0.113.7")],
            401,
        ),
        (
            "a delivery from another site's page",
            "POST",
            "/webhooks/3qpr",
            vec![header("Origin", "http://evil.example")],
            403,
        ),
        (
            "a delivery from a form",
            "POST",
            "/webhooks/3qpr",
            vec![header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "navigate")],
            403,
        ),
    ] {
        let answer = request(listener.address, method, &with_key(&listener, path), &headers, b"");
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(!answer.head.contains("access-control-allow"), "{what}: {answer:?}");
        if status != 403 && answer.status != 403 {
            assert!(answer.head.contains("x-content-type-options: nosniff"), "{what}: {answer:?}");
        }
    }
    // What was refused has left no delivery.
    assert_eq!(listener.get("/api/deliveries/3").json()["error"], "missing_signature");
    assert_eq!(listener.get("/api/deliveries/4").status, 404);
}

#[test]
fn it_listens_to_one_address_of_this_machine_unless_told() {
    let listener = Listener::start(&[]);
    assert!(listener.address.ip().is_loopback());
    // Whoever listens to every address is found here as well, and nothing else in these tests is.
    let other = |listener: &Listener| TcpStream::connect(("127.0.0.3", listener.address.port()));
    assert!(other(&listener).is_err());
    assert!(other(&Listener::start(&["--bind", "0.0.0.0"])).is_ok());
}

/// Only from an address that is not loopback can this be seen: a machine with no network has none.
#[test]
fn it_shows_its_page_to_no_other_machine() {
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    let other = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr()).map(|address| address.ip());
    let Some(other) = other.ok().filter(|ip| !ip.is_loopback() && !ip.is_unspecified()) else {
        eprintln!("this machine has no address but loopback: not tested from elsewhere");
        return;
    };
    let open = Listener::start(&["--bind", "0.0.0.0"]);
    let from_elsewhere = SocketAddr::new(other, open.address.port());
    let as_local = [("Host", format!("localhost:{}", open.address.port()))];
    let page = request(from_elsewhere, "GET", &with_key(&open, "/"), &as_local, b"");
    assert_eq!(
        (page.status, page.text()),
        (403, "refused: only this machine can open the page\n".to_owned())
    );
    assert_eq!(request(from_elsewhere, "POST", "/webhooks/3qpr", &[], b"").status, 401);
}

/// A tunnel may add no header, and another user of this machine needs none.
#[test]
fn whoever_has_not_the_printed_key_sees_nothing() {
    let listener = Listener::start(&[]);
    listener.post("/webhooks/3qpr", &[], b"");
    assert_eq!(listener.key.len(), 32);
    let other = format!("key={}", "0".repeat(32));
    let paths = ["/", "/api/events", "/api/deliveries/1", "/api/deliveries/1/curl"];
    for path in paths {
        for query in ["", "?", "?key=", &format!("?{other}"), &format!("?{}", listener.key)] {
            let answer = request(listener.address, "GET", &format!("{path}{query}"), &[], b"");
            assert_eq!(answer.status, 403, "{path}{query}: {answer:?}");
            assert!(!answer.text().contains(&listener.key));
        }
    }
    // The key in an address, which can be made to be visited, changes nothing.
    let resend = with_key(&listener, "/api/deliveries/1/resend");
    assert_eq!(request(listener.address, "POST", &resend, &[], b"").status, 403);
    // What only a proxy adds is refused also with the key.
    for name in ["X-Real-IP", "X-Forwarded-Proto", "Forwarded", "Via", "CF-Ray", "True-Client-IP"] {
        let headers = [(name, "203.0.113.7".to_owned())];
        let answer = request(listener.address, "GET", &with_key(&listener, "/"), &headers, b"");
        assert_eq!(answer.status, 403, "{name}");
    }
    assert_ne!(Listener::start(&[]).key, listener.key);
}

#[test]
fn the_page_that_is_announced_is_one_that_opens() {
    for bind in ["0.0.0.0", "127.0.0.2", "::", "::1"] {
        let mut child = Running::start(&mut program(&["listen", "--port", "0", "--json", "--bind", bind]));
        let mut line = String::new();
        let output = child.0.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        // A machine without IPv6 listens to none.
        if let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) {
            let page = said["page"].as_str().unwrap().strip_prefix("http://").unwrap();
            let (address, path) = page.split_once('/').unwrap();
            let answer = request(address.parse().unwrap(), "GET", &format!("/{path}"), &[], b"");
            assert_eq!(answer.status, 200, "{bind}: {answer:?}");
        }
    }
}
