//! Long listings in pages, and the newest texts of a tree.

use std::process::Command;

use crate::harness::{NOT_FOUND, Tree, infos, links, run};

fn numbered(count: usize) -> Tree {
    let tree = Tree::new();
    for number in 0..count {
        tree.file(format!("d/f{number:04}.txt"), "");
    }
    tree
}

fn selectors(lines: &[String]) -> Vec<String> {
    links(lines).into_iter().map(|link| link.2).collect()
}

#[test]
fn every_row_of_a_large_directory_can_be_reached() {
    let tree = numbered(2_010);
    let mut found = Vec::new();
    let mut next = Some("/d".to_owned());
    while let Some(page) = next {
        let lines = tree.menu(&page);
        next = links(&lines).into_iter().find(|link| link.1.ends_with(" more)")).map(|link| link.2);
        found.extend(selectors(&lines).into_iter().filter(|selector| selector.ends_with(".txt")));
    }
    assert_eq!(found.len(), 2_010);
    assert_eq!(found.last().map(String::as_str), Some("/d/f2009.txt"));
    let second = tree.menu("/d/.page/2");
    assert!(infos(&second)[0].ends_with("(page 2)") && selectors(&second)[0] == "/d", "{:?}", &second[..3]);
    for gone in ["/d/.page/4", "/d/.page/99999999999999999999", "/d/f0001.txt/.page/2", "/.page/2"] {
        assert_eq!(tree.ask(format!("{gone}\r\n")).bytes, NOT_FOUND, "{gone}");
    }
}

#[test]
fn the_rows_of_a_page_can_be_set() {
    let tree = numbered(5);
    let config = "page_rows = 2\n";
    assert_eq!(selectors(&tree.menu_with(config, "/d"))[1..], ["/d/f0000.txt", "/d/f0001.txt", "/d/.page/2"]);
    assert_eq!(selectors(&tree.menu_with(config, "/d/.page/3")), ["/d/.page/2", "/d/f0004.txt"]);
}

#[test]
fn what_a_map_hides_stays_hidden_on_every_page() {
    let tree = numbered(5);
    tree.file("d/gophermap", "Hello\n-f0003.txt\n:txt=9\n*\n").file("e/gophermap", "no listing\n");
    let config = "page_rows = 2\n";
    let second = tree.menu_with(config, "/d/.page/2");
    assert_eq!(
        links(&second)[1..],
        [
            ('9', links(&second)[1].1.clone(), "/d/f0002.txt".to_owned()),
            ('9', links(&second)[2].1.clone(), "/d/f0004.txt".to_owned()),
        ]
    );
    assert!(!infos(&second).contains(&"Hello".to_owned()));
    let answer = run(&mut tree.configured(config), b"/e/.page/2\r\n");
    assert_eq!(answer.bytes, NOT_FOUND);
}

#[test]
fn the_search_finds_what_is_on_further_pages() {
    let tree = numbered(2_010);
    tree.file("d/f2005.txt", "needle\n");
    assert_eq!(selectors(&tree.menu("/search\tneedle")), ["/d/f2005.txt"]);
    assert_eq!(selectors(&tree.menu("/search\tf2009")), ["/d/f2009.txt"]);
}

#[test]
fn a_search_that_did_not_read_everything_says_so() {
    let tree = Tree::new();
    tree.file("long.txt", "x\n".repeat(200_000) + "needle\n");
    let page = infos(&tree.menu("/search\tneedle"));
    assert!(
        page.contains(&"Nothing found.".to_owned()) && page.last().unwrap().contains("limit"),
        "{page:?}"
    );
}

#[test]
fn more_than_a_thousand_users_are_listed() {
    let tree = Tree::new();
    tree.file("gophermap", "~\n");
    for number in 0..1_010 {
        std::fs::create_dir_all(tree.beside(&format!("home/u{number}"))).unwrap();
    }
    assert_eq!(links(&tree.menu_with("users = 'TOP/home/%s'\n", "/")).len(), 1_010);
}

fn touched(tree: &Tree, path: &str, date: &str) {
    let done = Command::new("touch").args(["-d", date]).arg(tree.path(path)).status();
    assert!(done.unwrap().success());
}

#[test]
fn newest_first_is_for_directories_too() {
    let tree = Tree::new();
    for (name, date) in
        [("b", "2024-01-01 UTC"), ("a", "2026-03-01 10:00 UTC"), ("c", "2026-03-01 09:00 UTC")]
    {
        tree.file(format!("phlog/{name}/x"), "");
        touched(&tree, &format!("phlog/{name}"), date);
    }
    tree.directory("phlog/2025").directory("phlog/2026-05");
    let page = tree.menu_with("newest_first = ['/phlog']\n", "/phlog");
    assert_eq!(selectors(&page)[1..], ["/phlog/2026-05", "/phlog/a", "/phlog/c", "/phlog/2025", "/phlog/b"]);
}

fn phlog() -> Tree {
    let tree = Tree::new();
    tree.file("gophermap", "Hello\n1Phlog\tphlog\n0About\tabout.txt\n%LATEST 2 phlog%\n");
    tree.file("phlog/2026-11-20-one.txt", "# One <day>\n\nIt rained & stopped.\n");
    tree.file("phlog/2026-11-22-two.txt", "x\n").file("phlog/2026-11-21.txt", "Three\n=====\nbody\n");
    tree.file("phlog/gophermap", "0[2026-11-22] The second\t2026-11-22-two.txt\n-draft.txt\n*\n");
    tree.file("phlog/draft.txt", "draft\n").file("about.txt", "About\n");
    touched(&tree, "about.txt", "2026-11-19 12:30:00 UTC");
    tree
}

#[test]
fn a_page_has_the_newest_texts_of_a_tree() {
    let page = phlog().menu("/latest");
    let rows: Vec<(String, String)> = links(&page).into_iter().map(|link| (link.1, link.2)).collect();
    let expected = [
        ("2026-11-22  The second", "/phlog/2026-11-22-two.txt"),
        ("2026-11-21  Three", "/phlog/2026-11-21.txt"),
        ("2026-11-20  One <day>", "/phlog/2026-11-20-one.txt"),
        ("2026-11-19  About", "/about.txt"),
    ];
    assert_eq!(rows, expected.map(|(name, selector)| (name.to_owned(), selector.to_owned())));
    assert_eq!(links(&phlog().menu("/phlog/latest")).len(), 3);
    assert_eq!(phlog().ask("/about.txt/latest\r\n").bytes, NOT_FOUND);
}

#[test]
fn a_map_can_have_the_newest_texts() {
    let tree = phlog();
    let page = tree.menu("/");
    assert_eq!(selectors(&page)[2..], ["/phlog/2026-11-22-two.txt", "/phlog/2026-11-21.txt"]);
    tree.file("gophermap", "%LATEST 3 nowhere%\n%LATEST nowhere%\n");
    assert_eq!(infos(&tree.menu("/")), ["%LATEST 3 nowhere%", "%LATEST nowhere%"]);
    tree.file("phlog/gophermap", "-draft.txt\n%latest 1%\n");
    assert_eq!(
        selectors(&tree.menu("/phlog")),
        ["/phlog/2026-11-22-two.txt"],
        "a page of its own newest texts"
    );
    assert_eq!(
        selectors(&tree.menu("/phlog/latest")).len(),
        3,
        "all that such a page chooses from can be reached"
    );
}

#[test]
fn two_pages_that_show_each_others_newest_texts_end() {
    let tree = Tree::new();
    tree.file("gophermap", "%LATEST 5 a%\n%LATEST%\n")
        .file("a/gophermap", "0T\tt.txt\n%LATEST 5 /%\n")
        .file("a/t.txt", "t\n");
    assert!(!tree.menu("/").is_empty());
    assert_eq!(tree.ask("/a/latest\r\n").status, Some(0));
}

#[test]
fn a_tree_has_an_atom_feed() {
    let tree = phlog();
    let answer = run(tree.handler().args(["--host", "a.example", "--render", "/feed.xml"]), b"");
    let feed = String::from_utf8(answer.bytes).unwrap();
    for part in [
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<feed xmlns=\"http://www.w3.org/2005/Atom\">",
        "<id>gopher://a.example/1/</id>",
        "<link rel=\"self\" href=\"gopher://a.example/h/feed.xml\"/>",
        "<updated>2026-11-22T00:00:00Z</updated>",
        "<title>The second</title>\r\n<id>gopher://a.example/0/phlog/2026-11-22-two.txt</id>",
        "<title>One &lt;day&gt;</title>",
        "<summary>It rained &amp; stopped.</summary>",
        "<updated>2026-11-19T12:30:00Z</updated>",
        "<author><name>a.example</name></author>",
        "</feed>\r\n",
    ] {
        assert!(feed.contains(part), "{part} in {feed}");
    }
    assert_eq!(feed.matches("<entry>").count(), 4);
    assert!(!feed.contains("draft"));
    assert!(tree.ask("phlog/feed.xml\r\n").bytes.starts_with(b"<?xml"));
}

#[test]
fn feed_and_latest_give_way_to_files_and_can_be_off() {
    let tree = phlog();
    for (config, selector) in [("feed = false\n", "/feed.xml"), ("latest = false\n", "/latest")] {
        assert_eq!(run(&mut tree.configured(config), format!("{selector}\r\n").as_bytes()).bytes, NOT_FOUND);
    }
    assert_eq!(links(&tree.menu_with("latest = 'new'\nlatest_entries = 1\n", "/new")).len(), 1);
    tree.file("latest", "mine\n").file("feed.xml", "mine\n");
    assert_eq!(tree.ask("/latest\r\n").bytes, b"mine\r\n");
    assert_eq!(tree.ask("/feed.xml\r\n").bytes, b"mine\n");
}

#[test]
fn a_user_has_a_feed_of_their_own() {
    let tree = phlog();
    tree.file_beside("home/ann/public_gopher/2026-01-02-hi.txt", "Hi\n");
    let feed =
        run(&mut tree.configured("users = 'TOP/home/%s/public_gopher'\n"), b"/~ann/feed.xml\r\n").bytes;
    let feed = String::from_utf8(feed).unwrap();
    assert!(feed.contains("/0/~ann/2026-01-02-hi.txt</id>") && feed.contains("<name>~ann</name>"), "{feed}");
    assert_eq!(feed.matches("<entry>").count(), 1);
}
