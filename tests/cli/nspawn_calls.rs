//! `dayfly nspawn --system-call-filter=`: which calls a line of systemd-nspawn's opens and closes.

use common::{Ended, Launch, Site, a_site};

fn nspawn<'s>(site: &'s Site, options: &[&str], handler: &[&str]) -> Launch<'s> {
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let handler = [&["/bin/probe", &mark], handler].concat();
    site.handler(&handler)
        .verb(&["nspawn", "--status-fd=9", "-D", template.to_str().unwrap()])
        .options(options)
}

#[test]
fn calls_are_permitted_and_prohibited_by_their_names() {
    let site = a_site!();
    let seen = |options: &[&str], call: &str| nspawn(&site, options, &["try", call]).talk(b"");
    let errno = |ended: &Ended, number: i32| {
        ended.expect(0, "exited");
        assert!(ended.text().contains(&format!("errno {number} ")), "{ended}");
    };
    let succeeds = |ended: &Ended| {
        ended.expect(0, "exited");
        assert!(ended.text().contains(" ok "), "{ended}");
    };
    // Denied by the profile static, and its end.
    let tight = ["-x", "--profile=static", "--init=no"];
    seen(&tight, "setsid").expect(137, "denied");
    let with = |filter: &'static str| [&tight[..], &[filter]].concat();
    errno(&seen(&with("--system-call-filter=~setsid getpid"), "setsid"), libc::EPERM);
    // As PID 1 it leads its session already; that is the kernel's answer, not a filter's.
    let ended = seen(&with("--system-call-filter=setsid"), "setsid");
    ended.expect(0, "exited");
    // Allowed by the profile tree, with conditions or without.
    succeeds(&seen(&["-x"], "fork"));
    errno(
        &seen(&["-x", "--system-call-filter=~fork vfork", "--system-call-filter=~clone"], "fork"),
        libc::EPERM,
    );
    errno(&seen(&["-x", "--system-call-filter=fork", "--system-call-filter=~fork"], "fork"), libc::EPERM);
    let output = nspawn(&site, &["-x", "--system-call-filter=~fork"], &["echo"]).talk(b"");
    assert!(output.err.contains("but for --system-call-filter"), "{output}");
}

#[test]
fn calls_are_permitted_and_prohibited_by_systemds_groups() {
    let site = a_site!();
    let ended = |options: &[&str], call: &str| nspawn(&site, options, &["try", call]).talk(b"");
    let tight = ["-x", "--profile=static", "--init=no"];
    ended(&tight, "setsid").expect(137, "denied");
    let with = |filter: &'static str| [&tight[..], &[filter]].concat();
    // As PID 1 it leads its session already; that is the kernel's answer, not a filter's.
    ended(&with("--system-call-filter=@process @system-service"), "setsid").expect(0, "exited");
    let seen = ended(&with("--system-call-filter=@system-service ~@process ~setsid"), "setsid");
    assert!(seen.status == 2 && seen.err.contains("unknown system call '~@process'"), "{seen}");
    let seen = ended(&["-x", "--system-call-filter=~@process"], "fork");
    assert!(seen.text().contains(&format!("errno {} ", libc::EPERM)), "{seen}");
    // A call that the guard denies is opened neither by its group nor by its name.
    ended(&with("--system-call-filter=@network-io @mount @process"), "socket_inet").expect(137, "denied");
    let seen = ended(&with("--system-call-filter=@no-such"), "setsid");
    assert!(seen.err.contains("systemd has no group @no-such"), "{seen}");
}
