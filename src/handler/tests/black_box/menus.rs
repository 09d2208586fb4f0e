//! Pages made from a gophermap.

use crate::harness::{Tree, infos, links, menu_lines, noise};

#[test]
fn a_line_without_tab_is_an_info_line() {
    assert_eq!(Tree::page("Hello\n\n"), ["iHello\t\tnull.host\t1", "i\t\tnull.host\t1"]);
}

#[test]
fn a_title_is_marked_as_one() {
    assert_eq!(Tree::page("!My hole\n"), ["iMy hole\tTITLE\tnull.host\t1"]);
}

#[test]
fn missing_fields_are_filled_in() {
    let expected = "1docs\t/docs\tlocalhost\t70";
    for line in [
        "1docs\t",
        "1docs\tdocs",
        "1docs\t/docs\t\t",
        "1docs\tdocs\t+\t+",
        "1docs\t./docs\t",
        "1docs\t\t\t 70",
    ] {
        assert_eq!(Tree::page(format!("{line}\n")), [expected], "{line}");
    }
}

#[test]
fn a_full_link_is_left_alone() {
    assert_eq!(Tree::page("1A b\tc/d e\texample.org\t7070\n"), ["1A b\tc/d e\texample.org\t7070"]);
    assert_eq!(
        Tree::page("hweb\tURL:https://example.org/\n"),
        ["hweb\tURL:https://example.org/\tlocalhost\t70"]
    );
}

#[test]
fn an_empty_selector_is_the_root_of_a_host_that_is_given() {
    assert_eq!(Tree::page("1A friend\t\texample.org\t70\n"), ["1A friend\t\texample.org\t70"]);
    assert_eq!(Tree::page("1A friend\t\texample.org\n"), ["1A friend\t\texample.org\t70"]);
}

#[test]
fn a_link_to_the_web_may_lack_its_url_mark() {
    let expected = ["hweb\tURL:https://example.org//x\tlocalhost\t70"];
    assert_eq!(Tree::page("hweb\thttps://example.org//x\n"), expected);
}

#[test]
fn relative_selectors_start_at_the_directory_of_the_map() {
    let tree = Tree::new();
    tree.file("a/b/gophermap", "0x\tx.txt\n0y\t../y.txt\n1top\t../..\n");
    let selectors: Vec<String> = links(&tree.menu("/a/b")).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/a/b/x.txt", "/a/y.txt", "/"]);
}

#[test]
fn host_and_port_can_be_given() {
    let tree = Tree::new();
    tree.file("gophermap", "1docs\tdocs\n");
    let answer =
        crate::harness::run(tree.handler().args(["--host", "gopher.example", "--port", "7070"]), b"\r\n");
    assert_eq!(menu_lines(&answer.bytes), ["1docs\t/docs\tgopher.example\t7070"]);
}

#[test]
fn drawings_and_lists_are_kept_line_by_line() {
    let drawn = [
        "==== Content ====",
        "=====",
        "-------",
        "- item",
        "--->",
        "* text",
        ".::::.",
        "***",
        "~~~~",
        "=-=-=-=",
        "-o-",
        "\\ _/ |__",
    ];
    assert_eq!(infos(&Tree::page(drawn.join("\n"))), drawn);
}

#[test]
fn a_line_that_makes_no_sense_is_shown_and_the_rest_too() {
    let page = Tree::page("0bad port\t/x\thost\tabc\ni\t\n\tlost\n1out\t../../x\n0good\t/x\n");
    assert_eq!(infos(&page), ["0bad port       /x      host    abc", "", "        lost", "1out ../../x"]);
    assert_eq!(links(&page).len(), 1);
}

#[test]
fn line_ends_of_any_kind_will_do() {
    let expected = ["ia\t\tnull.host\t1", "ib\t\tnull.host\t1"];
    for map in ["a\nb\n", "a\r\nb\r\n", "a\nb", "\u{feff}a\nb\n"] {
        assert_eq!(Tree::page(map), expected, "{map:?}");
    }
}

#[test]
fn control_bytes_cannot_make_lines_or_reach_a_terminal() {
    let page = Tree::page(b"a\x1b[2Jb\rc\0\n0name\x07\x1b\t/sel\x1b\rx\thost\x1b\t70\n\xc2\x9b31mred\x9b\n");
    assert_eq!(page[0], "ia?[2Jb?c?\t\tnull.host\t1");
    assert_eq!(page[1], "0name??\t/sel%1B%0Dx\thost?\t70");
    assert_eq!(page[2], "i?31mred›\t\tnull.host\t1");
    assert_eq!(page.len(), 3);
}

/// Bytes that are likely to matter, in any order: every line that comes out is a menu line, which the
/// harness checks.
#[test]
fn no_map_makes_a_page_that_is_not_a_menu() {
    let alphabet = b"i01hg+!#=-:*%.\t\t\t\t\r\n\n\n\0\x1b\x7f \xc2\x9b\xe9\xffa7/URL";
    let bytes: Vec<u8> =
        noise(200_000).iter().map(|&byte| alphabet[usize::from(byte) % alphabet.len()]).collect();
    for map in bytes.chunks(2_000) {
        Tree::page(map);
    }
}

#[test]
fn a_dot_ends_the_page_and_comments_are_left_out() {
    assert_eq!(infos(&Tree::page("one\n# no\n%\ntwo\n.\nthree\n")), ["one", "two"]);
}

#[test]
fn a_star_ends_the_page_with_the_files_but_for_hidden_ones() {
    let tree = Tree::new();
    tree.file("gophermap", "-b.txt\n:log=9\nhello\n*\nnever\n")
        .file("a.log", "a")
        .file("b.txt", "b")
        .file("c.txt", "c");
    let page = tree.menu("/");
    assert_eq!(infos(&page), ["hello"]);
    let listed: Vec<(char, String)> = links(&page).into_iter().map(|link| (link.0, link.2)).collect();
    assert_eq!(listed, [('9', "/a.log".to_owned()), ('0', "/c.txt".to_owned())]);
}

#[test]
fn hiding_is_not_denying() {
    let tree = Tree::new();
    tree.file("gophermap", "-b.txt\n*\n").file("b.txt", "b\n");
    assert_eq!(tree.ask("/b.txt\r\n").bytes, b"b\r\n");
}

#[test]
fn a_map_may_include_another() {
    let tree = Tree::new();
    tree.file("gophermap", "one\n=parts/footer.gophermap\n=/parts/footer.gophermap  \n");
    tree.file("parts/footer.gophermap", "footer\n.\nnot this\n");
    assert_eq!(infos(&tree.menu("/")), ["one", "footer", "footer"]);
}

#[test]
fn a_map_that_includes_itself_ends() {
    let tree = Tree::new();
    tree.file("gophermap", "=a.gophermap\nend\n")
        .file("a.gophermap", "=a.gophermap\n=a.gophermap\n=a.gophermap\n");
    let page = infos(&tree.menu("/"));
    assert_eq!(page.last().map(String::as_str), Some("end"));
    assert!(page.len() < 400, "{} lines", page.len());
}

#[test]
fn a_map_can_be_asked_for_by_its_name() {
    let tree = Tree::new();
    tree.file("d/more.gophermap", "0x\tx.txt\n");
    assert_eq!(tree.menu("/d/more.gophermap"), ["0x\t/d/x.txt\tlocalhost\t70"]);
}

#[test]
fn a_hidden_map_is_used_where_there_is_no_other() {
    let tree = Tree::new();
    tree.file("d/.gophermap", "hidden map\n");
    assert_eq!(infos(&tree.menu("/d")), ["hidden map"]);
}

#[test]
fn a_map_that_cannot_be_used_is_no_reason_to_list_the_directory() {
    let tree = Tree::new();
    tree.file("d/gophermap", "x").mode("d/gophermap", 0o600).file("d/unlisted.txt", "x");
    assert_eq!(tree.ask("/d\r\n").bytes, crate::harness::NOT_FOUND);
}

#[test]
fn a_map_that_is_too_long_is_cut_with_a_notice() {
    let page = Tree::page("0123456789abcde\n".repeat(70_000));
    assert_eq!(page.len(), 65_537);
    assert!(page[65_536].contains("not shown"));
}
