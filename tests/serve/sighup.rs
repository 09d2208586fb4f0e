//! SIGHUP: every key of a service file that a reload can change, seen before and after by what the next
//! connection finds.

mod keys;

use common::serve::Serve;
use common::site::{Beside, give_to, make_directory, write};
use common::{PATIENCE, Site, a_site, dayfly, sys};
use keys::{CONNECTION, Key, NOT_TRIED, PROCESS, TREE};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

/// Makes the files that the values name.
fn furnish(site: &mut Site, beside: &Beside) {
    for name in ["run", "run/credentials", "proc"] {
        make_directory(&site.template().join(name), 0o755);
    }
    site.settle();
    for (name, content) in [("one", "one\n"), ("two", "two\n")] {
        beside.file(name, content, 0o644);
    }
    for name in ["a", "b"] {
        make_directory(&beside.0.join(name), 0o755);
        let file = beside.0.join(name).join("name");
        write(&file, format!("name of {name}\n").as_bytes(), 0o644);
        give_to(&file, 4242);
        give_to(&beside.0.join(name), 4242);
    }
    let copied =
        std::process::Command::new("cp").arg("-a").arg(site.template()).arg(beside.0.join("other")).status();
    assert!(copied.unwrap().success());
    write(&beside.0.join("other/etc/os-release"), b"ID=other\n", 0o644);
    // A socket at which nobody answers.
    drop(UnixListener::bind(beside.0.join("nobody")).unwrap());
}

fn text(site: &Site, beside: &Path, key: &Key, value: &str) -> String {
    let mut text = format!("{} = {value}\n{}\n", key.name, key.with);
    if key.name != "template" {
        text += &format!("template = {:?}\n", site.template());
    }
    if key.name != "handler" {
        let words: Vec<String> = key.words.iter().map(|word| format!("{word:?}")).collect();
        text += &format!("handler = [\"/bin/probe\", \"@{}\", {}]\n", site.tag(), words.join(", "));
    }
    let template = site.template().display().to_string();
    text.replace("DIR/../template", &template).replace("DIR", &beside.display().to_string())
}

fn try_all(keys: &[Key]) {
    let Some(mut site) = Site::new() else { return common::skip("this test needs root") };
    let beside = Beside::new(&site);
    furnish(&mut site, &beside);
    for key in keys {
        if key.name == "cpu_affinity" && std::thread::available_parallelism().unwrap().get() < 2 {
            eprintln!("skipped: cpu_affinity, with one processor");
            continue;
        }
        let [before, after] = key.values;
        let file = beside.file("service.toml", &text(&site, &beside.0, key, before), 0o644);
        let serving = Serve::file(&site, &file).start();
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[0]), "{} = {before}: {seen}", key.name);
        // Until it is told, nothing is different.
        std::fs::write(&file, text(&site, &beside.0, key, after)).unwrap();
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[0]), "{} = {before}, without SIGHUP: {seen}", key.name);
        serving.signal(libc::SIGHUP);
        serving.await_log(&["dayfly: reloaded"]);
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[1]), "{} = {after}: {seen}", key.name);
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{}: {log}", key.name);
    }
}

#[test]
fn sighup_changes_every_key_of_the_tree() {
    try_all(TREE);
}

#[test]
fn sighup_changes_every_key_of_the_process() {
    try_all(PROCESS);
}

#[test]
fn sighup_changes_every_key_of_connections_and_limits() {
    try_all(CONNECTION);
}

#[test]
fn min_rate_and_drain_time_are_those_of_the_reloaded_file() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let text = |rest: &str| {
        let (template, tag) = (site.template(), site.tag());
        format!(
            "template = {template:?}\nhandler = [\"/bin/probe\", \"@{tag}\", \"big\", \"10000000\"]\n{rest}\n\
             idle_time = \"infinity\"\nwall_time = \"infinity\"\n"
        )
    };
    let file = beside.file("service.toml", &text("min_rate = \"infinity\"\ndrain_time = \"1h\""), 0o644);
    let serving = Serve::file(&site, &file).start();
    // Asked for, and not taken: served by the first file, before the reload and after it.
    let slow = || {
        let mut client = serving.connect();
        sys::small_receive_buffer(client.fd()).unwrap();
        client.send(b"/\n");
        assert_eq!(client.read(&mut [0]), 1);
        client
    };
    let old = slow();
    std::fs::write(&file, text("min_rate = \"1G\"\ndrain_time = \"200ms\"")).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    let new = slow();
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("limit=min-rate") && line.contains("conn=2"), "{line}");
    drop(new);
    let started = Instant::now();
    serving.signal(libc::SIGTERM);
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(started.elapsed() < PATIENCE && log.contains("conn=1"), "{log}");
    drop(old);
}

/// Where every sandbox has a network of its own, the supervisor stays in the host's: nobody may come to
/// share that.
#[test]
fn no_reload_puts_a_sandbox_into_the_hosts_network() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    furnish(&mut site, &beside);
    let net = PROCESS.iter().find(|key| key.name == "net").unwrap();
    let [shared, private] = net.values;
    let file = beside.file("service.toml", &text(&site, &beside.0, net, private), 0o644);
    let serving = Serve::file(&site, &file).start();
    assert_eq!((net.look)(&serving), "2 networks");
    std::fs::write(&file, text(&site, &beside.0, net, shared)).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded", "net: 'shared' takes a restart"]);
    assert_eq!((net.look)(&serving), "2 networks");
    assert_eq!(serving.terminate().0, 0);
}

/// Another permutation of the same numbers could give two live sandboxes one uid.
#[test]
fn no_reload_takes_a_range_of_uids_that_overlaps_an_earlier_one() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    furnish(&mut site, &beside);
    let key = PROCESS.iter().find(|key| key.name == "user_range").unwrap();
    let [one, apart] = key.values;
    let write = |range| beside.file("service.toml", &text(&site, &beside.0, key, range), 0o644);
    let serving = Serve::file(&site, &write(one)).start();
    assert!((key.look)(&serving).starts_with(key.seen[0]));
    // Beside one that is known already, a range may come back.
    for (range, refused) in [(apart, false), ("\"1900000001+4194304\"", true), (one, false)] {
        write(range);
        serving.signal(libc::SIGHUP);
        let words = if refused { ["not reloaded", "overlaps 1900000000+4194304"] } else { ["reloaded", ""] };
        serving.await_log(&words);
    }
    assert!((key.look)(&serving).starts_with(key.seen[0]));
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn every_key_is_tried_or_has_a_reason() {
    let help = std::process::Command::new(dayfly()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let names = options.filter_map(|line| line.split_once("--").map(|(_, rest)| rest));
    let names = names.map(|rest| rest.split([' ', '[', ',']).next().unwrap().replace('-', "_"));
    let names: Vec<String> = names.filter(|name| name != "help").collect();
    assert!(names.len() > 50, "{names:?}");
    let all = || TREE.iter().chain(PROCESS).chain(CONNECTION).map(|key| key.name);
    let known = |name: &str| {
        all().any(|known| known == name)
            || name == "handler"
            || NOT_TRIED.iter().any(|(known, _)| *known == name)
    };
    let unknown: Vec<_> = names.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "neither tried nor left out with a reason: {unknown:?}");
    let stale: Vec<_> =
        NOT_TRIED.iter().filter(|(name, _)| !names.iter().any(|known| known == name)).collect();
    assert!(stale.is_empty(), "no option: {stale:?}");
}
