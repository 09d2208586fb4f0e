//! `serve`: every call of the supervisor, from its start to the exec of a handler.
//!
//! Whichever call fails, a connection gets the complete answer of a handler in a complete sandbox, or the
//! service's refusal, or is closed. The next connection is served, or the supervisor has ended and logged
//! why.

use crate::cases::Verdict::Said;
use crate::cases::{Line, Seen, Table, Verdict, asks_for_a_missing_wall, typical};
use crate::run::REFUSAL;
use crate::workers;
use common::inject::{Call, injector};
use common::serve::{Serve, Serving};
use common::{PATIENCE, Site, a_site};
use nix::errno::Errno;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

const PARKS: [&str; 2] = ["none", "entry"];

/// Before main, or without an effect that could be missed.
const NOT_TRIED: &[&str] = &[
    "arch_prctl",
    "set_tid_address",
    "sigaltstack",
    "poll",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "close",
    "umask",
    "mmap",
    "munmap",
    "brk",
    "madvise",
    "mremap",
    "mprotect",
    "getpid",
    "geteuid",
    "getegid",
    "clock_gettime",
];

/// Calls whose failure is told in words, not by the errno's name.
#[rustfmt::skip]
const IN_WORDS: &[Line] = &[
    Line { role: "launcher", calls: "capget", text: "", errnos: &[], verdict: Said, why: "as capabilities that the launcher lacks" },
    Line { role: "launcher", calls: "seccomp", text: "", errnos: &[], verdict: Said, why: "as what this kernel lacks" },
    Line { role: "launcher", calls: "open read", text: "\"/proc/sys/kernel/random/boot_id\"", errnos: &[], verdict: Said, why: "as what this kernel lacks" },
    Line { role: "launcher", calls: "open read", text: "\"/proc/sys/kernel/cap_last_cap\"", errnos: &[], verdict: Said, why: "as what this kernel lacks" },
    Line { role: "launcher", calls: "openat", text: "", errnos: &[Errno::ENOENT], verdict: Said, why: "as what does not exist" },
    Line { role: "launcher", calls: "landlock_create_ruleset", text: "", errnos: &[Errno::EPERM], verdict: Said, why: "the crate's own look at the ABI does not tell its errno" },
    Line { role: "launcher", calls: "pivot_root", text: "\"/\",\"/proc\"", errnos: &[Errno::EINVAL], verdict: Said, why: "asked whether the mounts are private, to which that is the answer no" },
];

#[derive(Debug)]
struct Case {
    park: &'static str,
    call: Call,
    errno: Errno,
    view: String,
    in_words: bool,
}

/// The bytes that a connection received.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Answer,
    Refusal,
    /// Its end without a byte.
    End,
    /// Nobody listens any more.
    Nobody,
    /// Bytes that no connection may receive.
    Other(String),
}

fn serve<'s>(site: &'s Site, park: &str) -> Serve<'s> {
    let options = ["--on-refusal", REFUSAL.0, "--wall-time", "5s", "--warm", "1", "--park", park];
    Serve::probe(site, &["see", "ids", "pid", "cwd", "fds", "tree", "/tmp"]).options(&options)
}

/// The answer but for the ids, which are another's.
fn view(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).into_owned();
    let lines = text.lines().filter(|line| !line.contains("uid ") && !line.contains("gid "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The supervisor's calls of a good life, and what its handler saw.
fn trace(site: &Site, park: &str) -> (Vec<Call>, String) {
    let (injector, report) = injector(&[], &["--trace"]);
    let serving = serve(site, park).under(injector).start();
    let answer = serving.ask(b"");
    assert_eq!(serving.terminate().0, 0);
    let calls = report.read().calls(site);
    let of_the_supervisor = calls.into_iter().filter(|call| call.role == "launcher");
    (of_the_supervisor.filter(|call| !NOT_TRIED.contains(&call.name.as_str())).collect(), view(&answer))
}

#[test]
fn no_call_of_the_supervisor_that_fails_loses_a_connection_or_a_layer() {
    let first = a_site!();
    let (table, mut seen, mut cases) = (Table::new(IN_WORDS), Seen::default(), Vec::new());
    for park in PARKS {
        let (calls, view) = trace(&first, park);
        // Refused for as long as it lives, as tests/faults/run.rs has it.
        let tried = calls.into_iter().filter(|call| !asks_for_a_missing_wall(&call.name, &call.text));
        for call in seen.new_of(tried.collect()) {
            for errno in [Errno::EPERM, typical(&call.name)] {
                let in_words = table.verdict(&call, errno).0 != Verdict::Refused;
                cases.push(Case { park, call: call.clone(), errno, view: view.clone(), in_words });
            }
        }
    }
    let mut complaints = workers::each(&cases, |_| {}, attempt);
    complaints.extend(table.stale());
    workers::none(complaints);
    println!("faults: {} calls of the supervisor failed", cases.len());
}

/// Calls of the supervisor's own sealing, but for those without an effect to miss: bounds and modes of
/// tmpfs that only it sees, a change into the directory that it is in.
const SEALING: &[&str] = &[
    "unshare",
    "sethostname",
    "mount_setattr",
    "open_tree",
    "fsopen",
    "fsmount",
    "move_mount",
    "pivot_root",
    "umount2",
    "fchdir",
    "pidfd_open",
];

#[test]
fn no_call_that_seals_the_supervisor_can_only_say_that_it_succeeded() {
    let first = a_site!();
    let (mut seen, mut cases) = (Seen::default(), Vec::new());
    for park in PARKS {
        let (calls, view) = trace(&first, park);
        let sealing =
            calls.into_iter().filter(|call| SEALING.contains(&call.name.as_str()) && call.answer >= 0);
        for call in seen.new_of(sealing.collect()) {
            cases.push(Case { park, call, errno: Errno::UnknownErrno, view: view.clone(), in_words: true });
        }
    }
    workers::none(workers::each(&cases, |_| {}, pretend));
    println!("faults: {} calls of the supervisor succeeded without effect", cases.len());
}

fn pretend(site: &Site, case: &Case) -> Result<(), String> {
    let (injector, report) = injector(&[case.call.rule(0)], &[]);
    let serving = serve(site, case.park).under(injector).start();
    let first = ask(&serving, &case.view);
    let goes_on = matches!(first, Got::Refusal | Got::Answer);
    let (status, log) = if goes_on { serving.terminate() } else { serving.end() };
    let fired = report.read().fired();
    let ended = matches!(first, Got::End | Got::Nobody) && status == 1;
    // A tree that is not where it should be is missed by the first sandbox; the supervisor then makes
    // it anew.
    let mended = first == Got::Answer && log.contains("reloaded the service");
    if fired > 0 && (first == Got::Refusal || ended || mended) {
        return Ok(());
    }
    Err(format!("{}, {}: fired {fired}; {first:?}, status {status}\n{log}", case.call, case.park))
}

/// The turn in which a call happens depends on the order of events. If it happened less often this time, try
/// again.
fn attempt(site: &Site, case: &Case) -> Result<(), String> {
    let mut tries = (0..3).map(|_| attempt_once(site, case));
    let last = tries.find(|(fired, _)| *fired > 0);
    last.map_or_else(
        || Err(format!("{}, {}: the rule was never applied", case.call, case.park)),
        |(_, done)| done,
    )
}

/// How often the rule was applied, and whether all was as it must be then.
fn attempt_once(site: &Site, case: &Case) -> (usize, Result<(), String>) {
    let (injector, report) = injector(&[case.call.rule(-i64::from(case.errno as i32))], &[]);
    let serving = serve(site, case.park).under(injector).start();
    let first = ask(&serving, &case.view);
    let second = again(&serving, case);
    let (status, log) = if second == Got::Nobody { serving.end() } else { serving.terminate() };
    let fired = report.read().fired();
    let must = |holds: bool, what: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!(
                "{} = {:?}, {}: {what}; {first:?}, {second:?}, status {status}\n{log}",
                case.call, case.errno, case.park
            ))
        }
    };
    let judged = || {
        must(fired == 1, "the rule was not applied once")?;
        must(
            !matches!(first, Got::Other(_)) && !matches!(second, Got::Other(_)),
            "a handler saw another sandbox",
        )?;
        let goes_on = second == Got::Answer;
        must(goes_on || second == Got::Nobody, "the next connection was not served")?;
        must(!goes_on || status == 0, "it did not end well")?;
        must(goes_on || [1, 2].contains(&status), "its end is no error of the start or of serve")?;
        let named = log.contains(&format!("{:?}", case.errno))
            || log.contains(&format!("(os error {})", case.errno as i32));
        must(first == Got::Answer || named || case.in_words, "nothing names the errno")
    };
    (fired, judged())
}

/// Until it is served, or the supervisor is gone.
fn again(serving: &Serving<'_>, case: &Case) -> Got {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = ask(serving, &case.view);
        if matches!(got, Got::Answer | Got::Nobody | Got::Other(_)) || Instant::now() > deadline {
            return got;
        }
    }
}

fn ask(serving: &Serving<'_>, expected: &str) -> Got {
    let Ok(mut client) = TcpStream::connect(serving.address) else { return Got::Nobody };
    client.set_read_timeout(Some(PATIENCE)).expect("a time");
    let _it_may_be_gone = client.write_all(b"").and_then(|()| client.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Got::Other(format!("{error}, after {answer:?}"))
        }
        _ if answer == REFUSAL.1 => Got::Refusal,
        _ if answer.is_empty() => Got::End,
        _ if view(&answer) == expected => Got::Answer,
        _ => Got::Other(String::from_utf8_lossy(&answer).into_owned()),
    }
}
