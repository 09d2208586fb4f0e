//! The Debian package as `scripts/build-deb` makes it; `scripts/test-vm` installs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Site, a_site, dist, need};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The package, made in this checkout with these variables; in a directory of its own.
fn built(checkout: &Path, output: &Path, variables: &[(&str, &str)]) -> PathBuf {
    let made = dist("dayfly").parent().unwrap().to_owned();
    // What is in dist and in documents, wherever tests have it.
    let below = output.join("made");
    fs::create_dir_all(&below).unwrap();
    copy(&made, &below.join("dist"));
    let documents = root().join("target/documents");
    assert!(documents.join("man/dayfly.1").exists(), "run `scripts/build-docs` first");
    copy(&documents, &below.join("documents"));
    let said = Command::new(checkout.join("scripts/build-deb"))
        .args(["--no-build", "--output"])
        .arg(output)
        .env("DAYFLY_MADE", &below)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    fs::remove_dir_all(below).unwrap();
    let mut packages = fs::read_dir(output).unwrap().map(|entry| entry.unwrap().path());
    let package = packages.next().unwrap();
    assert_eq!(packages.next(), None, "a package and nothing else");
    package
}

/// With the time of now, as in a fresh checkout.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-R", "--preserve=mode"]).arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// All that the package is made of, elsewhere.
fn another_checkout(site: &Site) -> PathBuf {
    let checkout = site.directory().join("elsewhere/with a longer name");
    fs::create_dir_all(checkout.join("src/seccomp")).unwrap();
    fs::create_dir_all(checkout.join("tests")).unwrap();
    fs::create_dir_all(checkout.join("rootfs")).unwrap();
    for part in ["scripts", "units", "docs", "src/seccomp/profiles", "tests/go", "rootfs/examples"] {
        copy(&root().join(part), &checkout.join(part));
    }
    for file in ["Cargo.toml", "CHANGELOG.md", "README.md", "SECURITY.md", "LICENSE-MIT"] {
        copy(&root().join(file), &checkout.join(file));
    }
    checkout
}

#[test]
fn the_package_has_the_same_bytes_wherever_and_whenever_it_is_made() {
    let mut site = a_site!();
    let checkout = another_checkout(&site);
    let one = built(root(), &site.directory().join("one"), &[("SOURCE_DATE_EPOCH", "1700000000")]);
    let variables = [("SOURCE_DATE_EPOCH", "1700000000"), ("TZ", "Asia/Tokyo"), ("LC_ALL", "C.UTF-8")];
    let two = built(&checkout, &site.directory().join("two"), &variables);
    assert_eq!(one.file_name(), two.file_name());
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "{} differs", one.display());
    site.settle();
}

#[test]
fn lintian_finds_no_error_and_no_warning_in_the_package() {
    let lintian = need!("lintian");
    let mut site = a_site!();
    let package = built(root(), &site.directory().join("deb"), &[]);
    let said = Command::new(lintian).args(["--tag-display-limit", "0"]).arg(package).output().unwrap();
    let tags = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{said:?}");
    assert!(!tags.lines().any(|line| line.starts_with("E:") || line.starts_with("W:")), "{tags}");
    site.settle();
}

#[test]
fn what_the_package_configures_is_the_administrators_to_change() {
    let mut site = a_site!();
    let package = built(root(), &site.directory().join("deb"), &[]);
    let control = Command::new("dpkg-deb").arg("--info").arg(package).arg("conffiles").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&control.stdout), "/etc/dayfly/gopher.toml\n");
    site.settle();
}
