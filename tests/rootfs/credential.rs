//! `--credential`: what the launcher has read, for the handler's own uid alone.

use common::serve::Serve;
use common::site::{give_to, make_directory};
use common::{Ended, Site, a_site};
use std::path::PathBuf;

const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// A template with the place for credentials.
fn with_place(mut site: Site) -> Site {
    make_directory(&site.template().join("run"), 0o755);
    make_directory(&site.template().join("run/credentials"), 0o755);
    site.settle();
    site
}

fn secret(site: &mut Site, content: &str) -> PathBuf {
    let path = site.file("secret", content);
    common::site::set_mode(&path, 0o600);
    site.settle();
    path
}

fn run(site: &Site, options: &[&str], words: &[&str]) -> Ended {
    site.probe(words).options(options).talk(b"")
}

#[test]
fn the_handler_reads_what_is_roots_alone_and_nobody_writes_there() {
    let mut site = with_place(a_site!());
    let option = format!("--credential=key:{}", secret(&mut site, "for the handler\n").display());
    let file = "/run/credentials/key";
    for snapshot in SNAPSHOTS {
        let options = [option.as_str(), "--snapshot", snapshot];
        let ended = run(&site, &options, &["try", "cat", file]);
        assert_eq!(ended.value("content"), "for the handler", "{snapshot}\n{ended}");
        for path in [file, "/run/credentials/new"] {
            let ended = run(&site, &options, &["try", "write", path]);
            assert!(ended.value("write").starts_with("errno"), "{snapshot} {path}\n{ended}");
        }
        let ended = run(&site, &options, &["see", "/run/credentials"]);
        assert_eq!(ended.values("entry"), ["key"], "{snapshot}\n{ended}");
        let ended = run(&site, &options, &["env"]);
        assert!(ended.text().contains("CREDENTIALS_DIRECTORY=/run/credentials\n"), "{snapshot}\n{ended}");
    }
    // Without one there is neither.
    let ended = run(&site, &[], &["env"]);
    assert!(!ended.text().contains("CREDENTIALS"), "{ended}");
}

#[test]
fn it_belongs_to_the_sandbox_and_is_read_only_as_the_host_sees_it() {
    let mut site = with_place(a_site!());
    let option = format!("--credential=key:{}", secret(&mut site, "x").display());
    let mut live = site.probe(&["sleep"]).options(&[&option]).start();
    let handler = live.await_ready();
    let uid = common::process::status(handler)["Uid"].split_whitespace().next().unwrap().to_owned();
    let inside = format!("/proc/{handler}/root/run/credentials");
    for (path, mode) in [(inside.clone(), 0o500), (format!("{inside}/key"), 0o400)] {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.uid().to_string(), meta.mode() & 0o7777), (uid.clone(), mode), "{path}");
    }
    let mounts = common::process::read(handler, "mountinfo");
    let line = mounts.lines().find(|line| line.contains(" /run/credentials ")).unwrap();
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(line.split([' ', ',']).any(|word| word == flag), "{flag}: {line}");
    }
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn serve_has_it_for_each_sandbox_and_reads_it_again_when_it_changes_and_at_a_reload() {
    let site = with_place(a_site!());
    let beside = PathBuf::from(format!("/var/tmp/{}-secret", site.tag()));
    make_directory(&beside, 0o700);
    let path = beside.join("key");
    let option = format!("--credential=key:{}", path.display());
    for snapshot in SNAPSHOTS {
        std::fs::write(&path, "one\n").unwrap();
        let serving = Serve::probe(&site, &["try", "cat", "/run/credentials/key"])
            .options(&[&option, "--snapshot", snapshot])
            .start();
        let answer = || String::from_utf8(serving.ask(b"")).unwrap();
        for _ in 0..3 {
            assert!(answer().contains("content one"), "{snapshot}");
        }
        let new = beside.join("new");
        std::fs::write(&new, "two\n").unwrap();
        std::fs::rename(&new, &path).unwrap();
        // The one or the other until it is said, and always whole.
        let meanwhile = answer();
        assert!(["content one", "content two"].iter().any(|whole| meanwhile.contains(whole)), "{meanwhile}");
        serving.await_log(&["dayfly: reloaded the service"]);
        assert!(answer().contains("content two"), "{snapshot}");
        std::fs::write(&path, "three\n").unwrap();
        serving.signal(libc::SIGHUP);
        while serving.await_log(&["dayfly: reloaded"]).contains("reloaded the service") {}
        assert!(answer().contains("content three"), "{snapshot}");
        assert_eq!(serving.terminate().0, 0);
    }
    std::fs::remove_dir_all(&beside).unwrap();
}

#[test]
fn a_list_for_landlock_does_not_take_it_away() {
    let mut site = with_place(a_site!());
    let option = format!("--credential=key:{}", secret(&mut site, "x\n").display());
    let options = [option.as_str(), "--landlock-ro", "/srv"];
    let ended = run(&site, &options, &["try", "cat", "/run/credentials/key"]);
    assert_eq!(ended.value("content"), "x", "{ended}");
}

#[test]
fn several_and_large_ones_arrive_whole() {
    let mut site = with_place(a_site!());
    let (empty, large) = (site.file("empty", ""), site.file("large", &"x".repeat(1 << 20)));
    let options = [
        format!("--credential=empty:{}", empty.display()),
        format!("--credential=large:{}", large.display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut live = site.probe(&["sleep"]).options(&options).start();
    let handler = live.await_ready();
    let inside = |name: &str| std::fs::read(format!("/proc/{handler}/root/run/credentials/{name}")).unwrap();
    assert_eq!((inside("empty").len(), inside("large").len()), (0, 1 << 20));
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn mistakes_are_said_in_one_line_and_a_template_without_the_place_is_refused() {
    let mut site = a_site!();
    let key = secret(&mut site, "x");
    let large = site.file("large", &"x".repeat((1 << 20) + 1));
    for (value, named) in [
        ("key".to_owned(), "NAME:PATH"),
        (format!("a/b:{}", key.display()), "plain file name"),
        (format!("key:{}", site.directory().display()), "not a regular file"),
        (format!("key:{}", large.display()), "exceed 1 MiB"),
    ] {
        run(&site, &["--credential", &value], &["echo"]).is_usage_error(named);
    }
    let value = format!("key:{}", key.display());
    let ended = run(&site, &["--credential", &value], &["echo"]);
    ended.expect(125, "refused");
    assert!(
        ended.err.contains("/run/credentials") && ended.err.contains("create it in the template"),
        "{ended}"
    );
    // A file that others could have written is no secret of the operator's.
    give_to(&key, 4242);
    site.settle();
    let ended = run(&site, &["--credential", &value], &["echo"]);
    ended.expect(125, "refused");
    assert!(ended.err.contains("belongs to uid 4242"), "{ended}");
}

#[test]
fn explain_names_it_and_shows_nothing_of_it() {
    let mut site = with_place(a_site!());
    let key = secret(&mut site, "hidden-content");
    let template = site.template();
    let output = std::process::Command::new(common::dayfly())
        .args(["explain", "--template", template.to_str().unwrap()])
        .args([&format!("--credential=key:{}", key.display()), "--", "/bin/probe"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("key: 14 bytes") && !text.contains("hidden-content"), "{text}");
}
