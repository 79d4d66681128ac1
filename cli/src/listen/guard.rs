//! Checks each request. Anyone may send deliveries. The page and its API need the printed key, a peer on this machine,
//! and one of this listener's own addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign::http::{HeaderValue, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use super::App;

/// The header with the page's key. A page of another site cannot send it without permission.
const TOKEN: &str = "x-countersign-token";

pub(super) async fn guard(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(why) = check(&app, peer, &request) {
        return (StatusCode::FORBIDDEN, format!("refused: {why}\n")).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(app: &App, peer: SocketAddr, request: &Request) -> Result<(), &'static str> {
    let headers = request.headers();
    let path = request.uri().path();
    let is_page = path == "/" && request.method() == Method::GET;
    // Pages of other sites may link to the page, but neither send deliveries nor read.
    if let Some(site) = headers.get("sec-fetch-site") {
        let from_elsewhere = site != "same-origin" && site != "none";
        let is_link = is_page && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        if from_elsewhere && !is_link {
            return Err("the request comes from a page of another site");
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if !host.is_some_and(|host| is_own(host, app.address)) {
            return Err("the request comes from a page of another origin");
        }
    }
    if path.starts_with("/webhooks/") {
        return Ok(());
    }
    if !peer.ip().to_canonical().is_loopback() {
        return Err("only this machine can open the page");
    }
    // A tunnel for deliveries must not show them to the world.
    if headers.keys().any(|name| is_of_a_proxy(name.as_str())) {
        return Err("the request came through a proxy, which may only bring deliveries");
    }
    // An attacker may point another name at this machine (DNS rebinding).
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) if is_own(host, app.address) => {}
        _ => return Err("the Host header does not name this listener"),
    }
    // A misdirected delivery learns the right paths.
    if !path.starts_with("/api/") && (path != "/" || request.method() == Method::POST) {
        return Ok(());
    }
    // A tunnel that adds no header, or another user of this machine, does not have the key. An attacker can make a
    // browser visit an address, but not send this header, so changes need the header.
    let is_key = |given: &[u8]| bool::from(given.ct_eq(app.key.as_bytes()));
    let in_header = headers.get(TOKEN).is_some_and(|given| is_key(given.as_bytes()));
    let reads = request.method() == Method::GET;
    if in_header || (reads && key_of(request.uri().query()).is_some_and(|key| is_key(key.as_bytes()))) {
        Ok(())
    } else {
        Err("the key is missing or wrong: open the address that countersign listen printed")
    }
}

/// Whether only proxies add such a header.
fn is_of_a_proxy(name: &str) -> bool {
    matches!(name, "forwarded" | "via" | "x-real-ip" | "true-client-ip" | "x-client-ip" | "x-original-host")
        || ["x-forwarded-", "cf-"].iter().any(|beginning| name.starts_with(beginning))
}

fn key_of(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("key="))
}

fn is_own(host: &str, address: SocketAddr) -> bool {
    let (name, given) =
        host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((host, "80"));
    let is_bound = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback() && name == ip.to_string(),
        IpAddr::V6(_) => false,
    };
    (is_bound || matches!(name, "localhost" | "127.0.0.1" | "[::1]")) && given == address.port().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn only_the_names_of_this_machine_with_this_port_are_its_own() {
        for host in ["localhost:4400", "127.0.0.1:4400", "[::1]:4400"] {
            assert!(is_own(host, at("0.0.0.0:4400")), "{host}");
        }
        assert!(is_own("127.0.0.2:4400", at("127.0.0.2:4400")));
        assert!(!is_own("127.0.0.3:4400", at("127.0.0.2:4400")));
        assert!(
            !is_own("192.0.2.1:4400", at("192.0.2.1:4400")) && !is_own("0.0.0.0:4400", at("0.0.0.0:4400"))
        );
        for host in [
            "localhost",
            "localhost:4401",
            "evil.example:4400",
            "127.0.0.1.evil.example:4400",
            "",
            "::1:4400",
            "localhost:4400:4400",
            "LOCALHOST.evil:4400",
            "127.0.0.1:04400",
            "a@localhost:4400",
        ] {
            assert!(!is_own(host, at("127.0.0.1:4400")), "{host}");
        }
        assert!(is_own("localhost", at("127.0.0.1:80")) && is_own("[::1]", at("[::1]:80")));
    }
    #[test]
    fn what_a_proxy_adds_is_known() {
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "cf-ray",
            "cf-connecting-ip",
            "true-client-ip",
        ] {
            assert!(is_of_a_proxy(name), "{name}");
        }
        assert!(!is_of_a_proxy("host") && !is_of_a_proxy("x-countersign-token"));
    }
}
