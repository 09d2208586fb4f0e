//! The operator's mistakes about the template and its handler: one line with what to do, before anything
//! is touched.

use common::site::{give_to, make_directory, set_mode};
use common::{Ended, Site, a_site, dayfly};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Refused for its template: 125, one line that names the path at fault, nothing built.
#[track_caller]
fn is_unsafe(ended: &Ended, at_fault: &Path) {
    ended.expect(125, "refused");
    let lines: Vec<&str> = ended.err.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line\n{ended}");
    assert!(lines[0].contains(at_fault.to_str().unwrap()), "it names {}\n{ended}", at_fault.display());
    assert_eq!(ended.text(), "", "the client sees no diagnostic");
}

fn with_template(site: &Site, template: &Path) -> Ended {
    let options = ["--template", template.to_str().unwrap()];
    site.probe(&["echo"]).only_options(&options).talk(b"")
}

#[test]
fn a_template_of_another_user() {
    let mut site = a_site!();
    give_to(&site.template(), 1234);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), &site.template());
}

#[test]
fn a_template_that_its_group_can_write() {
    let mut site = a_site!();
    set_mode(&site.template(), 0o775);
    site.settle();
    // A group other than 0 that may write is a stranger; the group 0 is root's own.
    with_template(&site, &site.template()).expect(0, "exited");
    common::sys::chown(&common::site::c_path(&site.template()), 0, 1234).unwrap();
    set_mode(&site.template(), 0o775);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), &site.template());
}

#[test]
fn a_template_that_everybody_can_write() {
    let mut site = a_site!();
    set_mode(&site.template(), 0o757);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), &site.template());
    // A sticky directory may stand above a template, but not be it.
    set_mode(&site.template(), 0o1777);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), &site.template());
}

#[test]
fn a_component_above_the_template_that_others_can_write() {
    let mut site = a_site!();
    let middle = site.directory().join("middle");
    make_directory(&middle, 0o755);
    std::fs::rename(site.template(), middle.join("inner")).unwrap();
    site.settle();
    with_template(&site, &middle.join("inner")).expect(0, "exited");
    set_mode(&middle, 0o777);
    site.settle();
    is_unsafe(&with_template(&site, &middle.join("inner")), &middle);
    set_mode(&middle, 0o755);
    give_to(&middle, 1234);
    site.settle();
    is_unsafe(&with_template(&site, &middle.join("inner")), &middle);
}

#[test]
fn a_symlink_to_the_template_is_followed_and_what_it_passes_is_checked() {
    let mut site = a_site!();
    let link = site.directory().join("link");
    symlink(site.template(), &link).unwrap();
    site.settle();
    with_template(&site, &link).expect(0, "exited");
    let yard = site.directory().join("yard");
    make_directory(&yard, 0o755);
    symlink(site.template(), yard.join("link")).unwrap();
    give_to(&yard, 1234);
    site.settle();
    is_unsafe(&with_template(&site, &yard.join("link")), &yard);
    // The same by a link of root's that only leads through the user's directory.
    let round = site.directory().join("round");
    symlink(yard.join("link"), &round).unwrap();
    site.settle();
    is_unsafe(&with_template(&site, &round), &yard);
}

/// An access ACL as the kernel keeps it (linux/posix_acl_xattr.h): owner, user 1234, group, mask, others. Its
/// mask is what the mode shows as the group's.
fn acl(of_user: u16, mask: u16) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in
        [(1, 7, NOBODY), (2, of_user, 1234), (4, 5, NOBODY), (0x10, mask, NOBODY), (0x20, 5, NOBODY)]
    {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(rights));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

#[test]
fn a_template_or_handler_that_an_acl_lets_another_user_write() {
    for name in ["", "bin", "bin/probe"] {
        let mut site = a_site!();
        let path = site.template().join(name);
        let give = |of_user, mask| {
            let (path, name) = (common::site::c_path(&path), c"system.posix_acl_access");
            common::sys::set_attribute(&path, name, &acl(of_user, mask))
        };
        if let Err(error) = give(7, 7) {
            return common::skip(&format!("the file system takes no ACL: {error}"));
        }
        site.settle();
        let ended = with_template(&site, &site.template());
        is_unsafe(&ended, Path::new(path.file_name().unwrap()));
        assert!(ended.err.contains("ACL"), "{ended}");
        // Rights that the mask takes away, and rights to read alone, are no danger.
        for (of_user, mask) in [(7, 5), (5, 5)] {
            give(of_user, mask).unwrap();
            site.settle();
            with_template(&site, &site.template()).expect(0, "exited");
        }
    }
}

#[test]
fn a_handler_of_another_user() {
    let mut site = a_site!();
    give_to(&site.template().join("bin/probe"), 1234);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), Path::new("bin/probe"));
}

#[test]
fn a_handler_that_everybody_can_write() {
    let mut site = a_site!();
    set_mode(&site.template().join("bin/probe"), 0o777);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), Path::new("bin/probe"));
}

#[test]
fn a_directory_above_the_handler_that_everybody_can_write() {
    let mut site = a_site!();
    set_mode(&site.template().join("bin"), 0o777);
    site.settle();
    is_unsafe(&with_template(&site, &site.template()), Path::new("bin"));
}

#[test]
fn content_of_others_below_the_template_is_their_business() {
    let mut site = a_site!();
    give_to(&site.template().join("srv/hello"), 1234);
    set_mode(&site.template().join("empty"), 0o777);
    site.settle();
    with_template(&site, &site.template()).expect(0, "exited");
}

#[test]
fn a_handler_that_is_a_link_out_of_the_template() {
    let mut site = a_site!();
    // Inside the template the link leads to a file that is not there, whatever the host has at that place.
    symlink("/usr/bin/env", site.template().join("bin/link")).unwrap();
    symlink("../../../../../../bin/other", site.template().join("bin/up")).unwrap();
    site.settle();
    site.handler(&["/bin/link"]).talk(b"").expect(127, "not-found");
    let ended = site.handler(&["/bin/up", "exit", "3"]).talk(b"");
    ended.expect(3, "exited");
}

/// It leads to the template's own /etc, whatever the host has there (tests/rootfs/mount_points.rs).
#[test]
fn a_mount_point_that_is_a_link() {
    let mut site = a_site!();
    std::fs::remove_dir(site.template().join("tmp")).unwrap();
    symlink("/etc", site.template().join("tmp")).unwrap();
    site.settle();
    for kind in ["readonly", "overlay"] {
        let options = ["--snapshot", kind, "--tmpfs", "/tmp:1M"];
        let ended = site.probe(&["try", "write", "/etc/x"]).options(&options).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().contains("write ok"), "{ended}");
        assert!(!Path::new("/etc/x").exists());
    }
}

#[test]
fn a_mount_point_that_is_missing() {
    let site = a_site!();
    for options in [["--tmpfs", "/nowhere:1M"], ["--bind-ro", "/usr:/nowhere"]] {
        let ended = site.probe(&["echo"]).options(&options).options(&["--snapshot", "readonly"]).talk(b"");
        assert!([2, 125].contains(&ended.status), "{ended}");
        assert!(ended.err.contains("/nowhere"), "{ended}");
    }
}

#[test]
fn a_bind_source_that_is_missing() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).options(&["--bind-ro", "/var/tmp/no-such-content:/empty"]).talk(b"");
    assert!([2, 125].contains(&ended.status), "{ended}");
    assert!(ended.err.contains("/var/tmp/no-such-content"), "{ended}");
}

#[test]
fn a_file_as_template_that_is_no_image() {
    let mut site = a_site!();
    let file = site.file("no-image", "just text\n");
    is_unsafe(&with_template(&site, &file), &file);
}

#[test]
fn help_and_version_are_for_people() {
    for (words, wanted) in
        [(&["--help"][..], "run"), (&["run", "--help"], "--template"), (&["--version"], "dayfly")]
    {
        let output = Command::new(dayfly()).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(wanted),
            "{words:?} does not mention {wanted}"
        );
    }
    let output = Command::new(dayfly()).arg("dance").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
