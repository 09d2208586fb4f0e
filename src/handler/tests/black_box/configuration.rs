//! The configuration file, and the settings that change what text and listings look like.

use std::process::Command;

use crate::harness::{HANDLER, Tree, infos, links, menu_lines, run};

fn names(lines: &[String]) -> Vec<String> {
    links(lines).into_iter().map(|(_, name, _)| name.split("  ").next().unwrap().to_owned()).collect()
}

#[test]
fn a_file_sets_the_root_and_our_name_and_options_win_over_it() {
    let tree = Tree::new();
    tree.file("gophermap", "1docs\tdocs\n");
    tree.file_beside("c", format!("root = '{}'\nhost = 'a.example'\nport = 7070\n", tree.root().display()));
    let mut command = Command::new(HANDLER);
    command.arg("--config").arg(tree.beside("c"));
    assert_eq!(menu_lines(&run(&mut command, b"\r\n").bytes), ["1docs\t/docs\ta.example\t7070"]);
    command.args(["--host", "b.example"]);
    assert_eq!(menu_lines(&run(&mut command, b"\r\n").bytes), ["1docs\t/docs\tb.example\t7070"]);
}

#[test]
fn a_wrong_file_is_told_to_the_operator_and_refused_as_gopher_to_the_client() {
    let tree = Tree::new();
    let answer = run(&mut tree.configured("port = 70\nprot = 71\n"), b"\r\n");
    assert_eq!(answer.bytes, b"3Service unavailable\t\terror.host\t1\r\n.\r\n");
    assert!(answer.log.contains("/config:2: prot: not a key\n"), "{}", answer.log);
    assert!(answer.log.contains("status=misconfigured"), "{}", answer.log);
    assert_eq!(answer.status, Some(2));
    assert_eq!(run(tree.handler().args(["--config", "/nonexistent"]), b"\r\n").status, Some(2));
}

#[test]
fn strict_mode_stuffs_dots_and_ends_a_text_with_one() {
    let tree = Tree::new();
    tree.file("t.txt", ".\n..\na\n.b").file("e.txt", "").file("b.bin", ".\n\0");
    let ask = |selector: &str| {
        let request = format!("{selector}\r\n");
        run(&mut tree.configured("strict_rfc1436 = true\n"), request.as_bytes()).bytes
    };
    assert_eq!(ask("/t.txt"), b"..\r\n...\r\na\r\n..b\r\n.\r\n");
    assert_eq!(ask("/e.txt"), b".\r\n");
    assert_eq!(ask("/b.bin"), b".\n\0");
}

/// A line that is longer than what is read at once, with a dot where the second piece begins.
#[test]
fn strict_mode_stuffs_only_where_a_line_begins() {
    let tree = Tree::new();
    for length in 65_534..65_538 {
        let line = "x".repeat(length);
        tree.file("t.txt", format!("{line}.\n.\n"));
        let got = run(&mut tree.configured("strict_rfc1436 = true\n"), b"/t.txt\r\n").bytes;
        assert!(got == format!("{line}.\r\n..\r\n.\r\n").as_bytes(), "{length}");
    }
}

#[test]
fn text_and_names_can_be_turned_into_an_older_character_set_and_selectors_stay() {
    let tree = Tree::new();
    tree.file("größe.txt", "“ł” – größe\n").file("gophermap", "0größe\tgröße.txt\n").file("b.bin", "ö\0");
    let ask = |charset: &str, selector: &str| {
        let config = format!("charset = '{charset}'\n");
        run(&mut tree.configured(&config), format!("{selector}\r\n").as_bytes()).bytes
    };
    assert_eq!(ask("latin-1", "/größe.txt"), b"\"l\" - gr\xF6\xDFe\r\n");
    assert_eq!(ask("ascii", "/größe.txt"), b"\"l\" - grosse\r\n");
    assert_eq!(ask("ascii", ""), "0grosse\t/größe.txt\tlocalhost\t70\r\n.\r\n".as_bytes());
    assert_eq!(ask("ascii", "/b.bin"), "ö\0".as_bytes());
    tree.file("old.txt", b"gr\xF6\xDFe\n");
    assert_eq!(ask("utf-8", "/old.txt"), "größe\r\n".as_bytes());
    assert_eq!(ask("as-it-is", "/old.txt"), b"gr\xF6\xDFe\r\n");
}

/// Also where the last read ends with the text. What is left of the character is taken for Windows-1252.
#[test]
fn a_text_that_ends_in_the_middle_of_a_character_is_sent_whole() {
    let tree = Tree::new();
    for length in [0, 1, 510, 65_530, 65_533, 65_534, 65_535, 65_536] {
        let line = "x".repeat(length);
        for (cut, latin1, ascii) in [
            (&b"\xC3"[..], &b"\xC3"[..], &b"A"[..]),
            (b"\xE6\x9C", b"\xE6oe", b"aeoe"),
            (b"\xF0\x9F\x98", b"\xF0Y?", b"dY?"),
        ] {
            tree.file("t.txt", [line.as_bytes(), cut].concat());
            for (charset, end) in [("latin-1", latin1), ("ascii", ascii), ("as-it-is", cut)] {
                let config = format!("charset = '{charset}'\n");
                let got = run(&mut tree.configured(&config), b"/t.txt\r\n").bytes;
                assert!(
                    got == [line.as_bytes(), end, b"\r\n"].concat(),
                    "{length} {charset} {cut:?}: {:?}",
                    &got[got.len().saturating_sub(8)..]
                );
            }
        }
    }
}

#[test]
fn a_character_that_two_reads_share_is_converted_once() {
    let tree = Tree::new();
    for length in 65_533..65_537 {
        tree.file("t.txt", format!("{}木ö\n", "x".repeat(length)));
        let got = run(&mut tree.configured("charset = 'latin-1'\n"), b"/t.txt\r\n").bytes;
        assert!(got == [&b"x".repeat(length)[..], b"?\xF6\r\n"].concat(), "{length}");
    }
}

#[test]
fn the_newest_come_first_where_that_is_wanted() {
    let tree = Tree::new();
    for directory in ["phlog", "phlog/old", "texts"] {
        for name in ["2025-01-02-b.txt", "2026-11-20.txt", "20260301-a.txt", "2025-01-02-c.txt"] {
            tree.file(format!("{directory}/{name}"), "x");
        }
    }
    let notes = tree.file("phlog/notes", "x").path("phlog/notes");
    let touched = Command::new("touch").args(["-d", "2026-05-05 UTC"]).arg(notes).status();
    assert!(touched.unwrap().success());
    let listed =
        |selector: &str| names(&tree.menu_with("newest_first = ['/phlog']\n", selector))[1..].to_vec();
    let newest = ["2026-11-20.txt", "notes", "20260301-a.txt", "2025-01-02-c.txt", "2025-01-02-b.txt"];
    assert_eq!(listed("/phlog"), [&["old/"][..], &newest[..]].concat());
    assert_eq!(listed("/phlog/old")[0], "2026-11-20.txt");
    assert_eq!(listed("/texts")[0], "2025-01-02-b.txt");
}

#[test]
fn listings_have_the_header_and_footer_of_the_site_or_of_the_directory() {
    let tree = Tree::new();
    tree.file("d/head", "!Here\n")
        .file("d/a.txt", "")
        .file("e/b.txt", "")
        .file("parts/foot", "0me\t/me.txt\n");
    let config = "header = 'head'\nfooter = '/parts/foot'\nparent_link = false\n";
    let page = tree.menu_with(config, "/d");
    assert_eq!(page[0], "iHere\tTITLE\tnull.host\t1");
    assert_eq!(names(&page), ["a.txt", "me"]);
    assert_eq!(infos(&tree.menu_with(config, "/e")), ["/e/", ""]);
    tree.file("d/head", "#!/bin/sh\n").mode("d/head", 0o755);
    assert_eq!(infos(&tree.menu_with(config, "/d")), ["/d/", ""], "a program is no header");
}

#[test]
fn patterns_hide_from_listings_and_do_not_deny() {
    let tree = Tree::new();
    tree.file("a.txt", "").file("a.bak", "b\n").directory("lost+found");
    let config = "hide = ['*.bak', 'lost+found']\n";
    assert_eq!(names(&tree.menu_with(config, "/")), ["a.txt"]);
    assert_eq!(run(&mut tree.configured(config), b"/a.bak\r\n").bytes, b"b\r\n");
}

#[test]
fn a_names_file_renames_and_hides_entries() {
    let tree = Tree::new();
    tree.file(".names", "Path=./a.txt\nName=My\x1b text\n\nPath=b.txt\nType=X\n\nPath=d\nName=Things\n");
    tree.file("a.txt", "").file("b.txt", "").file("d/x", "");
    assert_eq!(names(&tree.menu("/")), ["Things", "My? text"]);
    assert_eq!(tree.ask("/.names\r\n").bytes, crate::harness::NOT_FOUND);
}

#[test]
fn in_the_dialect_of_bucktooth_no_line_is_a_directive() {
    let tree = Tree::new();
    tree.file("gophermap", "# note\n!x\n*\n.\n1docs\t\n");
    let page = tree.menu_with("dialect = 'bucktooth'\n", "/");
    assert_eq!(infos(&page), ["# note", "!x", "*", "."]);
    assert_eq!(links(&page), [('1', "docs".to_owned(), "/docs".to_owned())]);
}

#[test]
fn capabilities_tell_about_the_site() {
    let tree = Tree::new();
    let config =
        "admin = 'Ann <ann@a.example>'\ndescription = 'A hole'\nlocation = 'Here'\ncharset = 'ascii'\n";
    let caps = String::from_utf8(run(&mut tree.configured(config), b"caps.txt\r\n").bytes).unwrap();
    for line in [
        "ServerAdmin=Ann <ann@a.example>\r\n",
        "ServerDescription=A hole\r\n",
        "ServerGeolocationString=Here\r\n",
        "ServerDefaultEncoding=US-ASCII\r\n",
    ] {
        assert!(caps.contains(line), "{caps}");
    }
}

#[test]
fn the_port_for_tls_is_told_where_there_is_one() {
    let tree = Tree::new();
    let caps =
        |config: &str| String::from_utf8(run(&mut tree.configured(config), b"caps.txt\r\n").bytes).unwrap();
    assert!(caps("tls_port = 7443\n").contains("ServerTLSPort=7443\r\n"));
    assert!(!caps("").contains("ServerTLSPort"));
}

#[test]
fn the_stub_for_gopher_plus_can_be_off() {
    let tree = Tree::new();
    tree.file("t.txt", "text\n").file("gophermap", "Hello\n");
    let ask = |config: &str, request: &[u8]| run(&mut tree.configured(config), request).bytes;
    assert!(ask("", b"\t$\r\n").starts_with(b"+-1") && ask("", b"/t.txt\t!\r\n").starts_with(b"+-1"));
    let off = "gopher_plus = false\n";
    assert_eq!(ask(off, b"\t$\r\n"), b"iHello\t\tnull.host\t1\r\n.\r\n");
    assert_eq!(ask(off, b"/t.txt\t!\r\n"), b"text\r\n");
}

#[test]
fn the_hint_for_browsers_can_be_off() {
    let tree = Tree::new();
    let answer = run(&mut tree.configured("http_hint = false\n"), b"GET / HTTP/1.1\r\n");
    assert_eq!(answer.bytes, crate::harness::NOT_FOUND);
}

#[test]
fn addresses_can_be_left_out_of_the_log() {
    let tree = Tree::new();
    let mut command = tree.configured("hide_addresses = true\n");
    let log = run(command.env("REMOTE_ADDR", "192.0.2.7"), b"\r\n").log;
    assert!(log.starts_with("peer=- selector="), "{log}");
}

#[test]
fn the_log_can_be_in_the_combined_format() {
    let tree = Tree::new();
    tree.file("a b.txt", "text\n");
    let mut command = tree.configured("log_format = 'combined'\n");
    let log = run(command.env("REMOTE_ADDR", "192.0.2.7"), b"/a b.txt\" x\r\n").log;
    let (start, end) = log.split_once(" +0000] ").unwrap();
    assert!(start.starts_with("192.0.2.7 localhost:70 - ["), "{log}");
    assert_eq!(end, "\"GET 3/a%20b.txt%22%20x HTTP/1.0\" 404 29 \"-\" \"-\"\n");
}

#[test]
fn colours_are_left_out_of_menus_unless_a_site_keeps_them() {
    let tree = Tree::new();
    tree.file("gophermap", "\x1b[1;31mred\x1b[0m\x1b[2J\n1\x1b[32mgreen\x1b[m\tg\n");
    assert_eq!(tree.menu("/"), ["ired?[2J\t\tnull.host\t1", "1green\t/g\tlocalhost\t70"]);
    let kept = run(&mut tree.configured("colors = true\n"), b"\r\n").bytes;
    let expected: &[u8] =
        b"i\x1b[1;31mred\x1b[0m?[2J\t\tnull.host\t1\r\n1\x1b[32mgreen\x1b[m\t/g\tlocalhost\t70\r\n.\r\n";
    assert_eq!(kept, expected);
}
