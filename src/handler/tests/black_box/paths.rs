//! Ways to reach what is not published, and names that are odd but right.

use crate::harness::{NOT_FOUND, Tree};

fn refused(tree: &Tree, selectors: &[&[u8]]) {
    for selector in selectors {
        let answer = tree.ask([selector, &b"\r\n"[..]].concat());
        let text = String::from_utf8_lossy(&answer.bytes);
        assert_eq!(answer.bytes, NOT_FOUND, "{} got {text}", String::from_utf8_lossy(selector));
        assert_eq!(answer.status, Some(0));
    }
}

#[test]
fn parent_components_lead_nowhere() {
    let tree = Tree::new();
    tree.file("d/t.txt", "t").file("t.txt", "t");
    refused(
        &tree,
        &[b"/../outside", b"..", b"/..", b"../outside", b"/d/../../outside", b"/d/../t.txt", b"/d/.."],
    );
    refused(&tree, &[b"/../../../../../../etc/passwd", b"\\..\\outside"]);
}

#[test]
fn parent_components_lead_nowhere_when_encoded() {
    let tree = Tree::new();
    tree.file("d/t.txt", "t").file("t.txt", "t");
    refused(
        &tree,
        &[b"/%2e%2e/outside", b"/d/%2E%2E/t.txt", b"/..%2foutside", b"/d%2f..%2ft.txt", b"/#056#056/outside"],
    );
    refused(&tree, &[b"/%252e%252e/outside", b"/\xC0\xAE\xC0\xAE/outside", b"/%c0%ae%c0%ae/outside"]);
}

#[test]
fn nothing_is_decoded_twice() {
    let tree = Tree::new();
    tree.file("a b", "no").file("a%20b", "yes\n");
    assert_eq!(tree.ask("/a%2520b\r\n").bytes, b"yes\r\n");
    refused(&tree, &[b"/a%252520b"]);
}

#[test]
fn nul_is_refused_and_cuts_nothing_off() {
    let tree = Tree::new();
    tree.file("t.txt", "t");
    refused(&tree, &[b"/t.txt\0", b"/t.txt\0.gif", b"/t.txt%00", b"\0"]);
}

#[test]
fn a_symlink_out_of_the_tree_is_refused() {
    let tree = Tree::new();
    tree.link("relative", "../outside")
        .link("absolute", "/etc/passwd")
        .link("up", "..")
        .link("self", "/proc/self/root");
    refused(&tree, &[b"/relative", b"/absolute", b"/up/outside", b"/up", b"/self/etc/passwd"]);
}

#[test]
fn a_symlink_that_stays_in_the_tree_is_followed() {
    let tree = Tree::new();
    tree.file("real/t.txt", "here\n").link("alias", "real").link("real/again.txt", "../real/t.txt");
    assert_eq!(tree.ask("/alias/again.txt\r\n").bytes, b"here\r\n");
}

#[test]
fn a_fifo_is_refused_and_does_not_hang() {
    let tree = Tree::new();
    tree.fifo("fifo");
    refused(&tree, &[b"/fifo"]);
}

#[test]
fn hidden_names_are_never_served() {
    let tree = Tree::new();
    tree.file(".secret", "s").file(".git/config", "s").file("d/.htaccess", "s");
    refused(&tree, &[b"/.secret", b"/.git/config", b"/d/.htaccess", b"/%2esecret", b"/.git"]);
}

/// The mode decides, so that this holds for a handler of any user; root reads everything.
#[test]
fn a_file_that_is_not_for_everybody_is_not_served() {
    let tree = Tree::new();
    tree.file("private.txt", "s").mode("private.txt", 0o600);
    tree.file("closed/t.txt", "s").file("closed/d/t.txt", "s").mode("closed", 0o750);
    refused(&tree, &[b"/private.txt", b"/closed", b"/closed/t.txt", b"/closed/d/t.txt", b"/closed/d"]);
}

#[test]
fn programs_are_neither_run_nor_shown() {
    let tree = Tree::new();
    tree.file("cgi-bin/search", "#!/bin/sh\n").mode("cgi-bin/search", 0o755);
    tree.file("program/gophermap", "#!/bin/sh\necho secret\n").mode("program/gophermap", 0o755);
    refused(&tree, &[b"/cgi-bin/search", b"/cgi-bin", b"/program"]);
}

#[test]
fn the_source_of_a_map_is_not_served() {
    let tree = Tree::new();
    tree.file("gophermap", "# a comment\n");
    refused(&tree, &[b"/gophermap"]);
}

#[test]
fn a_name_is_taken_literally_before_it_is_decoded() {
    let tree = Tree::new();
    tree.file("per%41cent.txt", "literal\n").file("perAcent.txt", "decoded\n").file("sp ace.txt", "space\n");
    assert_eq!(tree.ask("/per%41cent.txt\r\n").bytes, b"literal\r\n");
    assert_eq!(tree.ask("/sp%20ace.txt\r\n").bytes, b"space\r\n");
    assert_eq!(tree.ask("/sp#040ace.txt\r\n").bytes, b"space\r\n");
}

#[test]
fn a_question_mark_may_be_part_of_a_name_or_begin_a_search() {
    let tree = Tree::new();
    tree.file("q?mark.txt", "named\n").file("t.txt", "text\n");
    assert_eq!(tree.ask("/q?mark.txt\r\n").bytes, b"named\r\n");
    assert_eq!(tree.ask("/t.txt?some+words\r\n").bytes, b"text\r\n");
}

#[test]
fn repeated_slashes_change_nothing() {
    let tree = Tree::new();
    tree.file("d/t.txt", "text\n");
    assert_eq!(tree.ask("//d//./t.txt\r\n").bytes, b"text\r\n");
}

#[test]
fn an_error_tells_nothing_about_the_selector() {
    let tree = Tree::new();
    let answer = tree.ask("/x%0d%0a1Evil%09/evil\r\n");
    assert_eq!(answer.bytes, NOT_FOUND);
}
