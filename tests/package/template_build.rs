//! `dayfly template build`: what it makes, what it refuses, and that it never leaves a service without
//! a template.

use common::site::{Beside, make_directory, set_mode, write};
use common::{Site, a_site, dayfly, need, test_bin};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

/// Somewhere to build, with a probe as the handler.
struct Workplace {
    beside: Beside,
}

impl Workplace {
    fn new(site: &Site) -> Workplace {
        let workplace = Workplace { beside: Beside::new(site) };
        make_directory(&workplace.path("from"), 0o755);
        workplace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.beside.0.join(name)
    }

    /// `dayfly template build --handler PROBE --from FROM WORDS… OUT`
    fn build(&self, words: &[&str]) -> Output {
        let handler = format!("{}:/bin/probe", test_bin("probe").display());
        let mut command = Command::new(dayfly());
        command.args(["template", "build", "--handler", &handler, "--from"]).arg(self.path("from"));
        command.args(words).arg(self.path("out")).output().unwrap()
    }

    #[track_caller]
    fn builds(&self) -> String {
        let output = self.build(&[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said + &String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn is_refused(&self, complaint: &str) {
        let output = self.build(&[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(complaint), "{said}");
        let left: Vec<_> =
            fs::read_dir(&self.beside.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "from" || name == "out"), "{left:?}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn check_finds_nothing_wrong_with_a_template_that_it_made() {
    let site = a_site!();
    let place = Workplace::new(&site);
    write(&place.path("from/open"), b"x", 0o666);
    write(&place.path("from/set-id"), b"x", 0o6755);
    make_directory(&place.path("from/shared"), 0o1777);
    common::site::give_to(&place.path("from/open"), 1234);
    place.builds();
    let out = place.path("out");
    assert_eq!(
        (mode(&out.join("open")), mode(&out.join("set-id")), mode(&out.join("shared"))),
        (0o644, 0o755, 0o755)
    );
    assert_eq!(mode(&out.join("bin/probe")), 0o711);
    assert_eq!(fs::metadata(out.join("open")).unwrap().uid(), 0);
    let template = out.to_str().unwrap();
    let checked =
        Command::new(dayfly()).args(["check", "--json", "--template", template, "--", "/bin/probe"]).output();
    let found = String::from_utf8(checked.unwrap().stdout).unwrap();
    for subject in ["\"template\"", "\"handler\""] {
        let notes =
            found.split('{').filter(|finding| finding.contains(subject) && finding.contains("\"note\""));
        assert_eq!(notes.count(), 0, "{found}");
    }
}

#[test]
fn a_sandbox_runs_in_the_template_with_its_handler() {
    let site = a_site!();
    let place = Workplace::new(&site);
    write(&place.path("from/hello"), b"hello\n", 0o600);
    place.builds();
    let out = place.path("out");
    let options = ["--template", out.to_str().unwrap()];
    let ended = site
        .handler(&["/bin/probe", &format!("@{}", site.tag()), "echo"])
        .only_options(&options)
        .talk(b"x\n");
    ended.expect(0, "exited");
    assert_eq!(fs::read(out.join("hello")).unwrap(), b"hello\n");
    assert!(fs::metadata(out.join("hello")).unwrap().permissions().mode() & 0o004 != 0);
}

#[test]
fn the_same_content_again_changes_nothing() {
    let site = a_site!();
    let place = Workplace::new(&site);
    place.builds();
    let before = fs::metadata(place.path("out")).unwrap();
    assert!(place.builds().contains("is unchanged"));
    let after = fs::metadata(place.path("out")).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
}

#[test]
fn a_directory_that_it_did_not_make_is_not_replaced() {
    let site = a_site!();
    let place = Workplace::new(&site);
    make_directory(&place.path("out"), 0o755);
    write(&place.path("out/mine"), b"mine", 0o644);
    place.is_refused("was not made by this command");
    assert_eq!(fs::read(place.path("out/mine")).unwrap(), b"mine");
}

#[test]
fn a_file_that_is_no_image_is_not_replaced_by_one() {
    let site = a_site!();
    need!("mkfs.erofs");
    let place = Workplace::new(&site);
    write(&place.path("out"), b"mine", 0o644);
    let output = place.build(&["--image", "erofs"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(place.path("out")).unwrap(), b"mine");
}

/// Somebody who opens the template's path while it is replaced finds the old one or the new one.
#[test]
fn at_no_moment_of_a_replacement_is_there_no_template() {
    let site = a_site!();
    let place = Workplace::new(&site);
    place.builds();
    let (done, file) = (AtomicBool::new(false), place.path("out/bin/probe"));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                assert!(file.exists(), "look {looks} found no handler");
                looks += 1;
            }
            looks
        });
        let _end = common::SetAtEnd(&done);
        for version in 0..10 {
            write(&place.path("from/version"), format!("{version}").as_bytes(), 0o644);
            place.builds();
        }
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 10);
    });
    assert_eq!(fs::read(place.path("out/version")).unwrap(), b"9");
}

#[test]
fn a_link_out_of_the_tree_is_never_followed() {
    let site = a_site!();
    let place = Workplace::new(&site);
    make_directory(&place.path("outside"), 0o755);
    for (link, list) in [("srv", "srv/made"), ("deep", "deep/er/made")] {
        symlink(place.path("outside"), place.path("from").join(link)).unwrap();
        write(&place.path("from/.mountpoints"), list.as_bytes(), 0o644);
        let output = place.build(&[]);
        assert_eq!(output.status.code(), Some(1), "{link}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("leads out of the template"), "{output:?}");
        fs::remove_file(place.path("from").join(link)).unwrap();
    }
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 0);
}

#[test]
fn an_absolute_link_leads_to_a_place_in_the_tree() {
    let site = a_site!();
    let place = Workplace::new(&site);
    make_directory(&place.path("from/run"), 0o755);
    make_directory(&place.path("from/var"), 0o755);
    symlink("/run", place.path("from/var/run")).unwrap();
    write(&place.path("from/.mountpoints"), b"/var/run/dayfly # by a link\n", 0o644);
    place.builds();
    assert!(place.path("out/run/dayfly").is_dir());
    assert!(!place.path("out/.mountpoints").exists());
}

#[test]
fn what_no_sandbox_can_use_is_left_out_and_told() {
    let site = a_site!();
    let place = Workplace::new(&site);
    let fifo = place.path("from/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let said = place.builds();
    assert!(said.contains("left out") && said.contains("fifo: a device, FIFO or socket"), "{said}");
    assert!(!place.path("out/fifo").exists());
}

#[test]
fn a_dynamic_handler_is_refused_by_the_name_of_its_loader_unless_the_tree_has_it() {
    let site = a_site!();
    let place = Workplace::new(&site);
    let build = || {
        let mut command = Command::new(dayfly());
        command.args(["template", "build", "--handler", "/usr/bin/env", "--from"]).arg(place.path("from"));
        command.arg(place.path("out")).output().unwrap()
    };
    let refused = build();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let loader = said.split("has no ").nth(1).unwrap().split(": ").next().unwrap();
    let inside = place.path("from").join(loader.trim_start_matches('/'));
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::copy(loader, &inside).unwrap();
    set_mode(&inside, 0o755);
    let made = build();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn options_that_make_nothing_are_refused() {
    for words in [&["out"][..], &["--debian", "--hook", "out"], &["--from", "/nonexistent", "out"]] {
        let output = Command::new(dayfly()).args(["template", "build"]).args(words).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
}
