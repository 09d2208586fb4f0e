//! The variables of socket activation: a number of descriptors with a name each, or an error.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dayfly::fuzz::listen_variables::check(data));
