//! A request line, from the bytes of a connection to paths: no reading of any selector has a component that
//! is no plain name.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::{clean, path, request, search, settings, site, users, vhost, web};

pub fn check(data: &[u8]) {
    let request::Scan::Line(length) = request::scan(data) else { return };
    let line = request::split(&data[..length]);
    for reading in path::readings(line.selector).flatten() {
        let plain = |name: &[u8]| !name.is_empty() && !name.starts_with(b".") && !name.contains(&0);
        let path = reading.path.relative();
        assert!(path == b"." || path.split(|&byte| byte == b'/').all(plain));
    }
    if let Some((name, _)) = users::split(line.selector) {
        assert!(!name.contains(['/', '\0']) && !name.starts_with('.') && !name.is_empty());
    }
    if let Some((name, _)) = vhost::split(line.selector) {
        assert!(!name.contains(['/', '\0']) && !name.split('.').any(str::is_empty));
    }
    let settings = settings::Settings::default();
    let site = site::Site::find(&settings, std::io::stdin());
    search::query(&site, line.selector, line.extra);
    assert!(clean::logged(line.selector).bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"'));
    if let Some(target) = web::target(line.selector) {
        web::is_allowed(target);
        assert!(!clean::html(&clean::url(target)).iter().any(|byte| b"<>\"'".contains(byte)));
    }
    assert_eq!(clean::decoded(&clean::encoded(line.selector)), line.selector);
}
