//! The bytes of a log in pieces of any size: each line comes out once, as one line of plain text.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logwatch::fuzz::check(data));
