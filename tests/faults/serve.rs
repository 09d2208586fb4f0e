//! `serve`: every call that makes a sandbox, ahead of its connection or for it.

use crate::cases::{Seen, typical};
use crate::run::REFUSAL;
use crate::workers;
use common::inject::{Call, Report, injector, valid_while};
use common::serve::{Serve, Serving};
use common::{Site, a_site, process};
use nix::errno::Errno;
use std::path::PathBuf;

/// How far ahead the sandboxes are built; one at a time, so that calls come in order.
const PARKS: [&str; 4] = ["none", "before-exec", "entry", "read"];

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) park: &'static str,
    pub(crate) options: &'static [&'static str],
    pub(crate) call: Call,
    pub(crate) errno: Errno,
}

pub(crate) fn serve<'s>(site: &'s Site, park: &str, options: &[&str]) -> Serve<'s> {
    let usual = ["--on-refusal", REFUSAL.0, "--wall-time", "5s", "--warm", "1", "--park", park];
    Serve::probe(site, &["echo"]).options(&usual).options(options)
}

/// All calls of a good run of serve with one connection.
pub(crate) fn trace(site: &Site, park: &str, options: &[&str]) -> Report {
    let (injector, report) = injector(&[], &["--trace"]);
    let serving = serve(site, park, options).under(injector).start();
    assert_eq!(serving.ask(b"one\n"), b"one\n");
    assert_eq!(serving.terminate().0, 0);
    report.read()
}

/// A child's calls: those with the same name and first argument come one for all.
pub(crate) fn of_a_child(report: &Report, site: &Site) -> Vec<Call> {
    let mut calls: Vec<Call> =
        report.calls(site).into_iter().filter(|call| call.role != "launcher").collect();
    let kind = |call: &Call| {
        let first = call.text.split(',').next().unwrap_or_default().to_owned();
        (call.role.clone(), call.name.clone(), first)
    };
    let mut seen = std::collections::HashSet::new();
    calls.retain(|call| seen.insert(kind(call)));
    calls
}

#[test]
fn every_call_of_a_child_of_serve_that_fails_refuses_the_connection_and_serve_goes_on() {
    let first = a_site!();
    let (mut seen, mut cases) = (Seen::default(), Vec::new());
    for park in PARKS {
        for call in seen.new_of(of_a_child(&trace(&first, park, &[]), &first)) {
            let harmless = ["close", "umask", "mmap", "munmap", "brk", "madvise", "mremap", "mprotect"];
            if !harmless.contains(&call.name.as_str()) {
                let errno = typical(&call.name);
                cases.push(Case { park, options: &[], call, errno });
            }
        }
    }
    workers::none(workers::each(&cases, |_| {}, refused_then_served));
    println!("faults: {} calls of children of serve failed", cases.len());
}

/// While the call fails, connections are refused; once it does not, they are served.
pub(crate) fn refused_then_served(site: &Site, case: &Case) -> Result<(), String> {
    let (serving, report, file) = start(site, case);
    let first = serving.ask(b"one\n");
    std::fs::remove_file(&file).expect("it is there");
    let second = process::until(|| Some(serving.ask(b"two\n")).filter(|answer| answer == b"two\n"));
    let (status, log) = serving.terminate();
    let report = report.read();
    let must = |holds: bool, what: &str| {
        let shown = String::from_utf8_lossy(&first);
        if holds { Ok(()) } else { Err(format!("{case:?}: {what}; the first got {shown:?}\n{log}")) }
    };
    must(report.fired() > 0, "the rule was not applied")?;
    must(first == REFUSAL.1, "the first connection was not refused")?;
    must(!report.ran(), "a handler ran")?;
    must(second == b"two\n" && status == 0, "serve did not go on")
}

fn start<'s>(site: &'s Site, case: &Case) -> (Serving<'s>, common::inject::Pending, PathBuf) {
    // Outside of the site, whose files must stay as they are.
    let file = std::env::temp_dir().join(format!("{}-{:?}", site.tag(), std::thread::current().id()));
    std::fs::write(&file, b"").expect("a file of our own");
    let (injector, report) = injector(&[case.call.rule(-i64::from(case.errno as i32))], &valid_while(&file));
    (serve(site, case.park, case.options).under(injector).start(), report, file)
}
