//! Menus in the forms of other servers: `.gph` of geomyidae, gemtext of Gemini.

use crate::harness::{NOT_FOUND, Tree, infos, links, run};

#[test]
fn a_gph_file_is_a_menu_as_geomyidae_has_it() {
    let tree = Tree::new();
    let menu = "Welcome\n[0|A \\| text|a.txt|server|port]\n[1|Other|/x|b.example|7070]\n\
                [h|Web|URL:https://b.example/|server|port]\ntthe end\nt[0|not|a|link|here]\n[i|Info|Err||]\n[broken|line]\n";
    tree.file("d/index.gph", menu).file("d/a.txt", "").file("d/more.gph", "[0|A|../d/a.txt|server|port]\n");
    let page = tree.menu("/d");
    assert_eq!(
        page,
        [
            "iWelcome\t\tnull.host\t1",
            "0A | text\t/d/a.txt\tlocalhost\t70",
            "1Other\t/x\tb.example\t7070",
            "hWeb\tURL:https://b.example/\tlocalhost\t70",
            "ithe end\t\tnull.host\t1",
            "i[0|not|a|link|here]\t\tnull.host\t1",
            "iInfo\t\tnull.host\t1",
            "i[broken|line]\t\tnull.host\t1",
        ]
    );
    assert_eq!(tree.menu("/d/more.gph"), ["0A\t/d/a.txt\tlocalhost\t70"]);
}

#[test]
fn a_gophermap_wins_over_a_gph_file_and_a_script_is_not_shown() {
    let tree = Tree::new();
    tree.file("gophermap", "map\n").file("index.gph", "gph\n").file("s.gph", "#!/bin/sh\necho x\n");
    assert_eq!(infos(&tree.menu("/")), ["map"]);
    assert_eq!(tree.ask("/s.gph\r\n").bytes, NOT_FOUND);
}

#[test]
fn other_menus_are_listed_as_menus() {
    let tree = Tree::new();
    tree.file("a.gph", "x\n").file("b.gmi", "x\n").file("c.txt", "x\n");
    let types: String = links(&tree.menu("/")).iter().map(|link| link.0).collect();
    assert_eq!(types, "110");
}

#[test]
fn gemtext_is_shown_as_a_menu() {
    let tree = Tree::new();
    let text = format!(
        "# Home\n=> a.txt A text\n=> d\n=> gemini://b.example/x Friend\n=> gopher://b.example/0/y Text\n\
         => gone.txt Gone\n```\n  art\n```\n{}\n",
        "word ".repeat(20)
    );
    tree.file("d/home.gmi", text)
        .file("d/a.txt", "")
        .file("d/d/x", "")
        .file("d/gophermap", "0Home\thome.gmi\n");
    let page = tree.menu("/d/home.gmi");
    assert_eq!(
        page[..7],
        [
            "iHome\tTITLE\tnull.host\t1",
            "0A text\t/d/a.txt\tlocalhost\t70",
            "1d\t/d/d\tlocalhost\t70",
            "hFriend\tURL:gemini://b.example/x\tlocalhost\t70",
            "0Text\t/y\tb.example\t70",
            "iGone (gone.txt)\t\tnull.host\t1",
            "i  art\t\tnull.host\t1",
        ]
    );
    assert!(page.len() > 8 && infos(&page)[3..].iter().all(|line| line.len() <= 67), "{page:?}");
    assert_eq!(
        tree.menu("/d"),
        ["1Home\t/d/home.gmi\tlocalhost\t70"],
        "a link of type 0 would show the menu's source"
    );
}

#[test]
fn gemtext_can_stay_text() {
    let tree = Tree::new();
    tree.file("home.gmi", "# Home\n").file("gophermap", "0Home\thome.gmi\n");
    let config = "gemtext_menus = false\n";
    assert_eq!(run(&mut tree.configured(config), b"/home.gmi\r\n").bytes, b"# Home\r\n");
    assert_eq!(links(&tree.menu_with(config, "/"))[0].0, '0');
}
