//! The handler's identity and isolation, seen from inside by the probe and from outside in /proc.

use common::{Live, Wire, a_site, need, process};

const RANGE: std::ops::Range<u32> = 1_879_048_192..1_883_242_496;
const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// Looks at a handler that waits, once for each kind of rootfs, and lets it end.
fn look(before: &[&str], mut with: impl FnMut(&Live<'_>, u32)) {
    let Some(site) = common::Site::new() else { return common::skip("this test needs root") };
    for kind in SNAPSHOTS {
        let mut live = site.probe(&["sleep"]).before(before).options(&["--snapshot", kind]).start();
        let handler = live.await_ready();
        with(&live, handler);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn its_uid_and_gid_are_its_own_and_never_0() {
    look(&[], |live, handler| {
        let status = process::status(handler);
        let own: u32 = status["Uid"].split(' ').next().unwrap().parse().unwrap();
        // Nor does it tell the host's pid.
        assert!(RANGE.contains(&own) && own != RANGE.start + live.launcher(), "{own}");
        let four = [own.to_string(), own.to_string(), own.to_string(), own.to_string()].join(" ");
        assert_eq!(status["Uid"], four, "real, effective, saved and file system uid");
        assert_eq!(status["Gid"], four, "real, effective, saved and file system gid");
    });
}

#[test]
fn from_inside_its_ids_are_the_same() {
    let site = a_site!();
    let ended = site.probe(&["see", "ids"]).talk(b"");
    ended.expect(0, "exited");
    let own = ended.value("uid");
    for key in ["euid", "gid", "egid"] {
        assert_eq!(ended.value(key), own, "{key}");
    }
    // As the record says who it was.
    assert!(ended.err.contains(&format!(" uid={own} ")), "{ended}");
}

#[test]
fn two_live_sandboxes_have_different_ids() {
    let site = a_site!();
    let mut one = site.probe(&["sleep"]).start();
    let mut two = site.probe(&["sleep"]).start();
    let (first, second) = (one.await_ready(), two.await_ready());
    assert_ne!(process::status(first)["Uid"], process::status(second)["Uid"]);
    assert_ne!(process::status(first)["Gid"], process::status(second)["Gid"]);
    for kind in ["mnt", "pid"] {
        assert_ne!(process::namespace(first, kind), process::namespace(second, kind), "{kind}");
    }
    one.client.half_close();
    two.client.half_close();
    // The site is clean only when both have gone.
    assert_eq!((one.wait(), two.wait()), (0, 0));
    site.check_nothing_left();
}

#[test]
fn another_user_range_is_honoured() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).options(&["--user-range", "2000000000+4194304"]).start();
    let handler = live.await_ready();
    let status = process::status(handler)["Uid"].clone();
    let own: u32 = status.split(' ').next().unwrap().parse().unwrap();
    assert!((2_000_000_000..2_004_194_304).contains(&own), "{own}");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn the_launchers_groups_are_not_the_handlers() {
    let setpriv = need!("setpriv");
    look(&[setpriv.to_str().unwrap(), "--groups", "4,20,27"], |live, handler| {
        assert_eq!(process::status(live.launcher())["Groups"], "4 20 27", "the test itself");
        assert_eq!(process::status(handler)["Groups"], "");
    });
}

#[test]
fn all_five_capability_sets_are_empty() {
    let setpriv = need!("setpriv");
    let before =
        [setpriv.to_str().unwrap(), "--inh-caps", "+net_raw,+chown", "--ambient-caps", "+net_raw,+chown"];
    look(&before, |live, handler| {
        assert_ne!(process::status(live.launcher())["CapAmb"], "0000000000000000", "the test itself");
        let status = process::status(handler);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
    });
}

#[test]
fn no_new_privs_and_two_filters_are_on() {
    look(&[], |live, handler| {
        let before: u32 = process::status(live.launcher())["Seccomp_filters"].parse().unwrap();
        let status = process::status(handler);
        assert_eq!(status["NoNewPrivs"], "1");
        assert_eq!(status["Seccomp"], "2");
        let filters: u32 = status["Seccomp_filters"].parse().unwrap();
        assert!(filters >= before + 2, "guard and profile: {filters} filters, the launcher has {before}");
    });
}

#[test]
fn every_namespace_but_user_and_time_is_not_the_hosts() {
    look(&[], |_, handler| {
        for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            let host = process::namespace(std::process::id(), kind);
            assert_ne!(process::namespace(handler, kind), host, "{kind}");
        }
    });
}

#[test]
fn it_is_pid_1_of_its_namespace_and_sees_nobody() {
    look(&[], |_, handler| {
        let seen = process::status(handler)["NSpid"].clone();
        assert_eq!(seen, format!("{handler} 1"));
    });
}

#[test]
fn with_init_the_handler_is_pid_2() {
    let site = a_site!();
    let ended = site.probe(&["see", "pid"]).options(&["--init=yes"]).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.value("pid"), "2");
}

/// Two processes set up there, and both have to wait for the supervisor: again and again, for they
/// could race.
#[test]
fn with_init_each_end_is_the_handlers_own() {
    let site = a_site!();
    for _ in 0..15 {
        site.probe(&["exit", "42"]).options(&["--init"]).talk(b"").expect(42, "exited");
        site.probe(&["crash"]).options(&["--init"]).talk(b"").expect(139, "signaled");
        site.probe(&["signal", "15"]).options(&["--init"]).talk(b"").expect(143, "signaled");
        site.probe(&["try", "socket_inet"]).options(&["--init"]).talk(b"").expect(137, "denied");
    }
}

#[test]
fn there_is_no_network_interface_but_a_loopback_that_is_down() {
    look(&[], |_, handler| {
        let (interfaces, way) = process::inside(handler, "net", || {
            let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
            let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
            // Connecting a datagram socket sends nothing; it looks for a way.
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            (names, socket.connect("127.0.0.1:9"))
        });
        assert_eq!(interfaces, ["lo"]);
        let error = way.expect_err("the loopback is up").raw_os_error();
        assert_eq!(error, Some(libc::ENETUNREACH));
    });
}

#[test]
fn with_private_net_two_sandboxes_do_not_share_one() {
    let site = a_site!();
    let mut one = site.probe(&["sleep"]).options(&["--net", "private"]).start();
    let mut two = site.probe(&["sleep"]).options(&["--net", "private"]).start();
    let (first, second) = (one.await_ready(), two.await_ready());
    assert_ne!(process::namespace(first, "net"), process::namespace(second, "net"));
    one.client.half_close();
    two.client.half_close();
    assert_eq!((one.wait(), two.wait()), (0, 0));
}

#[test]
fn only_three_descriptors_are_open_whatever_the_launcher_had() {
    let site = a_site!();
    for wire in [Wire::Pipes, Wire::Tcp, Wire::Activated] {
        let launch = site.probe(&["sleep"]).wire(wire).inherit(&[5, 31, 40, 63, 64, 200]);
        let mut live = launch.start();
        let handler = live.await_ready();
        let inside = process::descriptors(handler);
        assert_eq!(inside.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "{wire:?} {inside:?}");
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn from_inside_only_three_descriptors_answer() {
    let site = a_site!();
    let ended = site.probe(&["see", "fds"]).inherit(&[5, 63, 64]).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.values("fd"), ["0", "1", "2"]);
}

#[test]
fn it_leads_a_session_without_a_terminal() {
    look(&[], |_, handler| {
        assert_eq!(process::stat(handler, 6), i64::from(handler), "session");
        assert_eq!(process::stat(handler, 5), i64::from(handler), "process group");
        assert_eq!(process::stat(handler, 7), 0, "terminal");
    });
}

#[test]
fn it_is_not_dumpable() {
    look(&[], |_, handler| {
        use std::os::unix::fs::MetadataExt;
        // proc(5): files of a process that is not dumpable are root's, whoever it runs as.
        let owner = std::fs::metadata(format!("/proc/{handler}/environ")).unwrap().uid();
        assert_eq!(owner, 0);
    });
}

#[test]
fn signals_are_as_after_boot_whatever_the_launcher_was_started_with() {
    let env = need!("env");
    let before =
        [env.to_str().unwrap(), "--ignore-signal=USR2", "--ignore-signal=HUP", "--block-signal=USR1"];
    look(&before, |_, handler| {
        let status = process::status(handler);
        let ignored = u64::from_str_radix(&status["SigIgn"], 16).unwrap();
        let mask = |signal: i32| 1_u64 << (signal - 1);
        assert_eq!(ignored & (mask(libc::SIGUSR2) | mask(libc::SIGHUP)), 0, "{ignored:x}");
        assert_eq!(status["SigBlk"], "0000000000000000");
    });
}

#[test]
fn the_umask_is_not_the_launchers() {
    look(&["/bin/sh", "-c", r#"umask 0; exec "$0" "$@""#], |_, handler| {
        assert_ne!(process::status(handler)["Umask"], "0000");
    });
}

#[test]
fn it_has_a_session_keyring_of_its_own() {
    look(&[], |_, handler| {
        // The keyring is joined as the new user, and counted as that user's key.
        let uid = process::status(handler)["Uid"].split(' ').next().unwrap().to_owned();
        let users = std::fs::read_to_string("/proc/key-users").unwrap();
        let counted = users.lines().any(|line| line.trim_start().starts_with(&format!("{uid}:")));
        assert!(counted, "no key of {uid} in\n{users}");
    });
}

#[test]
fn its_host_name_is_a_constant_or_what_the_service_says() {
    fn host_name(handler: u32) -> String {
        let read = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        process::inside(handler, "uts", read).trim().to_owned()
    }
    let mut seen = Vec::new();
    look(&[], |_, handler| seen.push(host_name(handler)));
    let Some(site) = common::Site::new() else { return };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(seen.iter().all(|name| *name == seen[0] && name != host.trim()), "{seen:?} on {host}");
    let mut live = site.probe(&["sleep"]).options(&["--hostname", "small.example"]).start();
    assert_eq!(host_name(live.await_ready()), "small.example");
    live.client.half_close();
    live.end().expect(0, "exited");
}
