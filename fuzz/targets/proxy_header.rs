//! A PROXY protocol header: taken to its end and no byte further, and incomplete before it.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/proxy_header.rs"]
mod proxy_header;

use proxy_header::{HEADER_MAX, Parsed, parse};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let found = parse(data);
    if let Parsed::Header { length, .. } = found {
        assert!(length <= data.len() && length <= HEADER_MAX);
        assert_eq!(parse(&data[..length]), found);
        for shorter in 0..length {
            assert_eq!(parse(&data[..shorter]), Parsed::Incomplete);
        }
    }
});
