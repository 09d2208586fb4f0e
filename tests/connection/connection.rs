//! The connection as the handler finds it: bounded, blocking, and with its peer in the environment.

use common::serve::Serve;
use common::{Client, Launch, Live, Wire, a_site, sys};
use std::os::fd::{AsFd, OwnedFd};

fn option(socket: &OwnedFd, level: i32, name: i32) -> i32 {
    sys::option(socket.as_fd(), level, name).unwrap()
}

/// The size of a buffer by socket(7): doubled, after the host's own bound.
fn send_buffer(bytes: i32) -> i32 {
    let most: i32 = std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
    bytes.min(most) * 2
}

fn assert_bounded(socket: &OwnedFd, wall_time: i32) {
    assert_eq!(option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF), send_buffer(256 << 10));
    assert_eq!(option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
    let timeout = option(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);
    assert!((wall_time / 2..=wall_time).contains(&timeout), "{timeout} of {wall_time} ms");
    assert!(!sys::is_nonblocking(socket.as_fd()).unwrap(), "O_NONBLOCK is on");
}

#[test]
fn it_is_bounded_before_it_is_handed_over() {
    let site = a_site!();
    for wire in [Wire::Tcp, Wire::Inetd, Wire::Activated] {
        let mut live = site.probe(&["sleep"]).wire(wire).options(&["--wall-time", "40s"]).start();
        let socket = sys::borrow(live.await_ready(), 0).unwrap();
        assert_bounded(&socket, 40_000);
        drop(socket);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn serve_bounds_it_too() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let served = serving.served();
    assert_eq!(served.len(), 1);
    for handler in served {
        assert_bounded(&sys::borrow(handler, 0).unwrap(), 60_000);
    }
    drop(client);
    assert_eq!(serving.terminate().0, 0);
}

/// Queued bytes outlive the handler, and a peer that takes none of them must not keep them for hours.
#[test]
fn with_a_long_wall_time_a_peer_may_take_nothing_for_a_minute_alone() {
    let site = a_site!();
    for (idle, seconds) in [("15s", 60), ("90s", 90)] {
        let options = ["--wall-time", "6h", "--idle-time", idle];
        let mut live = site.probe(&["sleep"]).options(&options).start();
        let socket = sys::borrow(live.await_ready(), 0).unwrap();
        assert_eq!(option(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT), seconds * 1000);
        drop(socket);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn the_send_buffer_is_the_services() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).options(&["--send-buffer", "32K"]).start();
    let socket = sys::borrow(live.await_ready(), 0).unwrap();
    assert_eq!(option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF), 65536);
    drop(socket);
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn an_ipv4_peer_of_an_ipv6_listener_is_written_as_ipv4() {
    let site = a_site!();
    let ended = site.probe(&["env"]).wire(Wire::Mapped).talk(b"");
    ended.expect(0, "exited");
    for line in ["REMOTE_ADDR=127.0.0.1", "SERVER_ADDR=127.0.0.1"] {
        assert!(ended.text().lines().any(|l| l == line), "no {line}\n{ended}");
    }
}

#[test]
fn the_environment_is_the_peer_and_what_the_service_sets() {
    let site = a_site!();
    let launch = site.probe(&["env"]).options(&["--setenv", "GREETING=good morning"]);
    let mut live: Live<'_> = launch.variable("SECRET", "of the operator").start();
    let (address, port) = live.client.address();
    let Client::Tcp(stream) = &live.client else { panic!("TCP was asked for") };
    let server = stream.peer_addr().unwrap();
    live.client.half_close();
    let ended = live.end();
    ended.expect(0, "exited");
    let mut lines: Vec<String> = ended.text().lines().map(String::from).collect();
    lines.sort();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let wanted = [
        "GREETING=good morning".to_owned(),
        path,
        format!("REMOTE_ADDR={address}"),
        format!("REMOTE_PORT={port}"),
        format!("SERVER_ADDR={}", server.ip()),
        format!("SERVER_PORT={}", server.port()),
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn a_variable_of_the_peers_that_the_service_sets_is_there_once_as_it_says() {
    let site = a_site!();
    let ended = site.probe(&["env"]).options(&["--setenv", "REMOTE_ADDR=-"]).talk(b"");
    let text = ended.text();
    let found: Vec<_> = text.lines().filter(|line| line.starts_with("REMOTE_ADDR=")).collect();
    assert_eq!(found, ["REMOTE_ADDR=-"], "{ended}");
    let serving = Serve::probe(&site, &["env"])
        .options(&["--park", "before-exec", "--setenv", "REMOTE_ADDR=-"])
        .start();
    let answer = String::from_utf8(serving.ask(b"")).unwrap();
    assert_eq!(answer.matches("REMOTE_ADDR=").count(), 1, "{answer}");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn without_tcp_the_environment_names_no_peer() {
    let site = a_site!();
    for wire in [Wire::Pipes, Wire::Unix] {
        let launch: Launch<'_> = site.probe(&["env"]).wire(wire).variable("REMOTE_ADDR", "192.0.2.1");
        let ended = launch.talk(b"");
        ended.expect(0, "exited");
        let text = ended.text();
        assert!(text.lines().all(|line| line.starts_with("PATH=")), "{wire:?}: {text}");
    }
}
