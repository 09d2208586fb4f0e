//! Started by an ordinary user: what cannot be had is named, and given up only by name.

use common::{Launch, Site, Wire, a_site, process};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const USER: &str = "65534";
const DEGRADED: [&str; 2] = ["--allow-degraded", "uid,groups"];

/// A launcher that the user can reach wherever the tests were built, and the words that make us the user.
struct User {
    launcher: PathBuf,
    before: Vec<String>,
}

fn user(site: &mut Site) -> Option<User> {
    let Some(setpriv) = common::program("setpriv") else {
        common::skip("setpriv is not installed");
        return None;
    };
    let launcher = site.directory().join("dayfly");
    std::fs::copy(common::dayfly(), &launcher).unwrap();
    common::site::set_mode(&launcher, 0o755);
    site.settle();
    let before = [setpriv.to_str().unwrap(), "--reuid", USER, "--regid", USER, "--groups", "4,20"];
    let before: Vec<String> = before.map(String::from).into();
    Some(User { launcher, before })
}

impl User {
    fn runs<'s>(&self, launch: Launch<'s>) -> Launch<'s> {
        let before: Vec<&str> = self.before.iter().map(String::as_str).collect();
        launch.program(&self.launcher).before(&before)
    }
}

#[test]
fn by_default_it_refuses_and_names_the_layers_and_the_option() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let ended = user.runs(site.probe(&["echo"])).talk(b"");
    ended.expect(125, "refused");
    for word in ["uid", "groups", "--allow-degraded"] {
        assert!(ended.err.contains(word), "no {word}\n{ended}");
    }
}

#[test]
fn giving_up_one_of_two_layers_is_not_enough() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    for (given, missing) in [("uid", "groups"), ("groups", "uid")] {
        let launch = site.probe(&["echo"]).options(&["--allow-degraded", given]);
        let ended = user.runs(launch).talk(b"");
        ended.expect(125, "refused");
        assert!(ended.err.contains(missing), "{ended}");
    }
}

#[test]
fn with_both_given_up_it_serves() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    for wire in [Wire::Pipes, Wire::Tcp, Wire::Inetd, Wire::Activated] {
        for kind in ["readonly", "overlay"] {
            let launch = site.probe(&["echo"]).wire(wire).options(&DEGRADED).options(&["--snapshot", kind]);
            let ended = user.runs(launch).talk(b"for a user\n");
            ended.expect(0, "exited");
            assert_eq!(ended.text(), "for a user\n", "{wire:?} {kind}");
        }
    }
}

#[test]
fn everything_else_holds_as_for_root() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let mut live = user.runs(site.probe(&["sleep"]).options(&DEGRADED).inherit(&[5, 63])).start();
    let handler = live.await_ready();
    let status = process::status(handler);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
    assert_eq!(status["NSpid"], format!("{handler} 1"));
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"] {
        let host = process::namespace(std::process::id(), kind);
        assert_ne!(process::namespace(handler, kind), host, "{kind}");
    }
    let inside = process::descriptors(handler);
    assert_eq!(inside.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "{inside:?}");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn inside_it_is_not_root_either() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let ended = user.runs(site.probe(&["see", "ids"]).options(&DEGRADED)).talk(b"");
    ended.expect(0, "exited");
    for key in ["uid", "euid", "gid", "egid"] {
        assert_ne!(ended.value(key), "0", "{key}");
    }
}

#[test]
fn a_denied_call_is_recorded_and_a_second_exec_refused() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let ended = user.runs(site.probe(&["try", "connect_unspec"]).options(&DEGRADED)).talk(b"");
    ended.expect(137, "denied");
    assert_eq!(ended.record["denied"]["nr"], libc::SYS_connect, "{ended}");
    let ended = user.runs(site.probe(&["try", "execveat", "/bin/other"]).options(&DEGRADED)).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("errno {} ", libc::EACCES)), "{ended}");
}

#[test]
fn a_bind_is_written_as_the_caller_and_as_nobody_else() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let kept = PathBuf::from(format!("/var/tmp/{}-kept", site.tag()));
    common::site::make_directory(&kept, 0o777);
    let bind = format!("--bind={}:/empty", kept.display());
    let options = [bind.as_str(), "--snapshot", "readonly"];
    let write =
        || user.runs(site.probe(&["try", "write", "/empty/note"]).options(&DEGRADED).options(&options));
    common::site::give_to(&kept, 4242);
    let others = write().talk(b"");
    common::site::give_to(&kept, 65534);
    let own = write().talk(b"");
    let owner = std::fs::metadata(kept.join("note")).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
    std::fs::remove_dir_all(&kept).unwrap();
    others.is_usage_error("without root");
    assert_eq!(own.value("write"), "ok 21", "{own}");
    assert_eq!(owner.unwrap(), 65534);
}

#[test]
fn after_sigkill_nothing_is_left() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let mut live = user.runs(site.probe(&["spin"]).options(&DEGRADED)).start();
    live.await_ready();
    live.signal(libc::SIGKILL);
    live.end_killed();
}

#[test]
fn a_template_of_a_third_user_is_refused() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    common::site::give_to(&site.template(), 1234);
    site.settle();
    let ended = user.runs(site.probe(&["echo"]).options(&DEGRADED)).talk(b"");
    ended.expect(125, "refused");
    assert!(ended.err.contains(site.template().to_str().unwrap()), "{ended}");
}

#[test]
fn the_callers_own_template_is_accepted_from_the_caller_and_not_from_root() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    common::site::give_to(&site.template(), USER.parse().unwrap());
    site.settle();
    user.runs(site.probe(&["exit", "3"]).options(&DEGRADED)).talk(b"").expect(3, "exited");
    site.probe(&["exit", "3"]).talk(b"").expect(125, "refused");
}

/// The calls that open the way out, or to more privilege: each ends the handler, as it does root's.
#[test]
fn every_wall_stops_the_same_for_an_ordinary_user() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let denied = [
        "connect_unspec",
        "listen",
        "accept4",
        "sendto_fastopen_flag",
        "sendmsg",
        "recvmsg",
        "setsockopt",
        "ioctl_siocgifconf",
        "socket_inet",
        "socket_unix",
        "socket_netlink",
        "socketpair",
        "clone",
        "clone_newuser",
        "unshare_newuser",
        "unshare_newns",
        "setns",
        "ptrace",
        "kill",
        "mount",
        "umount2",
        "open_tree",
        "pivot_root",
        "bpf",
        "io_uring_setup",
        "keyctl",
        "userfaultfd",
        "perf_event_open",
        "open_by_handle_at",
        "memfd_create",
        "mprotect_exec",
        "setresuid",
        "capset",
        "prctl_dumpable",
        "nonexistent",
    ];
    for name in denied {
        let ended = user.runs(site.probe(&["try", name]).options(&DEGRADED)).talk(b"");
        ended.expect(137, "denied");
        assert_eq!(ended.text(), "", "{name} was answered\n{ended}");
    }
}

/// The groups that may read a file are the user's own business; the launcher's file modes still hold.
#[test]
fn a_file_for_root_alone_stays_so() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let ended = user.runs(site.probe(&["try", "open", "/etc/secret"]).options(&DEGRADED)).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("errno {} ", libc::EACCES)), "{ended}");
}

#[test]
fn a_users_supervisor_is_found_by_its_user_without_a_runtime_directory_of_its_own() {
    let mut site = a_site!();
    let Some(user) = user(&mut site) else { return };
    let beside = common::site::Beside::new(&site);
    let runtime = beside.0.join("runtime");
    common::site::make_directory(&runtime, 0o700);
    common::site::give_to(&runtime, USER.parse().unwrap());
    let dayfly = |words: &[&str]| {
        let mut command = Command::new(&user.before[0]);
        command.args(&user.before[1..]).arg(&user.launcher).args(words);
        command.env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", &runtime);
        command.stdin(Stdio::null());
        command
    };
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let words = ["serve", "--template", template.to_str().unwrap(), "--listen", "127.0.0.1:0", "-q"];
    let handler = ["--", "/bin/probe", &mark, "sleep"];
    let mut serving = dayfly(&[&words[..], &DEGRADED, &handler].concat()).spawn().unwrap();
    let end = Instant::now() + common::PATIENCE;
    let told = loop {
        let output = dayfly(&["stats", "--json"]).output().unwrap();
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        if Instant::now() > end {
            serving.kill().unwrap();
            serving.wait().unwrap();
            panic!("{output:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let socket = runtime.join(format!("dayfly/stats-{}", serving.id()));
    let was_there = socket.exists();
    common::sys::kill(serving.id(), libc::SIGTERM).unwrap();
    assert_eq!(serving.wait().unwrap().code(), Some(0));
    assert!(was_there && told.contains("\"live\":0"), "{told}");
    assert!(!socket.exists(), "it goes with the supervisor");
}
