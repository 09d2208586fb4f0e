//! `dayfly unit`: systemd itself reads what it prints.

use common::{a_site, dayfly, need};
use std::path::Path;
use std::process::Command;

/// Services that ask for different things of their units.
const SERVICES: [(&str, &str); 3] = [
    ("plain", "snapshot = \"readonly\"\ntemplate = \"/srv/plain\"\nhandler = [\"/bin/x\"]\n"),
    (
        "much",
        "template = \"/home/much\"\nhandler = [\"/bin/x\"]\nprofile = \"tree\"\nmemory = \"infinity\"\n\
         bind = [\"/var/lib/100%:/x:65534\"]\ndrain_time = \"infinity\"\n\
         cpu_affinity = \"0\"\nrlimit = [\"memlock=16M\"]\ncredential = [\"key:/etc/key\"]\ncpu = \"50%\"\ncgroup = \"none\"\nmax_connections = 3\n",
    ),
    (
        "alone",
        "template = \"/srv/alone\"\nhandler = [\"/bin/x\"]\nlisten = [\":79\", \"unix:/run/alone/socket\"]\n",
    ),
];

/// The paths of the units, with the launcher's path in the place of the installed one.
fn written(directory: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("/usr/bin/dayfly", dayfly().to_str().unwrap())).unwrap();
        // A template is verified by itself, its socket with it.
        paths.push(path.to_str().unwrap().to_owned());
    }
    paths
}

#[test]
fn systemd_has_nothing_against_units_of_either_form() {
    let analyze = need!("systemd-analyze");
    let mut site = a_site!();
    for (name, text) in SERVICES {
        let file = site.file(&format!("{name}.toml"), text);
        for form in [&["--inetd", "--slice", "small.slice"][..], &[]] {
            let units = site.directory().join("units");
            std::fs::create_dir(&units).unwrap();
            let mut command = Command::new(dayfly());
            command.arg("unit").arg(&file).args(form).arg("--output").arg(&units);
            if name != "alone" {
                command.args(["--listen", "unix:/run/much", "--listen", "127.0.0.1:79", "--listen", ":79"]);
            }
            let said = command.output().unwrap();
            assert!(said.status.success(), "{name} {form:?}: {said:?}");
            let paths = written(&units);
            assert_eq!(paths.len(), if name == "alone" && form.is_empty() { 1 } else { 2 });
            let verified = Command::new(&analyze).arg("verify").args(&paths).output().unwrap();
            let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
            assert!(verified.status.success() && complaints.is_empty(), "{name} {form:?}: {complaints}");
            std::fs::remove_dir_all(&units).unwrap();
        }
    }
    site.settle();
}

#[test]
fn what_cannot_be_a_unit_is_refused() {
    let mut site = a_site!();
    let spaced = site.file("two words.toml", "handler = [\"/bin/x\"]\n");
    let quoted = site.file("x.toml", "handler = [\"/bin/x\"]\nbind = [\"/var/lib/a b:/x\"]\n");
    for (file, named) in [(spaced, "two words"), (quoted, "a b")] {
        let said = Command::new(dayfly()).args(["unit", "--listen", ":79"]).arg(&file).output().unwrap();
        assert_eq!((said.status.code(), said.stdout.len()), (Some(2), 0));
        assert!(String::from_utf8_lossy(&said.stderr).contains(named), "{said:?}");
    }
}

#[test]
fn files_are_replaced_only_if_asked_and_what_was_done_is_said() {
    let mut site = a_site!();
    let file = site.file("x.toml", "handler = [\"/bin/x\"]\n");
    let beside = common::site::Beside::new(&site);
    let directory = beside.0.to_str().unwrap();
    let unit = |words: &[&str]| {
        let mut command = Command::new(dayfly());
        command.args(["unit", "--output", directory]).args(words).arg(&file);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (socket, service) = (format!("{directory}/x.socket"), format!("{directory}/x.service"));
    let (status, said) = unit(&["--listen", ":79"]);
    assert_eq!((status, said), (Some(0), format!("{socket} is written\n{service} is written\n")));
    let (status, said) = unit(&["--listen", ":79"]);
    assert_eq!((status, said), (Some(0), format!("{socket} is unchanged\n{service} is unchanged\n")));
    // The one that is missing is not written either.
    std::fs::remove_file(&service).unwrap();
    let (status, said) = unit(&["--listen", ":80"]);
    assert!(status == Some(2) && said.contains(&format!("{socket} is there already")), "{said}");
    assert!(said.contains("--replace") && !Path::new(&service).exists(), "{said}");
    assert!(std::fs::read_to_string(&socket).unwrap().contains("79"));
    let (status, said) = unit(&["--listen", ":80", "--replace"]);
    assert_eq!((status, said), (Some(0), format!("{socket} is replaced\n{service} is written\n")));
}

#[test]
fn a_unit_starts_the_launcher_that_has_made_it() {
    let mut site = a_site!();
    let file = site.file("x.toml", "handler = [\"/bin/x\"]\n");
    for form in [&["--inetd"][..], &[]] {
        let said =
            Command::new(dayfly()).args(["unit", "--listen", ":79"]).args(form).arg(&file).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let path = dayfly().canonicalize().unwrap();
        let line = format!("ExecStart={} ", path.display());
        assert!(said.lines().any(|found| found.starts_with(&line)), "{said}");
    }
}

#[test]
fn systemd_has_nothing_against_units_for_a_users_own() {
    let analyze = need!("systemd-analyze");
    let mut site = a_site!();
    let listens = site.file("alone.toml", "handler = [\"/bin/x\"]\nlisten = [\":7079\"]\n");
    let with_socket = site.file("hello.toml", "handler = [\"/bin/x\"]\n");
    for (file, words) in [(listens, &[][..]), (with_socket, &["--listen", ":7079"])] {
        let beside = common::site::Beside::new(&site);
        let directory = beside.0.to_str().unwrap();
        let mut unit = Command::new(dayfly());
        unit.args(["unit", "--user", "--output", directory]).args(words).arg(&file);
        assert!(unit.status().unwrap().success());
        let units = std::fs::read_dir(&beside.0).unwrap().map(|entry| entry.unwrap().path());
        let units: Vec<_> = units.collect();
        assert_eq!(units.len(), 1 + words.len() / 2);
        let mut verify = Command::new(&analyze);
        verify.args(["--user", "verify"]).args(&units).env("XDG_RUNTIME_DIR", &beside.0);
        let verified = verify.output().unwrap();
        let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && complaints.is_empty(), "{complaints}");
    }
}
