//! What one connection can take from the others: CPU time, the event loop's attention, the log.

use common::serve::Serve;
use common::{a_site, process};
use std::process::Command;

#[test]
fn a_handler_that_has_used_its_burst_of_cpu_time_yields_to_all_others() {
    let site = a_site!();
    for init in ["--init=no", "--init=yes"] {
        let options = [init, "--cpu-burst", "20ms", "--idle-time", "infinity"];
        let serving = Serve::probe(&site, &["spin"]).options(&options).start();
        let _client = serving.connect();
        let pid = process::until(|| serving.served().first().copied());
        if process::read(pid, "autogroup").is_empty() {
            return common::skip("this kernel has no autogroups");
        }
        process::until(|| process::read(pid, "autogroup").contains("nice 19").then_some(()));
        serving.murder();
    }
}

/// The state of a process, as proc_pid_stat(5) has it: `T` is stopped.
fn state(pid: u32) -> Option<char> {
    process::read(pid, "stat").rsplit_once(") ")?.1.chars().next()
}

/// Nanoseconds on a processor.
fn ran(pid: u32) -> u64 {
    process::read(pid, "schedstat").split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
}

/// By its weight alone, each of many would keep a newcomer waiting.
#[test]
fn handlers_that_want_more_processors_than_there_are_run_in_turns() {
    let site = a_site!();
    let processors = std::thread::available_parallelism().unwrap().get();
    let count = processors * 4;
    for init in ["--init=no", "--init=yes"] {
        let options = [init, "--cpu-burst", "20ms", "--idle-time", "infinity", "--max-per-source", "1000"];
        let serving = Serve::probe(&site, &["spin"]).options(&options).start();
        let _clients: Vec<_> = (0..count).map(|_| serving.connect()).collect();
        let pids = process::until(|| Some(serving.served()).filter(|pids| pids.len() == count));
        let stopped = std::cell::RefCell::new(std::collections::BTreeSet::<u32>::new());
        process::until(|| {
            stopped.borrow_mut().extend(pids.iter().filter(|pid| state(**pid) == Some('T')).copied());
            (stopped.borrow().len() == count).then_some(())
        });
        let before: Vec<u64> = pids.iter().map(|pid| ran(*pid)).collect();
        // Each has its turn.
        process::until(|| pids.iter().zip(&before).all(|(pid, before)| ran(*pid) > *before).then_some(()));
        serving.murder();
    }
}

#[test]
fn a_stopped_handler_goes_on_when_the_others_have_ended() {
    let site = a_site!();
    let count = std::thread::available_parallelism().unwrap().get() * 4;
    let options = ["--cpu-burst", "20ms", "--idle-time", "infinity", "--max-per-source", "1000"];
    let serving = Serve::probe(&site, &["spin"]).options(&options).start();
    let clients: Vec<_> = (0..count).map(|_| serving.connect()).collect();
    let pids = process::until(|| Some(serving.served()).filter(|pids| pids.len() == count));
    let stopped = |pid: &&u32| state(**pid) == Some('T');
    let last = *process::until(|| pids.iter().find(stopped));
    for pid in pids.iter().filter(|pid| **pid != last) {
        process::kill(*pid);
    }
    let before = ran(last);
    process::until(|| (ran(last) > before).then_some(()));
    process::until(|| (state(last) != Some('T')).then_some(()));
    drop(clients);
    serving.murder();
}

/// Sandboxes that are cloned from a zygote have sessions of their own: one that yields takes no other with it.
#[test]
fn a_handler_that_has_used_its_burst_leaves_the_zygote_and_the_others_their_weight() {
    let mut site = a_site!();
    std::fs::remove_dir(site.template().join("tmp")).unwrap();
    site.settle();
    let options = ["--snapshot", "readonly", "--warm", "2", "--cpu-burst", "20ms", "--idle-time", "infinity"];
    let serving = Serve::probe(&site, &["spin"]).options(&options).start();
    let _client = serving.connect();
    let pid = process::until(|| serving.served().first().copied());
    let yields = |pid: u32| process::read(pid, "autogroup").contains("nice 19");
    process::until(|| yields(pid).then_some(()));
    let supervisor = serving.supervisor();
    let children = || process::read(supervisor, &format!("task/{supervisor}/children"));
    // The zygote, and the sandboxes that wait.
    let others = || -> Vec<u32> {
        children().split_whitespace().map(|pid| pid.parse().unwrap()).filter(|child| *child != pid).collect()
    };
    process::until(|| (others().len() >= 3).then_some(()));
    assert!(!others().into_iter().any(yields));
    serving.murder();
}

#[test]
fn a_handler_that_waits_keeps_its_weight() {
    let site = a_site!();
    let options = ["--cpu-burst", "20ms", "--idle-time", "infinity"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let _client = serving.connect();
    let pid = process::until(|| serving.served().first().copied());
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(!process::read(pid, "autogroup").contains("nice 19"));
    serving.murder();
}

/// What such a look can wait for is the handler's to choose: a file system that does not answer, an exec that
/// does not end.
#[test]
fn the_supervisor_looks_at_no_descriptor_of_a_running_handler() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).options(&["--idle-time", "3s"]).start();
    let _client = serving.connect();
    process::until(|| serving.served().first().copied());
    let supervisor = serving.supervisor().to_string();
    let calls = "trace=readlink,readlinkat,open,openat,openat2,pidfd_getfd,write";
    let traced =
        Command::new("timeout").args(["2", "strace", "-p", &supervisor, "-e", calls]).output().unwrap();
    let seen = String::from_utf8_lossy(&traced.stderr).into_owned();
    // The question to the kernel, so that the test sees what there is to see.
    assert!(seen.contains("write("), "{seen}");
    // The connection is at 0 and 1. Of a sandbox that is being built the seccomp listener is fetched, above
    // them.
    let looks = |line: &&str| {
        let fetched = line.starts_with("pidfd_getfd(") && !line.contains(", 3, ");
        fetched || line.starts_with("readlink") || line.contains("/fd/")
    };
    assert_eq!(seen.lines().find(looks), None, "{seen}");
    serving.murder();
}

/// 64 lines each, as many as a connection may have in a second.
#[test]
fn the_lines_of_one_source_leave_another_its_own() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["stderr", "64", "flood"]).start();
    for _ in 0..30 {
        serving.connect_from("127.0.0.2").rest();
    }
    serving.connect_from("127.0.0.3").rest();
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    let lines_of = |conn: u32| {
        let number = format!("conn={conn} ");
        log.lines().filter(|line| line.contains("flood") && line.contains(&number)).count()
    };
    assert_eq!((lines_of(1), lines_of(31)), (64, 64), "{log}");
    let of_the_first: usize = (1..=30).map(lines_of).sum();
    assert!((512..1024).contains(&of_the_first), "{of_the_first} lines");
    // What is missing is said, in few lines; no record is missing.
    let dropped: usize = log.lines().filter(|line| line.contains("lines dropped")).filter_map(lines_in).sum();
    assert_eq!(of_the_first + dropped, 30 * 64, "{log}");
    assert_eq!(log.matches("outcome=exited").count(), 31, "{log}");
}

fn lines_in(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once(" lines=")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn a_handler_whose_lines_are_too_many_is_read_more_seldom_than_it_could_write() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["stderr", "20000", &"x".repeat(90)]).start();
    let began = std::time::Instant::now();
    serving.connect().rest();
    // 2 MB, of which a pipe holds 64 KiB, read ten times a second.
    assert!(began.elapsed() > std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    serving.murder();
}

#[test]
fn an_attack_is_a_warning_and_an_answer_is_none() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["try", "setsid"]).start();
    drop(serving.connect().rest());
    let line = serving.await_log(&["outcome=denied"]);
    assert!(line.contains("warning"), "{line}");
    serving.murder();
    let serving = Serve::probe(&site, &["echo"]).options(&["--quiet"]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let (_, log) = serving.terminate();
    assert!(!log.contains("outcome="), "{log}");
}
