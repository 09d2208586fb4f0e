//! Menus in the forms of other servers, line by line, to the lines of a menu.

#![no_main]
#![allow(dead_code, unreachable_pub)]

include!("handler.rs");

#[path = "../checks/menus.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
