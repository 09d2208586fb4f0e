//! docs/threats.md, and the table of docs/network-namespace.md, are checked against the tests, so that it
//! cannot drift.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    common::checkout().to_owned()
}

/// The names of tests in a file: functions after `#[test]`, and the lines of the macros that make them.
fn tests_in(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some((name, rest)) = line.split_once(": ")
            && word(name)
            && rest.starts_with('[')
            && rest.ends_with(';')
        {
            names.insert(name.to_owned());
        }
        if let Some(name) = line.strip_prefix("fn ").and_then(|line| line.split('(').next())
            && is_test
        {
            names.insert(name.to_owned());
        }
        is_test = line == "#[test]" || is_test && (line.starts_with("#[") || line.starts_with("///"));
    }
    names
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The third column of each row: names of tests in backquotes.
fn named(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let rows = text.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| attack") && !line.starts_with("| a way")
    });
    let column = |row: &str| row.split('|').nth(3).unwrap_or_default().to_owned();
    let names = |column: String| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(column).flat_map(names).collect()
}

#[test]
fn every_test_that_a_table_names_exists() {
    let mut files = Vec::new();
    for directory in ["tests", "src/signer", "src/tls-wire"] {
        sources(&root().join(directory), &mut files);
    }
    let existing: BTreeSet<String> = files.iter().flat_map(|path| tests_in(path)).collect();
    for document in ["docs/threats.md", "docs/network-namespace.md"] {
        let missing: Vec<_> = named(document).difference(&existing).cloned().collect();
        assert!(missing.is_empty(), "{document}: {missing:#?}");
    }
}

#[test]
fn every_attack_is_in_the_table() {
    let mut attacks = tests_in(&root().join("tests/isolation/denied.rs"));
    for name in ["main", "across", "files", "guard"] {
        attacks.extend(tests_in(&root().join(format!("tests/attack/{name}.rs"))));
    }
    assert!(attacks.len() > 150, "{}", attacks.len());
    let missing: Vec<_> = attacks.difference(&named("docs/threats.md")).cloned().collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
