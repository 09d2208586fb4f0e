//! Virtual hosts: by the address that was reached, and by name in the selector.

use crate::harness::{NOT_FOUND, Tree, menu_lines, run};

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("gophermap", "main\n%\n").file("t.txt", "main\n");
    tree.file_beside("a/gophermap", "0t\tt.txt\n0abs\t/t.txt\n1else\t/x\tother.example\n");
    tree.file_beside("a/t.txt", "a\n").file_beside("a/d/u.txt", "u\n").file_beside("b/t.txt", "b\n");
    tree
}

#[test]
fn the_address_that_was_reached_decides_the_tree_and_our_name() {
    let tree = tree();
    let config =
        "host = 'main.example'\nvhosts = ['127.0.0.2 a.example TOP/a', '127.0.0.3 b.example TOP/b']\n";
    for (address, host, text) in [
        ("127.0.0.1", "main.example", "main"),
        ("127.0.0.2", "a.example", "a"),
        ("127.0.0.3", "b.example", "b"),
    ] {
        let mut handler = tree.configured(config);
        let got = Tree::connect_to(&mut handler, address, false).unwrap().send("/t.txt\r\n").read();
        assert_eq!(got, format!("{text}\r\n").as_bytes(), "{address}");
        let mut conversation = Tree::connect_to(&mut handler, address, false).unwrap();
        let plus = conversation.send("\t$\r\n").read();
        assert!(String::from_utf8(plus).unwrap().contains(&format!("\t{host}\t")), "{address}");
        assert!(conversation.close().0.log.contains(&format!(" host={host} ")), "{address}");
    }
}

#[test]
fn a_host_named_in_the_selector_is_served_with_links_that_name_it_again() {
    let tree = tree();
    let config = "vhosts = ['- a.example TOP/a']\n";
    let expected = [
        "0t\t/;a.example/t.txt\ta.example\t70",
        "0abs\t/;a.example/t.txt\ta.example\t70",
        "1else\t/x\tother.example\t70",
    ];
    for selector in ["/;a.example", ";A.example/", "/;a.example/"] {
        assert_eq!(tree.menu_with(config, selector), expected, "{selector}");
    }
    let ask = |request: &str| run(&mut tree.configured(config), request.as_bytes()).bytes;
    assert_eq!(ask("/;a.example/t.txt\r\n"), b"a\r\n");
    let listing = tree.menu_with(config, "/;a.example/d");
    assert!(listing.contains(&"1..\t/;a.example\ta.example\t70".to_owned()), "{listing:?}");
    assert!(listing.iter().any(|line| line.contains("\t/;a.example/d/u.txt\ta.example\t70")), "{listing:?}");
}

#[test]
fn a_map_can_list_the_hosts() {
    let tree = tree();
    let page = tree.menu_with("vhosts = ['- a.example TOP/a']\n", "/");
    assert_eq!(page[1], "1a.example\t/;a.example\ta.example\t70");
    assert_eq!(tree.menu("/").len(), 1, "and there are none to list without");
}

#[test]
fn a_host_that_is_not_ours_is_not_found_and_leads_nowhere() {
    let tree = tree();
    for selector in [
        "/;c.example",
        "/;a.example",
        "/;..",
        "/;../outside",
        "/;a.example/../outside",
        "/;/etc/passwd",
        "/;",
    ] {
        let config = if selector == "/;a.example" { "" } else { "vhosts = ['- a.example TOP/a']\n" };
        let answer = run(&mut tree.configured(config), format!("{selector}\r\n").as_bytes());
        assert_eq!(answer.bytes, NOT_FOUND, "{selector}");
    }
}

#[test]
fn a_file_that_is_named_like_a_host_can_be_fetched() {
    let tree = tree();
    std::fs::remove_file(tree.path("gophermap")).unwrap();
    tree.file(";a.example", "a file\n").file(";b.example", "another\n");
    let config = "vhosts = ['- a.example TOP/a']\n";
    for line in tree.menu_with(config, "/").iter().filter(|line| line.contains(".example  ")) {
        let selector = line.split('\t').nth(1).unwrap();
        let got = run(&mut tree.configured(config), format!("{selector}\r\n").as_bytes()).bytes;
        assert!(got == b"a file\r\n" || got == b"another\r\n", "{selector}");
    }
}

#[test]
fn a_host_without_its_tree_is_an_error_and_not_another_host() {
    let tree = tree();
    let mut handler = tree.configured("vhosts = ['127.0.0.2 a.example TOP/nonexistent']\n");
    let got = Tree::connect_to(&mut handler, "127.0.0.2", false).unwrap().send("/t.txt\r\n").read();
    assert_eq!(got, b"3Service unavailable\t\terror.host\t1\r\n.\r\n");
}

#[test]
fn links_of_a_host_that_was_reached_by_address_need_no_name() {
    let tree = tree();
    let mut handler = tree.configured("vhosts = ['127.0.0.2 a.example TOP/a']\n");
    let mut conversation = Tree::connect_to(&mut handler, "127.0.0.2", false).unwrap();
    let page = menu_lines(&conversation.send("/;a.example\r\n").read());
    assert_eq!(page[0], format!("0t\t/t.txt\ta.example\t{}", conversation.port));
}
