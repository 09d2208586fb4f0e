//! The supervisor's small mount namespace: a sandbox costs the same however much the host has mounted, and
//! SIGHUP makes the services anew. (tests/serve/self_reload.rs: what happens by itself when their files
//! are replaced.)

use common::serve::{Serve, Serving};
use common::site::{Beside, make_directory, write};
use common::{a_site, need, process};

/// The mount points in a process's mount namespace.
fn mount_points(pid: u32) -> Vec<String> {
    process::read(pid, "mountinfo").lines().filter_map(|l| Some(l.split(' ').nth(4)?.to_owned())).collect()
}

fn answer(serving: &Serving<'_>) -> String {
    String::from_utf8(serving.ask(b"")).unwrap()
}

#[test]
fn the_supervisor_sees_proc_and_its_services_trees_and_nothing_else_of_the_host() {
    let site = a_site!();
    let content = site.directory().display().to_string();
    for (kind, expected) in [("readonly", "/0/root/empty"), ("overlay", "/0/bind-0")] {
        let bind = format!("{content}:/empty");
        let serving =
            Serve::probe(&site, &["echo"]).options(&["--snapshot", kind, "--bind-ro", &bind]).start();
        assert_eq!(serving.ask(b"x\n"), b"x\n");
        // The test's mounts are shared: what were mounted on a peer of one would be there as well.
        site.check_host_untouched();
        let points = mount_points(serving.supervisor());
        for wanted in ["/", "/proc", "/0/root", expected] {
            assert!(points.iter().any(|point| point == wanted), "{kind}: no {wanted} in {points:?}");
        }
        let others: Vec<_> =
            points.iter().filter(|p| *p != "/" && !p.starts_with("/0/") && !p.starts_with("/proc")).collect();
        assert!(others.is_empty(), "{kind}: {others:?}");
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn its_mounts_are_as_many_whatever_the_host_has() {
    let site = a_site!();
    let count = |before: &[&str]| {
        let serving = Serve::probe(&site, &["echo"]).before(before).start();
        assert_eq!(serving.ask(b"x\n"), b"x\n");
        let count = mount_points(serving.supervisor()).len();
        assert_eq!(serving.terminate().0, 0);
        count
    };
    let unshare = need!("unshare");
    let many = "i=0; while [ $i -lt 50 ]; do mount -t tmpfs many /mnt; i=$((i+1)); done; exec \"$@\"";
    let crowded = count(&[unshare.to_str().unwrap(), "--mount", "/bin/sh", "-c", many, "sh"]);
    assert_eq!(crowded, count(&[]));
}

#[test]
fn sighup_honours_a_new_bind_and_drops_the_old_trees() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let content = beside.0.join("content");
    make_directory(&content, 0o755);
    write(&content.join("note"), b"found\n", 0o644);
    let file = beside.0.join("service.toml");
    let text = |bind: &str| {
        let (template, tag) = (site.template().display().to_string(), site.tag());
        let handler = format!("[\"/bin/probe\", \"@{tag}\", \"try\", \"cat\", \"/empty/note\"]");
        format!("template = \"{template}\"\nhandler = {handler}\nsnapshot = \"readonly\"\n{bind}")
    };
    std::fs::write(&file, text("")).unwrap();
    let setpriv = need!("setpriv");
    let set = common::bounding_set("gopher.service", "readonly");
    let serving =
        Serve::file(&site, &file).before(&[setpriv.to_str().unwrap(), "--bounding-set", &set]).start();
    assert!(answer(&serving).contains("errno 2"), "{}", answer(&serving));
    let before = mount_points(serving.supervisor()).len();
    for round in 0..3 {
        // A relative source begins at the file's directory, wherever the supervisor is.
        std::fs::write(&file, text("bind_ro = [\"content:/empty\"]\n")).unwrap();
        serving.signal(libc::SIGHUP);
        serving.await_log(&["dayfly: reloaded"]);
        let got = answer(&serving);
        assert!(got.contains("found"), "round {round}: {got} {:?}", mount_points(serving.supervisor()));
    }
    // The trees of replaced services go with the last of their sandboxes.
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while mount_points(serving.supervisor()).len() > before + 1 {
        assert!(std::time::Instant::now() < deadline, "{:?}", mount_points(serving.supervisor()));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn sighup_listens_at_a_new_address_keeps_the_old_one_and_leaves_a_dropped_one() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let file = beside.0.join("service.toml");
    let text = |listen: &str| {
        let (template, tag) = (site.template().display().to_string(), site.tag());
        format!(
            "template = \"{template}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"echo\"]\nlisten = [{listen}]\n"
        )
    };
    let addresses: Vec<String> = (0..3).map(|_| free_address()).collect();
    let [kept, dropped, new] = addresses.as_slice() else { panic!("three addresses") };
    std::fs::write(&file, text(&format!("\"{kept}\", \"{dropped}\""))).unwrap();
    let serving = Serve::file(&site, &file).listening_itself().start();
    serving.await_log(&["listening", dropped]);
    assert_eq!(ask(kept).unwrap(), b"x\n");
    assert_eq!(ask(dropped).unwrap(), b"x\n");
    // An address that is taken keeps all as it was.
    let taken = std::net::TcpListener::bind(new).unwrap();
    std::fs::write(&file, text(&format!("\"{new}\""))).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded", new]);
    assert_eq!(ask(dropped).unwrap(), b"x\n");
    drop(taken);
    std::fs::write(&file, text(&format!("\"{kept}\", \"{new}\""))).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["listening", new]);
    serving.await_log(&["dayfly: reloaded"]);
    assert_eq!(ask(kept).unwrap(), b"x\n");
    assert_eq!(ask(new).unwrap(), b"x\n");
    assert_eq!(ask(dropped).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(serving.terminate().0, 0);
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn ask(address: &str) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(b"x\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
