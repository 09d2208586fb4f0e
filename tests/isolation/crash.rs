//! A handler that crashes starts nothing on the host.

use common::{a_site, process};

/// core(5): a piped core_pattern ignores a limit of 0 and starts its helper, as root, for each crash. A
/// limit of exactly 1 makes the kernel give up first. Looked at here, because the pattern belongs to the
/// whole host.
#[test]
fn the_core_limit_is_1_and_not_0() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        let mut live = site.probe(&["sleep"]).options(&["--snapshot", kind]).start();
        let handler = live.await_ready();
        let one = ("1".to_owned(), "1".to_owned());
        assert_eq!(process::limit(handler, "Max core file size"), one, "{kind}");
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn another_core_limit_is_said_with_what_it_means() {
    let site = a_site!();
    for (limit, said) in [("core=1", false), ("core=infinity", true), ("core=1:2", true)] {
        let ended = site.probe(&["echo"]).options(&["-v", "--rlimit", limit]).talk(b"x");
        ended.expect(0, "exited");
        assert_eq!(ended.err.contains("helper of the host's"), said, "{limit}\n{ended}");
    }
}

#[test]
fn a_crash_leaves_no_core_file_in_the_template() {
    let site = a_site!();
    // The site itself looks for new files when the launcher has ended.
    for kind in ["readonly", "overlay"] {
        site.probe(&["crash"]).options(&["--snapshot", kind]).talk(b"").expect(139, "signaled");
    }
}

#[test]
fn what_the_client_was_told_before_the_crash_arrives() {
    let mut site = a_site!();
    let crash = std::fs::read(common::test_bin("c/crash")).unwrap();
    site.add("bin/crash", &crash, 0o711);
    let ended = site.handler(&["/bin/crash"]).talk(b"");
    ended.expect(139, "signaled");
    assert_eq!(ended.text(), "about to crash\n");
}
