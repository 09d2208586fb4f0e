//! The page of statistics.

use crate::harness::{NOT_FOUND, Tree, infos, links, menu_lines, run};

const CONFIG: &str = "stats = '/stats'\nstats_file = 'TOP/stats.json'\n";

const STATS: &str = r#"{
  "version": 1, "since": 1763600000, "updated": 1763683200,
  "today": {"connections": 12, "outcomes": {"exited": 11, "wall": 1}},
  "total": {"connections": 3456, "outcomes": {"exited": 3400, "denied": 56}},
  "hours": [0,0,0,0,0,0,0,5,10,20,0,0,0,0,0,0,0,0,0,0,0,0,0,1],
  "selectors": [{"selector": "", "count": 2000}, {"selector": "/x\u001b[31m\t\r\n1evil", "count": 7}]
}"#;

#[test]
fn statistics_are_off_by_default() {
    assert_eq!(Tree::new().ask("/stats\r\n").bytes, NOT_FOUND);
}

#[test]
fn the_page_shows_what_the_launcher_counted() {
    let tree = Tree::new();
    tree.file_beside("stats.json", STATS);
    let page = infos(&tree.menu_with(CONFIG, "/stats"));
    for line in [
        "Today: 12 connections",
        "Overall: 3456 connections",
        "  exited                           3400",
        "  09        20  ################################################",
        "  08        10  ########################",
        "  23         1  ##",
        "      2000  /",
        "         7  /x ??1evil",
    ] {
        assert!(page.contains(&line.to_owned()), "{line:?} in {page:#?}");
    }
    assert_eq!(tree.menu_with(CONFIG, "stats").len(), page.len());
}

#[test]
fn a_file_that_is_missing_or_broken_is_no_error() {
    let tree = Tree::new();
    for content in
        [None, Some(""), Some("{"), Some("[1,2]"), Some(r#"{"today":3,"hours":[1],"selectors":{}}"#)]
    {
        if let Some(content) = content {
            tree.file_beside("stats.json", content);
        }
        let answer = run(&mut tree.configured(CONFIG), b"/stats\r\n");
        assert_eq!(menu_lines(&answer.bytes)[0], "iStatistics\tTITLE\tnull.host\t1", "{content:?}");
    }
}

#[test]
fn a_file_of_the_tree_that_has_the_name_can_still_be_fetched() {
    let tree = Tree::new();
    tree.file("stats", "a file\n");
    let listed = links(&tree.menu_with(CONFIG, "/"));
    let got = run(&mut tree.configured(CONFIG), format!("{}\r\n", listed[0].2).as_bytes()).bytes;
    assert_eq!(got, b"a file\r\n", "{listed:?}");
}
