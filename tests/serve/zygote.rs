//! The zygote: what its sandboxes inherit, what each of them costs, and what happens when it ends.

use common::inject::injector;
use common::serve::{Serve, Serving};
use common::{Site, a_site, process, sys};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A site whose sandboxes mount nothing of their own: its template has no /tmp.
fn prepare(site: &mut Site) {
    std::fs::remove_dir(site.template().join("tmp")).unwrap();
    site.settle();
}

fn serve<'s>(site: &'s Site, words: &[&str]) -> Serve<'s> {
    Serve::probe(site, words).options(&["--snapshot", "readonly", "--warm", "4..8"])
}

/// The child of the supervisor that is root.
fn zygote(serving: &Serving<'_>) -> Option<u32> {
    zygote_of(serving.supervisor())
}

fn zygote_of(supervisor: u32) -> Option<u32> {
    let is_it = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("\nPPid:\t{supervisor}\n"))
            && status.contains("\nUid:\t0\t")
            && status.contains("\nSeccomp:\t2\n")
    };
    process::all().into_iter().find(is_it)
}

fn ends_well(serving: Serving<'_>) -> String {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    log
}

#[test]
fn a_sandbox_of_a_zygote_is_as_sealed_as_any_other() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["sleep"]).start();
    let mut clients = [serving.connect(), serving.connect()];
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
    let zygote = zygote(&serving).unwrap();
    let (served, host) = (serving.served(), std::process::id());
    let namespaces = |kind: &str| -> BTreeSet<String> {
        served.iter().map(|pid| process::namespace(*pid, kind)).collect()
    };
    assert_eq!(namespaces("pid").len(), 2);
    for kind in ["mnt", "net", "ipc", "uts", "cgroup"] {
        assert_eq!(namespaces(kind), BTreeSet::from([process::namespace(zygote, kind)]), "{kind}");
        assert!(!namespaces(kind).contains(&process::namespace(host, kind)), "{kind}");
    }
    let mut uids = BTreeSet::new();
    for pid in &served {
        let status = process::status(*pid);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
        assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
        assert_eq!(status["Groups"], "");
        assert!(uids.insert(status["Uid"].clone()) && !status["Uid"].split(' ').any(|uid| uid == "0"));
        assert_eq!(status["NSsid"].split_whitespace().last(), Some("1"), "its own session");
        assert_eq!(process::descriptors(*pid).into_keys().collect::<Vec<_>>(), [0, 1, 2]);
        let both = |limit: &str| (limit.to_owned(), limit.to_owned());
        assert_eq!(process::limit(*pid, "Max core file size"), both("1"));
        assert_eq!(process::limit(*pid, "Max cpu time"), both("30"));
    }
    drop(clients);
    ends_well(serving);
}

#[test]
fn a_zygote_holds_no_connection_and_no_more_than_it_needs() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["sleep"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let zygote = zygote(&serving).unwrap();
    let status = process::status(zygote);
    // setgid, setuid and sys_admin.
    assert_eq!(
        (status["CapPrm"].as_str(), status["CapEff"].as_str()),
        ("00000000002000c0", "00000000002000c0")
    );
    assert_eq!((status["CapBnd"].as_str(), status["Groups"].as_str()), ("0000000000000000", ""));
    let held: Vec<String> = process::descriptors(zygote).into_values().collect();
    assert!(held.iter().all(|target| !target.contains("socket") && !target.contains("seccomp")), "{held:?}");
    drop(client);
    ends_well(serving);
}

/// Its own time would count, and it would end with the limit.
#[test]
fn a_zygote_may_use_any_cpu_time_and_each_sandbox_as_much_as_its_service_says() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["sleep"]).options(&["--rlimit", "cpu=7"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let limit = |pid| process::limit(pid, "Max cpu time");
    assert_eq!(limit(serving.served()[0]), ("7".to_owned(), "7".to_owned()));
    assert_eq!(limit(zygote(&serving).unwrap()), limit(serving.supervisor()));
    drop(client);
    ends_well(serving);
}

/// The zygote says that it has none, and the sandbox asks for its descriptors.
#[test]
fn a_sandbox_that_its_zygote_denies_is_ended_and_reaped() {
    let mut site = a_site!();
    prepare(&mut site);
    let rule = "role=launcher/fork call=clone3 nth=2 : answer=-11";
    let (injector, report) = injector(&[rule.to_owned()], &[]);
    let serving = serve(&site, &["echo"]).under(injector).start();
    let supervisor = serving.supervisor();
    for n in 0..20 {
        let line = format!("line {n}\n").into_bytes();
        process::until(|| Some(serving.ask(&line)).filter(|answer| *answer == line));
    }
    let is_zombie = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("\nPPid:\t{supervisor}\n")) && status.contains("\nState:\tZ")
    };
    process::until(|| process::all().iter().all(|pid| !is_zombie(pid)).then_some(()));
    ends_well(serving);
    assert!(report.read().fired() > 0);
}

#[test]
fn a_sandbox_costs_no_pivot_no_unmount_and_no_filter() {
    let mut site = a_site!();
    prepare(&mut site);
    let (injector, report) = injector(&[], &["--trace"]);
    let serving = serve(&site, &["echo"]).under(injector).start();
    for _ in 0..20 {
        assert_eq!(serving.ask(b"one\n"), b"one\n");
    }
    ends_well(serving);
    let report = report.read();
    let count = |role: &str, name: &str| report.count(role, name);
    // The zygote's own root, and its two filters.
    for (name, expected) in [("umount2", 1), ("seccomp", 2)] {
        assert_eq!(count("launcher/fork", name), expected, "{name}");
    }
    let sandboxes = count("launcher/fork/pid", "setsid");
    assert!(sandboxes >= 20, "{sandboxes}");
    for name in ["pivot_root", "umount2", "move_mount", "unshare", "seccomp", "landlock_add_rule"] {
        assert_eq!(count("launcher/fork/pid", name), 0, "{name}");
    }
    assert_eq!(count("launcher/pid", "setsid"), 0, "each is a zygote's");
}

#[test]
fn no_handler_makes_a_call_that_the_set_up_makes() {
    let mut site = a_site!();
    prepare(&mut site);
    let calls = [
        ("setsid", libc::SYS_setsid),
        ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
        ("setresgid", libc::SYS_setresgid),
        ("setresuid", libc::SYS_setresuid),
        ("capset", libc::SYS_capset),
        ("prctl", libc::SYS_prctl),
        ("pipe2", libc::SYS_pipe2),
        ("clone", libc::SYS_clone),
    ];
    for (name, number) in calls {
        let serving = serve(&site, &["answers", &format!("{name}={number}")]).start();
        assert_eq!(serving.ask(b""), b"", "{name}");
        let log = ends_well(serving);
        assert!(log.contains("outcome=denied") && log.contains(&format!("{name}(")), "{name}: {log}");
    }
}

/// The guard hides clone3 from whoever has not the token.
#[test]
fn no_handler_clones_with_a_guessed_token() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["try", "clone3"]).start();
    let answer = String::from_utf8_lossy(&serving.ask(b"")).into_owned();
    assert!(answer.contains(&format!("clone3 errno {} ", libc::ENOSYS)), "{answer}");
    ends_well(serving);
}

/// Every moment of a hand-over is met sooner or later.
#[test]
fn a_zygote_that_is_killed_again_and_again_costs_nobody_an_answer() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["echo"]).start();
    let mut lasting = serving.connect();
    lasting.send(b"first\n");
    assert_eq!(lasting.line(), "first");
    let (over, supervisor) = (AtomicBool::new(false), serving.supervisor());
    let killed = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut killed, mut pause) = (0, 1);
            while !over.load(Ordering::Relaxed) {
                if let Some(pid) = zygote_of(supervisor) {
                    killed += u32::from(sys::kill(pid, libc::SIGKILL).is_ok());
                }
                pause = (pause * 7 + 3) % 40;
                std::thread::sleep(Duration::from_millis(pause));
            }
            killed
        });
        for n in 0..200 {
            let line = format!("line {n}\n").into_bytes();
            assert_eq!(serving.ask(&line), line, "{n}");
        }
        over.store(true, Ordering::Relaxed);
        killer.join().unwrap()
    });
    assert!(killed >= 3, "{killed}");
    lasting.send(b"last\n");
    assert_eq!(lasting.line(), "last");
    drop(lasting);
    ends_well(serving);
}

#[test]
fn a_reload_under_load_makes_another_zygote_and_costs_nobody_an_answer() {
    let mut site = a_site!();
    prepare(&mut site);
    let serving = serve(&site, &["echo"]).start();
    assert_eq!(serving.ask(b"one\n"), b"one\n");
    let before = zygote(&serving);
    for n in 0..100 {
        if n % 10 == 0 {
            serving.signal(libc::SIGHUP);
        }
        let line = format!("line {n}\n").into_bytes();
        assert_eq!(serving.ask(&line), line, "{n}");
    }
    let after = process::until(|| zygote(&serving).filter(|after| Some(*after) != before));
    assert!(before.is_some() && before != Some(after));
    ends_well(serving);
}
