//! The configuration file: flat `key = value` lines, a part of TOML that is read by hand.
//!
//! A value is a "string", a 'literal string', a number, true or false, or a list of strings in brackets,
//! which may go over several lines. An unknown key, a key given twice and a value of the wrong kind are
//! errors: a setting that is not understood must not be one that is silently not in force.

mod value;

use std::path::PathBuf;

use crate::charset::Charset;
use crate::cli;
use crate::settings::{Dialect, LogFormat, Settings};
use crate::users::Template;
use crate::vhost::Vhost;
use value::{Reader, Value};

/// Puts what a file says into `settings`. An error begins with the number of its line.
pub(crate) fn apply(text: &str, settings: &mut Settings) -> Result<(), String> {
    let mut reader = Reader::new(text);
    let mut seen: Vec<String> = Vec::new();
    while let Some((line, key, value)) = reader.next()? {
        let wrong = |what: String| format!("{line}: {key}: {what}");
        if seen.contains(&key) {
            return Err(wrong("given twice".to_owned()));
        }
        set(settings, &key, value).map_err(wrong)?;
        seen.push(key);
    }
    Ok(())
}

fn set(settings: &mut Settings, key: &str, value: Value) -> Result<(), String> {
    match key {
        "root" => settings.root = directory(value)?,
        "host" => settings.host = Some(cli::host(value.text()?.as_ref())?),
        "port" => settings.port = Some(value.port()?),
        "vhosts" => settings.vhosts = each(value, |entry| Vhost::parse(&entry))?,
        "users" => settings.users = Some(Template::parse(&value.text()?)?),
        "users_skeleton" => settings.users_skeleton = Some(directory(value)?),
        "feed" => settings.feed = name(value)?,
        "latest" => settings.latest = name(value)?,
        "latest_entries" => settings.latest_entries = value.count(1000)?,
        "page_rows" => settings.page_rows = value.count(50_000)?,
        "gopher_plus" => settings.gopher_plus = value.truth()?,
        "gemtext_menus" => settings.gemtext_menus = value.truth()?,
        "tls_port" => settings.tls_port = Some(value.port()?),
        "search" => settings.search = selector(value)?,
        "stats" => settings.stats = selector(value)?,
        "stats_file" => settings.stats_file = directory(value)?,
        "strict_rfc1436" => settings.strict_rfc1436 = value.truth()?,
        "charset" => settings.charset = charset(&value.text()?)?,
        "colors" => settings.colors = value.truth()?,
        "dialect" => settings.dialect = dialect(&value.text()?)?,
        "newest_first" => settings.newest_first = each(value, |path| from_root(&path))?,
        "header" => settings.header = map(value)?,
        "footer" => settings.footer = map(value)?,
        "parent_link" => settings.parent_link = value.truth()?,
        "hide" => settings.hide = each(value, |pattern| Ok(pattern.into_bytes()))?,
        "http_hint" => settings.http_hint = value.truth()?,
        "admin" => settings.admin = Some(line(value)?),
        "description" => settings.description = Some(line(value)?),
        "location" => settings.location = Some(line(value)?),
        "log_format" => settings.log_format = log_format(&value.text()?)?,
        "hide_addresses" => settings.hide_addresses = value.truth()?,
        _ => return Err("not a key".to_owned()),
    }
    Ok(())
}

fn each<T>(value: Value, one: impl Fn(String) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.list()?.into_iter().map(one).collect()
}

fn directory(value: Value) -> Result<PathBuf, String> {
    match value.text()? {
        path if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err("wants a path that begins with /".to_owned()),
    }
}

/// The selector of a page that the handler makes; false turns it off.
fn selector(value: Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Truth(false) => Ok(None),
        other => {
            let selector = from_root(&other.text()?)?;
            if selector.is_empty() { Err("cannot be the root".to_owned()) } else { Ok(Some(selector)) }
        }
    }
}

/// The name of something that no directory holds; false turns it off.
fn name(value: Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Truth(false) => Ok(None),
        other => match other.text()? {
            name if name.is_empty()
                || name.starts_with('.')
                || name.contains(|c: char| c == '/' || c.is_control()) =>
            {
                Err("wants a file name without a slash, or false".to_owned())
            }
            name => Ok(Some(name.into_bytes())),
        },
    }
}

/// A path from the root without a slash at its end, so that the root is empty.
fn from_root(path: &str) -> Result<Vec<u8>, String> {
    if !path.starts_with('/') || path.contains("//") || path.contains(char::is_control) {
        return Err("wants a selector that begins with /".to_owned());
    }
    Ok(path.strip_suffix('/').unwrap_or(path).as_bytes().to_vec())
}

fn map(value: Value) -> Result<Option<Vec<u8>>, String> {
    match value.text()? {
        name if name.is_empty() || name.contains(char::is_control) => {
            Err("wants the name of a map".to_owned())
        }
        name => Ok(Some(name.into_bytes())),
    }
}

/// Text that becomes a line of an answer.
fn line(value: Value) -> Result<String, String> {
    match value.text()? {
        text if text.contains(char::is_control) => Err("wants text without control characters".to_owned()),
        text => Ok(text),
    }
}

fn charset(name: &str) -> Result<Charset, String> {
    match name {
        "as-it-is" => Ok(Charset::AsItIs),
        "utf-8" => Ok(Charset::Utf8),
        "latin-1" => Ok(Charset::Latin1),
        "ascii" => Ok(Charset::Ascii),
        _ => Err("wants as-it-is, utf-8, latin-1 or ascii".to_owned()),
    }
}

fn dialect(name: &str) -> Result<Dialect, String> {
    match name {
        "gophernicus" => Ok(Dialect::Gophernicus),
        "bucktooth" => Ok(Dialect::Bucktooth),
        _ => Err("wants gophernicus or bucktooth".to_owned()),
    }
}

fn log_format(name: &str) -> Result<LogFormat, String> {
    match name {
        "fields" => Ok(LogFormat::Fields),
        "combined" => Ok(LogFormat::Combined),
        _ => Err("wants fields or combined".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        apply(text, &mut settings).map(|()| settings)
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        assert_eq!(settings("\n# only a comment\n"), Ok(Settings::default()));
    }

    #[test]
    fn keys_set_what_they_name() {
        let read =
            settings("root = \"/r\"\nport=7070 # ours\nsearch = false\nhide = ['*.bak',\n  \"x\", ]\n")
                .expect("a good file");
        assert_eq!((read.root, read.port, read.search), (PathBuf::from("/r"), Some(7070), None));
        assert_eq!(read.hide, [b"*.bak".to_vec(), b"x".to_vec()]);
    }

    #[test]
    fn an_error_tells_its_line_and_key() {
        for (text, said) in [
            ("\nrot = \"/\"\n", "2: rot: not a key"),
            ("port = 70\nport = 71\n", "2: port: given twice"),
            ("port = 0\n", "1: port: wants a number from 1 to 65535"),
            ("root = \"x\"\n", "1: root: wants a path that begins with /"),
            ("host = \"a b\"\n", "1: host: wants a name without spaces"),
            ("strict_rfc1436 = \"yes\"\n", "1: strict_rfc1436: wants true or false"),
            ("search = \"/\"\n", "1: search: cannot be the root"),
            ("page_rows = 0\n", "1: page_rows: wants a number from 1 to 50000"),
            ("feed = \"/feed.xml\"\n", "1: feed: wants a file name without a slash, or false"),
            ("latest = true\n", "1: latest: wants a \"string\""),
            ("admin = \"a\\nb\"\n", "1: admin: wants text without control characters"),
        ] {
            assert_eq!(settings(text), Err(said.to_owned()), "{text:?}");
        }
    }
}
