//! Bytes on the wire, file by file. The numbers are those of a measurement of six servers; the rest of it is
//! in `wire_requests`.

use std::fs;

use crate::harness::{NOT_FOUND, Tree, infos, links, noise, run};

fn served(name: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let tree = Tree::new();
    tree.file(name, content);
    tree.ask(format!("/{name}\r\n")).bytes
}

#[test]
fn row_14_a_directory_without_map_is_listed_directories_first() {
    let tree = Tree::new();
    tree.file("nomap/b.txt", "b").file("nomap/a.txt", "a").directory("nomap/z");
    let page = tree.menu("/nomap");
    let selectors: Vec<String> = links(&page).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/", "/nomap/z", "/nomap/a.txt", "/nomap/b.txt"]);
    assert_eq!(page[0], "i/nomap/\tTITLE\tnull.host\t1");
}

#[test]
fn row_15_an_empty_directory_says_so_and_leads_up() {
    let tree = Tree::new();
    tree.directory("emptydir");
    let page = tree.menu("/emptydir");
    assert_eq!(infos(&page), ["/emptydir/", "", "(empty)"]);
    assert_eq!(links(&page), [('1', "..".to_owned(), "/".to_owned())]);
}

#[test]
fn row_18_dots_are_delivered_as_they_are_and_in_strict_mode_by_the_rfc() {
    let text = ".\n..\n.leading\n";
    assert_eq!(served("dots.txt", text), b".\r\n..\r\n.leading\r\n");
    let tree = Tree::new();
    tree.file("dots.txt", text);
    let strict = run(&mut tree.configured("strict_rfc1436 = true\n"), b"/dots.txt\r\n").bytes;
    assert_eq!(strict, b"..\r\n...\r\n..leading\r\n.\r\n");
}

#[test]
fn row_19_lf_becomes_cr_lf() {
    assert_eq!(served("lf.txt", "a\nb\n"), b"a\r\nb\r\n");
}

#[test]
fn row_20_cr_lf_stays() {
    assert_eq!(served("crlf.txt", "a\r\nb\r\n"), b"a\r\nb\r\n");
}

#[test]
fn row_21_a_missing_last_line_end_is_added() {
    assert_eq!(served("nonl.txt", "a\nb"), b"a\r\nb\r\n");
}

#[test]
fn row_22_a_bare_cr_is_kept() {
    assert_eq!(served("cr.txt", "a\rb\rc\n"), b"a\rb\rc\r\n");
}

#[test]
fn row_23_nul_is_kept() {
    assert_eq!(served("nul.txt", "ab\0cd\nef\n"), b"ab\0cd\r\nef\r\n");
}

#[test]
fn row_24_latin1_is_kept_and_can_be_converted() {
    assert_eq!(served("latin1.txt", b"gr\xFCn\n"), b"gr\xFCn\r\n");
    let tree = Tree::new();
    tree.file("latin1.txt", b"gr\xFCn\n");
    let converted = run(&mut tree.configured("charset = 'utf-8'\n"), b"/latin1.txt\r\n").bytes;
    assert_eq!(converted, "grün\r\n".as_bytes());
}

#[test]
fn row_25_a_line_of_5000_characters_stays_one() {
    assert_eq!(served("long.txt", "x".repeat(5000)), format!("{}\r\n", "x".repeat(5000)).as_bytes());
}

#[test]
fn row_26_binaries_of_any_size_are_exact() {
    for size in [1024, 3 * 1024 * 1024] {
        let content = noise(size);
        assert!(served("x.bin", &content) == content, "{size}");
    }
}

#[test]
fn row_27_the_source_of_a_map_is_not_served() {
    assert_eq!(served("gophermap", "hello\n"), NOT_FOUND);
}

#[test]
fn row_28_a_named_map_is_a_menu() {
    assert_eq!(served("inc.gophermap", "hello\n"), b"ihello\t\tnull.host\t1\r\n.\r\n");
}

#[test]
fn row_29_a_file_that_a_map_hides_is_served() {
    let tree = Tree::new();
    tree.file("gophermap", "-secret.txt\n*\n").file("secret.txt", "s\n").file("t.txt", "");
    assert_eq!(links(&tree.menu("/")).len(), 1);
    assert_eq!(tree.ask("/secret.txt\r\n").bytes, b"s\r\n");
}

#[test]
fn row_30_a_dotfile_is_not_served() {
    assert_eq!(served("nomap/.hidden", "s"), NOT_FOUND);
}

#[test]
fn row_33_a_symlink_out_of_the_tree_is_not_followed() {
    let tree = Tree::new();
    tree.file("nomap/a", "").link("nomap/link_passwd", "/etc/passwd").link("nomap/etc", "/etc");
    assert_eq!(tree.ask("/nomap/link_passwd\r\n").bytes, NOT_FOUND);
    assert_eq!(tree.ask("/nomap/etc/passwd\r\n").bytes, NOT_FOUND);
    assert!(links(&tree.menu("/nomap")).len() == 2, "and neither is listed");
}

#[test]
fn row_34_a_fifo_is_not_waited_for() {
    let tree = Tree::new();
    tree.fifo("fifo");
    assert_eq!(tree.ask("/fifo\r\n").bytes, NOT_FOUND);
}

#[test]
fn row_42_a_map_that_is_a_program_is_refused_and_never_shown() {
    let tree = Tree::new();
    tree.file("execmap/gophermap", "#!/bin/sh\necho iHello\n").mode("execmap/gophermap", 0o755);
    for selector in ["/execmap", "/execmap/", "/execmap/gophermap"] {
        assert_eq!(tree.ask(format!("{selector}\r\n")).bytes, NOT_FOUND, "{selector}");
    }
}

#[test]
fn row_54_a_dot_ends_a_map() {
    assert_eq!(infos(&Tree::page("one\n.\ntwo\n")), ["one"]);
}

#[test]
fn row_55_drawings_lose_no_line() {
    let art = [
        "==== WELCOME ====",
        "-----------------",
        "- a list",
        "* another",
        ".::::::::::::::.",
        "~~~~ waves ~~~~",
        "%%%% stones %%%%",
        "!!!! heed !!!!",
    ];
    assert_eq!(infos(&Tree::page(art.join("\n"))), art);
}

/// Modes, dangling links and odd names: what stands in a directory never loses its page.
#[test]
fn nothing_in_a_directory_loses_the_page() {
    let tree = Tree::new();
    tree.file("d/good.txt", "").file("d/600", "").mode("d/600", 0o600).fifo("d/fifo");
    tree.link("d/dangling", "nowhere").link("d/loop", "loop").file("d/\x1b\n\t.txt", "");
    fs::create_dir(tree.path("d/closed")).unwrap();
    tree.mode("d/closed", 0o000);
    assert_eq!(links(&tree.menu("/d")).len(), 3);
}
