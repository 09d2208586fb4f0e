//! Everything that an author uploads reaches the reader: maps with an execute bit, headings, text with TABs
//! or old bytes.

use crate::harness::{NOT_FOUND, Tree, infos, links, run};

const PROGRAM: &str = "(this part is a program; programs are off)";

#[test]
fn a_static_map_is_a_page_whatever_its_mode() {
    let tree = Tree::new();
    tree.file("gophermap", "Hello\n=part\n")
        .mode("gophermap", 0o755)
        .file("part", "part\n")
        .mode("part", 0o777);
    assert_eq!(infos(&tree.menu("/")), ["Hello", "part"]);
    tree.file("x.gophermap", "named\n").mode("x.gophermap", 0o755).file("d/y.gophermap", "row\n");
    tree.mode("d/y.gophermap", 0o755);
    assert_eq!(infos(&tree.menu("/x.gophermap")), ["named"]);
    assert!(infos(&tree.menu("/d")).contains(&"row".to_owned()));
}

#[test]
fn only_a_program_is_refused_and_never_shown() {
    let tree = Tree::new();
    let programs: [(&[u8], u32); 4] =
        [(b"#!/bin/sh\necho x\n", 0o755), (b"#!/bin/sh\n", 0o644), (b"\x7FELF\x02", 0o755), (b"MZ\0", 0o755)];
    for (content, mode) in programs {
        tree.file("d/gophermap", content).mode("d/gophermap", mode).file("gophermap", "=d/gophermap\n");
        assert_eq!(tree.ask("/d\r\n").bytes, NOT_FOUND, "{content:?}");
        assert_eq!(infos(&tree.menu("/")), [PROGRAM], "{content:?}");
    }
    tree.file("d/gophermap", "a\0b\n");
    assert_eq!(infos(&tree.menu("/d")), ["a?b"], "a stray NUL in a map that is not executable loses no page");
}

#[test]
fn a_line_that_could_be_a_command_is_not_shown() {
    for line in [
        "=curl -s http://10.0.0.1/x?key=abc",
        "=API_KEY=abc curl x",
        "= curl -u me:abc http://10.0.0.1/",
        "=/bin/sed 's/abc/\t/g' /etc/motd",
        "=./abc.sh",
        "=uptime",
        "=../abc",
        "=missing.gophermap",
    ] {
        let page = Tree::page(format!("{line}\nafter\n"));
        assert_eq!(infos(&page), [PROGRAM, "after"], "{line}");
    }
}

#[test]
fn a_line_that_is_drawn_with_an_equals_sign_is_shown() {
    let drawn = ["==== News ====", "=====", "=-=-=", "= Title =", "=Welcome=", "=> /x A link", "=", "=)"];
    assert_eq!(infos(&Tree::page(drawn.join("\n"))), drawn);
}

#[test]
fn a_hidden_file_can_be_a_part_of_a_page() {
    let tree = Tree::new();
    tree.file("gophermap", "=.header\n=.parts/foot\n=d\n")
        .file(".header", "head\n")
        .file(".parts/foot", "foot\n");
    tree.directory("d");
    assert_eq!(infos(&tree.menu("/")), ["head", "foot", PROGRAM]);
    assert_eq!(tree.ask("/.header\r\n").bytes, NOT_FOUND);
    let absolute = format!("={}/.header\n", tree.root().display());
    tree.file("gophermap", absolute);
    assert_eq!(infos(&tree.menu("/")), ["head"], "by its path on the host");
}

#[test]
fn headings_and_hashtags_are_shown() {
    let page = Tree::page("# My journal\n## Friday\n#hashtag text\n# Saturday\n");
    assert_eq!(page[0], "iMy journal\tTITLE\tnull.host\t1");
    assert_eq!(infos(&page)[1..], ["## Friday", "#hashtag text", "# Saturday"]);
    assert_eq!(infos(&Tree::page("# About\n\ntext\n"))[0], "About");
}

#[test]
fn comments_stay_comments() {
    for map in ["!Title\n# note\n## shown\n", "Title\n# note\n## shown ##\n", "# one\n# two\nTitle\n##\n"] {
        let page = infos(&Tree::page(map));
        assert_eq!((page.len(), page[0].as_str()), (2, "Title"), "{map:?}");
    }
    assert_eq!(infos(&Tree::page("Title\n#0draft\t/draft.txt\n")), ["Title"], "a link that is commented out");
}

#[test]
fn a_listing_directive_may_have_blanks_after_it() {
    let tree = Tree::new();
    tree.file("a.txt", "").file("b.txt", "");
    for line in ["* ", "*\t", "%FILES% ", "%files%", "-b.txt  \n* "] {
        tree.file("gophermap", format!("{line}\n"));
        assert!(links(&tree.menu("/")).iter().any(|link| link.2 == "/a.txt"), "{line:?}");
    }
    assert_eq!(links(&tree.menu("/")).len(), 1);
}

#[test]
fn tabs_inside_a_text_lead_to_columns_and_make_no_link() {
    let map = "Name:\tvalue\nsome text\tmore\n  a\tb\nit is\tso\nWelcome\tto\tall\n";
    let expected =
        ["Name:   value", "some text       more", "  a     b", "it is   so", "Welcome to      all"];
    let page = Tree::page(map);
    assert_eq!(infos(&page), expected);
    assert!(links(&page).is_empty());
}

#[test]
fn a_link_that_begins_like_a_word_is_one_if_something_is_there() {
    let tree = Tree::new();
    tree.file("gophermap", "ssong\tsong.mp3\nsnosong\tnone.mp3\nIPicture\tgone.png\n").file("song.mp3", "");
    let selectors: Vec<String> = links(&tree.menu("/")).into_iter().map(|link| link.2).collect();
    assert_eq!(selectors, ["/song.mp3", "/gone.png"]);
}

#[test]
fn bytes_of_old_code_pages_are_shown_as_what_they_are() {
    let page = Tree::page(b"don\x92t \x96 \x93x\x94\ngr\x81n \xDA\xC4\xC4\xBF\n0caf\x82\tx\ncaf\xE9\n");
    assert_eq!(infos(&page)[..2], ["don’t – “x”", "grün ┌──┐"]);
    assert_eq!(links(&page)[0].1, "café");
    assert!(infos(&page)[2].starts_with("caf"), "Latin-1 stays as it is");
}

#[test]
fn links_to_other_protocols_may_lack_their_url_mark() {
    for (written, selector) in [
        ("hG\tgemini://a.example/x", "URL:gemini://a.example/x"),
        ("hM\tmailto:ann@a.example", "URL:mailto:ann@a.example"),
        ("hT\ttel:+123", "URL:tel:+123"),
        ("hF\tHTTP://a.example", "URL:HTTP://a.example"),
    ] {
        assert_eq!(links(&Tree::page(written))[0].2, selector, "{written}");
    }
    assert_eq!(links(&Tree::page("hX\tjavascript:alert(1)"))[0].2, "/javascript:alert(1)");
    let expected = ["0A text\t/a b\ta.example\t7070"];
    for url in ["gopher://a.example:7070/0/a%20b", "URL:gopher://a.example:7070/0/a%20b"] {
        assert_eq!(Tree::page(format!("hA text\t{url}\n")), expected, "{url}");
    }
}

#[test]
fn another_host_without_a_port_is_at_port_70() {
    let tree = Tree::new();
    tree.file("gophermap", "1A\t/\ta.example\n1B\t/\tOURS.example\n1C\t/\ta.example\t7071\n1D\t/d\n");
    let command = &mut tree.handler();
    let answer = run(command.args(["--host", "ours.example", "--port", "7070"]), b"\r\n");
    let lines = crate::harness::menu_lines(&answer.bytes);
    let ports: Vec<&str> = lines.iter().filter_map(|line| line.rsplit('\t').next()).collect();
    assert_eq!(ports, ["70", "7070", "7071", "7070"]);
}

#[test]
fn files_that_only_begin_like_texts_are_exact() {
    let begins = "A".repeat(600);
    let label = format!("#!/bin/sh\n{}", "echo\n".repeat(20_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("x.dump", [begins.as_bytes(), b"\0\x01\n\x02\n"].concat()),
        ("x.torrent", [begins.as_bytes(), b"\0\x01\n\x02\n"].concat()),
        ("a.cfg", b"key=value\n\0\x01\n".to_vec()),
        ("a.log", b"line\n\0\n".to_vec()),
        ("a.md", b"# A\n\0\n".to_vec()),
        ("utf16.txt", "a\nb\n".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("late.run", [label.as_bytes(), b"\x1F\x8B\n\0\n"].concat()),
        ("late.sh", [label.as_bytes(), b"\x1F\x8B\n\0\n"].concat()),
        ("pcm", [b"RAW\n".repeat(200), vec![0x80, 0x7F, 0x01, b'\n', 0x81, 0x02]].concat()),
        ("bundle", [&b"# v2 git bundle\nabc refs/heads/main\n\nPACK"[..], b"\0\0\0\x02\n"].concat()),
    ];
    for (name, content) in cases {
        let tree = Tree::new();
        tree.file(name, &content);
        assert!(tree.ask(format!("/{name}\r\n")).bytes == content, "{name}");
    }
}

/// Every name, every text to begin with, and every binary behind it: 324 files of which the first 512 bytes
/// look like text.
#[test]
fn a_binary_part_anywhere_in_a_file_makes_the_whole_file_exact() {
    let names = "disk image.img x.iso x.bin x.torrent x.bundle x.warc x.fits x.run x.sh x.dat x.raw x.cfg x.log x.md x.txt \
                 x.unknown x.c";
    let begins = [
        ("A".repeat(600), "short"),
        ("a line\n".repeat(2000), "14 KB"),
        ("a line\n".repeat(40_000), "280 KB"),
    ];
    let random = crate::harness::noise(4096);
    let utf16: Vec<u8> = "a\nb\n".repeat(300).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let behind: [(&[u8], &str); 6] = [
        (b"\0\x01\n\x02\n", "a NUL and control bytes"),
        (&random, "random bytes"),
        (&utf16, "UTF-16"),
        (b"\x1F\x8B\x08\n\x03\n\xED\n", "the head of a gzip file"),
        (b"\n\x80\x7F\x01\n\x81\x02\n", "samples of sound"),
        (b"PACK\0\0\0\x02\n\0", "a pack of git"),
    ];
    let tree = Tree::new();
    for name in names.split(' ') {
        for (text, length) in &begins {
            for (bytes, what) in behind {
                let content = [text.as_bytes(), bytes].concat();
                tree.file(name, &content);
                let answer = tree.ask(format!("/{name}\r\n")).bytes;
                assert!(answer == content, "{name}: {what} behind {length} of text");
            }
        }
    }
}

#[test]
fn a_long_text_is_still_a_text() {
    let tree = Tree::new();
    let text = "größe\n".repeat(100_000);
    tree.file("README", &text).file("t.txt", &text);
    for name in ["README", "t.txt"] {
        assert!(tree.ask(format!("/{name}\r\n")).bytes == text.replace('\n', "\r\n").as_bytes(), "{name}");
    }
}

#[test]
fn absolute_symlinks_into_the_tree_are_followed_and_no_others() {
    let tree = Tree::new();
    tree.file("d/t.txt", "text\n").file(".hidden/h.txt", "h\n");
    let inside = |path: &str| tree.root().join(path);
    tree.link("file", inside("d/t.txt")).link("dir", inside("d")).link("top", tree.root());
    tree.link("d/chain", inside("file")).link("relative", "dir/../d/chain");
    for selector in ["/file", "/dir/t.txt", "/d/chain", "/relative", "/top/d/t.txt"] {
        assert_eq!(tree.ask(format!("{selector}\r\n")).bytes, b"text\r\n", "{selector}");
    }
    assert!(links(&tree.menu("/")).iter().any(|link| link.2 == "/dir"));
    let outside = tree.root().join("../outside");
    tree.link("out", &outside).link("dots", inside("d/../../outside")).link("loop", inside("loop"));
    tree.link("sibling", format!("{}-other/x", tree.root().display())).link("etc", "/etc/passwd");
    for selector in ["/out", "/dots", "/loop", "/sibling", "/etc", "/top/etc"] {
        assert_eq!(tree.ask(format!("{selector}\r\n")).bytes, NOT_FOUND, "{selector}");
    }
}
