//! A configuration file: an error or settings, and an end.

#![no_main]
#![allow(dead_code, unreachable_pub)]

include!("handler.rs");

#[path = "../checks/config.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
