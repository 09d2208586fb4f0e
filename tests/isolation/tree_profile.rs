//! The profile `tree`: a shell and its commands, a dynamically linked handler; and what it does not open.

use common::serve::Serve;
use common::{Ended, Launch, Site, a_site, need, program};
use std::os::unix::fs::symlink;

const TREE: [&str; 2] = ["--profile", "tree"];
const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// A template with a shell, a few commands and /dev; None where the host has none of them.
fn with_shell() -> Option<Site> {
    let mut site = Site::new()?;
    for name in ["sh", "cat", "ls", "sleep", "id", "mkfifo"] {
        let path = program(name)?;
        site.add_dynamic(&path.canonicalize().unwrap());
        let shown = site.template().join("bin").join(name);
        if !shown.exists() {
            symlink(path.canonicalize().unwrap(), shown).unwrap();
        }
    }
    common::site::make_directory(&site.template().join("dev"), 0o755);
    site.settle();
    Some(site)
}

fn shell<'s>(site: &'s Site, snapshot: &str, script: &str) -> Launch<'s> {
    let mark = format!("@{}", site.tag());
    site.handler(&["/bin/sh", "-c", script, &mark]).options(&TREE).options(&["--snapshot", snapshot])
}

/// Runs a script on both snapshots.
fn run(script: &str) -> Vec<Ended> {
    let Some(site) = with_shell() else {
        common::skip("this test needs root and a shell");
        return Vec::new();
    };
    SNAPSHOTS.map(|snapshot| shell(&site, snapshot, script).talk(b"a line\n")).into()
}

#[track_caller]
fn says(script: &str, expected: &str) {
    for ended in run(script) {
        ended.expect(0, "exited");
        assert_eq!(ended.text(), expected, "{script}\n{ended}");
    }
}

#[test]
fn a_shell_runs_commands_and_waits_for_them() {
    says("cat | cat; (exit 3); echo $?; sleep 0.01 & wait; echo done", "a line\n3\ndone\n");
}

#[test]
fn descriptors_can_be_put_aside_and_pipes_have_names() {
    says("{ echo inside; } > /tmp/f; cat /tmp/f", "inside\n");
    says("mkfifo /tmp/p; echo through > /tmp/p & cat /tmp/p; wait", "through\n");
}

#[test]
fn a_shell_has_a_home_and_a_name_unless_it_is_given_others() {
    says("echo $HOME $USER $LOGNAME", "/tmp handler handler\n");
    let Some(site) = with_shell() else { return common::skip("this test needs root and a shell") };
    let ended = shell(&site, "readonly", "echo $HOME").options(&["--setenv", "HOME=/srv"]).talk(b"");
    assert_eq!(ended.text(), "/srv\n", "{ended}");
}

#[test]
fn the_handler_is_not_pid_1_and_the_stub_cannot_be_killed() {
    says("echo $$; kill -9 1; echo still", "2\nstill\n");
}

#[test]
fn the_status_of_a_signal_is_the_handlers_own() {
    for ended in run("kill -TERM $$") {
        ended.expect(143, "signaled");
    }
}

#[test]
fn dev_has_five_devices_four_links_and_nothing_can_be_made_there() {
    let names = "fd full null random shm stderr stdin stdout urandom zero\n";
    says("cd /dev; echo *; : > null; cat null", names);
    for ended in run("echo x > /dev/made || echo refused") {
        assert!(ended.text().contains("refused"), "{ended}");
    }
    for ended in run("echo x > /dev/full || echo full") {
        assert!(ended.text().contains("full"), "{ended}");
    }
}

/// A writable shared mapping of it would be memory that no resource limit counts.
#[test]
fn dev_zero_can_be_read_and_not_opened_for_writing() {
    says("{ : < /dev/zero && echo read; }; echo x > /dev/zero || echo refused", "read\nrefused\n");
    for ended in run("echo x <> /dev/zero || echo refused") {
        assert_eq!(ended.text(), "refused\n", "{ended}");
    }
}

/// A template with /proc and /dev, and what a script says there.
fn with_proc(script: &str, options: &[&str]) -> Option<Ended> {
    let mut site = with_shell()?;
    common::site::make_directory(&site.template().join("proc"), 0o755);
    site.settle();
    Some(shell(&site, "readonly", script).options(&["--proc"]).options(options).talk(b"a line\n"))
}

#[test]
fn the_log_can_be_opened_as_dev_stderr() {
    let Some(ended) = with_proc("echo to the log > /dev/stderr; echo $?", &[]) else {
        return common::skip("this test needs root and a shell");
    };
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "0\n", "{ended}");
    assert!(ended.err.contains("to the log"), "{ended}");
}

#[test]
fn descriptors_have_names_in_dev_fd() {
    let Some(ended) = with_proc("echo inside > /tmp/f; cat /dev/fd/7 7< /tmp/f", &[]) else {
        return common::skip("this test needs root and a shell");
    };
    assert_eq!(ended.text(), "inside\n", "{ended}");
}

#[test]
fn shared_memory_can_be_mounted_and_nothing_else_in_dev() {
    let Some(site) = with_shell() else { return common::skip("this test needs root and a shell") };
    for snapshot in SNAPSHOTS {
        let launch = shell(&site, snapshot, "echo x > /dev/shm/x; cat /dev/shm/x; ls /dev/shm");
        let ended = launch.options(&["--tmpfs", "/dev/shm:1M"]).talk(b"");
        ended.expect(0, "exited");
        assert_eq!(ended.text(), "x\nx\n", "{ended}");
    }
    let ended = shell(&site, "readonly", "true").options(&["--tmpfs", "/dev/other"]).talk(b"");
    ended.expect(2, "refused");
    assert!(ended.err.contains("/dev/shm alone can be mounted on"), "{ended}");
}

#[test]
fn what_is_written_to_a_tmpfs_is_not_executable() {
    says("cat /bin/id > /tmp/x && chmod 755 /tmp/x 2>/dev/null; /tmp/x 2>/dev/null; echo $?", "126\n");
}

#[test]
fn a_file_of_the_template_is_executed_without_its_set_uid_bit() {
    let Some(mut site) = with_shell() else { return common::skip("this test needs root and a shell") };
    let id = site.template().join("usr/bin/id");
    common::site::set_mode(&id, 0o4755);
    site.settle();
    for snapshot in SNAPSHOTS {
        let ended = shell(&site, snapshot, "/usr/bin/id -u").talk(b"");
        ended.expect(0, "exited");
        assert_ne!(ended.text().trim(), "0", "{ended}");
    }
}

#[test]
fn a_dynamically_linked_handler_runs_under_tree_and_under_no_other_profile() {
    let cat = need!("cat").canonicalize().unwrap();
    let mut site = a_site!();
    site.add_dynamic(&cat);
    site.settle();
    let mark = format!("@{}", site.tag());
    let path = cat.to_str().unwrap();
    let launch = |options: &[&str]| site.handler(&[path, "-", &mark]).options(options).talk(b"through\n");
    // It complains of its second argument, which is how the harness finds it.
    let ended = launch(&TREE);
    assert_eq!((ended.status, ended.text().as_str()), (1, "through\n"), "{ended}");
    let ended = launch(&["--profile", "static"]);
    ended.expect(126, "not-executable");
    assert!(ended.err.contains("--profile tree runs it"), "{ended}");
}

#[test]
fn a_loader_that_is_not_in_the_template_is_named() {
    let cat = need!("cat");
    let mut site = a_site!();
    let program = std::fs::read(cat).unwrap();
    site.add("bin/cat", &program, 0o755);
    let ended = site.handler(&["/bin/cat"]).options(&TREE).talk(b"");
    ended.expect(126, "not-executable");
    assert!(ended.err.contains("is not in the template"), "{ended}");
}

/// Attempts that fail for a compromised shell too: the guard and the mounts are under every profile.
#[test]
fn the_hole_stays_closed() {
    let site = a_site!();
    let refused = [
        "socket_inet",
        "socketpair_datagrams",
        "socketpair_inet",
        "connect_unspec",
        "bind",
        "listen",
        "accept",
        "accept4",
        "sendmsg",
        "sendmmsg",
        "recvmsg",
        "recvmmsg",
        "setsockopt",
        "unshare_newuser",
        "unshare_newns",
        "mount",
        "umount2",
        "io_uring_setup",
        "clone3",
        "ioctl_siocgifconf",
        "ioctl_tiocsti",
        "ioctl_tiocsti_high",
        "prlimit_core",
        "setrlimit_core",
        "nonexistent",
    ];
    for name in refused {
        let ended = site.probe(&["try", name]).options(&TREE).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{name} errno ")), "{ended}");
    }
}

/// Under `tree` and `interpreter` an unknown call fails; what no program does by accident ends the sandbox.
#[test]
fn an_attack_ends_the_sandbox_whatever_the_default_verdict() {
    let site = a_site!();
    let attacks = [
        "ptrace",
        "process_vm_readv",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "keyctl",
        "add_key",
        "init_module",
        "kexec_load",
        "open_by_handle_at",
        "setns",
        "pivot_root",
        "open_tree",
        "fsopen",
        "move_mount",
        "mount_setattr",
        "sendto_addr",
        "sendto_fastopen",
        "sendto_oob",
        "recvfrom_oob",
        "x32",
    ];
    for profile in ["tree", "interpreter"] {
        for name in attacks {
            let ended = site.probe(&["try", name, "9"]).options(&["--profile", profile]).talk(b"");
            ended.expect(137, "denied");
        }
    }
    for name in ["clone_newuser", "clone_newnet"] {
        site.probe(&["try", name, "9"]).options(&TREE).talk(b"").expect(137, "denied");
    }
}

/// The default verdict of both: the call is not made, the handler goes on, and the record counts.
#[test]
fn an_unknown_call_fails_is_counted_and_ends_nothing() {
    let site = a_site!();
    for profile in ["tree", "interpreter"] {
        let ended = site.probe(&["try", "nonexistent"]).options(&["--profile", profile]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("nonexistent errno {} ", libc::ENOSYS)), "{ended}");
        assert!(ended.err.contains("call answered"), "{ended}");
        assert!(ended.err.contains("answered=1 answered_calls=\"call 4242\""), "{ended}");
    }
    site.probe(&["try", "nonexistent"]).talk(b"").expect(137, "denied");
}

/// asyncio and Node wake themselves by one; it leads nowhere, and neither descriptors nor out-of-band data
/// pass it.
#[test]
fn a_pair_of_unix_streams_is_for_interpreters_and_trees() {
    let site = a_site!();
    for profile in ["tree", "interpreter"] {
        let ended = site.probe(&["try", "socketpair"]).options(&["--profile", profile]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.text().starts_with("socketpair ok "), "{ended}");
    }
}

/// A denial says what to do about it.
#[test]
fn a_denied_call_comes_with_the_line_that_would_allow_it() {
    let site = a_site!();
    let ended = site.probe(&["try", "inotify_init1"]).talk(b"");
    ended.expect(137, "denied");
    assert!(ended.err.contains("advice=\"allow inotify_init1 if int0 == 0 # REASON\""), "{ended}");
    let ended = site.probe(&["try", "socket_inet"]).talk(b"");
    assert!(ended.err.contains("advice=\"the guard denies it under every profile: "), "{ended}");
}

#[test]
fn tasks_are_bounded() {
    let script = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all";
    let Some(site) = with_shell() else { return common::skip("this test needs root and a shell") };
    let ended = shell(&site, "readonly", script).options(&["--wall-time", "4s"]).talk(b"");
    assert!(!ended.text().contains("all"), "{ended}");
    assert!(ended.err.contains("Cannot fork"), "{ended}");
}

#[test]
fn memory_must_be_bounded() {
    let site = a_site!();
    let options = ["--profile", "tree", "--memory", "infinity"];
    site.probe(&["echo"]).options(&options).talk(b"").expect(2, "refused");
}

#[test]
fn everything_ends_with_the_handler() {
    let Some(site) = with_shell() else { return common::skip("this test needs root and a shell") };
    for snapshot in SNAPSHOTS {
        // Left behind in the background; the harness looks for what remains.
        shell(&site, snapshot, "sleep 60 & sleep 60 & exit 5").talk(b"").expect(5, "exited");
    }
}

/// The tree and its devices stand ready in the base; the shell is parked before its exec.
#[test]
fn a_resident_service_keeps_shells_ready() {
    let Some(site) = with_shell() else { return common::skip("this test needs root and a shell") };
    let names = "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n";
    for snapshot in SNAPSHOTS {
        let mark = format!("@{}", site.tag());
        let script = "read line; (echo got $line) | cat; : > /dev/null && ls /dev | cat";
        let mut serve =
            Serve::probe(&site, &[]).options(&TREE).options(&["--snapshot", snapshot, "--warm", "2..2"]);
        serve.replace_handler(&["/bin/sh", "-c", script, &mark]);
        let serving = serve.start();
        for n in 0..5 {
            let answer = String::from_utf8(serving.ask(format!("{n}\n").as_bytes())).unwrap();
            assert_eq!(answer, format!("got {n}\n{names}"), "{snapshot}");
        }
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

/// Devices take one capability more; a template without a place for them does without both.
#[test]
fn without_the_capability_for_devices_a_template_with_dev_is_refused() {
    let setpriv = need!("setpriv");
    let mut site = a_site!();
    let without = [setpriv.to_str().unwrap(), "--bounding-set=-mknod", "--inh-caps=-mknod"];
    let run = |site: &Site| site.probe(&["echo"]).options(&TREE).before(&without).talk(b"");
    run(&site).expect(0, "exited");
    common::site::make_directory(&site.template().join("dev"), 0o755);
    site.settle();
    let ended = run(&site);
    ended.expect(125, "refused");
    assert!(ended.err.contains("CAP_MKNOD"), "{ended}");
}

/// An interpreter works within its one process; what it cannot have is an error in the script, not its end.
#[test]
fn an_interpreter_goes_on_where_it_cannot_fork() {
    let busybox = need!("busybox");
    let mut site = a_site!();
    let program = std::fs::read(busybox).unwrap();
    site.add("bin/busybox", &program, 0o711);
    let script = "BEGIN {system(\"ls\"); print \"still\" > \"/tmp/x\"; close(\"/tmp/x\"); getline l < \"/tmp/x\"; print l}";
    let mark = format!("@{}", site.tag());
    let options = ["--profile", "interpreter", "--snapshot", "readonly"];
    let ended = site.handler(&["/bin/busybox", "awk", script, &mark]).options(&options).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "still\n", "{ended}");
}

#[test]
fn shared_memory_that_no_limit_counts_is_refused_without_an_end() {
    let site = a_site!();
    let kinds = ["mmap of shared memory", "mmap of a growing stack", "mmap of huge pages"];
    let ended = site.probe(&[&["calls"], &kinds[..]].concat()).options(&TREE).talk(b"");
    ended.expect(0, "exited");
    let expected: String = kinds.iter().map(|kind| format!("{kind} errno {}\n", libc::ENOMEM)).collect();
    assert_eq!(ended.text(), expected, "{ended}");
}
