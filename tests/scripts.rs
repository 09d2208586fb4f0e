//! What the scripts do where something that they need is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
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
