//! `dayfly learn`: what the profile denies is made, counted without loss and written; what the guard denies
//! is neither.

use common::serve::Serve;
use common::site::Beside;
use common::{Ended, Launch, Site};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// A site, and a directory beside it for what is learned there.
struct School {
    site: Site,
    beside: Beside,
}

impl School {
    fn new() -> Option<School> {
        let site = Site::new()?;
        let beside = Beside::new(&site);
        Some(School { site, beside })
    }

    fn file(&self) -> PathBuf {
        self.beside.0.join("learned.profile")
    }

    /// What was learned.
    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// A session of the probe while its service learns.
    fn learn(&self, words: &[&str]) -> Launch<'_> {
        self.learn_into(&self.file(), words)
    }

    fn learn_into(&self, file: &Path, words: &[&str]) -> Launch<'_> {
        let (output, template) = (file.to_str().unwrap(), self.site.template());
        let template = template.to_str().unwrap();
        let verb = ["learn", "--status-fd", "9", "--output", output, "--template", template];
        self.site.probe(words).verb(&verb)
    }

    /// The same session under what was learned.
    fn again(&self, words: &[&str]) -> Ended {
        self.site.probe(words).options(&["--profile", self.file().to_str().unwrap()]).talk(b"")
    }

    /// Lines of the profile that allow something, without their reasons.
    fn allowed(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.starts_with("allow"));
        lines.map(|line| line.split(" #").next().unwrap().trim().to_owned()).collect()
    }
}

/// A fresh [`School`]; leaves the test when this user cannot have one.
macro_rules! a_school {
    () => {
        match School::new() {
            Some(school) => school,
            None => return common::skip("this test needs root"),
        }
    };
}

/// The names of calls that a text has as words.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}

/// Calls that neither `static` nor the guard says anything of, and that end nothing, make no process and wait
/// for nothing.
#[cfg(target_arch = "x86_64")]
fn calls_that_static_does_not_know() -> Vec<(&'static str, &'static str)> {
    const TABLE: &str = include_str!("../../src/sys/syscalls-x86_64.txt");
    const KNOWN: [&str; 2] = [
        include_str!("../../src/seccomp/profiles/static.profile"),
        include_str!("../../src/seccomp/guard.rs"),
    ];
    const LEFT_OUT: [&str; 17] = [
        "execve",
        "execveat",
        "fork",
        "getegid",
        "geteuid",
        "getgid",
        "getuid",
        "msgget",
        "pause",
        "reboot",
        "semget",
        "shmget",
        "sync",
        "uprobe",
        "uretprobe",
        "vfork",
        "vhangup",
    ];
    let calls = TABLE.lines().filter_map(|line| line.split_once(' '));
    let is_new = |name: &str| !LEFT_OUT.contains(&name) && KNOWN.iter().all(|text| !mentions(text, name));
    calls.filter(|(name, _)| is_new(name)).take(200).collect()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn of_two_hundred_calls_made_by_four_threads_at_once_each_is_counted() {
    let school = a_school!();
    let calls = calls_that_static_does_not_know();
    assert_eq!(calls.len(), 200);
    let mut words = vec!["flood", "4", "50"];
    words.extend(calls.iter().map(|(_, number)| *number));
    let ended = school
        .learn(&words)
        .options(&["--tasks", "8", "--memory", "256M", "--idle-time", "infinity", "--wall-time", "5min"])
        .talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().starts_with("made 40000 in "), "{ended}");
    let text = school.text();
    for (name, _) in &calls {
        let line = text.lines().find(|line| line.split(' ').take(2).eq(["allow", name]));
        let line = line.unwrap_or_else(|| panic!("{name} is lost\n{text}\n{ended}"));
        assert!(line.contains("# learned: 200 times"), "{line}");
    }
}

#[test]
fn a_denied_call_is_made_and_becomes_a_line_that_allows_it() {
    let school = a_school!();
    let words = ["try", "flock", "/srv/hello"];
    school.site.probe(&words).talk(b"").expect(137, "denied");
    let ended = school.learn(&words).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().starts_with("flock ok "), "{ended}");
    let lines = school.allowed();
    assert!(lines.len() == 1 && lines[0].starts_with("allow flock if int1 == LOCK_"), "{lines:?}");
    let ended = school.again(&words);
    ended.expect(0, "exited");
    assert!(ended.text().starts_with("flock ok "), "{ended}");
    // Only what was seen: another argument is another call.
    school.again(&["try", "fcntl_setlk", "/srv/hello"]).expect(137, "denied");
}

#[test]
fn everything_that_is_said_says_that_learning_is_no_protection() {
    let school = a_school!();
    let ended = school.learn(&["try", "mincore"]).talk(b"");
    let first = ended.err.lines().next().unwrap();
    assert!(first.contains("learning is no protection"), "{ended}");
    assert!(!ended.err.contains("\nLearning is no protection"), "said twice: {ended}");
    for record in ["call recorded", " ended "] {
        let line = ended
            .err
            .lines()
            .find(|line| line.contains(record))
            .unwrap_or_else(|| panic!("{record}: {ended}"));
        assert!(line.contains("learning=\"no protection\""), "{line}");
    }
}

#[test]
fn what_the_guard_denies_is_not_made_while_learning_and_never_written() {
    let school = a_school!();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let port = host.local_addr().unwrap().port().to_string();
    for (attempt, call) in
        [("connect_addr", "connect"), ("sendto_fastopen", "sendto"), ("socket_inet", "socket")]
    {
        let ended = school.learn(&["try", attempt, &port]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{attempt} errno {} ", libc::ENOSYS)), "{ended}");
        assert!(
            ended.err.contains(&format!("{call}, once: the guard denies it under every profile")),
            "{ended}"
        );
        assert_eq!(school.allowed(), Vec::<String>::new(), "{attempt}");
        let knocked = host.accept();
        assert!(knocked.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "{attempt} came through");
    }
    let ended = school.learn(&["try", "socket_inet"]).talk(b"");
    assert!(ended.err.contains("open a socket for the handler with --open"), "{ended}");
}

/// The attempts of the attack suite, one session each, into one file.
#[test]
fn no_attack_that_is_made_while_learning_becomes_a_line() {
    let school = a_school!();
    for attempt in [
        "socket_inet",
        "socket_netlink",
        "socket_vsock",
        "socketpair_datagrams",
        "connect_unspec",
        "bind",
        "listen",
        "accept",
        "accept4",
        "sendto_oob",
        "sendmsg",
        "sendmmsg",
        "recvmsg",
        "recvmmsg",
        "setsockopt",
        "recvfrom_oob",
        "ioctl_tiocsti",
        "ioctl_tiocsti_high",
        "ioctl_siocgifconf",
        "clone_newuser",
        "clone_newnet",
        "unshare_newuser",
        "setns",
        "ptrace",
        "process_vm_readv",
        "mount",
        "umount2",
        "open_tree",
        "fsopen",
        "move_mount",
        "mount_setattr",
        "pivot_root",
        "bpf",
        "io_uring_setup",
        "userfaultfd",
        "keyctl",
        "add_key",
        "request_key",
        "perf_event_open",
        "open_by_handle_at",
        "init_module",
        "kexec_load",
        "clone3_newuser",
    ] {
        let ended = school.learn(&["try", attempt]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{attempt} errno {} ", libc::ENOSYS)), "{ended}");
        assert_eq!(school.allowed(), Vec::<String>::new(), "{attempt}\n{ended}");
    }
}

/// Three walls close exec: the filter stays one of them.
#[test]
fn no_second_program_is_executed_while_learning() {
    let school = a_school!();
    for attempt in ["execve", "execveat"] {
        let ended = school.learn(&["try", attempt, "/bin/other"]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{attempt} errno {} ", libc::EACCES)), "{ended}");
        assert_eq!(school.allowed(), Vec::<String>::new());
    }
    let ended = school.learn(&["try", "execve", "/bin/other"]).talk(b"");
    assert!(ended.err.contains("execve, once: use a profile with 'exec tree'"), "{ended}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_by_the_x32_door_ends_the_sandbox_while_learning_too() {
    let school = a_school!();
    school.learn(&["try", "x32"]).talk(b"").expect(137, "denied");
}

#[test]
fn a_line_of_the_profile_decides_while_learning_as_ever() {
    let school = a_school!();
    let text = "arch x86_64 aarch64\ninclude static\nerrno EXDEV mincore # mine\nkill inotify_init1 # mine\n";
    let mine = school.beside.file("mine.profile", text, 0o644);
    let profile = ["--profile", mine.to_str().unwrap()];
    let ended = school.learn(&["try", "mincore"]).options(&profile).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().starts_with(&format!("mincore errno {} ", libc::EXDEV)), "{ended}");
    assert!(ended.err.contains("mincore: EXDEV, once"), "{ended}");
    let ended = school.learn(&["try", "inotify_init1"]).options(&profile).talk(b"");
    ended.expect(137, "denied");
    assert!(ended.err.contains("inotify_init1: once"), "{ended}");
    assert_eq!(school.allowed(), Vec::<String>::new());
    assert!(school.text().contains(&format!("include {}\n", mine.display())));
}

#[test]
fn a_second_run_adds_to_the_file_what_it_does_not_allow_yet() {
    let school = a_school!();
    school.learn(&["try", "fcntl_setlk", "/srv/hello"]).talk(b"").expect(0, "exited");
    let first = school.text();
    school.learn(&["try", "fcntl_setlk", "/srv/hello"]).talk(b"").expect(0, "exited");
    assert_eq!(school.text(), first);
    school.learn(&["try", "fcntl_setown"]).talk(b"").expect(0, "exited");
    school.learn(&["try", "mincore"]).talk(b"").expect(0, "exited");
    let lines = school.allowed();
    assert!(
        lines.len() == 2 && school.text().contains("\n    or int1 == F_SETOWN # learned: once\n"),
        "{}",
        school.text()
    );
    for attempt in ["fcntl_setlk", "fcntl_setown", "mincore"] {
        school.again(&["try", attempt, "/srv/hello"]).expect(0, "exited");
    }
}

#[test]
fn a_file_that_is_not_about_the_service_s_profile_is_not_touched() {
    let school = a_school!();
    let text = "arch x86_64 aarch64\ninclude interpreter\n";
    school.beside.file("learned.profile", text, 0o644);
    let ended = school.learn(&["try", "mincore"]).talk(b"");
    ended.is_usage_error("no line 'include static'");
    assert_eq!(school.text(), text);
}

#[test]
fn serve_learns_from_as_many_connections_as_it_is_told_and_ends() {
    let school = a_school!();
    let file = school.file();
    let serving = Serve::probe(&school.site, &["try", "mincore"])
        .verb("learn")
        .options(&["--output", file.to_str().unwrap(), "--connections", "3", "--warm", "2"])
        .start();
    for _ in 0..3 {
        assert!(String::from_utf8(serving.ask(b"")).unwrap().starts_with("mincore "));
    }
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(school.text().contains("allow mincore # learned: 3 times, "), "{}", school.text());
}

/// With proposals for what the handler may read and write, and for the template.
#[test]
fn the_paths_that_were_opened_are_reported_with_what_they_are_for() {
    let school = a_school!();
    for (words, line) in [
        (["open", "/srv/hello"], "read: landlock_ro = [\"/srv\"]"),
        (["open", "srv/../srv/hello"], "read: landlock_ro = [\"/srv/../srv\"]"),
        (["write", "/tmp/x"], "written: landlock_rw = [\"/tmp\"]; "),
        (["open", "/srv/absent"], "not there, for the template if the handler needs it: /srv/absent"),
        (["open", "/srv/a\nallow ptrace # x"], "/srv/a\\x0aallow ptrace # x"),
    ] {
        let ended = school.learn(&["try", words[0], words[1]]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.err.contains(line), "{words:?}\n{ended}");
        assert_eq!(school.allowed(), Vec::<String>::new());
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let school = a_school!();
    let output = school.beside.0.join("absent/learned.profile");
    let ended = school.learn_into(&output, &["try", "mincore"]).talk(b"");
    assert_eq!((ended.status, ended.outcome()), (1, "exited"), "{ended}");
    assert!(ended.err.contains("cannot write"), "{ended}");
}
