//! Where things are mounted in the sandbox: one place is one place however it is written, and nothing is
//! hidden unsaid.

use common::serve::Serve;
use common::site::{make_directory, write};
use common::{Site, a_site};
use std::os::unix::fs::symlink;

/// Directories of the host, each with a file of its own name.
fn content(site: &mut Site, names: &[&str]) -> Vec<String> {
    let make = |name: &&str| {
        let directory = site.directory().join(name);
        make_directory(&directory, 0o755);
        make_directory(&directory.join("sub"), 0o755);
        write(&directory.join(name), name.as_bytes(), 0o644);
        directory.to_str().unwrap().to_owned()
    };
    let paths = names.iter().map(make).collect();
    site.settle();
    paths
}

#[test]
fn the_last_of_a_place_wins_however_it_is_written() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one", "two"]);
    let [one, two] = paths.as_slice() else { unreachable!("two were asked for") };
    for written in ["/empty", "/empty/", "//empty", "/./empty/."] {
        for option in ["--bind-ro", "--bind"] {
            let owner = if option == "--bind" { ":4242" } else { "" };
            let first = format!("{one}:/empty{owner}");
            let last = format!("{two}:{written}{owner}");
            let options = [option, &first, option, &last];
            let mut live = site.probe(&["sleep"]).options(&options).start();
            let handler = live.await_ready();
            let mounts = common::process::read(handler, "mountinfo");
            let there: Vec<&str> =
                mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/empty")).collect();
            assert_eq!(there.len(), 1, "{option} {written}: one mount there\n{mounts}");
            assert!(there[0].contains("/two "), "{option} {written}: the last one\n{mounts}");
            live.client.half_close();
            live.end().expect(0, "exited");
        }
    }
    let options = ["--tmpfs", "/empty:64K", "--tmpfs", "/empty/:1M"];
    let ended = site.probe(&["fill", "/empty/x"]).options(&options).talk(b"");
    assert!(ended.value("fill").starts_with("10"), "1M holds 10… bytes\n{ended}");
}

#[test]
fn a_mount_that_would_hide_another_is_a_usage_error_that_names_both() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one"]);
    let bind = |target: &str| format!("{}:{target}", paths[0]);
    let owned = |target: &str| format!("{}:{target}:4242", paths[0]);
    let credential = format!("key:{}/one", paths[0]);
    for (options, later, earlier) in [
        (
            ["--bind-ro", &bind("/empty"), "--bind", &owned("/empty/")],
            "--bind at /empty",
            "--bind-ro at /empty",
        ),
        (["--bind-ro", &bind("//empty"), "--tmpfs", "/empty/"], "--tmpfs at /empty", "--bind-ro at /empty"),
        (["--bind", &owned("/empty/."), "--tmpfs", "/empty"], "--tmpfs at /empty", "--bind at /empty"),
        (["--bind-ro", &bind("/srv/x"), "--tmpfs", "/srv"], "--tmpfs at /srv", "--bind-ro at /srv/x"),
        (
            ["--bind-ro", &bind("/srv/x"), "--bind-ro", &bind("/srv")],
            "--bind-ro at /srv",
            "--bind-ro at /srv/x",
        ),
        (["--tmpfs", "/srv/x", "--tmpfs", "/srv"], "--tmpfs at /srv", "--tmpfs at /srv/x"),
        (["--bind-ro", &bind("/tmp/x"), "--", ""], "the default tmpfs at /tmp", "--bind-ro at /tmp/x"),
        (["--proc=yes", "--tmpfs=/proc/", "--", ""], "--tmpfs at /proc", "--proc at /proc"),
        (["--proc=yes", "--bind-ro", &bind("/proc"), "--"], "--proc at /proc", "--bind-ro at /proc"),
        (["--proc=yes", "--bind-ro", &bind("/proc/x"), "--"], "--proc at /proc", "--bind-ro at /proc/x"),
        (
            ["--credential", &credential, "--tmpfs", "/run/credentials/"],
            "--credential at /run/credentials",
            "--tmpfs at /run/credentials",
        ),
    ] {
        let options = options.split(|option| *option == "--").next().unwrap();
        let ended = site.probe(&["echo"]).options(options).talk(b"");
        ended.is_usage_error(&format!("{later} would hide {earlier}:"));
    }
}

#[test]
fn the_devices_of_a_tree_are_hidden_by_nothing_and_hide_nothing() {
    let mut site = a_site!();
    make_directory(&site.template().join("dev"), 0o755);
    let paths = content(&mut site, &["one"]);
    for (option, named) in [
        ("--tmpfs=/dev/".to_owned(), "--tmpfs at /dev would hide the profile's devices at /dev"),
        (
            format!("--bind-ro={}:/dev/x", paths[0]),
            "--bind-ro at /dev/x: the profile has a /dev of its own over the template's",
        ),
    ] {
        let ended = site.probe(&["echo"]).options(&["--profile", "tree", &option]).talk(b"");
        ended.is_usage_error(named);
        // Under the others there are none.
    }
    let ended = site.probe(&["echo"]).options(&["--tmpfs", "/dev"]).talk(b"hello");
    ended.expect(0, "exited");
}

#[test]
fn a_place_with_dots_or_at_the_root_itself_is_a_usage_error() {
    let site = a_site!();
    for (options, named) in [
        (["--bind-ro", "/srv:/empty/../srv"], "/empty/../srv"),
        (["--bind-ro", "/srv/../srv"], "/srv/../srv"),
        (["--bind", "/srv:/..:4242"], "/.."),
        (["--tmpfs", "/empty/.."], "/empty/.."),
        (["--bind-ro", "/srv:/"], "the root itself"),
        (["--bind", "/srv://:4242"], "the root itself"),
    ] {
        site.probe(&["echo"]).options(&options).talk(b"").is_usage_error(named);
    }
}

#[test]
fn what_is_mounted_later_below_an_earlier_one_is_seen() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one"]);
    let bind = format!("{}:/empty/", paths[0]);
    for snapshot in ["readonly", "overlay"] {
        let options = ["--snapshot", snapshot, "--bind-ro", &bind, "--tmpfs", "/empty/sub/"];
        let ended = site.probe(&["try", "write", "/empty/sub/x"]).options(&options).talk(b"");
        assert!(ended.text().contains("write ok"), "{snapshot}\n{ended}");
        let ended = site.probe(&["try", "cat", "/empty/one"]).options(&options).talk(b"");
        assert_eq!(ended.value("content"), "one", "{snapshot}");
    }
}

#[test]
fn statistics_make_room_for_what_a_service_mounts_there() {
    let mut site = a_site!();
    make_directory(&site.template().join("run"), 0o755);
    make_directory(&site.template().join("run/dayfly"), 0o755);
    site.settle();
    for place in ["/run", "/run/dayfly/"] {
        let options = ["--snapshot", "readonly", "--tmpfs", place];
        let serving = Serve::probe(&site, &["see", &format!("{place}/")]).options(&options).start();
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert!(!answer.contains("stats.json"), "{place}: {answer}");
        assert_eq!(serving.terminate().0, 0);
    }
}

/// The mounts of a sandbox that is built with these options, by their mount points.
fn mount_points(site: &Site, options: &[&str]) -> Vec<String> {
    let mut live = site.probe(&["sleep"]).options(options).start();
    let handler = live.await_ready();
    let mounts = common::process::read(handler, "mountinfo");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect();
    live.client.half_close();
    live.end().expect(0, "exited");
    points
}

#[test]
fn a_mount_point_that_is_a_link_is_followed_inside_the_template_alone() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one"]);
    let template = site.template();
    make_directory(&template.join("run"), 0o755);
    make_directory(&template.join("run/sub"), 0o755);
    make_directory(&template.join("var"), 0o755);
    for (link, target) in [
        ("var/run", "/run"),
        ("relative", "var/../run"),
        ("twice", "/var/run"),
        ("out", "../../../../../../run"),
        ("proc-root", "/proc/1/root/run"),
        ("round", "/round"),
        ("there", "back"),
        ("back", "there"),
        ("dangling", "/usr/share/zoneinfo/Etc/UTC"),
        ("slash", "/"),
        ("up", "srv/.."),
    ] {
        symlink(target, template.join(link)).unwrap();
    }
    site.settle();
    for snapshot in ["readonly", "overlay"] {
        for (target, expected) in [
            ("/var/run", "/run"),
            ("/var/run/sub", "/run/sub"),
            ("/relative", "/run"),
            ("/twice", "/run"),
            ("/out", "/run"),
        ] {
            let bind = format!("--bind-ro={}:{target}", paths[0]);
            let points = mount_points(&site, &["--snapshot", snapshot, &bind]);
            assert!(points.iter().any(|point| point == expected), "{snapshot} {target}: {points:?}");
            let writable = format!("--bind={}:{target}:4242", paths[0]);
            let points = mount_points(&site, &["--snapshot", snapshot, &writable]);
            assert!(points.iter().any(|point| point == expected), "{snapshot} {target}: {points:?}");
            let tmpfs = format!("--tmpfs={target}");
            let points = mount_points(&site, &["--snapshot", snapshot, &tmpfs]);
            assert!(points.iter().any(|point| point == expected), "{snapshot} {target}: {points:?}");
        }
        for (target, named) in [
            ("/round", "loop"),
            ("/there", "loop"),
            ("/dangling", "/usr/share/zoneinfo/Etc/UTC"),
            ("/proc-root", "/proc/1/root/run"),
            ("/slash", "link to the root"),
            ("/up", "link to the root"),
        ] {
            let bind = format!("--bind-ro={}:{target}", paths[0]);
            let ended = site.probe(&["echo"]).options(&["--snapshot", snapshot, &bind]).talk(b"");
            ended.expect(125, "refused");
            assert!(ended.err.contains(named), "{target}: {named}\n{ended}");
        }
    }
}

#[test]
fn a_tmp_that_is_a_link_has_its_tmpfs_where_it_leads() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one"]);
    let template = site.template();
    std::fs::remove_dir(template.join("tmp")).unwrap();
    make_directory(&template.join("var"), 0o755);
    make_directory(&template.join("var/tmp"), 0o755);
    symlink("/var/tmp", template.join("tmp")).unwrap();
    site.settle();
    for options in [&["--snapshot", "readonly"][..], &["--snapshot", "readonly", "--tmpfs", "/tmp:1M"]] {
        let ended = site.probe(&["try", "write", "/tmp/x"]).options(options).talk(b"");
        assert!(ended.text().contains("write ok"), "{options:?}\n{ended}");
        let points = mount_points(&site, options);
        assert_eq!(points.iter().filter(|point| *point == "/var/tmp").count(), 1, "{points:?}");
    }
    // A mount that the operator asks for replaces the default one, by either name.
    for target in ["/tmp", "/var/tmp"] {
        let bind = format!("--bind-ro={}:{target}", paths[0]);
        let ended = site.probe(&["try", "cat", "/tmp/one"]).options(&[&bind]).talk(b"");
        assert_eq!(ended.value("content"), "one", "{target}\n{ended}");
    }
}

#[test]
fn a_mount_that_would_hide_another_by_a_link_is_found_too() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one"]);
    make_directory(&site.template().join("run"), 0o755);
    symlink("/run", site.template().join("link")).unwrap();
    site.settle();
    let bind = format!("{}:/link", paths[0]);
    let ended = site.probe(&["echo"]).options(&["--bind-ro", &bind, "--tmpfs", "/run"]).talk(b"");
    ended.is_usage_error("--tmpfs at /run would hide --bind-ro at /run:");
}

/// The content of a bind may be anybody's: a link in it does not say where the next mount goes.
#[test]
fn a_link_inside_a_bind_is_no_mount_point() {
    let mut site = a_site!();
    let paths = content(&mut site, &["one", "two"]);
    symlink("/srv", site.directory().join("one/link")).unwrap();
    // One of the template below the bind is hidden by it.
    symlink("/srv", site.template().join("empty/sub")).unwrap();
    site.settle();
    let first = format!("{}:/empty", paths[0]);
    let second = |target: &str| format!("{}:{target}", paths[1]);
    for snapshot in ["readonly", "overlay"] {
        let options = ["--snapshot", snapshot, "--bind-ro", &first, "--bind-ro", &second("/empty/link")];
        let ended = site.probe(&["echo"]).options(&options).talk(b"");
        ended.expect(125, "refused");
        assert_eq!(ended.record["step"], "mount-point", "{ended}");
        let options = ["--snapshot", snapshot, "--bind-ro", &first, "--bind-ro", &second("/empty/sub")];
        let points = mount_points(&site, &options);
        assert!(points.iter().any(|point| point == "/empty/sub"), "{points:?}");
    }
}
