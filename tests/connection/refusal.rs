//! Answers to the client, and messages to the operator, when the handler did not run.

use common::{Wire, a_site, need};

#[test]
fn the_client_gets_the_refusal_bytes_when_the_handler_cannot_run() {
    let mut site = a_site!();
    site.add("bin/text", b"no program\n", 0o755);
    let refusal = ["--on-refusal", r"3sorry\tx\tx\t0\r\n.\r\n\x21"];
    let wanted = b"3sorry\tx\tx\t0\r\n.\r\n!";
    for (handler, status) in [("/bin/absent", 127), ("/bin/text", 126)] {
        for wire in [Wire::Tcp, Wire::Inetd, Wire::Pipes, Wire::Activated] {
            let ended = site.handler(&[handler]).wire(wire).options(&refusal).talk(b"/\r\n");
            assert_eq!(ended.status, status, "{wire:?} {ended}");
            assert_eq!(ended.out, wanted, "{wire:?} {ended}");
        }
    }
    let options = ["--template", "/var/tmp/no-such-template", refusal[0], refusal[1]];
    let ended = site.probe(&["echo"]).only_options(&options).talk(b"/\r\n");
    ended.expect(125, "refused");
    assert_eq!(ended.out, wanted, "{ended}");
}

#[test]
fn a_connection_that_no_sandbox_was_begun_for_has_its_record_too() {
    let mut site = a_site!();
    site.add("bin/text", b"no program\n", 0o755);
    for (handler, outcome) in
        [("/bin/absent", "outcome=not-found status=127"), ("/bin/text", "outcome=not-executable status=126")]
    {
        let ended = site.handler(&[handler]).talk(b"/\r\n");
        for field in ["conn=1 peer=127.0.0.1:", " service=- pid=0 uid=0 ", outcome, handler] {
            assert!(ended.err.contains(field), "no {field:?}\n{ended}");
        }
    }
    let ended = site.probe(&["echo"]).only_options(&["--template", "/var/tmp/no-such-template"]).talk(b"");
    assert!(ended.err.contains("outcome=refused status=125"), "{ended}");
}

#[test]
fn no_refusal_bytes_follow_a_handlers_own_125() {
    let site = a_site!();
    let ended = site.probe(&["exit", "125"]).options(&["--on-refusal", "sorry"]).talk(b"");
    ended.expect(125, "exited");
    assert_eq!(ended.text(), "");
}

#[test]
fn a_launcher_without_a_capability_it_needs_refuses_and_names_it() {
    let site = a_site!();
    let setpriv = need!("setpriv");
    for missing in ["sys_admin", "setuid", "setgid", "setpcap", "kill"] {
        let set = format!("-{missing}");
        let before = [setpriv.to_str().unwrap(), "--bounding-set", &set];
        let ended = site.probe(&["echo"]).before(&before).options(&["--on-refusal", "sorry\\n"]).talk(b"");
        ended.expect(125, "refused");
        assert_eq!(ended.text(), "sorry\n", "{ended}");
        let named = format!("CAP_{}", missing.to_uppercase());
        assert!(ended.err.contains(&named), "{named} is not named\n{ended}");
    }
}
