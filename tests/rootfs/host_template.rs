//! The host's own tree is no template: with a writable snapshot a handler would read what root alone
//! may read.

use common::site::{make_directory, write};
use common::{Ended, Site, a_site, dayfly};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `mount WORDS…`, in the namespace of this test.
fn mount(words: &[&str]) {
    let status = Command::new("mount").args(words).status().expect("mount(8)");
    assert!(status.success(), "mount {words:?}");
}

fn run(site: &Site, template: &Path) -> Ended {
    let options = ["--profile", "tree", "--template", template.to_str().unwrap()];
    site.handler(&["/bin/cat", "/etc/shadow"]).only_options(&options).talk(b"")
}

#[track_caller]
fn is_refused(site: &Site, template: &Path) {
    let ended = run(site, template);
    ended.expect(125, "refused");
    assert!(ended.err.contains("which a handler could read"), "{}\n{ended}", template.display());
    assert!(ended.text().is_empty(), "{ended}");
    let path = template.to_str().unwrap();
    for command in ["check", "explain"] {
        let output =
            Command::new(dayfly()).args([command, "--template", path, "--", "/bin/cat"]).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("which a handler could read"), "{command} {path}\n{text}");
        // To explain is a success.
        assert_eq!(output.status.code(), Some(i32::from(command == "check")), "{path}\n{text}");
    }
}

/// A file in the place of the host's passwords, for this test alone: with a hash in it.
fn with_passwords(site: &mut Site) -> &'static [u8] {
    let text = b"root:$y$j9T$abcdefghijklmnop$qrstuvwxyz:19000:0:99999:7:::\nbin:*:19000:0:99999:7:::\n";
    let path = site.file("passwords", std::str::from_utf8(text).unwrap());
    mount(&["--bind", path.to_str().unwrap(), "/etc/shadow"]);
    site.settle_mounts();
    text
}

/// A place for mounts that is not the site's, whose files are looked at one by one at the end.
fn elsewhere() {
    mount(&["-t", "tmpfs", "-o", "mode=755", "none", "/mnt"]);
}

fn make(name: &str) -> PathBuf {
    let path = Path::new("/mnt").join(name);
    make_directory(&path, 0o755);
    path
}

#[test]
fn the_hosts_root_is_refused_however_it_is_written() {
    let mut site = a_site!();
    elsewhere();
    let link = Path::new("/mnt/link").to_owned();
    symlink("/", &link).unwrap();
    let bound = make("bound");
    mount(&["--bind", "/", bound.to_str().unwrap()]);
    let all = make("all");
    mount(&["--rbind", "/", all.to_str().unwrap()]);
    site.settle_mounts();
    for path in ["/", "//", "/..", "/etc/..", "/proc/1/../.."] {
        is_refused(&site, Path::new(path));
    }
    for path in [link, bound, all] {
        is_refused(&site, &path);
    }
}

#[test]
fn a_directory_that_holds_the_passwords_is_refused_wherever_they_are_in_it() {
    let mut site = a_site!();
    is_refused(&site, Path::new("/etc"));
    // On the host's own file system: for a hard link.
    let linked = site.directory().join("linked");
    make_directory(&linked, 0o755);
    make_directory(&linked.join("etc"), 0o755);
    if std::fs::hard_link("/etc/shadow", linked.join("etc/shadow")).is_ok() {
        site.settle();
        is_refused(&site, &linked);
        std::fs::remove_file(linked.join("etc/shadow")).unwrap();
    }
    site.settle();
    // A link to it leads to the template's own, which is not there.
    symlink("/etc/shadow", linked.join("shadow")).unwrap();
    std::fs::create_dir(linked.join("bin")).unwrap();
    std::fs::copy(common::test_bin("probe"), linked.join("bin/cat")).unwrap();
    site.settle();
    assert!(!run(&site, &linked).err.contains("could read"));
}

#[test]
fn an_overlay_of_the_host_is_refused() {
    let mut site = a_site!();
    elsewhere();
    let (merged, work) = (make("merged"), make("layers"));
    for name in ["upper", "work"] {
        make_directory(&work.join(name), 0o755);
    }
    let at = work.display();
    let options = format!("lowerdir=/,upperdir={at}/upper,workdir={at}/work");
    mount(&["-t", "overlay", "-o", &options, "overlay", merged.to_str().unwrap()]);
    site.settle_mounts();
    is_refused(&site, &merged);
}

#[test]
fn a_copy_or_an_image_with_the_hosts_passwords_is_refused_and_one_with_others_is_not() {
    let mut site = a_site!();
    let text = with_passwords(&mut site);
    site.add("etc/shadow", text, 0o640);
    let ended = site.probe(&["echo"]).talk(b"x");
    ended.expect(125, "refused");
    assert!(ended.err.contains("the passwords of the host"), "{ended}");
    if let Some(tool) = common::program("mksquashfs") {
        let image = site.directory().join("image.squashfs");
        let quiet = ["-quiet", "-no-progress"];
        let made = Command::new(tool).arg(site.template()).arg(&image).args(quiet).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        site.settle();
        let options = ["--template", image.to_str().unwrap()];
        let ended = site.probe(&["echo"]).only_options(&options).talk(b"x");
        ended.expect(125, "refused");
        assert!(ended.err.contains("the passwords of the host"), "{ended}");
    }
    site.add("etc/shadow", b"root:*:19000:0:99999:7:::\n", 0o640);
    site.probe(&["echo"]).talk(b"x").expect(0, "exited");
}

#[test]
fn a_bind_of_the_host_is_told_and_keeps_the_modes_of_its_files() {
    let mut site = a_site!();
    write(&site.template().join("etc/shadow"), b"", 0o600);
    site.settle();
    for source in ["/", "/etc", "/etc/shadow"] {
        let target = if source == "/etc/shadow" { "/etc/shadow" } else { "/empty" };
        let bind = format!("{source}:{target}");
        let seen = match source {
            "/" => "/empty/etc/shadow",
            "/etc" => "/empty/shadow",
            _ => "/etc/shadow",
        };
        let ended = site.probe(&["try", "cat", seen]).options(&["-v", "--bind-ro", &bind]).talk(b"");
        assert!(ended.text().contains("errno 13"), "{source}\n{ended}");
        assert!(ended.err.contains(&format!("--bind-ro {source}: ")), "{source}\n{ended}");
    }
    let ended = site.probe(&["echo"]).options(&["-v", "--bind-ro", "/usr:/empty"]).talk(b"");
    assert!(!ended.err.contains("--bind-ro /usr: "), "{ended}");
}
