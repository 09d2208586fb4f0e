//! The gopher handler on the template that is shipped, with the configurations that its documents show.

use common::serve::Serve;
use common::{Site, a_site, dist};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A service file with the shipped template, and these binds beside a tree of content.
fn service(site: &mut Site, config: &str, more: &[(PathBuf, &str)]) -> PathBuf {
    let tree = site.directory().join("hole");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("gophermap"), "Hello\n1docs\tdocs\n~\n").unwrap();
    let config = site.file("gopher.conf", config);
    let mut binds = vec![(tree, "/srv/gopher"), (config, "/srv/gopher.conf")];
    binds.extend_from_slice(more);
    let binds: Vec<String> =
        binds.iter().map(|(from, to)| format!("{:?}", format!("{}:{to}", from.display()))).collect();
    let text = format!(
        "template = {:?}\nsnapshot = \"readonly\"\nbind_ro = [{}]\n\
         handler = [\"/bin/gopher-handler\", \"--config\", \"/srv/gopher.conf\"]\n",
        dist("template"),
        binds.join(", "),
    );
    site.file("gopher.toml", &text)
}

#[test]
fn the_documented_configuration_starts_on_the_shipped_template() {
    let mut site = a_site!();
    let file = service(&mut site, "host = \"gopher.example\"\nport = 70\n", &[]);
    let serving = Serve::file(&site, &file).start();
    let answer = String::from_utf8(serving.ask(b"\r\n")).unwrap();
    assert_eq!(
        answer,
        "iHello\t\tnull.host\t1\r\n1docs\t/docs\tgopher.example\t70\r\ni~\t\tnull.host\t1\r\n.\r\n"
    );
}

#[test]
fn trees_of_users_and_virtual_hosts_have_places_in_the_shipped_template() {
    let mut site = a_site!();
    let [home, vhosts, skeleton] = ["home", "vhosts", "skel"].map(|name| site.directory().join(name));
    for (directory, name, content) in [
        (&home, "ann/public_gopher/a.txt", "ann\n"),
        (&home, "new/public_gopher/gophermap", "New\n"),
        (&vhosts, "b/gophermap", "B\n"),
        (&skeleton, "public_gopher/gophermap", "New\n"),
    ] {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let config = "host = 'a.example'\nport = 70\nvhosts = ['- b.example /srv/vhosts/b']\n\
                  users = '/home/%s/public_gopher'\nusers_skeleton = '/etc/skel/public_gopher'\n";
    let binds = [(home, "/home"), (vhosts, "/srv/vhosts"), (skeleton, "/etc/skel")];
    let file = service(&mut site, config, &binds);
    let serving = Serve::file(&site, &file).start();
    let ask = |request: &str| String::from_utf8(serving.ask(request.as_bytes())).unwrap();
    assert_eq!(ask("/~ann/a.txt\r\n"), "ann\r\n");
    assert!(ask("\r\n").contains("1~ann\t/~ann\t") && !ask("\r\n").contains("~new"));
    assert_eq!(ask("/;b.example\r\n"), "iB\t\tnull.host\t1\r\n.\r\n");
}

/// The kernel follows no absolute symlink below a directory, so the handler reads where it leads.
#[test]
fn absolute_symlinks_into_the_tree_are_followed_in_a_sandbox() {
    let mut site = a_site!();
    let file = service(&mut site, "host = 'a.example'\nport = 70\n", &[]);
    let hole = site.directory().join("hole");
    fs::write(hole.join("t.txt"), "text\n").unwrap();
    symlink("/srv/gopher/t.txt", hole.join("inside")).unwrap();
    symlink("/etc/os-release", hole.join("outside")).unwrap();
    let serving = Serve::file(&site, &file).start();
    assert_eq!(serving.ask(b"/inside\r\n"), b"text\r\n");
    assert_eq!(serving.ask(b"/outside\r\n"), b"3Not found\t\terror.host\t1\r\n.\r\n");
}
