//! A service file: an error with its place, or options that an empty command line leaves as they are.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::config::{options::Options, parse_service_file};
use std::path::Path;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_service_file(text) {
        Ok(mut options) => {
            options.make_absolute(Path::new("/etc/dayfly"));
            let relative = options.template.iter().find(|template| template.is_relative());
            assert!(relative.is_none());
            let shown = format!("{options:?}");
            assert_eq!(format!("{:?}", Options::default().over(options)), shown);
        }
        Err(error) => {
            assert!(!error.message().is_empty());
            assert!(error.span().is_none_or(|span| span.start <= text.len()));
        }
    }
}
