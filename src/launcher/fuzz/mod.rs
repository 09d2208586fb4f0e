//! The fuzzer's first inputs and its findings, run through the fuzzer's checks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what the checks find is a panic")]

pub mod listen_variables;
pub mod nspawn;
pub mod proxy_header;
pub mod service_file;
pub mod stderr_lines;

#[cfg(test)]
fn each_of(target: &str, check: fn(&[u8])) {
    let directory = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let seeds: Vec<_> = std::fs::read_dir(directory).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        check(&std::fs::read(&seed).unwrap());
    }
}

#[test]
fn seeds_of_service_files_pass() {
    each_of("service_file", service_file::check);
}

#[test]
fn seeds_of_listen_variables_pass() {
    each_of("listen_variables", listen_variables::check);
}

#[test]
fn seeds_of_stderr_pass() {
    each_of("stderr_lines", stderr_lines::check);
}

#[test]
fn seeds_of_proxy_headers_pass() {
    each_of("proxy_header", proxy_header::check);
}
