//! Fault injection: no fault in a launch may let a handler run with a layer missing.
//!
//! The calls come from a trace of a good launch, not from a list. Each call is made to fail with three
//! errnos. Then the connection must be refused with the service's bytes, the error must name the errno, the
//! handler must not run, and nothing may be left. Each call is also made to succeed without effect.
//! Exceptions are in tables with their reasons. A new call without a case fails these tests, and so does a
//! table entry without a call.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![cfg(target_arch = "x86_64")]

mod btrfs;
mod cases;
mod failing;
mod mounting;
mod operands;
mod pretending;
mod run;
mod serve;
mod silent;
mod supervisor;
mod workers;
mod zygote;
