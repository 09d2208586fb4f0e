//! The harness itself: each of its checks fails when there is something to find.
//!
//! The launcher here is a shell script that misbehaves in one way.

use common::{Ended, Site, Wire, a_site};

const RECORD: &str = r#"printf '{"outcome":"exited","status":0}\n' >&9"#;

/// The harness's verdict on a launcher that does this.
fn verdict(site: &mut Site, misdeed: &str) -> Result<Ended, String> {
    let script = site.file("launcher", &format!("#!/bin/sh\n{misdeed}\n{RECORD}\nexit 0\n"));
    common::site::set_mode(&script, 0o755);
    site.settle();
    let launch = site.probe(&["echo"]).wire(Wire::Tcp).inherit(&[5, 200]).program(&script);
    let talk = std::panic::AssertUnwindSafe(|| launch.talk(b""));
    std::panic::catch_unwind(talk).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| payload.downcast_ref::<&str>().map_or("?".into(), ToString::to_string))
    })
}

#[track_caller]
fn is_found(misdeed: &str, complaint: &str) {
    let Some(mut site) = Site::new() else { return common::skip("this test needs root") };
    let template = site.template();
    let misdeed = misdeed.replace("TEMPLATE", template.to_str().unwrap());
    match verdict(&mut site, &misdeed) {
        Ok(ended) => panic!("{misdeed:?} went unnoticed\n{ended}"),
        Err(text) => assert!(text.contains(complaint), "{misdeed:?}: {text}"),
    }
}

#[test]
fn a_launcher_that_leaves_nothing_passes() {
    let mut site = a_site!();
    let ended = verdict(&mut site, ":").unwrap();
    ended.expect(0, "exited");
}

#[test]
fn descriptors_to_inherit_are_really_there() {
    let mut site = a_site!();
    let misdeed = "for n in 5 200; do [ -e /proc/$$/fd/$n ] && echo \"there $n\"; done; ls /proc/$$/fd >&2";
    let ended = verdict(&mut site, misdeed).unwrap();
    assert_eq!(ended.values("there"), ["5", "200"], "{ended}");
}

#[test]
fn a_process_left_behind_is_found() {
    is_found("tail -f TEMPLATE/etc/os-release </dev/null >/dev/null 2>&1 9>&- &", "processes left");
    // Its arguments say nothing, but the tree it lives in does.
    let hidden = "unshare --mount sh -c 'mount --bind TEMPLATE /mnt; exec sleep 20' \
        </dev/null >/dev/null 2>&1 9>&- & sleep 0.2";
    is_found(hidden, "processes left");
}

#[test]
fn a_mount_left_behind_is_found() {
    is_found("mount -t tmpfs none /mnt", "the mount table has changed");
    // A namespace that was not cut loose spreads its mounts.
    is_found(
        "unshare --mount --propagation unchanged mount -t tmpfs none /mnt",
        "the mount table has changed",
    );
}

#[test]
fn a_changed_template_is_found() {
    is_found("echo x >>TEMPLATE/etc/os-release", "files have changed");
    is_found("touch TEMPLATE/new", "files have changed");
    is_found("chmod 700 TEMPLATE/srv", "files have changed");
    is_found("touch beside", "files have changed");
}

#[test]
fn a_file_left_in_tmp_is_found() {
    if common::needs_tmp() {
        // No lack of the machine: in a checkout below /tmp the tests have no /tmp for themselves to look at.
        eprintln!("skipped: what is tested lies below /tmp");
        return;
    }
    is_found("touch /tmp/left", "left in /tmp");
}

#[test]
fn a_status_that_differs_from_the_record_is_found() {
    let mut site = a_site!();
    let ended = verdict(&mut site, RECORD.replace("0}", "7}").as_str());
    assert!(ended.unwrap_err().contains("one line on the status fd"));
    let ended = verdict(&mut site, "exec 9>/dev/null").unwrap();
    assert!(ended.record.is_null());
    assert!(std::panic::catch_unwind(|| ended.expect(0, "exited")).is_err());
}

/// Set for a test of this file that fails on purpose, in a process of its own.
const PURPOSE: &str = "DAYFLY_TEST_FAILS_ON_PURPOSE";

/// Says its tag, makes what tests make, and ends as it is told.
#[test]
fn fails_on_purpose() {
    let Ok(how) = std::env::var(PURPOSE) else { return };
    let mut site = a_site!();
    println!("tag {}", site.tag());
    let beside = common::site::Beside::new(&site);
    beside.file("host", "the host's\n", 0o644);
    std::fs::write(format!("/var/tmp/{}-alone", site.tag()), "of no guard's").unwrap();
    let (below, bound) = (site.directory().join("below"), site.template().join("empty"));
    common::site::make_directory(&below, 0o755);
    common::sys::mount_tmpfs(&common::site::c_path(&below)).unwrap();
    let host = std::env::var("DAYFLY_TEST_HOST").unwrap();
    let mount = std::process::Command::new("mount").arg("--bind").arg(host).arg(&bound).status();
    assert!(mount.unwrap().success());
    site.settle();
    site.settle_mounts();
    let serving = common::serve::Serve::probe(&site, &["spin"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    match how.as_str() {
        "panic" => panic!("on purpose"),
        // While it starts: nothing waits for it.
        "early" => {
            let _starting = common::serve::Serve::probe(&site, &["spin"]).start();
            panic!("on purpose")
        }
        "abort" => std::process::abort(),
        "kill" => common::process::kill(std::process::id()),
        other => panic!("no such end: {other}"),
    }
}

/// The tag of a test that has failed like this; the host's directory of the test is bound in its site.
fn failed(how: &str, host: &std::path::Path) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "harness::fails_on_purpose", "--nocapture"])
        .env(PURPOSE, how)
        .env("DAYFLY_TEST_HOST", host)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{how}: {output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tag = text.lines().find_map(|line| line.split_once("tag ")).map(|(_, tag)| tag.trim().to_owned());
    let tag = tag.unwrap_or_else(|| panic!("{how}: {output:?}"));
    let text = text + &String::from_utf8_lossy(&output.stderr);
    assert!(how == "abort" || how == "kill" || text.contains("on purpose"), "{how}: {text}");
    tag
}

#[test]
fn a_failed_test_leaves_no_process_no_mount_and_no_file() {
    let mut site = a_site!();
    let host = site.directory().join("host");
    common::site::make_directory(&host, 0o755);
    site.file("host/file", "of the host\n");
    for how in ["panic", "early"] {
        let tag = failed(how, &host);
        let (left, processes) = (common::cleanup::left(&tag), common::process::tagged(&tag));
        assert!(left.is_empty() && processes.is_empty(), "{how}: {left:?} {processes:?}");
        // Files bound in its site are the host's: they must not be removed with it.
        assert_eq!(std::fs::read(host.join("file")).unwrap(), b"of the host\n", "{how}");
    }
    site.check_nothing_left();
}

/// It cannot do it itself: a later test's process does.
#[test]
fn what_a_killed_test_leaves_is_found_and_removed() {
    let mut site = a_site!();
    let host = site.directory().join("host");
    common::site::make_directory(&host, 0o755);
    site.file("host/file", "of the host\n");
    for how in ["abort", "kill"] {
        let tag = failed(how, &host);
        assert!(common::cleanup::left(&tag).len() >= 3, "{how}: the test itself");
        let dead: Vec<_> = common::cleanup::dead().into_iter().map(|(tag, _)| tag).collect();
        assert!(dead.contains(&tag), "{how}: {dead:?}");
        assert!(!dead.iter().any(|tag| tag == site.tag()), "one that lives is not dead");
        common::cleanup::clean(&tag);
        let (left, processes) = (common::cleanup::left(&tag), common::process::tagged(&tag));
        assert!(left.is_empty() && processes.is_empty(), "{how}: {left:?} {processes:?}");
        assert_eq!(std::fs::read(host.join("file")).unwrap(), b"of the host\n", "{how}");
    }
    site.check_nothing_left();
}
