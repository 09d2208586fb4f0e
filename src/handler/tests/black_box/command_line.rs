//! Options, exit status, rendering.

use std::process::Command;

use crate::harness::{HANDLER, Tree, run};

#[test]
fn help_and_version_are_printed_with_status_0() {
    for (option, expected) in [("--help", "Usage: gopher-handler"), ("--version", "gopher-handler ")] {
        let answer = run(Command::new(HANDLER).arg(option), b"");
        assert!(answer.bytes.starts_with(expected.as_bytes()) && answer.status == Some(0), "{option}");
    }
}

#[test]
fn wrong_usage_is_status_2_and_reaches_no_client() {
    for arguments in [&["--rot"][..], &["x"], &["--port", "70000"], &["--host", "a b"], &["--root"]] {
        let answer = run(Command::new(HANDLER).args(arguments), b"\r\n");
        assert_eq!((answer.status, answer.bytes.as_slice()), (Some(2), &b""[..]), "{arguments:?}");
        assert!(answer.log.contains("--help"), "{}", answer.log);
    }
}

#[test]
fn rendering_prints_what_a_client_would_get() {
    let tree = Tree::new();
    tree.file("t.txt", "text\n");
    let answer = run(tree.handler().args(["--render", "/t.txt"]), b"");
    assert_eq!(
        (answer.bytes.as_slice(), answer.status, answer.log.as_str()),
        (&b"text\r\n"[..], Some(0), "")
    );
}

#[test]
fn rendering_an_error_is_status_1() {
    let tree = Tree::new();
    let answer = run(tree.handler().args(["--render", "/nope"]), b"");
    assert_eq!((answer.bytes.as_slice(), answer.status), (crate::harness::NOT_FOUND, Some(1)));
}

#[test]
fn a_missing_root_is_told_to_the_client_as_gopher() {
    let answer = run(Command::new(HANDLER).args(["--root", "/nonexistent"]), b"\r\n");
    assert_eq!(answer.bytes, b"3Service unavailable\t\terror.host\t1\r\n.\r\n");
    assert!(answer.log.contains("status=no-root"), "{}", answer.log);
}
