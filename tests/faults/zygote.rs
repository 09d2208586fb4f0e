//! `serve` with a zygote: every call that makes it, that it waits in, and that a sandbox of it makes by
//! itself.

use crate::cases::Verdict::{Either, Ends, Less, Runs, Skip};
use crate::cases::{Line, Seen, Table, Verdict, typical};
use crate::run::REFUSAL;
use crate::serve::{Case, of_a_child, refused_then_served, serve, trace};
use crate::workers;
use common::inject::{Call, injector, valid_while};
use common::{Site, a_site, process, program};
use nix::errno::Errno;

const PARKS: [&str; 3] = ["entry", "ready", "read"];
const OPTIONS: &[&str] = &["--snapshot", "readonly"];
pub(crate) const ZYGOTE: &str = "launcher/fork";
pub(crate) const SANDBOX: &str = "launcher/fork/pid";

/// A template without /tmp: nothing is mounted for a sandbox alone.
fn prepare(site: &mut Site) {
    std::fs::remove_dir(site.template().join("tmp")).expect("an empty directory of the template");
    site.settle();
}

/// Calls that have no success to lose.
pub(crate) const HARMLESS: &[&str] =
    &["close", "umask", "mmap", "munmap", "brk", "madvise", "mremap", "mprotect"];

pub(crate) fn calls(site: &Site, park: &str, options: &[&str]) -> Vec<Call> {
    let calls = of_a_child(&trace(site, park, options), site);
    for role in [ZYGOTE, SANDBOX] {
        assert!(calls.iter().any(|call| call.role == role), "{park}: no call of {role}: {calls:?}");
    }
    assert!(calls.iter().all(|call| call.role.starts_with(ZYGOTE)), "{calls:?}");
    calls
}

#[test]
fn every_call_of_a_zygote_or_its_sandbox_that_fails_refuses_the_connection_and_serve_goes_on() {
    let mut first = a_site!();
    prepare(&mut first);
    let (mut seen, mut cases) = (Seen::default(), Vec::new());
    for park in PARKS {
        for call in seen.new_of(calls(&first, park, OPTIONS)) {
            // A zygote makes its clone again and again: tried below.
            if !HARMLESS.contains(&call.name.as_str()) && call.name != "clone3" {
                let errno = typical(&call.name);
                cases.push(Case { park, options: OPTIONS, call, errno });
            }
        }
    }
    workers::none(workers::each(&cases, prepare, refused_then_served));
    println!("faults: {} calls of zygotes and their sandboxes failed", cases.len());
}

#[test]
fn a_clone_of_a_zygote_that_fails_refuses_who_waits_and_the_next_is_served() {
    let mut site = a_site!();
    prepare(&mut site);
    for errno in [Errno::EPERM, Errno::ENOSYS, Errno::ENOSPC] {
        let file = std::env::temp_dir().join(format!("{}-clone", site.tag()));
        std::fs::write(&file, b"").expect("a file of our own");
        let rule = format!("role={ZYGOTE} call=clone3 : return={}", -(errno as i64));
        let (injector, report) = injector(&[rule], &valid_while(&file));
        let serving = serve(&site, "entry", OPTIONS).under(injector).start();
        assert_eq!(serving.ask(b"one\n"), REFUSAL.1, "{errno}");
        std::fs::remove_file(&file).expect("it is there");
        process::until(|| Some(serving.ask(b"two\n")).filter(|answer| answer == b"two\n"));
        let (status, log) = serving.terminate();
        assert!(status == 0 && log.contains("clone the sandbox's first process"), "{log}");
        assert!(report.read().fired() > 0);
    }
}

pub(crate) const fn line(
    role: &'static str,
    calls: &'static str,
    text: &'static str,
    verdict: Verdict,
    why: &'static str,
) -> Line {
    Line { role, calls, text, errnos: &[], verdict, why }
}

/// Calls whose success without effect need not be caught, and why.
#[rustfmt::skip]
const PRETENDING: &[Line] = &[
    line("*", "close", "", Skip, "releases the descriptor whatever it answers; the number of the next pipe shows the rest"),
    line("*", "umask", "", Skip, "cannot fail"),
    line(ZYGOTE, "clone3", "", Skip, "the zygote takes itself for the sandbox: it is no first process of a pid namespace, and ends"),
    line(ZYGOTE, "chdir", "", Runs, "it is there already, which is looked at"),
    line(ZYGOTE, "close_range", "0x3,0xffffffff", Runs, "close-on-exec for what is closed, and looked for, later"),
    line("*", "fcntl", "", Either, "asks whether a descriptor is open"),
    line(ZYGOTE, "getgroups", "", Runs, "one of two: the call whose effect it reads back would have to lie as well"),
    line(SANDBOX, "capget", "", Runs, "one of two: the call whose effect it reads back would have to lie as well"),
    line(ZYGOTE, "landlock_add_rule", "", Less, "a right that is not granted"),
    line(ZYGOTE, "mount_setattr", "\"/\"", Runs, "the mounts of serve are private already, which is looked at"),
    line(ZYGOTE, "dup2", "0x0", Runs, "the launcher's own is /dev/null as well"),
    line(ZYGOTE, "dup2", "0x1", Runs, "the launcher's own is /dev/null as well"),
    line(SANDBOX, "openat", "\"canary\"", Runs, "one of two looks, which then differ: the call between them would have to lie as well"),
    line(ZYGOTE, "personality", "", Runs, "the default already, which is read back"),
    line(ZYGOTE, "sched_getscheduler", "", Runs, "ordinary scheduling already"),
    line("*", "ppoll", "", Runs, "says that the supervisor lives; the parent-death signal is the other half"),
    line(ZYGOTE, "prctl", "0x17,", Runs, "answers 0 as it is"),
    line(ZYGOTE, "prctl", "0x2f,", Runs, "capset(2) empties the ambient set as well (capabilities(7))"),
    line(ZYGOTE, "prctl", "0x3,", Runs, "answers 0 as it is"),
    line(ZYGOTE, "statx", "\"/\"", Either, "one of two looks, which then differ: the call between them would have to lie as well"),
    line(ZYGOTE, "write read", "\"socket\"", Ends, "the supervisor is not told and does not answer: the zygote is given up"),
];

#[test]
fn every_call_of_a_zygote_or_its_sandbox_that_only_says_it_succeeded_is_caught() {
    let mut first = a_site!();
    prepare(&mut first);
    let (table, mut seen, mut cases) = (Table::new(PRETENDING), Seen::default(), Vec::new());
    for park in PARKS {
        for call in seen.new_of(calls(&first, park, OPTIONS)) {
            let verdict = table.verdict(&call, Errno::UnknownErrno);
            if verdict.0 != Skip && call.answer >= 0 {
                cases.push((Case { park, options: OPTIONS, call, errno: Errno::UnknownErrno }, verdict));
            }
        }
    }
    let mut complaints = workers::each(&cases, prepare, pretend);
    complaints.extend(table.stale());
    workers::none(complaints);
    println!("faults: {} calls of zygotes and their sandboxes succeeded without effect", cases.len());
}

pub(crate) fn pretend(site: &Site, (case, verdict): &(Case, (Verdict, &str))) -> Result<(), String> {
    let (injector, report) = injector(&[case.call.rule(0)], &[]);
    // From a supervisor that has groups and capabilities to lose.
    let setpriv = program("setpriv").expect("it is in scripts/programs");
    let before = ["--groups", "4,20,27", "--inh-caps", "+chown", "--ambient-caps", "+chown"];
    let before = [&[setpriv.to_str().expect("a path of the host")], &before[..]].concat();
    let serving = serve(site, case.park, case.options).before(&before).under(injector).start();
    let first = serving.ask(b"one\n");
    let (status, log) = serving.terminate();
    let report = report.read();
    let refused = first == REFUSAL.1 && !report.ran();
    let good = match verdict.0 {
        Verdict::Refused => refused,
        Runs => first == b"one\n",
        Either => refused || first == b"one\n",
        _ => true,
    };
    if good && report.fired() > 0 && status == 0 {
        return Ok(());
    }
    let (fired, ran) = (report.fired(), report.ran());
    let first = String::from_utf8_lossy(&first);
    Err(format!("{case:?}: fired {fired}, ran {ran}, wanted {:?}, got {first:?}\n{log}", verdict.0))
}
