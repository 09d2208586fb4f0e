//! Profiles as files: an operator's is in force, and what is wrong in one is an error with its place.

use common::{Ended, Site, a_site, dayfly};
use std::process::Command;

const HEAD: &str = "arch x86_64 aarch64\ninclude static\n";

/// Runs one attempt of the probe under a profile of this text.
fn under(site: &mut Site, text: &str, words: &[&str]) -> Ended {
    let file = site.file("p.profile", text);
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    site.probe(&words).options(&["--profile", file.to_str().unwrap()]).talk(b"")
}

#[test]
fn a_call_that_a_file_allows_is_made() {
    let mut site = a_site!();
    under(&mut site, HEAD, &["inotify_init1"]).expect(137, "denied");
    let ended = under(&mut site, &format!("{HEAD}allow inotify_init1 # a test"), &["inotify_init1"]);
    ended.expect(0, "exited");
    assert!(ended.text().starts_with("inotify_init1 ok "), "{ended}");
}

/// The profile is for the handler: under `run` the set-up itself makes no call of it but execveat(2).
#[test]
fn a_file_without_close_stops_no_handler_that_makes_no_close() {
    let mut site = a_site!();
    let file = site.file("p.profile", &format!("{HEAD}remove close # not made by it"));
    let content = std::fs::read(common::test_bin("c/banner")).unwrap();
    site.add("bin/banner", &content, 0o711);
    for init in ["--init=yes", "--init=no"] {
        let launch = site.handler(&["/bin/banner"]).options(&["--profile", file.to_str().unwrap(), init]);
        let ended = launch.talk(b"a line\n");
        ended.expect(0, "exited");
        assert_eq!(ended.text(), "banner: speak\na line\n", "{init}");
    }
}

#[test]
fn an_errno_of_a_file_is_answered_and_the_call_is_not_made() {
    let mut site = a_site!();
    let ended = under(&mut site, &format!("{HEAD}errno EXDEV mknodat # a test"), &["mknod", "/tmp/x"]);
    ended.expect(0, "exited");
    assert!(ended.text().starts_with(&format!("mknod errno {} ", libc::EXDEV)), "{ended}");
}

#[test]
fn a_call_that_a_file_kills_for_ends_the_handler_by_sigsys() {
    let mut site = a_site!();
    let ended = under(&mut site, &format!("{HEAD}kill inotify_init1 # a test"), &["inotify_init1"]);
    ended.expect(159, "signaled");
}

#[test]
fn a_condition_of_a_file_decides_by_argument() {
    let mut site = a_site!();
    let text = format!("{HEAD}remove getpeername\nallow getpeername if int0 == 5 # a test\n");
    under(&mut site, &text, &["getpeername"]).expect(137, "denied");
    let ended = under(&mut site, &text, &["getpeername_other"]);
    assert!(ended.text().starts_with(&format!("getpeername_other errno {} ", libc::EBADF)), "{ended}");
}

/// The guard is under every profile: what it refuses no file can allow.
#[test]
fn a_file_cannot_open_the_hole() {
    let mut site = a_site!();
    let text = format!("{HEAD}allow socket connect listen setsockopt unshare # a mistake");
    for name in ["socket_inet", "connect_unspec", "listen", "setsockopt", "unshare_newuser"] {
        let ended = under(&mut site, &text, &[name]);
        ended.expect(137, "denied");
        assert!(ended.err.contains("the guard denies it under every profile"), "{ended}");
    }
}

#[track_caller]
fn is_wrong(site: &mut Site, text: &str, complaint: &str) {
    let ended = under(site, text, &["getpeername"]);
    ended.expect(2, "refused");
    assert!(ended.err.contains(complaint), "{complaint}\n{ended}");
    assert_eq!(ended.text(), "", "the client sees no diagnostic");
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_line_and_column() {
    let mut site = a_site!();
    is_wrong(&mut site, &format!("{HEAD}allow raed # r"), "p.profile:3:7: unknown system call 'raed'");
    is_wrong(&mut site, &format!("{HEAD}allow read # r"), "p.profile:3:7: duplicate: read is in static:");
    is_wrong(&mut site, &format!("{HEAD}kill read # r"), "p.profile:3:6: contradiction: static:");
    is_wrong(&mut site, "allow read # r", "p.profile:1:1: the architecture is missing");
    is_wrong(&mut site, "arch x86_64 aarch64\ninclude ./other", "p.profile:2:9: ");
}

#[test]
fn a_file_includes_another_from_its_own_directory() {
    let mut site = a_site!();
    site.file("more.profile", "arch x86_64 aarch64\nallow inotify_init1 # more");
    under(&mut site, &format!("{HEAD}include ./more.profile"), &["inotify_init1"]).expect(0, "exited");
}

#[test]
fn a_profile_that_others_can_write_is_not_used() {
    let mut site = a_site!();
    let file = site.file("p.profile", HEAD);
    common::site::set_mode(&file, 0o666);
    site.settle();
    let ended = site.probe(&["echo"]).options(&["--profile", file.to_str().unwrap()]).talk(b"");
    ended.expect(2, "refused");
    assert!(ended.err.contains("p.profile is writable by everyone"), "{ended}");
}

#[test]
fn an_unknown_name_is_refused_everywhere() {
    let site = a_site!();
    let template = site.template();
    for command in ["run", "serve", "check"] {
        let mut launcher = Command::new(dayfly());
        launcher.args([command, "--profile", "nonesuch", "--template"]).arg(&template);
        if command == "serve" {
            launcher.args(["--listen", "127.0.0.1:0"]);
        }
        launcher.args(["--", "/bin/probe", "echo"]).stdin(std::process::Stdio::null());
        let output = launcher.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("unknown profile 'nonesuch'"), "{command}: {text}");
    }
}

/// docs/profiles.md publishes the counts.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_documents_count_the_calls_of_the_built_in_profiles() {
    let site = a_site!();
    let document = include_str!("../../docs/profiles.md");
    for row in document.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, _, allowed, answered, ""] = cells[..] else { continue };
        let mut check = Command::new(dayfly());
        check.args(["check", "-v", "--profile", name.trim_end_matches('`'), "--template"]);
        let output = check.arg(site.template()).args(["--", "/bin/probe"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!(": {allowed} calls allowed")), "{name}: {text}");
        let errnos = text.lines().filter(|line| line.contains(" answered E")).count();
        assert_eq!(errnos.to_string(), answered, "{name}");
    }
}

/// As if the line were not there.
#[test]
fn a_call_that_a_file_allows_and_the_guard_does_not_has_a_record() {
    let mut site = a_site!();
    let file = site.file("p.profile", &format!("{HEAD}allow socket # a mistake\n"));
    let ended = site.probe(&["try", "socket_inet"]).options(&["--profile", file.to_str().unwrap()]).talk(b"");
    ended.expect(137, "denied");
    assert!(ended.err.contains("advice=\"the guard denies it under every profile: "), "{ended}");
    let head = HEAD.replace("include static", "include tree");
    assert_ne!(head, HEAD);
    let file = site.file("t.profile", &format!("{head}remove socket\nallow socket # a mistake\n"));
    let ended = site.probe(&["try", "socket_inet"]).options(&["--profile", file.to_str().unwrap()]).talk(b"");
    assert!(ended.err.contains("the guard denies it under every profile: "), "{ended}");
}

/// That is said before it happens.
#[test]
fn what_a_file_allows_and_the_guard_does_not_is_warned_of() {
    let mut site = a_site!();
    let cases = [
        ("allow socket listen # a mistake", "allows listen socket: the guard denies it under every profile"),
        ("allow clone3 # a mistake", "allows clone3: the guard denies it"),
        (
            "remove ioctl\nallow ioctl # a mistake",
            "allows every ioctl: the guard allows TIOCGWINSZ, TCGETS, TCGETS2, FIONREAD, FIONBIO, FIOCLEX and FIONCLEX only",
        ),
        (
            "remove sendto\nallow sendto # a mistake",
            "allows every sendto: the guard allows without an address",
        ),
    ];
    for (lines, warning) in cases {
        let file = site.file("p.profile", &format!("{HEAD}{lines}\n"));
        let options = ["--profile", file.to_str().unwrap()];
        let ended = site.probe(&["exit", "0"]).options(&options).options(&["-q"]).talk(b"");
        assert!(ended.err.contains(warning), "{lines}\n{ended}");
        for command in ["check", "explain"] {
            let mut told = Command::new(dayfly());
            told.arg(command).args(options).args(["--template", site.template().to_str().unwrap()]);
            let output = told.args(["--", "/bin/probe"]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(warning), "{command} {lines}\n{text}");
        }
        let serving = common::serve::Serve::probe(&site, &["echo"]).options(&options).start();
        serving.await_log(&[warning]);
        serving.ask(b"x");
        assert_eq!(serving.terminate().0, 0);
    }
    for lines in ["allow inotify_init1 # none", "notify socket # none", "errno EACCES socket # none"] {
        let file = site.file("p.profile", &format!("{HEAD}{lines}\n"));
        let options = ["--profile", file.to_str().unwrap(), "-v"];
        let ended = site.probe(&["exit", "0"]).options(&options).talk(b"");
        assert!(!ended.err.contains("the guard"), "{lines}\n{ended}");
    }
    for name in ["static", "interpreter", "tree"] {
        let ended = site.probe(&["exit", "0"]).options(&["--profile", name, "-v"]).talk(b"");
        assert!(!ended.err.contains("the guard"), "{name}\n{ended}");
    }
}
