//! However it ends, nothing is left: no process, mount, namespace, file or descriptor.

use common::{Wire, a_site, need, process, sys};
use std::time::{Duration, SystemTime};

/// Moments spread over the whole life of a launch, different in each run of the tests and printed with
/// a failure.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Moments(u64::from(now.subsec_nanos()) | 1)
    }

    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly within the one or two milliseconds in which the sandbox is built, some later.
        let microseconds = (self.0 >> 33) % 3000;
        Duration::from_micros(if (self.0 >> 60) < 12 { microseconds } else { microseconds * 8 })
    }
}

fn killed_at_any_moment(before: &[&str], kinds: [&str; 2]) {
    let site = a_site!();
    let mut moments = Moments::new();
    for round in 0..50 {
        let kind = kinds[round % 2];
        let options = ["--snapshot", kind, if round % 4 < 2 { "--init=no" } else { "--init=yes" }];
        let moment = moments.next();
        eprintln!("round {round}: {options:?} killed after {moment:?}");
        let live = site.probe(&["spin"]).before(before).options(&options).start();
        std::thread::sleep(moment);
        live.signal(libc::SIGKILL);
        let ended = live.end_killed();
        assert_eq!(ended.status, -libc::SIGKILL, "{ended}");
    }
}

#[test]
fn after_sigkill_of_the_launcher_at_any_moment() {
    killed_at_any_moment(&[], ["readonly", "overlay"]);
}

/// In a bounding set without CAP_KILL the kernel would drop the parent-death signal without a word.
#[test]
fn after_sigkill_under_the_shipped_units_own_bounding_set() {
    let setpriv = need!("setpriv");
    for kind in ["readonly", "overlay"] {
        let set = common::bounding_set("gopher-inetd@.service", kind);
        killed_at_any_moment(&[setpriv.to_str().unwrap(), "--bounding-set", &set], [kind, kind]);
    }
}

#[test]
fn after_sigkill_while_the_handler_runs() {
    let site = a_site!();
    for init in ["--init=no", "--init=yes"] {
        for wire in [Wire::Tcp, Wire::Pipes] {
            let mut live = site.probe(&["spin"]).wire(wire).options(&[init]).start();
            live.await_ready();
            live.signal(libc::SIGKILL);
            live.end_killed();
        }
    }
}

#[test]
fn under_the_shipped_units_own_bounding_set_it_serves() {
    let site = a_site!();
    let setpriv = need!("setpriv");
    for kind in ["readonly", "overlay"] {
        let set = common::bounding_set("gopher-inetd@.service", kind);
        let before = [setpriv.to_str().unwrap(), "--bounding-set", &set];
        let launch = site.probe(&["echo"]).before(&before);
        let ended = launch.options(&["--snapshot", kind]).talk(b"within bounds\n");
        ended.expect(0, "exited");
        assert_eq!(ended.text(), "within bounds\n");
        // The overlay really can be written with it, also where that copies a file up.
        if kind == "overlay" {
            for file in ["/srv/hello", "/etc/secret", "/etc/new"] {
                let launch = site.probe(&["try", "write", file]);
                let ended = launch.before(&before).talk(b"");
                assert!(ended.text().contains("write ok"), "{file}\n{ended}");
            }
        }
    }
}

#[test]
fn after_a_signal_that_asks_it_to_end() {
    let site = a_site!();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut live = site.probe(&["spin"]).start();
        live.await_ready();
        live.signal(signal);
        let ended = live.end();
        assert_eq!(ended.status, 128 + signal, "{ended}");
    }
}

#[test]
fn after_a_signal_at_any_moment() {
    let site = a_site!();
    let mut moments = Moments::new();
    for round in 0..90 {
        let signal = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP][round % 3];
        let moment = moments.next();
        eprintln!("round {round}: signal {signal} after {moment:?}");
        let live = site.probe(&["spin"]).start();
        std::thread::sleep(moment);
        live.signal(signal);
        let ended = live.end();
        // Before its first instruction that matters it may still have died of the signal itself.
        assert!([128 + signal, -signal].contains(&ended.status), "{ended}");
    }
}

#[test]
fn after_every_ordinary_end() {
    let site = a_site!();
    // The harness looks after each; here they are side by side, with both kinds of rootfs.
    for kind in ["readonly", "overlay"] {
        for words in [&["exit", "0"][..], &["exit", "1"], &["crash"], &["try", "socket_inet"], &["abort"]] {
            site.probe(words).options(&["--snapshot", kind]).talk(b"");
        }
        let wall = ["--snapshot", kind, "--wall-time", "100ms"];
        site.probe(&["spin"]).options(&wall).talk(b"").expect(124, "wall");
        site.handler(&["/bin/absent"]).options(&["--snapshot", kind]).talk(b"").expect(127, "not-found");
    }
}

#[test]
fn a_client_that_resets_leaves_nothing() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).start();
    live.await_ready();
    let (other, _) = common::Client::tcp();
    drop(std::mem::replace(&mut live.client, other));
    live.wait();
    site.check_nothing_left();
}

/// The launcher writes nowhere: it serves where every file system of the host is read-only.
#[test]
fn it_needs_no_writable_file_on_the_host() {
    let site = a_site!();
    let directory = common::site::c_path(site.directory());
    sys::bind(&directory).unwrap();
    for target in [c"/", c"/tmp", c"/dev/shm", c"/run", directory.as_c_str()] {
        // Not every host has a mount at each of them; the root and the site always are.
        let _not_a_mount = sys::read_only(target);
    }
    let refused = std::fs::write("/var/tmp/dayfly-test-writable", b"");
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EROFS), "the test itself");
    for kind in ["readonly", "overlay"] {
        let ended = site.probe(&["echo"]).options(&["--snapshot", kind]);
        let mut live = ended.start();
        live.client.send(b"x\n");
        live.client.half_close();
        assert_eq!(live.client.rest(), b"x\n", "{kind}");
        assert_eq!(live.wait(), 0, "{kind}");
    }
    assert!(process::tagged(site.tag()).is_empty());
    // So that the site can be removed.
    sys::unmount(&directory).unwrap();
}
