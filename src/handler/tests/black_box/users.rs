//! `/~name`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::harness::{NOT_FOUND, Tree, infos, links, run};

const CONFIG: &str = "users = 'TOP/home/%s/public_gopher'\n";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("gophermap", "Users:\n~\n").file("~carol/t.txt", "a plain directory\n");
    tree.file_beside("home/alice/public_gopher/t.txt", "alice\n");
    tree.file_beside("home/alice/public_gopher/d/u.txt", "u\n");
    tree.file_beside("home/alice/secret.txt", "secret\n");
    tree.file_beside("home/bob/public_gopher/gophermap", "0rel\tt.txt\n0abs\t/t.txt\n1me\t\n");
    tree.file_beside("home/bob/public_gopher/t.txt", "bob\n");
    tree.file_beside("home/dave/other", "no tree\n");
    tree
}

fn ask(tree: &Tree, selector: &str) -> Vec<u8> {
    run(&mut tree.configured(CONFIG), format!("{selector}\r\n").as_bytes()).bytes
}

#[test]
fn a_user_has_a_tree_of_their_own() {
    let tree = tree();
    assert_eq!(ask(&tree, "/~alice/t.txt"), b"alice\r\n");
    assert_eq!(ask(&tree, "~bob/t.txt"), b"bob\r\n");
    let page = tree.menu_with(CONFIG, "/~alice");
    assert_eq!(infos(&page)[0], "/~alice/");
    let selectors: Vec<String> = links(&page).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/~alice/d", "/~alice/t.txt"]);
    let below = links(&tree.menu_with(CONFIG, "/~alice/d"));
    assert_eq!(below[0].2, "/~alice");
    assert_eq!(ask(&tree, &below[1].2), b"u\r\n");
}

#[test]
fn relative_links_are_in_the_tree_of_the_user_and_absolute_ones_in_that_of_the_site() {
    let selectors: Vec<String> =
        links(&tree().menu_with(CONFIG, "/~bob")).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/~bob/t.txt", "/t.txt", "/~bob/me"]);
}

#[test]
fn nothing_but_the_tree_of_the_user_can_be_reached() {
    let tree = tree();
    let public = tree.beside("home/alice/public_gopher");
    symlink("../secret.txt", public.join("link.txt")).unwrap();
    symlink("../../bob/public_gopher", public.join("bob")).unwrap();
    symlink("../bob/public_gopher", tree.beside("home/dave/public_gopher")).unwrap();
    for selector in [
        "/~alice/../secret.txt",
        "/~alice/link.txt",
        "/~alice/bob",
        "/~dave",
        "/~dave/t.txt",
        "/~..",
        "/~../x",
        "/~/x",
        "/~alice%2f..%2fbob",
        "/~.",
        "/~Alice",
        "/~nobody",
        "/~alice\0",
    ] {
        assert_eq!(ask(&tree, selector), NOT_FOUND, "{selector}");
    }
}

#[test]
fn a_home_that_is_closed_stays_closed() {
    let tree = tree();
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(tree.beside(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("home/alice", 0o700);
    assert_eq!(ask(&tree, "/~alice/t.txt"), NOT_FOUND);
    mode("home/alice", 0o711);
    assert_eq!(ask(&tree, "/~alice/t.txt"), b"alice\r\n");
    mode("home/alice/public_gopher", 0o750);
    assert_eq!(ask(&tree, "/~alice/t.txt"), NOT_FOUND);
}

#[test]
fn a_directory_of_such_a_name_is_served_where_there_is_no_user() {
    let tree = tree();
    assert_eq!(ask(&tree, "/~carol/t.txt"), b"a plain directory\r\n");
    assert_eq!(tree.ask("/~alice/t.txt\r\n").bytes, NOT_FOUND, "users are off by default");
}

#[test]
fn a_map_can_list_the_users_that_have_a_tree() {
    let tree = tree();
    let page = links(&tree.menu_with(CONFIG, "/"));
    let listed: Vec<(&str, &str)> = page.iter().map(|link| (link.1.as_str(), link.2.as_str())).collect();
    assert_eq!(listed, [("~alice", "/~alice"), ("~bob", "/~bob")]);
    assert_eq!(infos(&tree.menu("/")), ["Users:", "~"], "text without users");
}

#[test]
fn a_directory_that_is_named_like_a_user_can_be_reached_through_its_listing() {
    let tree = tree();
    fs::remove_file(tree.path("gophermap")).unwrap();
    tree.file("~alice/t.txt", "not hers\n");
    let listed = links(&tree.menu_with(CONFIG, "/"));
    let row = listed.iter().find(|link| link.1.starts_with("~alice/")).unwrap();
    let below = links(&tree.menu_with(CONFIG, &row.2));
    assert_eq!(ask(&tree, &below[1].2), b"not hers\r\n", "{below:?}");
}

#[test]
fn names_with_a_dot_or_a_capital_are_users() {
    let tree = tree();
    for name in ["john.doe", "Alice", "4tune"] {
        tree.file_beside(&format!("home/{name}/public_gopher/t.txt"), "hi\n");
        assert_eq!(ask(&tree, &format!("/~{name}/t.txt")), b"hi\r\n", "{name}");
    }
    let listed: Vec<String> = links(&tree.menu_with(CONFIG, "/")).into_iter().map(|link| link.1).collect();
    assert_eq!(listed, ["~4tune", "~Alice", "~alice", "~bob", "~john.doe"]);
}

#[test]
fn up_leads_from_the_root_of_a_user_to_that_of_the_site() {
    let tree = tree();
    let map = "1Up\t..\n1Friend\t../~bob\n0Own\t./t.txt\n1Over\t../../x\n";
    tree.file_beside("home/alice/public_gopher/gophermap", map);
    tree.file_beside("home/alice/public_gopher/d/gophermap", "1Up\t..\n1Top\t../..\n");
    let page = tree.menu_with(CONFIG, "/~alice");
    let selectors = |page: &[String]| links(page).into_iter().map(|link| link.2).collect::<Vec<_>>();
    assert_eq!(selectors(&page), ["/", "/~bob", "/~alice/t.txt"]);
    assert_eq!(infos(&page), ["1Over ../../x"]);
    assert_eq!(selectors(&tree.menu_with(CONFIG, "/~alice/d")), ["/~alice", "/"]);
    assert_eq!(links(&Tree::page("1Up\t..\n"))[0].2, "/");
}

#[test]
fn an_absolute_symlink_into_the_tree_of_the_user_is_followed() {
    let tree = tree();
    let public = tree.beside("home/alice/public_gopher");
    symlink(public.join("t.txt"), public.join("link.txt")).unwrap();
    symlink(tree.beside("home/bob/public_gopher/t.txt"), public.join("bob.txt")).unwrap();
    assert_eq!(ask(&tree, "/~alice/link.txt"), b"alice\r\n");
    assert_eq!(ask(&tree, "/~alice/bob.txt"), NOT_FOUND);
}

#[test]
fn users_with_nothing_but_the_pages_of_a_new_account_can_be_left_out() {
    let tree = tree();
    let skeleton = "Welcome to your page\n";
    tree.file_beside("skel/gophermap", skeleton).file_beside("skel/d/about.txt", "About\n");
    let user = |name: &str, file: &str, content: &str| {
        tree.file_beside(&format!("home/{name}/public_gopher/{file}"), content);
    };
    user("new", "gophermap", skeleton);
    user("new", "d/about.txt", "About\n");
    user("new", ".hidden", "x");
    user("partly", "gophermap", skeleton);
    user("changed", "gophermap", "Welcome to my page!\n");
    user("added", "gophermap", skeleton);
    user("added", "d/more.txt", "x");
    fs::create_dir_all(tree.beside("home/empty/public_gopher")).unwrap();
    let listed = |config: &str| -> Vec<String> {
        let config = format!("{CONFIG}{config}");
        links(&tree.menu_with(&config, "/")).into_iter().map(|link| link.1).collect()
    };
    assert_eq!(listed("users_skeleton = 'TOP/skel'\n"), ["~added", "~alice", "~bob", "~changed"]);
    assert_eq!(listed("").len(), 7);
    assert_eq!(ask(&tree, "/~new/d/about.txt"), b"About\r\n", "not listed is not denied");
}
