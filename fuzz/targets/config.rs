//! A configuration file: an error or settings, and an end.

#![no_main]
#![allow(dead_code, unreachable_pub)]

include!("handler.rs");

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = config::apply(text, &mut settings::Settings::default());
    }
});
