//! Completions as `scripts/build-docs` makes them, in the shells themselves: services and profiles are
//! completed by name.

use common::site::Beside;
use common::{Site, a_site, checkout, need};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The script for a shell, with a directory of the test's own in the place of /etc/dayfly.
fn script(beside: &Beside, name: &str) -> String {
    let etc = beside.0.join("etc");
    if !etc.exists() {
        fs::create_dir_all(etc.join("profiles")).unwrap();
        for file in ["alpha.toml", "beta.toml", "other.txt", "profiles/gamma.profile"] {
            fs::write(etc.join(file), "").unwrap();
        }
    }
    let made = checkout().join("target/documents/completions").join(name);
    let text = fs::read_to_string(&made).expect("run `scripts/build-docs` first");
    assert!(text.contains("/etc/dayfly/"), "{name}");
    let path = beside.file(name, &text.replace("/etc/dayfly", etc.to_str().unwrap()), 0o644);
    path.to_str().unwrap().to_owned()
}

/// fish(1) makes directories in HOME.
fn words(beside: &Beside, shell: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(shell).args(arguments).env("HOME", &beside.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

fn has(words: &[String], wanted: &[&str]) -> bool {
    wanted.iter().all(|wanted| words.iter().any(|word| word == wanted))
}

fn settled(site: &Site) {
    site.check_nothing_left();
}

#[test]
fn bash_completes_services_and_profiles_by_name() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let script = script(&beside, "dayfly.bash");
    let complete = |line: &[&str]| {
        let (current, previous) = (line[line.len() - 1], line[line.len() - 2]);
        let quoted: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let count = line.len() - 1;
        let line = quoted.join(" ");
        let text = format!(
            "source {script}; COMP_WORDS=({line}); COMP_CWORD={count}; \
             $(complete -p dayfly | sed 's/.*-F \\([^ ]*\\).*/\\1/') dayfly '{current}' '{previous}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        // A process of its own would complete for nobody.
        let text =
            text.replace("$(complete -p dayfly | sed 's/.*-F \\([^ ]*\\).*/\\1/')", "_dayfly_with_names");
        words(&beside, Path::new("/bin/bash"), &["-c", &format!("{text}; complete -p dayfly")])
    };
    let services = complete(&["dayfly", "check", ""]);
    assert!(has(&services, &["alpha", "beta", "--template", "_dayfly_with_names"]), "{services:?}");
    assert!(!has(&services, &["other"]), "{services:?}");
    let begun = complete(&["dayfly", "serve", "--warm", "4", "al"]);
    assert!(has(&begun, &["alpha"]) && !has(&begun, &["beta"]), "{begun:?}");
    let profiles = complete(&["dayfly", "run", "--profile", ""]);
    assert!(has(&profiles, &["static", "interpreter", "tree", "gamma"]), "{profiles:?}");
    // The value of another option, and what is the handler's.
    for line in [&["dayfly", "run", "--memory", ""][..], &["dayfly", "run", "--", "/bin/x", ""]] {
        let words = complete(line);
        assert!(!has(&words, &["alpha"]), "{line:?}: {words:?}");
    }
    settled(&site);
}

#[test]
fn fish_completes_services_and_profiles_by_name() {
    let fish = need!("fish");
    let site = a_site!();
    let beside = Beside::new(&site);
    let script = script(&beside, "dayfly.fish");
    let complete = |line: &str| {
        let text = format!("source {script}; complete -C '{line}'");
        words(&beside, &fish, &["--no-config", "-c", &text])
    };
    assert!(has(&complete("dayfly check "), &["alpha", "beta"]), "{:?}", complete("dayfly check "));
    assert!(has(&complete("dayfly top a"), &["alpha"]));
    let profiles = complete("dayfly run --profile ");
    assert!(has(&profiles, &["static", "interpreter", "tree", "gamma"]), "{profiles:?}");
    assert!(!has(&complete("dayfly "), &["alpha"]));
    settled(&site);
}

#[test]
fn zsh_completes_services_and_profiles_by_name() {
    let zsh = need!("zsh");
    let site = a_site!();
    let beside = Beside::new(&site);
    let script = script(&beside, "_dayfly");
    // The parts of the completion system that would draw a menu print what they are given.
    let print = "_alternative() { print -rl -- $@ }; compdef() { }; _arguments() { print -rl -- $@ }";
    let complete = |call: &str| {
        let text = format!("{print}; source {script}; {call}");
        words(&beside, &zsh, &["-f", "-c", &text])
    };
    let services = complete("_dayfly_services").join(" ");
    assert!(services.contains("services:service:(alpha beta)"), "{services}");
    let profiles = complete("_dayfly_profiles").join(" ");
    assert!(profiles.contains("profiles:profile:(static interpreter tree gamma)"), "{profiles}");
    let text = fs::read_to_string(&script).unwrap();
    let of = |function: &str| text.lines().filter(|line| line.ends_with(&format!(":{function}' \\"))).count();
    // run, serve, learn, check, explain take --service and --profile; these and stats, top and unit take
    // a service.
    assert!(of("_dayfly_services") >= 12 && of("_dayfly_profiles") >= 5, "{text}");
    settled(&site);
}
