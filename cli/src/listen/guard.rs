//! Who may ask for what. Deliveries may come from anyone; the page and its API are for a browser on this
//! machine alone, at an address that is this listener's own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use subtle::ConstantTimeEq;

use super::App;

/// The header with the page's token.
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
    // No browser on another site has a delivery to make, or anything to read. A link to the page is fine.
    if let Some(site) = headers.get("sec-fetch-site") {
        let from_elsewhere = site != "same-origin" && site != "none";
        let is_link = is_page && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        if from_elsewhere && !is_link {
            return Err("a page of another site asks for it");
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if !host.is_some_and(|host| is_own(host, app.port)) {
            return Err("a page of another origin asks for it");
        }
    }
    if path.starts_with("/webhooks/") {
        return Ok(());
    }
    if !peer.ip().to_canonical().is_loopback() {
        return Err("the page is for this machine alone");
    }
    // A tunnel that brings deliveries must not show them to the world.
    if ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
    {
        return Err("it came by way of a proxy, which brings deliveries alone");
    }
    // A name that an attacker points at this machine is not one of ours.
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) if is_own(host, app.port) => {}
        _ => return Err("the Host is not this listener's"),
    }
    let changes = path.starts_with("/api/") && request.method() != Method::GET;
    if changes && !has_token(headers, &app.token) {
        return Err("the page's token is missing: load the page again");
    }
    Ok(())
}

fn is_own(host: &str, port: u16) -> bool {
    let (name, given) =
        host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((host, "80"));
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") && given == port.to_string()
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    headers.get(TOKEN).is_some_and(|given| given.as_bytes().ct_eq(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_this_machine_with_this_port_are_its_own() {
        for host in ["localhost:4400", "127.0.0.1:4400", "[::1]:4400"] {
            assert!(is_own(host, 4400), "{host}");
        }
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
            assert!(!is_own(host, 4400), "{host}");
        }
        assert!(is_own("localhost", 80) && is_own("[::1]", 80));
    }
}
