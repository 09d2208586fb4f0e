//! The Debian package as `scripts/build-deb` makes it; `scripts/test-vm` installs it.

use common::{Site, a_site, dist, need};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    common::checkout()
}

/// The package, made in this checkout with these variables; in a directory of its own.
fn built(checkout: &Path, output: &Path, variables: &[(&str, &str)]) -> PathBuf {
    let made = dist("dayfly").parent().unwrap().to_owned();
    // The files of dist and the documents, wherever tests have them.
    let below = output.join("made");
    fs::create_dir_all(&below).unwrap();
    copy(&made, &below.join("dist"));
    copy(&made.parent().unwrap().join("libexec"), &below.join("libexec"));
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
    for part in ["scripts", "units", "docs", "src/seccomp/profiles", "rootfs/examples"] {
        copy(&root().join(part), &checkout.join(part));
    }
    let files = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.toml",
        "LICENSE-MIT",
        "README.md",
        "SECURITY.md",
    ];
    for file in files {
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

/// Where `scripts/deb/files` puts things: source and target of each line.
fn packaged() -> Vec<(String, String)> {
    let table = fs::read_to_string(root().join("scripts/deb/files")).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(1).map(str::to_owned);
        Some((words.next()?, words.next()?))
    };
    lines.filter_map(row).collect()
}

/// The targets of a document's links that are files: `[text](target)` and `![text](target)`.
fn links(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let file = |target: &str| target.split('#').next().unwrap().to_owned();
    targets.filter(|target| !target.contains("://")).map(file).filter(|file| !file.is_empty()).collect()
}

/// `a/../b` as `b`.
fn resolved(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut whole, part| {
        match part {
            std::path::Component::ParentDir => assert!(whole.pop()),
            part => whole.push(part),
        }
        whole
    })
}

#[test]
fn every_link_of_a_packaged_document_leads_to_a_packaged_file() {
    let packaged = packaged();
    let is_packaged = |path: &Path| packaged.iter().any(|(_, to)| path.starts_with(to));
    let mut broken = Vec::new();
    let mut seen = 0;
    for (from, to) in packaged.iter().filter(|(from, _)| from.ends_with(".md")) {
        for link in links(&root().join(from)) {
            seen += 1;
            let source = resolved(&Path::new(from).parent().unwrap().join(&link));
            let target = resolved(&Path::new(to).parent().unwrap().join(&link));
            if !root().join(source).exists() || !is_packaged(&target) {
                broken.push(format!("{from} links {link}"));
            }
        }
    }
    assert!(seen > 20 && broken.is_empty(), "{seen} links, of which broken: {broken:#?}");
}

#[test]
fn every_document_is_in_the_package_and_in_the_table_of_contents() {
    let packaged = packaged();
    let contents = links(&root().join("docs/README.md"));
    let documents = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    for name in documents.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md")) {
        let from = format!("docs/{name}");
        assert!(packaged.iter().any(|(source, _)| *source == from), "scripts/deb/files lacks {from}");
        assert!(name == "README.md" || contents.contains(&name), "docs/README.md does not link {name}");
    }
}

/// `postrm purge`, over copies of /etc and /var/lib that only this test sees.
#[test]
fn purging_leaves_what_the_administrator_has_made() {
    let mut site = a_site!();
    let layers = site.directory().join("layers");
    fs::create_dir_all(&layers).unwrap();
    let mount = |words: &[&str]| assert!(Command::new("mount").args(words).status().unwrap().success());
    mount(&["-t", "tmpfs", "none", layers.to_str().unwrap()]);
    for place in ["/etc", "/var/lib"] {
        let own = layers.join(place.replace('/', "-"));
        fs::create_dir_all(own.join("upper")).unwrap();
        fs::create_dir_all(own.join("work")).unwrap();
        let (own, options) = (own.display(), "upperdir");
        let options = format!("lowerdir={place},{options}={own}/upper,workdir={own}/work");
        mount(&["-t", "overlay", "-o", &options, "overlay", place]);
    }
    site.settle_mounts();
    let purge = || {
        let status = Command::new("sh").arg(root().join("scripts/deb/postrm")).arg("purge").status().unwrap();
        assert!(status.success());
    };
    let kept = [
        "/etc/dayfly/second.toml",
        "/etc/dayfly/profiles/mine.profile",
        "/var/lib/dayfly/public-second/stats.json",
    ];
    for path in kept.into_iter().chain(["/var/lib/dayfly/public-gopher/stats.json"]) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    purge();
    for path in kept {
        assert_eq!(fs::read_to_string(path).unwrap(), "mine", "{path}");
    }
    assert!(!Path::new("/var/lib/dayfly/public-gopher").exists());
    for path in kept {
        fs::remove_file(path).unwrap();
    }
    fs::remove_dir("/var/lib/dayfly/public-second").unwrap();
    purge();
    assert!(!Path::new("/etc/dayfly").exists() && !Path::new("/var/lib/dayfly").exists());
    site.settle();
}
