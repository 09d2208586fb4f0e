//! Every step made to fail: no fault in a launch lets a handler run with less than its whole sandbox.
//!
//! The calls are those of a good launch, traced, not a list kept by hand. Each is made to fail with three errnos: the
//! connection is refused with the service's bytes, the error names the errno, the handler never runs, and nothing is left.
//! Each is also made to succeed without effect. What need not be so stands in a table with its reason: a new call
//! without a case turns these tests red, and so does a line of a table that no call needs any more.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![cfg(target_arch = "x86_64")]

#[path = "../common/mod.rs"]
mod common;

mod btrfs;
mod cases;
mod failing;
mod pretending;
mod run;
mod serve;
mod silent;
mod supervisor;
mod workers;
