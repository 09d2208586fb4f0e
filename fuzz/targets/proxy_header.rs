//! A PROXY protocol header: taken to its end and no byte further, and incomplete before it.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/proxy_header.rs"]
mod proxy_header;

#[path = "../checks/proxy_header.rs"]
mod check_of;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check_of::check(data));
