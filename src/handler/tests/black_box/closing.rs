//! The end of a connection: no reset may take the answer away, and no client may keep the handler.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::harness::{Conversation, Tree, spawn, wait};

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("t.txt", "text\n").file("gophermap", "1docs\tdocs\n");
    tree
}

/// Linux keeps an answer that has been received when a reset comes after it; other systems throw it away. So
/// the tests look for the reset itself.
fn no_reset_came(conversation: &Conversation) {
    std::thread::sleep(Duration::from_millis(200));
    assert!(conversation.client.take_error().unwrap().is_none(), "a reset after the answer");
}

#[test]
fn a_selector_of_a_megabyte_gets_its_answer_and_a_clean_end() {
    let tree = tree();
    let mut conversation = tree.conversation();
    conversation.send(vec![b'a'; 1 << 20]);
    assert_eq!(conversation.read(), b"3Selector too long\t\terror.host\t1\r\n.\r\n");
    no_reset_came(&conversation);
    assert_eq!(conversation.close().0.status, Some(0));
}

#[test]
fn pipelined_requests_are_drained() {
    let tree = tree();
    let mut conversation = tree.conversation();
    assert_eq!(conversation.send("/t.txt\r\n".repeat(10_000)).read(), b"text\r\n");
    no_reset_came(&conversation);
}

#[test]
fn what_a_client_sends_after_the_answer_is_drained_too() {
    let tree = tree();
    let mut conversation = tree.conversation();
    assert_eq!(conversation.send("/t.txt\r\n").read(), b"text\r\n");
    conversation.send("Host: example.org\r\n");
    no_reset_came(&conversation);
}

#[test]
fn the_handler_ends_at_once_when_the_client_is_done() {
    let tree = tree();
    let mut conversation = tree.conversation();
    assert_eq!(conversation.send("/t.txt\r\n").read(), b"text\r\n");
    let (answer, took) = conversation.close();
    assert_eq!(answer.status, Some(0));
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn the_answer_ends_before_the_client_closes() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    assert_eq!(conversation.send("/t.txt\r\n").read(), b"text\r\n");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_client_that_never_closes_is_left_after_a_while() {
    let tree = tree();
    let mut conversation = tree.conversation();
    conversation.send("/t.txt\r\n").read();
    let started = Instant::now();
    assert_eq!(wait(&mut conversation.child), Some(0));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_tls_hello_is_answered_by_closing_at_once() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    assert_eq!(conversation.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").read(), b"");
    assert!(started.elapsed() < Duration::from_secs(1));
    let (answer, _) = conversation.close();
    assert!(answer.log.contains("status=tls"), "{}", answer.log);
}

#[test]
fn menus_name_the_address_and_port_that_the_client_reached() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let expected = format!("1docs\t/docs\t127.0.0.1\t{}\r\n.\r\n", conversation.port);
    assert_eq!(conversation.send("\r\n").read(), expected.as_bytes());
}

#[test]
fn ipv4_through_a_dual_stack_socket_is_ipv4_and_ipv6_is_bracketed() {
    for (address, host, peer) in [("::", "127.0.0.1", "127.0.0.1"), ("::1", "[::1]", "::1")] {
        let tree = tree();
        let Ok(mut conversation) = tree.connect(address, false) else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let expected = format!("1docs\t/docs\t{host}\t{}\r\n.\r\n", conversation.port);
        assert_eq!(String::from_utf8(conversation.send("\r\n").read()).unwrap(), expected);
        let (answer, _) = conversation.close();
        assert!(answer.log.starts_with(&format!("peer={peer} ")), "{}", answer.log);
    }
}

#[test]
fn a_unix_socket_is_a_connection_too() {
    let tree = tree();
    let (mut client, server) = UnixStream::pair().unwrap();
    let mut child = spawn(&mut tree.handler(), server.try_clone().unwrap().into(), server.into());
    client.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "1docs\t/docs\tlocalhost\t70\r\n.\r\n");
    drop(client);
    assert_eq!(wait(&mut child), Some(0));
}
