//! When the machine is short of something: what lives goes on, who comes waits, and nothing is learnt of
//! the handler.

use common::serve::{Serve, Serving};
use common::{Client, a_site, need, process};
use std::path::Path;

#[track_caller]
fn ends_well(serving: Serving<'_>) -> String {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    log
}

/// One clone a sandbox, and one sandbox ahead.
const READONLY: [&str; 4] = ["--snapshot", "readonly", "--warm", "1"];

/// The same where a zygote makes the clones: each process counts its own calls.
fn with_failing_clones<'s>(serve: Serve<'s>, strace: &Path, fault: &str) -> Serve<'s> {
    let inject = format!("inject=clone3:error={fault}");
    let strace = strace.to_str().unwrap();
    serve.before(&[strace, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3", "-e", &inject])
}

/// The launcher under strace, which makes some of its calls fail and not those of its sandboxes.
fn with_fault<'s>(serve: Serve<'s>, strace: &Path, call: &str, fault: &str) -> Serve<'s> {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={fault}"));
    let strace = strace.to_str().unwrap();
    // -D: the launcher is the child of the test, strace is not.
    serve.before(&[strace, "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}

#[test]
fn a_clone_that_fails_for_a_while_costs_nobody_an_answer() {
    let site = a_site!();
    let strace = need!("strace");
    for errno in ["EAGAIN", "ENOMEM"] {
        let serve = Serve::probe(&site, &["echo"]).options(&READONLY);
        // Without the first: the pool is filled, used once, and then cannot be filled again for a second.
        let serving = with_failing_clones(serve, &strace, &format!("{errno}:when=2..9")).start();
        for _ in 0..4 {
            assert_eq!(serving.ask(b"x\n"), b"x\n");
        }
        let log = ends_well(serving);
        assert!(log.contains("cannot accept, pausing"), "{log}");
        assert!(!log.contains("cannot be parked"), "{log}");
    }
}

#[test]
fn who_is_gone_before_there_is_a_sandbox_costs_none() {
    let site = a_site!();
    let strace = need!("strace");
    let serve = Serve::probe(&site, &["echo"]).options(&READONLY);
    let serving = with_failing_clones(serve, &strace, "EAGAIN:when=2..15").start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let sockets = || {
        let open = process::descriptors(serving.supervisor());
        open.values().filter(|name| name.starts_with("socket:")).count()
    };
    let stats = || {
        let mut stats = std::process::Command::new(common::dayfly());
        let output = stats.args(["stats", "--socket"]).arg(site.directory().join("stats")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // The first connection's socket must be closed before the others are counted.
    process::until(|| stats().contains(": 0 live").then_some(()));
    let before = sockets();
    // One that resets, between two that have only ended their sending.
    let mut clients: Vec<Client> = (0..3).map(|_| serving.connect()).collect();
    for client in &mut clients {
        client.send(b"y\n");
        client.half_close();
    }
    process::until(|| (sockets() == before + clients.len()).then_some(()));
    let peer = clients.remove(1).reset();
    for client in &mut clients {
        assert_eq!(client.rest(), b"y\n");
    }
    // The connection is counted when the supervisor comes to it, which may be after the others' answers.
    process::until(|| stats().contains("gone              1 before they had a sandbox").then_some(()));
    let log = ends_well(serving);
    assert!(!log.contains(&format!("peer={peer} ")), "{log}");
    assert_eq!(log.matches("outcome=exited").count(), 3, "{log}");
}

#[test]
fn who_waits_too_long_for_a_clone_is_refused() {
    let site = a_site!();
    let strace = need!("strace");
    let serve = Serve::probe(&site, &["echo"]).options(&READONLY).options(&["--on-refusal", "sorry\\n"]);
    let serving = with_failing_clones(serve, &strace, "EAGAIN:when=2+").start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.ask(b"x\n"), b"sorry\n");
    let log = ends_well(serving);
    assert!(log.contains("cannot clone the sandbox's first process: EAGAIN"), "{log}");
    // Tried again ten times a second, said once.
    assert!(log.matches("pausing").count() < 20, "{log}");
}

#[test]
fn an_accept_that_fails_for_a_while_costs_nobody_an_answer() {
    let site = a_site!();
    let strace = need!("strace");
    for errno in ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"] {
        let serve = Serve::probe(&site, &["echo"]);
        let serving = with_fault(serve, &strace, "accept4", &format!("{errno}:when=2..5")).start();
        for _ in 0..3 {
            assert_eq!(serving.ask(b"x\n"), b"x\n", "{errno}");
        }
        let log = ends_well(serving);
        assert!(log.contains("pausing"), "{errno}: {log}");
    }
}

/// Children that have ended and were not waited for.
fn zombies(parent: u32) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let status = process::read(*pid, "status");
        status.contains(&format!("PPid:\t{parent}\n")) && status.contains("State:\tZ")
    };
    process::all().into_iter().filter(is_one).collect()
}

#[test]
fn a_sandbox_that_cannot_be_watched_is_a_refusal_and_leaves_nothing() {
    let site = a_site!();
    let strace = need!("strace");
    // The signals, the listener and the stats socket come first, at start: then from some call on all fail
    // for a while.
    for park in ["entry", "before-exec", "none"] {
        for from in 4..15 {
            let options = ["--park", park, "--warm", "1", "--on-refusal", "sorry\\n"];
            let serve = Serve::probe(&site, &["echo"]).options(&options);
            let fault = format!("ENOSPC:when={from}..{}", from + 3);
            let serving = with_fault(serve, &strace, "epoll_ctl", &fault).start();
            let answer = || serving.ask(b"x\n");
            let answers: Vec<_> = (0..4).map(|_| answer()).collect();
            assert!(answers.iter().all(|a| a == b"x\n" || a == b"sorry\n"), "{park} {from}: {answers:?}");
            // It recovers.
            let good = process::until(|| Some(answer()).filter(|answer| answer == b"x\n"));
            assert_eq!(good, b"x\n", "{park} {from}");
            process::until(|| zombies(serving.supervisor()).is_empty().then_some(()));
            ends_well(serving);
        }
    }
}

#[test]
fn with_few_descriptors_those_who_come_are_served_one_after_the_other() {
    let site = a_site!();
    let prlimit = need!("prlimit");
    // Enough for about ten live sandboxes.
    let before = [prlimit.to_str().unwrap(), "--nofile=100:100"];
    let options = ["--max-per-source", "100", "--warm", "2..4"];
    let serving = Serve::probe(&site, &["sleep"]).before(&before).options(&options).start();
    let mut clients: Vec<Client> = (0..40).map(|_| serving.connect()).collect();
    serving.await_log(&["the limit is 100 descriptors", "LimitNOFILE="]);
    serving.await_log(&["pausing"]);
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
        client.send(b"\n");
        assert_eq!(client.rest(), b"bye\n");
    }
    let log = ends_well(serving);
    assert!(!log.contains("outcome=refused"), "{log}");
}
