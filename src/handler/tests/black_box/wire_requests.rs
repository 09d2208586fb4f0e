//! Bytes on the wire, request by request: those that other servers are known to answer in other ways. The
//! numbers are those of a measurement of six servers; the rest of it is in `wire_content`.

use std::time::{Duration, Instant};

use crate::harness::{NOT_FOUND, Tree, infos, menu_lines, run};

/// The tree of the measurement, as far as requests need it.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("gophermap", "Welcome\n0Dots\tdots.txt\n0Bad\t/x\thost\tabc\n");
    tree.file("dots.txt", "one\n.\n..\n.leading\n").file("nomap/a.txt", "a\n").file("nomap/.hidden", "s\n");
    tree.directory("emptydir");
    tree
}

fn ask(request: impl AsRef<[u8]>) -> Vec<u8> {
    tree().ask(request).bytes
}

const DOTS: &[u8] = b"one\r\n.\r\n..\r\n.leading\r\n";

#[test]
fn row_01_an_empty_line_is_the_root_menu() {
    let bytes = ask("\r\n");
    assert_eq!(menu_lines(&bytes).len(), 3, "a bad port loses no line");
    assert!(bytes.ends_with(b"\r\n.\r\n"));
}

#[test]
fn row_02_a_slash_is_the_same() {
    assert_eq!(ask("/\r\n"), ask("\r\n"));
}

#[test]
fn row_03_end_of_file_at_once_is_closed_and_logged() {
    let answer = tree().ask("");
    assert_eq!(answer.bytes, b"");
    assert!(answer.log.contains("status=no-request"), "{}", answer.log);
}

#[test]
fn row_04_lf_alone_ends_a_line() {
    assert_eq!(ask("/dots.txt\n"), DOTS);
}

#[test]
fn row_05_end_of_file_ends_a_line() {
    assert_eq!(ask("/dots.txt"), DOTS);
}

fn at_the_deadline(request: &str) {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    assert!(conversation.send(request).read().starts_with(b"3"));
    assert!((4..7).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[test]
fn row_06_a_line_without_end_is_refused_at_the_deadline() {
    at_the_deadline("/dots.txt");
}

#[test]
fn row_07_a_line_that_ends_with_cr_alone_is_refused_at_the_deadline() {
    at_the_deadline("/dots.txt\r");
}

#[test]
fn row_08_a_selector_needs_no_slash() {
    assert_eq!(ask("dots.txt\r\n"), DOTS);
}

#[test]
fn row_09_an_item_type_is_no_part_of_a_selector() {
    assert_eq!(ask("0/dots.txt\r\n"), NOT_FOUND);
}

#[test]
fn rows_10_to_13_what_is_not_there_is_of_type_3_whatever_its_name() {
    for selector in ["/nope.txt", "/nope/", "/nope.gif", "/nope.html"] {
        assert_eq!(ask(format!("{selector}\r\n")), NOT_FOUND, "{selector}");
    }
}

#[test]
fn row_16_slashes_may_be_doubled() {
    assert_eq!(ask("//nomap//a.txt\r\n"), b"a\r\n");
}

#[test]
fn row_17_a_file_is_no_directory() {
    assert_eq!(ask("/dots.txt/\r\n"), NOT_FOUND);
}

#[test]
fn row_31_parent_components_lead_nowhere() {
    for selector in ["/../../../../etc/passwd", "../../etc/passwd", "/nomap/../dots.txt"] {
        assert_eq!(ask(format!("{selector}\r\n")), NOT_FOUND, "{selector}");
    }
}

#[test]
fn row_38_selectors_of_255_and_256_bytes_are_looked_up() {
    for length in [255, 256] {
        assert_eq!(ask(format!("/{}\r\n", "a".repeat(length - 1))), NOT_FOUND, "{length}");
    }
}

#[test]
fn row_39_a_selector_of_100_000_bytes_is_refused_with_a_clean_end() {
    let tree = tree();
    let mut conversation = tree.conversation();
    conversation.send(vec![b'a'; 100_000]).send("\r\n");
    assert_eq!(conversation.read(), b"3Selector too long\t\terror.host\t1\r\n.\r\n");
    std::thread::sleep(Duration::from_millis(100));
    assert!(conversation.client.take_error().unwrap().is_none(), "no reset");
}

#[test]
fn row_40_a_program_is_not_run_and_its_source_not_shown() {
    let tree = tree();
    tree.file("cgi-bin/search", "#!/bin/sh\necho secret\n").mode("cgi-bin/search", 0o755);
    assert_eq!(tree.ask("/cgi-bin/search\tfoo bar\r\n").bytes, NOT_FOUND);
}

#[test]
fn row_41_words_after_a_tab_are_ignored_by_a_text() {
    assert_eq!(ask("/dots.txt\tquery\r\n"), DOTS);
}

#[test]
fn row_43_a_url_is_a_page_of_html() {
    let page = String::from_utf8(ask("URL:http://example.org/\r\n")).unwrap();
    assert!(page.contains("<A HREF=\"http://example.org/\">"), "{page}");
}

#[test]
fn row_44_a_url_is_encoded() {
    let page = String::from_utf8(ask("URL:http://e/\"><script>\r\n")).unwrap();
    assert!(page.contains("http://e/%22%3E%3Cscript%3E") && !page.contains("<script"), "{page}");
}

#[test]
fn row_45_a_browser_gets_a_page_that_names_the_gopher_url() {
    let page = String::from_utf8(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
    assert!(page.starts_with("HTTP/1.1 400 ") && page.contains("\r\nConnection: close\r\n"), "{page}");
    assert!(page.contains("gopher://localhost/"), "{page}");
}

#[test]
fn row_46_a_gopher_plus_client_gets_the_stub() {
    let expected: &[u8] =
        b"+-1\r\n+INFO: 1Main menu\t\tlocalhost\t70\r\n+VIEWS:\r\n application/gopher+-menu: <512b>\r\n.\r\n";
    assert_eq!(ask("\t$\r\n"), expected);
}

#[test]
fn row_47_a_plus_after_a_tab_gets_the_plain_text() {
    assert_eq!(ask("/dots.txt\t+\r\n"), DOTS);
}

#[test]
fn an_exclamation_mark_after_a_tab_gets_the_attributes_of_the_item() {
    let tree = tree();
    let ask = |request: &str| {
        let answer = run(&mut tree.configured("admin = 'Ann'\n"), request.as_bytes());
        String::from_utf8(answer.bytes).unwrap()
    };
    let text = ask("/nomap/a.txt\t!\r\n");
    let (info, rest) = text.split_once("\r\n+ADMIN:\r\n Admin: Ann\r\n Mod-Date: <2").unwrap();
    assert_eq!(info, "+-1\r\n+INFO: 0a.txt\t/nomap/a.txt\tlocalhost\t70");
    assert!(rest.ends_with("+VIEWS:\r\n text/plain: <1k>\r\n.\r\n"), "{rest}");
    assert!(ask("/nomap\t!\r\n").starts_with("+-1\r\n+INFO: 1nomap\t/nomap\tlocalhost\t70\r\n"));
    assert!(ask("\t!\r\n").contains("+INFO: 1localhost\t/\tlocalhost\t70\r\n"));
    for selector in ["/nope", "/nomap/.hidden", "/../x"] {
        assert_eq!(ask(&format!("{selector}\t!\r\n")), "--1\r\n1 Not found\r\n.\r\n", "{selector}");
    }
}

#[test]
fn row_48_capabilities_are_told() {
    assert!(ask("caps.txt\r\n").starts_with(b"CAPS\r\n"));
}

#[test]
fn row_49_there_is_no_status_page_unless_asked_for() {
    for selector in ["/server-status", "/server-status?auto", "/stats"] {
        assert_eq!(ask(format!("{selector}\r\n")), NOT_FOUND, "{selector}");
    }
}

#[test]
fn row_50_a_proxy_line_is_a_selector_like_any_other_and_changes_nobodys_address() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let request = "PROXY TCP4 203.0.113.9 127.0.0.1 5555 70\r\n/dots.txt\r\n";
    assert_eq!(conversation.send(request).read(), NOT_FOUND);
    let log = conversation.close().0.log;
    assert!(log.starts_with("peer=127.0.0.1 ") && !log.contains("peer=203"), "{log}");
}

#[test]
fn row_51_the_signature_of_proxy_version_2_is_closed() {
    let answer =
        tree().ask(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x15\xb3\0\x46/dots.txt\r\n");
    assert_eq!(answer.bytes, b"");
    assert!(answer.log.contains("status=proxy-v2"), "{}", answer.log);
}

#[test]
fn row_52_encoded_line_ends_make_no_lines() {
    let answer = tree().ask("/x%0d%0a1Evil%09/evil\r\n");
    assert_eq!(answer.bytes, NOT_FOUND);
    assert_eq!(answer.log.matches('\n').count(), 1);
    assert!(answer.log.contains("selector=\"/x%0d%0a1Evil%09/evil\""), "{}", answer.log);
}

#[test]
fn row_53_the_first_of_two_requests_is_answered_and_the_rest_drained() {
    let tree = tree();
    let mut conversation = tree.conversation();
    assert_eq!(conversation.send("/dots.txt\r\n/nomap/a.txt\r\n").read(), DOTS);
    std::thread::sleep(Duration::from_millis(100));
    assert!(conversation.client.take_error().unwrap().is_none(), "no reset");
}

#[test]
fn row_57_a_tls_hello_is_closed_at_once_with_a_hint_in_the_log() {
    let tree = tree();
    let mut conversation = tree.conversation();
    let started = Instant::now();
    assert_eq!(conversation.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").read(), b"");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(conversation.close().0.log.contains("status=tls"));
}

#[test]
fn row_35_a_question_mark_is_tried_as_part_of_the_name_first() {
    let tree = tree();
    tree.file("nomap/q?mark.txt", "q\n")
        .file("nomap/per%41cent.txt", "per\n")
        .file("nomap/sp ace.txt", "sp\n");
    assert_eq!(tree.ask("/nomap/q?mark.txt\r\n").bytes, b"q\r\n");
    assert_eq!(tree.ask("/nomap/per%41cent.txt\r\n").bytes, b"per\r\n", "row 36: literal first");
    assert_eq!(tree.ask("/nomap/sp%20ace.txt\r\n").bytes, b"sp\r\n", "row 37: then decoded");
    assert_eq!(infos(&tree.menu("/nomap"))[0], "/nomap/");
}
