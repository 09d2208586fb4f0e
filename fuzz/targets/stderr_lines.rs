//! A handler's stderr: lines that are bounded and printable, however they were written.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

include!("launcher.rs");

#[path = "../checks/stderr_lines.rs"]
mod check_of;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check_of::check(data));
