//! Directories without a map.

use std::process::Command;

use crate::harness::{HANDLER, Tree, infos, links, menu_lines, run};

fn names(lines: &[String]) -> Vec<String> {
    links(lines).into_iter().map(|(_, name, _)| name.split("  ").next().unwrap().to_owned()).collect()
}

#[test]
fn a_listing_has_a_title_and_the_way_up() {
    let tree = Tree::new();
    tree.file("d/e/t.txt", "t");
    let page = tree.menu("/d/e");
    assert_eq!(page[0], "i/d/e/\tTITLE\tnull.host\t1");
    assert_eq!(page[2], "1..\t/d\tlocalhost\t70");
    assert!(!names(&tree.menu("/")).contains(&"..".to_owned()), "nothing is above the root");
}

#[test]
fn directories_come_first_and_numbers_count() {
    let tree = Tree::new();
    tree.file("p10.txt", "")
        .file("p9.txt", "")
        .file("B.txt", "")
        .file("a.txt", "")
        .directory("z")
        .directory("y2");
    assert_eq!(names(&tree.menu("/")), ["y2/", "z/", "a.txt", "B.txt", "p9.txt", "p10.txt"]);
}

#[test]
fn a_row_has_the_date_in_utc_and_the_size() {
    let tree = Tree::new();
    tree.file("t.txt", vec![b'x'; 1536]);
    let date = Command::new("touch").args(["-d", "2026-03-01 00:30:00 UTC"]).arg(tree.path("t.txt")).status();
    assert!(date.unwrap().success());
    let row = &links(&tree.menu("/"))[0].1;
    assert!(row.ends_with("  2026-03-01     1.5 KB"), "{row:?}");
}

#[test]
fn an_empty_directory_says_so() {
    let tree = Tree::new();
    tree.directory("empty");
    assert_eq!(infos(&tree.menu("/empty")), ["/empty/", "", "(empty)"]);
}

#[test]
fn what_cannot_be_fetched_is_not_listed() {
    let tree = Tree::new();
    tree.file("ok.txt", "").file(".hidden", "").file("gophertag", "My files\n").file("cgi-bin/x", "");
    tree.fifo("fifo").link("dangling", "nowhere").link("out", "/etc/passwd").link("loop", "loop");
    tree.file("private", "").mode("private", 0o600).directory("closed").mode("closed", 0o700);
    assert_eq!(names(&tree.menu("/")), ["ok.txt"]);
}

#[test]
fn every_listed_file_can_be_fetched_by_the_selector_it_is_listed_with() {
    let odd: [&[u8]; 22] = [
        b"q?mark",
        b"hash#041",
        b"per%41cent",
        b"perAcent",
        b"sp ace",
        b" lead",
        b"trail ",
        "gr\u{f6}\u{df}e".as_bytes(),
        b"latin\xF6",
        b"line\nfeed",
        b"cr\r",
        b"tab\there",
        b"esc\x1b[2J",
        b"back\\slash",
        b"semi;colon",
        b"a\"quote'",
        b"sp%20ace",
        b"per%2541cent",
        b"line%0Afeed",
        b"%",
        b"c1\xc2\x9b",
        b"URL:x",
    ];
    for (directory, selector) in [("plain", "/plain"), ("d?%20", "/d%3F%2520")] {
        let tree = Tree::new();
        for (number, name) in odd.iter().enumerate() {
            tree.file([directory.as_bytes(), b"/", *name, b".txt"].concat(), format!("{number:02}\n"));
        }
        let listed: Vec<_> = links(&tree.menu(selector)).into_iter().filter(|link| link.0 == '0').collect();
        let mut fetched: Vec<_> =
            listed.iter().map(|link| tree.ask(format!("{}\r\n", link.2)).bytes).collect();
        let expected: Vec<_> = (0..odd.len()).map(|number| format!("{number:02}\r\n").into_bytes()).collect();
        fetched.sort();
        assert_eq!(fetched, expected, "in {directory}");
    }
}

#[test]
fn a_name_that_reads_like_a_request_can_be_fetched_too() {
    let tree = Tree::new();
    tree.file("URL:http:", "named\n").file("GET x", "named\n").file("caps.txt", "named\n");
    for (_, _, selector) in links(&tree.menu("/")) {
        assert_eq!(tree.ask(format!("{selector}\r\n")).bytes, b"named\r\n", "{selector}");
    }
}

#[test]
fn a_file_whose_selector_would_be_too_long_is_told_and_not_linked() {
    let tree = Tree::new();
    let deep = format!("{0}/{0}/{0}/{0}", "d".repeat(250));
    tree.file(format!("{deep}/fits.txt"), "fits\n").file(format!("{deep}/{}.txt", "x".repeat(200)), "");
    let page = tree.menu(&format!("/{deep}"));
    let linked: Vec<_> = links(&page).into_iter().filter(|link| link.0 == '0').collect();
    assert_eq!(linked.len(), 1);
    assert_eq!(tree.ask(format!("{}\r\n", linked[0].2)).bytes, b"fits\r\n");
    assert!(infos(&page).iter().any(|text| text.starts_with("xxxx")));
}

#[test]
fn the_hole_that_is_shipped_has_no_dead_link() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rootfs/gopher/srv/gopher");
    let mut todo = vec![('1', String::new(), "/".to_owned())];
    let mut seen = Vec::new();
    while let Some((item_type, _, selector)) = todo.pop() {
        if seen.contains(&selector) || item_type == 'h' {
            continue;
        }
        let answer = run(Command::new(HANDLER).args(["--root", root, "--render", &selector]), b"");
        assert_eq!(answer.status, Some(0), "{selector}");
        if item_type == '1' {
            todo.extend(links(&menu_lines(&answer.bytes)));
        }
        seen.push(selector);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn types_are_by_name_then_by_content() {
    let tree = Tree::new();
    tree.file("a.txt", "\0")
        .file("b.gif", "")
        .file("c", "plain")
        .file("d", b"GIF89a")
        .file("e", b"a\0b")
        .file("f.pdf", "");
    let types: String = links(&tree.menu("/")).iter().map(|link| link.0).collect();
    assert_eq!(types, "0g0g99");
}

#[test]
fn a_directory_whose_page_is_a_program_is_shown_and_not_linked() {
    let tree = Tree::new();
    tree.file("prog/gophermap", "#!/bin/sh\n").file("prog/d/x", "").file("page/gophermap", "x\n");
    tree.mode("prog/gophermap", 0o755).mode("page/gophermap", 0o755);
    assert_eq!(names(&tree.menu("/")), ["page/"]);
    assert!(infos(&tree.menu("/")).iter().any(|line| line.starts_with("prog/")));
    assert_eq!(names(&tree.menu("/prog/d")), ["x"], "no way up to it either");
}

#[test]
fn a_gophertag_names_a_directory() {
    let tree = Tree::new();
    tree.file("d/gophertag", "  My\x1b texts \nmore\n");
    assert!(names(&tree.menu("/"))[0].starts_with("My? texts"));
    assert_eq!(infos(&tree.menu("/d"))[0], "My? texts");
}

#[test]
fn a_map_in_a_directory_stands_in_the_place_of_its_name() {
    let tree = Tree::new();
    tree.file("d/a.txt", "").file("d/b.gophermap", "in between\n").file("d/c.txt", "");
    let page = tree.menu("/d");
    let place = page.iter().position(|line| line.starts_with("iin between\t")).unwrap();
    assert!(page[place - 1].contains("/d/a.txt") && page[place + 1].contains("/d/c.txt"), "{page:?}");
}
