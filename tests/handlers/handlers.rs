//! Handlers of several makes, each begun in every way that is common, parked in every place.

use common::serve::Serve;
use common::{Site, a_site, need};
use std::path::Path;
use std::process::Command;

const PARKS: [&str; 3] = ["entry", "before-exec", "none"];

/// Adds a program to the template; how it is called there.
fn add(site: &mut Site, name: &str, file: &Path) -> String {
    let content = std::fs::read(file).unwrap();
    site.add(&format!("bin/{name}"), &content, 0o711);
    format!("/bin/{name}")
}

/// The answers to two clients, one after the other, and the log.
fn answers(site: &Site, handler: &[&str], options: &[&str]) -> (Vec<String>, String) {
    let mark = format!("@{}", site.tag());
    let words: Vec<&str> = handler
        .iter()
        .take(1)
        .copied()
        .chain([mark.as_str()])
        .chain(handler.iter().skip(1).copied())
        .collect();
    let mut serve = Serve::probe(site, &[]).options(&["--warm", "3"]).options(options);
    serve.replace_handler(&words);
    let serving = serve.start();
    let answers = (0..2).map(|_| String::from_utf8(serving.ask(b"hello\n")).unwrap()).collect();
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    (answers, log)
}

#[test]
fn c_programs_of_both_libcs_begin_as_they_like_wherever_they_are_parked() {
    let mut site = a_site!();
    for libc in ["first", "first-glibc"] {
        let program = add(&mut site, libc, &common::test_bin(&format!("c/{libc}")));
        for how in ["read", "readv", "recv", "poll", "dup", "dup1", "getpeername", "banner"] {
            for park in PARKS {
                let (answers, log) = answers(&site, &[&program, how], &["--park", park]);
                let expected = format!("{how}: hello\n");
                assert_eq!(answers, [expected.as_str(), &expected], "{libc} {park}: {log}");
                assert!(!log.contains("cannot be parked"), "{libc} {how} {park}: {log}");
            }
        }
    }
}

#[test]
fn a_program_that_reads_first_can_be_parked_in_its_read() {
    let mut site = a_site!();
    for libc in ["first", "first-glibc"] {
        let program = add(&mut site, libc, &common::test_bin(&format!("c/{libc}")));
        let (answers, log) = answers(&site, &[&program, "read"], &["--park", "read"]);
        assert_eq!(answers, ["read: hello\n", "read: hello\n"], "{libc}: {log}");
        assert!(!log.contains("cannot be parked"), "{libc}: {log}");
    }
}

#[test]
fn rust_is_parked_everywhere_too() {
    let site = a_site!();
    for park in PARKS {
        let (answers, log) = answers(&site, &["/bin/probe", "echo"], &["--park", park]);
        assert_eq!(answers, ["hello\n", "hello\n"], "{park}: {log}");
    }
}

#[test]
fn one_that_is_not_where_it_was_to_be_parked_is_told_and_served_all_the_same() {
    let mut site = a_site!();
    let program = add(&mut site, "first", &common::test_bin("c/first"));
    // It never yields, and reads by another call than read(2).
    for (how, park) in [("read", "ready"), ("readv", "read"), ("recv", "ready")] {
        let (answers, log) = answers(&site, &[&program, how], &["--park", park]);
        let expected = format!("{how}: hello\n");
        assert_eq!(answers, [expected.as_str(), &expected], "{how} {park}: {log}");
        assert!(log.contains("cannot be parked after exec"), "{how} {park}: {log}");
    }
}

#[test]
fn one_that_hangs_before_it_can_be_parked_is_told_and_served_all_the_same() {
    let site = a_site!();
    // It computes for ever, and not in the call it was to be parked in.
    let serving = Serve::probe(&site, &["spin"]).options(&["--park", "read", "--wall-time", "30s"]).start();
    let mut client = serving.connect();
    serving.await_log(&["cannot be parked after exec"]);
    assert_eq!(client.line(), "ready");
    drop(client);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn go_is_parked_at_entry_and_before_exec() {
    let mut site = a_site!();
    let go = need!("go");
    let binary = site.directory().join("hello");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/go/hello.go");
    let cache = site.directory().join("cache");
    let built = Command::new(go)
        .args(["build", "-o", binary.to_str().unwrap(), source])
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", &cache)
        .env("GO111MODULE", "off")
        .status()
        .unwrap();
    assert!(built.success());
    let program = add(&mut site, "hello", &binary);
    std::fs::remove_dir_all(cache).unwrap();
    std::fs::remove_file(binary).unwrap();
    site.settle();
    for park in PARKS {
        let options = ["--park", park, "--profile", "go"];
        let (answers, log) = answers(&site, &[&program], &options);
        assert_eq!(answers, ["go: hello\n", "go: hello\n"], "{park}: {log}");
    }
}
