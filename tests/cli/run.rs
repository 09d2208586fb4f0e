//! `dayfly run`: the ways a connection can arrive, and what reaches whom.

use common::{Wire, a_site, dayfly, dist, need, process, sys};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn by_hand_over_pipes_the_answer_comes_on_stdout() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).wire(Wire::Pipes).talk(b"one line\r\nand another");
    ended.expect(0, "exited");
    assert_eq!(ended.out, b"one line\r\nand another", "{ended}");
}

#[test]
fn a_tcp_connection_on_fd_0_and_1_is_the_handlers_own() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).wire(Wire::Tcp).talk(b"over tcp\n");
    ended.expect(0, "exited");
    assert_eq!(ended.out, b"over tcp\n", "{ended}");
}

#[test]
fn a_unix_socket_on_fd_0_and_1_serves_as_well() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).wire(Wire::Unix).talk(b"over unix\n");
    ended.expect(0, "exited");
    assert_eq!(ended.out, b"over unix\n", "{ended}");
}

#[test]
fn the_socket_itself_is_handed_over_and_not_proxied() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).wire(Wire::Tcp).start();
    let handler = live.await_ready();
    let inside = process::descriptors(handler);
    let outside = process::descriptors(live.launcher());
    assert!(inside[&0].starts_with("socket:"), "{inside:?}");
    assert_eq!(inside[&0], inside[&1], "one socket on fd 0 and 1");
    assert_ne!(inside[&2], outside[&2], "fd 2 of the handler is not the launcher's");
    assert!(inside[&2].starts_with("pipe:"), "{inside:?}");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn an_activated_connection_at_fd_3_is_served() {
    let site = a_site!();
    let ended = site.probe(&["echo"]).wire(Wire::Activated).talk(b"activated\n");
    ended.expect(0, "exited");
    assert_eq!(ended.out, b"activated\n", "{ended}");
}

#[test]
fn an_activated_connection_is_fd_0_and_1_of_the_handler() {
    let site = a_site!();
    let mut live = site.probe(&["sleep"]).wire(Wire::Activated).start();
    let handler = live.await_ready();
    let inside = process::descriptors(handler);
    assert_eq!(inside.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "{inside:?}");
    assert!(inside[&0].starts_with("socket:") && inside[&0] == inside[&1], "{inside:?}");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn descriptors_meant_for_another_process_are_ignored() {
    let site = a_site!();
    let mut live = site.probe(&["echo"]).wire(Wire::ActivatedForAnother).start();
    let mut other = live.spare.take().expect("the connection of another");
    live.client.send(b"by fd 0\n");
    live.client.half_close();
    let ended = live.end();
    ended.expect(0, "exited");
    assert_eq!(ended.out, b"by fd 0\n", "{ended}");
    assert_eq!(other.rest(), b"", "the other connection got an answer");
}

#[test]
fn a_listening_socket_at_fd_3_is_a_mistake_that_names_serve() {
    let site = a_site!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#]);
    command.arg(dayfly()).args(["run", "--template"]).arg(site.template()).args(["--", "/bin/probe", "echo"]);
    sys::place(&mut command, vec![(listener.into(), 3)]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("serve"), "{text}");
    site.check_nothing_left();
}

/// A server that was just started listens as soon as it can; there is no event to wait for.
fn connect(port: u16) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks a super-server that was started for it, and ends the super-server.
fn ask_through(mut server: Child, port: u16, input: &[u8]) -> String {
    let mut stream = connect(port);
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.write_all(input).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn words(launch: &[&str], site: &common::Site) -> Vec<std::ffi::OsString> {
    let mark = format!("@{}", site.tag());
    let mut words: Vec<std::ffi::OsString> = launch.iter().map(Into::into).collect();
    words.extend([dayfly().into_os_string(), "run".into(), "--template".into(), site.template().into()]);
    words.extend(["--", "/bin/probe", &mark, "echo"].map(Into::into));
    words
}

#[test]
fn behind_tcpserver_it_serves() {
    let site = a_site!();
    let tcpserver = need!("tcpserver");
    let port = free_port();
    let mut command = Command::new(tcpserver);
    command.args(words(&["-HRl0", "127.0.0.1", &port.to_string()], &site)).stderr(Stdio::null());
    assert_eq!(ask_through(command.spawn().unwrap(), port, b"through tcpserver\n"), "through tcpserver\n");
    assert!(process::await_end_of(site.tag(), common::PATIENCE).is_empty());
    site.check_nothing_left();
}

#[test]
fn behind_systemd_socket_activate_with_inetd_it_serves() {
    let site = a_site!();
    let activate = need!("systemd-socket-activate");
    let port = free_port();
    let mut command = Command::new(activate);
    command.args(words(&["--inetd", "-a", "-l", &format!("127.0.0.1:{port}")], &site)).stderr(Stdio::null());
    assert_eq!(ask_through(command.spawn().unwrap(), port, b"as inetd\n"), "as inetd\n");
    assert!(process::await_end_of(site.tag(), common::PATIENCE).is_empty());
    site.check_nothing_left();
}

#[test]
fn behind_systemd_socket_activate_with_listen_fds_it_serves() {
    let site = a_site!();
    let activate = need!("systemd-socket-activate");
    let port = free_port();
    let mut command = Command::new(activate);
    command.args(words(&["-a", "-l", &format!("127.0.0.1:{port}")], &site)).stderr(Stdio::null());
    assert_eq!(ask_through(command.spawn().unwrap(), port, b"as fd 3\n"), "as fd 3\n");
    assert!(process::await_end_of(site.tag(), common::PATIENCE).is_empty());
    site.check_nothing_left();
}

#[test]
fn the_shipped_template_serves_its_menu() {
    let _site = a_site!();
    let mut command = Command::new(dayfly());
    command.args(["run", "--template"]).arg(dist("template")).args(["--", "/bin/gopher-handler"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"/\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let menu = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{menu}");
    assert!(menu.lines().count() > 2 && menu.ends_with(".\r\n"), "not a menu: {menu:?}");
    assert!(menu.lines().any(|line| line.split('\t').count() == 4), "no item with four fields: {menu:?}");
}

#[test]
fn a_handler_that_speaks_first_is_heard() {
    let site = a_site!();
    let mut live = site.probe(&["banner"]).start();
    assert_eq!(live.client.line(), "welcome");
    live.client.send(b"thanks\n");
    assert_eq!(live.client.line(), "thanks");
    live.end().expect(0, "exited");
}

#[test]
fn a_command_without_a_slash_is_found_inside_the_template() {
    let site = a_site!();
    let mark = format!("@{}", site.tag());
    let ended = site.handler(&["probe", &mark, "see", "pid"]).talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.value("pid"), "1");
}
