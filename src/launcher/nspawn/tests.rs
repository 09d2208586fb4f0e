use super::translate::table::{Does, Known, OPTIONS};
use super::*;
use std::path::Path;

use crate::fuzz::nspawn as check;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The row of an option in the document, up to the name of its test.
fn row(known: &Known) -> String {
    let names: Vec<String> =
        known.shown().split(", ").map(|name| format!("`{}`", name.replace('|', "\\|"))).collect();
    let kind = match known.does {
        Does::Honour(_) => "honoured".to_owned(),
        Does::Refuse => "refused".to_owned(),
        Does::Already([]) => "already so".to_owned(),
        Does::Already(values) => {
            let values = values.iter().filter(|value| !value.is_empty()).map(|value| format!("`{value}`"));
            format!("already so: {}", values.collect::<Vec<_>>().join(", "))
        }
    };
    format!("| {} | {kind} | {} | ", names.join(", "), known.says)
}

#[test]
fn the_document_has_a_row_for_each_option_with_a_test_that_is_there() {
    let document = read("docs/from-systemd-nspawn.md");
    let tests = [
        "tests/cli/nspawn.rs",
        "tests/cli/nspawn_inside.rs",
        "tests/cli/nspawn_calls.rs",
        "tests/rootfs/images.rs",
    ]
    .map(read)
    .concat();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `-")).collect();
    let mut missing = Vec::new();
    for known in OPTIONS {
        let row = row(known);
        let shown =
            rows.iter().find_map(|found| found.strip_prefix(&row)).and_then(|rest| rest.strip_suffix(" |"));
        match shown.map(|name| name.trim_matches('`')) {
            Some(test) => {
                assert!(tests.contains(&format!("fn {test}()")), "{row}: there is no test {test}");
                let short = known.short.map(|short| format!("-{short}")).unwrap_or_default();
                let tried = [format!("\"{}", known.name()), format!("\"{short}")];
                assert!(
                    tried.iter().any(|word| word.len() > 1 && tests.contains(word)),
                    "{row}: no test tries it"
                );
            }
            None => missing.push(row),
        }
    }
    assert!(missing.is_empty(), "not in the document:\n{}", missing.join("\n"));
    assert_eq!(rows.len(), OPTIONS.len(), "a row for each, and no other");
    let own = OWN.iter().map(|(name, _)| format!("`--{name}`")).find(|name| !document.contains(name));
    assert_eq!(own, None, "dayfly's own are named");
}

#[test]
fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
    for (word, expected) in [("/bin/x", "/bin/x"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'")] {
        assert_eq!(quoted(word), expected);
    }
}

#[test]
fn the_name_of_the_program_says_whose_words_follow() {
    let read = |line: &[&str]| words(line.iter().map(OsString::from));
    assert_eq!(read(&["/usr/libexec/dayfly/systemd-nspawn", "-x"]), Some(vec!["-x".into()]));
    assert_eq!(read(&["dayfly", "nspawn", "-x"]), Some(vec!["-x".into()]));
    assert_eq!(read(&["dayfly", "run", "nspawn"]), None);
    assert_eq!(read(&["not-systemd-nspawn", "run"]), None);
    assert_eq!(read(&["dayfly"]), None);
}

#[test]
fn variables_of_nspawn_are_refused() {
    let refused = |name: &str| refuse_environment([OsString::from("PATH"), OsString::from(name)].into_iter());
    assert!(refused("SYSTEMD_NSPAWN_SHARE_NS_IPC").unwrap_err().contains("SYSTEMD_NSPAWN_SHARE_NS_IPC"));
    assert_eq!(refused("SYSTEMD_LOG_LEVEL"), Ok(()));
}

/// Seeds of the fuzzer, and its findings.
#[test]
fn seeds_of_lines_pass() {
    let seeds = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/nspawn")).unwrap();
    let seeds: Vec<_> = seeds.map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| check::check(seed));
}
