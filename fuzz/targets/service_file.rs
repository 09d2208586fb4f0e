//! A service file: an error in one line, or options that go on as others do.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

include!("launcher.rs");

#[path = "../checks/service_file.rs"]
mod check_of;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check_of::check(data));
