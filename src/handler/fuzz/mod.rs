//! The fuzzer's first inputs and its findings, run through the fuzzer's checks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what the checks find is a panic")]

pub mod config;
pub mod gemini;
pub mod gophermap;
pub mod menus;
pub mod request;

#[cfg(test)]
fn each_of(target: &str, check: fn(&[u8])) {
    let directory = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let seeds: Vec<_> = std::fs::read_dir(directory).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        check(&std::fs::read(&seed).unwrap());
    }
}

#[test]
fn seeds_of_requests_pass() {
    each_of("request", request::check);
}

#[test]
fn seeds_of_maps_pass() {
    each_of("gophermap", gophermap::check);
}

#[test]
fn seeds_of_other_menus_pass() {
    each_of("menus", menus::check);
}

#[test]
fn seeds_of_urls_pass() {
    each_of("gemini", gemini::check);
}

#[test]
fn seeds_of_configurations_pass() {
    each_of("config", config::check);
}
