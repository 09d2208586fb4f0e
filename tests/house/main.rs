//! Rules for the source, and the tests of the test harness.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod architecture;
mod harness;
