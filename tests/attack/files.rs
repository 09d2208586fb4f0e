//! Ways out of the tree by names: links, `..`, /proc, what is masked elsewhere.

use common::{Site, a_site, site};

#[track_caller]
fn refused(site: &Site, options: &[&str], words: &[&str], errnos: &[i32]) {
    for kind in ["readonly", "overlay"] {
        let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
        let ended = site.probe(&words).options(&["--snapshot", kind]).options(options).talk(b"");
        ended.expect(0, "exited");
        let text = ended.text();
        assert!(errnos.iter().any(|errno| text.contains(&format!("errno {errno} "))), "{words:?}\n{ended}");
    }
}

/// Whatever is written at the end of it, and however many steps it goes up.
#[test]
fn a_path_upwards_ends_at_the_root_of_the_tree() {
    let site = a_site!();
    let outside = format!("/../../../..{}/template/etc/os-release", site.directory().display());
    for path in ["/../../../../etc/passwd", "../../../../etc/passwd", "/srv/../../../etc/passwd/", &outside] {
        refused(&site, &[], &["open", path], &[libc::ENOENT]);
    }
}

#[test]
fn a_link_of_the_template_leads_nowhere_outside() {
    let mut site = a_site!();
    std::os::unix::fs::symlink("/etc/passwd", site.template().join("srv/absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../../etc/passwd", site.template().join("srv/relative")).unwrap();
    site.settle();
    for path in ["/srv/absolute", "/srv/relative", "/srv/absolute/"] {
        refused(&site, &[], &["open", path], &[libc::ENOENT]);
    }
}

#[test]
fn there_is_no_proc_sys_or_dev_to_mask() {
    let site = a_site!();
    let paths =
        ["/proc/self/exe", "/proc/self/fd/3", "/proc/1/root/etc/passwd", "/sys/fs/cgroup", "/dev/tty"];
    for path in paths {
        refused(&site, &[], &["open", path], &[libc::ENOENT]);
    }
}

/// The launcher's own program is not to be found by it either.
#[test]
fn with_proc_its_program_cannot_be_written_nor_the_root_left() {
    let mut site = a_site!();
    site::make_directory(&site.template().join("proc"), 0o755);
    site.settle();
    let options = ["--proc"];
    refused(&site, &options, &["write", "/proc/self/exe"], &[libc::EACCES, libc::EROFS, libc::ETXTBSY]);
    refused(&site, &options, &["open", "/proc/self/cwd/../../etc/passwd"], &[libc::ENOENT, libc::EACCES]);
    refused(&site, &options, &["open", "/proc/1/root/../etc/passwd"], &[libc::ENOENT, libc::EACCES]);
    refused(&site, &options, &["open", "/proc/sys/kernel/core_pattern"], &[libc::ENOENT]);
    refused(&site, &options, &["write", "/proc/self/attr/exec"], &[libc::ENOENT, libc::EROFS, libc::EACCES]);
    refused(&site, &options, &["write", "/proc/self/oom_score_adj"], &[libc::EROFS, libc::EACCES]);
}

#[test]
fn it_stands_at_the_root_of_the_tree() {
    let site = a_site!();
    let ended = site.probe(&["see", "cwd"]).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.value("cwd"), "/");
}
