//! `lint`: what an author is told.

use std::process::Command;

use crate::harness::{Answer, HANDLER, Tree, run};

fn lint(tree: &Tree) -> Answer {
    run(Command::new(HANDLER).arg("lint").arg(tree.root()), b"")
}

fn findings(tree: &Tree) -> Vec<String> {
    String::from_utf8(lint(tree).bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_clean_tree_is_status_0_and_silent() {
    let tree = Tree::new();
    tree.file(
        "gophermap",
        "!Hi\n0t\tt.txt\n1d\td\n7find\t/search\nhweb\tURL:https://a.example/\n1x\t/x\tb.example\n",
    );
    tree.file("t.txt", "text\n").file("d/größe.txt", "größe\n").file(".git/x", b"\xff");
    let answer = lint(&tree);
    assert_eq!((answer.status, answer.bytes.as_slice()), (Some(0), &b""[..]), "{:?}", findings(&tree));
}

#[test]
fn the_hole_that_is_shipped_is_clean() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rootfs/gopher/srv/gopher");
    let answer = run(Command::new(HANDLER).args(["lint", root]), b"");
    assert_eq!((answer.status, String::from_utf8_lossy(&answer.bytes).as_ref()), (Some(0), ""));
}

#[test]
fn lines_of_maps_are_told_by_their_number() {
    let tree = Tree::new();
    let long = "x".repeat(68);
    let map = format!(
        "ok\n{long}\n0gone\tgone.txt\n1file\tt.txt\n0dir\td\n0up\t../x\n-gone\n=gone\n== art\n0bad\t/x\th\tabc\n\
         hjs\tURL:javascript:x\nQodd\tt.txt\n\u{1b}[1m\n0esc\t.secret\n.\nafter\n"
    );
    tree.file("gophermap", map).file("t.txt", "").file("d/x", "").file(".secret", "");
    let found = findings(&tree);
    for expected in [
        "gophermap:2: 68 columns",
        "gophermap:3: a dead link: \"/gone.txt\" (not-found)",
        "gophermap:4: of type 1, but \"/t.txt\" is a file",
        "gophermap:5: of type 0, but \"/d\" is a directory",
        "gophermap:6: leads out of the tree",
        "gophermap:7: nothing of this name to hide",
        "gophermap:8: no readable map of this name to include",
        "gophermap:10: has a TAB and is no link",
        "gophermap:11: a link that is not followed",
        "gophermap:12: no client knows the item type Q",
        "gophermap:13: control characters",
        "gophermap:14: a dead link: \"/.secret\" (forbidden)",
        "gophermap:15: the page ends here",
    ] {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected} in {found:#?}");
    }
    assert_eq!(found.len(), 13, "{found:#?}");
    assert_eq!(lint(&tree).status, Some(1));
}

#[test]
fn files_that_are_not_served_are_told_with_what_to_do() {
    let tree = Tree::new();
    tree.file("a", "").mode("a", 0o600).directory("b").mode("b", 0o744).file("c", "").mode("c", 0o666);
    tree.fifo("d").link("e", "nowhere").link("f", "/etc/passwd").file("g", b"a\nb\xff\n").file("h\x1b", "");
    tree.file("i/gophermap", "#!/bin/sh\n")
        .mode("i/gophermap", 0o755)
        .file("j/gophermap", "x")
        .mode("j/gophermap", 0o755);
    let expected = [
        "a: mode 600: not served: chmod o+r",
        "b: mode 744: not served: chmod o+rx",
        "c: mode 666: anybody can change it: chmod o-w",
        "d: neither a file nor a directory: not served",
        "e: a symlink to nothing: not served",
        "f: a symlink out of the tree, or to what is not for everybody: not served",
        "g:2: not UTF-8, which is what clients take a text for",
        "h?: the name has control characters, which are shown as ?",
        "i/gophermap: a program: programs are off, and readers get an error",
    ];
    assert_eq!(findings(&tree), expected);
    tree.mode("b", 0o755);
}

#[test]
fn long_selectors_and_paths_are_told() {
    let tree = Tree::new();
    let deep = format!("{0}/{0}/{0}/{0}", "d".repeat(250));
    tree.file(format!("{deep}/{}", "x".repeat(200)), "");
    let found = findings(&tree);
    assert!(found.iter().any(|line| line.contains("a selector of 502 bytes")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("the path is too long")), "{found:?}");
}

#[test]
fn a_tree_that_is_not_there_is_status_2() {
    let answer = run(Command::new(HANDLER).args(["lint", "/nonexistent"]), b"");
    assert_eq!((answer.status, answer.bytes.as_slice()), (Some(2), &b""[..]));
    assert!(answer.log.contains("/nonexistent: cannot be opened"), "{}", answer.log);
}

#[test]
fn what_many_lines_have_is_told_once() {
    let tree = Tree::new();
    let long = "x".repeat(70);
    tree.file(
        "gophermap",
        format!("{long}\n{long}\n# note\n---\n# other\n--->\n-o-\n- item\n{long}\n-Ann\n"),
    );
    let expected = [
        "gophermap:1: 70 columns; some clients and servers cut at 67 (and 2 more lines)",
        "gophermap:3: comment: not shown (and 1 more lines)",
    ];
    assert_eq!(findings(&tree), expected);
}

#[test]
fn headings_and_links_that_are_commented_out_are_not_told() {
    let tree = Tree::new();
    tree.file("gophermap", "# Journal\n## Friday\n#tag\n#0old\told.txt\n");
    assert_eq!(findings(&tree), [""; 0]);
}

#[test]
fn links_whose_type_does_not_fit_the_file_are_told() {
    let tree = Tree::new();
    let map = "0P\tp.png\nIT\tt.txt\n5T\tt.txt\n0B\tb.bin\n7F\tt.txt\nhT\tt.txt\n\
               9P\tp.png\n0T\tt.txt\n0H\th.html\nIG\tg.gif\n1M\tm.gophermap\n0M\tm.gophermap\n";
    tree.file("gophermap", map).file("p.png", "").file("t.txt", "").file("b.bin", "").file("h.html", "");
    tree.file("g.gif", "").file("m.gophermap", "x\n");
    let expected = [
        "gophermap:1: of type 0, but \"/p.png\" is a picture: type I",
        "gophermap:2: of type I, but \"/t.txt\" is a text: type 0",
        "gophermap:3: of type 5, but \"/t.txt\" is a text: type 0",
        "gophermap:4: of type 0, but \"/b.bin\" is a binary file: type 9",
        "gophermap:5: of type 7, but \"/t.txt\" is a text: type 0",
        "gophermap:6: of type h, but \"/t.txt\" is a text: type 0",
        "gophermap:12: of type 0, but \"/m.gophermap\" is a menu",
    ];
    assert_eq!(findings(&tree), expected);
}

#[test]
fn dead_links_that_name_our_host_are_found_without_being_told_the_host() {
    let tree = Tree::new();
    let map = "0A\t/a.txt\tours.example\t70\n0B\t/b.txt\tours.example\t70\n0C\t/gone.txt\tOurs.example\t70\n\
               1Else\t/gone\tb.example\t70\n1Else\t/a.txt\tb.example\t70\n1L\t/a.txt\tlocalhost\t7070\n";
    tree.file("gophermap", map).file("a.txt", "").file("b.txt", "");
    let expected = [
        "gophermap:6: names localhost, which is the reader's own computer",
        "gophermap:3: a dead link: \"/gone.txt\" (not-found), if ours.example is this site (--host ours.example)",
    ];
    assert_eq!(findings(&tree), expected);
}

#[test]
fn commands_programs_and_parts_that_are_missing_are_told() {
    let tree = Tree::new();
    tree.file(
        "gophermap",
        "=uptime -p\n=foot.gophermap\n=prog\n=.header\n=> x\n== x ==\n%LATEST 5 phlog%\n=date +%F\n",
    );
    tree.file("prog", "#!/bin/sh\n").file(".header", "x\n");
    let expected = [
        "gophermap:2: no readable map of this name to include: readers see \"(this part is a program; programs are off)\"",
        "gophermap:3: a program: programs are off: readers see \"(this part is a program; programs are off)\"",
        "gophermap:7: no directory of this name: shown as text, \"%LATEST 5 phlog%\"",
        "gophermap:1: a command: programs are off, and readers see \"(this part is a program; programs are off)\" (and 1 more lines)",
    ];
    assert_eq!(findings(&tree), expected);
}

#[test]
fn dead_links_of_other_menus_are_told() {
    let tree = Tree::new();
    tree.file("m.gph", "[0|A|a.txt|server|port]\n[0|Gone|gone.txt|server|port]\n[1|Other|/x|b.example|70]\n");
    tree.file("t.gmi", "=> a.txt A\n=> gone.txt Gone\n=> gemini://b.example/ B\n").file("a.txt", "");
    let expected = [
        "m.gph:2: a dead link: \"/gone.txt\" (not-found)",
        "t.gmi: a dead link: \"gone.txt\" (not-found), so shown as text",
    ];
    assert_eq!(findings(&tree), expected);
}
