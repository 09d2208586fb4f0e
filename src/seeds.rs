//! What fuzzing begins with, and what it has found, through the checks that the fuzzer makes.

#[path = "../fuzz/checks/listen_variables.rs"]
mod listen_variables;
#[path = "../fuzz/checks/proxy_header.rs"]
mod proxy_header;
#[path = "../fuzz/checks/service_file.rs"]
mod service_file;
#[path = "../fuzz/checks/stderr_lines.rs"]
mod stderr_lines;

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
