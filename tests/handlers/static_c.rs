//! Ordinary C programs, linked statically with musl, run under the default profile.

use common::{Site, Wire, a_site};

fn add(site: &mut Site, name: &str) -> String {
    let content = std::fs::read(common::test_bin(&format!("c/{name}"))).unwrap();
    site.add(&format!("bin/{name}"), &content, 0o711);
    format!("/bin/{name}")
}

#[test]
fn stdio_answers_over_every_kind_of_connection() {
    let mut site = a_site!();
    let handler = add(&mut site, "stdio");
    for wire in [Wire::Pipes, Wire::Tcp, Wire::Unix, Wire::Inetd, Wire::Activated] {
        for kind in ["readonly", "overlay"] {
            let launch = site.handler(&[&handler]).wire(wire).options(&["--snapshot", kind]);
            let ended = launch.talk(b"good evening\r\n");
            ended.expect(0, "exited");
            assert_eq!(ended.text(), "you said: good evening\n", "{wire:?} {kind}");
        }
    }
}

#[test]
fn a_program_that_speaks_first_is_heard_before_it_is_spoken_to() {
    let mut site = a_site!();
    let handler = add(&mut site, "banner");
    let mut live = site.handler(&[&handler]).start();
    assert_eq!(live.client.line(), "banner: speak");
    live.client.send(b"and listen\n");
    assert_eq!(live.client.line(), "and listen");
    live.client.half_close();
    live.end().expect(0, "exited");
}
