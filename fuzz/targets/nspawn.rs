//! A line of systemd-nspawn's, one word between NULs: an error, or options of `run` behind which the command stands whole.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/nspawn/translate/mod.rs"]
mod translate;

#[path = "../checks/nspawn.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
