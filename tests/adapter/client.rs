//! A client that writes requests byte by byte, as no library would.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response: its status, its head in lower case, and its body.
#[derive(Debug, PartialEq)]
pub struct Answer(pub u16, pub String, pub String);

impl Answer {
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.0, self.2.as_str()), (status, body), "{self:?}");
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        self.is(status, &format!(r#"{{"error":"{code}"}}"#));
        assert!(self.1.contains("content-type: application/json\r\n"), "{self:?}");
    }

    /// Whether `Retry-After` is the rest of a lease of 60 seconds, of which a busy machine may have let a few go by.
    pub fn has_a_lease_to_run(&self) -> bool {
        let seconds = self.1.lines().find_map(|line| line.strip_prefix("retry-after: "));
        seconds.is_some_and(|seconds| (55..=60).contains(&seconds.parse().unwrap()))
    }
}

/// A client's end of a connection, and what it has read beyond the last answer.
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Writes as much as the server takes: it may have answered and closed already.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Waits for the end of the connection, after what is still read of it.
    pub async fn closed(&mut self) {
        while self.read_more().await {}
    }

    /// Reads more, and says whether there was any.
    async fn read_more(&mut self) -> bool {
        let read = tokio::time::timeout(Duration::from_secs(30), self.stream.read_buf(&mut self.read));
        matches!(read.await.expect("an answer, or the end"), Ok(1..))
    }

    async fn take(&mut self, length: usize) -> Option<String> {
        while self.read.len() < length {
            if !self.read_more().await {
                return None;
            }
        }
        let rest = self.read.split_off(length);
        Some(String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap())
    }

    /// The next answer, unless the connection ends before.
    pub async fn next(&mut self) -> Option<Answer> {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if !self.read_more().await => return None,
                None => {}
            }
        };
        let head = self.take(end).await?.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let body = self.take(length).await?;
        Some(Answer(status, head, body))
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        self.next().await.expect("an answer")
    }
}

/// The answer to a request on a connection of its own.
pub async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut client = Client::connect(address).await;
    client.write(request).await;
    client.answer().await
}

/// The status that a client sees who writes all of a request before it reads, or what went wrong for it.
pub fn send_all_then_read(address: SocketAddr, pieces: &[&[u8]]) -> io::Result<u16> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    pieces.iter().try_for_each(|piece| stream.write_all(piece))?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    String::from_utf8_lossy(&start[9..]).parse().map_err(io::Error::other)
}

/// The head of a request: its path and header lines.
pub fn head(path: &str, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A request whose length is announced.
pub fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    let head = head(path, &[headers, &[("Content-Length", &length)]].concat());
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A request whose body comes in chunks, of a length that is not announced.
pub fn chunked(path: &str, headers: &[(&str, &str)], pieces: &[&str]) -> Vec<u8> {
    let head = head(path, &[headers, &[("Transfer-Encoding", "chunked")]].concat());
    let pieces: String = pieces.iter().map(|piece| chunk(piece)).collect();
    format!("{head}{pieces}0\r\n\r\n").into_bytes()
}

pub fn chunk(piece: &str) -> String {
    format!("{:x}\r\n{piece}\r\n", piece.len())
}
