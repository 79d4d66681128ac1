//! An address that stays while the server behind it changes, as a service's does in a failover.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

struct Behind {
    port: u16,
    open: Vec<TcpStream>,
}

/// A port that forwards each connection to a server.
pub struct Address {
    port: u16,
    behind: Arc<Mutex<Behind>>,
}

impl Address {
    pub fn of(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = Arc::new(Mutex::new(Behind { port: server, open: Vec::new() }));
        let shared = Arc::clone(&behind);
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection to a server that is gone is closed.
                let _ = forward(client, &mut shared.lock().unwrap());
            }
        });
        Self { port, behind }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes the connections to the server before, and forwards new ones to this.
    pub fn move_to(&self, server: u16) {
        let mut behind = self.behind.lock().unwrap();
        behind.port = server;
        for stream in behind.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn forward(client: TcpStream, behind: &mut Behind) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", behind.port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        behind.open.push(stream.try_clone()?);
    }
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
