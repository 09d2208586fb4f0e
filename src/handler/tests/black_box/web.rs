//! Links to the web, browsers, and what other clients ask of every server.

use crate::harness::Tree;

fn answer(request: &str) -> String {
    let tree = Tree::new();
    tree.file("t.txt", "text\n");
    String::from_utf8(tree.ask(format!("{request}\r\n")).bytes).unwrap()
}

#[test]
fn a_url_selector_is_a_page_that_leads_there() {
    for request in ["URL:http://example.org/a?b=c&d", "/URL:http://example.org/a?b=c&d"] {
        let page = answer(request);
        assert!(page.contains("<A HREF=\"http://example.org/a?b=c&amp;d\">"), "{page}");
        assert!(page.contains("CONTENT=\"5;URL=http://example.org/a?b=c&amp;d\""), "{page}");
    }
}

#[test]
fn a_url_selector_cannot_bring_markup() {
    let page = answer("URL:http://e/\"><script>alert('1')</script>");
    assert!(!page.contains("<script") && !page.contains("\">alert"), "{page}");
    assert!(page.contains("http://e/%22%3E%3Cscript%3E"), "{page}");
}

#[test]
fn a_scheme_that_runs_something_is_refused() {
    for request in
        ["URL:javascript:alert(1)", "URL:data:text/html,x", "URL:JavaScript:x", "URL: javascript:x", "URL:"]
    {
        assert_eq!(answer(request), "3Not a link to follow\t\terror.host\t1\r\n.\r\n", "{request}");
    }
}

#[test]
fn a_browser_is_told_where_to_go() {
    let page = answer("GET /t.txt HTTP/1.1\r\nHost: x");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("Connection: close"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.contains("gopher://localhost/"), "{body}");
    assert!(answer("HEAD / HTTP/1.1").ends_with("\r\n\r\n"));
}

#[test]
fn a_gopher_plus_client_learns_that_this_is_plain_gopher() {
    let expected =
        "+-1\r\n+INFO: 1Main menu\t\tlocalhost\t70\r\n+VIEWS:\r\n application/gopher+-menu: <512b>\r\n.\r\n";
    assert_eq!(answer("\t$"), expected);
}

#[test]
fn capabilities_are_told_unless_the_tree_has_its_own() {
    assert!(answer("caps.txt").starts_with("CAPS\r\n\r\nCapsVersion=1\r\n"));
    assert_eq!(answer("/caps.txt"), answer("caps.txt"));
    let tree = Tree::new();
    tree.file("caps.txt", "mine\n");
    assert_eq!(tree.ask("caps.txt\r\n").bytes, b"mine\r\n");
}
