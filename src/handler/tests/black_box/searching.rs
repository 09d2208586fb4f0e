//! Search, type 7.

use crate::harness::{NOT_FOUND, Tree, infos, links, run};

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("gophermap", "Welcome\n1Cats and dogs\tpets\n0Lines\tt.txt\n1Files\tfiles\n1Loop\t/\n");
    tree.file("t.txt", "one\n  the Quick brown fox\nthree\n").file("unlinked.txt", "fox\n");
    tree.file("pets/gophermap", "All about our ferret\n-draft.txt\n*\n");
    tree.file("pets/draft.txt", "fox\n").file("pets/fox.jpg", "").file("pets/größe.txt", "GRÖSSE\n");
    tree.file("files/a.txt", "nothing\n").file("files/.hidden", "fox\n").file("files/b.bin", "fox\0");
    tree
}

fn found(tree: &Tree, request: &str) -> Vec<String> {
    links(&tree.menu(request)).into_iter().map(|link| link.2).collect()
}

#[test]
fn names_come_first_then_texts_with_the_line_that_has_the_word() {
    let tree = tree();
    let page = tree.menu("/search\tFOX");
    let selectors: Vec<String> = links(&page).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/pets/fox.jpg", "/t.txt"]);
    assert_eq!(infos(&page), ["Search: fox", "", "    the Quick brown fox"]);
}

#[test]
fn all_words_must_occur_in_the_name_or_the_text() {
    let tree = tree();
    assert_eq!(found(&tree, "/search\tlines quick"), ["/t.txt"]);
    assert_eq!(found(&tree, "/search\tquick ferret"), [""; 0]);
    assert!(infos(&tree.menu("/search\tquick ferret")).contains(&"Nothing found.".to_owned()));
}

#[test]
fn titles_and_lines_of_menus_are_searched_and_case_is_nothing() {
    let tree = tree();
    assert_eq!(found(&tree, "/search\tferret"), ["/pets"]);
    assert_eq!(found(&tree, "/search\tCATS"), ["/pets"]);
    assert_eq!(found(&tree, "/search\tgrösse"), ["/pets/gr%C3%B6%C3%9Fe.txt"]);
}

#[test]
fn words_may_come_in_a_url() {
    let tree = tree();
    assert_eq!(found(&tree, "/search?quick+lines"), ["/t.txt"]);
    assert_eq!(found(&tree, "search?quick%20brown"), ["/t.txt"]);
}

#[test]
fn what_no_page_links_to_is_not_found() {
    let tree = tree();
    let selectors = found(&tree, "/search\tfox");
    for secret in ["unlinked", "draft", "hidden"] {
        assert!(!selectors.iter().any(|selector| selector.contains(secret)), "{selectors:?}");
    }
}

#[test]
fn a_directory_can_be_searched_alone() {
    assert_eq!(found(&tree(), "/search/pets\tfox"), ["/pets/fox.jpg"]);
    assert_eq!(found(&tree(), "/search/../x\tfox"), [""; 0]);
}

#[test]
fn no_words_and_odd_words_get_a_page_too() {
    let tree = tree();
    for request in ["/search", "/search\t", "/search?", "/search\t \x1b[31m\x07", "/search\t!", "/search\t+"]
    {
        assert_eq!(found(&tree, request), [""; 0], "{request:?}");
    }
}

#[test]
fn a_file_of_that_name_wins_and_a_setting_moves_or_stops_the_search() {
    let tree = tree();
    assert_eq!(run(&mut tree.configured("search = false\n"), b"/search\tfox\r\n").bytes, NOT_FOUND);
    assert_eq!(infos(&tree.menu_with("search = '/find'\n", "/find\tlines"))[0], "Search: lines");
    tree.file("search", "a file\n");
    assert_eq!(tree.ask("/search\tfox\r\n").bytes, b"a file\r\n");
}

#[test]
fn a_user_has_a_search_of_their_own_tree() {
    let tree = tree();
    tree.file_beside("home/ann/public_gopher/fox.txt", "x\n");
    let page = tree.menu_with("users = 'TOP/home/%s/public_gopher'\n", "/~ann/search\tfox");
    assert_eq!(links(&page)[0].2, "/~ann/fox.txt");
    assert_eq!(links(&page).len(), 1);
}

#[test]
fn a_search_that_meets_a_bound_ends_and_says_so() {
    let tree = Tree::new();
    for number in 0..150 {
        tree.file(format!("fox{number}.txt"), "");
    }
    let page = tree.menu("/search\tfox");
    assert_eq!(links(&page).len(), 100);
    assert!(infos(&page).last().unwrap().contains("limit"));
}

#[test]
fn a_large_tree_is_searched_within_its_time() {
    let tree = Tree::new();
    let text = "some words that are not the ones\n".repeat(8_000);
    for number in 0..200 {
        tree.file(format!("d{}/t{number}.txt", number % 7), &text);
    }
    let started = std::time::Instant::now();
    let page = tree.menu("/search\tfox");
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(infos(&page).last().unwrap().contains("limit"), "{page:?}");
}
