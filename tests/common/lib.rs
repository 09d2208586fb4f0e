//! Shared by all tests: a site (a private directory with a template), a launcher to start in it, and two ways
//! to observe the sandbox, from inside (the probe's answers) and from outside (/proc).
//!
//! The tests use the shipped static binary. DAYFLY_DIST and DAYFLY_TEST_BIN name other directories for it and
//! for the probe; DAYFLY_TESTS_MUST_RUN=1 turns every skipped test into a failed one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness that cannot go on fails the test")]

pub mod cleanup;
pub mod client;
pub mod ended;
pub mod inject;
pub mod kernel;
pub mod launch;
pub mod process;
pub mod serve;
pub mod site;
pub mod sys;
pub mod volume;

pub use client::Client;
pub use ended::Ended;
pub use launch::{Launch, Live, Wire};
pub use site::Site;

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// No step of a test takes as long as this; one that does has hung.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Tells the threads of a test to end, also when it fails.
#[derive(Debug)]
pub struct SetAtEnd<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The bounding set of a shipped unit as setpriv(1) writes it. It is for readonly sandboxes; an overlay
/// copies files up with the launcher's capabilities, not the handler's.
pub fn bounding_set(unit: &str, snapshot: &str) -> String {
    let path = checkout().join("units").join(unit);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let line = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let overlay = if snapshot == "overlay" { "CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER" } else { "" };
    let names =
        line.expect("the unit has a bounding set").split_whitespace().chain(overlay.split_whitespace());
    names.fold("-all".to_owned(), |set, name| {
        set + ",+" + &name.strip_prefix("CAP_").expect("a capability").to_lowercase()
    })
}

/// The directory that holds the sources: the one above this package.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a directory of the checkout")
}

/// The launcher as shipped.
pub fn dayfly() -> PathBuf {
    artifact("DAYFLY_DIST", "target/dist", "dayfly")
}

/// A file among what only tests use.
pub fn test_bin(name: &str) -> PathBuf {
    artifact("DAYFLY_TEST_BIN", "target/test", name)
}

/// A file among what is shipped.
pub fn dist(name: &str) -> PathBuf {
    artifact("DAYFLY_DIST", "target/dist", name)
}

fn artifact(variable: &str, usual: &str, name: &str) -> PathBuf {
    let directory = std::env::var_os(variable).map_or_else(|| checkout().join(usual), PathBuf::from);
    let path = directory.join(name);
    assert!(path.exists(), "{} is missing: run `scripts/build --with-probe` first", path.display());
    static CURRENT: Once = Once::new();
    CURRENT.call_once(|| assert_current(&directory));
    path
}

/// Fails if a source is newer than the programs under test: the test would say nothing about the edit. Does
/// nothing without sources, as in a virtual machine.
fn assert_current(directory: &Path) {
    let checkout = checkout();
    let time = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if !checkout.join("Cargo.toml").exists() {
        return;
    }
    let Some(built) = time(&directory.join(".built")) else {
        panic!("{} holds no finished build: run `scripts/build --with-probe`", directory.display());
    };
    let mut queue = ["src", "tests/probe", "tests/injector", "tests/c", "Cargo.lock"]
        .map(|path| checkout.join(path))
        .to_vec();
    while let Some(path) = queue.pop() {
        if path.is_dir() {
            queue.extend(std::fs::read_dir(&path).expect("our sources").flatten().map(|entry| entry.path()));
        } else if time(&path).is_some_and(|edited| edited > built) {
            panic!(
                "{} was edited after the build in {}: run `scripts/build --with-probe`, or `scripts/test --fast`",
                path.display(),
                directory.display()
            );
        }
    }
}

/// Whether something that is tested lies below /tmp, which a test otherwise has for itself.
pub fn needs_tmp() -> bool {
    [dayfly(), test_bin("probe"), checkout().into()].iter().any(|path| path.starts_with("/tmp"))
}

/// Whether a test that lacks something may be left out; says so when it may.
pub fn skip(reason: &str) {
    let must_run = std::env::var("DAYFLY_TESTS_MUST_RUN").is_ok_and(|v| v == "1");
    assert!(!must_run, "DAYFLY_TESTS_MUST_RUN=1, but {reason}");
    eprintln!("skipped: {reason}");
}

/// The path of a program of the host, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// A fresh [`Site`]; leaves the test when this user cannot have one.
#[macro_export]
macro_rules! a_site {
    () => {
        match $crate::Site::new() {
            Some(site) => site,
            None => return $crate::skip("this test needs root"),
        }
    };
}

/// The path of a program of the host; leaves the test when it is not installed.
#[macro_export]
macro_rules! need {
    ($name:expr) => {
        match $crate::program($name) {
            Some(path) => path,
            None => return $crate::skip(concat!($name, " is not installed")),
        }
    };
}

/// A fresh [`volume::Volume`]; skips the test if btrfs is not available.
#[macro_export]
macro_rules! a_volume {
    ($site:expr) => {
        match $crate::volume::Volume::new(&mut $site) {
            Some(volume) => volume,
            None => return $crate::skip("no btrfs can be made or mounted here"),
        }
    };
}
