//! A request line, from the bytes of a connection to paths: no reading of any selector has a component that
//! is no plain name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopher_handler::fuzz::request::check(data));
