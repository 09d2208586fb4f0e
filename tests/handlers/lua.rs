//! Lua, statically linked, and the gopher server of one script: under the profile interpreter, and by a line
//! of systemd-nspawn's as it was written in 2017.

use common::serve::Serve;
use common::{Ended, Launch, Site, dayfly};
use std::os::unix::fs::symlink;

const SCRIPT: &[u8] = include_bytes!("../../rootfs/lua/gopher.lua");
const MAP: &str = "# not to be seen\r\nWelcome to the moon\n0A text\ttext.txt\n1Further\t/far\n1Away\t/x\tother.example\t7070\n";
const MENU: &str = "iWelcome to the moon\t\tnull.host\t1\r\n0A text\t/text.txt\tmoon.example\t70\r\n\
                    1Further\t/far\tmoon.example\t70\r\n1Away\t/x\tother.example\t7070\r\n.\r\n";

/// A site whose template is one of 2017: one static binary, one script, and what they serve.
fn with_lua() -> Option<Site> {
    let mut site = Site::new()?;
    common::site::make_directory(&site.template().join("srv/gopher"), 0o755);
    common::site::make_directory(&site.template().join("srv/gopher/far"), 0o755);
    let lua = std::fs::read(common::test_bin("lua")).unwrap();
    site.add("bin/lua", &lua, 0o711);
    site.add("bin/gophermoon", SCRIPT, 0o755);
    site.add("srv/gopher/gophermap", MAP.as_bytes(), 0o644);
    site.add("srv/gopher/text.txt", b"one\ntwo\n", 0o644);
    site.add("srv/gopher/far/gophermap", b"0There\tthere\n", 0o644);
    site.add("srv/gopher/.hidden", b"hidden\n", 0o644);
    Some(site)
}

macro_rules! a_moon {
    () => {
        match with_lua() {
            Some(site) => site,
            None => return common::skip("this test needs root"),
        }
    };
}

fn interpreted<'s>(site: &'s Site, snapshot: &str) -> Launch<'s> {
    let mark = format!("@{}", site.tag());
    site.handler(&["/bin/lua", "/bin/gophermoon", "/srv/gopher", "moon.example", "70", &mark]).options(&[
        "--profile",
        "interpreter",
        "--snapshot",
        snapshot,
    ])
}

fn ask(site: &Site, selector: &str) -> Ended {
    let ended = interpreted(site, "readonly").talk(format!("{selector}\r\n").as_bytes());
    ended.expect(0, "exited");
    ended
}

#[test]
fn a_script_serves_menus_and_files_under_the_profile_interpreter() {
    let site = a_moon!();
    for snapshot in ["readonly", "overlay"] {
        let ended = interpreted(&site, snapshot).talk(b"\r\n");
        ended.expect(0, "exited");
        assert_eq!(ended.text(), MENU, "{ended}");
    }
    assert_eq!(ask(&site, "/text.txt").text(), "one\ntwo\n");
    assert_eq!(ask(&site, "text.txt\tsearched for").text(), "one\ntwo\n");
    assert_eq!(ask(&site, "/far/").text(), "0There\t/far/there\tmoon.example\t70\r\n.\r\n");
}

#[test]
fn the_line_of_2017_serves_with_the_program_of_2017() {
    let mut site = a_moon!();
    let link = site.directory().join("systemd-nspawn");
    symlink(dayfly(), &link).unwrap();
    site.settle();
    let template = site.template();
    let line =
        ["-q", "-x", "--private-network", "-D", template.to_str().unwrap(), "/bin/lua", "/bin/gophermoon"];
    let ended = site.handler(&[]).verb(&line).program(&link).talk(b"/far\r\n");
    assert_eq!(ended.status, 0, "{ended}");
    assert!(ended.text().starts_with("0There\t/far/there\t127.0.0.1\t"), "{ended}");
    assert!(ended.text().ends_with("\r\n.\r\n"), "{ended}");
    assert!(ended.err.contains("selector=") && ended.err.contains("status=ok"), "{ended}");
}

#[test]
fn the_script_can_be_the_handler_itself() {
    let site = a_moon!();
    let mark = format!("@{}", site.tag());
    let handler = ["/bin/gophermoon", "/srv/gopher", "moon.example", "70", &mark];
    let ended = site.handler(&handler).options(&["--profile", "interpreter"]).talk(b"\r\n");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), MENU, "{ended}");
}

#[test]
fn no_selector_leads_out_of_the_root() {
    let mut site = a_moon!();
    site.add("srv/outside", b"secret\n", 0o644);
    for selector in [
        "../outside",
        "/../outside",
        "/far/../../outside",
        "//..//outside",
        "/./../outside",
        "/.hidden",
        "/far/./../.hidden",
        "..",
        "/text.txt\0",
        "/nothing",
        "/far/nothing/../../text.txt",
    ] {
        let ended = ask(&site, selector);
        assert_eq!(
            ended.text(),
            "3There is nothing of that name\t\terror.host\t1\r\n.\r\n",
            "{selector}\n{ended}"
        );
    }
    let ended = ask(&site, &"x".repeat(5000));
    assert!(ended.text().starts_with("3The selector is too long\t"), "{ended}");
}

#[test]
fn what_was_asked_for_is_one_line_of_the_log_whatever_it_is() {
    let site = a_moon!();
    let ended = ask(&site, "/x\" status=ok\x1b[31m");
    let lines: Vec<&str> = ended.err.lines().filter(|line| line.contains("selector=")).collect();
    assert_eq!(lines.len(), 1, "{ended}");
    assert!(lines[0].contains("x22") && lines[0].contains("x1B"), "{ended}");
    assert!(!ended.err.contains('\x1b'), "{ended}");
}

#[test]
fn an_error_of_a_script_is_the_logs_and_not_the_clients() {
    let mut site = a_moon!();
    site.add("bin/broken", b"io.stderr:write('half a line') error('the moon is down')\n", 0o644);
    let mark = format!("@{}", site.tag());
    let launch = site.handler(&["/bin/lua", "/bin/broken", &mark]).options(&["--profile", "interpreter"]);
    let ended = launch.talk(b"\r\n");
    ended.expect(1, "exited");
    assert_eq!(ended.text(), "", "{ended}");
    assert!(ended.err.contains("the moon is down"), "{ended}");
}

/// The first attempts of a script of a compromised service: an error in the script, nothing more.
#[test]
fn a_script_runs_no_other_program() {
    let mut site = a_moon!();
    site.add(
        "bin/try",
        b"print(io.popen and pcall(io.popen, '/bin/lua -v')) print(os.execute('/bin/lua -v'))\n",
        0o644,
    );
    let mark = format!("@{}", site.tag());
    let launch = site.handler(&["/bin/lua", "/bin/try", &mark]).options(&["--profile", "interpreter"]);
    let ended = launch.talk(b"\r\n");
    ended.expect(0, "exited");
    assert!(!ended.text().contains("Lua 5"), "{ended}");
}

#[test]
fn a_resident_service_keeps_interpreters_ready() {
    let site = a_moon!();
    let mark = format!("@{}", site.tag());
    let mut serve = Serve::probe(&site, &[]).options(&["--profile", "interpreter", "--warm", "2..2"]);
    serve.replace_handler(&["/bin/lua", "/bin/gophermoon", "/srv/gopher", "moon.example", "70", &mark]);
    let serving = serve.start();
    for _ in 0..5 {
        assert_eq!(String::from_utf8(serving.ask(b"\r\n")).unwrap(), MENU);
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}
