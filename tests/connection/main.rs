//! The connection as the handler and its peer see it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod connection;
mod descriptors;
mod halfclose;
mod minimum_rate;
mod proxy_protocol;
mod refusal;
mod reset;
mod stderr;
