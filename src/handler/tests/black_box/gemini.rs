//! The same tree over Gemini, by the real binary over pipes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::harness::{Answer, Tree, noise, run};

fn handler(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gemini-handler"));
    command.arg("--root").arg(root).env_clear();
    command
}

fn ask(tree: &Tree, request: impl AsRef<[u8]>) -> Answer {
    run(&mut handler(&tree.root()), request.as_ref())
}

/// The header's line and the body of the answer to a path.
fn get(tree: &Tree, path: &str) -> (String, Vec<u8>) {
    split(&ask(tree, format!("gemini://a.example{path}\r\n")).bytes)
}

fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(2).position(|two| two == b"\r\n").expect("a header");
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 2..].to_vec())
}

#[track_caller]
fn refused(answer: &Answer, header: &str) {
    assert_eq!(String::from_utf8_lossy(&answer.bytes), format!("{header}\r\n"));
    assert_eq!(answer.status, Some(0));
}

const NOT_FOUND: &str = "51 Not found";
const MALFORMED: &str = "59 This is not a URL of Gemini that can be asked for";
const OTHER_HOST: &str = "53 This server does not answer for that host and port";

#[test]
fn files_come_byte_by_byte_with_their_media_type() {
    let tree = Tree::new();
    let picture = noise(300_000);
    tree.file("a.gmi", "# A\r\n=> b B\n").file("a.txt", "a\r\nb").file("latin.txt", b"gr\xFC\n");
    tree.file("a b.png", &picture).file("empty.txt", "");
    for (path, media, content) in [
        ("/a.gmi", "text/gemini; charset=utf-8", &b"# A\r\n=> b B\n"[..]),
        ("/a.txt", "text/plain; charset=utf-8", b"a\r\nb"),
        ("/latin.txt", "text/plain; charset=iso-8859-1", b"gr\xFC\n"),
        ("/a%20b.png", "image/png", &picture),
        ("/empty.txt", "text/plain; charset=utf-8", b""),
        ("/a.txt?a%20query", "text/plain; charset=utf-8", b"a\r\nb"),
    ] {
        assert_eq!(get(&tree, path), (format!("20 {media}"), content.to_vec()), "{path}");
    }
}

#[test]
fn a_directory_is_its_index_else_its_map_else_its_listing() {
    let tree = Tree::new();
    tree.file("gophermap", "!Title\nA  text\n\n```\n0A file\tb.txt\nhWeb\tURL:https://b.example/\n");
    tree.file("b.txt", "b\n").file("with/index.gmi", "# Index\n").file("with/gophermap", "not this\n");
    tree.file("plain/c d.txt", "c\n").directory("plain/sub");
    let (header, body) = get(&tree, "/");
    assert_eq!(header, "20 text/gemini; charset=utf-8");
    let expected = "# Title\n```\nA  text\n\n ```\n```\n=> /b.txt A file\n=> https://b.example/ Web\n";
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    assert_eq!(get(&tree, "/with/").1, b"# Index\n");
    let (_, listing) = get(&tree, "/plain/");
    let listing = String::from_utf8(listing).unwrap();
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!(lines[0], "# /plain/");
    assert!(lines[2].starts_with("=> / .."), "{listing}");
    assert!(lines[3].starts_with("=> /plain/sub/ sub/  20"), "{listing}");
    assert!(lines[4].starts_with("=> /plain/c%20d.txt c d.txt  20"), "{listing}");
    assert_eq!(lines.len(), 5, "{listing}");
}

#[test]
fn a_directory_without_its_slash_is_a_redirection_to_this_server() {
    let tree = Tree::new();
    tree.file("d e/x.txt", "x\n").directory("b.example");
    assert_eq!(get(&tree, "/d%20e").0, "31 gemini://a.example/d%20e/");
    assert_eq!(get(&tree, "//b.example").0, "31 gemini://a.example/b.example/");
    let mut on_another_port = handler(&tree.root());
    on_another_port.args(["--port", "1966"]);
    let answer = run(&mut on_another_port, b"gemini://a.example:1966/d%20e\r\n");
    refused(&answer, "31 gemini://a.example:1966/d%20e/");
    // The root has no other spelling.
    assert_eq!(get(&tree, "").0, "20 text/gemini; charset=utf-8");
    assert_eq!(get(&tree, "/d%20e/x.txt/").0, NOT_FOUND);
}

#[test]
fn the_search_asks_for_words_and_finds_them() {
    let tree = Tree::new();
    tree.file("gophermap", "0A file\tb.txt\n").file("b.txt", "the needle in it\n");
    assert_eq!(get(&tree, "/search").0, "10 Words to search for");
    assert_eq!(get(&tree, "/search?").0, "10 Words to search for");
    assert_eq!(get(&tree, "/search?%20").0, "10 Words to search for");
    let (header, body) = get(&tree, "/search?the%20needle");
    assert_eq!(header, "20 text/gemini; charset=utf-8");
    let body = String::from_utf8(body).unwrap();
    assert!(body.starts_with("# Search: the needle\n") && body.contains("=> /b.txt A file\n"), "{body}");
    let (_, nothing) = get(&tree, "/search?absent");
    assert!(String::from_utf8(nothing).unwrap().contains("Nothing found."));
}

#[test]
fn no_path_leaves_the_tree_and_every_failure_reads_the_same() {
    let tree = Tree::new();
    tree.file("a/b.txt", "b\n").file(".hidden", "h\n").file("closed.txt", "c\n").mode("closed.txt", 0o600);
    tree.link("out", "../outside").fifo("pipe");
    for path in [
        "/absent",
        "/../outside",
        "/%2e%2e/outside",
        "/..%2foutside",
        "/a/..%2F..%2Foutside",
        "/a%2fb.txt",
        "/a/%2e%2e/%2e%2e/outside",
        "/%252e%252e/outside",
        "/out",
        "/.hidden",
        "/%2Ehidden",
        "/closed.txt",
        "/pipe",
        "/a/b.txt%00",
        "/gophermap",
    ] {
        refused(&ask(&tree, format!("gemini://a.example{path}\r\n")), NOT_FOUND);
    }
}

#[test]
fn a_request_that_is_no_url_of_gemini_is_bad_and_one_for_others_is_refused() {
    let tree = Tree::new();
    for request in [
        "\r\n",
        "/\r\n",
        "gemini://a.example/\n",
        "gemini://a.example/",
        "gemini://u@a.example/\r\n",
        " \r\n",
    ] {
        refused(&ask(&tree, request), MALFORMED);
    }
    let long = format!("gemini://a.example/{}", "x".repeat(1024 - 19));
    refused(&ask(&tree, format!("{long}\r\n")), NOT_FOUND);
    refused(&ask(&tree, format!("{long}x\r\n")), "59 The URL is too long");
    refused(&ask(&tree, "https://a.example/\r\n"), "53 This server is no proxy");
    refused(&ask(&tree, "gemini://a.example:1966/\r\n"), OTHER_HOST);
    let nothing = ask(&tree, "");
    assert_eq!((nothing.bytes.as_slice(), nothing.status), (&b""[..], Some(0)));
}

#[test]
fn it_answers_for_the_configured_host_and_the_name_of_the_handshake() {
    let tree = Tree::new();
    tree.file("t.txt", "t\n");
    let with = |host: Option<&str>, name: Option<&str>, url: &str| {
        let mut command = handler(&tree.root());
        if let Some(host) = host {
            command.args(["--host", host]);
        }
        if let Some(name) = name {
            command.env("TLS_SERVER_NAME", name);
        }
        split(&run(&mut command, format!("gemini://{url}/t.txt\r\n").as_bytes()).bytes).0
    };
    let found = "20 text/plain; charset=utf-8";
    assert_eq!(with(Some("a.example"), None, "A.EXAMPLE"), found);
    assert_eq!(with(Some("a.example"), Some("a.example"), "a.example."), found);
    assert_eq!(with(Some("a.example"), None, "b.example"), OTHER_HOST);
    assert_eq!(with(None, Some("a.example"), "a.example"), found);
    assert_eq!(with(None, Some("a.example"), "b.example"), OTHER_HOST);
    assert_eq!(with(Some("b.example"), Some("a.example"), "b.example"), OTHER_HOST);
    assert_eq!(with(None, None, "[::1]"), found);
}

#[test]
fn each_virtual_host_has_its_tree() {
    let tree = Tree::new();
    tree.file("t.txt", "main\n").file_beside("b/t.txt", "other\n").file("gophermap", "%\n");
    let config = tree.beside("config");
    let top = tree.beside("");
    std::fs::write(&config, format!("host = 'a.example'\nvhosts = ['- b.example {}b']\n", top.display()))
        .unwrap();
    let ask = |url: &str| {
        let mut command = handler(&tree.root());
        command.arg("--config").arg(&config);
        String::from_utf8(split(&run(&mut command, format!("{url}\r\n").as_bytes()).bytes).1).unwrap()
    };
    assert_eq!(ask("gemini://a.example/t.txt"), "main\n");
    assert_eq!(ask("gemini://b.example/t.txt"), "other\n");
    assert_eq!(ask("gemini://a.example/;b.example/t.txt"), "other\n");
    assert_eq!(ask("gemini://a.example/"), "=> gemini://b.example/ b.example\n");
}

#[test]
fn a_server_that_is_set_up_wrong_fails_for_now_and_says_so_in_the_log() {
    let tree = Tree::new();
    let mut command = handler(&tree.beside("absent"));
    refused(&run(&mut command, b"gemini://a.example/\r\n"), "40 Service unavailable");
    command.arg("--config").arg(tree.beside("absent"));
    let answer = run(&mut command, b"gemini://a.example/\r\n");
    assert_eq!((answer.bytes.as_slice(), answer.status), (&b"40 Service unavailable\r\n"[..], Some(2)));
    assert!(answer.log.starts_with("gemini-handler: "), "{}", answer.log);
}

#[test]
fn the_log_has_one_line_that_no_request_can_forge() {
    let tree = Tree::new();
    let answer = ask(&tree, "gemini://a.example/\" status=ok\x1b\n\r\n");
    assert_eq!(answer.log.lines().count(), 1, "{}", answer.log);
    let line = "peer=- url=\"gemini://a.example/\\x22 status=ok\\x1B\\x0A\" code=59 ";
    assert!(answer.log.starts_with(line), "{}", answer.log);
    assert!(answer.log.contains(" status=bad-request ms="), "{}", answer.log);
}

#[test]
fn a_feed_is_the_page_of_dated_links_of_its_directory() {
    let tree = Tree::new();
    tree.file("log/2026-11-20-one.txt", "One day\n\ntext\n");
    assert_eq!(get(&tree, "/log/feed.xml").0, "30 gemini://a.example/log/latest");
    assert_eq!(get(&tree, "/feed.xml").0, "30 gemini://a.example/latest");
    let page = String::from_utf8(get(&tree, "/log/latest").1).unwrap();
    assert!(page.contains("\n=> /log/2026-11-20-one.txt 2026-11-20  One day\n"), "{page}");
}

/// The paths that a page of gemtext links to on this server.
fn links(page: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(page);
    let targets = text.lines().filter_map(|line| line.strip_prefix("=> ")?.split(' ').next());
    targets.filter(|target| target.starts_with('/')).map(str::to_owned).collect()
}

#[test]
fn every_link_of_the_shipped_tree_leads_to_a_page_and_only_that_of_the_feed_by_a_redirection() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs/gopher/srv/gopher");
    let (mut todo, mut seen) = (vec!["/".to_owned()], BTreeSet::new());
    while let Some(path) = todo.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let request = format!("gemini://a.example{path}\r\n");
        let (header, body) = split(&run(&mut handler(&root), request.as_bytes()).bytes);
        let expected = match path.as_str() {
            "/search" => "10 ",
            "/feed.xml" => "30 gemini://a.example/latest",
            _ => "20 ",
        };
        assert!(header.starts_with(expected), "{path}: {header}");
        if header.starts_with("20 text/gemini") {
            todo.extend(links(&body));
        }
    }
    assert!(seen.len() > 15 && seen.contains("/files/name%20with%20spaces.txt"), "{seen:?}");
}
