//! `--bind`: what a handler writes there stays, as the owner that was named and as nobody else.

use common::serve::Serve;
use common::site::{c_path, give_to, make_directory, set_mode, write};
use common::{Launch, Site, a_site, need};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const OWNER: u32 = 4242;
const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// A directory of the owner's beside the site.
struct Kept(PathBuf);

impl Kept {
    fn new(site: &Site) -> Kept {
        let directory = PathBuf::from(format!("/var/tmp/{}-kept", site.tag()));
        make_directory(&directory, 0o755);
        give_to(&directory, OWNER);
        Kept(directory)
    }

    fn at(&self, target: &str) -> String {
        format!("--bind={}:{target}", self.0.display())
    }

    fn add(&self, name: &str, content: &str, mode: u32, uid: u32) -> PathBuf {
        let path = self.0.join(name);
        write(&path, content.as_bytes(), mode);
        give_to(&path, uid);
        path
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

fn ids(path: &Path) -> (u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid())
}

fn attempt<'s>(site: &'s Site, kept: &Kept, words: &[&str]) -> Launch<'s> {
    let words: Vec<&str> = ["try"].into_iter().chain(words.iter().copied()).collect();
    site.probe(&words).options(&[&kept.at("/empty")])
}

#[test]
fn what_run_writes_belongs_to_the_owner_of_the_source() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let kept = Kept::new(&site);
        let launch = attempt(&site, &kept, &["write", "/empty/note"]).options(&["--snapshot", snapshot]);
        let ended = launch.talk(b"");
        ended.expect(0, "exited");
        assert_eq!(ended.value("write"), "ok 21", "{snapshot}\n{ended}");
        assert_eq!(ids(&kept.0.join("note")), (OWNER, OWNER), "{snapshot}");
    }
}

#[test]
fn each_sandbox_of_serve_finds_what_the_one_before_has_written() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let kept = Kept::new(&site);
        let bind = kept.at("/tmp");
        let options = [bind.as_str(), "--snapshot", snapshot];
        // Each leaves its word there, and lists what there is.
        let serving = Serve::probe(&site, &["meet"]).options(&options).start();
        for word in ["one", "two", "three"] {
            let answer = String::from_utf8(serving.ask(format!("{word}\nend\n").as_bytes())).unwrap();
            assert!(answer.contains("entry one"), "{snapshot} {word}: {answer}");
            assert_eq!(ids(&kept.0.join(word)), (OWNER, OWNER), "{snapshot}");
        }
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn the_owner_can_be_named_and_its_group() {
    let site = a_site!();
    let kept = Kept::new(&site);
    for (owner, expected) in [("5151", (5151, 5151)), ("5151:6161", (5151, 6161)), ("nobody", (65534, 65534))]
    {
        common::sys::chown(&c_path(&kept.0), expected.0, expected.1).unwrap();
        let bind = format!("{}:{owner}", kept.at("/empty"));
        let ended = site.probe(&["try", "write", "/empty/note"]).options(&[&bind]).talk(b"");
        assert_eq!(ended.value("write"), "ok 21", "{owner}\n{ended}");
        assert_eq!(ids(&kept.0.join("note")), expected, "{owner}\n{ended}");
        std::fs::remove_file(kept.0.join("note")).unwrap();
    }
}

#[test]
fn the_sandbox_is_the_owner_there_and_sees_the_rest_as_nobodys() {
    let site = a_site!();
    let kept = Kept::new(&site);
    kept.add("own", "mine\n", 0o600, OWNER);
    let ended = attempt(&site, &kept, &["cat", "/empty/own"]).talk(b"");
    assert_eq!(ended.value("content"), "mine", "{ended}");
    // Neither what is root's nor what everybody may write can be written, nor read what only others may.
    for (name, mode, uid) in [("root", 0o666, 0), ("other", 0o666, 777), ("secret", 0o600, 0)] {
        let path = kept.add(name, "before\n", mode, uid);
        let inside = format!("/empty/{name}");
        let ended = attempt(&site, &kept, &["write", &inside]).talk(b"");
        assert!(ended.value("write").starts_with("errno 13"), "{name}\n{ended}");
        assert_eq!(std::fs::read(&path).unwrap(), b"before\n", "{name}");
    }
    let ended = attempt(&site, &kept, &["open", "/empty/secret"]).talk(b"");
    assert!(ended.value("open").starts_with("errno 13"), "{ended}");
}

#[test]
fn nothing_written_there_can_be_executed_or_is_set_uid() {
    let site = a_site!();
    let kept = Kept::new(&site);
    let program = kept.0.join("program");
    std::fs::copy(common::test_bin("probe"), &program).unwrap();
    set_mode(&program, 0o755);
    let tree = ["--profile", "tree"];
    let ended = attempt(&site, &kept, &["execve", "/empty/program"]).options(&tree).talk(b"");
    assert!(ended.value("execve").starts_with("errno 13"), "{ended}");
}

#[test]
fn no_file_there_gets_a_set_id_bit_however_it_is_made() {
    let site = a_site!();
    let kept = Kept::new(&site);
    for (words, options) in [
        (["write_setuid", "/empty/setuid"], &["--profile", "static"]),
        (["tmpfile_setgid", "/empty"], &["--profile", "static"]),
        (["chmod_setuid", "/empty"], &["--profile", "static"]),
    ] {
        attempt(&site, &kept, &words).options(options).talk(b"").expect(137, "denied");
    }
    kept.add("own", "mine\n", 0o755, OWNER);
    for profile in ["interpreter", "tree"] {
        for words in [
            ["write_setuid", "/empty/setuid"],
            ["tmpfile_setgid", "/empty"],
            ["chmod_setuid", "/empty/own"],
            ["mkdirat_setgid", "/empty/directory"],
        ] {
            let ended = attempt(&site, &kept, &words).options(&["--profile", profile]).talk(b"");
            assert!(ended.value(words[0]).starts_with("errno 1 "), "{profile}: {ended}");
        }
    }
    for profile in ["static", "interpreter", "tree"] {
        let ended =
            attempt(&site, &kept, &["openat2_setuid", "/empty/setuid"]).options(&["--profile", profile]);
        let ended = ended.talk(b"");
        assert!(ended.value("openat2_setuid").starts_with("errno 38 "), "{profile}: {ended}");
    }
    for entry in std::fs::read_dir(&kept.0).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().mode();
        assert_eq!(mode & 0o6000, 0, "{mode:o}");
    }
}

#[test]
fn no_other_path_becomes_writable() {
    let site = a_site!();
    let kept = Kept::new(&site);
    let readonly = ["--snapshot", "readonly"];
    for path in ["/srv/hello", "/new", "/bin/probe"] {
        let ended = attempt(&site, &kept, &["write", path]).options(&readonly).talk(b"");
        assert!(ended.value("write").starts_with("errno"), "{path}\n{ended}");
    }
    // A list of one's own for Landlock replaces the default, here as everywhere.
    let only = ["--snapshot", "readonly", "--landlock-rw", "/tmp"];
    let ended = attempt(&site, &kept, &["write", "/empty/note"]).options(&only).talk(b"");
    assert!(ended.value("write").starts_with("errno 13"), "{ended}");
}

#[test]
fn a_file_can_be_bound_as_well() {
    let mut site = a_site!();
    site.add("srv/log", b"", 0o644);
    let kept = Kept::new(&site);
    let file = kept.add("log", "", 0o644, OWNER);
    let bind = format!("--bind={}:/srv/log", file.display());
    for snapshot in SNAPSHOTS {
        let options = [bind.as_str(), "--snapshot", snapshot];
        let ended = site.probe(&["try", "write", "/srv/log"]).options(&options).talk(b"");
        assert_eq!(ended.value("write"), "ok 21", "{snapshot}\n{ended}");
        assert_eq!(std::fs::read(&file).unwrap().len(), 21, "{snapshot}");
    }
}

#[test]
fn root_is_never_the_owner_and_mistakes_are_said_in_one_line() {
    let site = a_site!();
    let kept = Kept::new(&site);
    let source = kept.0.display().to_string();
    let roots = site.template().display().to_string();
    for (bind, named) in [
        (format!("{roots}:/empty"), "belongs to root"),
        (format!("{source}:/empty:root"), "root"),
        (format!("{source}:/empty:0"), "root"),
        (format!("{source}:/empty:{OWNER}:0"), "group root"),
        (format!("{source}:/empty:no-such-user"), "no-such-user"),
        (format!("{source}:/empty:{OWNER}:no-such-group"), "no-such-group"),
        (format!("{source}:/empty:a:b:c"), "invalid bind"),
        ("/dev/null:/empty:1".to_owned(), "neither a directory nor a file"),
    ] {
        let ended = site.probe(&["echo"]).options(&["--bind", &bind]).talk(b"");
        ended.is_usage_error(named);
    }
}

/// No mistake in the option: the host cannot tell.
#[test]
fn an_owner_that_cannot_be_looked_up_is_no_usage_error() {
    let site = a_site!();
    let kept = Kept::new(&site);
    let strace = need!("strace");
    for (file, owner, what) in [("/etc/passwd", "nobody", "user"), ("/etc/group", "4242:nogroup", "group")] {
        let bind = format!("{}:{owner}", kept.at("/empty"));
        // musl calls open, glibc openat.
        let before = [strace.to_str().unwrap(), "-D", "-qq", "-o", "/dev/null", "-P", file];
        let fault = ["-e", "trace=open,openat", "-e", "inject=open,openat:error=EIO"];
        let launch = site.probe(&["echo"]).before(&[&before[..], &fault].concat()).options(&[&bind]);
        let ended = launch.talk(b"");
        ended.expect(125, "refused");
        assert!(ended.err.contains(&format!("cannot look up the {what}")), "{ended}");
        assert!(ended.err.contains("EIO"), "{ended}");
    }
}

#[test]
fn a_file_system_that_knows_no_idmap_is_refused_with_the_step() {
    let site = a_site!();
    if !Path::new("/dev/pts/ptmx").exists() {
        return common::skip("no devpts is mounted");
    }
    let ended = site.probe(&["echo"]).options(&["--bind=/dev/pts:/empty:4242"]).talk(b"");
    ended.expect(125, "refused");
    assert_eq!(ended.record["step"].as_str(), Some("bind-map"), "{ended}");
    assert!(ended.err.contains("hint"), "{ended}");
}

#[test]
fn a_source_on_a_read_only_mount_is_refused() {
    let site = a_site!();
    let kept = Kept::new(&site);
    let path = kept.0.to_str().unwrap();
    let bound = std::process::Command::new("mount").args(["-o", "bind,ro", path, path]).status();
    if !bound.is_ok_and(|status| status.success()) {
        return common::skip("mount is not there");
    }
    let mut live = attempt(&site, &kept, &["write", "/empty/note"]).start();
    live.client.half_close();
    assert_eq!(live.client.rest(), b"");
    assert!(std::process::Command::new("umount").arg(path).status().unwrap().success());
    let ended = live.end();
    ended.expect(125, "refused");
    assert!(ended.err.contains("EROFS"), "{ended}");
}

#[test]
fn explain_and_check_say_what_stays() {
    let site = a_site!();
    let kept = Kept::new(&site);
    for (command, word) in [("explain", "written as 4242:4242"), ("check", "its size is not limited")] {
        let template = site.template();
        let output = std::process::Command::new(common::dayfly())
            .args([command, "--template", template.to_str().unwrap(), &kept.at("/empty"), "--", "/bin/probe"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(word), "{command}: {text}");
    }
}
