//! Kernels told apart: what this one lacks is named, refused under `--strict`, and given up by name alone.
//!
//! On a newer kernel the injector shows the launcher the floor; `scripts/test-vm --suite` runs all of it on
//! the kernels of docs/kernel.md.

use common::inject::{Call, injector};
use common::kernel::{FLOOR, NO_LANDLOCK, Wall};
use common::serve::Serve;
use common::{Ended, Site, a_site, dayfly};
use serde_json::Value;
use std::process::Command;

const ALL_GIVEN_UP: &str = "mdwe,landlock-net,landlock-scope";

fn json(site: &Site, verb: &str, options: &[&str]) -> Value {
    let mut command = Command::new(dayfly());
    command.args([verb, "--json", "--template"]).arg(site.template()).args(options);
    let output = command.args(["--", "/bin/probe"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// One launch on a kernel that looks as these rules say.
fn on(rules: &[&str], site: &Site, options: &[&str]) -> Ended {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    let (injector, _report) = injector(&rules, &[]);
    site.probe(&["echo"]).options(options).under(injector).talk(b"")
}

#[track_caller]
fn strict_names(ended: &Ended, wall: Wall) {
    ended.expect(125, "refused");
    assert!(ended.err.contains("--strict"), "{ended}");
    assert!(ended.err.contains(&format!("--allow-degraded {}", wall.name())), "{wall:?}\n{ended}");
}

#[test]
fn the_walls_that_this_kernel_lacks_are_named_and_no_others() {
    let site = a_site!();
    let findings = json(&site, "check", &[]).to_string();
    for wall in Wall::ALL {
        let named = findings.contains(&format!("--allow-degraded {}", wall.name()));
        assert_eq!(named, !wall.is_here(), "{wall:?}: {findings}");
    }
}

#[test]
fn strict_runs_here_exactly_where_no_wall_is_missing() {
    let site = a_site!();
    let ended = on(&[], &site, &["--strict"]);
    match Wall::ALL.into_iter().find(|wall| !wall.is_here()) {
        None => drop(ended.expect(0, "exited")),
        Some(wall) => strict_names(&ended, wall),
    }
    on(&[], &site, &["--strict", "--allow-degraded", ALL_GIVEN_UP]).expect(0, "exited");
}

#[test]
fn on_the_floor_strict_refuses_until_each_missing_wall_is_given_up() {
    let site = a_site!();
    let mut given_up = Vec::new();
    for wall in Wall::ALL {
        let layers = given_up.join(",");
        let mut options = vec!["--strict"];
        if !given_up.is_empty() {
            options.extend(["--allow-degraded", &layers]);
        }
        strict_names(&on(&FLOOR, &site, &options), wall);
        given_up.push(wall.name());
    }
    on(&FLOOR, &site, &["--strict", "--allow-degraded", ALL_GIVEN_UP]).expect(0, "exited");
}

#[test]
fn on_the_floor_it_serves_and_says_once_what_is_missing() {
    let site = a_site!();
    let rules = FLOOR.map(str::to_owned);
    let (injector, _report) = injector(&rules, &[]);
    let serving = Serve::probe(&site, &["echo"]).under(injector).start();
    for _ in 0..4 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    for words in ["lacks memory-deny-write-execute", "lacks Landlock TCP rules", "lacks Landlock scopes"] {
        assert_eq!(log.matches(words).count(), 1, "{words}\n{log}");
    }
}

#[test]
fn what_is_given_up_is_said_once_and_explained() {
    let site = a_site!();
    let options = ["--allow-degraded", ALL_GIVEN_UP];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    for _ in 0..4 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    assert_eq!(log.matches("disabled by --allow-degraded").count(), 1, "{log}");
    let explained = json(&site, "explain", &options).to_string();
    assert!(explained.contains("landlock-net landlock-scope mdwe"), "{explained}");
}

#[test]
fn memory_for_code_has_a_wall_or_is_refused() {
    let mut site = a_site!();
    let file = site.file(
        "p.profile",
        "arch x86_64 aarch64\ninclude static\nremove mprotect\nallow mprotect # a compiler\n",
    );
    let profile = ["--profile", file.to_str().unwrap()];
    let given_up = [&profile[..], &["--allow-degraded", "mdwe"]].concat();
    let attempt = |options: &[&str]| site.probe(&["try", "mprotect_exec"]).options(options).talk(b"");
    let refused = |ended: &Ended| {
        ended.expect(125, "refused");
        assert!(ended.err.contains("no layer left; give it up with --allow-degraded mdwe"), "{ended}");
    };
    if Wall::Mdwe.is_here() {
        let ended = attempt(&profile);
        assert!(ended.text().contains(&format!(" errno {} ", libc::EACCES)), "{ended}");
    } else {
        refused(&attempt(&profile));
    }
    refused(&on(&FLOOR, &site, &profile));
    let ended = attempt(&given_up);
    assert!(ended.text().contains("mprotect_exec ok "), "{ended}");
}

#[test]
fn without_landlock_nothing_runs_and_the_boot_parameter_is_named() {
    let site = a_site!();
    let ended = on(&NO_LANDLOCK, &site, &["--allow-degraded", ALL_GIVEN_UP, "--on-refusal", "sorry\\n"]);
    ended.expect(125, "refused");
    assert!(ended.err.contains("lsm="), "{ended}");
    assert_eq!(ended.text(), "sorry\n");
}

/// Before Linux 6.9 a mount takes an empty map, and nobody owns anything there.
#[test]
fn an_id_map_that_was_not_written_is_refused_before_it_is_used() {
    let site = a_site!();
    let overlay = ["--snapshot", "overlay"];
    let (injector, report) = injector(&[], &["--trace"]);
    site.probe(&["echo"]).options(&overlay).under(injector).talk(b"").expect(0, "exited");
    let calls = report.read().calls(&site);
    // Its own maps, which it only reads, are not among them.
    let maps = |call: &&Call| {
        let is_own = call.text.contains("/proc/self/");
        call.name.starts_with("open") && call.text.contains("_map\"") && !is_own
    };
    let maps: Vec<&Call> = calls.iter().filter(maps).collect();
    assert_eq!(maps.len(), 2, "{calls:?}");
    for call in maps {
        let ended = on(&[&call.rule(0)], &site, &overlay);
        ended.expect(125, "refused");
        assert_eq!(ended.record["step"], "id-map", "{call}\n{ended}");
    }
}
