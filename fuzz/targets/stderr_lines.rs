//! A handler's stderr: lines that are bounded and printable, however they were written.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dayfly::fuzz::stderr_lines::check(data));
