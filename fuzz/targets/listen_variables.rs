//! The variables of socket activation: a number of descriptors with a name each, or an error.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

include!("launcher.rs");

#[path = "../checks/listen_variables.rs"]
mod check_of;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check_of::check(data));
