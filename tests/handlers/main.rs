//! Handlers of several makes and languages under their profiles.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod examples;
mod gemini;
mod gopher;
mod handlers;
mod logwatch;
mod lua;
mod metrics;
mod runtimes;
mod static_c;
