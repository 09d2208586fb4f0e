//! Menus in the forms of other servers, line by line, to the lines of a menu: each is one line of four fields
//! without control bytes, and gemtext is never wider than its own words.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::{gemtext, gph, menu, settings, site, web};

struct Checked;

impl menu::Sink for Checked {
    fn item(&mut self, item: &menu::Item<'_>) -> std::io::Result<()> {
        for field in [item.name, item.selector, item.host] {
            assert!(!field.iter().any(|byte| *byte < b' ' || *byte == 0x7F), "{field:?}");
        }
        assert!(item.item_type.is_ascii_graphic());
        Ok(())
    }
}

pub fn check(data: &[u8]) {
    let settings = settings::Settings::default();
    let site = site::Site::find(&settings, std::io::stdin());
    let mut sink = Checked;
    let mut menu = menu::Menu::new(&mut sink, &site);
    for line in data.split(|&byte| byte == b'\n') {
        match gph::parse(line) {
            gph::Line::Text(text) => menu.info(text).expect("checked"),
            gph::Line::Link(link) => menu.own(link.item_type, &link.name, &link.selector).expect("checked"),
            gph::Line::Gophermap(_) => {}
        }
        if let Some(place) = web::gopher(line) {
            menu.own(place.item_type, b"", &place.selector).expect("checked");
        }
    }
    let text = String::from_utf8_lossy(data);
    for line in gemtext::lines(&text) {
        match line {
            gemtext::Line::Text(text) => {
                assert!(!text.contains('\n'));
                menu.info(text.as_bytes()).expect("checked");
            }
            gemtext::Line::Title(title) => menu.title(title.as_bytes()).expect("checked"),
            gemtext::Line::Link { target, label } => assert!(!target.is_empty() || !label.is_empty()),
        }
    }
}
