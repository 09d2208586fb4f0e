//! A service file: an error in one line, or options that go on as others do.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dayfly::fuzz::service_file::check(data));
