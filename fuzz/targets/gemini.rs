//! A request of Gemini and a line of a menu: no path leaves the tree, and each line of gemtext is one line.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopher_handler::fuzz::gemini::check(data));
