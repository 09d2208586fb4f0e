//! A line of systemd-nspawn's, one word between NULs: an error, or options of `run` behind which the command
//! stands whole.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dayfly::fuzz::nspawn::check(data));
