//! Style as a test: what the documents promise of the source's shape.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the source has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    common::checkout().to_owned()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn code_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
    code.lines().map(|line| line.split("//").next().unwrap().to_owned()).collect()
}

#[test]
fn unsafe_stands_only_in_sys() {
    let sys = root().join("src/sys");
    for path in sources(&root().join("src")).into_iter().filter(|path| !path.starts_with(&sys)) {
        for line in code_lines(&path) {
            let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            assert!(!words.contains(&"unsafe"), "{}: {line}", path.display());
        }
    }
}

/// The names in a manifest's section, if it has that section.
fn section(manifest: &str, kind: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let section = text.split(&format!("\n[{kind}]\n")).nth(1).unwrap_or_default();
    let lines = section.split("\n[").next().unwrap_or_default().lines();
    let names = lines.filter_map(|line| line.split(['=', '.', ' ']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// Each crate below src, and those of ours that it may use.
const CRATES: [(&str, &[&str]); 12] = [
    ("sys", &[]),
    ("seccomp", &["sys"]),
    ("sandbox", &["seccomp", "sys"]),
    ("handler", &[]),
    ("learn", &["seccomp", "sys"]),
    ("logwatch", &[]),
    ("report", &[]),
    ("signer", &["sys", "tls-wire"]),
    ("template", &[]),
    ("tls-relay", &["sys", "tls-wire"]),
    ("tls-wire", &[]),
    ("top", &["report", "sys"]),
];

#[test]
fn the_crates_depend_on_each_other_as_the_table_says() {
    let is_ours = |name: &String| CRATES.iter().any(|(ours, _)| ours == name);
    for (name, edges) in CRATES {
        let mut found = Vec::new();
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            found.extend(section(&format!("src/{name}/Cargo.toml"), kind).into_iter().filter(is_ours));
        }
        found.sort();
        found.dedup();
        assert_eq!(found, edges, "{name}");
    }
}

/// The guard and the profiles' compiler have nothing in common but the numbers of their canaries.
#[test]
fn the_guard_uses_nothing_that_the_compiler_of_profiles_uses() {
    let own = ["use super::abi::{Files, GUARD_CANARY, PROFILE_CANARY};", "use super::guard_emit::{"];
    for file in ["guard.rs", "guard_clone.rs", "guard_emit.rs"] {
        for line in code_lines(&root().join("src/seccomp").join(file)) {
            let is_ours = ["super::", "use crate::", "include"].iter().any(|word| line.contains(word));
            assert!(!is_ours || own.contains(&line.as_str()), "{file}: {line}");
        }
    }
}

/// Each module of the launcher, after all that it imports: so there is no circle.
const MODULES: &[(&str, &[&str])] = &[
    ("cgroup", &[]),
    ("kernel", &[]),
    ("notify", &[]),
    ("outcome", &[]),
    ("output", &[]),
    ("privilege", &[]),
    ("proxy_header", &[]),
    ("connection", &["outcome"]),
    ("activation", &["connection", "privilege"]),
    ("diag", &["connection", "outcome"]),
    ("config", &["cgroup", "connection", "kernel", "privilege"]),
    ("listener", &["config", "connection"]),
    ("log", &["config", "connection", "outcome"]),
    ("programs", &["log"]),
    ("stats", &["config", "listener", "log", "output"]),
    ("unit", &["config", "listener", "log", "output", "privilege"]),
    ("init", &["config", "log", "output", "programs", "unit"]),
    ("cli", &["config", "init", "stats", "unit"]),
    (
        "supervisor",
        &[
            "cgroup",
            "config",
            "connection",
            "diag",
            "listener",
            "log",
            "notify",
            "outcome",
            "proxy_header",
            "stats",
        ],
    ),
    (
        "command",
        &[
            "activation",
            "cgroup",
            "cli",
            "config",
            "connection",
            "diag",
            "kernel",
            "listener",
            "log",
            "notify",
            "outcome",
            "privilege",
            "programs",
            "stats",
            "supervisor",
        ],
    ),
    ("check", &["cgroup", "cli", "command", "config", "kernel", "log", "output", "privilege"]),
    ("explain", &["cgroup", "cli", "config", "kernel", "log", "output"]),
    ("nspawn", &["cli", "command", "config", "explain", "output"]),
];

#[test]
fn the_launchers_modules_import_each_other_as_the_table_says_and_in_no_circle() {
    let launcher = root().join("src/launcher");
    let mut found: std::collections::BTreeMap<String, BTreeSet<String>> = std::collections::BTreeMap::new();
    for path in sources(&launcher) {
        let inside = path.strip_prefix(&launcher).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main", "fuzz", "documents"].contains(&module.as_str()) || inside.ends_with("tests.rs") {
            continue;
        }
        let edges = found.entry(module.clone()).or_default();
        for line in code_lines(&path) {
            assert!(!line.contains("crate::{"), "{}: one import a line: {line}", path.display());
            let imports = line.split("crate::").skip(1);
            let imported =
                imports.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            edges.extend(imported.filter(|name| *name != module).map(str::to_owned));
        }
    }
    let mut above = BTreeSet::new();
    for (module, edges) in MODULES {
        let edges: BTreeSet<String> = edges.iter().map(|edge| (*edge).to_owned()).collect();
        assert_eq!(found.get(*module), Some(&edges), "{module}");
        assert!(edges.is_subset(&above), "{module} imports what comes after it in the table");
        above.insert((*module).to_owned());
    }
    assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), above);
}

#[test]
fn nothing_between_clone_and_exec_allocates_formats_or_logs() {
    let forbidden = [
        "format!",
        "vec!",
        "Vec<",
        "String",
        "Box<",
        "to_owned",
        "to_string",
        "collect",
        "println!",
        "tracing",
        "log::",
        "Mutex",
        "std::fs",
        "std::io",
    ];
    let sys = root().join("src/sys");
    let calls = sources(&sys).into_iter().filter(|path| !path.starts_with(sys.join("alloc")));
    for path in sources(&root().join("src/sandbox/child")).into_iter().chain(calls) {
        for line in code_lines(&path) {
            for word in forbidden {
                // `CStrings` borrows; what is made in the plan is only read here.
                assert!(!line.replace("CStrings", "").contains(word), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn no_file_and_no_test_file_grows_beyond_one_responsibility() {
    for directory in ["src", "tests"] {
        for path in sources(&root().join(directory)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 500, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn every_dependency_has_its_line_and_every_line_its_dependency() {
    let listed: BTreeSet<String> = fs::read_to_string(root().join("docs/dependencies.md"))
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    let mut used = BTreeSet::new();
    let mut manifests: Vec<_> = CRATES.iter().map(|(name, _)| format!("src/{name}/Cargo.toml")).collect();
    manifests.extend(
        ["Cargo.toml", "tests/Cargo.toml", "tests/injector/Cargo.toml", "tests/probe/Cargo.toml"]
            .map(str::to_owned),
    );
    for manifest in manifests {
        for kind in ["dependencies", "dev-dependencies"] {
            used.extend(section(&manifest, kind));
        }
    }
    used.retain(|name| CRATES.iter().all(|(ours, _)| ours != name));
    assert_eq!(used, listed);
}

#[test]
fn the_handler_depends_on_rustix_alone() {
    let text = fs::read_to_string(root().join("src/handler/Cargo.toml")).unwrap();
    let section = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<_> = section.lines().filter(|line| line.contains('=')).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("rustix"));
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in text.split('`').filter(|word| word.starts_with("src/")) {
        assert!(root().join(name).exists(), "{name}");
    }
}

/// The fuzz targets are no members of the workspace: what they need is to be had from its crates.
#[test]
fn the_fuzz_targets_copy_no_source() {
    for path in sources(&root().join("fuzz/targets")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("#[path") && !text.contains("include!"), "{}", path.display());
    }
}

/// A match does not compile until another kind is answered; a comparison would be silent.
#[test]
fn closed_sets_of_kinds_are_matched_and_not_compared() {
    let kinds = ["Snapshot::", "Purpose::", "image::Kind::"];
    let compared = |line: &String| {
        kinds
            .iter()
            .any(|kind| ["== ", "!= "].iter().any(|operator| line.contains(&format!("{operator}{kind}"))))
    };
    for file in sources(&root().join("src")) {
        let lines = code_lines(&file);
        assert_eq!(lines.iter().find(|line| compared(line)), None, "{}", file.display());
    }
}
