//! `dayfly check`: what it finds on the host and in a template.

use common::site::set_mode;
use common::{Site, a_site, dayfly, need};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

fn check(site: &Site, options: &[&str], handler: &str) -> Output {
    let mut check = Command::new(dayfly());
    check.args(["check", "--template"]).arg(site.template()).args(options);
    check.args(["--", handler]).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The one line that has these words; the service runs all the same.
#[track_caller]
fn notes(site: &Site, words: &[&str]) {
    let output = check(site, &[], "/bin/probe");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let text = text(&output);
    let found =
        text.lines().any(|line| line.starts_with("note ") && words.iter().all(|word| line.contains(word)));
    assert!(found, "{words:?}\n{text}");
}

#[test]
fn a_template_without_oddities_has_no_note() {
    let site = a_site!();
    let output = check(&site, &[], "/bin/probe");
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output).contains("note  template"), "{}", text(&output));
}

/// In the words of the refusal: what it says of a mount point, a launch says too.
#[test]
fn what_a_launch_would_miss_in_the_template_is_said_before() {
    let mut site = a_site!();
    site.add("srv/file", b"", 0o644);
    symlink("/srv", site.template().join("link")).unwrap();
    symlink("/nowhere", site.template().join("dangling")).unwrap();
    site.settle();
    let host = site.directory().to_str().unwrap().to_owned();
    let on = |target: &str| format!("{host}:{target}");
    for options in [
        ["--tmpfs", "/nowhere"],
        ["--tmpfs", "/dangling"],
        ["--tmpfs", "/srv/file"],
        ["--bind-ro", &on("/nowhere")],
        ["--bind-ro", &on("/srv/file")],
        ["--bind-ro", "/etc/passwd:/srv"],
        ["--chdir", "/nowhere"],
        ["--landlock-ro", "/nowhere"],
    ] {
        let output = check(&site, &options, "/bin/probe");
        assert_eq!(output.status.code(), Some(1), "{options:?}\n{}", text(&output));
        let refused = site.probe(&["exit", "0"]).options(&options).talk(b"");
        refused.expect(125, "refused");
        let text = text(&output);
        let said = text.lines().find_map(|line| line.strip_prefix("fail  template: ")).expect("a line");
        assert!(said.contains("; hint: ") && refused.err.contains(said), "{options:?}\n{said}\n{refused}");
    }
    for options in [
        ["--tmpfs", "/srv"],
        ["--tmpfs", "/link"],
        ["--bind-ro", &on("/srv")],
        ["--landlock-ro", "/tmp"],
        ["--chdir", "/tmp"],
    ] {
        assert_eq!(check(&site, &options, "/bin/probe").status.code(), Some(0), "{options:?}");
    }
}

#[test]
fn files_with_a_set_uid_bit_are_named() {
    let site = a_site!();
    set_mode(&site.template().join("bin/other"), 0o4755);
    notes(&site, &["template", "1 set-uid or set-gid", "/bin/other"]);
}

#[test]
fn files_with_capabilities_are_named() {
    let setcap = need!("setcap");
    let site = a_site!();
    let file = site.template().join("bin/other");
    let set = Command::new(setcap).arg("cap_net_raw=ep").arg(&file).status().unwrap();
    assert!(set.success());
    notes(&site, &["template", "1 with file capabilities", "/bin/other"]);
}

#[test]
fn devices_fifos_and_sockets_are_named() {
    let site = a_site!();
    let mknod = |name: &str, words: &[&str]| {
        let made = Command::new("mknod").arg(site.template().join(name)).args(words).status().unwrap();
        assert!(made.success());
    };
    mknod("srv/null", &["c", "1", "3"]);
    mknod("srv/fifo", &["p"]);
    let _socket = UnixListener::bind(site.template().join("srv/socket")).unwrap();
    notes(&site, &["template", "1 device nodes", "/srv/null"]);
    notes(&site, &["template", "2 FIFOs and sockets", "/srv/fifo /srv/socket"]);
}

#[test]
fn what_others_can_change_is_named() {
    let site = a_site!();
    set_mode(&site.template().join("srv/hello"), 0o666);
    notes(&site, &["template", "1 writable by everyone", "/srv/hello"]);
    common::site::give_to(&site.template().join("srv/hello"), 1234);
    notes(&site, &["template", "1 owned by other users", "/srv/hello"]);
}

/// A link that a sandbox resolves in its own root is fine, whatever the host makes of it.
#[test]
fn links_that_lead_out_are_named() {
    let site = a_site!();
    symlink("/etc/os-release", site.template().join("srv/inside")).unwrap();
    symlink("/nonesuch", site.template().join("srv/nowhere")).unwrap();
    notes_nothing_about(&site, "symbolic links");
    symlink("/usr/bin", site.template().join("srv/out")).unwrap();
    symlink("../../../../../../../../usr/bin", site.template().join("srv/up")).unwrap();
    notes(&site, &["template", "2 symbolic links", "/srv/out /srv/up"]);
}

#[track_caller]
fn notes_nothing_about(site: &Site, words: &str) {
    let output = check(site, &[], "/bin/probe");
    assert!(!text(&output).contains(words), "{}", text(&output));
}

#[test]
fn at_most_three_of_a_kind_are_named() {
    let site = a_site!();
    for name in ["a", "b", "c", "d"] {
        common::site::write(&site.template().join("srv").join(name), b"", 0o666);
    }
    notes(&site, &["template", "4 writable by everyone", "/srv/a /srv/b /srv/c …"]);
}

#[test]
fn a_handler_with_an_executable_stack_is_named() {
    let mut site = a_site!();
    let mut program = std::fs::read(common::test_bin("probe")).unwrap();
    let word = |at: usize, bytes: &[u8]| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let stack = (0..12).map(|n| 64 + 56 * n).find(|at| word(*at, &program) == 0x6474_e551).unwrap();
    program[stack + 4] |= 1;
    site.add("bin/stack", &program, 0o711);
    let output = check(&site, &[], "/bin/stack");
    assert!(text(&output).contains("it asks for an executable stack"), "{}", text(&output));
}

#[test]
fn what_keeps_a_service_from_running_is_a_failure() {
    let site = a_site!();
    set_mode(&site.template(), 0o777);
    let output = check(&site, &[], "/bin/probe");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("fail  service"), "{}", text(&output));
}

#[test]
fn findings_are_json_with_the_option_that_allows() {
    let site = a_site!();
    let output = check(&site, &["--json"], "/bin/probe");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["would_run"], true);
    for finding in found["findings"].as_array().unwrap() {
        for key in ["level", "what", "text", "option"] {
            assert!(finding.get(key).is_some(), "{finding}");
        }
    }
}

/// As an ordinary user: what is refused by default, and what allows it.
#[test]
fn an_ordinary_user_hears_which_layers_to_give_up() {
    let setpriv = need!("setpriv");
    let site = a_site!();
    let mut check = Command::new(setpriv);
    check.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(dayfly()).arg("check");
    let output = check.current_dir("/").output().unwrap();
    assert!(text(&output).contains("--allow-degraded uid,groups allows it"), "{}", text(&output));
    drop(site);
}
