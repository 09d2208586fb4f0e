//! Menus in the forms of other servers, line by line, to the lines of a menu.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gopher_handler::fuzz::menus::check(data));
