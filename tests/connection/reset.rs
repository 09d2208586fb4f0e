//! A limit that ends an unfinished TCP answer resets the connection: no client takes a part for the whole.

use common::serve::Serve;
use common::{Client, Wire, a_site, process, sys};
use std::io::{ErrorKind, Read};

/// How a client sees the end, and what came before it.
#[derive(Debug, PartialEq)]
enum End {
    Clean,
    Reset,
}

fn read_to_end(client: Client) -> (Vec<u8>, End) {
    let Client::Tcp(mut stream) = client else { panic!("only TCP is reset") };
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (all, End::Clean),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (all, End::Reset),
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

const LIMITS: [(&[&str], &[&str], &str); 3] = [
    (&["spin"], &["--wall-time", "500ms"], "outcome=wall"),
    (&["sleep"], &["--idle-time", "400ms"], "outcome=idle"),
    // Nothing is read: it stands still with most of the answer in its hands.
    (&["big", "30000000"], &["--wall-time", "700ms"], "outcome=wall"),
];

#[test]
fn a_limit_of_serve_resets_wherever_its_sandboxes_are_parked() {
    let site = a_site!();
    for (handler, limit, outcome) in LIMITS {
        for more in [&["--park", "entry"][..], &["--park", "before-exec"], &["--park", "none"], &["--init"]] {
            let serving = Serve::probe(&site, handler).options(limit).options(more).start();
            let mut client = serving.connect();
            client.send(if handler[0] == "big" { b"/\n" } else { b"/" });
            let line = serving.await_log(&["ended"]);
            assert!(line.contains(outcome), "{handler:?} {more:?}: {line}");
            let (all, end) = read_to_end(client);
            assert_eq!(end, End::Reset, "{handler:?} {more:?}: {} bytes, then", all.len());
            assert!(handler[0] == "big" || all == b"ready\n", "what was said before is read");
            assert_eq!(serving.terminate().0, 0);
        }
    }
}

#[test]
fn a_limit_of_run_resets_however_the_connection_arrives() {
    let site = a_site!();
    for (handler, limit, outcome) in LIMITS {
        for wire in [Wire::Tcp, Wire::Inetd, Wire::Activated, Wire::Mapped] {
            let mut live = site.probe(handler).wire(wire).options(limit).start();
            let mut client = std::mem::replace(&mut live.client, Client::tcp().0);
            client.send(if handler[0] == "big" { b"/\n" } else { b"/" });
            let ended = live.end();
            assert_eq!(ended.status, 124, "{handler:?} {wire:?}\n{ended}");
            assert_eq!(format!("outcome={}", ended.outcome()), outcome);
            assert_eq!(read_to_end(client).1, End::Reset, "{handler:?} {wire:?}");
        }
    }
}

#[test]
fn too_slow_a_client_is_reset() {
    let site = a_site!();
    let options = ["--min-rate", "100M", "--idle-time", "5s"];
    let serving = Serve::probe(&site, &["big", "50000000"]).options(&options).start();
    let mut client = serving.connect();
    sys::small_receive_buffer(client.fd()).unwrap();
    client.send(b"/\n");
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("limit=min-rate") || line.contains("limit=idle"), "{line}");
    let (all, end) = read_to_end(client);
    assert_eq!(end, End::Reset, "{}", all.len());
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn the_end_of_the_launcher_resets_what_is_unfinished() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).options(&["--drain-time", "200ms"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    assert_eq!(serving.terminate().0, 0);
    assert_eq!(read_to_end(client), (Vec::new(), End::Reset));
    let mut live = site.probe(&["spin"]).start();
    assert_eq!(live.client.line(), "ready");
    let client = std::mem::replace(&mut live.client, Client::tcp().0);
    live.signal(libc::SIGTERM);
    live.end();
    assert_eq!(read_to_end(client), (Vec::new(), End::Reset));
}

#[test]
fn a_finished_answer_ends_cleanly_whatever_ends_its_handler() {
    let site = a_site!();
    for more in [&[][..], &["--init"], &["--park", "before-exec"]] {
        let serving =
            Serve::probe(&site, &["finish"]).options(&["--wall-time", "500ms"]).options(more).start();
        let mut client = serving.connect();
        client.send(b"/\n");
        let line = serving.await_log(&["ended"]);
        assert!(line.contains("outcome=wall"), "{line}");
        assert_eq!(read_to_end(client), (b"whole\n".to_vec(), End::Clean), "{more:?}");
        // One that ends by itself.
        assert_eq!(serving.terminate().0, 0);
    }
    let serving = Serve::probe(&site, &["big", "3000000"]).start();
    let mut client = serving.connect();
    client.send(b"/\n");
    client.half_close();
    let (all, end) = read_to_end(client);
    assert_eq!((all.len(), end), (3_000_000, End::Clean));
    assert_eq!(serving.terminate().0, 0);
}

/// A descriptor that the handler puts in the place of its connection is not asked for anything, and ends
/// with it.
#[test]
fn a_handler_that_has_put_a_file_in_the_place_of_its_connection_ends_in_time() {
    let site = a_site!();
    for init in ["--init=yes", "--init=no"] {
        let serving =
            Serve::probe(&site, &["try", "exchange"]).options(&[init, "--wall-time", "700ms"]).start();
        let mut client = serving.connect();
        assert_eq!(client.line(), "exchanged");
        let line = serving.await_log(&["ended"]);
        assert!(line.contains("outcome=wall") || line.contains("outcome=exited"), "{line}");
        drop(client);
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

/// Nothing is left of those who reset: no process, no zombie.
#[test]
fn the_supervisor_keeps_none_of_its_helpers() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).options(&["--wall-time", "300ms", "--warm", "1"]).start();
    for _ in 0..5 {
        let clients: Vec<Client> = (0..4).map(|_| serving.connect()).collect();
        for client in clients {
            assert_eq!(read_to_end(client).1, End::Reset);
        }
    }
    let supervisor = serving.supervisor();
    process::until(|| {
        let children =
            process::all().into_iter().filter(|pid| process::stat(*pid, 4) == i64::from(supervisor));
        // The zygote, and one that is parked.
        (children.count() <= 2).then_some(())
    });
    assert_eq!(serving.terminate().0, 0);
}
