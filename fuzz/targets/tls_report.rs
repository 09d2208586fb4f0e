//! A report of a TLS relay: what is taken for one says the same as it was written.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(report) = tls_wire::Report::parse(data) {
        assert_eq!(report.encode(), data);
    }
});
