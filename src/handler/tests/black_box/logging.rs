//! The one line a request leaves behind.

use crate::harness::{Tree, run};

#[test]
fn a_request_leaves_one_line_with_all_fields() {
    let tree = Tree::new();
    tree.file("t.txt", "text\n");
    let log = tree.ask("/t.txt\twords\r\n").log;
    let (fields, took) = log.split_once(" ms=").unwrap();
    assert_eq!(fields, "peer=- selector=\"/t.txt\" type=0 bytes=6 status=ok");
    assert!(took.trim_end().parse::<u32>().is_ok());
    assert_eq!(log.matches('\n').count(), 1);
}

#[test]
fn no_selector_can_forge_a_line_or_a_field() {
    let tree = Tree::new();
    let log = tree.ask(b"/x\rpeer=1.1.1.1\" status=ok \x1b[31m\\\xff\0\r\n").log;
    assert!(
        log.contains("selector=\"/x\\x0Dpeer=1.1.1.1\\x22 status=ok \\x1B[31m\\x5C\\xFF\\x00\" type=3"),
        "{log}"
    );
    assert_eq!(log.matches('\n').count(), 1);
}

#[test]
fn the_log_tells_a_refusal_from_a_miss_and_the_answer_does_not() {
    let tree = Tree::new();
    tree.link("out", "/etc/passwd").fifo("fifo");
    for (selector, status) in
        [("/nope", "not-found"), ("/../x", "forbidden"), ("/out", "unreadable"), ("/fifo", "special-file")]
    {
        let answer = tree.ask(format!("{selector}\r\n"));
        assert!(answer.log.contains(&format!("status={status} ")), "{selector}: {}", answer.log);
        assert_eq!(answer.bytes, crate::harness::NOT_FOUND);
    }
}

#[test]
fn behind_a_proxy_the_peer_is_the_client() {
    let tree = Tree::new();
    let mut handler = tree.handler();
    let mut conversation =
        Tree::connect_to(handler.env("REMOTE_ADDR", "::ffff:203.0.113.9"), "127.0.0.1", false).unwrap();
    conversation.send("/x\r\n").read();
    let log = conversation.close().0.log;
    assert!(log.starts_with("peer=203.0.113.9 "), "{log}");
}

#[test]
fn the_peer_is_who_the_one_who_accepted_says() {
    let tree = Tree::new();
    for name in ["REMOTE_ADDR", "TCPREMOTEIP"] {
        let log = run(tree.handler().env(name, "192.0.2.7"), b"\r\n").log;
        assert!(log.starts_with("peer=192.0.2.7 "), "{log}");
    }
}

#[test]
fn the_peer_of_a_socket_is_asked_of_the_kernel() {
    let tree = Tree::new();
    let mut conversation = tree.conversation();
    conversation.send("\r\n").read();
    assert!(conversation.close().0.log.starts_with("peer=127.0.0.1 "));
}

#[test]
fn the_selector_of_a_request_that_was_too_long_is_logged_in_part() {
    let log = Tree::new().ask(vec![b'a'; 100_000]).log;
    assert!(log.contains("status=too-long") && log.len() < 1200, "{}", log.len());
}
