//! Landlock: the paths a service names are the paths its handler can reach, and no others.

use common::{Site, a_site};

/// The answer to the probe's attempt on a file, under these options.
fn answer(site: &Site, options: &[&str], words: &[&str]) -> String {
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let ended = site.probe(&words).options(options).talk(b"");
    ended.expect(0, "exited");
    ended.text().lines().last().unwrap_or_default().to_owned()
}

#[track_caller]
fn refused(site: &Site, options: &[&str], words: &[&str]) {
    let answer = answer(site, options, words);
    assert!(answer.contains(&format!(" errno {} ", libc::EACCES)), "{options:?} {words:?}: {answer}");
}

#[track_caller]
fn allowed(site: &Site, options: &[&str], words: &[&str]) {
    let answer = answer(site, options, words);
    assert!(answer.contains(" ok "), "{options:?} {words:?}: {answer}");
}

#[test]
fn a_list_of_readable_paths_replaces_the_default_of_everything() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        let narrow = ["--snapshot", kind, "--landlock-ro", "/srv", "--landlock-rw", "/tmp"];
        allowed(&site, &narrow, &["open", "/srv/hello"]);
        refused(&site, &narrow, &["open", "/etc/os-release"]);
        refused(&site, &narrow, &["open", "/"]);
        allowed(&site, &["--snapshot", kind], &["open", "/etc/os-release"]);
    }
}

#[test]
fn a_single_file_can_be_all_that_is_readable() {
    let site = a_site!();
    let narrow = ["--landlock-ro", "/srv/hello", "--landlock-rw", "/tmp"];
    allowed(&site, &narrow, &["open", "/srv/hello"]);
    refused(&site, &narrow, &["open", "/srv"]);
}

#[test]
fn a_list_of_writable_paths_replaces_the_default() {
    let site = a_site!();
    let narrow = ["--snapshot", "overlay", "--landlock-rw", "/srv"];
    allowed(&site, &narrow, &["write", "/srv/new"]);
    allowed(&site, &narrow, &["write", "/srv/hello"]);
    refused(&site, &narrow, &["write", "/new"]);
    refused(&site, &narrow, &["write", "/etc/os-release"]);
    refused(&site, &narrow, &["write", "/tmp/x"]);
    allowed(&site, &narrow, &["open", "/etc/os-release"]);
}

#[test]
fn every_tmpfs_is_writable_by_default() {
    let site = a_site!();
    let options = ["--snapshot", "readonly", "--tmpfs", "/empty:1M"];
    allowed(&site, &options, &["write", "/empty/x"]);
    allowed(&site, &options, &["write", "/tmp/x"]);
}

#[test]
fn several_paths_can_be_named() {
    let site = a_site!();
    let narrow = ["--landlock-ro", "/srv", "--landlock-ro", "/etc", "--landlock-rw", "/tmp"];
    allowed(&site, &narrow, &["open", "/srv/hello"]);
    allowed(&site, &narrow, &["open", "/etc/os-release"]);
    refused(&site, &narrow, &["open", "/empty"]);
}

/// Under `tree`, which allows the calls, in a snapshot whose files are the handler's: only Landlock says no.
fn with_tree(site: &Site, landlock: &[&str], words: &[&str]) -> String {
    let options = [&["--profile", "tree", "--snapshot", "overlay"], landlock].concat();
    answer(site, &options, words)
}

const READ_ALL: [&str; 4] = ["--landlock-ro", "/", "--landlock-rw", "/tmp"];
const WRITE_ALL: [&str; 4] = ["--landlock-ro", "/", "--landlock-rw", "/"];

/// Each call by one right of its own: one that the ruleset does not handle would be a change that
/// nobody stops.
#[test]
fn where_only_reading_is_allowed_no_call_changes_anything() {
    let mut site = a_site!();
    common::site::make_directory(&site.template().join("srv/directory"), 0o755);
    site.settle();
    for (attempt, path) in [
        ("truncate", "/srv/hello"),
        ("open_truncating", "/srv/hello"),
        ("open_writing", "/srv/hello"),
        ("create", "/srv/new"),
        ("mkdir", "/srv/new"),
        ("rmdir", "/srv/directory"),
        ("unlink", "/srv/hello"),
        ("rename", "/srv/hello"),
        ("link", "/srv/hello"),
        ("symlink", "/srv/new"),
        ("mkfifo", "/srv/new"),
    ] {
        let refused = with_tree(&site, &READ_ALL, &[attempt, path]);
        assert!(refused.contains(&format!(" errno {} ", libc::EACCES)), "{attempt}: {refused}");
        // The test itself: nothing else would have stopped it.
        let done = with_tree(&site, &WRITE_ALL, &[attempt, path]);
        assert!(done.contains(" ok "), "{attempt}: {done}");
    }
    // To another directory it takes REFER at both: without it EXDEV, as if they were on two file
    // systems (landlock(7)).
    let refused = with_tree(&site, &READ_ALL, &["move", "/srv/hello"]);
    let errnos = [libc::EACCES, libc::EXDEV].map(|errno| format!(" errno {errno} "));
    assert!(errnos.iter().any(|errno| refused.contains(errno)), "{refused}");
    assert!(with_tree(&site, &WRITE_ALL, &["move", "/srv/hello"]).contains(" ok "));
}

#[test]
fn where_only_a_file_may_be_read_its_directory_cannot_be_listed() {
    let site = a_site!();
    let file = ["--landlock-ro", "/srv/hello", "--landlock-rw", "/tmp"];
    refused(&site, &file, &["list", "/srv"]);
    refused(&site, &file, &["list", "/"]);
    allowed(&site, &["--landlock-ro", "/srv"], &["list", "/srv"]);
}

#[test]
fn a_path_that_is_not_in_the_template_is_an_error_and_not_skipped() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).options(&["--landlock-ro", "/nowhere"]).talk(b"");
    assert!([2, 125].contains(&ended.status), "{ended}");
    assert!(ended.err.contains("/nowhere"), "{ended}");
}
