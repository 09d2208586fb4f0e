//! Exit statuses and records of `dayfly run`, as design and manual promise them.

use common::{Wire, a_site, need, sys};

#[test]
fn the_handlers_own_status_is_the_launchers() {
    let site = a_site!();
    for status in [0, 1, 2, 3, 64, 77, 100, 124, 125, 126, 127, 128, 137, 159, 200, 254, 255] {
        let ended = site.probe(&["exit", &status.to_string()]).wire(Wire::Pipes).talk(b"");
        ended.expect(status, "exited");
        assert!(ended.record["signal"].is_null() && ended.record["denied"].is_null(), "{ended}");
    }
}

#[test]
fn a_fault_is_128_plus_its_signal() {
    let site = a_site!();
    for (verb, signal) in [("crash", libc::SIGSEGV), ("illegal", libc::SIGILL)] {
        let ended = site.probe(&[verb]).talk(b"");
        ended.expect(128 + signal, "signaled");
        assert_eq!(ended.record["signal"], signal, "{ended}");
    }
}

#[test]
fn a_handler_killed_from_outside_is_137_and_not_taken_for_denied() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).start();
    let handler = live.await_ready();
    sys::kill(handler, libc::SIGKILL).unwrap();
    let ended = live.end();
    ended.expect(137, "signaled");
    assert_eq!(ended.record["signal"], libc::SIGKILL, "{ended}");
    assert!(ended.record["denied"].is_null(), "{ended}");
}

#[test]
fn a_denied_call_is_137_with_its_number_name_and_arguments() {
    let site = a_site!();
    let ended = site.probe(&["try", "socket_inet"]).talk(b"");
    ended.expect(137, "denied");
    let denied = &ended.record["denied"];
    assert_eq!(denied["nr"], libc::SYS_socket, "{ended}");
    assert_eq!(denied["name"], "socket", "{ended}");
    let args = denied["args"].as_array().expect("six arguments");
    assert_eq!(args.len(), 6, "{ended}");
    assert_eq!((&args[0], &args[1]), (&libc::AF_INET.into(), &libc::SOCK_STREAM.into()), "{ended}");
    assert!(ended.err.contains("socket"), "the log names it too\n{ended}");
    assert_eq!(ended.text(), "", "the probe never got an answer");
}

#[test]
fn a_denied_call_that_does_not_exist_has_its_number() {
    let site = a_site!();
    let ended = site.probe(&["try", "nonexistent"]).talk(b"");
    ended.expect(137, "denied");
    assert_eq!(ended.record["denied"]["nr"], 4242, "{ended}");
    assert_eq!(ended.record["denied"]["args"], serde_json::json!([1, 2, 3, 4, 5, 6]), "{ended}");
}

#[test]
fn the_record_has_the_promised_keys_and_no_others() {
    let site = a_site!();
    let ended = site.probe(&["exit", "0"]).talk(b"");
    let keys: Vec<&str> = ended.record.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = ["outcome", "status", "signal", "denied", "step", "errno"];
    wanted.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, wanted, "{ended}");
}

#[test]
fn wall_time_over_is_124() {
    let site = a_site!();
    let started = std::time::Instant::now();
    let ended = site.probe(&["spin"]).options(&["--wall-time", "300ms"]).talk(b"");
    ended.expect(124, "wall");
    let elapsed = started.elapsed().as_millis();
    assert!((300..5000).contains(&elapsed), "after {elapsed} ms");
}

/// Of the launcher's, or by a unit's SystemCallFilter=: both the sandbox and who holds its id map are ended
/// all the same.
#[test]
fn a_pidfd_by_which_no_signal_can_be_sent_keeps_no_sandbox_alive() {
    let site = a_site!();
    let strace = need!("strace");
    let before = [strace.to_str().unwrap(), "-D", "-qq", "-o", "/dev/null"];
    let fault = ["-e", "trace=pidfd_send_signal", "-e", "inject=pidfd_send_signal:error=EPERM"];
    for snapshot in ["readonly", "overlay"] {
        let launch = site.probe(&["sleep"]).before(&[&before[..], &fault].concat());
        let mut live = launch.options(&["--snapshot", snapshot, "--wall-time", "2s"]).start();
        assert_eq!(live.client.line(), "ready", "{snapshot}");
        live.end().expect(124, "wall");
    }
}

#[test]
fn idle_time_over_is_124() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).options(&["--idle-time", "1s", "--wall-time", "20s"]).start();
    live.await_ready();
    let started = std::time::Instant::now();
    live.end().expect(124, "idle");
    let elapsed = started.elapsed().as_millis();
    assert!((500..8000).contains(&elapsed), "after {elapsed} ms");
}

#[test]
fn bytes_from_the_client_put_off_the_idle_end() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).options(&["--idle-time", "2s", "--wall-time", "20s"]).start();
    live.await_ready();
    for _ in 0..8 {
        // Activity at a pace is what is tested: there is no event to wait for.
        std::thread::sleep(std::time::Duration::from_millis(500));
        live.client.send(b"x");
    }
    live.client.send(b"\n");
    assert_eq!(live.client.line(), "bye");
    live.end().expect(0, "exited");
}

#[test]
fn idle_time_does_not_count_on_pipes() {
    let site = a_site!();
    let options = ["--idle-time", "200ms", "--wall-time", "2500ms"];
    let mut live = site.probe(&["sleep"]).wire(Wire::Pipes).options(&options).start();
    live.await_ready();
    live.end().expect(124, "wall");
}

#[test]
fn a_missing_template_is_125() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).only_options(&["--template", "/var/tmp/no-such-template"]).talk(b"");
    ended.expect(125, "refused");
    assert!(ended.err.contains("/var/tmp/no-such-template"), "{ended}");
}

#[test]
fn a_missing_handler_is_127() {
    let site = a_site!();
    for name in ["/bin/absent", "absent"] {
        let ended = site.handler(&[name]).talk(b"");
        ended.expect(127, "not-found");
        assert!(ended.err.contains("absent"), "{ended}");
    }
}

#[test]
fn a_handler_without_execute_permission_is_126() {
    let mut site = a_site!();
    let probe = std::fs::read(common::test_bin("probe")).unwrap();
    site.add("bin/flat", &probe, 0o644);
    let ended = site.handler(&["/bin/flat"]).talk(b"");
    ended.expect(126, "not-executable");
    assert!(ended.err.contains("/bin/flat"), "{ended}");
}

#[test]
fn a_directory_as_handler_is_126() {
    let site = a_site!();
    site.handler(&["/bin"]).talk(b"").expect(126, "not-executable");
}

#[test]
fn a_dynamic_handler_is_126_and_its_interpreter_is_named() {
    let mut site = a_site!();
    let dynamic = std::fs::read("/bin/true").unwrap();
    site.add("bin/dynamic", &dynamic, 0o755);
    let ended = site.handler(&["/bin/dynamic"]).talk(b"");
    ended.expect(126, "not-executable");
    assert!(ended.err.contains("ld-linux") || ended.err.contains("/lib"), "no interpreter named\n{ended}");
}

#[test]
fn a_handler_for_another_machine_is_126() {
    let mut site = a_site!();
    let mut foreign = std::fs::read(common::test_bin("probe")).unwrap();
    // e_machine: the other of aarch64 and x86-64.
    let machine: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    foreign[18..20].copy_from_slice(&machine.to_le_bytes());
    site.add("bin/foreign", &foreign, 0o755);
    site.handler(&["/bin/foreign"]).talk(b"").expect(126, "not-executable");
}

#[test]
fn text_that_is_no_program_is_126() {
    let mut site = a_site!();
    site.add("bin/text", b"no program at all\n", 0o755);
    site.handler(&["/bin/text"]).talk(b"").expect(126, "not-executable");
    site.add("bin/nothing", b"", 0o755);
    site.handler(&["/bin/nothing"]).talk(b"").expect(126, "not-executable");
}

#[test]
fn a_script_runs_by_its_interpreter_out_of_the_template() {
    let mut site = a_site!();
    site.add("bin/script", b"#!/bin/probe see\n", 0o755);
    let ended = site.handler(&["/bin/script", "pid"]).talk(b"");
    // argv is `/bin/probe see /bin/script pid`: what it sees first is the script's own path.
    ended.expect(0, "exited");
    assert_eq!(ended.value("pid"), "1");
}

#[test]
fn a_script_whose_interpreter_is_missing_is_126_or_127() {
    let mut site = a_site!();
    site.add("bin/script", b"#!/bin/absent\n", 0o755);
    let ended = site.handler(&["/bin/script"]).talk(b"");
    assert!([126, 127].contains(&ended.status), "{ended}");
    assert!(ended.err.contains("/bin/absent"), "{ended}");
}

#[test]
fn an_unknown_option_is_2() {
    let site = a_site!();
    site.probe(&["echo"]).options(&["--no-such-option"]).talk(b"").is_usage_error("--no-such-option");
}

#[test]
fn a_bad_number_is_2() {
    let site = a_site!();
    let bad = [
        ["--wall-time", "soon"],
        ["--wall-time", "0"],
        ["--memory", "lots"],
        ["--memory", "0"],
        ["--memory", "12Q"],
        ["--rlimit", "nofile=3"],
        ["--rlimit", "nofile=64"],
        ["--rlimit", "nofile=many"],
        ["--rlimit", "nosuch=1"],
        ["--rlimit", "core=0"],
        ["--rlimit", "core=0:1"],
        ["--tmpfs", "/tmp:0"],
        ["--send-buffer", "0"],
        ["--user-range", "1000"],
        ["--user-range", "1879048192+100"],
        ["--status-fd", "eight"],
        ["--kill-signal", "SIGNOSUCH"],
        ["--owner", "www"],
        ["--cpu-affinity", "1-0"],
        ["--chdir", "srv"],
        ["--oom-score-adjust", "1001"],
        ["--snapshot", "zfs"],
        ["--net", "host"],
        ["--setenv", "NOEQUALS"],
        ["--allow-degraded", "capabilities"],
        ["--allow-degraded", "seccomp"],
    ];
    for [option, value] in bad {
        site.probe(&["echo"]).options(&[option, value]).talk(b"").is_usage_error(option);
    }
    site.probe(&["echo"]).options(&["--idle-time=-1s"]).talk(b"").is_usage_error("--idle-time");
}

#[test]
fn an_unknown_profile_is_2() {
    let site = a_site!();
    site.probe(&["echo"]).options(&["--profile", "nosuch"]).talk(b"").is_usage_error("nosuch");
}

#[test]
fn no_command_and_no_template_are_2() {
    let site = a_site!();
    let ended = site.handler(&[]).talk(b"");
    assert_eq!(ended.status, 2, "{ended}");
    let ended = site.probe(&["echo"]).only_options(&[]).talk(b"");
    assert_eq!(ended.status, 2, "{ended}");
    ended.is_usage_error("template");
}
