//! Findings of a review with fresh eyes, each as a test.

use common::serve::Serve;
use common::{a_site, dayfly, sys};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn run(site: &common::Site, verb: &[&str]) -> Command {
    run_with("text", site, verb)
}

fn run_with(log_format: &str, site: &common::Site, verb: &[&str]) -> Command {
    let mut command = Command::new(dayfly());
    command.args(["run", "--template"]).arg(site.template()).args([
        "--log-format",
        log_format,
        "--wall-time",
        "3s",
    ]);
    command.args(["--", "/bin/probe", &format!("@{}", site.tag())]).args(verb);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_directory_is_no_connection() {
    let site = a_site!();
    for directory in ["/", "/etc"] {
        let status = run(&site, &["exit", "0"]).stdin(File::open(directory).unwrap()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{directory}");
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let site = a_site!();
    let (unread, full) = sys::pipe().unwrap();
    let began = Instant::now();
    let status = run(&site, &["stderr", "100000"]).stderr(full).status().unwrap();
    assert!(status.code() == Some(0) || status.code() == Some(124), "{status}");
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(unread);
}

/// Room for a whole record is there or is not: one that was longer than what poll(2) promises would wait for
/// the reader.
#[test]
fn json_records_that_nobody_reads_stop_nothing_however_the_pipe_is_filled() {
    let site = a_site!();
    let line = |bytes: usize| "01".repeat(bytes) + "0a";
    for padding in 0..6 {
        let (unread, full) = sys::pipe().unwrap();
        let words = line(770).repeat(padding) + &line(1000).repeat(30);
        let mut command = run_with("json", &site, &["bytes", &words]);
        let mut launcher = command.stderr(full).spawn().unwrap();
        let deadline = Instant::now() + common::PATIENCE;
        while launcher.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                launcher.kill().unwrap();
                launcher.wait().unwrap();
                panic!("it waits for the reader of its log, after {padding} shorter lines");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(unread);
    }
}

/// journald's socket, as the launcher finds it; in the test's own mount namespace.
fn a_journal() -> UnixDatagram {
    std::fs::create_dir_all("/run/systemd").unwrap();
    sys::mount_tmpfs(c"/run/systemd").unwrap();
    std::fs::create_dir("/run/systemd/journal").unwrap();
    let socket = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket
}

fn entry(journal: &UnixDatagram) -> String {
    let mut buffer = [0; 8192];
    let count = journal.recv(&mut buffer).expect("an entry in the journal");
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn the_record_of_run_reaches_the_journal() {
    let site = a_site!();
    let journal = a_journal();
    let mut command = Command::new(dayfly());
    command.args(["run", "--log-format", "journal", "--template"]).arg(site.template());
    command.args(["--", "/bin/probe", &format!("@{}", site.tag()), "exit", "3"]).stdin(Stdio::null());
    assert_eq!(command.stdout(Stdio::null()).status().unwrap().code(), Some(3));
    let entry = entry(&journal);
    assert!(entry.contains("DAYFLY_OUTCOME=exited\n") && entry.contains("DAYFLY_STATUS=3\n"), "{entry}");
    drop(journal);
    sys::unmount(c"/run/systemd").unwrap();
}

#[test]
fn the_records_of_serve_reach_the_journal_and_nobody_else() {
    let site = a_site!();
    let journal = a_journal();
    let serving = Serve::probe(&site, &["echo"]).options(&["--log-format", "journal"]).start();
    for _ in 0..4 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    let ended = (0..20).map(|_| entry(&journal)).find(|entry| entry.contains("DAYFLY_OUTCOME=exited\n"));
    assert!(ended.is_some());
    drop(journal);
    sys::unmount(c"/run/systemd").unwrap();
    assert_eq!(serving.terminate().0, 0);
}

/// The close of a descriptor that nobody took can wait for as long as its sender has said (SO_LINGER), in
/// the supervisor.
#[test]
fn no_peer_of_a_unix_listener_can_send_it_descriptors() {
    let site = a_site!();
    let own = site.directory().join("own");
    let listen = format!("unix:{}", own.display());
    let serving = Serve::probe(&site, &["echo"]).options(&["--listen", &listen]).start();
    serving.ask(b"it is there\n");
    let peer = UnixStream::connect(&own).unwrap();
    let sent = sys::send_descriptor(peer.as_fd()).map_err(|error| error.raw_os_error());
    // SO_PASSRIGHTS: before Linux 6.16 there is none.
    if sys::option(peer.as_fd(), libc::SOL_SOCKET, 83).is_ok() {
        assert_eq!(sent, Err(Some(libc::EPERM)));
    }
    drop(peer);
    assert_eq!(serving.terminate().0, 0);
}
