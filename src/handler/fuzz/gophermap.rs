//! A map, line by line, to the lines of a menu: whatever is in it, each is one line of four fields without
//! control bytes.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::{charset, clean, command, gophermap, link, menu, path, settings, site};

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
    let mut settings = settings::Settings::default();
    for dialect in [settings::Dialect::Gophernicus, settings::Dialect::Bucktooth] {
        settings.dialect = dialect;
        let site = site::Site::find(&settings, std::io::stdin());
        let directory = path::TreePath::parse(b"/a/b").expect("a plain path");
        let style = gophermap::Style::of(data, dialect);
        for line in gophermap::lines(data) {
            command::could_be(line);
            assert!(!clean::untabbed(line).contains(&b'\t'));
            let mut sink = Checked;
            let mut menu = menu::Menu::new(&mut sink, &site);
            match gophermap::parse(line, style) {
                gophermap::Line::Text(text) => menu.info(text).expect("checked"),
                gophermap::Line::Title(text) => menu.title(text).expect("checked"),
                gophermap::Line::Link(link) => {
                    if let Some(item) = link::filled_in(&site, &directory, &link) {
                        menu.item(&item.of(link.name)).expect("checked");
                    }
                }
                _ => {}
            }
            for charset in [charset::Charset::Utf8, charset::Charset::Latin1, charset::Charset::Ascii] {
                let whole = charset.converted(line).into_owned();
                let mut converter = charset::Converter::new(charset);
                let (head, tail) = line.split_at(line.len() / 2);
                let pieces = [&*converter.piece(head), &*converter.piece(tail), &*converter.rest()].concat();
                assert_eq!(pieces, whole);
            }
        }
    }
}
