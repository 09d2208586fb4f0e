//! The request line: how it ends, how long it may be, how long it may take.

use std::time::{Duration, Instant};

use crate::harness::{NOT_FOUND, Tree};

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("t.txt", "text\n");
    tree
}

#[test]
fn cr_lf_ends_a_request() {
    assert_eq!(tree().ask("/t.txt\r\n").bytes, b"text\r\n");
}

#[test]
fn lf_alone_ends_a_request() {
    assert_eq!(tree().ask("/t.txt\n").bytes, b"text\r\n");
}

#[test]
fn end_of_file_ends_a_request() {
    assert_eq!(tree().ask("/t.txt").bytes, b"text\r\n");
    assert_eq!(tree().ask("/t.txt\r").bytes, b"text\r\n");
}

#[test]
fn a_selector_needs_no_slash_in_front() {
    assert_eq!(tree().ask("t.txt\r\n").bytes, b"text\r\n");
}

#[test]
fn an_empty_selector_and_a_slash_are_the_root() {
    let tree = tree();
    assert_eq!(tree.menu(""), tree.menu("/"));
    assert!(tree.menu("")[0].starts_with("ilocalhost\tTITLE"));
}

#[test]
fn search_words_are_split_off() {
    assert_eq!(tree().ask("/t.txt\tsome words\r\n").bytes, b"text\r\n");
    assert_eq!(tree().ask("/t.txt\t+\r\n").bytes, b"text\r\n");
}

#[test]
fn only_the_first_of_two_requests_is_answered() {
    assert_eq!(tree().ask("/t.txt\r\n/nope\r\n").bytes, b"text\r\n");
}

#[test]
fn what_is_not_there_is_an_error_of_type_3_and_status_0() {
    for selector in ["/nope.txt", "/nope/", "/nope.gif", "0/t.txt", "/t.txt/", "/t.txt/x"] {
        let answer = tree().ask(format!("{selector}\r\n"));
        assert_eq!((answer.bytes.as_slice(), answer.status), (NOT_FOUND, Some(0)), "{selector}");
    }
}

#[test]
fn a_client_that_closes_without_a_byte_gets_none_and_fails_nothing() {
    let answer = tree().ask("");
    assert_eq!((answer.bytes.as_slice(), answer.status), (&b""[..], Some(0)));
    assert!(answer.log.contains("status=no-request"), "{}", answer.log);
}

#[test]
fn a_selector_of_1024_bytes_is_looked_up_and_one_more_is_too_long() {
    let longest = format!("/{}", "a".repeat(1023));
    assert_eq!(tree().ask(format!("{longest}\r\n")).bytes, NOT_FOUND);
    assert_eq!(tree().ask(format!("{longest}a\r\n")).bytes, b"3Selector too long\t\terror.host\t1\r\n.\r\n");
}

#[test]
fn a_request_that_is_not_finished_is_answered_at_the_deadline() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    let answer = conversation.send("/t.txt\r").read();
    assert_eq!(answer, b"3No request in time\t\terror.host\t1\r\n.\r\n");
    let took = started.elapsed();
    assert!((Duration::from_millis(4500)..Duration::from_secs(7)).contains(&took), "{took:?}");
}

#[test]
fn a_client_that_sends_a_byte_now_and_then_does_not_move_the_deadline() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    for _ in 0..4 {
        conversation.send("x");
        std::thread::sleep(Duration::from_millis(1000));
    }
    assert!(conversation.read().starts_with(b"3No request in time\t"));
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
}

#[test]
fn a_request_in_two_pieces_is_one_request() {
    let tree = tree();
    let mut conversation = tree.conversation();
    conversation.client.set_nodelay(true).unwrap();
    conversation.send("/t.t");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(conversation.send("xt\r\n").read(), b"text\r\n");
}
