//! The rootfs: an overlay can be written everywhere and forgets, readonly cannot be written, and both
//! are bounded.

use common::{Ended, Site, a_site, process};

fn attempt(site: &Site, kind: &str, words: &[&str]) -> Ended {
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let ended = site.probe(&words).options(&["--snapshot", kind]).talk(b"");
    ended.expect(0, "exited");
    ended
}

#[track_caller]
fn assert_errno(ended: &Ended, errno: i32) {
    assert!(ended.text().contains(&format!(" errno {errno} ")), "wanted errno {errno}\n{ended}");
}

#[test]
fn an_overlay_can_be_written_anywhere_and_forgets_it() {
    let site = a_site!();
    for file in
        ["/new", "/etc/new", "/srv/hello", "/etc/os-release", "/etc/secret", "/empty/x", "/bin/probe2"]
    {
        let ended = attempt(&site, "overlay", &["write", file]);
        assert!(ended.text().contains("write ok 21"), "{file}\n{ended}");
    }
    // The site has compared the template after each; the next connection sees it as it was.
    assert_errno(&attempt(&site, "overlay", &["open", "/new"]), libc::ENOENT);
    assert_eq!(attempt(&site, "overlay", &["cat", "/srv/hello"]).value("content"), "hello");
    assert_eq!(attempt(&site, "overlay", &["cat", "/etc/secret"]).value("content"), "for root alone");
}

#[test]
fn overlay_is_the_default() {
    let site = a_site!();
    let ended = site.probe(&["try", "write", "/new"]).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().contains("write ok"), "{ended}");
}

#[test]
fn readonly_refuses_every_write_outside_tmp() {
    let site = a_site!();
    for file in ["/new", "/etc/new", "/srv/hello", "/bin/probe"] {
        assert_errno(&attempt(&site, "readonly", &["write", file]), libc::EROFS);
    }
}

#[test]
fn readonly_keeps_roots_files_roots() {
    let site = a_site!();
    assert_errno(&attempt(&site, "readonly", &["open", "/etc/secret"]), libc::EACCES);
    assert_eq!(attempt(&site, "readonly", &["cat", "/srv/hello"]).value("content"), "hello");
}

#[test]
fn tmp_is_private_and_forgets() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        assert!(attempt(&site, kind, &["write", "/tmp/x"]).text().contains("write ok"), "{kind}");
        assert_errno(&attempt(&site, kind, &["open", "/tmp/x"]), libc::ENOENT);
    }
}

fn number(ended: &Ended, key: &str) -> u64 {
    ended.expect(0, "exited");
    ended.value(key).split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn tmp_is_bounded_in_bytes() {
    let site = a_site!();
    // Below the file size limit of 16M, which would be met first.
    let options = ["--snapshot", "readonly", "--tmpfs", "/tmp:8M"];
    let ended = site.probe(&["fill", "/tmp/x"]).options(&options).talk(b"");
    let bytes = number(&ended, "fill");
    assert!((7 << 20..=8 << 20).contains(&bytes), "{ended}");
    assert!(ended.value("fill").ends_with(&format!("errno {}", libc::ENOSPC)), "{ended}");
}

#[test]
fn tmp_holds_16_megabytes_by_default() {
    let site = a_site!();
    let options = ["--snapshot", "readonly", "--rlimit", "fsize=64M"];
    let ended = site.probe(&["fill", "/tmp/x"]).options(&options).talk(b"");
    let bytes = number(&ended, "fill");
    assert!((15 << 20..=16 << 20).contains(&bytes), "{ended}");
}

#[test]
fn the_file_size_limit_holds_in_tmp() {
    let site = a_site!();
    let options = ["--snapshot", "readonly", "--rlimit", "fsize=100000"];
    let ended = site.probe(&["fill", "/tmp/x"]).options(&options).talk(b"");
    assert_eq!(number(&ended, "fill"), 100_000, "{ended}");
    assert!(ended.value("fill").ends_with(&format!("errno {}", libc::EFBIG)), "{ended}");
}

#[test]
fn tmp_is_bounded_in_inodes() {
    let site = a_site!();
    let ended = site.probe(&["inodes", "/tmp"]).options(&["--snapshot", "readonly"]).talk(b"");
    let made = number(&ended, "inodes");
    assert!((1000..=1024).contains(&made), "{ended}");
    let options = ["--snapshot", "readonly", "--tmpfs", "/tmp:1M,64"];
    let ended = site.probe(&["inodes", "/tmp"]).options(&options).talk(b"");
    let made = number(&ended, "inodes");
    assert!((50..=64).contains(&made), "{ended}");
}

#[test]
fn an_overlay_is_bounded_in_bytes_and_inodes() {
    let site = a_site!();
    let ended = site.probe(&["fill", "/srv/x"]).options(&["--rlimit", "fsize=512M"]).talk(b"");
    let bytes = number(&ended, "fill");
    assert!(bytes < 512 << 20, "{ended}");
    assert!(ended.value("fill").ends_with(&format!("errno {}", libc::ENOSPC)), "{ended}");
    let ended = site.probe(&["inodes", "/srv"]).talk(b"");
    let made = number(&ended, "inodes");
    assert!(made < 100_000, "{ended}");
}

#[test]
fn nothing_in_the_tree_can_be_executed_be_a_device_or_raise_privilege() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        let options = ["--snapshot", kind, "--tmpfs", "/empty:1M"];
        let mut live = site.probe(&["sleep"]).options(&options).start();
        let handler = live.await_ready();
        let mounts = process::read(handler, "mountinfo");
        let mut points = Vec::new();
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            points.push(fields[4]);
            let flags: Vec<&str> = fields[5].split(',').collect();
            for flag in ["noexec", "nosuid", "nodev", "noatime"] {
                assert!(flags.contains(&flag), "{kind}: no {flag} on {line}");
            }
            let writable = fields[4] != "/" || kind == "overlay";
            assert_eq!(flags.contains(&"rw"), writable, "{kind}: {line}");
            assert!(
                !line.contains(" shared:") && !line.contains(" master:"),
                "{kind}: propagation on {line}"
            );
        }
        points.sort_unstable();
        assert_eq!(points, ["/", "/empty", "/tmp"], "{kind}: these mounts and no others\n{mounts}");
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn the_tree_is_the_template_and_nothing_of_the_host() {
    let mut site = a_site!();
    let outside = site.file("outside", "of the host\n");
    for kind in ["readonly", "overlay"] {
        let ended = site.probe(&["see"]).options(&["--snapshot", kind]).talk(b"");
        ended.expect(0, "exited");
        assert_eq!(ended.value("cwd"), "/", "{kind}");
        assert_eq!(ended.values("entry"), ["bin", "empty", "etc", "srv", "tmp"], "{kind}");
        let out = outside.to_str().unwrap();
        for path in [out.to_owned(), format!("/../../..{out}"), format!("..{out}"), "../../etc/passwd".into()]
        {
            assert_errno(&attempt(&site, kind, &["open", &path]), libc::ENOENT);
        }
        for path in ["/proc", "/sys", "/dev/null", "/proc/self/status", "/old", "/.old_root"] {
            assert_errno(&attempt(&site, kind, &["open", path]), libc::ENOENT);
        }
    }
}

fn add_directories(site: &mut Site, names: &[&str]) {
    for name in names {
        common::site::make_directory(&site.template().join(name), 0o755);
    }
    site.settle();
}

#[test]
fn empty_mount_points_stay_empty_unless_asked_for() {
    let mut site = a_site!();
    add_directories(&mut site, &["proc", "sys", "dev"]);
    for kind in ["readonly", "overlay"] {
        for name in ["/proc", "/sys", "/dev"] {
            let ended = site.probe(&["see", name]).options(&["--snapshot", kind]).talk(b"");
            ended.expect(0, "exited");
            assert!(ended.values("entry").is_empty(), "{kind} {ended}");
        }
    }
}

#[test]
fn proc_shows_only_the_sandboxs_own_processes_and_no_system() {
    let mut site = a_site!();
    add_directories(&mut site, &["proc"]);
    let ended = site.probe(&["see", "/proc"]).options(&["--snapshot", "readonly", "--proc"]).talk(b"");
    ended.expect(0, "exited");
    let entries = ended.values("entry");
    assert!(entries.contains(&"1".to_owned()), "{ended}");
    let foreign = |name: &&String| !["1", "self", "thread-self"].contains(&name.as_str());
    assert_eq!(entries.iter().find(foreign), None, "{ended}");
}

#[test]
fn a_bind_is_readable_and_never_writable() {
    let mut site = a_site!();
    let content = site.directory().join("content");
    common::site::make_directory(&content, 0o755);
    common::site::write(&content.join("page"), b"a page\n", 0o666);
    site.settle();
    let bind = format!("{}:/empty", content.display());
    for kind in ["readonly", "overlay"] {
        let options = ["--snapshot", kind, "--bind-ro", &bind];
        let ended = site.probe(&["try", "cat", "/empty/page"]).options(&options).talk(b"");
        ended.expect(0, "exited");
        assert_eq!(ended.value("content"), "a page", "{kind}");
        let ended = site.probe(&["try", "write", "/empty/page"]).options(&options).talk(b"");
        ended.expect(0, "exited");
        assert!(
            [libc::EROFS, libc::EACCES].iter().any(|e| ended.text().contains(&format!("errno {e} "))),
            "{ended}"
        );
    }
}
