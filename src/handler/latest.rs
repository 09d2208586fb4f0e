//! The newest texts below a directory, as a menu: `/latest`, `/phlog/latest`, and the directive `%LATEST
//! 5 phlog%`.
//!
//! Only what the directory's pages link to counts, as in the search: a draft that is hidden or not linked
//! stays unseen.

use std::cmp::Reverse;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use crate::answer::{self, Target};
use crate::charset::Charset;
use crate::clean;
use crate::crawl::{Crawl, Found};
use crate::menu::{self, Menu, Sink};
use crate::natural;
use crate::output::Output;
use crate::path::TreePath;
use crate::site::Site;
use crate::tree::{Node, Tree};

/// How long the pages may be looked through; what was found until then is shown.
const DEADLINE: Duration = Duration::from_secs(2);

/// How much of a text is read for its title and its beginning.
const HEAD_BYTES: u64 = 4096;

/// A first line that is longer is no title.
const TITLE_CHARACTERS_MAX: usize = 80;

const SUMMARY_CHARACTERS_MAX: usize = 300;

/// A text, newest first.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) item_type: u8,
    pub(crate) selector: Vec<u8>,
    pub(crate) title: String,
    /// YYYY-MM-DD
    pub(crate) date: String,
    /// When the file was changed, if that was on the day of the date.
    pub(crate) seconds: Option<i64>,
    pub(crate) summary: String,
}

#[derive(Debug)]
pub(crate) struct Latest {
    pub(crate) entries: Vec<Entry>,
    /// There may be others: a bound was met.
    pub(crate) cut: bool,
}

impl Entry {
    pub(crate) fn line(&self) -> Vec<u8> {
        format!("{}  {}", self.date, self.title).into_bytes()
    }
}

/// The directory whose newest texts a selector asks for.
pub(crate) fn asked_for(tree: &Tree, site: &Site<'_>, selector: &[u8]) -> Option<TreePath> {
    directory_of(tree, selector, site.settings.latest.as_deref()?)
}

/// The directory that a selector ends in `name` below of.
pub(crate) fn directory_of(tree: &Tree, selector: &[u8], name: &[u8]) -> Option<TreePath> {
    let above = selector.strip_suffix(name).filter(|above| above.is_empty() || above.ends_with(b"/"))?;
    match answer::find(tree, above) {
        Ok(Target { path, node: Node::Directory(_), page: 1 }) => Some(path),
        _ => None,
    }
}

pub(crate) fn answer(
    tree: &Tree,
    site: &Site<'_>,
    below: &TreePath,
    output: &mut Output<'_>,
) -> io::Result<()> {
    page(tree, site, below, output)?;
    menu::end(output)
}

/// A page of the newest texts.
pub(crate) fn page(tree: &Tree, site: &Site<'_>, below: &TreePath, sink: &mut dyn Sink) -> io::Result<()> {
    let latest = entries(tree, site, below, site.settings.latest_entries)?;
    let mut menu = Menu::new(sink, site);
    let name = [site.host.as_bytes(), &site.user_prefix, &below.selector()].concat();
    menu.title(&[b"The latest of ", name.strip_suffix(b"/").unwrap_or(&name)].concat())?;
    menu.info(b"")?;
    if latest.entries.is_empty() {
        menu.info(b"(no texts are linked from here)")?;
    }
    for entry in latest.entries {
        menu.own(entry.item_type, &entry.line(), &entry.selector)?;
    }
    if latest.cut {
        menu.info(b"")?;
        menu.info(b"(there may be newer ones: not all pages were looked through)")?;
    }
    Ok(())
}

/// The newest texts that the pages of a directory link to and that are below it.
pub(crate) fn entries(tree: &Tree, site: &Site<'_>, below: &TreePath, count: usize) -> io::Result<Latest> {
    let mut found: Vec<(String, i64, Found)> = Vec::new();
    let mut crawl = Crawl::new(tree, site, Instant::now() + DEADLINE);
    crawl.follow(&below.selector(), &mut |each| {
        if is_text(&each) && each.path.is_below(below) {
            found.push((date(&each), each.changed, each));
        }
        true
    })?;
    // A post may be a directory with more texts in it.
    let posts: Vec<TreePath> = found
        .iter()
        .filter(|(.., each)| is_post_directory(&each.path))
        .map(|(.., each)| each.path.clone())
        .collect();
    found.retain(|(.., each)| !posts.iter().any(|post| each.path.is_below(post)));
    found.sort_by(|a, b| natural::compare(b.2.path.name(), a.2.path.name()));
    found.sort_by_key(|(date, seconds, _)| Reverse((date.clone(), *seconds)));
    found.truncate(count);
    let entries = found.into_iter().map(|(date, seconds, each)| entry(tree, date, seconds, each)).collect();
    Ok(Latest { entries, cut: crawl.cut })
}

fn is_text(found: &Found) -> bool {
    match found.item_type {
        b'0' | b'h' => !matches!(found.path.name(), b"robots.txt" | b"caps.txt"),
        b'1' => is_post_directory(&found.path) || found.path.name().ends_with(b".gmi"),
        _ => false,
    }
}

fn is_post_directory(path: &TreePath) -> bool {
    natural::leading_date(path.name()).is_some() && !path.name().contains(&b'.')
}

/// The date in the name of the file, else in that of the link, else that of the last change.
fn date(found: &Found) -> String {
    let named = natural::leading_date(found.path.name());
    let linked = || natural::leading_date(unbracketed(&found.name)).filter(|_| found.named);
    named.or_else(linked).unwrap_or_else(|| natural::date(found.changed))
}

fn entry(tree: &Tree, date: String, changed: i64, found: Found) -> Entry {
    let mut head = Vec::new();
    if matches!(found.item_type, b'0' | b'1')
        && let Some(document) = tree.document(&found.path)
    {
        // A text that cannot be read has its name for a title.
        document.file.take(HEAD_BYTES).read_to_end(&mut head).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(&Charset::Utf8.converted(&head)).into_owned();
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.contains(char::is_alphanumeric)).collect();
    let first = lines.first().map(|line| line.trim_matches(['#', '=', '-', '*', ' ', '\t']).to_owned());
    let first = first.filter(|line| line.chars().count() <= TITLE_CHARACTERS_MAX);
    let title = match found.named.then(|| undated(&found.name)).flatten() {
        Some(name) => name,
        None => first.clone().unwrap_or_else(|| stem(found.path.name())),
    };
    let body = if first.as_deref() == Some(&title) { &lines[1..] } else { &lines[..] };
    Entry {
        item_type: found.item_type,
        selector: found.selector,
        title,
        seconds: Some(changed).filter(|&changed| natural::date(changed) == date),
        date,
        summary: body.join(" ").chars().take(SUMMARY_CHARACTERS_MAX).collect(),
    }
}

fn unbracketed(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii_start();
    name.strip_prefix(b"[").or_else(|| name.strip_prefix(b"(")).unwrap_or(name)
}

/// An author's name for a link, without the date before it. A file name says no more than that the text has
/// no title.
fn undated(name: &[u8]) -> Option<String> {
    let shown = clean::display(name);
    let text = String::from_utf8_lossy(&shown).into_owned();
    let rest = match natural::leading_date(unbracketed(text.as_bytes())) {
        None => text.as_str(),
        Some(_) => text.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || "[(-_".contains(c)),
    };
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "])-:_|".contains(c)).trim_end();
    let is_file_name = !rest.contains(' ') && crate::filetype::by_name(rest.as_bytes()).is_some();
    (rest.contains(char::is_alphanumeric) && !is_file_name).then(|| rest.to_owned())
}

/// A file name without date and extension: `2026-11-20-one-day.txt` is `one-day`.
fn stem(name: &[u8]) -> String {
    let stem =
        name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0).map_or(name, |dot| &name[..dot]);
    undated(stem).unwrap_or_else(|| String::from_utf8_lossy(&clean::display(name)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_no_part_of_a_title() {
        for name in [
            "2026-11-20 One day",
            "[2026-11-20] One day",
            "2026-11-20: One day",
            "One day",
            "20261120 - One day",
        ] {
            assert_eq!(undated(name.as_bytes()).as_deref(), Some("One day"), "{name}");
        }
        for name in ["2026-11-20", "notes.txt", "2026-11-20-notes.txt", "---", ""] {
            assert_eq!(undated(name.as_bytes()), None, "{name}");
        }
        assert_eq!(undated(b"2001: a space odyssey").as_deref(), Some("2001: a space odyssey"));
    }

    #[test]
    fn a_file_name_is_a_title_where_there_is_no_other() {
        assert_eq!(stem(b"2026-11-20-one-day.txt"), "one-day");
        assert_eq!(stem(b"2026-11-20.txt"), "2026-11-20.txt");
        assert_eq!(stem(b"README"), "README");
    }
}
