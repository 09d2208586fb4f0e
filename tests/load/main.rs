//! Long runs under load, with kills and restarts. One of these tests runs at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod hosts;
mod kills;
mod logwatch;
mod restart;
mod soak;
mod succession;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Held by the test that runs: two loads at once would measure each other.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One request to the echo; what is wrong with the answer.
fn ask(address: SocketAddr, line: &str) -> Result<(), String> {
    let wrong = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut stream = TcpStream::connect(address).map_err(|e| wrong("connect", e))?;
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.write_all(line.as_bytes()).map_err(|e| wrong("send", e))?;
    stream.shutdown(Shutdown::Write).map_err(|e| wrong("half-close", e))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| wrong("read", e))?;
    let own = stream.local_addr().unwrap();
    if answer == line { Ok(()) } else { Err(format!("{own} asked {line:?}, was answered {answer:?}")) }
}
