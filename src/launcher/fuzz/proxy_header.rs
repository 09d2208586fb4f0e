//! A PROXY protocol header: taken to its end and no byte further, and incomplete before it.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::proxy_header::{HEADER_MAX, Parsed, parse};

pub fn check(data: &[u8]) {
    let found = parse(data);
    if let Parsed::Header { length, .. } = found {
        assert!(length <= data.len() && length <= HEADER_MAX);
        assert_eq!(parse(&data[..length]), found);
        for shorter in 0..length {
            assert_eq!(parse(&data[..shorter]), Parsed::Incomplete);
        }
    }
}
