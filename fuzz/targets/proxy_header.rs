//! A PROXY protocol header: taken to its end and no byte further, and incomplete before it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dayfly::fuzz::proxy_header::check(data));
