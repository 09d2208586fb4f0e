//! The harness itself: each of its checks fails when there is something to find.
//!
//! The launcher here is a shell script that misbehaves in one way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Ended, Site, Wire, a_site};

const RECORD: &str = r#"printf '{"outcome":"exited","status":0}\n' >&9"#;

/// What the harness says to a launcher that does this.
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
