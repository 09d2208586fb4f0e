//! fd 2 of the handler is a pipe of the launcher's, and nothing but the answer ever reaches the client.

use common::{Wire, a_site, process};

#[test]
fn by_hand_the_handlers_stderr_is_a_pipe_of_the_launchers_too() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).wire(Wire::Pipes).start();
    let handler = live.await_ready();
    let inside = process::descriptors(handler);
    let outside = process::descriptors(live.launcher());
    assert!(inside[&2].starts_with("pipe:") && inside[&2] != outside[&2], "{inside:?} {outside:?}");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn what_the_handler_writes_to_stderr_goes_to_the_log_only() {
    let site = a_site!();
    let ended = site.probe(&["stderr", "3", "complaint"]).wire(Wire::Tcp).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "");
    for line in ["complaint 0", "complaint 1", "complaint 2"] {
        assert!(ended.err.contains(line), "{ended}");
    }
}

#[test]
fn control_bytes_and_priorities_in_stderr_are_escaped() {
    let site = a_site!();
    // "<0>x" ESC "[2J" NUL BEL CR, then a new line.
    let ended = site.probe(&["bytes", "3c303e781b5b324a00070d0a"]).wire(Wire::Tcp).talk(b"");
    ended.expect(0, "exited");
    let bad = |c: char| c != '\n' && c.is_control();
    assert!(!ended.err.contains(bad), "control bytes in the log: {:?}", ended.err);
    assert!(!ended.err.lines().any(|line| line.starts_with("<0>")), "a priority in the log: {:?}", ended.err);
    assert!(ended.err.contains("[2J"), "the text itself is there: {:?}", ended.err);
}

#[test]
fn a_long_line_in_stderr_is_cut() {
    let site = a_site!();
    let long = "y".repeat(100_000);
    let ended = site.probe(&["stderr", "1", &long]).wire(Wire::Tcp).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.err.contains("yyyyyyyy"), "something of it is there");
    let longest = ended.err.lines().map(str::len).max().unwrap_or(0);
    assert!(longest < 20_000, "a log line of {longest} bytes");
}

#[test]
fn a_flood_of_stderr_is_bounded_and_does_not_stop_the_handler() {
    let site = a_site!();
    let ended = site.probe(&["stderr", "200000", "flood"]).wire(Wire::Tcp).talk(b"");
    ended.expect(0, "exited");
    let logged = ended.err.lines().filter(|line| line.contains("flood")).count();
    assert!((1..20_000).contains(&logged), "{logged} of 200000 lines in the log");
}

#[test]
fn under_inetd_nothing_but_the_answer_reaches_the_client() {
    let site = a_site!();
    let ended = site.probe(&["stderr", "5", "secret"]).wire(Wire::Inetd).options(&["-v"]).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "", "the client saw the log");
}

#[test]
fn under_inetd_the_launchers_own_errors_do_not_reach_the_client() {
    let site = a_site!();
    let ended = site.handler(&["/bin/absent"]).wire(Wire::Inetd).talk(b"");
    ended.expect(127, "not-found");
    assert_eq!(ended.text(), "", "the client saw a diagnostic");
}

#[test]
fn under_inetd_bad_options_do_not_reach_the_client() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).wire(Wire::Inetd).options(&["--no-such-option"]).talk(b"");
    assert_eq!(ended.status, 2);
    assert_eq!(ended.text(), "", "the client saw a diagnostic");
}

#[test]
fn under_inetd_the_handler_does_not_get_the_connection_as_stderr() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).wire(Wire::Inetd).start();
    let handler = live.await_ready();
    let inside = process::descriptors(handler);
    assert!(inside[&0].starts_with("socket:"), "{inside:?}");
    assert!(inside[&2].starts_with("pipe:"), "{inside:?}");
    live.client.half_close();
    live.end().expect(0, "exited");
}
