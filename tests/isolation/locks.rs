//! Locks on files: allowed where all files are the sandbox's own, so that no lock is seen by another sandbox
//! or the host.

use common::serve::Serve;
use common::site::Beside;
use common::{Ended, Site, a_site};
use std::fs::{File, TryLockError};

const PROFILES: [&str; 2] = ["tree", "interpreter"];
const LOCKS: [&str; 2] = ["flock", "fcntl_setlk"];

/// One attempt to lock, under a profile and these options.
fn attempt(site: &Site, profile: &str, words: &[&str], options: &[&str]) -> Ended {
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let ended = site.probe(&words).options(&["--profile", profile]).options(options).talk(b"");
    ended.expect(0, "exited");
    ended
}

/// The answers to both kinds of locks on a file of the template, under both profiles.
fn answers(site: &Site, options: &[&str]) -> Vec<String> {
    let each = PROFILES.iter().flat_map(|profile| LOCKS.map(|lock| (profile, lock)));
    each.map(|(profile, lock)| attempt(site, profile, &[lock, "/srv/hello"], options).text()).collect()
}

#[track_caller]
fn are_denied(answers: &[String]) {
    let (flock, fcntl) =
        (format!("flock errno {} ", libc::ENOSYS), format!("fcntl_setlk errno {} ", libc::EINVAL));
    assert!(
        answers.iter().all(|answer| answer.starts_with(&flock) || answer.starts_with(&fcntl)),
        "{answers:?}"
    );
}

#[test]
fn a_sandbox_locks_files_of_its_overlay() {
    let site = a_site!();
    let answers = answers(&site, &["--snapshot", "overlay"]);
    assert!(answers.iter().all(|answer| answer.contains(" ok ")), "{answers:?}");
}

#[test]
fn files_of_the_template_that_sandboxes_share_cannot_be_locked() {
    let site = a_site!();
    are_denied(&answers(&site, &["--snapshot", "readonly"]));
}

/// A program of the host could wait for them.
#[test]
fn with_a_file_of_the_hosts_that_is_only_read_nothing_can_be_locked() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let file = beside.file("data", "x", 0o644);
    let file = file.to_str().unwrap();
    are_denied(&answers(&site, &["--bind-ro", &format!("{file}:/srv/hello")]));
    are_denied(&answers(&site, &["--open", &format!("{file}:data:ro")]));
}

#[test]
fn the_locks_of_two_sandboxes_and_of_the_host_on_one_file_of_the_template_do_not_meet() {
    let site = a_site!();
    let serving =
        Serve::probe(&site, &["lock", "/srv/hello"]).options(&["--profile", "tree", "--warm", "2"]).start();
    let mut one = serving.connect();
    assert_eq!(one.line(), "ready");
    let mut other = serving.connect();
    assert_eq!(other.line(), "ready");
    File::open(site.template().join("srv/hello")).unwrap().try_lock().unwrap();
    drop((one, other));
    serving.terminate();
}

/// Who keeps files there wants the locks.
#[test]
fn a_lock_in_a_writable_bind_holds_for_the_host_and_for_other_sandboxes() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let file = beside.file("data", "x", 0o666);
    let bind = format!("{}:/empty:4242", beside.0.display());
    let options = ["--profile", "tree", "--bind", &bind];
    let mut live = site.probe(&["lock", "/empty/data"]).options(&options).start();
    live.await_ready();
    let host = File::open(&file).unwrap();
    assert!(matches!(host.try_lock(), Err(TryLockError::WouldBlock)));
    live.client.send(b"\n");
    live.end().expect(0, "exited");
    host.try_lock().unwrap();
    let ended = site.probe(&["lock", "/empty/data"]).options(&options).talk(b"");
    assert_eq!(ended.text(), format!("errno {}\n", libc::EAGAIN), "{ended}");
}

#[test]
fn a_profile_has_the_last_word_about_locks() {
    let site = a_site!();
    let beside = Beside::new(&site);
    for (text, words, answer) in [
        ("include tree\nlocks no\n", ["flock", "/srv/hello"], format!("errno {} ", libc::ENOSYS)),
        (
            "include tree\nerrno ENOLCK flock # mine\n",
            ["flock", "/srv/hello"],
            format!("errno {} ", libc::ENOLCK),
        ),
        ("include static\nlocks own\n", ["fcntl_setlk", "/srv/hello"], "ok ".to_owned()),
    ] {
        let file = beside.file("mine.profile", &format!("arch x86_64 aarch64\n{text}"), 0o644);
        let ended = attempt(&site, file.to_str().unwrap(), &words, &[]);
        assert!(ended.text().starts_with(&format!("{} {answer}", words[0])), "{text}\n{ended}");
    }
}

#[test]
fn explain_says_whether_files_can_be_locked() {
    let site = a_site!();
    let template = site.template();
    let says = |options: &[&str]| {
        let mut command = std::process::Command::new(common::dayfly());
        command
            .args(["explain", "--profile", "tree", "--template", template.to_str().unwrap()])
            .args(options);
        String::from_utf8(command.args(["--", "/bin/probe"]).output().unwrap().stdout).unwrap()
    };
    let line = |text: &str| text.lines().find(|line| line.contains("file locks")).map(str::to_owned).unwrap();
    assert!(line(&says(&[])).contains("allowed"), "{}", says(&[]));
    assert!(line(&says(&["--snapshot", "readonly"])).contains("denied"));
}
