//! `--snapshot btrfs`: a subvolume snapshot a connection, which can be written, is nobody else's, and is
//! gone afterwards.

use common::serve::{Serve, Serving};
use common::site::{make_directory, set_mode};
use common::volume::Volume;
use common::{Ended, Site, a_site, a_volume, dayfly, need, process, sys};
use std::process::Command;

fn attempt(site: &Site, volume: &Volume, words: &[&str]) -> Ended {
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let ended = volume.probe(site, &words).talk(b"");
    ended.expect(0, "exited");
    ended
}

fn refused(ended: &Ended, words: &[&str]) {
    ended.expect(125, "refused");
    for word in words {
        assert!(ended.err.contains(word), "no '{word}'\n{ended}");
    }
}

/// The processes that destroy snapshots: children of the launcher that are no sandbox.
fn keepers(launcher: u32) -> Vec<u32> {
    let is_keeper = |pid: &u32| process::stat(*pid, 4) == i64::from(launcher);
    let in_its_pid_namespace =
        |pid: &u32| process::namespace(*pid, "pid") == process::namespace(launcher, "pid");
    process::all().into_iter().filter(is_keeper).filter(in_its_pid_namespace).collect()
}

fn sweeps(text: &str) -> Option<usize> {
    let line = text.lines().find(|line| line.contains("swept snapshots"))?;
    line.split_once("snapshots=")?.1.split(' ').next()?.parse().ok()
}

#[test]
fn it_can_be_written_anywhere_and_forgets_it() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    for file in
        ["/new", "/etc/new", "/srv/hello", "/etc/os-release", "/etc/secret", "/empty/x", "/bin/probe2"]
    {
        let ended = attempt(&site, &volume, &["write", file]);
        assert!(ended.text().contains("write ok 21"), "{file}\n{ended}");
        volume.check_nothing_left();
    }
    assert!(attempt(&site, &volume, &["open", "/new"]).value("open").starts_with("errno 2 "));
    assert_eq!(attempt(&site, &volume, &["cat", "/srv/hello"]).value("content"), "hello");
    assert_eq!(attempt(&site, &volume, &["cat", "/etc/secret"]).value("content"), "for root alone");
    let found = std::fs::read_to_string(volume.template().join("srv/hello")).unwrap();
    assert_eq!(found, "hello\n");
}

#[test]
fn its_root_is_a_mount_of_the_snapshot_with_the_flags_of_every_other() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let mut live = volume.probe(&site, &["sleep"]).start();
    let handler = live.await_ready();
    let mounts = process::read(handler, "mountinfo");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    for word in ["rw", "nosuid", "nodev", "noexec", "noatime", "idmapped", "btrfs"] {
        assert!(root.split([' ', ',']).any(|found| found == word), "{word}: {root}");
    }
    assert!(root.split(' ').nth(3).unwrap().starts_with("/.dayfly-snapshots/"), "{root}");
    assert_eq!(volume.launchers(), [1]);
    live.client.half_close();
    live.end().expect(0, "exited");
    volume.check_nothing_left();
}

#[test]
fn on_the_disk_what_a_handler_makes_is_roots_and_nobody_else_can_go_there() {
    use std::os::unix::fs::MetadataExt;
    let mut site = a_site!();
    let volume = a_volume!(site);
    let serving = Serve::file(&site, &volume.service(&["keep", "/new"])).options(&["--park", "none"]).start();
    let client = serving.connect();
    let made = process::until(|| {
        let own = std::fs::read_dir(volume.shelf()).ok()?.flatten().next()?.path();
        std::fs::metadata(own.join("0/root/new")).ok()
    });
    assert_eq!((made.uid(), made.gid()), (0, 0));
    let shelf = std::fs::metadata(volume.shelf()).unwrap();
    assert_eq!((shelf.uid(), shelf.mode() & 0o7777), (0, 0o700));
    drop(client);
    assert_eq!(serving.terminate().0, 0);
    volume.check_nothing_left();
}

#[test]
fn a_sandbox_that_sees_the_file_system_around_cannot_go_to_the_others() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let around = format!("{}:/empty", volume.directory().display());
    for path in ["/empty/.dayfly-snapshots", "/empty/.dayfly-snapshots/x"] {
        let ended = volume.probe(&site, &["try", "open", path]).options(&["--bind-ro", &around]).talk(b"");
        assert!(ended.value("open").starts_with("errno 13 "), "{ended}");
    }
}

#[test]
fn a_handler_makes_and_destroys_no_subvolumes() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    for call in ["ioctl_snapshot", "ioctl_subvolume", "ioctl_destroy"] {
        volume.probe(&site, &["try", call]).talk(b"").expect(137, "denied");
        let ended = volume.probe(&site, &["try", call]).options(&["--profile", "tree"]).talk(b"");
        ended.expect(0, "exited");
        assert!(ended.value(call).starts_with("errno 25 "), "{ended}");
    }
    volume.check_nothing_left();
}

#[test]
fn under_profile_tree_its_programs_can_be_executed() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let ended = volume.probe(&site, &["echo"]).options(&["--profile", "tree"]).talk(b"a tree\n");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "a tree\n");
    volume.check_nothing_left();
}

#[test]
fn a_template_that_is_read_only_has_snapshots_that_can_be_written() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let set = Command::new("btrfs")
        .args(["property", "set", "-t", "subvol"])
        .arg(volume.template())
        .args(["ro", "true"])
        .status();
    assert!(set.unwrap().success());
    assert_eq!(attempt(&site, &volume, &["write", "/srv/hello"]).value("write"), "ok 21");
}

#[test]
fn a_subvolume_in_the_template_is_an_empty_directory_in_its_snapshots() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    volume.subvolume(&volume.template().join("srv/inner"));
    std::fs::write(volume.template().join("srv/inner/file"), "content").unwrap();
    let ended = attempt(&site, &volume, &["open", "/srv/inner/file"]);
    assert!(ended.value("open").starts_with("errno 2 "), "{ended}");
    let template = volume.template().display().to_string();
    let output = Command::new(dayfly())
        .args(["check", "--template", &template, "--snapshot", "btrfs", "--", "/bin/probe"])
        .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(text.contains("/srv/inner") && text.contains("empty in a btrfs snapshot"), "{text}");
}

#[test]
fn serve_gives_each_sandbox_its_own_and_takes_them_all_away() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let file = volume.service(&["try", "write", "/bin/new"]);
    let serving = Serve::file(&site, &file).options(&["--warm", "3"]).start();
    process::until(|| (volume.launchers() == [3]).then_some(()));
    for _ in 0..20 {
        assert!(String::from_utf8(serving.ask(b"")).unwrap().contains("write ok"));
    }
    std::fs::rename(volume.template(), volume.directory().join("old")).unwrap();
    volume.subvolume(&volume.template());
    make_directory(&volume.template().join("bin"), 0o755);
    std::fs::copy(common::test_bin("probe"), volume.template().join("bin/probe")).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    assert!(String::from_utf8(serving.ask(b"")).unwrap().contains("write ok"));
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    volume.check_nothing_left();
}

#[test]
fn after_sigkill_of_the_launcher_nothing_is_left() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let mut live = volume.probe(&site, &["sleep"]).start();
    live.await_ready();
    live.signal(libc::SIGKILL);
    live.end_killed();
    volume.check_nothing_left();
    let serving = Serve::file(&site, &volume.service(&["echo"])).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    serving.murder();
    volume.check_nothing_left();
}

/// Before there is a keeper, while the snapshot is being made, while it is destroyed: what stays, if
/// anything, has no lock.
#[test]
fn after_sigkill_of_the_launcher_at_any_moment_the_next_one_finds_nothing_or_sweeps_it() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    for round in 0..40 {
        let moment = std::time::Duration::from_micros(round * 400);
        let live = volume.probe(&site, &["exit"]).start();
        std::thread::sleep(moment);
        live.signal(libc::SIGKILL);
        live.end_killed();
        process::until(|| volume.nobody_holds_a_lock().then_some(()));
        volume.probe(&site, &["echo"]).talk(b"x\n").expect(0, "exited");
        assert_eq!(volume.launchers(), [0; 0], "killed after {moment:?}");
    }
    volume.check_nothing_left();
}

/// Kills keeper and launcher, as when the machine loses its power; answers how many snapshots they have left.
fn leave(volume: &Volume, serving: Serving<'_>) -> usize {
    process::until(|| (volume.launchers().iter().sum::<usize>() >= 3).then_some(()));
    for keeper in keepers(serving.supervisor()) {
        sys::kill(serving.supervisor(), libc::SIGSTOP).unwrap();
        sys::kill(keeper, libc::SIGKILL).unwrap();
    }
    serving.murder();
    // A process that ends has no arguments any more before it has no open files.
    process::until(|| volume.nobody_holds_a_lock().then_some(()));
    volume.launchers().iter().sum()
}

#[test]
fn what_a_power_cut_leaves_is_swept_at_the_next_start_and_said() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let file = volume.service(&["echo"]);
    let serve = || Serve::file(&site, &file).options(&["--warm", "3"]).start();
    let left = leave(&volume, serve());
    assert!(left >= 3, "{left}");
    let serving = serve();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let (_, log) = serving.terminate();
    assert_eq!(sweeps(&log), Some(left), "{log}");
    volume.check_nothing_left();
    let left = leave(&volume, serve());
    let ended = volume.probe(&site, &["echo"]).talk(b"x\n");
    ended.expect(0, "exited");
    assert_eq!(sweeps(&ended.err), Some(left), "{ended}");
    volume.check_nothing_left();
}

#[test]
fn those_of_a_launcher_that_lives_are_never_swept() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let serving = Serve::file(&site, &volume.service(&["echo"])).options(&["--warm", "3"]).start();
    process::until(|| (volume.launchers() == [3]).then_some(()));
    for _ in 0..3 {
        let mark = format!("@{}", site.tag());
        let template = volume.template().display().to_string();
        let output = Command::new(dayfly())
            .args(["run", "--template", &template, "--snapshot", "btrfs", "--", "/bin/probe", &mark, "exit"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(sweeps(&String::from_utf8_lossy(&output.stderr)), None, "{output:?}");
        assert_eq!(volume.launchers(), [3]);
    }
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
    volume.check_nothing_left();
}

#[test]
fn where_the_keeper_is_killed_the_launcher_does_its_work() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let serving = Serve::file(&site, &volume.service(&["echo"])).options(&["--warm", "2"]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    // Subvolumes whose end it has not heard of when it dies stay until the launcher's end.
    process::until(|| (volume.launchers() == [2]).then_some(()));
    let found = keepers(serving.supervisor());
    assert_eq!(found.len(), 1, "{}", process::describe(&found));
    sys::kill(found[0], libc::SIGKILL).unwrap();
    for _ in 0..5 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    process::until(|| (volume.launchers() == [2]).then_some(()));
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    volume.check_nothing_left();
}

#[test]
fn it_takes_no_capability_more_than_the_shipped_units_have() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let setpriv = need!("setpriv");
    let set = common::bounding_set("gopher-inetd@.service", "btrfs");
    let before = [setpriv.to_str().unwrap(), "--bounding-set", &set];
    let ended = volume.probe(&site, &["try", "write", "/etc/secret"]).before(&before).talk(b"");
    assert_eq!(ended.value("write"), "ok 21", "{ended}");
    volume.check_nothing_left();
}

#[test]
fn rootless_it_is_refused() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let setpriv = need!("setpriv");
    let before = [setpriv.to_str().unwrap(), "--reuid", "4242", "--regid", "4242", "--clear-groups"];
    let given_up = ["--allow-degraded", "uid,groups"];
    let ended = volume.probe(&site, &["echo"]).options(&given_up).before(&before).talk(b"");
    refused(&ended, &["only root may destroy a snapshot"]);
}

#[test]
fn nspawns_x_takes_it_where_it_is_asked_for() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let (template, mark) = (volume.template().display().to_string(), format!("@{}", site.tag()));
    let words = ["nspawn", "-qx", "-D", &template, "--snapshot=btrfs", "/bin/probe", &mark, "see"];
    let ended = site.handler(&[]).verb(&words).talk(b"");
    assert_eq!(ended.status, 0, "{ended}");
    volume.check_nothing_left();
    assert!(volume.shelf().exists());
}

#[test]
fn a_set_up_that_fails_leaves_no_snapshot() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let ended = volume.probe(&site, &["echo"]).options(&["--tmpfs", "/nowhere"]).talk(b"");
    refused(&ended, &["cannot open the mount point /nowhere"]);
    volume.check_nothing_left();
}

#[test]
fn what_has_no_snapshots_is_refused_with_the_way_out() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let on = |template: &std::path::Path| {
        let template = template.display().to_string();
        site.probe(&["echo"]).only_options(&["--template", &template, "--snapshot", "btrfs"]).talk(b"")
    };
    refused(&on(&site.template()), &["it is not on btrfs", "--snapshot overlay"]);
    let plain = volume.directory().join("plain");
    make_directory(&plain, 0o755);
    refused(&on(&plain), &["not a subvolume", "btrfs subvolume create"]);
    refused(&on(volume.directory()), &["mount point"]);
    let options = ["--tmpfs", "/:1M"];
    volume.probe(&site, &["echo"]).options(&options).talk(b"").is_usage_error("--tmpfs /");
}

#[test]
fn a_shelf_that_others_could_reach_is_refused() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    make_directory(&volume.shelf(), 0o755);
    refused(&volume.probe(&site, &["echo"]).talk(b""), &["EPERM", "mode 0700"]);
    set_mode(&volume.shelf(), 0o700);
    volume.probe(&site, &["echo"]).talk(b"").expect(0, "exited");
    common::site::give_to(&volume.shelf(), 4242);
    refused(&volume.probe(&site, &["echo"]).talk(b""), &["EPERM", "mode 0700"]);
}

#[test]
fn explain_shows_where_it_is_and_makes_nothing() {
    let mut site = a_site!();
    let volume = a_volume!(site);
    let template = volume.template().display().to_string();
    for command in ["explain", "check"] {
        let output = Command::new(dayfly())
            .args([command, "--template", &template, "--snapshot", "btrfs", "--", "/bin/probe"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let shown = command == "check" || text.contains(&volume.shelf().display().to_string());
        assert!(shown, "{text}");
    }
    assert!(!volume.shelf().exists());
}
