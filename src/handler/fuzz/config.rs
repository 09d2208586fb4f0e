//! A configuration file: an error or settings, and an end.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::{config, settings};

pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _either = config::apply(text, &mut settings::Settings::default());
    }
}
