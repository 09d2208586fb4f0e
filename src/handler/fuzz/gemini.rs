//! A request of Gemini and a line of a menu: no reading of a URL's path has a component that is no plain name,
//! and whatever is in a menu, each line of its gemtext is one line.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::gemini::answer::Request;
use crate::gemini::gemtext::Page;
use crate::gemini::url;
use crate::menu::{Item, Sink as _};
use crate::output::Output;
use crate::receive::Received;
use crate::{clean, path, request, settings, site};
use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd as _;

pub fn check(data: &[u8]) {
    if let request::Scan::Line(length) = url::scan(data) {
        assert!(length <= url::BYTES_MAX);
        line(&data[..length]);
    }
    line(data);
    menu(data);
}

fn line(line: &[u8]) {
    let Ok(url) = url::parse(line) else { return };
    assert!(line.is_ascii() && !line.iter().any(|byte| *byte <= b' '), "{line:?}");
    assert!(url.path.is_empty() || url.path.starts_with('/'));
    assert!(!url.host.is_empty() && !url.host.contains('@') && url.port != Some(0));
    for reading in path::readings(url.path.as_bytes()).flatten() {
        let plain = |name: &[u8]| !name.is_empty() && !name.starts_with(b".") && !name.contains(&0);
        let path = reading.path.relative();
        assert!(path == b"." || path.split(|&byte| byte == b'/').all(plain));
    }
    let request = Request::of(Received::Line(line.to_vec()), None);
    assert!(clean::logged(request.line()).bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"'));
}

/// An item whose fields are those of the data, as a menu hands it on: clean.
fn menu(data: &[u8]) {
    let settings = settings::Settings::default().for_gemini();
    let site = site::Site::find(&settings, std::io::stdin());
    let mut fields = data.split(|&byte| byte == b'\t');
    let mut field = || fields.next().unwrap_or_default();
    let (first, selector, host) = (field(), field(), field());
    let (&item_type, name) = first.split_first().unwrap_or((&b'i', b""));
    let mut file = tempfile();
    let mut output = Output::new(file.as_fd(), settings.charset);
    let mut page = Page::new(&mut output, &site);
    let item = Item {
        item_type,
        name: &clean::display(name),
        selector: &clean::selector(selector),
        host: &clean::display(host),
        port: 70,
        listed: data.len().is_multiple_of(2),
    };
    page.item(&item).expect("a file takes it");
    page.end().expect("a file takes it");
    let mut text = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut text).expect("a file");
    let text = String::from_utf8(text).expect("gemtext is UTF-8");
    let body = text.strip_prefix("20 text/gemini; charset=utf-8\r\n").expect("a header");
    assert!(!body.contains(|c: char| c.is_control() && c != '\n'), "{body:?}");
    let lines: Vec<&str> = body.lines().collect();
    match lines.as_slice() {
        ["```", text, "```"] => assert!(!text.starts_with("```")),
        [line] => assert!(line.is_empty() || line.starts_with("=> ") || line.starts_with("# "), "{line:?}"),
        other => panic!("{other:?}"),
    }
    if let [link] = lines.as_slice()
        && let Some(link) = link.strip_prefix("=> ")
    {
        let target = link.split(' ').next().unwrap_or_default();
        assert!(!target.is_empty() && target.is_ascii() && !target.starts_with("//"), "{target:?}");
    }
}

/// A file without a name.
fn tempfile() -> std::fs::File {
    use rustix::fs::{MemfdFlags, memfd_create};
    memfd_create("page", MemfdFlags::CLOEXEC).expect("memory").into()
}
