//! A map, line by line, to the lines of a menu: whatever is in it, each is one line of four fields without
//! control bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopher_handler::fuzz::gophermap::check(data));
