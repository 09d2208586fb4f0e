//! `--snapshot btrfs`: what `run` asks the kernel for it, beyond what an overlay takes, fails or only says
//! that it succeeded; and what is left when snapshots cannot be destroyed.

use crate::cases::{Line, Seen, Table, Verdict, errnos};
use crate::run::{REFUSAL, VARIANTS, trace, view};
use crate::{failing, pretending};
use Verdict::{Either, Ends, Less, Refused, Runs, Said, Skip};
use common::inject::{Call, injector};
use common::volume::Volume;
use common::{Ended, Site, a_site, a_volume};
use nix::errno::Errno;

const fn line(
    role: &'static str,
    calls: &'static str,
    text: &'static str,
    verdict: Verdict,
    why: &'static str,
) -> Line {
    Line { role, calls, text, errnos: &[], verdict, why }
}

/// The keeper is the launcher's only child without namespaces.
const KEEPER: &str = "launcher/fork";

#[rustfmt::skip]
const FAILING: &[Line] = &[
    line("*", "mmap munmap mprotect brk mremap madvise", "", Skip, "memory: an allocation that fails aborts"),
    line("*", "close", "", Skip, "releases the descriptor whatever it answers"),
    line(KEEPER, "rt_sigprocmask fcntl dup3 close_range read", "", Runs, "without a keeper the launcher does its work"),
    line("launcher", "fcntl", "\"/var/tmp/TAG/.dayfly-snapshots\",0x2,0x1", Runs, "opened with O_CLOEXEC already"),
];

#[rustfmt::skip]
const PRETENDING: &[Line] = &[
    line("*", "mmap munmap mprotect brk mremap madvise", "", Skip, "memory: an allocation at address 0 is a crash"),
    line("launcher", "clone3", "", Skip, "the launcher takes itself for the keeper, and waits for ever with nothing open"),
    line("launcher", "flock", "", Either, "that of the shelf: two that start at the same moment may both sweep; the own one is asked for once more"),
    line("launcher", "getdents64", "", Runs, "what others have left is not seen, and left to the next start"),
    line("launcher", "mkdirat", "\".dayfly-snapshots\"", Runs, "it is there already"),
    line(KEEPER, "dup3", "0x0", Either, "it hears nobody and takes that for the launcher's end: the sandbox finds its place gone"),
    line(KEEPER, "rt_sigprocmask fcntl dup3 close_range", "", Runs, "what a keeper with other descriptors leaves the launcher destroys"),
];

fn launch<'s>(site: &'s Site, volume: &Volume) -> common::Launch<'s> {
    let words = ["see", "ids", "pid", "cwd", "fds", "tree", "/srv"];
    volume.probe(site, &words).options(&["--on-refusal", REFUSAL.0, "--wall-time", "5s"])
}

/// The calls that an overlay does not make, and what the handler sees.
fn new_calls(site: &Site, volume: &Volume) -> (Vec<Call>, String) {
    let mut seen = Seen::default();
    let [_, overlay, ..] = VARIANTS;
    seen.new_of(trace(site, overlay).0);
    let (injector, report) = injector(&[], &["--trace"]);
    let ended = launch(site, volume).under(injector).talk(b"");
    ended.expect(0, "exited");
    let calls = report.read().calls(site).into_iter();
    let calls = calls.map(|call| Call { text: call.text.replace("TAG-volume", "TAG"), ..call }).collect();
    (seen.new_of(calls), view(&ended))
}

/// The error in the result of a launch with one injected fault.
fn complaint(ended: &Ended, ran: bool, wanted: Verdict, usual: &str, errno: Errno) -> Option<&'static str> {
    let whole = ran && ended.status == 0 && view(ended) == usual;
    let refused = !ran && (125..=127).contains(&ended.status) && ended.out == REFUSAL.1;
    let ends = !ran && [2, 124, 125].contains(&ended.status) && ended.out.is_empty();
    let named = errno == Errno::UnknownErrno || ended.err.contains(&format!("{errno:?}"));
    match wanted {
        Skip | Less => None,
        Runs => (!whole).then_some("it did not run as usual"),
        Ends => (!ends).then_some("it did not end"),
        Either => (!(whole || refused || ends)).then_some("it neither ran as usual nor was refused"),
        Said => (!refused).then_some("it was not refused"),
        Refused if !refused => Some("it was not refused"),
        Refused => (!named).then_some("the errno is not named"),
    }
}

/// Tries a table in which each line of `run` holds too.
fn try_all(table: &'static [Line], of_run: &'static [Line], answers: impl Fn(&Call) -> Vec<(i64, Errno)>) {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let (calls, usual) = new_calls(&site, &volume);
    let (table, of_run) = (Table::new(table), Table::new(of_run));
    let (mut complaints, mut count) = (Vec::new(), 0);
    for call in calls {
        for (answer, errno) in answers(&call) {
            let (mut wanted, mut why) = table.verdict(&call, errno);
            if wanted == Refused {
                (wanted, why) = of_run.verdict(&call, errno);
            }
            if wanted == Skip {
                continue;
            }
            count += 1;
            let (injector, report) = injector(&[call.rule(answer)], &[]);
            let ended = launch(&site, &volume).under(injector).talk(b"");
            let report = report.read();
            let wrong = complaint(&ended, report.ran(), wanted, &usual, errno);
            let wrong = wrong.or((report.fired() != 1).then_some("the rule was not applied once"));
            let wrong = wrong.or((!volume.launchers().is_empty()).then_some("something is left"));
            complaints.extend(wrong.map(|wrong| format!("{call} = {answer}: {wrong} ({why})\n{ended}")));
            // Leftovers must not reach the next case.
            launch(&site, &volume).talk(b"").expect(0, "exited");
        }
    }
    complaints.extend(table.stale());
    crate::workers::none(complaints);
    println!("faults: {count} calls for a snapshot");
}

#[test]
fn every_call_for_a_snapshot_that_fails_refuses_the_connection() {
    try_all(FAILING, failing::OF_RUN, |call| {
        errnos(call).into_iter().map(|errno| (-i64::from(errno as i32), errno)).collect()
    });
}

#[test]
fn every_call_for_a_snapshot_that_only_says_it_succeeded_is_caught() {
    try_all(PRETENDING, pretending::OF_RUN, |call| {
        if call.answer < 0 { Vec::new() } else { vec![(0, Errno::UnknownErrno)] }
    });
}

/// A launch in which the keeper's ioctl answers that, whatever becomes of the snapshot.
fn destroyed(site: &Site, volume: &Volume, nth: &str, answer: i64) -> Ended {
    let rule = format!("role={KEEPER} call=ioctl{nth} : return={answer}");
    let (injector, report) = injector(&[rule], &[]);
    let ended = launch(site, volume).under(injector).talk(b"");
    assert!(report.read().fired() > 0, "{ended}");
    ended.expect(0, "exited");
    ended
}

#[test]
fn a_snapshot_that_is_busy_for_a_moment_is_destroyed_all_the_same() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    for errno in [libc::EBUSY, libc::EAGAIN, libc::EINTR] {
        let ended = destroyed(&site, &volume, " nth=1", -i64::from(errno));
        assert!(!ended.err.contains("cannot destroy"), "{ended}");
        volume.check_nothing_left();
    }
}

#[test]
fn a_snapshot_that_cannot_be_destroyed_is_logged_and_tried_again_by_the_launcher() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    // The last is a success in name only.
    for answer in [-i64::from(libc::EIO), -i64::from(libc::EPERM), 0] {
        let ended = destroyed(&site, &volume, "", answer);
        assert!(ended.err.contains("cannot destroy a snapshot"), "{ended}");
        assert!(ended.err.contains("/.dayfly-snapshots/"), "{ended}");
        volume.check_nothing_left();
    }
}
