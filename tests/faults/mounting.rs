//! `serve` with a zygote whose sandboxes mount something of their own: every call that makes it, and that a
//! sandbox of it makes.

use crate::cases::Verdict::{Either, Ends, Less, Runs, Skip};
use crate::cases::{Line, Seen, Table, typical};
use crate::serve::{Case, refused_then_served};
use crate::workers;
use crate::zygote::{HARMLESS, SANDBOX, ZYGOTE, calls, line, pretend};
use common::a_site;
use nix::errno::Errno;

const PARKS: [&str; 2] = ["entry", "before-exec"];
/// The template has a /tmp, and so each sandbox a tmpfs.
const OPTIONS: [&[&str]; 3] = [
    &["--snapshot", "overlay"],
    &["--snapshot", "readonly"],
    &["--snapshot", "overlay", "--bind-ro", "/etc/services:/etc/os-release", "--init"],
];

#[test]
fn every_call_of_a_mounting_zygote_or_its_sandbox_that_fails_refuses_the_connection_and_serve_goes_on() {
    let first = a_site!();
    let (mut seen, mut cases) = (Seen::default(), Vec::new());
    for (park, options) in PARKS.iter().flat_map(|park| OPTIONS.map(|options| (park, options))) {
        for call in seen.new_of(calls(&first, park, options)) {
            if !HARMLESS.contains(&call.name.as_str()) {
                let errno = typical(&call.name);
                cases.push(Case { park, options, call, errno });
            }
        }
    }
    workers::none(workers::each(&cases, |_| {}, refused_then_served));
    println!("faults: {} calls of mounting zygotes and their sandboxes failed", cases.len());
}

/// Calls whose success without effect need not be caught, and why.
#[rustfmt::skip]
const PRETENDING: &[Line] = &[
    line("*", "close", "", Skip, "releases the descriptor whatever it answers"),
    line("*", "umask", "", Skip, "cannot fail"),
    line(ZYGOTE, "clone3", "", Skip, "the zygote takes itself for the sandbox: it is no first process of a pid namespace, and ends"),
    line("*", "chdir", "", Runs, "it is there already, which is looked at"),
    line("*", "close_range", "0x3,0xffffffff", Runs, "close-on-exec for what is closed, and looked for, later"),
    line(ZYGOTE, "close_range", "0x3d,0x3d", Runs, "nothing has the number here; what has it is found by the look that follows"),
    line("launcher/fork/pid/fork", "close_range", "0x40,", Runs, "those above 63 are close-on-exec since the first step"),
    line(SANDBOX, "close_range", "0x40,", Runs, "those above 63 are close-on-exec since the first step"),
    line("*", "fcntl", "", Either, "asks whether a descriptor is open"),
    line("*", "getgroups capget", "", Either, "one of two: the call whose effect it reads back would have to lie as well"),
    line("*", "setgroups", "", Either, "the sandbox's groups are the zygote's, which has none"),
    line(ZYGOTE, "dup2", "0x0", Runs, "the launcher's own is /dev/null as well"),
    line(ZYGOTE, "dup2", "0x1", Runs, "the launcher's own is /dev/null as well"),
    line(ZYGOTE, "mount_setattr", "\"/\"", Runs, "the mounts of serve are private already, which is looked at"),
    line(ZYGOTE, "mkdirat", "\"proc\"", Either, "the place at which a sandbox attaches, or does not"),
    line(ZYGOTE, "personality", "", Runs, "the default already, which is read back"),
    line(ZYGOTE, "sched_getscheduler", "", Runs, "ordinary scheduling already"),
    line("*", "ppoll", "", Runs, "says that the supervisor lives; the parent-death signal is the other half"),
    line("*", "prctl", "0x17,", Runs, "answers 0 as it is"),
    line("*", "prctl", "0x2f,", Runs, "capset(2) empties the ambient set as well (capabilities(7))"),
    line("*", "prctl", "0x3,", Runs, "answers 0 as it is"),
    line("*", "prctl", "0x4,", Runs, "the change of ids has switched dumpable off already, which is read back"),
    line("*", "statx", "\"/\"", Either, "one of two looks, which then differ: the call between them would have to lie as well"),
    line("*", "statx", "\"\"", Less, "itself a look: the call that it looks after would have to lie as well, or a directory gets the rights of a file"),
    line(SANDBOX, "dup2", "0x0", Runs, "the zygote's own is /dev/null as well"),
    line(SANDBOX, "dup2", "0x1", Runs, "the zygote's own is /dev/null as well"),
    line(SANDBOX, "dup3", "0x3f", Runs, "the zygote has the handler's file there, which is looked at"),
    line(SANDBOX, "mount_setattr", "\"\"", Less, "the template's files stay root's; it is read-only in the zygote already"),
    line(SANDBOX, "close_range", "0x3e,0x3e", Runs, "the stub keeps the channel, of which it has no use, as it has no call for it"),
    line(SANDBOX, "landlock_add_rule", "", Less, "a right that is not granted"),
    line(SANDBOX, "fchmodat fchownat", "\"upper\"", Less, "the root directory stays root's"),
    line(SANDBOX, "clone3", "", Ends, "the stub takes itself for the handler's process, and nobody opens the gate"),
    line("*", "write read", "\"socket\"", Ends, "the supervisor is not told and does not answer: it is given up"),
];

#[test]
fn every_call_of_a_mounting_zygote_or_its_sandbox_that_only_says_it_succeeded_is_caught() {
    let first = a_site!();
    let (table, mut seen, mut cases) = (Table::new(PRETENDING), Seen::default(), Vec::new());
    for (park, options) in PARKS.iter().flat_map(|park| OPTIONS.map(|options| (park, options))) {
        for call in seen.new_of(calls(&first, park, options)) {
            let verdict = table.verdict(&call, Errno::UnknownErrno);
            if verdict.0 != Skip && call.answer >= 0 {
                cases.push((Case { park, options, call, errno: Errno::UnknownErrno }, verdict));
            }
        }
    }
    let mut complaints = workers::each(&cases, |_| {}, pretend);
    complaints.extend(table.stale());
    workers::none(complaints);
    println!(
        "faults: {} calls of mounting zygotes and their sandboxes succeeded without effect",
        cases.len()
    );
}
