//! Which mount, limit or credential it was: each is made to fail, and to lie, and the error must name that
//! one and no other.

use crate::run::{launch, prepare, trace};
use common::inject::{Call, injector};
use common::{Site, a_site};
use nix::errno::Errno;

/// Two of everything of which there can be two.
const OPTIONS: [&str; 17] = [
    "--bind-ro",
    "/etc:/srv",
    "--bind-ro",
    "/usr/share:/one",
    "--bind",
    "/var/tmp:/empty:65534:65534",
    "--proc",
    "--tmpfs",
    "/two:1M",
    "--tmpfs",
    "/three:1M",
    "--credential",
    "first:/etc/hostname",
    "--credential",
    "second:/etc/hostname",
    "--snapshot",
    "readonly",
];

/// Mount points, in the order in which they are mounted: ours, and the tmpfs that a template with /tmp has.
const PLACES: [&str; 8] = ["/srv", "/one", "/empty", "/proc", "/tmp", "/two", "/three", "/run/credentials"];

/// Sources of the binds.
const SOURCES: [&str; 3] = ["/etc", "/usr/share", "/var/tmp"];

fn make_places(site: &mut Site) {
    for name in ["one", "two", "three"] {
        common::site::make_directory(&site.template().join(name), 0o755);
    }
    prepare(site);
}

/// The log's error when this call answers `answer` without being made.
fn error(site: &Site, call: &Call, answer: i64) -> String {
    let (injector, report) = injector(&[call.rule(answer)], &[]);
    let ended = launch(site, &OPTIONS).under(injector).talk(b"");
    let report = report.read();
    assert_eq!((report.fired(), report.ran()), (1, false), "{call}: {ended}");
    ended.err.lines().find(|line| line.contains("cannot ")).unwrap_or_default().to_owned()
}

/// Fails with an errno of the caller's, and succeeds without effect.
fn fails_and_lies(site: &Site, call: &Call, begin: &str) {
    for answer in [-i64::from(Errno::ENOTBLK as i32), 0] {
        let error = error(site, call, answer);
        let errno = if answer == 0 { "EBADE" } else { "ENOTBLK" };
        assert!(error.contains(&format!("{begin}: {errno} (")), "{call} = {answer}: {begin}: {error}");
    }
}

fn of_child(calls: &[Call], name: &str) -> Vec<Call> {
    calls.iter().filter(|call| call.role == "launcher/pid" && call.name == name).cloned().collect()
}

#[test]
fn an_error_names_the_mount_that_failed_or_only_seemed_to_succeed() {
    let mut site = a_site!();
    make_places(&mut site);
    let (calls, _) = trace(&site, &OPTIONS);
    let mounts = of_child(&calls, "move_mount");
    let first = mounts.len() - PLACES.len();
    for (call, place) in mounts[first..].iter().zip(PLACES) {
        let begin = match place {
            "/proc" => "mount proc at /proc".to_owned(),
            "/run/credentials" => format!("make the credentials {place}"),
            "/tmp" | "/two" | "/three" => format!("mount a tmpfs at {place}"),
            _ => format!("bind at {place}"),
        };
        fails_and_lies(&site, call, &begin);
    }
}

#[test]
fn an_error_names_the_mount_point_that_could_not_be_opened() {
    let mut site = a_site!();
    make_places(&mut site);
    let (calls, _) = trace(&site, &OPTIONS);
    for place in PLACES {
        let opened = of_child(&calls, "openat2")
            .into_iter()
            .filter(|call| call.text.contains(&format!("\"{place}\"")));
        // Before the mount and, to verify it, after.
        let opened: Vec<_> = opened.collect();
        assert!(opened.len() >= 2, "{place}: {opened:?}");
        for call in opened.iter().take(2) {
            let error = error(&site, call, -i64::from(Errno::ENOTBLK as i32));
            assert!(error.contains(&format!("open the mount point {place}: ENOTBLK (")), "{call}: {error}");
        }
    }
}

#[test]
fn an_error_names_the_source_of_a_bind() {
    let mut site = a_site!();
    make_places(&mut site);
    let (calls, _) = trace(&site, &OPTIONS);
    for source in SOURCES {
        let cloned = of_child(&calls, "open_tree")
            .into_iter()
            .find(|call| call.text.contains(&format!("\"{source}\"")));
        let cloned = cloned.unwrap_or_else(|| panic!("{source} is cloned: {calls:?}"));
        let error = error(&site, &cloned, -i64::from(Errno::ENOTBLK as i32));
        assert!(error.contains(&format!("clone the source of the bind {source}: ENOTBLK (")), "{error}");
    }
}

#[test]
fn an_error_names_the_credential_that_could_not_be_written() {
    let mut site = a_site!();
    make_places(&mut site);
    let (calls, _) = trace(&site, &OPTIONS);
    for name in ["first", "second"] {
        let owned =
            of_child(&calls, "fchownat").into_iter().find(|call| call.text.contains(&format!("\"{name}\"")));
        let owned = owned.unwrap_or_else(|| panic!("{name} gets its owner: {calls:?}"));
        let error = error(&site, &owned, -i64::from(Errno::ENOTBLK as i32));
        assert!(error.contains(&format!("make the credentials {name}: ENOTBLK (")), "{error}");
    }
}

#[test]
fn an_error_names_the_limit_that_failed_or_only_seemed_to_succeed() {
    let mut site = a_site!();
    make_places(&mut site);
    let (calls, _) = trace(&site, &OPTIONS);
    // Each is set, then read back.
    let limits: Vec<_> = of_child(&calls, "prlimit64").into_iter().step_by(2).collect();
    let mut named: Vec<String> = Vec::new();
    for call in &limits {
        let failed = error(&site, call, -i64::from(Errno::ENOTBLK as i32));
        let name = failed.split("set the limit ").nth(1).and_then(|rest| rest.split(':').next());
        let name = name.unwrap_or_else(|| panic!("{call}: {failed}")).to_owned();
        assert!(!named.contains(&name), "{call}: {failed}");
        // A setting that is in force already is no lie.
        let (injector, report) = injector(&[call.rule(0)], &[]);
        let ended = launch(&site, &OPTIONS).under(injector).talk(b"");
        if !report.read().ran() {
            assert!(ended.err.contains(&format!("set the limit {name}: EBADE (")), "{call}: {ended}");
        }
        named.push(name);
    }
    assert!(named.len() > 5 && named.contains(&"nofile".to_owned()), "{named:?}");
}
