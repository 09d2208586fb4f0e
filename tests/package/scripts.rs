//! Scripts where something that they need is missing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of programs: all that a host has.
struct Host(PathBuf);

impl Host {
    fn new(name: &str) -> Host {
        let directory = std::env::temp_dir().join(format!("dayfly-{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        for tool in ["dirname", "mkdir"] {
            symlink(Path::new("/usr/bin").join(tool), directory.join(tool)).unwrap();
        }
        Host(directory)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\ncd '{}' || exit\n{script}\n", self.0.display())).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str) -> Output {
        let script = common::checkout().join("scripts").join(script);
        Command::new(script).env("PATH", &self.0).output().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

/// Knows `+nightly` once it is installed, and no target to fuzz.
const CARGO: &str = r#"[ "$1" != +nightly ] || [ -e nightly ]"#;

#[test]
fn fuzz_installs_the_nightly_toolchain_where_there_is_none() {
    let host = Host::new("with-rustup");
    host.program("cargo", CARGO);
    host.program("rustup", r#"echo "$*" >nightly"#);
    let output = host.run("fuzz");
    assert!(output.status.success(), "{output:?}");
    let asked = fs::read_to_string(host.0.join("nightly")).unwrap();
    assert!(asked.starts_with("toolchain install nightly --profile minimal"), "{asked}");
}

#[test]
fn fuzz_says_what_is_missing_where_nothing_can_install_it() {
    let host = Host::new("without-rustup");
    host.program("cargo", CARGO);
    let output = host.run("fuzz");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("no nightly toolchain, and no rustup"), "{said}");
}

fn checkout() -> &'static Path {
    common::checkout()
}

/// The lines of scripts/programs: program, packages, users.
fn table() -> Vec<(String, String, Vec<String>)> {
    let text = fs::read_to_string(checkout().join("scripts/programs")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().expect(line), words.collect())
    };
    lines.map(row).collect()
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files_below(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// The words that stand in quotes after each occurrence of `before`.
fn quoted_after(text: &str, before: &str) -> Vec<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
}

/// In a package that is essential, or in the program's own path.
fn is_everywhere(program: &str) -> bool {
    let essential = [
        "sh", "bash", "cat", "cp", "env", "ldd", "mkfifo", "mknod", "timeout", "touch", "true", "umount",
        "dpkg-deb",
    ];
    program.contains('/') || essential.contains(&program)
}

#[test]
fn every_program_that_a_test_starts_is_installed_for_the_tests() {
    let for_tests: BTreeSet<_> = table()
        .into_iter()
        .filter(|(_, _, users)| users.iter().any(|user| user == "tests"))
        .map(|(program, _, _)| program)
        .collect();
    let mut files = Vec::new();
    files_below(&checkout().join("tests"), &mut files);
    let mut seen = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        // Here the names stand in the text of the test.
        if path.ends_with("scripts.rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for start in ["need!(\"", "program(\"", "Command::new(\""] {
            for program in quoted_after(&text, start).into_iter().filter(|program| !is_everywhere(program)) {
                seen += 1;
                let known = for_tests.contains(&program);
                assert!(known, "{}: scripts/programs has no line '{program} … tests'", path.display());
            }
        }
    }
    assert!(seen > 30, "only {seen} programs were found: the search is broken");
}

#[test]
fn every_program_that_a_script_wants_is_in_the_table_and_names_it() {
    let table = table();
    let mut files = Vec::new();
    files_below(&checkout().join("scripts"), &mut files);
    let mut seen = 0;
    for path in files.iter().filter(|path| !path.ends_with("lib.sh") && !path.ends_with("programs")) {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let script = path.file_name().unwrap().to_str().unwrap();
        for line in text.lines().map(str::trim) {
            let Some(at) = line.find("want ").filter(|&at| at == 0 || line[..at].ends_with("|| ")) else {
                continue;
            };
            for program in line[at + 5..].split_whitespace() {
                seen += 1;
                let row = table.iter().find(|(name, _, _)| name == program);
                let users =
                    &row.unwrap_or_else(|| panic!("{script}: scripts/programs has no line for {program}")).2;
                assert!(
                    users.iter().any(|user| user == script),
                    "{program}: the line does not name {script}"
                );
            }
        }
    }
    assert!(seen > 15, "only {seen} programs were found: the search is broken");
}

#[test]
fn a_script_that_cannot_install_names_the_packages() {
    let host = Host::new("without-apt");
    host.program("id", "echo 1000");
    symlink("/usr/bin/sed", host.0.join("sed")).unwrap();
    symlink("/usr/bin/tr", host.0.join("tr")).unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", ". scripts/lib.sh && want bwrap crun", "script"])
        .current_dir(checkout())
        .env("PATH", &host.0)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "script: missing, by the names of their Debian packages: bubblewrap crun\n");
}

/// `docs/handlers.md` shows what `scripts/handlers` tries.
#[test]
fn the_page_of_handlers_has_the_rows_of_the_matrix_and_no_others() {
    let read = |path: &str| fs::read_to_string(common::checkout().join(path)).unwrap();
    let matrix = read("tests/handlers/matrix/matrix.py");
    let rows = matrix.lines().filter_map(|line| line.strip_prefix("    Row(\""));
    let tried: Vec<_> = rows.map(|row| row.split('"').nth(2).unwrap().to_owned()).collect();
    let page = read("docs/handlers.md");
    let table =
        page.split("<!-- scripts/handlers -->\n").nth(1).unwrap().split("<!-- end -->").next().unwrap();
    let shown: Vec<_> =
        table.lines().skip(2).map(|row| row.split(" | ").next().unwrap()[2..].to_owned()).collect();
    assert_eq!(shown, tried);
}
