//! TLS of `dayfly serve`: handshakes, streams, certificates of clients, and who has the key.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod certificates;
mod client;
mod clients;
mod configuration;
mod examples;
mod faults;
mod handshake;
mod key;
mod limits;
mod mutual;
mod reload;
mod stream;
