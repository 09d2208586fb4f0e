//! A map, line by line, to the lines of a menu: whatever is in it, each is one line of four fields without control bytes.

#![no_main]
#![allow(dead_code, unreachable_pub)]

include!("handler.rs");

#[path = "../checks/gophermap.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
