//! The client: one connection for each delivery in flight, which stays open, all on one thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::deliveries::Delivery;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, and waits until the service answers.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, buffer: Vec::with_capacity(4 << 10) };
        connection.get("/").await?;
        Ok(connection)
    }

    /// The body of a page.
    pub async fn get(&mut self, path: &str) -> io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (status, body) = self.ask(request.as_bytes()).await?;
        if status != 200 {
            return Err(io::Error::other(format!("{path}: {status}")));
        }
        Ok(body)
    }

    /// Sends a request, and reads the answer to its end: its status and its body.
    async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, String)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.buffer).map_err(io::Error::other)?;
            let (status, length) = head(&text[..end]).ok_or_else(|| io::Error::other(text.to_owned()))?;
            let body = &text[end + 4..];
            if body.len() >= length {
                return Ok((status, body.to_owned()));
            }
        }
    }
}

/// The status and the length of an answer.
fn head(head: &str) -> Option<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    Some((status, length?))
}

/// What came of a block of deliveries.
pub struct Delivered {
    pub count: usize,
    /// New events among them.
    pub accepted: u64,
    pub elapsed: Duration,
    /// How long each waited for its answer, in order.
    pub times: Vec<Duration>,
}

/// Connections to a service, and what is delivered by them.
pub struct Block {
    connections: Vec<Connection>,
    deliveries: Vec<Delivery>,
}

impl Block {
    pub async fn new(address: SocketAddr, level: usize, deliveries: Vec<Delivery>) -> io::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..level {
            connections.push(Connection::open(address).await?);
        }
        Ok(Self { connections, deliveries })
    }

    /// Delivers in the given order for so long, or until nothing is left. Fails if an answer has another status than it
    /// has to have.
    pub async fn run(self, time: Duration) -> io::Result<Delivered> {
        let deliveries = Arc::new(self.deliveries);
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let senders = self.connections.into_iter().map(|mut connection| {
            let (deliveries, next) = (Arc::clone(&deliveries), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let Some(delivery) = deliveries.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    let sent = Instant::now();
                    let (status, body) = connection.ask(&delivery.request).await?;
                    times.push(sent.elapsed());
                    if status != delivery.status {
                        let wrong = format!("answered {status} {body:?} instead of {}", delivery.status);
                        return Err(io::Error::other(wrong));
                    }
                }
                Ok(times)
            })
        });
        let mut times = Vec::new();
        for sender in senders.collect::<Vec<_>>() {
            times.extend(sender.await.expect("a sender does not panic")?);
        }
        let elapsed = start.elapsed();
        times.sort();
        let count = times.len();
        let accepted = deliveries[..count].iter().filter(|delivery| delivery.is_new).count() as u64;
        Ok(Delivered { count, accepted, elapsed, times })
    }
}
