//! A configuration file: an error or settings, and an end.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopher_handler::fuzz::config::check(data));
