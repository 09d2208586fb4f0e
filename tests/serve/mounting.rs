//! The zygote of sandboxes that mount something of their own: what it holds, and what its sandboxes cost and see.

use common::inject::injector;
use common::serve::{Serve, Serving};
use common::{Site, a_site, process};
use std::collections::BTreeSet;

const SNAPSHOTS: [&str; 2] = ["overlay", "readonly"];

/// The template has a /tmp, and so each sandbox a tmpfs.
fn serve<'s>(site: &'s Site, words: &[&str], snapshot: &str) -> Serve<'s> {
    Serve::probe(site, words).options(&["--snapshot", snapshot, "--warm", "2"])
}

/// The child of the supervisor that is root.
fn zygote(serving: &Serving<'_>) -> Option<u32> {
    let parent = format!("\nPPid:\t{}\n", serving.supervisor());
    let is_it = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&parent) && status.contains("\nUid:\t0\t")
    };
    process::all().into_iter().find(is_it)
}

#[test]
fn a_sandbox_that_mounts_costs_no_pivot_and_no_unmount() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let (injector, report) = injector(&[], &["--trace"]);
        let serving = serve(&site, &["echo"], snapshot).under(injector).start();
        for _ in 0..10 {
            assert_eq!(serving.ask(b"one\n"), b"one\n");
        }
        assert_eq!(serving.terminate().0, 0);
        let report = report.read();
        assert_eq!(report.count("launcher/fork", "pivot_root"), 2, "its own, after a look");
        assert!(report.count("launcher/fork/pid", "setsid") >= 10);
        for name in ["pivot_root", "umount2"] {
            assert_eq!(report.count("launcher/fork/pid", name), 0, "{snapshot}: {name}");
        }
        assert_eq!(report.count("launcher/pid", "setsid"), 0, "each is a zygote's");
    }
}

#[test]
fn a_zygote_of_sandboxes_that_mount_holds_its_channel_and_the_trees_of_its_service_alone() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let serving = serve(&site, &["sleep"], snapshot).start();
        let mut client = serving.connect();
        assert_eq!(client.line(), "ready");
        let zygote = zygote(&serving).unwrap();
        let held = process::descriptors(zygote);
        let sockets = held.values().filter(|target| target.starts_with("socket:")).count();
        assert_eq!((held.len(), sockets), (7, 1), "{held:?}");
        let status = process::status(zygote);
        assert_eq!((status["CapBnd"].as_str(), status["Groups"].as_str()), ("0000000000000000", ""));
        // chown, dac_override, fowner, fsetid, setgid, setuid, sys_chroot and sys_admin.
        assert_eq!(status["CapPrm"], "00000000002400db");
        let mounts = std::fs::read_to_string(format!("/proc/{zygote}/mountinfo")).unwrap();
        let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        assert!(places.len() == 2 && places[0] == "/" && places[1].ends_with("/root"), "{places:?}");
        drop(client);
        assert_eq!(serving.terminate().0, 0);
    }
}

/// Of two, each has mounts of its own, and no path leads beyond its root, not even for the host.
#[test]
fn behind_the_root_of_a_sandbox_that_mounts_is_nothing() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let serving = serve(&site, &["sleep"], snapshot).start();
        let mut clients = [serving.connect(), serving.connect()];
        clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
        let served = serving.served();
        let namespaces: BTreeSet<String> = served.iter().map(|pid| process::namespace(*pid, "mnt")).collect();
        assert_eq!(namespaces.len(), 2);
        for pid in served {
            let entries = |path: &str| -> BTreeSet<_> {
                let entries = std::fs::read_dir(format!("/proc/{pid}/root{path}")).unwrap();
                entries.map(|entry| entry.unwrap().file_name()).collect()
            };
            assert!(entries("/").contains("bin".as_ref() as &std::ffi::OsStr));
            assert_eq!(entries("/.."), entries("/"));
            assert_eq!(entries("/../.."), entries("/"));
            let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
            let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
            assert_eq!(places, ["/", "/tmp"], "{snapshot}");
        }
        drop(clients);
        assert_eq!(serving.terminate().0, 0);
    }
}

/// What a zygote keeps has numbers of its own, which are the supervisor's for something else by then.
#[test]
fn a_zygote_that_is_made_while_the_supervisor_has_many_descriptors_open_clones_as_any_other() {
    let site = a_site!();
    for snapshot in SNAPSHOTS {
        let serving = serve(&site, &["echo"], snapshot).options(&["--max-per-source", "64"]).start();
        let mut clients: Vec<_> = (0..20).map(|_| serving.connect()).collect();
        for client in &mut clients {
            client.send(b"here\n");
            assert_eq!(client.line(), "here");
        }
        let before = zygote(&serving);
        serving.signal(libc::SIGHUP);
        for n in 0..20 {
            let line = format!("line {n}\n").into_bytes();
            assert_eq!(serving.ask(&line), line, "{snapshot}");
        }
        process::until(|| zygote(&serving).filter(|after| Some(*after) != before));
        drop(clients);
        let (status, log) = serving.terminate();
        assert!(status == 0 && !log.contains("zygote ended"), "{log}");
    }
}
