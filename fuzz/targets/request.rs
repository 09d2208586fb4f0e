//! A request line, from the bytes of a connection to paths: no reading of any selector has a component that is no plain name.

#![no_main]
#![allow(dead_code, unreachable_pub)]

include!("handler.rs");

#[path = "../checks/request.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
