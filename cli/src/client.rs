//! A small HTTP client: one connection per request, no redirects, and a time limit on the whole exchange.
//!
//! It uses hyper's connection directly: a client with pools, redirects and decoding would hide what a test of a
//! receiver must show. TLS is rustls with ring, which needs no C compiler beyond cc. It trusts this machine's
//! certificate authorities, and so a company's own.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use countersign::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::Failure;

/// The longest part of an answer's body that is kept, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// Where requests go. It is checked once, and contains no secret.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
    /// The address of this program's own listener, to which it must not lead.
    own: Option<SocketAddr>,
}

impl Target {
    /// Reads a URL. A URL without a scheme is `http`, on any host.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let url = url.split('?').next().unwrap_or_default();
            Failure::usage(format!("{url:?} {why}\n  Give it as http://localhost:3000/webhooks/quote3d."))
        };
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong("is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            let why = "a URL must not contain a user or a password: every user of this machine can read arguments with `ps`";
            return Err(Failure::usage(why));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A port that is not a number, or is too great, reads as none.
            None if authority.as_str() != authority.host() => {
                return Err(wrong("has no port from 1 to 65535"));
            }
            None if tls => 443,
            None => 80,
        };
        if host.is_empty() || port == 0 {
            return Err(wrong("names no host or no port"));
        }
        Ok(Self { uri, host, port, tls, own: None })
    }

    /// Whether it names a path or a query.
    pub(crate) fn has_path(&self) -> bool {
        self.uri.path() != "/" || self.uri.query().is_some()
    }

    /// The URL to show: a query may contain a credential.
    pub(crate) fn without_query(&self) -> String {
        let url = self.uri.to_string();
        match url.split_once('?') {
            Some((url, _)) => format!("{url}?…"),
            None => url,
        }
    }

    /// Whether it names this port of this machine.
    pub(crate) fn is_on_this_machine(&self, port: u16) -> bool {
        let is_loopback = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.port == port && (is_loopback || self.host == "localhost")
    }

    /// The same target, which refuses to connect to this listener's own address, whatever its name.
    pub(crate) fn other_than(self, own: SocketAddr) -> Self {
        Self { own: Some(own), ..self }
    }

    /// The same server at another path.
    pub(crate) fn at(&self, path_and_query: &str) -> Result<Self, Failure> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = path_and_query.parse().ok();
        let uri = Uri::from_parts(parts).map_err(|_| Failure::usage("the path is not valid in a URL"))?;
        Ok(Self { uri, ..self.clone() })
    }
}

/// Removes the hop-by-hop headers, and those that the new connection sets itself.
pub(crate) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let fixed = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::EXPECT,
        header::HOST,
        header::CONTENT_LENGTH,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.into_iter().chain(fixed) {
        headers.remove(name);
    }
    headers
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The beginning, if the body is long.
    pub(crate) body: Bytes,
    /// The time from before connecting to the last byte that was read.
    pub(crate) took: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) message: String,
    pub(crate) timed_out: bool,
    pub(crate) took: Duration,
}

/// Posts a body, and waits for the answer, at most for `timeout`.
pub(crate) async fn post(
    target: &Target,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
) -> Result<Answer, Unreachable> {
    let started = Instant::now();
    let result = tokio::time::timeout(timeout, exchange(target, headers, body)).await;
    let took = started.elapsed();
    match result {
        Ok(Ok((status, headers, body))) => Ok(Answer { status, headers, body, took }),
        Ok(Err(message)) => Err(Unreachable { message, timed_out: false, took }),
        Err(_) => {
            let message = format!("no answer from {} within {} s", target.host, timeout.as_secs_f64());
            Err(Unreachable { message, timed_out: true, took })
        }
    }
}

type Exchanged = (StatusCode, HeaderMap, Bytes);

async fn exchange(target: &Target, headers: HeaderMap, body: Bytes) -> Result<Exchanged, String> {
    let stream = TcpStream::connect((&*target.host, target.port))
        .await
        .map_err(|error| format!("no connection to {}:{}: {error}", target.host, target.port))?;
    if let Some(own) = target.own
        && let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr())
        && leads_to(own, local.ip(), peer)
    {
        return Err(
            "the target is this listener itself, which would forward to itself without end".to_owned()
        );
    }
    // Without this, the body waits for the acknowledgement of the head.
    let _ = stream.set_nodelay(true);
    if !target.tls {
        return speak(stream, target, headers, body).await;
    }
    let config = TLS.clone()?;
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| format!("no TLS with {}: {error}", target.host))?;
    speak(stream, target, headers, body).await
}

/// Whether the other end of a connection is the listener at this address of this machine.
fn leads_to(own: SocketAddr, local: IpAddr, peer: SocketAddr) -> bool {
    let (bound, local, ip) = (own.ip().to_canonical(), local.to_canonical(), peer.ip().to_canonical());
    let is_bound = match bound {
        // The listener has every address of this machine: those of IPv4, or of both versions.
        IpAddr::V4(bound) if bound.is_unspecified() => ip.is_ipv4() && (ip == local || ip.is_loopback()),
        IpAddr::V6(bound) if bound.is_unspecified() => ip == local || ip.is_loopback(),
        bound => ip == bound,
    };
    is_bound && peer.port() == own.port()
}

/// Made once, and only if needed, because reading the roots takes a while.
static TLS: LazyLock<Result<Arc<rustls::ClientConfig>, String>> = LazyLock::new(|| {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this machine has no certificate authorities: install ca-certificates, or set SSL_CERT_FILE"
                .into(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
});

async fn speak<S>(stream: S, target: &Target, headers: HeaderMap, body: Bytes) -> Result<Exchanged, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the connection broke: {}", chain(&error));
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(Unheeded { stream, is_unheeded: false }))
        .await
        .map_err(broken)?;
    // The task ends with the sender, or with the server.
    let connection = tokio::spawn(connection);
    let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(|_| "the path cannot be sent".to_owned())?;
    *request.headers_mut() = headers;
    let authority = target.uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).map_err(|_| "the host cannot be sent".to_owned())?;
    request.headers_mut().insert(header::HOST, host);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (head, mut body) = answer.into_parts();
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let room = LONGEST_ANSWER - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if kept.len() == LONGEST_ANSWER {
            break;
        }
    }
    connection.abort();
    Ok((head.status, head.headers, kept.freeze()))
}

/// A connection that still reads the answer after the server has stopped reading the request. A server that refuses a
/// body for its length answers early. Further writes are discarded, and only a read reports a broken connection.
struct Unheeded<S> {
    stream: S,
    is_unheeded: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Unheeded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unheeded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_unheeded {
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Err(_)) => {
                self.is_unheeded = true;
                Poll::Ready(Ok(bytes.len()))
            }
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_unheeded {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_unheeded {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// An error and its sources.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

    use super::*;

    #[test]
    fn a_url_is_read_as_people_write_it() {
        for (url, host, port, path) in [
            ("http://localhost:3000/webhooks/quote3d", "localhost", 3000, "/webhooks/quote3d"),
            ("localhost:3000", "localhost", 3000, "/"),
            ("https://example.org/a?b=c", "example.org", 443, "/a"),
            ("http://[::1]:8080", "::1", 8080, "/"),
            ("127.0.0.1/x", "127.0.0.1", 80, "/x"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((&*target.host, target.port, target.uri.path()), (host, port, path), "{url}");
            assert_eq!(target.has_path(), path != "/");
        }
        let moved = Target::parse("localhost:3000").unwrap().at("/webhooks/3qpr?a=b").unwrap();
        assert_eq!(moved.to_string(), "http://localhost:3000/webhooks/3qpr?a=b");
    }

    #[test]
    fn a_connection_to_the_listener_itself_is_known_by_its_addresses() {
        for (own, local, peer, is_own) in [
            ("127.0.0.1:4400", "127.0.0.1", "127.0.0.1:4400", true),
            ("127.0.0.1:4400", "127.0.0.1", "[::ffff:127.0.0.1]:4400", true),
            ("127.0.0.1:4400", "127.0.0.1", "127.0.0.1:3000", false),
            ("127.0.0.1:4400", "127.0.0.1", "127.0.0.2:4400", false),
            ("127.0.0.1:4400", "::1", "[::1]:4400", false),
            ("0.0.0.0:4400", "127.0.0.1", "127.0.0.2:4400", true),
            ("0.0.0.0:4400", "192.0.2.1", "192.0.2.1:4400", true),
            ("0.0.0.0:4400", "192.0.2.1", "192.0.2.7:4400", false),
            ("[::]:4400", "::1", "[::1]:4400", true),
            ("[::]:4400", "192.0.2.1", "192.0.2.1:4400", true),
            ("[2001:db8::1]:4400", "2001:db8::1", "[2001:db8::1]:4400", true),
            ("[2001:db8::1]:4400", "::1", "[::1]:4400", false),
        ] {
            let found = leads_to(own.parse().unwrap(), local.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(found, is_own, "{own} {peer}");
        }
    }

    /// A TLS stream buffers writes until they are flushed.
    #[tokio::test]
    async fn a_request_leaves_a_stream_that_holds_back_what_is_written() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        tokio::spawn(async move {
            theirs.read_u8().await.unwrap();
            theirs.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            // Reading the rest keeps the stream open; the answer needed only the first byte.
            theirs.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let target = Target::parse("localhost:3000").unwrap();
        let answer = speak(BufWriter::new(ours), &target, HeaderMap::new(), Bytes::new());
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("no request leaves");
        let (status, _, body) = answer.unwrap();
        assert_eq!((status, &body[..]), (StatusCode::ACCEPTED, &b"ok"[..]));
    }

    #[test]
    fn what_is_no_url_is_refused_and_a_password_in_one_is_not_shown() {
        for url in
            ["", "http://", "ftp://localhost", "http://localhost:0", "http://localhost:99999", "http://a b"]
        {
            assert!(Target::parse(url).is_err(), "{url}");
        }
        let message = Target::parse("http://me:hunter2@localhost").unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
