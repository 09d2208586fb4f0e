//! Files on the wire: text but for its line ends, and binaries to the byte.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Conversation, HANDLER, Tree, noise, run};

fn served(name: &str, content: &[u8]) -> Vec<u8> {
    let tree = Tree::new();
    tree.file(name, content);
    tree.ask(format!("/{name}\r\n")).bytes
}

#[test]
fn lines_of_text_end_with_cr_lf() {
    assert_eq!(served("t.txt", b"a\n\nb\n"), b"a\r\n\r\nb\r\n");
    assert_eq!(served("t.txt", b"a\r\nb\r\n"), b"a\r\nb\r\n");
}

#[test]
fn a_last_line_without_end_gets_one_and_an_empty_file_does_not() {
    assert_eq!(served("t.txt", b"a\nb"), b"a\r\nb\r\n");
    assert_eq!(served("t.txt", b""), b"");
}

#[test]
fn dots_are_neither_stuffed_nor_added() {
    assert_eq!(served("t.txt", b".\n..\n.x\n"), b".\r\n..\r\n.x\r\n");
}

#[test]
fn nothing_else_in_a_text_is_changed() {
    let text = b"a\rb\r\r\nnul \0 nul\nlatin \xE9\n\x1b[1mbold\x0c\n";
    assert_eq!(served("t.txt", text), b"a\rb\r\r\nnul \0 nul\r\nlatin \xE9\r\n\x1b[1mbold\x0c\r\n");
}

#[test]
fn a_long_line_stays_one_line() {
    let line = "x".repeat(200_000);
    assert_eq!(served("t.txt", line.as_bytes()), format!("{line}\r\n").as_bytes());
}

/// Wherever a line end falls on the boundary of two reads.
#[test]
fn a_line_end_may_fall_anywhere() {
    for length in (510..514).chain(65_534..65_539).chain(131_070..131_075) {
        for end in ["\n", "\r\n"] {
            let line = "x".repeat(length);
            let answer = served("t.txt", format!("{line}{end}y{end}").as_bytes());
            assert!(answer == format!("{line}\r\ny\r\n").as_bytes(), "{length} {end:?}");
        }
    }
}

#[test]
fn a_binary_is_exact() {
    let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
    assert_eq!(served("x.bin", &all), all);
    assert_eq!(served("no-extension", &all), all);
}

/// Asks for the file, closes the sending side and reads with pauses.
fn read_slowly(conversation: &mut Conversation) -> Vec<u8> {
    conversation.client.write_all(b"/big.bin\r\n").unwrap();
    conversation.client.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        std::thread::sleep(Duration::from_millis(2));
        match conversation.client.read(&mut chunk).unwrap() {
            0 => return got,
            count => got.extend_from_slice(&chunk[..count]),
        }
    }
}

#[test]
fn a_connection_that_does_not_block_gets_it_all_too() {
    let content = noise(10 * 1024 * 1024);
    let tree = Tree::new();
    tree.file("big.bin", &content);
    let got = read_slowly(&mut tree.connect("127.0.0.1", true).unwrap());
    assert!(got == content, "{} of {} bytes", got.len(), content.len());
}

#[test]
fn ten_megabytes_reach_a_slow_reader_that_has_closed_its_own_end() {
    let content = noise(10 * 1024 * 1024 + 17);
    let tree = Tree::new();
    tree.file("big.bin", &content);
    let mut conversation = tree.conversation();
    let got = read_slowly(&mut conversation);
    assert!(got == content, "{} of {} bytes", got.len(), content.len());
    let (answer, _) = conversation.close();
    assert_eq!(answer.status, Some(0));
    assert!(answer.log.contains(&format!("bytes={}", content.len())), "{}", answer.log);
}

#[test]
fn a_file_larger_than_the_memory_allowed_is_sent() {
    let tree = Tree::new();
    tree.file("huge.bin", "");
    std::fs::File::options().write(true).open(tree.path("huge.bin")).unwrap().set_len(64 << 20).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 16384; exec \"$0\" --root \"$1\"", HANDLER]).arg(tree.root());
    let answer = run(&mut shell, b"/huge.bin\r\n");
    assert_eq!(answer.bytes.len(), 64 << 20, "{}", answer.log);
}

#[test]
fn a_client_that_leaves_is_a_failure_and_not_a_crash() {
    let tree = Tree::new();
    tree.file("big.bin", noise(20 << 20));
    let mut conversation = tree.conversation();
    conversation.send("/big.bin\r\n");
    let (answer, _) = conversation.close();
    assert_eq!(answer.status, Some(1));
    assert!(answer.log.contains("status=broken-off"), "{}", answer.log);
}
