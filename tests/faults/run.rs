//! `run`: from its start to the exec, in the launcher and in what it clones.

use crate::cases::{Seen, Table, Verdict, errnos};
use crate::{failing, workers};
use common::inject::{Call, injector};
use common::{Ended, Launch, Site, a_site};
use nix::errno::Errno;

/// The refusal text, as an option and as bytes.
pub(crate) const REFUSAL: (&str, &[u8]) = ("sorry\\r\\n", b"sorry\r\n");

/// The kinds of launch, chosen for the calls that they reach.
pub(crate) const VARIANTS: [&[&str]; 4] = [
    &["--snapshot", "readonly"],
    &["--snapshot", "overlay"],
    &[
        "--snapshot",
        "readonly",
        "--bind-ro",
        "/etc:/srv",
        "--tmpfs",
        "/empty:1M",
        "--proc",
        "--init",
        "--net",
        "private",
        "--landlock-ro",
        "/srv",
        "--chdir",
        "/srv",
        "--cpu-affinity",
        "0",
    ],
    &[
        "--snapshot",
        "readonly",
        "--bind",
        "/var/tmp:/empty:65534:65534",
        "--open",
        "/etc/hostname:name:ro",
        "--credential",
        "secret:/etc/hostname",
    ],
];

/// Without looks at the CPU time, whose number depends on how busy the machine is.
pub(crate) fn launch<'s>(site: &'s Site, options: &[&str]) -> Launch<'s> {
    let usual = ["--on-refusal", REFUSAL.0, "--wall-time", "5s", "--cpu-burst", "infinity"];
    site.probe(&["see", "ids", "pid", "cwd", "fds", "tree", "/srv"]).options(&usual).options(options)
}

/// A site whose template has what the variants need.
pub(crate) fn prepare(site: &mut Site) {
    for name in ["proc", "run", "run/credentials"] {
        common::site::make_directory(&site.template().join(name), 0o755);
    }
    site.settle();
}

/// The calls of a good launch, and what its handler saw.
pub(crate) fn trace(site: &Site, options: &[&str]) -> (Vec<Call>, String) {
    let (injector, report) = injector(&[], &["--trace"]);
    let ended = launch(site, options).under(injector).talk(b"");
    ended.expect(0, "exited");
    (report.read().calls(site), view(&ended))
}

/// The handler's output without the ids, which differ between launches.
pub(crate) fn view(ended: &Ended) -> String {
    let text = ended.text();
    let lines = text.lines().filter(|line| !line.contains("uid ") && !line.contains("gid "));
    lines.collect::<Vec<_>>().join("\n")
}

#[derive(Debug)]
struct Case {
    options: &'static [&'static str],
    call: Call,
    errno: Errno,
    verdict: (Verdict, &'static str),
    view: String,
}

#[test]
fn every_call_of_run_that_fails_refuses_the_connection() {
    let mut first = a_site!();
    prepare(&mut first);
    let (table, mut seen, mut cases) = (Table::new(failing::OF_RUN), Seen::default(), Vec::new());
    for options in VARIANTS {
        let (calls, view) = trace(&first, options);
        for call in seen.new_of(calls) {
            for errno in errnos(&call).into_iter().filter(|errno| !table.is_skipped(&call, *errno)) {
                let verdict = table.verdict(&call, errno);
                cases.push(Case { options, call: call.clone(), errno, verdict, view: view.clone() });
            }
        }
    }
    let mut complaints = workers::each(&cases, prepare, attempt);
    complaints.extend(table.stale());
    workers::none(complaints);
    println!("faults: {} calls of run failed", cases.len());
}

fn attempt(site: &Site, case: &Case) -> Result<(), String> {
    let (injector, report) = injector(&[case.call.rule(-i64::from(case.errno as i32))], &[]);
    let ended = launch(site, case.options).under(injector).talk(b"");
    let report = report.read();
    let what = if report.fired() != 1 {
        format!("the rule was applied {} times", report.fired())
    } else {
        match judge(&ended, report.ran(), case) {
            Ok(()) => return Ok(()),
            Err(what) => what,
        }
    };
    Err(format!(
        "{} = {:?} in {:?}: {what}; {}\n{ended}",
        case.call, case.errno, case.options, case.verdict.1
    ))
}

fn judge(ended: &Ended, ran: bool, case: &Case) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let verdict = match case.verdict.0 {
        Verdict::Either if ran => Verdict::Runs,
        Verdict::Either if ended.status == 2 => Verdict::Ends,
        Verdict::Either => Verdict::Said,
        verdict => verdict,
    };
    match verdict {
        Verdict::Either | Verdict::Less => Ok(()),
        Verdict::Skip => Ok(()),
        Verdict::Runs => {
            must(ran && ended.status == 0 && ended.outcome() == "exited", "the handler did not run")?;
            must(view(ended) == case.view, "the handler sees another sandbox")
        }
        Verdict::Ends => {
            must(!ran, "the handler ran")?;
            must(ended.out.is_empty(), "the client got something")?;
            must(ended.status == 2, "it is no error of the start")?;
            must(names(ended, case.errno), "the error does not name the errno")
        }
        Verdict::Said | Verdict::Refused => {
            must(!ran, "the handler ran")?;
            must((125..=127).contains(&ended.status), "the status is not one of a refusal")?;
            must(ended.out == REFUSAL.1, "the client did not get the refusal")?;
            must(ended.record["outcome"] != "exited", "the record says that a handler ran")?;
            let named = verdict == Verdict::Said || names(ended, case.errno);
            must(named, "the error does not name the errno")
        }
    }
}

/// By its name, its text, or its number, on the log; by its name in the record where the record has a step.
fn names(ended: &Ended, errno: Errno) -> bool {
    let forms = [format!("{errno:?}"), format!("(os error {})", errno as i32)];
    let logged = forms.iter().any(|form| ended.err.contains(form));
    logged && (ended.record["step"].is_null() || ended.record["errno"] == format!("{errno:?}"))
}
