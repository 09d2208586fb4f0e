//! Every option of a service file works with the capabilities of the unit that is printed for it.
//! `scripts/test-vm` tries the same options under systemd.

use common::serve::Serve;
use common::site::{give_to, make_directory, write};
use common::{Site, a_site, dayfly, need};
use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How an option is tried, its name, its lines.
fn table() -> Vec<(&'static str, &'static str, String)> {
    let lines = include_str!("../../scripts/vm/guest/options").lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &'static str| {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (name, text) = rest.trim_start().split_once(' ').unwrap();
        (kind, name, text.replace("; ", "\n") + "\n")
    };
    lines.map(entry).collect()
}

#[test]
fn the_table_has_every_option() {
    let help = Command::new(dayfly()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help.split(|c: char| c.is_whitespace() || "[]=,".contains(c));
    let options = words.filter_map(|word| word.strip_prefix("--")).filter(|word| !word.is_empty());
    // They are in every service file that is tried here, or in no service file.
    let elsewhere = ["service", "template", "help", "version", "dry-run"];
    let expected: BTreeSet<String> =
        options.filter(|option| !elsewhere.contains(option)).map(|option| option.replace('-', "_")).collect();
    let found: BTreeSet<String> = table().into_iter().map(|(_, name, _)| name.to_owned()).collect();
    assert_eq!(found, expected);
}

/// The files that the lines of the table name.
struct Place {
    directory: PathBuf,
    _listener: UnixListener,
}

impl Place {
    fn new(site: &mut Site) -> Place {
        let template = site.template();
        for name in ["m", "m/ro", "m/rw", "m/both", "m/tmpfs", "proc", "run", "run/credentials"] {
            make_directory(&template.join(name), 0o755);
        }
        let directory = PathBuf::from(format!("/var/tmp/{}-place", site.tag()));
        make_directory(&directory, 0o755);
        for name in ["ro", "one", "two", "kept"] {
            make_directory(&directory.join(name), 0o755);
        }
        write(&directory.join("key"), b"a key", 0o600);
        write(&directory.join("log"), b"", 0o600);
        give_to(&directory.join("kept"), 4242);
        give_to(&directory.join("log"), 4242);
        let listener = UnixListener::bind(directory.join("peer")).unwrap();
        site.settle();
        Place { directory, _listener: listener }
    }

    /// A service file with these lines.
    fn file(&self, site: &Site, lines: &str) -> PathBuf {
        let at = self.directory.to_str().unwrap();
        let snapshot = if lines.contains("snapshot") { "" } else { "snapshot = \"readonly\"\n" };
        let lines = lines.replace("@S", at).replace("@C", &format!("{at}/peer"));
        // Of the unit, which is not here: its group, and the journal.
        let lines = lines.replace("cgroup = \"required\"\n", "").replace("log_format = \"journal\"\n", "");
        let lines = lines.replace("\"memlock=16M\", ", "").replace("\"rtprio=5\", ", "");
        let head = format!(
            "template = \"{}\"\nhandler = [\"/bin/probe\", \"@{}\", \"echo\"]\n{snapshot}",
            site.template().display(),
            site.tag()
        );
        let file = self.directory.join("x.toml");
        write(&file, format!("{head}{lines}").as_bytes(), 0o644);
        file
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.directory);
    }
}

fn unit(file: &Path, form: &[&str]) -> Output {
    Command::new(dayfly()).args(["unit", "--listen", ":79"]).args(form).arg(file).output().unwrap()
}

/// The bounding set of the unit that is printed, for setpriv(1).
fn bounding_set(printed: &Output) -> String {
    assert!(printed.status.success(), "{printed:?}");
    let text = String::from_utf8(printed.stdout.clone()).unwrap();
    let set = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap().to_owned();
    let names = set.split_whitespace().map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase());
    names.fold("-all".to_owned(), |set, name| format!("{set},+{name}"))
}

/// Runs and serves what the lines say, each as its unit would let it.
fn try_under_units(site: &Site, place: &Place, kind: &str, lines: &str) {
    let setpriv = common::program("setpriv").unwrap();
    let setpriv = setpriv.to_str().unwrap();
    let file = place.file(site, lines);
    let checked = Command::new(dayfly()).arg("check").arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{lines}\n{}", String::from_utf8_lossy(&checked.stdout));
    let printed = unit(&file, &["--inetd"]);
    if !lines.contains("proxy_protocol") {
        let set = bounding_set(&printed);
        let before = [setpriv, "--bounding-set", &set, "--"];
        let options = ["--service", file.to_str().unwrap()];
        let ended = site.handler(&[]).only_options(&options).before(&before).talk(b"hello");
        assert_eq!(ended.outcome(), "exited", "run, {lines}\n{ended}");
        assert_eq!(ended.text(), "hello", "run, {lines}\n{ended}");
    }
    if kind == "run" {
        assert_eq!(unit(&file, &[]).status.code(), Some(2), "{lines}");
        return;
    }
    let set = bounding_set(&unit(&file, &[]));
    let before = [setpriv, "--bounding-set", &set, "--"];
    let serving = Serve::file(site, &file).before(&before).start();
    assert_eq!(serving.ask(b"hello"), b"hello", "serve, {lines}");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{lines}\n{log}");
    assert!(!log.contains("outcome=refused"), "{lines}\n{log}");
}

#[test]
fn each_option_works_with_the_capabilities_of_its_unit() {
    need!("setpriv");
    let mut site = a_site!();
    let place = Place::new(&mut site);
    for (kind, name, lines) in table().into_iter().filter(|(kind, ..)| *kind != "tls") {
        if kind == "refused" {
            let file = place.file(&site, &lines);
            for form in [&[][..], &["--inetd"]] {
                assert_eq!(unit(&file, form).status.code(), Some(2), "{name}");
            }
            continue;
        }
        try_under_units(&site, &place, kind, &lines);
    }
}

#[test]
fn all_options_work_together() {
    need!("setpriv");
    let mut site = a_site!();
    let place = Place::new(&mut site);
    let all: String =
        table().into_iter().filter(|(kind, ..)| *kind == "all").map(|(.., lines)| lines).collect();
    try_under_units(&site, &place, "all", &all);
}
