//! Landlock: the paths a service names are the paths its handler can reach, and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Site, a_site};

/// What the probe's attempt on a file is answered with, under these options.
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

#[test]
fn a_path_that_is_not_in_the_template_is_an_error_and_not_skipped() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).options(&["--landlock-ro", "/nowhere"]).talk(b"");
    assert!([2, 125].contains(&ended.status), "{ended}");
    assert!(ended.err.contains("/nowhere"), "{ended}");
}
